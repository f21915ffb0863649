"""Which environment a branch becomes: enc.environments, which the classifier needs too."""

from __future__ import annotations

from enc.environments import RESERVED, Place, Rules, collisions

__all__ = ["RESERVED", "Place", "Rules", "collisions"]
