"""Which environment a branch becomes: enc.environments, which the classifier needs too."""

from __future__ import annotations

from collections.abc import Iterable

from enc.environments import Place, Rules, collisions

__all__ = ["Place", "Rules", "collisions", "site_first"]


def site_first(places: Iterable[Place], rules: Rules) -> tuple[list[Place], list[Place]]:
    """Return the places of the site's own branches, and the others; a new environment shares files with the first."""
    own = {place.environment for place in rules.site}
    places = list(places)
    return [one for one in places if one.environment in own], [one for one in places if one.environment not in own]
