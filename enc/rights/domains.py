"""Trust domains: to which one a project, a node or an environment belongs, and what this server serves of them. Pure.

A node's domain follows from its project, an environment's from the rule that makes it. Both are decided by who may
write there: members push to branches of projects, admins edit their projects' nodes. So a node without a project is the
site's only where its place in LDAP says so, which nobody but operators chooses. Where an attribute or a variable of the
entry says it, one that is missing says nothing, and no server of a single domain serves the node.

Without `domains.serves`, a server serves everything. Not here: the settings (enc/settings/domains.py), and who obeys:
the answers (enc/answers/work.py, direct.py), the deployer (git_hooks/deploy), user data (enc/instances).
"""

from __future__ import annotations

from enc.settings import DomainSettings, Settings
from enc.settings.domains import Domain
from enc.terms.environments import Rules
from enc.terms.names import EnvironmentName, ProjectName


def domain_of(project: ProjectName | None, settings: Settings) -> Domain | None:
    """Return the domain of a project's nodes, or of nodes without one; None: neither."""
    if project is None:
        return "site" if settings.nodes.project == "container" else None
    return "site" if project in settings.domains.site_projects else "projects"


def serves(project: ProjectName | None, settings: Settings) -> bool:
    """Tell whether this server answers for nodes of `project`."""
    return settings.domains.serves in (None, domain_of(project, settings))


def refusal(certname: str, project: ProjectName | None, settings: Settings) -> str:
    """Return the line for a node that this server does not serve: what it is, and where it should go."""
    domain = domain_of(project, settings)
    server = settings.domains.server(domain) if domain is not None else None
    there = f", which {server[0]} serves" if server is not None else ""
    is_of = f"belongs to the domain {domain}{there}" if domain is not None else "has no project and so no domain"
    return f"{certname} {is_of}; this server serves the domain {settings.domains.serves} only (domains.serves)"


def shows(environment: EnvironmentName, rules: Rules, domains: DomainSettings) -> bool:
    """Tell whether this server shows `environment`."""
    if domains.serves is None:
        return True
    is_projects = bool(rules.claims(environment))
    if domains.serves == "site":
        return not is_projects
    return is_projects or environment in (domains.reviewed or ())
