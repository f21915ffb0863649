"""`branch-manager classes`: what there is to assign in the environment of a branch."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from enc.commands.call import Call, json_option
from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import ExitStatus, NotFound, one_line
from enc.terms.names import BranchName
from enc.terms.nearest import meant
from git_hooks.index import documentation
from git_hooks.index.environment import Standing
from git_hooks.index.index import Index, index
from git_hooks.index.kept import Kept
from git_hooks.index.opening import environment
from git_hooks.index.sight import Sight
from git_hooks.puppet_code.definitions import CLASS, DEFINED_TYPE, FUNCTION, PLAN, TYPE
from git_hooks.puppet_code.worker import Worker
from git_hooks.push.incoming import Incoming
from git_hooks.repository.reading import use_library

SUMMARY = "show the classes of a branch's environment, with parameters, types, defaults, documentation and places"

_KINDS = {"class": CLASS, "defined-type": DEFINED_TYPE, "function": FUNCTION, "plan": PLAN, "type": TYPE}
_WIDTH = 40


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("branch", metavar="BRANCH", help="the branch, as it is in the repository now")
    parser.add_argument("name", metavar="NAME", nargs="?", help="show this one in full; default: list all")
    parser.add_argument("--kind", choices=[*_KINDS, "all"], default="class", help="what is listed (default: class)")
    json_option(parser)


def run(call: Call) -> int:
    """Show them; exit status 1 if there is nothing of the name."""
    branch, name = BranchName(call.arguments.branch), call.arguments.name
    found = _index(call, branch)
    if name is not None:
        chosen = list(found.named(name))
        if not chosen:
            near = meant(name, (one.definition.name for one in found.standings))
            raise NotFound(f"the environment has no class, type, function or plan {name}{near}", where=branch)
        lines = [line for one in chosen for line in _whole(one)]
    else:
        kind = call.arguments.kind
        chosen = list(found.standings if kind == "all" else found.of(_KINDS[kind]))
        lines = [_line(one) for one in chosen]
    document = {
        "branch": branch,
        "definitions": [_document(one) for one in chosen],
        "unread": [{"path": path, "why": why} for path, why in found.faults.items()],
        "unseen": list(found.unseen),
    }
    # What stands in comments and defaults anybody may have pushed, and a terminal obeys much.
    call.show_lines(document, [*map(one_line, lines)], f"the environment of {branch} has none")
    for path, why in found.faults.items():
        call.say(f"{path} is left out: {why}")
    if found.unseen:
        count = counted(len(found.unseen), "module of the Puppetfile is", "modules of the Puppetfile are")
        call.say(f"{count} not fetched yet, and left out: {', '.join(found.unseen)}")
    return ExitStatus.DONE


def _index(call: Call, branch: BranchName) -> Index:
    use_library()
    settings = call.settings
    place = Rules(settings.branches.rules).place_or_none(branch)
    shown = settings.branches.environments / (place.environment if place is not None else "-")
    worker = Worker(settings.branches.ruby)
    try:
        with Incoming(str(settings.branches.repository), os.environ) as objects:
            tip = objects.tip(branch)
            if tip is None:
                raise NotFound(f"no branch {branch} is there", where=str(settings.branches.repository))
            sight = Sight(objects.commit(tip)[0], objects.raw_tree, objects.content)
            there = environment(settings, sight, worker.read, shown)
            return index(there, Kept(settings.branches.store), worker.read)
    finally:
        worker.close()


def _line(one: Standing) -> str:
    told = documentation.read(one.definition.comment).summary
    return f"{one.definition.name:<{_WIDTH}} {told or one.place}".rstrip()


def _whole(one: Standing) -> Iterator[str]:
    """Yield all lines about one definition."""
    definition, told = one.definition, documentation.read(one.definition.comment)
    yield f"{definition.kind} {definition.name} ({one.place})"
    yield from (f"  {line}" for line in (told.summary, *told.text.split("\n")) if line.strip())
    if definition.of:
        word = {CLASS: "inherits", TYPE: "stands for"}.get(definition.kind, "returns")
        yield f"  {word} {definition.of}"
    for parameter in definition.parameters:
        default = "no default" if parameter.default is None else f"default {' '.join(parameter.default.split())}"
        yield f"  {parameter.name}: {' '.join(parameter.type.split()) or 'Any'}, {default}"
        yield from (f"    {line}" for line in told.parameters.get(parameter.name, "").split("\n") if line.strip())


def _document(one: Standing) -> dict[str, Any]:
    definition, told = one.definition, documentation.read(one.definition.comment)
    parameters = [
        {
            "name": parameter.name,
            "type": parameter.type or None,
            "default": parameter.default,
            "documentation": told.parameters.get(parameter.name) or None,
            "line": parameter.line,
        }
        for parameter in definition.parameters
    ]
    return {
        "kind": definition.kind,
        "name": definition.name,
        "summary": told.summary or None,
        "documentation": told.text or None,
        "of": definition.of or None,
        "path": one.path,
        "line": definition.line,
        "accepts": parameters,
    }
