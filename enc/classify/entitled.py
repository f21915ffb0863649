"""Decides which project owns an environment and whether a node may have it. Pure apart from asking the `Source`.

Whoever pushes to an environment decides what its nodes run, and reads what its code decrypts. So an environment that a
branch of a project can become (`branches.rules`) is that project's, whether there is such a branch or not:

- a node of another project gets it only if the project's entry names that other one as a guest (`puppetmasterGuest`,
  which only the project's admins and operators write);
- if branches of two projects can become it (`project_c_d`: of c-d and c_d; `project_a__x`: of a--x, and a topic of a),
  it is nobody's: who came first must not decide for the other, and each master might tell that otherwise. Nodes of
  either get it only if each names the other as a guest;
- where there is no such project in LDAP, any more or yet, nobody can let other nodes in, and none gets it. What was
  pushed for it may still be deployed. Nodes that are still of that project keep it.

An environment that no project's branch can become is free for all: those of the site's own branches are reviewed, and
to branches of no project only operators push.

It is looked at whenever a node is classified, whoever wrote what. A node that may not have its environment gets no
answer; not even its last good one, if that is what it may not have. A trial of such an environment does not count, and
is told in the notes: with a trial, who may try would otherwise stop the node.

Not here: refusing names of projects that would meet (enc/service/desk.py), and which branches may be made
(git_hooks/push/policy.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from enc.classify.kinds import GUEST
from enc.classify.model import Source
from enc.terms.environments import Rules, folded
from enc.terms.errors import ClassificationError
from enc.terms.names import EnvironmentName, ProjectName
from enc.terms.record import Record


class NotEntitled(ClassificationError):
    """A node's environment is one that its project may not have."""


def guests(record: Record | None) -> frozenset[ProjectName]:
    """Return the projects that a project's entry lets into its environments; what is no project's name is nobody."""
    if record is None:
        return frozenset()
    return frozenset(ProjectName(text) for text in record.all(GUEST.attribute) if ProjectName.accepts(text))


def holders(environment: EnvironmentName, source: Source, rules: Rules) -> frozenset[ProjectName]:
    """Return the projects that there are of which a branch can become `environment`."""
    return frozenset(name for text in rules.claims(environment) for name in source.projects_like(text))


def refusal(environment: EnvironmentName, project: ProjectName | None, source: Source, rules: Rules) -> str | None:
    """Return why nodes of `project` (None: of none) may not have `environment`; None: they may."""
    claims = rules.claims(environment)
    if not claims or (project is not None and rules.can_only_be(environment, project)):
        return None  # the site's own, or what nobody else can be called
    others = holders(environment, source, rules) - {project}
    ours = project is not None and folded(project) in claims
    mine = guests(source.project(project)) if ours and others and project is not None else frozenset()
    for other in sorted(others):
        welcome = project in guests(source.project(other))
        if ours and not (welcome and other in mine):
            return (
                f"branches of project {project} and of project {other} can both become environment {environment}, "
                "so nodes of neither get it; name another environment, or let the admins of both share it: "
                f"enc-admin project set {project} --guest {other}, and project set {other} --guest {project}"
            )
        if not welcome:
            whose = f"project {project} is not one of its guests" if project else "this node belongs to no project"
            return (
                f"environment {environment} belongs to project {other}, and {whose}; {_remedy(other, project)}, or "
                "name another environment"
            )
    if not ours and not others:
        return (
            f"environment {environment} belongs to branches of project {claims[0]}, which is not in LDAP (any "
            "more), so nobody can let other nodes in; name another environment, or give it to the site with its "
            "own rule in branches.rules"
        )
    return None


def _remedy(other: ProjectName, project: ProjectName | None) -> str:
    if project is None:
        return f"move the node to {other}"
    return f"an admin of {other} can let it in with `enc-admin project set {other} --guest {project}`"


def meeting(project: ProjectName, others: Iterable[ProjectName], rules: Rules) -> tuple[ProjectName, str] | None:
    """Return the first of `others` of which a branch can become an environment of `project`'s, too, and that one."""
    for other in sorted(others):
        if other != project and (environment := rules.meeting(project, other)) is not None:
            return other, environment
    return None
