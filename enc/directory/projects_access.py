"""What the account of a projects' server may read in the embedded directory (docs/trust-domains.md). Pure.

The follower of a server that serves the domain `projects` (enc/rights/domains.py) binds with it; whoever becomes
root there reads what it reads. So it reads only what classifies nodes of projects: their entries, their projects,
prefixes and roles, the groups of nodes and the site default, which bear on all nodes. Not the site's own projects and
nodes, nodes without a project (they are the site's), people, accounts, or who the operators are. It writes nothing.

The rules name it alone and stand before all others, so that they take nothing from anybody else. Without
`site_projects` it reads nothing at all: what to keep from it is not known then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from enc.classify.statements import PROJECT
from enc.directory.service_accounts import PROJECTS_READER


def projects_rules(suffix: str, site_projects: Sequence[str]) -> Iterator[str]:
    """Yield the `access` directives; `suffix` and the projects have forms that need no quoting (`check_suffix`)."""
    by = f'by dn.exact="{PROJECTS_READER.dn(suffix)}"'
    hosts, projects, groups = (f"ou={name},{suffix}" for name in ("hosts", "projects", "groups"))
    top = re.escape(hosts).replace("\\", "\\\\")
    if site_projects:
        for project in site_projects:
            yield f'access to dn.subtree="ou={project},{hosts}" {by} none by * break'
            yield f'access to dn.subtree="{hosts}" filter=({PROJECT}={project}) {by} none by * break'
            yield f'access to dn.subtree="cn={project},{projects}" {by} none by * break'
        yield f"access to * attrs=userPassword {by} none by * break"
        for base in (suffix, hosts, projects, groups, f"cn=site,{suffix}"):
            yield f'access to dn.base="{base}" {by} read by * break'
        # Below a container: what is directly below ou=hosts is of no project.
        yield f'access to dn.regex=",ou=[^,]+,{top}$" {by} read by * break'
        yield f'access to dn.subtree="{projects}" {by} read by * break'
        yield f'access to dn.onelevel="{groups}" filter=(objectClass=groupOfURLs) {by} read by * break'
    yield f"access to * {by} none by * break"
