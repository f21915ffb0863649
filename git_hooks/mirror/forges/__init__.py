"""The forges, a module each: what their webhooks say, and how they take a commit's status (enc/settings/forges.py)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from enc.settings.forges import FORGES
from enc.terms.errors import ConfigurationError

if TYPE_CHECKING:
    from git_hooks.mirror.forges.forge import Forge


def named(name: str) -> Forge:
    """Return the forge that is called so in the settings; raise `ConfigurationError` if there is none."""
    if name not in FORGES:
        raise ConfigurationError(f"{name!r} is not one of {', '.join(FORGES)}", where="branches.mirror.forge")
    forge: Forge = import_module(FORGES[name]).FORGE
    return forge
