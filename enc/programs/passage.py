"""What stands in an account's way to a file or directory: the first place that it cannot pass or read.

Tried and not computed from modes, so access lists and security modules have
their say. To ask for another account, call `blocked` within `accounts.as_account`.

Not here: which files somebody needs, and what is to be done about it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

HIDDEN = "is hidden from it"
_MOST_LINKS = 40
"""As many as the kernel follows on one way (path_resolution(7))."""


def blocked(path: str, hidden: Collection[str] = ()) -> tuple[str, str] | None:
    """Return where the calling process fails on its way to an absolute `path`, and why; the same for `hidden` places.

    None: it gets there, and can read the file, or reach what is in the
    directory; or nothing is there: who makes it later decides who reads it.
    """
    at, left, links = "/", _parts(path), 0
    while left:
        part = left.pop()
        if part == "..":
            at = os.path.dirname(at)  # noqa: PTH120 - links are followed, so it is where `..` leads
            continue
        here = str(Path(at) / part)
        if here in hidden:
            return here, HIDDEN
        try:
            status = os.lstat(here)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return at, f"cannot be passed: {error.strerror}"
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return here, "there are too many links from here on"
            target = str(Path(here).readlink())
            left += _parts(target)
            at = "/" if target.startswith("/") else at
        else:
            at = here
    directory = Path(at).is_dir()
    try:
        if directory:
            os.lstat(f"{at}/.")
        else:
            os.close(os.open(at, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
    except FileNotFoundError:
        return None
    except OSError as error:
        return at, f"cannot be {'passed' if directory else 'read'}: {error.strerror}"
    return None


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
