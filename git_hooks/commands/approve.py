"""`branch-manager approve`: members' branches may bring a file that would need review."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.edits.audit import check_reason
from enc.programs.machine_trouble import reason
from enc.programs.times import iso
from enc.service.history import moment
from enc.terms.environments import Rules
from enc.terms.errors import UsageError
from enc.terms.names import BranchName
from git_hooks.commands import views
from git_hooks.commands.target import opened, who
from git_hooks.push.approvals import Approval, Approvals
from git_hooks.push.policy import project_of
from git_hooks.repository.reading import is_sha256
from git_hooks.repository.trees import Entry, object_id

_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
SUMMARY = "allow one file that runs on the master in members' branches"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", metavar="PATH", nargs="?", help="the file's path in the tree")
    content = parser.add_mutually_exclusive_group()
    content.add_argument(
        "--file", type=Path, metavar="FILE", help="a copy of the reviewed file, for example from a patch"
    )
    content.add_argument(
        "--on", metavar="COMMIT|BRANCH", help="the file as in this commit, or as on a branch of the site"
    )
    content.add_argument("--blob", metavar="ID", help="the content's object id (git hash-object FILE)")
    parser.add_argument("--until", metavar="WHEN", help="a date (2026-12-31) or time after which it no longer counts")
    parser.add_argument("--reason", help="reason; kept with the approval")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list what is approved")
    what.add_argument("--revoke", action="store_true", help="revoke the approvals of PATH")
    json_option(parser)


def run(call: Call) -> int:
    """Approve, revoke or list."""
    words = call.arguments
    approvals = Approvals(call.settings.branches.store)
    if words.list:
        found = approvals.all()
        document = {"approvals": [views.approval(one) for one in found]}
        call.show(document, [_told(one) for one in found] or ["nothing is approved"])
        return 0
    if words.path is None:
        raise UsageError("name the PATH in the tree, or use --list")
    why = check_reason(words.reason or "")
    if words.revoke:
        gone = approvals.revoke(words.path)
        document = {"approvals": [views.approval(one) for one in gone]}
        call.show(document, [f"no longer approved: {_told(one)}" for one in gone])
        return 0
    now = time.time()
    until = _end(words.until, now)
    given = Approval(words.path, _blob(call), why, who(), now, until)
    approvals.add(given)
    call.show({"approvals": [views.approval(given)]}, [f"approved: {_told(given)}"])
    return 0


def _end(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    until = moment(text, now)
    if until <= now:
        raise UsageError("is in the past; write a future date or time", where="--until")
    return until


def _blob(call: Call) -> str:
    words = call.arguments
    if words.file is None and words.on is None and words.blob is None:
        raise UsageError("name the content: --file FILE, --on COMMIT, or --blob ID")
    with opened(call) as (deployer, _):
        objects = deployer.repository
        size = 32 if is_sha256(objects.path) else 20
        if words.file is not None:
            return object_id("blob", _content(words.file), size)
        if words.blob is not None:
            if not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", words.blob):
                raise UsageError(f"is not an object id ({2 * size} of 0-9 and a-f)", where="--blob")
            return str(words.blob)
        branch = BranchName(words.on) if BranchName.accepts(words.on) else None
        tip = objects.tip(branch) if branch is not None else None
        theirs = branch is not None and project_of(branch, Rules(call.settings.branches.rules)) is not None
        # git has many more words for what a branch shows now (refs/heads/NAME, NAME~0); a commit's id stays what it is.
        if (tip is not None and theirs) or (tip is None and not _COMMIT.fullmatch(words.on)):
            what = "is not a branch of the site, so members may have moved it; name the commit that audit-code shows"
            raise UsageError(what, where=words.on)
        tree = objects.tree_of(tip or objects.commit_of(words.on))
        *directories, name = words.path.split("/")
        for part in directories:
            tree = _in(objects.tree(tree), part, words, directory=True)
        return _in(objects.tree(tree), name, words, directory=False)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(reason(error), where=str(file)) from error


def _in(entries: Iterable[Entry], name: str, words: argparse.Namespace, *, directory: bool) -> str:
    for entry in entries:
        if entry.name == name and entry.is_directory == directory:
            return entry.id
    raise UsageError(f"is not a file of {words.on}", where=words.path)


def _told(one: Approval) -> str:
    end = f", until {iso(one.until)}" if one.until is not None else ""
    return f"{one.path} ({one.blob[:10]}) by {one.who} on {iso(one.at)}{end}: {one.reason}"
