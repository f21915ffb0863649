"""Names that are the site's own: no instance may have one, whoever asks for it, and their certificates stay. Pure.

Puppet's servers know each other by name: `auth.conf` allows things to a
certname, and agents believe a server because of its certificate's name. Who got
a certificate of such a name through a node of their project would be that
server. So these names are refused in enc-autosign (which alone counts: an admin
may write LDAP without our commands), when instances are made, and passed over
where certificates are revoked.

What the configuration names is found here. Other names, such as those of an LDAP or database server that
trusts this authority's certificates, are the setting `instances.reserved`.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from enc.settings import Settings

_ALWAYS = ("ca", "default", "puppet")
"""The authority's own file, the terminus's fall-back, and whom an agent without configuration asks."""


def is_reserved(certname: str, settings: Settings) -> bool:
    """Tell whether `certname` is one of the site's own names."""
    # A dot at the end is another certname, and the same host.
    name = certname.rstrip(".")
    return any(
        name.endswith(given[1:]) if given.startswith("*.") else name == given
        for given in (found.lower().rstrip(".") for found in _names(settings))
    )


def _names(settings: Settings) -> Iterator[str]:
    yield from _ALWAYS
    yield from settings.instances.reserved
    yield from settings.authorities.keep
    agent, flushed = settings.instances.agent, settings.branches.puppetserver
    yield from (name for name in (agent.server, agent.ca_server) if name)
    for url in (*(server.url for server in settings.authorities.servers), *flushed.urls):
        yield urlsplit(url).hostname or ""
    for file in (flushed.certificate_file, *(server.certificate_file for server in settings.authorities.servers)):
        if file is not None and file.suffix == ".pem":
            yield file.stem  # Puppet calls the file CERTNAME.pem
