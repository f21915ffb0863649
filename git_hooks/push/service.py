"""The warm process that hooks hand their work to: a push then waits for the work, not for Python to start.

Owns: the socket `run/socket` in the store, one thread for each push, deployers
that are used again (git and TLS connections stay open), and the settings,
read anew when their file changes. It decides nothing that a cold hook would
not decide: both call receive.py, and both lock the same files, so it may be
started, stopped or killed at any time. A hook that gets no answer, or only
half of one, does the work itself.

The protocol: the hook sends its kind, the variables that git gave it (one
NAME=VALUE a line), an empty line, then git's lines, and closes its side. The
answer is lines for the person who pushes, each after a space, then `=STATUS`.
Only processes of the same user (or root) are served.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from enc.programs.log import get
from enc.programs.machine_trouble import told
from enc.settings import BranchSettings, Settings, config
from enc.terms.errors import ConfigurationError, ToolkitError, one_line
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.effects.remembered import RememberedEffects
from git_hooks.effects.running import Effects
from git_hooks.push.membership import KnownGroups, Membership
from git_hooks.push.post_receive import Report
from git_hooks.push.pre_receive import Judge
from git_hooks.push.verdict import refusal
from git_hooks.repository.objects import RememberedTrees
from git_hooks.repository.reading import use_library
from git_hooks.store.layout import Layout
from git_hooks.store.locks import locked
from git_hooks.store.mounted import Mount, StoreAway

_LONGEST = 16 << 20
"""Bytes of a request: a push of 100,000 refs."""

_LONGEST_PATH = 107
"""Bytes of a unix socket's path on Linux (unix(7))."""

_WAKES = 0.5
"""Seconds after which it is looked, at the latest, whether the service is to end."""

_LOOKS = 5.0
"""Seconds after which it is looked again whether a store that is not mounted has come back."""

_KEPT = 4
"""Deployers kept for the next push."""


def socket_path(store: Path) -> Path:
    """Where the service of a store listens."""
    return store / "run/socket"


def check_socket_path(store: Path) -> None:
    """Raise `ConfigurationError` if the kernel takes no socket below `store`. Hooks work without it all the same."""
    path = socket_path(store)
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise ConfigurationError(
            f"{path} has {length} bytes, and the path of a socket may have at most {_LONGEST_PATH}; choose a "
            "shorter one",
            where="branches.store",
        )


class Workplace:
    """What one push or chore needs at a time; kept open for the next one."""

    def __init__(
        self,
        settings: Settings,
        usage: Usage,
        trees: RememberedTrees,
        groups: KnownGroups,
        effects: RememberedEffects,
    ) -> None:
        """Start git; `trees`, `groups` and `effects` are what all workplaces of these settings know together."""
        self.settings = settings
        self.usage = usage
        self.effects = effects
        self.membership = Membership(settings, time.time, known=groups)
        self.judge = Judge(settings, self.membership, usage)
        self.deployer = Deployer(settings.branches, domains=settings.domains, trees=trees).__enter__()

    def close(self) -> None:
        """End git, close connections."""
        self.membership.close()
        self.deployer.close()


