"""`enc-admin vendordata serve`: what Nova asks, under gunicorn.

Failure modes: `ConfigurationError` for settings that cannot work, before
anything is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enc import web_server
from enc.cloud.allotment import Allotter
from enc.cloud.client import Cloud
from enc.cloud.vendordata import Vendordata
from enc.errors import ConfigurationError
from enc.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    given = settings.openstack
    if given.certificate_file is None and not web_server.is_local(given.listen):
        raise ConfigurationError(
            "without a certificate, tokens would cross the network in clear: set certificate_file and key_file, "
            "or listen on 127.0.0.1 behind a proxy that speaks TLS",
            where="openstack.listen",
        )
    _site(settings)  # what is wrong is told here, and not by each worker that cannot begin
    options = web_server.options("puppetmaster-vendordata", given.listen, given.threads, silence=60)
    files = {"certfile": given.certificate_file, "keyfile": given.key_file}
    web_server.run(lambda: _site(settings), options | {name: str(file) for name, file in files.items() if file})


def _site(settings: Settings) -> WSGIApplication:
    return Vendordata(settings.openstack, Cloud(settings.openstack), Allotter(settings))
