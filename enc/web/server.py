"""A WSGI application under gunicorn: one process with threads, which ends in order.

Owns what the services of the toolkit have in common; each says what it serves
and where. One process, because what is counted (wrong passwords, say) must be
counted in one place.

Failure modes: `ConfigurationError` for a certificate or key that cannot be
used; an address that is taken: gunicorn's own line, and exit status 1.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

from enc.terms.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BROKEN_OFF = (OSError, ParseException)
"""What reading a body raises when the client goes away or stops in it, or sends chunks that are none."""
LOCAL = ("127.0.0.1", "::1", "localhost")


def options(name: str, listen: str, threads: int, silence: float) -> dict[str, Any]:
    """Return gunicorn's settings for a service called `name`; those that say nothing are its own defaults.

    A connection ends on which nothing moved for `silence` seconds, or on which a request's head takes longer.
    """
    return {
        "bind": listen,
        "worker_class": type("Worker", (_Worker,), {"longest_head": silence}),
        "workers": 1,
        "threads": threads,
        "worker_connections": max(1000, 4 * threads),
        "when_ready": _silence(silence),
        "umask": 0o022,
        # Of what is below `error`, some lines hold a client's header, and so perhaps a password.
        "loglevel": "error",
        "accesslog": None,
        "control_socket_disable": True,
        "forwarder_headers": "",  # a proxy tells the scheme, no path
        "proc_name": name,
    }


def is_local(listen: str) -> bool:
    """Tell whether only this machine can reach ADDRESS:PORT."""
    return listen.rpartition(":")[0].strip("[]") in LOCAL


def run(load: Callable[[], WSGIApplication], given: Mapping[str, Any]) -> None:
    """Serve until SIGTERM or SIGINT what `load` returns; it is called in the process that serves.

    Raise `ConfigurationError` for a certificate or key that cannot be used.
    """
    check_certificate(given.get("certfile"), given.get("keyfile"))
    _Server(load, given).run()


def check_certificate(certificate: str | None, key: str | None) -> None:
    """Raise `ConfigurationError` unless TLS can be spoken with these files; gunicorn finds some of it only later."""
    for file in filter(None, (certificate, key)):
        try:
            with open(file, "rb"):
                pass
        except OSError as error:
            raise ConfigurationError(f"cannot be read: {error.strerror}", where=file) from error
    if certificate:
        try:
            # A key with a passphrase cannot be used; without one here, openssl would ask a terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        except OSError as error:
            what = f"this certificate and its key ({key or 'in the same file'}) cannot be used: {error}"
            raise ConfigurationError(what, where=certificate) from error


@contextmanager
def hurried(environ: Mapping[str, Any], seconds: float) -> Iterator[None]:
    """Within: the connection of a request ends after `seconds`. For what strangers send, who could do so for ever."""
    connection = environ.get("gunicorn.socket")
    if connection is None:
        yield
        return
    with _ending(connection, seconds):
        yield


@contextmanager
def _ending(connection: Any, seconds: float) -> Iterator[threading.Timer]:
    # A descriptor of our own: that of the connection is exchanged when TLS begins.
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        timer = threading.Timer(seconds, _end, (twin,))
        timer.daemon = True
        timer.start()
        try:
            yield timer
        finally:
            timer.cancel()


def _silence(seconds: float) -> Callable[[Any], None]:
    """Return a hook that lets a connection end on which nothing moved for `seconds`.

    Linux hands these options down from a listening socket to its connections;
    gunicorn itself waits for ever for the rest of a request.
    """
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))

    def limit_listeners(arbiter: Any) -> None:
        for listener in arbiter.LISTENERS:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                listener.sock.setsockopt(socket.SOL_SOCKET, option, limit)

    return limit_listeners


class _Worker(ThreadWorker):
    """Threads that nobody keeps by sending a byte now and then: strangers, too, have this long for a head."""

    longest_head = 60.0

    def handle(self, conn: Any) -> Any:
        with _ending(conn.sock, self.longest_head) as timer:
            conn.head_timer = timer
            return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.head_timer.cancel()
        return super().handle_request(req, conn)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Server(BaseApplication):
    def __init__(self, load: Callable[[], WSGIApplication], given: Mapping[str, Any]) -> None:
        self._load = load
        self._given = given
        super().__init__()

    def load_config(self) -> None:
        for key, value in self._given.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        return self._load()
