"""Which environment a branch becomes: rules, the branch's place, collisions. Pure.

A rule is `PATTERN = ENVIRONMENT`, for example
`project/<name>/<topic> = project_<name>__<topic>`. `<name>` stands for a
project's name and `<topic>` for one part of a branch name; each character of
them that Puppet does not take in an environment becomes '_' (as r10k does it).
That loses information: `project/a-b` and `project/a_b` both want
`project_a_b`, and `topic/a/x` wants what `project/a--x` wants. So a mapping is
never trusted alone. `collisions` looks at all branches, and who makes a second
branch of one environment is refused. `claims` tells of which projects an
environment can be, and `meeting` whether two projects can ever want the same:
then the second is not made (enc/service/desk.py), and of those that are there
already neither's nodes get such an environment (enc/classify/entitled.py).

A rule whose right side is `-` makes no environment: on such a branch members
propose what they may not show (`Proposal`). To whatever looks for environments
it is no branch at all, so nothing of it is ever deployed.

Not here: what a branch may do (git_hooks/push/policy.py), which branches exist
(git_hooks/repository/objects.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from enc.terms.errors import ConfigurationError, InvalidName
from enc.terms.names import BranchName, EnvironmentName, ProjectName
from enc.terms.puppet_names import RESERVED_ENVIRONMENTS, environment_fault

_PLACEHOLDER = re.compile(r"<([a-z]*)>", re.ASCII)
_REMEMBERED = 20_000
"""Environments whose claims are kept at hand."""
_RULE = re.compile(r"(\S+)\s*=\s*(-|(?:[A-Za-z0-9_]|<[a-z]*>)+)", re.ASCII)
_NONE = "-"


class Place(NamedTuple):
    """What a branch is for: its environment, and the project and topic if it has them."""

    branch: BranchName
    environment: EnvironmentName
    project: ProjectName | None = None
    topic: str | None = None


class Proposal(NamedTuple):
    """What a branch is for on which members of a project propose code: it is read, and becomes no environment."""

    branch: BranchName
    project: ProjectName
    topic: str


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    template: str
    """`-`: no environment."""
    branch: str
    """Its text, the left side."""


def folded(project: str) -> str:
    """Return a project's name as environments have it: '_' for what Puppet does not take there."""
    return re.sub(r"\W", "_", project, flags=re.ASCII)


class _Wanted(NamedTuple):
    """The environments that one rule gives one project, in lower case: LDAP compares them so."""

    before: str
    after: str | None
    """None: `before` is the one environment. Else at least one character of a topic stands between the two."""

    def holds(self, environment: str) -> bool:
        name = environment.lower()
        if self.after is None:
            return name == self.before
        longer = len(name) > len(self.before) + len(self.after)
        return longer and name.startswith(self.before) and name.endswith(self.after)

    def meeting(self, other: _Wanted) -> str | None:
        """Return an environment that is in both; any word stands for a topic."""
        if self.after is None or other.after is None:
            one, two = (self, other) if self.after is None else (other, self)
            return one.before if two.holds(one.before) else None
        before, after = max(self.before, other.before, key=len), max(self.after, other.after, key=len)
        begins = all(before.startswith(one.before) for one in (self, other))
        ends = all(after.endswith(one.after or "") for one in (self, other))
        return f"{before}x{after}" if begins and ends else None


