"""What may be wrong with a machine and is no bug of ours, with what to do about it.

Knows the errors of the system by number only: their texts change with the locale.
"""

from __future__ import annotations

import errno
import os

from enc.terms.errors import ToolkitError, one_line

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or raise the quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "remount it for writing; the kernel's log says why it is not",
    errno.EACCES: "run this as the user who owns it",
    errno.EPERM: "run this as the user who owns it",
    errno.EIO: "check the disk; the kernel's log says more",
    errno.EMFILE: "raise the limit on open files (ulimit -n, or LimitNOFILE= of the unit)",
    errno.ENFILE: "raise the machine's limit on open files (sysctl fs.file-max)",
    errno.ENOMEM: "end other programs, or give the machine more memory",
    errno.ESTALE: "mount that file system again",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG), "correct the path in the configuration"
    ),
}


def told(error: Exception) -> str:
    """Return where something went wrong, what, and what to do if that is known, in one line."""
    cure = remedy(error)
    return f"{placed(error)}; {cure}" if cure else placed(error)


def placed(error: Exception) -> str:
    """Return where something went wrong, and what, in one line."""
    place = where(error) if _of_system(error) else None
    return one_line(f"{place}: {said(error)}" if place else said(error))


def reason(error: Exception) -> str:
    """Return what went wrong, and what to do if that is known; without the place."""
    cure = remedy(error)
    return f"{said(error)}; {cure}" if cure else said(error)


def said(error: Exception) -> str:
    """Return what an error says; the system's own without number and place, which are no words."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8"
    return error.strerror or str(error) if isinstance(error, OSError) and _of_system(error) else str(error)


def remedy(error: Exception) -> str | None:
    """Return what to do about an error of the system, if that is known."""
    return _REMEDIES.get(error.errno or 0) if isinstance(error, OSError) and _of_system(error) else None


def where(error: Exception) -> str | None:
    """Return the file that an error of the system is about."""
    name = error.filename if isinstance(error, OSError) else None
    return os.fsdecode(name) if isinstance(name, str | bytes) else None


def _of_system(error: Exception) -> bool:
    """Tell an error of the system from one of ours that is an OSError, too, and has said all this (whole_file.py)."""
    return isinstance(error, OSError) and not isinstance(error, ToolkitError)
