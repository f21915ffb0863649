"""What a promotion changes: a digest to which approvals are bound, and words for how two of them differ.

The digest is of the merge result's tree and, where that is known, of what the result changes in the catalogs of the
nodes (`OnNodes`). So it changes if the source moves, if the rung's branch moves, or if the same code gets to do
something else.

Not here: the merge (result.py), who compiles catalogs (catalogs.py).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol

from git_hooks.promotion.kept import Effect
from git_hooks.promotion.rungs import Rung
from git_hooks.push.incoming import Incoming
from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import changed
from git_hooks.repository.refs import ObjectId

SHOWN = 32
"""Characters of a digest that are shown, and that an approval must give: whoever makes the source can try many trees,
and would find two with the same 8 characters, or 16, to show one and promote the other."""
_SHOWN = 5


class OnNodes(NamedTuple):
    """What a change does to the catalogs of the nodes of a rung."""

    digest: str = ""
    """Equal if and only if the effect is; empty: it is not known."""
    summary: str = ""
    """In words for people: a headline, then a line for each thing."""
    problems: tuple[str, ...] = ()
    """Why a push of it would be refused for what it does."""
    unknown: str = ""
    """Why it is not known now, though it may be later; empty: it is known, or nobody is to look."""
    required: bool = False
    """Whether the branch takes nothing of which it is not known."""


class Catalogs(Protocol):
    """Who can tell what a change does to catalogs."""

    def __call__(self, objects: Incoming, rung: Rung, new: ObjectId, *, fresh: bool) -> OnNodes:
        """Return what the nodes of `rung` get if its environment shows `new`, a commit among `objects`.

        `fresh`: as it is at this moment, for it decides; else it may be remembered for some minutes.
        """


def effect(base: ObjectId, source: ObjectId, tree: str, told: OnNodes) -> Effect:
    """Return what is bound by an approval."""
    digest = hashlib.sha256(f"1 {tree} {told.digest}".encode()).hexdigest()
    return Effect(digest, base, source, tree, told.digest, told.summary)


def differs(git: GitApart, seen: Effect, now: Effect, source: str, branch: str) -> str:
    """Return how what was seen differs from what is now, in words; empty: it does not."""
    if seen.digest == now.digest:
        return ""
    parts = []
    if seen.source != now.source:
        parts.append(f"{source} moved from {seen.source.abbreviated} to {now.source.abbreviated}")
    if seen.base != now.base:
        parts.append(f"{branch} moved from {seen.base.abbreviated} to {now.base.abbreviated}")
    if seen.tree != now.tree:
        paths = changed(git, seen.tree, now.tree)
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        parts.append(f"the result differs in {', '.join(paths[:_SHOWN])}{more}")
    elif seen.catalogs != now.catalogs:
        parts.append(_on_nodes(seen, now))
    return ", ".join(parts)


def _on_nodes(seen: Effect, now: Effect) -> str:
    is_now, was = (one.summary.partition("\n")[0] for one in (now, seen))
    if not now.catalogs:
        return f"what it does to the nodes is not known any more: {is_now}"
    if not seen.catalogs:
        return f"what it does to the nodes was not known then: {is_now}"
    if is_now == was:  # then what differs is below the headline
        is_now = "; ".join(line.strip() for line in now.summary.split("\n")[:_SHOWN])
    return f"the same code does something else to the nodes: {is_now}"
