"""Which of the kernel's system calls a sandboxed program may not make, as the kernel's own filter (seccomp(2)). Pure.

The bounds of a sandbox count what a process has mapped and what it writes to
its own directory. These calls lead past that, and no build, test or check needs
them: memory that belongs to no process (memfd_create, shmget, message queues,
keys, io_uring), and namespaces of one's own, in which somebody without rights
may mount further file systems in memory; sockets of families that a network
namespace does not hold back (vsock reaches the hypervisor); sync, which makes the whole
machine wait for its disks. They fail with EPERM; clone3, whose flags no filter
can see, with ENOSYS, so that the C library takes clone.

Sources: linux/filter.h, linux/seccomp.h, linux/audit.h, and the tables of numbers
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
"""Where these stand in struct seccomp_data (of an argument the lower half, on machines that have it first)."""
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME."""
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: what a network namespace, and nothing in sight, hold back."""
_OTHER_NUMBERS = 0x40000000
"""From here on the numbers of x32, which mean the same calls."""


class _Machine(NamedTuple):
    audit: int
    clone: int
    socket: int
    denied: tuple[int, ...]


_NEW = (425, 428, 429, 430, 431, 432, 433, 442, 447)
"""io_uring_setup, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, memfd_secret: the same
everywhere."""
_CLONE3 = 435
_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(
        0xC000003E,
        56,
        41,
        # memfd_create, shmget, semget, msgget, unshare, setns, mount, umount2, pivot_root, chroot, add_key,
        # request_key, keyctl, userfaultfd, perf_event_open, bpf, ptrace, process_vm_writev, sync, syncfs
        (319, 29, 64, 68, 272, 308, 165, 166, 155, 161, 248, 249, 250, 323, 298, 321, 101, 311, 162, 306, *_NEW),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        220,
        198,
        (279, 194, 190, 186, 97, 268, 40, 39, 41, 51, 217, 218, 219, 282, 241, 280, 117, 271, 81, 267, *_NEW),
    ),
}


def denied(machine: str) -> bytes | None:
    """Return the filter for `machine` (uname -m) as bubblewrap's --seccomp takes it; None: it is not known here."""
    known = _MACHINES.get(machine)
    if known is None:
        return None
    fails = (_RETURN, 0, 0, _FAIL | _EPERM)
    lines = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, known.audit), fails]
    lines += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _OTHER_NUMBERS), fails]
    for number in known.denied:
        lines += [(_EQUAL, 0, 1, number), fails]
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | _ENOSYS)]
    lines += [(_EQUAL, 0, len(_FAMILIES) + 3, known.socket), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    lines += [(_EQUAL, len(_FAMILIES) - number, 0, family) for number, family in enumerate(_FAMILIES)]
    lines += [fails, (_RETURN, 0, 0, _ALLOW)]
    lines += [(_EQUAL, 0, 3, known.clone), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 0, 1, _NAMESPACES), fails]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
