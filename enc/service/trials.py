"""Trying a branch: for a while a node gets another environment, and then what it had.

An edit like any other (audit, undo, who may: authorize.py). Ending early is
one too; when the time is up nothing has to be written, since whoever answers
looks at the clock. Not here: the clock of the answers (enc/answers, enc.answers.direct).
"""

from __future__ import annotations

from enc.classify.trial import Trial
from enc.edits.wish import Wish
from enc.settings import Duration, Settings
from enc.terms.environments import Rules
from enc.terms.errors import NotFound, UsageError
from enc.terms.names import BranchName, EnvironmentName

LONGEST = Duration(14 * 86400)
"""What should last longer is no trial: set the environment."""


def of(branch: BranchName, length: Duration, now: float, reason: str, settings: Settings) -> Wish:
    """Return the wish that nodes have the environment of `branch` for `length` from `now` (seconds since 1970).

    Another trial of a node is replaced. Raise `UsageError`, or `NotFound` if this machine serves environments and has
    none of that name.
    """
    if not 1 <= length <= LONGEST:
        raise UsageError(f"--for takes 1s to {LONGEST / 86400:.0f}d; for longer, set the environment (node set)")
    return Wish(trial=Trial(environment_of(branch, settings), int(now + length), reason))


def environment_of(branch: BranchName, settings: Settings) -> EnvironmentName:
    """Return the environment of a branch; raise `NotFound` if there is none."""
    place = Rules(settings.branches.rules).place(branch)
    if place is None:
        raise NotFound(f"branch {branch} does not become an environment, because no rule matches it (branches.rules)")
    served = settings.branches
    if served.repository.is_dir() and not (served.environments / place.environment).exists():
        raise NotFound(
            f"the environment {place.environment} of branch {branch} is not deployed here; push the branch first"
        )
    return place.environment
