"""`branch-manager serve`: the HTTP service, under gunicorn.

One process with threads: git does the work in processes of its own, and what
is counted about wrong passwords is counted in one place. Restart it after a
change of the configuration; pushes that are being served end first.

Failure modes: an address that is taken, a certificate that cannot be read:
`ConfigurationError` or gunicorn's own line, and exit status 1 or 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from enc.settings import Settings
from enc.terms.errors import ConfigurationError, ToolkitError
from enc.terms.names import BranchName
from enc.web import server as web_server
from enc.web.front import Bounds
from enc.web.origin import networks
from enc.web.site import assemble, health
from git_hooks.mirror.jobs import Jobs
from git_hooks.mirror.receiver import Receiver
from git_hooks.push import pusher
from git_hooks.web.repository import repository, requests_each
from git_hooks.web.webhooks import webhooks


def create_site(settings: Settings, ask: Callable[[BranchName | None], str] | None = None) -> Flask:
    """Return the whole site: the repository, `/healthz`, and webhooks if there is somebody to `ask` for a look.

    `ask` is told where a webhook says to look, and returns the job's number (`Jobs.add`). Nothing is started.
    """
    parts = [repository(settings), health()]
    if ask is not None:
        parts.append(webhooks(settings, Receiver(settings, ask)))
    return assemble(parts)


def _started(settings: Settings) -> Flask:
    """Return the site of a process; for a repository at a forge with webhooks, and the thread that looks there."""
    if settings.branches.mirror.forge is None:
        return create_site(settings)
    jobs = Jobs(settings)
    jobs.start()
    return create_site(settings, jobs.add)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    transport = settings.branches.transport
    if transport.certificate_file is None and not web_server.is_local(transport.listen):
        raise ConfigurationError(
            "without a certificate, people's passwords would cross the network unencrypted: set certificate_file and "
            "key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS",
            where="branches.transport.listen",
        )
    try:
        pusher.read_key(str(settings.branches.repository))
    except ToolkitError as error:
        raise ConfigurationError(error.message, where=error.where) from error
    web_server.run(lambda: _started(settings), gunicorn_options(settings))


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings for this service."""
    transport = settings.branches.transport
    silence = float(transport.silence)
    bounds = Bounds(
        silence=silence,
        least_rate=transport.least_rate,
        each=requests_each(transport),
        head_seconds=min(silence, Bounds().head_seconds),
        proxies=networks(transport.proxies),
    )
    return {
        **web_server.options("branch-manager", transport.listen, transport.threads, bounds),
        "certfile": str(transport.certificate_file) if transport.certificate_file else None,
        "keyfile": str(transport.key_file) if transport.key_file else None,
        "graceful_timeout": 600,  # a push that is being deployed ends first
        "timeout": 300,
    }
