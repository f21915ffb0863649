"""What several commands share: whom they act for, which environment is meant, its places."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from enc.commands.call import Call
from enc.edits import audit
from enc.terms.environments import Place, Rules
from enc.terms.errors import InvalidName, NotFound
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.push import leaving
from git_hooks.repository.reading import use_library
from git_hooks.repository.refstore import RefStore


def dry_run_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--dry-run`."""
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and change nothing")


def reason_option(parser: argparse.ArgumentParser) -> None:
    """Ask for a reason."""
    parser.add_argument("--reason", required=True, help="reason; kept in the record and shown to whoever pushes")


def who() -> str:
    """Return who runs this command: behind sudo, the person."""
    user, behind = audit.local_user()
    return behind or user


@contextmanager
def opened(call: Call) -> Iterator[tuple[Deployer, RefStore]]:
    """Give the deployer and the refs of the configured repository."""
    settings = call.settings.branches
    use_library()
    with Deployer(settings, domains=call.settings.domains) as deployer:
        yield deployer, RefStore(str(settings.repository))


def settled(call: Call, deployer: Deployer) -> None:
    """Keep the commits that pushes took away and, because somebody was killed, did not keep."""
    for one in leaving.settle(deployer.repository, deployer.counted):
        call.say(f"{one.branch}: the commits that an interrupted push removed are kept as {one.name}")


def places(call: Call, deployer: Deployer) -> dict[EnvironmentName, Place]:
    """Return the environments that the branches of the repository become."""
    rules = Rules(call.settings.branches.rules)
    found = (rules.place_or_none(branch) for branch in deployer.repository.branches())
    return {place.environment: place for place in found if place is not None}


def environment(text: str, call: Call) -> EnvironmentName:
    """Return the environment that `text` means: its name, or its branch's."""
    if EnvironmentName.accepts(text) and not _is_branch(text, call):
        return EnvironmentName(text)
    place = Rules(call.settings.branches.rules).place(BranchName(text))
    if place is None:
        raise NotFound("no rule makes an environment from this branch (branches.rules)", where=text)
    return place.environment


def _is_branch(text: str, call: Call) -> bool:
    try:
        return Rules(call.settings.branches.rules).place(BranchName(text)) is not None
    except InvalidName:
        return False
