"""What may be wrong with a machine and is no bug of ours, with what to do about it.

Knows the errors of the system by number only: their texts change with the locale.
"""

from __future__ import annotations

import errno
import os

from enc.terms.errors import one_line

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or raise the quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "mount it for writing; the kernel's log says why it is not",
    errno.EACCES: "run this as the user to whom it belongs",
    errno.EPERM: "run this as the user to whom it belongs",
    errno.EIO: "look at the disk; the kernel's log says more",
}


def trouble(error: OSError) -> str | None:
    """Return what is wrong with the machine, and what to do, in one line; None if this says nothing about it."""
    if error.errno not in _REMEDIES:
        return None
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return one_line(f"{where}{reason(error)}")


def reason(error: OSError) -> str:
    """Return what the system says, and what to do if that is known; without the place."""
    said = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{said}; {remedy}" if remedy else said
