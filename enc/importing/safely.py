"""Reading files that others wrote: no links, no surprises in size or text.

Owns the opening and the limits. What the text means is the caller's; YAML is read in yaml_files.py.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from enc.terms.errors import ToolkitError

LONGEST_TEXT = 1 << 20
"""Bytes of a YAML or puppet.conf file."""


class Unreadable(ToolkitError):
    """A file that cannot be used; `where` is the file, with the line if there is one."""


def text_of(file: Path, *, follow: bool = False, longest: int = LONGEST_TEXT) -> str:
    """Return the text of a plain file; links only if `follow`. Raise `Unreadable`."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        with os.fdopen(os.open(file, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is not a plain file", where=str(file))
            raw = stream.read(longest + 1)
        if len(raw) > longest:
            raise Unreadable(f"is longer than {longest} bytes", where=str(file))
        return raw.decode("utf-8")
    except OSError as error:
        what = "is a symbolic link" if not follow and file.is_symlink() else f"cannot be read: {error.strerror}"
        raise Unreadable(what, where=str(file)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8", where=str(file)) from error


def lines_of(file: Path) -> Iterator[str]:
    """Yield the lines of a file that may be large; links are followed. Raise `Unreadable`."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            yield from stream
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8", where=str(file)) from error
