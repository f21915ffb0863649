"""`branch-manager serve`: the HTTP service, under gunicorn.

One process with threads: git does the work in processes of its own, and what
is counted about wrong passwords is counted in one place. Restart it after a
change of the configuration; pushes that are being served end first.

Failure modes: an address that is taken, a certificate that cannot be read:
`ConfigurationError` or gunicorn's own line, and exit status 1 or 2.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from enc.errors import ConfigurationError, ToolkitError
from enc.settings import Settings
from git_hooks import pusher
from git_hooks.mirror.jobs import Jobs
from git_hooks.mirror.receiver import PATH, Receiver
from git_hooks.transport.http import GitOverHttp

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def application(settings: Settings, beside: Mapping[str, WSGIApplication] | None = None) -> WSGIApplication:
    """Return the whole site: the repository, what stands `beside` it by first part of the path, and /healthz."""
    places: dict[str, WSGIApplication] = {**(beside or {}), "healthz": _healthy}
    repository = GitOverHttp(settings)

    def choose(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        first = str(environ.get("PATH_INFO", "")).lstrip("/").partition("/")[0]
        return places.get(first, repository)(environ, start)

    return choose


def _healthy(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "3")])
    return [b"ok\n"]


def site(settings: Settings) -> WSGIApplication:
    """Return the site of a process; for a repository at a forge with webhooks, and the thread that looks there."""
    if settings.branches.mirror.forge is None:
        return application(settings)
    jobs = Jobs(settings)
    jobs.start()
    return application(settings, {PATH.strip("/"): Receiver(settings, jobs.add)})


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    transport = settings.branches.transport
    host = transport.listen.rpartition(":")[0].strip("[]")
    if transport.certificate_file is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            "without a certificate, people's passwords would cross the network in clear: set certificate_file and "
            "key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS",
            where="branches.transport.listen",
        )
    try:
        pusher.read_key(str(settings.branches.repository))
    except ToolkitError as error:
        raise ConfigurationError(error.message, where=error.where) from error
    _Server(settings, gunicorn_options(settings)).run()


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings; those that say nothing are its own defaults."""
    transport = settings.branches.transport
    return {
        "bind": transport.listen,
        "worker_class": "gthread",
        "workers": 1,
        "threads": transport.threads,
        "worker_connections": max(1000, 4 * transport.threads),
        "certfile": str(transport.certificate_file) if transport.certificate_file else None,
        "keyfile": str(transport.key_file) if transport.key_file else None,
        "when_ready": _silence(transport.silence),
        "graceful_timeout": 600,  # a push that is being deployed ends first
        "timeout": 300,
        "umask": 0o022,
        # Of what is below `error`, some lines hold a client's header, and so perhaps a password.
        "loglevel": "error",
        "accesslog": None,
        "control_socket_disable": True,
        "forwarder_headers": "",  # a proxy tells the scheme, no path
        "proc_name": "branch-manager",
    }


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


class _Server(BaseApplication):
    def __init__(self, settings: Settings, options: Mapping[str, Any]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for key, value in self._options.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        # Called in the process that serves, where threads may begin.
        return site(self._settings)
