"""Decides from the settings what of the directory is followed: one feed for each base. Pure.

Not here: reading a feed (feeds.py), and what an entry of one means (places.py, reach.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from enc.directory.ldap_store import PREFIX_FILTER
from enc.settings import Settings
from enc.terms.filters import NodeFilter

_ROLES = "(objectClass=organizationalRole)"
"""Who administers a project bears on no node, but history tells who appointed them."""

_OF_PEOPLE = f"(objectClass=groupOfNames){_ROLES}"
"""Groups of people do not affect answers either. But whoever asks about somebody's rights must learn of a change."""

Feed = Literal["nodes", "projects", "groups", "site"]


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """What one feed asks for."""

    feed: Feed
    base: str
    filter_text: str


def _groups(settings: Settings) -> str:
    """Return which groups are followed. A server for projects must know nothing about groups of people."""
    if settings.domains.serves == "projects":
        return settings.groups.filter
    of_nodes = settings.groups.filter.strip()
    return f"(|{of_nodes if of_nodes.startswith('(') else f'({of_nodes})'}{_OF_PEOPLE})"


def plans(settings: Settings) -> tuple[FeedPlan, ...]:
    """Return what has to be followed: only nodes in terminus semantics."""
    nodes = FeedPlan("nodes", settings.nodes_base, NodeFilter(settings.nodes.filter).for_all())
    if settings.nodes.semantics == "terminus":
        return (nodes,)
    return (
        nodes,
        FeedPlan("projects", settings.projects_base, f"(|{settings.projects.filter}{PREFIX_FILTER}{_ROLES})"),
        FeedPlan("groups", settings.groups_base, _groups(settings)),
        FeedPlan("site", settings.site_dn, "(objectClass=*)"),
    )
