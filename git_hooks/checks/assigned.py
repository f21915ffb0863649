"""The check: no class that nodes are assigned goes, and no parameter of it that is set goes or takes other values.

Compared are the branch as it was and as it is to be; what the environment of a node lacks already is nobody's fault
now. The nodes are those whose answers name the environment that the branch becomes: the answers hold what the site,
projects, prefixes, groups and the nodes' own entries assign.

A parameter whose type changes may stay if Puppet's own type check takes each value that is set for it, or if it did
not take that before. If that cannot be told, because a type is not to be found in the tree or among this machine's
modules, the push is refused: of a class whose parameter names an unknown type no catalog compiles. Values are not
shown: who pushes need not be allowed to read them.

Failure modes: `site.assigned` cannot tell the nodes, or Puppet's parser is away: not checked. What a Puppetfile asks
for anew cannot be looked into before it is fetched; a push that depends on that is told so, and accepted.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from git_hooks.checks.look import Problem, Site, Tree
from git_hooks.index.assigned import Assigned
from git_hooks.index.comparing import Differences, Loss, differences, losses_of, retyped
from git_hooks.index.environment import Environment, Standing, Unread, Unseen
from git_hooks.puppet_code.calls import Kind, Read
from git_hooks.puppet_code.definitions import Judgement, Parameter, question

if TYPE_CHECKING:
    from enc.classify.model import Value

_SHOWN = 5
"""So many nodes are named."""
_AT_ONCE = 500
"""So many values are asked about with one question."""
_WAY = "`enc-admin who-uses {}` shows where that is said"


class _Set(NamedTuple):
    """A parameter that is set for nodes, and was or is now of this type."""

    loss: Loss
    value: Value
    nodes: tuple[str, ...]


def check(tree: Tree) -> Iterator[Problem]:
    """Yield the classes and parameters that nodes would miss."""
    site = tree.site
    if site.assigned is None or tree.environments is None or tree.settings.pushes.assigned == "off":
        return
    try:
        yield from _found(tree.environments, site, site.assigned)
    except ToolkitError as error:
        if words := site.unknown(f"whether nodes are assigned classes or parameters that go: {error}"):
            yield Problem("", words)


def _found(
    environments: Callable[[], tuple[Environment, Environment]], site: Site, assigned: Callable[[], Sequence[Assigned]]
) -> Iterator[Problem]:
    """Yield what nodes would miss; raise `ToolkitError` if that cannot be told, and there are nodes."""
    before, now = environments()
    try:
        differing = differences(before, now)
    except ToolkitError:
        if any(node.classes for node in assigned()):
            raise
        return
    if differing:
        yield from problems(differing, before, now, assigned(), site)


def problems(
    differing: Differences, before: Environment, now: Environment, nodes: Sequence[Assigned], site: Site
) -> Iterator[Problem]:
    """Yield what nodes have of `before` and would miss in `now`; raise `ToolkitError` if that cannot be told."""
    users = _users(nodes)
    moved = sorted(name for name in users if name.partition("::")[0] in differing.elsewhere)
    more, unseen = losses_of(moved, before, now)
    for name, one in {**differing.unseen, **unseen}.items():
        if name in users:
            site.told(f"whether class {name} is still there: {one.why}")
    losses = [*differing.losses, *more]
    losses += retyped(nodes, differing.types, before, now) if differing.types else ()
    changed: list[_Set] = []
    for loss in dict.fromkeys(losses):
        having = users.get(loss.name, [])
        if loss.parameter is None:
            if having:
                yield _gone(loss, [node.certname for node in having])
        elif loss.later is None:
            setting = [node.certname for node in having if loss.parameter.name in node.classes[loss.name]]
            if setting:
                yield _not_there(loss, loss.parameter, setting)
        else:
            changed += _values(loss, having)
    yield from _retyped(changed, before, now, site)


def lacking(now: Environment, nodes: Sequence[Assigned], read: Read) -> Iterator[str]:
    """Yield what nodes are assigned and do not have in an environment, whatever there was before."""
    losses: list[Loss] = []
    users = _users(nodes)
    for name, having in sorted(users.items()):
        found = now.find(name)
        if found is None:
            yield f"there is no class {name}, which is assigned to {_nodes(one.certname for one in having)}"
        elif isinstance(found, Standing):
            for parameter in sorted({each for one in having for each in one.classes[name]}):
                there = found.definition.parameter(parameter)
                if there is None:
                    setting = _nodes(one.certname for one in having if parameter in one.classes[name])
                    yield f"class {name} has no parameter {parameter}, which is set for {setting}"
                else:
                    losses.append(Loss(name, found, found, there))
    values = [one for loss in losses for one in _values(loss, users[loss.name])]
    for one, said in zip(values, _judged(now, [(one.loss.later, one.value) for one in values], read), strict=True):
        if said.valid is False and one.loss.later is not None:
            kind = one.loss.later.type
            yield f"{_told(one.loss)} is {kind}, and the value that is set for {_nodes(one.nodes)} is not valid"


def _users(nodes: Iterable[Assigned]) -> dict[str, list[Assigned]]:
    """Return the nodes that have each class."""
    found: dict[str, list[Assigned]] = defaultdict(list)
    for node in nodes:
        for name in node.classes:
            found[name].append(node)
    return found


def _values(loss: Loss, having: Iterable[Assigned]) -> Iterator[_Set]:
    """Yield the values that nodes which have a class have set for its parameter."""
    parameter, later = loss.parameter, loss.later
    values: dict[str, tuple[Value, list[str]]] = {}
    for node in having:
        given = node.classes[loss.name]
        if parameter is not None and parameter.name in given:
            value = given[parameter.name]
            values.setdefault(repr(value), (value, []))[1].append(node.certname)
    for value, nodes in values.values():
        # Puppet takes the default where null is set, if there is one.
        if value is not None or later is None or later.default is None:
            yield _Set(loss, value, tuple(nodes))


def _retyped(changed: Sequence[_Set], before: Environment, now: Environment, site: Site) -> Iterator[Problem]:
    later = _judged(now, [(one.loss.later, one.value) for one in changed], site.read)
    doubtful = [(one, said) for one, said in zip(changed, later, strict=True) if not said.valid]
    earlier = _judged(before, [(one.loss.parameter, one.value) for one, _ in doubtful], site.read)
    refused: dict[tuple[Loss, bool | None], tuple[Judgement, list[str]]] = {}
    for (one, said), was in zip(doubtful, earlier, strict=True):
        if was.valid is False:
            continue
        away = [(name, found) for name in said.unknown if isinstance(found := now.type(name), Unseen)]
        for name, found in away:
            site.told(f"whether what is set for {_told(one.loss)} is of its type, {name}: {found.why}")
        if not away:
            refused.setdefault((one.loss, said.valid), (said, []))[1].extend(one.nodes)
    for (loss, _), (said, nodes) in refused.items():
        yield _other_type(loss, said, nodes)


def _told(loss: Loss) -> str:
    return f"parameter {loss.parameter.name if loss.parameter is not None else ''} of class {loss.name}"


def _judged(environment: Environment, asked: Sequence[tuple[Parameter | None, object]], read: Read) -> list[Judgement]:
    """Return whether each value is of its parameter's type."""
    found: list[Judgement] = []
    for at in range(0, len(asked), _AT_ONCE):
        part = [((one.type if one is not None else "") or "Any", value) for one, value in asked[at : at + _AT_ONCE]]
        aliases: dict[str, str] = {}
        for text in dict.fromkeys(text for text, _ in part):
            named = environment.types_in(text)
            aliases |= {name: one.definition.of for name, one in named.items() if isinstance(one, Standing)}
        content = question(aliases, part)
        reading = read(hashlib.sha256(content).hexdigest(), Kind.JUDGED, partial(bytes, content))
        if len(reading.judged) != len(part):
            raise Unread(reading.fault or "Puppet's parser gave no answer about the values that are set")
        found += reading.judged
    return found