class _Shape:
    """The right side of a rule with <name>, in lower case."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._pieces = _PLACEHOLDER.split(template)
        """Texts and, at odd places, names of placeholders."""

    def of(self, project: ProjectName) -> _Wanted:
        before, topic, after = self._template.replace("<name>", folded(project)).partition("<topic>")
        return _Wanted(before, after if topic else None)

    def names_in(self, environment: str) -> Iterator[str]:
        """Yield every text that can stand for <name> in `environment`, which is in lower case."""
        first, *rest = self._pieces
        last = self._pieces[-1]
        inner = environment[len(first) : len(environment) - len(last)]
        if not (inner and environment.startswith(first) and environment.endswith(last)):
            return
        if len(rest) == 2:  # <name> and the last text
            yield inner
            return
        begins_with_name, between = rest[0] == "name", rest[1]
        for at in range(1, len(inner) - len(between)):
            if inner.startswith(between, at):
                yield inner[:at] if begins_with_name else inner[at + len(between) :]


class Rules:
    """The configured rules, in order; the first that fits a branch decides."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Raise `ConfigurationError` for a text that is no rule."""
        self._rules = tuple(_parse(text) for text in texts)
        self._shown = tuple(rule for rule in self._rules if rule.template != _NONE)
        self._shapes = tuple(_Shape(rule.template.lower()) for rule in self._shown if "<name>" in rule.template)
        self._own = frozenset(place.environment.lower() for place in self.site)
        self._claims: dict[EnvironmentName, tuple[str, ...]] = {}

    @property
    def site(self) -> tuple[Place, ...]:
        """The places of the branches that the rules name in full, the last rule first: `test` before `production`.

        These are the site's own, and what people's branches begin from is nearer to the end.
        """
        found = []
        for rule in reversed(self._rules):
            if "<" not in rule.branch and rule.template != _NONE and BranchName.accepts(rule.branch):
                place = self.place_or_none(BranchName(rule.branch))
                if place is not None:
                    found.append(place)
        return tuple(found)

    def branch_of(self, environment: EnvironmentName) -> BranchName | None:
        """Return a branch that becomes `environment`, None if no branch can.

        One that a rule names in full comes before what a rule with placeholders would take (`env/<topic> = <topic>`).
        """
        named = next((place.branch for place in self.site if place.environment == environment), None)
        return named or next(self._described(environment), None)

    def _described(self, environment: EnvironmentName) -> Iterator[BranchName]:
        for rule in self._shown:
            shape = _PLACEHOLDER.sub(r"(?P<\1>\\w+)", rule.template)
            match = re.fullmatch(shape, environment, re.ASCII)
            if match is not None:
                branch = _PLACEHOLDER.sub(lambda found, parts=match: parts[found[1]], rule.branch)  # type: ignore[misc]
                place = self.place_or_none(BranchName(branch)) if BranchName.accepts(branch) else None
                if place is not None and place.environment == environment:
                    yield place.branch

    def project_branch(self, project: ProjectName) -> Place | None:
        """Return the place of a project's own branch, as the first rule with <name> alone has it; None: no rule has."""
        patterns = [rule.branch for rule in self._shown if "<name>" in rule.branch and "<topic>" not in rule.branch]
        return self._filled(patterns, project, "")

    def topic_branch(self, project: ProjectName, topic: str) -> Place | None:
        """Return the place of a project's branch for `topic`, as the first rule with <name> and <topic> has it.

        None: no rule has, or `topic` may not stand there.
        """
        patterns = [rule.branch for rule in self._shown if "<name>" in rule.branch and "<topic>" in rule.branch]
        return self._filled(patterns, project, topic)

    def _filled(self, patterns: list[str], project: ProjectName, topic: str) -> Place | None:
        branch = patterns[0].replace("<name>", project).replace("<topic>", topic) if patterns else ""
        return self.place_or_none(BranchName(branch)) if BranchName.accepts(branch) else None

    def proposal(self, branch: BranchName) -> Proposal | None:
        """Return what is proposed on `branch`; None if no rule says so, or one before it makes it an environment."""
        rule = next((rule for rule in self._rules if rule.pattern.fullmatch(branch)), None)
        if rule is None or rule.template != _NONE:
            return None
        parts = rule.pattern.fullmatch(branch)
        if parts is None or not ProjectName.accepts(parts["name"]):
            return None
        return Proposal(branch, ProjectName(parts["name"]), parts["topic"])

    def proposed(self, project: ProjectName) -> str:
        """Return what branches are called on which members of `project` propose code; empty: no rule says so."""
        found = next((rule.branch for rule in self._rules if rule.template == _NONE), "")
        return found.replace("<name>", project).replace("<topic>", "TOPIC")

    def place_or_none(self, branch: BranchName) -> Place | None:
        """Return the place of `branch`; None also for one that fits a rule and gives no environment's name."""
        try:
            return self.place(branch)
        except InvalidName:
            return None

    def place(self, branch: BranchName) -> Place | None:
        """Return the place of `branch`, or None if no rule makes it an environment.

        Raise `InvalidName` if a rule fits but no environment should be called so.
        """
        for rule in self._rules:
            match = rule.pattern.fullmatch(branch)
            if match is None:
                continue
            if rule.template == _NONE:
                return None
            text = _PLACEHOLDER.sub(partial(_fitting, match), rule.template)
            fault = environment_fault(text)
            if fault is not None:
                raise InvalidName(fault, where=branch)
            parts = match.groupdict()
            project = parts.get("name")
            return Place(
                branch,
                EnvironmentName(text),
                ProjectName(project) if project is not None else None,
                parts.get("topic"),
            )
        return None

    def claims(self, environment: EnvironmentName) -> tuple[str, ...]:
        """Return the names, as `folded` makes them, of the projects of which a branch can become `environment`; sorted.

        None for the site's own. A name that nobody has is among them all the same.
        """
        found = self._claims.get(environment)
        if found is None:
            if len(self._claims) >= _REMEMBERED:
                self._claims.clear()
            found = self._claims[environment] = tuple(sorted(self._claimants(environment.lower())))
        return found

    def can_only_be(self, environment: EnvironmentName, project: ProjectName) -> bool:
        """Tell whether `environment` can be `project`'s, and no other's whatever projects there are."""
        return "_" not in project and self.claims(environment) == (project,)  # c-d would claim it as c_d, too

    def _claimants(self, environment: str) -> Iterator[str]:
        if environment in self._own:
            return
        found: set[str] = set()
        for shape in self._shapes:
            found.update(shape.names_in(environment))
        yield from (name for name in found if ProjectName.accepts(name))

    def meeting(self, one: ProjectName, other: ProjectName) -> str | None:
        """Return an environment that branches of both projects can become, None if there is none."""
        for mine in (shape.of(one) for shape in self._shapes):
            for theirs in (shape.of(other) for shape in self._shapes):
                if (found := mine.meeting(theirs)) is not None:
                    return found
        return None

    def takes_of_the_site(self, project: ProjectName) -> EnvironmentName | None:
        """Return an environment of the site's own that a branch of `project` could become, None if there is none."""
        return next((place.environment for place in self.site if self.fits(place.environment, project)), None)

    def takes_of_puppet(self, project: ProjectName) -> EnvironmentName | None:
        """Return what Puppet keeps from environments and a branch of `project` would become, None if there is none.

        A topic that a person chooses is refused when it is pushed; this is about the project's own name.
        """
        kept = map(EnvironmentName, sorted(RESERVED_ENVIRONMENTS))
        own = [shape.of(project) for shape in self._shapes]
        return next((name for name in kept if any(one.after is None and one.holds(name) for one in own)), None)

    def fits(self, environment: EnvironmentName, project: ProjectName) -> bool:
        """Tell whether a branch of `project` becomes `environment`.

        So may a branch of another project whose name differs only in what
        Puppet does not take; who makes the second such branch is refused.
        """
        return any(shape.of(project).holds(environment) for shape in self._shapes)


