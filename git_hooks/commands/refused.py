"""`branch-manager refusals`: which pushes were refused, whose, when, how often and why."""

from __future__ import annotations

import argparse
import time

from enc.commands.call import Call, full_option, json_option, past_options, whole_number
from enc.programs.documents import moment as as_moment
from enc.programs.times import iso
from enc.service.history import moment
from enc.terms.environments import Rules
from enc.terms.errors import ExitStatus, bounded
from enc.terms.names import BranchName
from git_hooks.push.refusals import Refusal, everybodys

SUMMARY = "show which pushes were refused: whose, when, how often and why"

_SHORT = 200
"""Characters of the words about a refusal; 64 KiB are kept."""
_HEADS = "refs/heads/"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "what",
        metavar="PROJECT|BRANCH|PERSON",
        nargs="?",
        help="only of this project's branches, this branch or ref, or this person",
    )
    past_options(parser)
    full_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Show them, the latest last."""
    arguments, branches = call.arguments, call.settings.branches
    since = 0.0 if arguments.since is None else moment(arguments.since, time.time())
    last = None if arguments.last is None else whole_number("--last", arguments.last)
    rules = Rules(branches.rules)
    found = [
        one
        for one in everybodys(str(branches.repository))
        if one.at >= since and (arguments.what is None or _is_of(one, arguments.what, rules))
    ]
    found = found if last is None else found[-last:]
    words = None if arguments.full else _SHORT
    head = ("LAST", "TIMES", "SINCE", "WHO", "BY", "PUSH", "REF", "WHY")
    none = "no refused pushes are kept" + (f" of {arguments.what}" if arguments.what is not None else "")
    document = {"refusals": [_document(one) for one in found]}
    call.show_rows(document, head, [_cells(one, words) for one in found], none)
    return ExitStatus.DONE


def _is_of(one: Refusal, what: str, rules: Rules) -> bool:
    """Tell whether `what` is the person, the ref, its branch or that branch's project. LDAP's names have no case."""
    name = one.ref.removeprefix(_HEADS)
    if one.who.lower() == what.lower() or what in (one.ref, name):
        return True
    if not one.ref.startswith(_HEADS) or not BranchName.accepts(name):
        return False
    branch = BranchName(name)
    meant = rules.place_or_none(branch) or rules.proposal(branch)
    return meant is not None and meant.project == what


def _document(one: Refusal) -> dict[str, object]:
    return {
        "at": as_moment(one.at),
        "since": as_moment(one.first or one.at),
        "count": one.times,
        "who": one.who,
        "by": one.via,
        "push": one.push,
        "ref": one.ref,
        "from": _commit(one.old),
        "to": _commit(one.new),
        "reason": one.verdict,
        "denied": one.denied,
    }


def _commit(name: str) -> str | None:
    """Return the id of a commit; None for git's zeros, where there was or will be none."""
    return name if name.strip("0") else None


def _cells(one: Refusal, words: int | None) -> tuple[object, ...]:
    why = one.verdict if words is None else bounded(one.verdict, words)
    name = one.ref.removeprefix(_HEADS) or "-"
    return iso(one.at), one.times, iso(one.first or one.at), one.who, one.via, one.push, name, why