def _gone(loss: Loss, nodes: Sequence[str]) -> Problem:
    what = f"class {loss.name} is not found any more (it was at {loss.before.place}), but is assigned to"
    return Problem(loss.before.path, f"{what} {_nodes(nodes)}; {_WAY.format(loss.name)}")


def _not_there(loss: Loss, parameter: Parameter, nodes: Sequence[str]) -> Problem:
    assert loss.now is not None
    what = f"class {loss.name} has no parameter {parameter.name} any more, but it is set for {_nodes(nodes)}"
    return Problem(loss.now.path, f"line {loss.now.definition.line}: {what}; {_WAY.format(loss.name)}")


def _other_type(loss: Loss, said: Judgement, nodes: Sequence[str]) -> Problem:
    assert loss.now is not None and loss.parameter is not None and loss.later is not None
    old, new = loss.parameter.type or "Any", loss.later.type or "Any"
    types = f"is {new} and no longer {old}" if old != new else f"is still {new}, which now stands for something else"
    value = "the value that is set" if said.valid is False else "it cannot be told whether the value that is set"
    fits = "is not valid" if said.valid is False else "is valid"
    why = f" (unknown: {', '.join(said.unknown)})" if said.unknown else ""
    what = f"{_told(loss)} {types}; {value} for {_nodes(nodes)} {fits}{why}"
    return Problem(loss.now.path, f"line {loss.later.line}: {what}; {_WAY.format(loss.name)}")


def _nodes(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{counted(len(found), 'node')}: {', '.join(found[:_SHOWN])}{more}"
