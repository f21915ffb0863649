"""`branch-manager restore`: an archived branch, or commits that a branch forgot, come back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from enc.commands.call import Call, json_option
from enc.programs.times import day, of_compact
from enc.terms.environments import Rules
from enc.terms.errors import ExitStatus, UsageError
from enc.terms.names import BranchName
from git_hooks.branches.expiry import Expiry
from git_hooks.commands import views
from git_hooks.commands.target import dry_run_option, opened, settled, who
from git_hooks.deploy.records import told
from git_hooks.deploy.targets import Exact
from git_hooks.repository.refstore import Archived

SUMMARY = "restore an archived branch and its environment; without a name, list what is archived and until when"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "branch", metavar="BRANCH[@TIME]", nargs="?", help="as in the list; without @, what was archived last"
    )
    parser.add_argument("--as", dest="target", metavar="BRANCH", help="the branch it becomes; default: the same name")
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Restore, or list; exit status 1 if the environment is not live then."""
    text = call.arguments.branch
    name, at = _wanted(text) if text is not None else (None, None)
    keep = call.settings.branches.archive_kept
    with opened(call) as (deployer, refs):
        settled(call, deployer)
        if name is None:
            _list(call, refs.archived())
            return ExitStatus.DONE
        branch = BranchName(call.arguments.target) if call.arguments.target is not None else name
        expiry = Expiry(call.settings, deployer, refs)
        kept = expiry.find(name, at, branch)
        found = {"archived": [views.archived(kept, keep)]}
        if call.arguments.dry_run:
            place = Rules(call.settings.branches.rules).place(branch)
            plans = [deployer.plan(place.environment, Exact(kept.commit))] if place is not None else []
            would = f"{kept.name} would come back as {branch} at {kept.commit.abbreviated}"
            call.show({**views.would_deploy(plans, "restore"), **found}, would)
            return ExitStatus.DONE
        record = expiry.restore(kept, branch, who())
    if record is None:
        call.show({**views.deploys(()), **found}, f"{branch} is back at {kept.commit.abbreviated}, for review")
        return ExitStatus.DONE
    call.show({**views.deploys([record]), **found}, told(record))
    return ExitStatus.DONE if record.good else ExitStatus.FAILED


def _wanted(text: str) -> tuple[BranchName, int | None]:
    """Return the branch and the time that `text` names."""
    name, separator, at = text.partition("@")
    branch = BranchName(name)
    if not separator:
        return branch, None
    moment = of_compact(at)
    if moment is None and at.isascii() and at.isdigit() and len(at) < 12:
        moment = int(at)  # as the ref in the repository is called
    if moment is None:
        raise UsageError(f"{text!r} is not BRANCH@TIME; `restore` without a name lists what is in the archive")
    return branch, moment


def _list(call: Call, found: Sequence[Archived]) -> None:
    kept = call.settings.branches.archive_kept
    rows = [(one.name, one.commit.abbreviated, day(one.at), day(one.at + kept)) for one in found]
    document = {**views.deploys(()), "archived": [views.archived(one, kept) for one in found]}
    call.show_rows(document, ("NAME", "COMMIT", "ARCHIVED", "KEPT UNTIL"), rows, "the archive is empty")
