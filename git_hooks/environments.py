"""Which environment a branch becomes: enc.environments, which the classifier needs too."""

from __future__ import annotations

from enc.environments import Place, Rules, collisions

__all__ = ["Place", "Rules", "collisions"]
