"""The section of trust domains: whose nodes and environments this machine's puppetserver serves. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from enc.settings.values import Section
from enc.terms.names import EnvironmentName, ProjectName

Domain = Literal["site", "projects"]
DOMAINS: tuple[Domain, ...] = ("site", "projects")

_SERVER = re.compile(
    r"(site|projects)\s*=\s*([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?", re.ASCII
)


@dataclass(frozen=True)
class DomainSettings(Section):
    """Trust domains: the site's own nodes and those of projects, on puppetservers of their own."""

    serves: Domain | None = None
    """The domain whose nodes and environments this machine's puppetserver serves. null: all."""
    site_projects: tuple[str, ...] = ()
    """Projects of the site's own nodes. If a node's project is its container in LDAP, nodes without a project belong to
    the site too. All others are in the domain projects."""
    reviewed: tuple[str, ...] | None = ("production",)
    """Environments of the site's branches that the projects' server also has, for nodes of projects. Members' code can
    read them there. null: none."""
    servers: tuple[str, ...] = ()
    """`DOMAIN = HOST` or `DOMAIN = HOST:PORT`: the master of a domain's new instances. None: instances.agent.server."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield names that no project, environment or server can have, and a domain with two servers."""
        for project in self.site_projects:
            if not ProjectName.accepts(project):
                yield "site_projects", f"{project!r} is not {ProjectName.kind}: {ProjectName.rule}"
        for environment in self.reviewed or ():
            if not EnvironmentName.accepts(environment):
                yield "reviewed", f"{environment!r} is not {EnvironmentName.kind}: {EnvironmentName.rule}"
        found = []
        for line in self.servers:
            match = _SERVER.fullmatch(line.strip())
            if match is None or not 0 < int(match[3] or 8140) < 65536:
                yield "servers", f"{line!r} is not site|projects = HOST or site|projects = HOST:PORT"
            else:
                found.append(match[1])
        for domain in sorted({domain for domain in found if found.count(domain) > 1}):
            yield "servers", f"the domain {domain} is listed twice"

    def server(self, domain: Domain) -> tuple[str, int] | None:
        """Return host and port of a domain's master; None if `servers` names none."""
        for line in self.servers:
            match = _SERVER.fullmatch(line.strip())
            if match is not None and match[1] == domain:
                return match[2], int(match[3] or 8140)
        return None
