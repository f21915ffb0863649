"""What a machine's files are like: run inside of it, it prints a line for each, and any change changes a line.

    python looks.py PLACE... [-x PLACE...]

Kind, owner, mode, inode, size, time of the last write and the content's digest; of directories the first ones and the
time, so that a file that came and went shows, too. Not the time of the last access.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys


def lines(place: str, left_out: frozenset[str]) -> list[str]:
    """Return a line for `place`, and one for all that is below."""
    if place in left_out:
        return []
    status = os.lstat(place)
    found = [status.st_mode, status.st_uid, status.st_gid, status.st_ino, status.st_mtime_ns]
    more = ""
    if stat.S_ISREG(status.st_mode):
        with open(place, "rb") as stream:
            more = hashlib.file_digest(stream, "sha256").hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        more = os.readlink(place)  # noqa: PTH115 - alone in the machine, without the rest of the tests
    said = [f"{place} {' '.join(map(str, found))} {more}"]
    if stat.S_ISDIR(status.st_mode):
        for name in sorted(os.listdir(place)):  # noqa: PTH208
            said += lines(f"{place.rstrip('/')}/{name}", left_out)
    return said


if __name__ == "__main__":
    words = sys.argv[1:]
    at = words.index("-x") if "-x" in words else len(words)
    for start in words[:at]:
        print("\n".join(lines(start, frozenset(words[at + 1 :]))))
