"""What has to be done about branches, when here differs from the forge. Pure.

Not here: doing it, in which order, and what becomes of it (catch_up.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from enc.terms.environments import Place, Rules, collisions
from enc.terms.errors import InvalidName
from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId


class Differences(NamedTuple):
    """What has to be done about branches."""

    fetch: tuple[BranchName, ...] = ()
    gone: tuple[BranchName, ...] = ()
    refused: tuple[tuple[BranchName, str], ...] = ()


def plan(here: Mapping[BranchName, ObjectId], there: Mapping[BranchName, ObjectId], rules: Rules) -> Differences:
    """Return what makes `here` like `there`. Pure. Branches that become no environment are left alone."""
    places: dict[BranchName, Place] = {}
    refused: list[tuple[BranchName, str]] = []
    for branch in sorted({*here, *there}):
        try:
            place = rules.place(branch)
        except InvalidName as refusal:
            if branch in there and branch not in here:
                refused.append((branch, str(refusal)))
            continue
        if place is not None:
            places[branch] = place
    for environment, rivals in collisions(place for place in places.values() if place.branch in there).items():
        # Who was here first stays; of several new ones, none is taken for the right one.
        for branch in rivals:
            if branch not in here:
                others = ", ".join(rival for rival in rivals if rival != branch)
                refused.append((branch, f"would become environment {environment}, and so would {others}"))
    bad = {branch for branch, _ in refused}
    return Differences(
        tuple(b for b in places if b in there and b not in bad and here.get(b) != there[b]),
        tuple(b for b in places if b in here and b not in there) if there else (),
        tuple(refused),
    )
