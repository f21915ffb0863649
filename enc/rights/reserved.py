"""Names that are not everybody's: those of the site's servers, and those of other projects' instances. Pure.

Puppet's servers know each other by name: `auth.conf` allows things to a
certname, and agents believe a server because of its certificate's name. Who got
a certificate of such a name through a node of their project would be that
server. So these names are refused in enc-autosign (which alone counts: an admin
may write LDAP without our commands), when instances are made, and passed over
where certificates are revoked.

A node of such a name is made by operators only (authorize.py), and where `instances.reserved_project` is set, one
that stands in another project gets no classification (classify/gather.py): LDAP's own rules let an admin write it.

What the configuration names is found here. Other names, such as those of an LDAP or database server that
trusts this authority's certificates, are the setting `instances.reserved`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import urlsplit

from enc.settings import Settings
from enc.settings.domains import DOMAINS
from enc.terms.names import ProjectName

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


def stands_wrongly(certname: str, project: ProjectName | None, settings: Settings) -> bool:
    """Tell whether a node of that name would be one of the site's servers, and stands where others may write."""
    allowed = settings.instances.reserved_project
    return allowed is not None and project != allowed and is_reserved(certname, settings)


def projects_named_in(certname: str, settings: Settings) -> tuple[ProjectName, ...]:
    """Return the projects for whose instances the name could be made (`instances.name`), whether there are any such."""
    pattern, name = settings.instances.name.lower(), certname.lower()
    if "%{project}" not in pattern:
        return ()
    # A project's name may hold what stands between the parts of the pattern, so there may be several ways to read it.
    before, after = map(_form, pattern.split("%{project}", 1))
    starts = [at for at in range(len(name)) if before.fullmatch(name[:at])]
    ends = [at for at in range(1, len(name) + 1) if after.fullmatch(name[at:])]
    found = {name[start:end] for start in starts for end in ends if start < end}
    return tuple(ProjectName(text) for text in sorted(found) if ProjectName.accepts(text))


@lru_cache(maxsize=8)
def _form(part: str) -> re.Pattern[str]:
    """Return what a part of the pattern stands for."""
    return re.compile(re.sub(r"%\\{(?:name|project)\\}", ".+", re.escape(part)), re.DOTALL)


def _names(settings: Settings) -> Iterator[str]:
    yield from _ALWAYS
    yield from settings.instances.reserved
    yield from settings.authorities.keep
    agent, flushed = settings.instances.agent, settings.branches.puppetserver
    yield from (name for name in (agent.server, agent.ca_server) if name)
    for domain in DOMAINS:
        if (server := settings.domains.server(domain)) is not None:
            yield server[0]
    for url in (*(server.url for server in settings.authorities.servers), *flushed.urls):
        yield urlsplit(url).hostname or ""
    for file in (flushed.certificate_file, *(server.certificate_file for server in settings.authorities.servers)):
        if file is not None and file.suffix == ".pem":
            yield file.stem  # Puppet calls the file CERTNAME.pem