def collisions(places: Iterable[Place]) -> dict[EnvironmentName, tuple[BranchName, ...]]:
    """Return the environments that more than one branch wants, with those branches, sorted.

    Names that differ only in case count as one: LDAP compares environments so.
    """
    wanted: dict[str, set[Place]] = {}
    for place in places:
        wanted.setdefault(place.environment.lower(), set()).add(place)
    return {
        min(place.environment for place in group): tuple(sorted(place.branch for place in group))
        for group in wanted.values()
        if len(group) > 1
    }


def rivals(place: Place, projects: Iterable[ProjectName], rules: Rules) -> tuple[ProjectName, ...]:
    """Return those of `projects` to which the environment of a project's branch belongs as well, or rather; sorted.

    `project_a__x` belongs to a project a--x rather than to a topic of a: the longer name says more of it. `project_c_d`
    belongs to c-d and to c_d alike, so that neither's branch may take it from the other.
    """
    if place.project is None:
        return ()
    claims, own = rules.claims(place.environment), folded(place.project)
    others = ((folded(one), one) for one in projects if one != place.project)
    return tuple(sorted(one for name, one in others if name in claims and len(name) >= len(own)))


def _fitting(branch: re.Match[str], placeholder: re.Match[str]) -> str:
    return re.sub(r"\W", "_", branch[placeholder[1]], flags=re.ASCII)


def _parse(text: str) -> _Rule:
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"{text!r} is not 'BRANCH = ENVIRONMENT'", where="branches.rules")
    branch, template = match.groups()
    names = _PLACEHOLDER.findall(branch)
    if set(names) - {"name", "topic"} or len(set(names)) != len(names):
        raise ConfigurationError(f"{text!r}: only <name> and <topic> are allowed, each once", where="branches.rules")
    if template == _NONE:
        if set(names) != {"name", "topic"}:
            raise ConfigurationError(
                f"{text!r}: a branch without an environment is for proposals and needs <name> and <topic>",
                where="branches.rules",
            )
    elif set(_PLACEHOLDER.findall(template)) != set(names):
        raise ConfigurationError(
            f"{text!r}: both sides must have the same of <name> and <topic>, or different branches would share an "
            "environment",
            where="branches.rules",
        )
    pieces = _PLACEHOLDER.split(branch)
    pattern = "".join(
        re.escape(piece) if index % 2 == 0 else rf"(?P<{piece}>[^/]+)" for index, piece in enumerate(pieces)
    )
    return _Rule(re.compile(pattern, re.ASCII), template, branch)


def site_first(places: Iterable[Place], rules: Rules) -> tuple[list[Place], list[Place]]:
    """Return the places of the site's own branches, and the others; a new environment shares files with the first."""
    own = {place.environment for place in rules.site}
    places = list(places)
    return [one for one in places if one.environment in own], [one for one in places if one.environment not in own]