class Service:
    """Serves hooks until `stop` is called."""

    def __init__(self, configuration: Path) -> None:
        """Read the settings; raise `ConfigurationError`."""
        self._configuration = configuration
        self._stamp = _stamp(configuration)
        self._settings = config.load(configuration)
        self._usage = Usage(self._settings)
        self._trees = RememberedTrees()
        self._groups = KnownGroups()
        self._compiled = RememberedEffects()
        self._idle: list[Workplace] = []
        self._lock = threading.Lock()
        self._log = get("branches")
        self._listener: socket.socket | None = None
        self._running: set[threading.Thread] = set()
        self._effects = Effects()
        self.beginnings = 0
        """How often it began to listen: again each time that the store was taken away from below it."""

    @property
    def settings(self) -> BranchSettings:
        """The settings that the last push was served with."""
        return self._settings.branches

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve, after one call of `ready`; a second service of the same store waits until the first has ended."""
        check_socket_path(self.settings.store)
        use_library()
        while True:
            with self._listening() as (listener, path):
                with self.workplace():
                    pass  # the first push finds the repository open
                if self._settings.pushes.secrets != "off":
                    thread = threading.Thread(target=self._warm)
                    self._running.add(thread)
                    thread.start()
                self._log.info("serving hooks at %s", path)
                ready()
                if not self._accept(listener, path):
                    return
            self._log.warning("%s is gone, so the store was removed or emptied; listening again", path)
            ready = _nothing
            if not self._waits_for_store():
                return

    def _warm(self) -> None:
        """Have the rules that find secrets there before the first push needs them; compiling them takes seconds."""
        from git_hooks.secrets.engine import scanner

        try:
            scanner(self.settings.repository)
        except ToolkitError as error:
            self._log.warning("pushes cannot be searched for all secrets: %s", error)
        finally:
            self._running.discard(threading.current_thread())

    def _accept(self, listener: socket.socket, path: Path) -> bool:
        """Serve until `stop` (False), or until nobody finds the socket any more (True)."""
        own = _inode(path)
        try:
            while self._listener is not None:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    if _inode(path) != own:
                        return True
                    continue
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._running.add(thread)
                thread.start()
        except OSError:
            if self._listener is not None:
                raise
        return False

    @contextmanager
    def _listening(self) -> Iterator[tuple[socket.socket, Path]]:
        """Have the socket, after a service that has it now; at the end wait for the pushes that are being served."""
        path = socket_path(self.settings.store)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(f"{path}.lock"), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(128)
            # Python runs a signal's handler between two system calls: one that comes just before accept() would
            # wait for the next push.
            listener.settimeout(_WAKES)
            self._listener, own = listener, _inode(path)
            self.beginnings += 1
            try:
                yield listener, path
            finally:
                if _inode(path) == own:
                    path.unlink(missing_ok=True)
                for thread in list(self._running):
                    thread.join()
                self._effects.close()
                with self._lock:
                    self._close_idle()

    def _waits_for_store(self) -> bool:
        """Wait until there is a store to listen in; False if the service is to end before."""
        branches = self.settings
        mount = Mount(Layout(str(branches.store), str(branches.environments)), str(branches.repository))
        while self._listener is not None:
            try:
                mount.check()
            except StoreAway as error:
                self._log.warning("%s", error)
                time.sleep(_LOOKS)
            else:
                return True
        return False

    def stop(self) -> bool:
        """Let `run` end after the pushes that are being served; tell whether it serves."""
        listener, self._listener = self._listener, None
        if listener is None:
            return False
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        return True

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                # The peer is a hook on this machine: what it has to say is said at once, or it is no hook.
                connection.settimeout(10)
                _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                if user not in (0, os.geteuid()):
                    return
                request = _Request.read(_all(connection), user)
                connection.settimeout(None)
                for line in self._answer(request):
                    with suppress(OSError):  # the hook went away; the work is done all the same
                        connection.sendall(line)
        except OSError as error:
            self._log.warning("a hook disconnected: %s", error)
        except Exception:
            # One push's bug must not end the service; the hook gets no status and does the work itself.
            self._log.exception("a push could not be served")
        finally:
            self._running.discard(threading.current_thread())

    def _answer(self, request: _Request) -> Iterator[bytes]:
        """Do what a hook asks for, and yield what it gets."""
        if request.kind not in ("pre-receive", "post-receive"):
            self._log.error("a hook asks for %r; if the toolkit was upgraded, restart this service", request.kind)
            return  # no status: the hook does the work itself
        good = False
        try:
            with self.workplace() as place:
                if request.kind == "pre-receive":
                    answer = place.judge.answer(request.updates, request.environ, request.user)
                    for one in answer.refused:
                        self._log.warning("%s", one.told())
                    good = answer.allowed
                    yield from map(_line, answer.lines)
                else:
                    parts = place.settings, place.deployer, place.usage
                    report = Report(*parts, request.updates, request.environ, request.user, effects=self._effects)
                    yield from map(_line, report)
                    good = report.good
        except ToolkitError as error:
            yield _line(refusal(error) if request.kind == "pre-receive" else str(error))
        except OSError as error:
            self._log.error("a push failed because of this machine: %s", error)
            yield _line(told(error))
        yield f"={0 if good else 1}\n".encode()

    @contextmanager
    def workplace(self) -> Iterator[Workplace]:
        """Give a workplace for the time of one push or chore; one that met an error is not used again."""
        place, stamp = self._take()
        kept = False
        try:
            yield place
            with self._lock:
                kept = stamp == self._stamp and len(self._idle) < _KEPT
                if kept:
                    self._idle.append(place)
        finally:
            if not kept:
                place.close()

    def _take(self) -> tuple[Workplace, object]:
        """Return a workplace that nobody uses, with the settings as they are now, and what tells these settings."""
        with self._lock:
            stamp = _stamp(self._configuration)
            if stamp != self._stamp:
                self._settings = config.load(self._configuration)
                self._usage = Usage(self._settings)
                self._trees = RememberedTrees()
                self._groups = KnownGroups()
                self._compiled = RememberedEffects()
                self._stamp = stamp
                self._close_idle()
            known = self._settings, self._usage, self._trees, self._groups, self._compiled
            return self._idle.pop() if self._idle else Workplace(*known), stamp

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Request(NamedTuple):
    """What a hook asks for."""

    kind: str
    environ: dict[str, str]
    updates: bytes
    user: int
    """Whose process the hook is."""

    @classmethod
    def read(cls, text: bytes, user: int) -> _Request:
        head, _, updates = text.partition(b"\n\n")
        kind, *lines = head.decode("utf-8", "surrogateescape").split("\n")
        environ = dict(line.split("=", 1) for line in lines if "=" in line)
        return cls(kind, environ, updates, user)


def _nothing() -> None:
    """Whoever waited for the service to be ready has been told."""


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _line(text: str) -> bytes:
    return f" {one_line(text)}\n".encode()


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
