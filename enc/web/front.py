"""gunicorn's worker, with a front door: who sends no whole request holds no thread.

One loop, gunicorn's own, has all connections that wait: for TLS to begin, for
the whole head of a request, for their turn, for the client to close. Only a
request whose head is there whole goes to a thread, and only if that leaves room
for others: a share for each address and each secret (turns.py). From then on the
connection looks after itself (sockets.py).

Bounded: connections that wait (the oldest silent one goes first, of the same
address before others'), the size of a head, and the time for it. Nothing here
blocks: neither a handshake nor saying good-bye.

Failure modes: no descriptor is left for a new connection: the oldest silent one
goes. A certificate that cannot be read after a renewal: the one before stays.

Of gunicorn's gthread are used, and held by a test: `ThreadWorker.accept`,
`finish_request`, `handle_request`, `_keepalive_after`, `murder_keepalived`, `handle`, `nr_conns`, `poller`, `tpool`,
`method_queue`, and `TConn`.
"""

from __future__ import annotations

import logging
import os
import resource
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from gunicorn import http
from gunicorn.sock import ssl_context
from gunicorn.workers.gthread import TConn, ThreadWorker

from enc.web.origin import Network, customer
from enc.web.pace import Pace
from enc.web.sockets import Measured, Plain, Secure, secure
from enc.web.turns import HEAD_ENDS, Turns, keys

_PIECE = 16_384
_AT_ONCE = 64
"""Connections that are taken before others are looked at again."""
_PARSED = 1.0
"""Seconds for gunicorn to read a head that is there."""
_REST = 0.05
"""Seconds in which what is left of a body that nobody wanted must be there."""
_STOPPING = 2.0
"""Seconds that a service which is stopping leaves to a client that may be about to send."""
_REFUSAL = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LONG = b"431 Request Header Fields Too Large"
_TOO_MANY = b"503 Service Unavailable"


class Bounds(NamedTuple):
    """What a front lets one client have."""

    silence: float = 60.0
    """Seconds for which a client that is served may send or take nothing."""
    least_rate: float = 4096
    """Octets a second that it must send or take, over `silence`."""
    each: int = 16
    """Requests of one address or one secret that are served at once."""
    waiting: int = 1000
    """Connections that wait, all together."""
    waiting_each: int = 128
    """Connections of one address that wait."""
    head_seconds: float = 10.0
    """For a request's head, and for TLS to begin."""
    head_bytes: int = 32_768
    """Of a head; beyond, 431."""
    proxies: tuple[Network, ...] = ()
    """Speak for everybody, so nothing is counted by their addresses."""


class _Connection(TConn):
    """One connection, and what is known of its next request."""

    sock: Measured

    def __init__(self, cfg: Any, sock: Plain, client: Any, server: Any, place: str) -> None:
        super().__init__(cfg, sock, client, server)
        self.place = place
        self.head = bytearray()
        self.keys: tuple[str, ...] = ()
        self.data_ready = True  # else gunicorn would wait, with a thread
        self.shaken = False
        self.leaving = False
        self.ends = 0.0
        """When it is given up, by the monotonic clock."""

    def init(self) -> None:
        """Give gunicorn's parser what has come; in a thread, before each request."""
        self.initialized = True
        parser: Any = self.parser or http.get_parser(self.cfg, self.sock, self.client)
        self.parser = parser
        parser.unreader.unread(bytes(self.head))
        self.sock.ends = time.monotonic() + _PARSED  # should gunicorn take something else for a head than we
        self.head.clear()


