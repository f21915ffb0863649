"""Promotions as they are kept: one file for each, which is the proposal, its place in the queue, and its history.

Owns REPOSITORY/puppetmaster/promotion/: `P1.json` and so on, `lock` (numbers and approvals), `RUNG.lock` (who promotes
to a rung). They stay for good: they are what `history` and `rehearse` tell of. A file is replaced whole and is on disk
when that is told, so a promotion is in the state before or in the one after.

Not here: what states mean (states.py). Failure modes: a file that cannot be read or is damaged is told by name
(`ToolkitError`) by whatever asks for it; lists pass it over, and `doctor` names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import Conflict, InvalidName, NotFound, ToolkitError
from enc.terms.names import BranchName
from git_hooks.promotion.rules import Facts, Given
from git_hooks.promotion.states import OPEN, UNDER_WAY, State, may_follow
from git_hooks.repository.refs import ObjectId
from git_hooks.store.locks import locked

NEW = "P0"
"""The id of one that is not kept yet."""
SUBJECT = 200
"""Characters of what a promotion is called."""
HERE = "here"
_NAME = re.compile(r"P([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True)
class Effect:
    """What a promotion does, as it was at one time. An approval is of its digest."""

    digest: str
    """Of the merge result's tree, and of the catalogs' effect where that is known."""
    base: ObjectId
    """The commit of the rung's branch."""
    source: ObjectId
    """The commit of the source."""
    tree: str
    """Of the merge result."""
    catalogs: str = ""
    """The digest of the difference of the nodes' catalogs; empty: it was not looked at."""
    summary: str = ""
    """What the nodes' catalogs get, in words."""


@dataclass(frozen=True)
class Approval:
    """That somebody wants it."""

    who: str
    effect: Effect
    """The one that was seen."""
    at: float
    via: str = HERE
    """`here`, with who ran the command if that was somebody else; or the forge, the account and the review's number."""


@dataclass(frozen=True)
class Check:
    """What somebody reported of the commit that is promoted."""

    state: str
    """`green` or `red`."""
    source: ObjectId
    who: str
    at: float
    url: str = ""


