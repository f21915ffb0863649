"""Are there projects whose environments meet, or whose names make that likely?

They were made before such names were refused, or without our commands. What follows for their nodes is told in
enc/classify/entitled.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations

from enc.directory.ldap_store import LdapSource
from enc.doctor.findings import Finding, note, ok, warning
from enc.settings import Settings
from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import ProjectName

_NAMED = 5
"""So many of a kind are named."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the names of all projects."""
    if settings.nodes.semantics == "terminus":
        return
    try:
        with LdapSource(settings) as source:
            names = source.project_names()
    except ToolkitError as error:
        yield note("project-names", f"LDAP cannot be queried for its projects: {error}")
        return
    yield from judge(names, Rules(settings.branches.rules))


def judge(names: Collection[ProjectName], rules: Rules) -> Iterator[Finding]:
    """Judge the names of all projects under `rules`. Pure."""
    met = [
        f"branches of project {one} and of project {other} can become one environment ({environment}); nodes of "
        "either project get it only if each project is the other's guest"
        for one, other in combinations(sorted(names), 2)
        if (environment := rules.meeting(one, other)) is not None
    ]
    do = (
        "create a project with another name and move the nodes of one there, or let the admins of both share "
        "(enc-admin project set A --guest B, and project set B --guest A)"
    )
    yield from (warning("project-names", text, do) for text in met[:_NAMED])
    if len(met) > _NAMED:
        yield warning("project-names", f"{len(met) - _NAMED} more like this", do)
    taken = [(name, found) for name in sorted(names) if (found := rules.takes_of_the_site(name)) is not None]
    for name, environment in taken[:_NAMED]:
        text = f"a branch of project {name} would become environment {environment}, the site's, and is refused"
        yield warning("project-names", text, "create a project with another name and move its nodes there")
    kept = [(name, found) for name in sorted(names) if (found := rules.takes_of_puppet(name)) is not None]
    for name, environment in kept[:_NAMED]:
        text = (
            f"the branch of project {name} would become environment {environment}, which Puppet reserves, and is "
            "refused"
        )
        yield warning("project-names", text, "create a project with another name and move its nodes there")
    odd = [name for name in sorted(names) if not name.is_plain]
    if odd:
        more = f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
        shown = f"{', '.join(odd[:_NAMED])}{more}"
        text = (
            f"{shown}: '-' or '_' doubled, side by side or at an end; such projects keep working, but no new one "
            "may have such a name"
        )
        do = "a project whose topic branches would share their environments cannot be created"
        yield note("project-names", text, do)
    if not (met or taken or kept or odd):
        yield ok("project-names", "no two projects can get the same environment")
