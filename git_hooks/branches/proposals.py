"""Branches on which members propose code: which there are, and since when nobody has changed them.

They become no environment, so no record of a deploy tells when somebody pushed;
and a commit's date is whatever its author's clock said. So it is noted when a
branch is first seen at a commit (by the chore that ends branches, hourly), and
that is what its age counts from.

Owns REPOSITORY/puppetmaster/proposals.json. Failure modes: a file that cannot
be read counts as none: branches stay longer. One that cannot be written is an
expected error of the chore.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.environments import Rules
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.programs.elapsed import Count
    from enc.settings import BranchSettings
    from enc.terms.names import BranchName, ProjectName


class Proposed(NamedTuple):
    """One branch that waits to be read."""

    branch: BranchName
    project: ProjectName
    commit: ObjectId
    since: float
    """When it was first seen at this commit, seconds since 1970."""


def proposed(settings: BranchSettings, branches: Mapping[BranchName, ObjectId], count: Count) -> Iterator[Proposed]:
    """Yield the proposals among `branches`, by name; one that nobody has seen before counts from now."""
    rules, seen = Rules(settings.rules), _read(_file(settings))
    for branch, commit in sorted(branches.items()):
        proposal = rules.proposal(branch)
        if proposal is not None:
            known, since = seen.get(branch, ("", count.now))
            yield Proposed(branch, proposal.project, commit, count.of(since) if known == commit else count.now)


def note(settings: BranchSettings, found: Iterable[Proposed]) -> None:
    """Remember since when each of `found`, which are all there are, has been as it is."""
    file = _file(settings)
    seen: dict[str, tuple[str, float]] = {one.branch: (str(one.commit), one.since) for one in found}
    if seen != _read(file):
        whole_file.write(file, json.dumps(seen, indent=1) + "\n", mode=0o600, survives=Strength.KILL)


def _file(settings: BranchSettings) -> Path:
    return settings.repository / "puppetmaster/proposals.json"


def _read(file: Path) -> dict[str, tuple[str, float]]:
    try:
        found = json.loads(file.read_text("utf-8"))
        return {str(branch): (str(commit), float(since)) for branch, (commit, since) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