@dataclass(frozen=True)
class Promotion:
    """One change on its way to one rung."""

    id: str
    rung: str
    branch: BranchName
    """The rung's."""
    source: BranchName
    way: str
    """`merge`, `pick` or `revert`."""
    who: str
    """Who proposed it."""
    reason: str
    at: float
    state: State = "proposed"
    why: tuple[str, ...] = ()
    """Why it is refused, waits, or ended."""
    commits: tuple[ObjectId, ...] = ()
    """What is picked or reverted; empty: all that the source has."""
    subject: str = ""
    effect: Effect | None = None
    """As it was looked at last."""
    approvals: tuple[Approval, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    wanted: bool = False
    """Somebody said `promote`: it goes into the queue as soon as the approvals are there."""
    by: str = ""
    """Who said so."""
    emergency: bool = False
    queued: float | None = None
    old: ObjectId | None = None
    new: ObjectId | None = None
    """The rung's branch before and after (with a canary branch, that one's while it is first)."""
    stage: str = "rung"
    """`canary` as long as the canary branch is moved and watched."""
    moved: float | None = None
    """When the branch moved."""
    ended: float | None = None
    facts: Facts | None = None
    """What it was judged by when it went."""
    entered: str = ""
    """Who ran the command that named `who` (or `by`); empty: they did themselves."""
    holds: tuple[str, ...] = ()
    """Of a revert: what keeps the change out."""

    @property
    def open(self) -> bool:
        """Whether it is not over."""
        return self.state in OPEN

    @property
    def passes(self) -> bool:
        """Whether it does not wait behind others in the queue."""
        return self.emergency or self.way == "revert"

    def become(self, state: State, **more: Any) -> Promotion:
        """Return it in another state; raise `Conflict` if that cannot follow."""
        if not may_follow(self.state, state):
            raise Conflict(f"is {self.state} and cannot become {state}", where=self.id)
        return replace(self, state=state, **more)


class Promotions:
    """All of one repository's. Making the object does nothing."""

    def __init__(self, repository: str) -> None:
        self._directory = Path(repository, "puppetmaster/promotion")

    def get(self, id: str) -> Promotion:
        """Return one; raise `NotFound`, or `ToolkitError` if its file cannot be read."""
        if not _NAME.fullmatch(id):
            raise NotFound("is no promotion's id: P and a number; branch-manager promotion list shows them", where=id)
        file = self._directory / f"{id}.json"
        try:
            return _read(json.loads(file.read_text("utf-8")))
        except FileNotFoundError as error:
            raise NotFound("there is no such promotion", where=id) from error
        except OSError as error:
            raise ToolkitError(reason(error), where=str(file)) from error
        except (ValueError, TypeError, KeyError, AttributeError, InvalidName) as error:
            raise ToolkitError("is no promotion, or a damaged one; restore or remove it", where=str(file)) from error

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all, the oldest first; raise `ToolkitError`."""
        try:
            names = [file.name for file in self._directory.iterdir()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ToolkitError(reason(error), where=str(self._directory)) from error
        numbers = [int(found[1]) for name in names if (found := _NAME.fullmatch(name.removesuffix(".json")))]
        return tuple(f"P{number}" for number in sorted(numbers))

    def all(self) -> tuple[Promotion, ...]:
        """Return all that can be read, the oldest first."""
        return tuple(one for one in map(self._sound, self.ids()) if one is not None)

    def damaged(self) -> tuple[str, ...]:
        """Return those that cannot be read."""
        return tuple(id for id in self.ids() if self._sound(id) is None)

    def queue(self, rung: str) -> tuple[Promotion, ...]:
        """Return who waits for `rung`, or has it now, in the order of the queue."""
        found = [one for one in self.all() if one.rung == rung and one.state in ("queued", *UNDER_WAY)]
        return tuple(sorted(found, key=lambda one: (one.state == "queued", one.queued or one.at, int(one.id[1:]))))

    def new(self, promotion: Promotion) -> Promotion:
        """Keep a new one (its id is `NEW`), with the next number."""
        with self._locked("lock"):
            number = int(ids[-1][1:]) + 1 if (ids := self.ids()) else 1
            made = replace(promotion, id=f"P{number}")
            self._write(made)
            return made

    def keep(self, promotion: Promotion) -> Promotion:
        """Keep it as it is now, and return it; raise `ToolkitError`. For who has the rung (`rung`)."""
        self._write(promotion)
        return promotion

    @contextmanager
    def rung(self, name: str) -> Iterator[None]:
        """Have a rung, and all that is on the way to it, for oneself; wait for whoever has it."""
        with self._locked(f"{name}.lock"):
            yield

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = locked(str(self._directory / name))
            lock.__enter__()
        except OSError as error:
            raise ToolkitError(reason(error), where=str(self._directory)) from error
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _sound(self, id: str) -> Promotion | None:
        try:
            return self.get(id)
        except ToolkitError:
            return None

    def _write(self, promotion: Promotion) -> None:
        document = asdict(promotion)
        document["facts"] = _facts_document(promotion.facts)
        text = json.dumps(document, indent=1) + "\n"
        whole_file.write(self._directory / f"{promotion.id}.json", text, mode=0o644, survives=Strength.POWER_CUT)


def ended(promotion: Promotion) -> None:
    """Raise `Conflict` if it is over, for whoever would still change something about it."""
    if promotion.state not in ("proposed", "queued"):
        raise Conflict(f"is {promotion.state} and cannot be changed any more", where=promotion.id)


def _facts_document(facts: Facts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {**facts._asdict(), "checks": dict(facts.checks), "approvals": [one._asdict() for one in facts.approvals]}


def _read(fields: Mapping[str, Any]) -> Promotion:
    more: dict[str, Any] = dict(fields)
    for name in ("branch", "source"):
        more[name] = BranchName(more[name])
    for name in ("old", "new"):
        more[name] = None if more[name] is None else ObjectId(more[name])
    for name in ("why", "holds"):
        more[name] = tuple(more[name])
    more["commits"] = tuple(map(ObjectId, more["commits"]))
    more["effect"] = _effect(more["effect"])
    more["approvals"] = tuple(Approval(**{**one, "effect": _effect(one["effect"])}) for one in more["approvals"])
    more["checks"] = {
        name: Check(**{**one, "source": ObjectId(one["source"])}) for name, one in more["checks"].items()
    }
    more["facts"] = _facts(more["facts"])
    return Promotion(**more)


def _effect(fields: Mapping[str, Any] | None) -> Effect | None:
    if fields is None:
        return None
    return Effect(**{**fields, "base": ObjectId(fields["base"]), "source": ObjectId(fields["source"])})


def _facts(fields: Mapping[str, Any] | None) -> Facts | None:
    if fields is None:
        return None
    known = {name: value for name, value in fields.items() if name in Facts._fields}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    given = tuple(Given(**{**one, "roles": tuple(one["roles"])}) for one in known.get("approvals", ()))
    return Facts(**{**known, **lists, "approvals": given})
