"""What a promotion changes: a digest to which approvals are bound, and words for how two of them differ.

The digest is of the merge result's tree and, where somebody can tell it, of what the result changes in the catalogs of
the nodes (`Catalogs`). So it changes if the source moves, if the rung's branch moves, or if the same code gets to do
something else.

Not here: the merge (result.py), catalogs (enc/catalogs).
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from git_hooks.promotion.kept import Effect
from git_hooks.promotion.rungs import Rung
from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import changed
from git_hooks.repository.refs import ObjectId

SHOWN = 32
"""Characters of a digest that are shown, and that an approval must give: whoever makes the source can try many trees,
and would find two with the same 8 characters, or 16, to show one and promote the other."""
_SHOWN = 5


class CatalogEffect(Protocol):
    """What a change does to the catalogs of the nodes of a rung."""

    @property
    def digest(self) -> str:
        """Return a digest: equal if and only if the effect is."""

    def summary(self) -> str:
        """Return it in one line for people."""


class Catalogs(Protocol):
    """Who can tell what a change does to catalogs."""

    def __call__(self, rung: Rung, old: ObjectId, new: ObjectId) -> CatalogEffect | None:
        """Return what the nodes of `rung` get with `new` in the place of `old`; None: it cannot be told."""


def effect(base: ObjectId, source: ObjectId, tree: str, catalogs: CatalogEffect | None) -> Effect:
    """Return what is bound by an approval."""
    seen = catalogs.digest if catalogs is not None else ""
    digest = hashlib.sha256(f"1 {tree} {seen}".encode()).hexdigest()
    return Effect(digest, base, source, tree, seen, catalogs.summary() if catalogs is not None else "")


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
        parts.append(f"the same code does something else to the nodes: {now.summary or 'this cannot be told now'}")
    return ", ".join(parts)
