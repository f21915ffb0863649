"""`branch-manager serve`: the HTTP service, under gunicorn.

One process with threads: git does the work in processes of its own, and what
is counted about wrong passwords is counted in one place. Restart it after a
change of the configuration; pushes that are being served end first.

Failure modes: an address that is taken, a certificate that cannot be read:
`ConfigurationError` or gunicorn's own line, and exit status 1 or 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from enc import web_server
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
    if transport.certificate_file is None and not web_server.is_local(transport.listen):
        raise ConfigurationError(
            "without a certificate, people's passwords would cross the network in clear: set certificate_file and "
            "key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS",
            where="branches.transport.listen",
        )
    try:
        pusher.read_key(str(settings.branches.repository))
    except ToolkitError as error:
        raise ConfigurationError(error.message, where=error.where) from error
    web_server.run(lambda: site(settings), gunicorn_options(settings))


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings for this service."""
    transport = settings.branches.transport
    return {
        **web_server.options("branch-manager", transport.listen, transport.threads, transport.silence),
        "certfile": str(transport.certificate_file) if transport.certificate_file else None,
        "keyfile": str(transport.key_file) if transport.key_file else None,
        "graceful_timeout": 600,  # a push that is being deployed ends first
        "timeout": 300,
    }
