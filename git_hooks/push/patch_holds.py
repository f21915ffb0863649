"""Changes that must not come back to a branch: what a revert leaves behind, until somebody lifts it.

A hold is of patch-ids on one branch, so it also knows a change that comes again as a cherry-pick, a squash or the
revert of the revert. Whatever moves the branch is looked at: pushes, a forge, Gerrit, promotions. A hold has an owner,
a reason and an end; past the end, `doctor` asks the owner, and the hold goes on: only a person lifts it.

Owns REPOSITORY/puppetmaster/promotion/holds.json and its lock. Not here: what a revert does (git_hooks/promotion).
Failure modes: a file that cannot be read, or is damaged, refuses what it would have to be asked about (`ToolkitError`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.times import day
from enc.programs.whole_file import Strength
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId
from git_hooks.store.locks import locked


class PatchHold(NamedTuple):
    """That changes must not come back to a branch."""

    id: str
    """`H` and a number."""
    branch: BranchName
    patches: tuple[str, ...]
    commits: tuple[ObjectId, ...]
    """Those that were undone, as the branch had them."""
    subject: str
    """What they are about."""
    who: str
    """Its owner."""
    reason: str
    at: float
    until: float
    """When its owner is to be asked whether it is still needed; seconds since 1970."""
    lifted_by: str = ""
    """Who lifted it; empty: it holds."""
    lifted_why: str = ""
    lifted_at: float | None = None

    @property
    def holds(self) -> bool:
        """Whether nobody has lifted it."""
        return not self.lifted_by

    def told(self) -> str:
        """Return it as a sentence for whoever brings the change back."""
        return (
            f"hold {self.id} of {self.who} until {day(self.until)} keeps {self.subject!r} out: {self.reason}; an "
            f"operator can lift it: branch-manager promotion lift {self.id}"
        )


class PatchHolds:
    """The holds of one repository."""

    def __init__(self, repository: str) -> None:
        """Read nothing yet."""
        self._repository = repository
        self._file = Path(repository, "puppetmaster/promotion/holds.json")

    def all(self) -> tuple[PatchHold, ...]:
        """Return all, those that were lifted, too, the oldest first; raise `ToolkitError` if they cannot be read."""
        try:
            found = json.loads(self._file.read_text("utf-8"))
            return tuple(_hold(one) for one in found["holds"])
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ToolkitError(reason(error), where=str(self._file)) from error
        except (ValueError, TypeError, KeyError, ToolkitError) as error:
            raise ToolkitError("does not hold what it should; correct or remove it", where=str(self._file)) from error

    def of(self, branch: BranchName) -> tuple[PatchHold, ...]:
        """Return those that hold on `branch`."""
        return tuple(one for one in self.all() if one.holds and one.branch == branch)

    def add(self, holds: Iterable[PatchHold]) -> tuple[PatchHold, ...]:
        """Keep holds, each with the next free id (what they bring as one does not count); return them.

        What is held on the branch already, with the same patches, is not held twice.
        """
        added: list[PatchHold] = []

        def change(kept: tuple[PatchHold, ...]) -> tuple[PatchHold, ...]:
            for one in holds:
                same = [old for old in kept if old.holds and (old.branch, old.patches) == (one.branch, one.patches)]
                added.append(same[0] if same else one._replace(id=f"H{len(kept) + 1}"))
                kept = kept if same else (*kept, added[-1])
            return kept

        self._change(change)
        return tuple(added)

    def lift(self, id: str, who: str, why: str, now: float) -> PatchHold:
        """End a hold, and return it; raise `NotFound` if nothing is held under this id."""
        found: list[PatchHold] = []

        def change(kept: tuple[PatchHold, ...]) -> tuple[PatchHold, ...]:
            found.extend(one for one in kept if one.holds and one.id == id)
            if not found:
                raise NotFound("no such hold; branch-manager promotion holds lists them", where=id)
            found[0] = found[0]._replace(lifted_by=who, lifted_why=why, lifted_at=now)
            return tuple(found[0] if one.id == id else one for one in kept)

        self._change(change)
        return found[0]

    def _change(self, change: Callable[[tuple[PatchHold, ...]], tuple[PatchHold, ...]]) -> None:
        try:
            self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with locked(f"{self._file}.lock"):
                text = json.dumps({"holds": [one._asdict() for one in change(self.all())]}, indent=1) + "\n"
                whole_file.write(self._file, text, mode=0o644, survives=Strength.POWER_CUT)
        except ToolkitError:
            raise  # whole_file's are both
        except OSError as error:
            raise ToolkitError(reason(error), where=str(self._file)) from error


def brought_back(
    repository: str, holds: Iterable[PatchHold], old: ObjectId | None, new: ObjectId, environ: Mapping[str, str]
) -> tuple[PatchHold, ...]:
    """Return which of `holds` a branch would get that goes from `old` (None: it is new) to `new`.

    It is told by patch-ids and by content: whether the branch would be another without the change. `environ` is that of
    a hook, in whose quarantine the commits may be.
    """
    holds = tuple(holds)
    if not holds:
        return ()
    # Here and not above: a cold hook has no time for subprocess unless something is held.
    from git_hooks.repository.apart import GitApart
    from git_hooks.repository.merges import shows
    from git_hooks.repository.patches import patch_id, patch_ids, tree_of

    with GitApart(repository, environ=environ) as git:
        lacking = [old] if old is not None else []
        coming = patch_ids(git, [new], lacking)
        whole = patch_id(git, old, new) if old is not None else ""
        trees = [tree_of(git, one) for one in (new, *lacking)]
        found = []
        for hold in holds:
            comes = whole in hold.patches or any(patch in hold.patches for patch in coming.values())
            for commit in hold.commits:
                now, *before = (shows(git, tree, commit) for tree in trees)
                # With its revert, which may be in the same push, a commit comes and its change does not.
                if now is not False if comes else now and not any(before):
                    found.append(hold)
                    break
    return tuple(found)


def _hold(fields: Mapping[str, object]) -> PatchHold:
    one = PatchHold(**fields)  # type: ignore[arg-type]
    commits = tuple(map(ObjectId, one.commits))
    return one._replace(branch=BranchName(one.branch), patches=tuple(one.patches), commits=commits)
