"""Looks at whole trees of members' branches for server code that is not reviewed.

A push is asked only for what it brings. What a branch had before the site
asked, and what was approved for a time that is over, is found here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from enc.terms.environments import Rules
from enc.terms.names import BranchName
from git_hooks.checks import server_code
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import Settings

def unreviewed(
    settings: Settings, wanted: Collection[BranchName] = ()
) -> Iterator[tuple[BranchName, ObjectId, tuple[str, ...]]]:
    """Yield each members' branch, those of `wanted` or all that are shown, its commit, and what of that needs review.

    The site's setting does not count: this looks where members are trusted, too.
    """
    asked = replace(
        settings,
        branches=replace(settings.branches, members_code="reviewed"),
        pushes=replace(settings.pushes, files=sys.maxsize, push_bytes=sys.maxsize),
    )
    rules = Rules(settings.branches.rules)
    with Incoming(str(settings.branches.repository), os.environ) as objects:
        existing = objects.branches()
        for branch, tip in sorted(existing.items()):
            place = rules.place_or_none(branch) or (rules.proposal(branch) if branch in wanted else None)
            if place is not None and place.project is not None and (not wanted or branch in wanted):
                yield branch, tip, Examination(objects, asked, (server_code.LINE,)).unreviewed(tip, place, existing)
