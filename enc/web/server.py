"""A WSGI application under gunicorn: one process with threads, which ends in order.

Owns what the services of the toolkit have in common; each says what it serves
and where. One process, because what is counted (wrong passwords, say) must be
counted in one place.

Failure modes: `ConfigurationError` for a certificate or key that cannot be
used, and a port that needs a right; an address that is taken: gunicorn's own line, and exit status 1.
"""

from __future__ import annotations

import os
import resource
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.config import Chdir
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException

from enc.programs.machine_trouble import reason
from enc.terms.errors import ConfigurationError
from enc.web.front import Bounds, worker
from enc.web.sockets import is_closed_to_us

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BROKEN_OFF = (OSError, ParseException)
"""What reading a body raises when the client goes away or stops in it, or sends chunks that are none."""
_DESCRIPTORS = 8192
LOCAL = ("127.0.0.1", "::1", "localhost")


def options(name: str, listen: str, threads: int, bounds: Bounds) -> dict[str, Any]:
    """Return gunicorn's settings for a service called `name`; those that say nothing are its own defaults.

    `threads` requests are served at once; `bounds` is what one client may have of them.
    """
    return {
        "bind": listen,
        "worker_class": worker(bounds),
        "workers": 1,
        "threads": threads,
        # The front bounds connections itself, and never stops taking new ones.
        "worker_connections": 4 * (bounds.waiting + threads),
        "umask": 0o022,
        # Of what is below `error`, some lines hold a client's header, and so perhaps a password.
        "loglevel": "error",
        # Who became another account has imported gunicorn as root, perhaps: its defaults are root's, and what it would
        # import now, it may not be able to read any more.
        "user": os.geteuid(),
        "group": os.getegid(),
        "logger_class": Logger,
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

    Raise `ConfigurationError` for a certificate or key that cannot be used, and a port that this account may not have.
    """
    check_certificate(given.get("certfile"), given.get("keyfile"))
    if is_closed_to_us(given["bind"]):
        what = "this account may not listen there; for a port below 1024 see docs/transport.md, or use another port"
        raise ConfigurationError(what, where=given["bind"])
    _more_descriptors()
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
            what = f"this certificate and its key ({key or 'in the same file'}) cannot be used: {reason(error)}"
            raise ConfigurationError(what, where=certificate) from error


@contextmanager
def hurried(environ: Mapping[str, Any], seconds: float) -> Iterator[None]:
    """Within: a request's client has `seconds` for all it sends. For what strangers send."""
    connection = environ.get("gunicorn.socket")
    if connection is None:
        yield
        return
    connection.ends = time.monotonic() + seconds
    try:
        yield
    finally:
        connection.ends = None
        connection.setblocking(True)


def _more_descriptors() -> None:
    """Have room for the connections that the bounds allow; a service is often started with 1,024 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS:
        most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
        with suppress(OSError, ValueError):  # then the front has fewer connections wait
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Server(BaseApplication):
    def __init__(self, load: Callable[[], WSGIApplication], given: Mapping[str, Any]) -> None:
        self._load = load
        self._given = given
        # gunicorn's is where it was imported: another account's, perhaps, and closed to this one.
        Chdir.default = str(Path.cwd())
        super().__init__()

    def load_config(self) -> None:
        for key, value in self._given.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        return self._load()
