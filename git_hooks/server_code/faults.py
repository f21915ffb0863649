"""Why one file of a tree may not come from members without review: words, with the line where there is one. Pure.

Not here: what environment.conf says (checks/environment_conf.py), whether the
file is reviewed or approved already, and what is done about it
(checks/server_code.py), Puppet's parser (git_hooks/puppet_code).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from git_hooks.puppet_code.calls import Kind, Read, Reading
from git_hooks.server_code import calls, hiera_yaml, places
from git_hooks.server_code.places import Role

_SHOWN = 5
"""So many calls of one file are told."""
_WORDS = {
    Role.RUBY: "puppetserver loads what is below lib/ as Ruby",
    Role.LOADABLE: (
        "Puppet code can make puppetserver load any file named *.rb; rename it so that it does not end in .rb, "
        "and write facts as external ones (facts.d/)"
    ),
    Role.ERB: "puppetserver evaluates what is below templates/ as ERB, which is Ruby; use EPP (NAME.epp)",
    Role.LOCALE: "gettext evaluates the rule of plurals in translations as Ruby",
    Role.TYPES: "is made by the master itself; remove it from the tree",
}


Earlier = Callable[[], Iterable[tuple[str, Callable[[], bytes]]]]
"""Returns name and content of each reviewed file at the same path."""


def of_file(
    path: str,
    name: str,
    content: Callable[[], bytes],
    read: Read,
    limited: Collection[str] = (),
    earlier: Earlier = tuple,
) -> Iterator[str]:
    """Yield why the file `name` (its object id) at `path` needs review.

    What a manifest calls as one of the `earlier` ones does, in the same place, needs none.
    """
    role = places.role(path)
    if role in _WORDS:
        yield _WORDS[role]
    elif role is Role.MANIFEST:
        found = read(name, Kind.MANIFEST, content)
        if not found.fault and any(calls.harm(call, limited) for call in found.calls):
            found = _without_carried(found, name, content, read, earlier)
        yield from _code(found, read, limited, plan=places.plan(path))
    elif role is Role.EPP:
        yield from _code(read(name, Kind.EPP, content), read, limited)
    elif role is Role.HIERA:
        yield from hiera_yaml.faults(content(), limited)


def of_link(path: str, target: str) -> Iterator[str]:
    """Yield why a link at `path` to `target` needs review."""
    if wrong := places.misleads(path, target):
        yield f"the link {wrong}"


def _without_carried(found: Reading, name: str, content: Callable[[], bytes], read: Read, earlier: Earlier) -> Reading:
    """Return what a manifest calls, without what a reviewed one at its path calls in the same place."""
    known = {
        (call.name, call.arguments, call.before)
        for other, text in earlier()
        for call in read(other, Kind.PLACED, text).calls
        if calls.carried(call)
    }
    if not known:
        return found
    placed = read(name, Kind.PLACED, content)
    if placed.fault:
        return found
    left = (call for call in placed.calls if (call.name, call.arguments, call.before) not in known)
    return Reading(tuple(sorted(left, key=lambda call: call.line)))


def _code(found: Reading, read: Read, limited: Collection[str], *, plan: bool = False) -> Iterator[str]:
    if found.fault:
        # What Puppet's grammar does not allow is never compiled; a plan is for another compiler.
        if not (plan and found.syntax):
            yield f"{_line(found.line)}{found.fault}"
        return
    shown = 0
    for call in found.calls:
        if wrong := calls.harm(call, limited):
            words: list[str] = [wrong]
        elif call.name == "inline_epp" and call.arguments and call.arguments[0] is not None:
            text = call.arguments[0].encode()
            template = read(f"text {hashlib.sha256(text).hexdigest()}", Kind.EPP, partial(bytes, text))
            inner = _code(template, read, limited)
            words = [f"inline_epp(): {one}" for one in inner]
        else:
            continue
        for one in words:
            shown += 1
            if shown > _SHOWN:
                yield "and more calls of that kind"
                return
            yield f"{_line(call.line)}{one}"


def _line(number: int) -> str:
    return f"line {number}: " if number else ""
