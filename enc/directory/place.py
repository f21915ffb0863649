"""What the embedded slapd takes from the machine: locks, its own directory in a shared place, a port.

Nothing here knows LDAP. Failure modes: `ToolkitError` for a place or port that cannot be ours; OSError as it comes.
"""

from __future__ import annotations

import errno
import fcntl
import secrets
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from enc.programs.machine_trouble import said
from enc.terms.errors import ToolkitError

_PORTS = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections, which would take ours while we are down."""
_LOOPBACK = IPv4Address("127.0.0.1")


def locked(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed everywhere; False if somebody has it and we are not to wait."""
    return _locked(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(descriptor: int) -> bool:
    """Tell whether somebody has an open file locked; for an instant, it is ours if nobody has."""
    return not _locked(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def own_directory(path: Path, owner: int) -> None:
    """Make a directory in a shared place; refuse one that somebody else put there."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o711)
    status = path.lstat()
    if not path.is_dir() or path.is_symlink() or status.st_uid != owner or status.st_mode & 0o022:
        raise ToolkitError("is not a directory that only our account can write; remove it", where=str(path))


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on; raise `ToolkitError` if there is none."""
    for _ in range(200):
        port = secrets.choice(_PORTS)
        with suppress(ToolkitError):
            check_free(port)
            return port
    raise ToolkitError(f"no free port between {_PORTS[0]} and {_PORTS[-1]} on 127.0.0.1")


def check_free(port: int, address: IPv4Address | IPv6Address = _LOOPBACK) -> None:
    """Raise `ToolkitError` if `port` cannot be listened on at an address of this machine."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that lingers is no program
        try:
            probe.bind((str(address), port))
        except PermissionError as error:
            what = f"port {port}: this account may not listen there (below 1024: CAP_NET_BIND_SERVICE)"
            raise ToolkitError(what, where=str(address)) from error
        except (OSError, OverflowError) as error:
            choose = (
                "choose one of this machine's"
                if getattr(error, "errno", 0) == errno.EADDRNOTAVAIL
                else "choose another"
            )
            raise ToolkitError(f"port {port} cannot be used: {said(error)}; {choose}", where=str(address)) from error
