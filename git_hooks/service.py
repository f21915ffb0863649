"""The warm process that hooks hand their work to: a push then waits for the work, not for Python to start.

Owns: the socket `run/socket` in the store, one thread for each push, deployers
that are used again (git and TLS connections stay open), and the settings,
read anew when their file changes. It decides nothing that a cold hook would
not decide: both call receive.py, and both lock the same files, so it may be
started, stopped or killed at any time. A hook that gets no answer, or only
half of one, does the work itself.

The protocol: the hook sends `post-receive WHO`, then git's lines, and closes
its side. The answer is lines for the pusher, then `=STATUS`. Only processes of
the same user (or root) are served.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

from enc import config
from enc.errors import ToolkitError, one_line
from enc.log import get
from enc.names import PersonName
from git_hooks.deploy import Deployer
from git_hooks.environments import Rules
from git_hooks.locks import locked
from git_hooks.receive import received
from git_hooks.refs import parse_updates

_LONGEST = 16 << 20
"""Bytes of a request: a push of 100,000 refs."""

_KEPT = 4
"""Deployers kept for the next push."""


def socket_path(store: Path) -> Path:
    """Where the service of a store listens."""
    return store / "run/socket"


class Service:
    """Serves hooks until `stop` is called."""

    def __init__(self, configuration: Path) -> None:
        """Read the settings; raise `ConfigurationError`."""
        self._configuration = configuration
        self._stamp = _stamp(configuration)
        self.settings = config.load(configuration).branches
        self._idle: list[Deployer] = []
        self._lock = threading.Lock()
        self._log = get("branches")
        self._listener: socket.socket | None = None
        self._running: set[threading.Thread] = set()

    def run(self) -> None:
        """Serve; a second service of the same store waits until the first has ended."""
        path = socket_path(self.settings.store)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(f"{path}.lock"), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(128)
            self._listener = listener
            with self._borrowed():
                pass  # the first push finds git started
            self._log.info("serving hooks at %s", path)
            try:
                while True:
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=self._serve, args=(connection,))
                    self._running.add(thread)
                    thread.start()
            except OSError:
                if self._listener is not None:
                    raise
            finally:
                path.unlink(missing_ok=True)
                for thread in list(self._running):
                    thread.join()
                self._close_idle()

    def stop(self) -> None:
        """Let `run` end after the pushes that are being served."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                # The peer is a hook on this machine: what it has to say is said at once, or it is no hook.
                connection.settimeout(10)
                _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                if user not in (0, os.geteuid()):
                    return
                request = _all(connection)
                connection.settimeout(None)
                self._answer(connection, request)
        except OSError as error:
            self._log.warning("a hook went away: %s", error)
        except Exception:
            # One push's bug must not end the service; the hook gets no status and does the work itself.
            self._log.exception("a push could not be served")
        finally:
            self._running.discard(threading.current_thread())

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        first, _, updates = request.partition(b"\n")
        kind, _, who = first.decode("utf-8", "replace").partition(" ")
        status = 0
        if kind != "post-receive":
            return  # a hook of another version: it gets no status and does the work itself
        try:
            person = PersonName(who)
            moved = parse_updates(updates)
            with self._borrowed() as (deployer, rules):
                for good, line in received(deployer, rules, moved, person):
                    status |= not good
                    connection.sendall(f"{one_line(line)}\n".encode())
        except ToolkitError as error:
            status = 1
            connection.sendall(f"{error}\n".encode())
        connection.sendall(f"={status}\n".encode())

    def _borrowed(self) -> _Borrowed:
        return _Borrowed(self)

    def take(self) -> tuple[Deployer, Rules, object]:
        """Return a deployer that nobody uses, with the settings as they are now, and a stamp of these."""
        with self._lock:
            stamp = _stamp(self._configuration)
            if stamp != self._stamp:
                self.settings = config.load(self._configuration).branches
                self._stamp = stamp
                self._close_idle()
            rules = Rules(self.settings.rules)
            deployer = self._idle.pop() if self._idle else Deployer(self.settings).__enter__()
            return deployer, rules, stamp

    def give_back(self, deployer: Deployer, stamp: object) -> None:
        """Keep a deployer for the next push, unless settings changed or enough are kept."""
        with self._lock:
            if stamp == self._stamp and len(self._idle) < _KEPT:
                self._idle.append(deployer)
                return
        deployer.close()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Borrowed:
    """A deployer for the time of one push; one that met an error it does not know is not used again."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> tuple[Deployer, Rules]:
        self._deployer, rules, self._stamp = self._service.take()
        return self._deployer, rules

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._service.give_back(self._deployer, self._stamp)
        else:
            self._deployer.close()


def _all(connection: socket.socket) -> bytes:
    parts = []
    size = 0
    while part := connection.recv(65536):
        parts.append(part)
        size += len(part)
        if size > _LONGEST:
            raise OSError("a hook sent too much")
    return b"".join(parts)


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