class Front(ThreadWorker):
    """Threads for whole requests only."""

    bounds = Bounds()

    def init_process(self) -> None:
        """See gunicorn."""
        # Half of the descriptors at most: a request that is served needs some for its git.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        endless = descriptors == resource.RLIM_INFINITY
        self._most_waiting = self.bounds.waiting if endless else min(self.bounds.waiting, descriptors // 2)
        self._silent: dict[_Connection, None] = {}  # the oldest first
        self._ready: dict[_Connection, None] = {}
        self._places: Counter[str] = Counter()
        self._turns = Turns(self.cfg.threads, self.bounds.each)
        self._context = _Context(self.cfg)
        super().init_process()

    # Coming

    def accept(self, listener: socket.socket) -> None:
        """Take connections, for which nothing is done before they send."""
        for _ in range(_AT_ONCE):
            try:
                accepted, client = listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:  # no descriptors, no memory
                self.log.log(logging.ERROR, "a connection could not be accepted: %s", error.strerror)
                if not self._give_up_oldest():
                    time.sleep(0.05)
                return
            self._admit(Plain(fileno=accepted.detach()), client, listener.getsockname())

    def _admit(self, plain: Plain, client: Any, server: Any) -> None:
        place = customer(client[0] if isinstance(client, tuple) else "", self.bounds.proxies)
        if place and self._places[place] >= self.bounds.waiting_each and not self._give_up_oldest(place):
            plain.close()
            return
        if len(self._silent) >= self._most_waiting:
            self._give_up_oldest()
        conn = _Connection(self.cfg, plain, client, server, place)
        self.nr_conns += 1
        self._places[place] += 1
        try:
            if self.cfg.is_ssl:
                conn.sock = secure(plain, self._context.now())
                conn.sock.setblocking(False)
        except (OSError, ValueError):
            self._forget(conn)
            return
        self._wait(conn, self.bounds.head_seconds)

    def _wait(self, conn: _Connection, seconds: float) -> bool:
        """Let `conn` wait for what its client sends, at most for `seconds`; tell whether it can."""
        if not self.alive:
            seconds = min(seconds, _STOPPING)
        conn.ends = time.monotonic() + seconds
        self._silent[conn] = None
        try:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._readable, conn))
        except (OSError, ValueError, KeyError):
            self._give_up(conn)
            return False
        return True

    def _readable(self, conn: _Connection, _: object) -> None:
        if conn not in self._silent:  # given up for another that was looked at just before
            return
        try:
            if self._received(conn):
                self._line_up(conn)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            writes = isinstance(error, ssl.SSLWantWriteError)
            events = selectors.EVENT_WRITE if writes else selectors.EVENT_READ
            self.poller.modify(conn.sock, events, partial(self._readable, conn))
        except (BlockingIOError, InterruptedError):
            pass
        except (OSError, ValueError):
            self._give_up(conn)

    def _received(self, conn: _Connection) -> bool:
        """Take what is there; tell whether a head is whole. Raise what an unblocking socket raises."""
        if isinstance(conn.sock, Secure) and not conn.shaken and not conn.leaving:
            conn.sock.do_handshake()
            conn.shaken = True
        while True:
            piece = conn.sock.recv(_PIECE)
            if not piece:
                raise ConnectionResetError
            if conn.leaving:
                return False  # what it still says is nobody's
            if conn.initialized and not conn.head:  # the next request of a connection that was kept
                conn.ends = time.monotonic() + self.bounds.head_seconds
            conn.head += piece
            # Looked for in what is new only, else a slow head of many pieces costs the square of its size.
            if conn.head.find(HEAD_ENDS, max(0, len(conn.head) - len(piece) - len(HEAD_ENDS))) >= 0:
                return True
            if len(conn.head) > self.bounds.head_bytes:
                self._leave_waiting(conn)
                self._refuse(conn, _TOO_LONG)
                return False
            if not isinstance(conn.sock, Secure):
                return False

    # Being served

    def _line_up(self, conn: _Connection) -> None:
        self._leave_waiting(conn)
        conn.keys = keys(conn.place, bytes(conn.head))
        queued = sum(1 for other in self._ready if other.keys == conn.keys) if self._ready else 0
        if len(self._ready) >= self.bounds.waiting or (conn.keys and queued >= 4 * self.bounds.each):
            self._refuse(conn, _TOO_MANY)
            return
        self._ready[conn] = None
        self._dispatch()

    def _dispatch(self) -> None:
        """Give threads what waits for its turn, the first that came first."""
        for conn in list(self._ready):
            if self._turns.all_taken:
                return
            if self._turns.may(conn.keys):
                del self._ready[conn]
                self._turns.begin(conn.keys)
                conn.sock.patience = self.bounds.silence
                conn.sock.pace = Pace(self.bounds.least_rate, self.bounds.silence)
                conn.sock.ends = None
                self.enqueue_req(conn)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer a request whose head is read."""
        conn.sock.ends = None
        conn.sock.setblocking(True)
        return bool(super().handle_request(req, conn))

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Keep a connection only if its request was read to the end; gunicorn would wait for the rest with a thread."""
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + _REST))

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Wait for the next request, or for the client to go; then it is somebody else's turn."""
        self._turns.end(conn.keys)
        try:
            kept = not fs.cancelled() and bool(fs.result())
        except Exception:
            kept = False
        if kept:
            self._again(conn)
        else:
            self._good_bye(conn)
        self._dispatch()

    def _again(self, conn: Any) -> None:
        conn.head += conn.parser.unreader.take_buffered()
        conn.sock.ends = None
        conn.sock.setblocking(False)
        if not self._wait(conn, self.bounds.head_seconds if conn.head else self.cfg.keepalive):
            return
        if HEAD_ENDS in conn.head:
            self._line_up(conn)
        elif isinstance(conn.sock, Secure) and conn.sock.pending():  # decrypted, so it wakes nobody
            self._readable(conn, conn.sock)

    # Going

    def _refuse(self, conn: _Connection, status: bytes) -> None:
        with suppress(OSError):
            conn.sock.send(_REFUSAL % status)
        self._good_bye(conn)

    def _good_bye(self, conn: _Connection) -> None:
        """Say that nothing more comes, and leave the client a moment to take what did (RFC 9112, section 9.6)."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            self._forget(conn)
            return
        conn.leaving = True
        conn.head.clear()
        if len(self._silent) >= self._most_waiting:
            self._give_up_oldest()
        self._wait(conn, _STOPPING)

    def _leave_waiting(self, conn: _Connection) -> None:
        if conn in self._silent:
            del self._silent[conn]
            with suppress(OSError, ValueError, KeyError):
                self.poller.unregister(conn.sock)

    def _give_up(self, conn: _Connection) -> None:
        self._leave_waiting(conn)
        self._forget(conn)

    def _forget(self, conn: _Connection) -> None:
        self.nr_conns -= 1
        self._places[conn.place] -= 1
        if not self._places[conn.place]:
            del self._places[conn.place]
        conn.close()

    def _give_up_oldest(self, place: str | None = None) -> bool:
        """Give up the connection that has waited longest without a whole head, of `place` if that is given."""
        oldest = next((conn for conn in self._silent if place is None or conn.place == place), None)
        if oldest is not None:
            self._give_up(oldest)
        return oldest is not None

    def murder_keepalived(self, force: bool = False) -> None:
        """Give up what has waited for too long; gunicorn asks each second."""
        now = time.monotonic()
        latest = now + (_STOPPING if not self.alive else self.bounds.silence + self.bounds.head_seconds)
        for conn in list(self._silent):
            conn.ends = min(conn.ends, latest)
            if force or conn.ends <= now:
                self._give_up(conn)


class _Context:
    """TLS with the certificate that is in the files now."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg
        self._made: ssl.SSLContext | None = None
        self._seen: tuple[object, ...] = ()

    def now(self) -> ssl.SSLContext:
        """Return it; raise OSError or ValueError if there never was a sound one."""
        files = filter(None, (self._cfg.certfile, self._cfg.keyfile))
        try:
            stats = map(os.stat, files)
            seen: tuple[object, ...] = tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in stats)
        except OSError:
            seen = self._seen
        if self._made is None or seen != self._seen:
            try:
                self._made = ssl_context(self._cfg)
            except (OSError, ValueError):
                if self._made is None:
                    raise
                return self._made  # half of a renewal: asked again at the next connection
            self._seen = seen
        return self._made


def worker(bounds: Bounds) -> Callable[..., Any]:
    """Return gunicorn's worker class with these bounds."""
    return type("Worker", (Front,), {"bounds": bounds})
