"""Which environment a branch becomes: rules, the branch's place, collisions. Pure.

A rule is `PATTERN = ENVIRONMENT`, for example
`project/<name>/<topic> = project_<name>__<topic>`. `<name>` stands for a
project's name and `<topic>` for one part of a branch name; each character of
them that Puppet does not take in an environment becomes '_' (as r10k does it).
That loses information: `project/a-b` and `project/a_b` both want
`project_a_b`. So a mapping is never trusted alone: `collisions` looks at all
branches, and who makes a second branch of one environment is refused.

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
from enc.terms.puppet_names import environment_fault

_PLACEHOLDER = re.compile(r"<([a-z]*)>", re.ASCII)
_RULE = re.compile(r"(\S+)\s*=\s*((?:[A-Za-z0-9_]|<[a-z]*>)+)", re.ASCII)


class Place(NamedTuple):
    """What a branch is for: its environment, and the project and topic if it has them."""

    branch: BranchName
    environment: EnvironmentName
    project: ProjectName | None = None
    topic: str | None = None


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    template: str
    branch: str
    """Its text, the left side."""


class Rules:
    """The configured rules, in order; the first that fits a branch decides."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Raise `ConfigurationError` for a text that is no rule."""
        self._rules = tuple(_parse(text) for text in texts)

    @property
    def site(self) -> tuple[Place, ...]:
        """The places of the branches that the rules name in full, the last rule first: `test` before `production`.

        These are the site's own, and what people's branches begin from is nearer to the end.
        """
        found = []
        for rule in reversed(self._rules):
            if "<" not in rule.branch and BranchName.accepts(rule.branch):
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
        for rule in self._rules:
            shape = _PLACEHOLDER.sub(r"(?P<\1>\\w+)", rule.template)
            match = re.fullmatch(shape, environment, re.ASCII)
            if match is not None:
                branch = _PLACEHOLDER.sub(lambda found, parts=match: parts[found[1]], rule.branch)  # type: ignore[misc]
                place = self.place_or_none(BranchName(branch)) if BranchName.accepts(branch) else None
                if place is not None and place.environment == environment:
                    yield place.branch

    def project_branch(self, project: ProjectName) -> Place | None:
        """Return the place of a project's own branch, as the first rule with <name> alone has it; None: no rule has."""
        patterns = [rule.branch for rule in self._rules if "<name>" in rule.branch and "<topic>" not in rule.branch]
        return self._filled(patterns, project, "")

    def topic_branch(self, project: ProjectName, topic: str) -> Place | None:
        """Return the place of a project's branch for `topic`, as the first rule with <name> and <topic> has it.

        None: no rule has, or `topic` may not stand there.
        """
        patterns = [rule.branch for rule in self._rules if "<name>" in rule.branch and "<topic>" in rule.branch]
        return self._filled(patterns, project, topic)

    def _filled(self, patterns: list[str], project: ProjectName, topic: str) -> Place | None:
        branch = patterns[0].replace("<name>", project).replace("<topic>", topic) if patterns else ""
        return self.place_or_none(BranchName(branch)) if BranchName.accepts(branch) else None

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

    def is_projects(self, environment: EnvironmentName) -> bool:
        """Tell whether a branch of some project may become `environment`, which no branch named in full is."""
        if any(place.environment.lower() == environment.lower() for place in self.site):
            return False
        shapes = (_PLACEHOLDER.sub(r"\\w+", rule.template) for rule in self._rules if "<name>" in rule.template)
        return any(re.fullmatch(shape, environment, re.ASCII | re.IGNORECASE) for shape in shapes)

    def fits(self, environment: EnvironmentName, project: ProjectName) -> bool:
        """Tell whether a branch of `project` becomes `environment`.

        So may a branch of another project whose name differs only in what
        Puppet does not take; who makes the second such branch is refused.
        """
        own = re.sub(r"\W", "_", project, flags=re.ASCII)
        for rule in self._rules:
            if "<name>" in rule.template:
                shape = rule.template.replace("<name>", own).replace("<topic>", "[A-Za-z0-9_]+")
                if re.fullmatch(shape, environment, re.ASCII):
                    return True
        return False


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


def _fitting(branch: re.Match[str], placeholder: re.Match[str]) -> str:
    return re.sub(r"\W", "_", branch[placeholder[1]], flags=re.ASCII)


def _parse(text: str) -> _Rule:
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"{text!r} is not 'BRANCH = ENVIRONMENT'", where="branches.rules")
    branch, template = match.groups()
    names = _PLACEHOLDER.findall(branch)
    if set(names) - {"name", "topic"} or len(set(names)) != len(names):
        raise ConfigurationError(f"{text!r}: <name> and <topic>, each once, is all there is", where="branches.rules")
    if set(_PLACEHOLDER.findall(template)) != set(names):
        raise ConfigurationError(
            f"{text!r}: both sides must hold the same of <name> and <topic>, "
            "else different branches would share an environment",
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
