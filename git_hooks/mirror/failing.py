"""What the forge has and does not go live here, for whoever asks: status and doctor. Reads only.

The mirror notes what fails (tries.py) and forgets it at its next look at everything. An
operator may have deployed meanwhile, so what is live by now is left out here.

Failure modes: PermissionError for who may not read the store.
"""

from __future__ import annotations

from enc.settings import BranchSettings
from enc.terms.environments import Rules
from enc.terms.errors import InvalidName, ToolkitError
from enc.terms.names import BranchName
from git_hooks.deploy.records import Records
from git_hooks.mirror import tries
from git_hooks.store.layout import Layout
from git_hooks.store.versions import Versions


def failing(settings: BranchSettings) -> tries.Kept:
    """Return when the forge last answered, and what fails still; nothing if the repository lives here."""
    if settings.mirror.forge is None:
        return tries.Kept(None, ())
    kept = tries.read(settings.store)
    return kept._replace(tries=tuple(one for one in kept.tries if not _is_live(one, settings)))


def _is_live(one: tries.Try, settings: BranchSettings) -> bool:
    if not one.commit:
        return False
    layout = Layout(str(settings.store), str(settings.environments))
    try:
        place = Rules(settings.rules).place(BranchName(one.subject))
        live = Versions(layout).live(place.environment) if place is not None else None
    except (InvalidName, ToolkitError):
        return False  # something else stands where the environment should be
    return place is not None and live == one.commit and not Records(layout.root).owes_flush(place.environment)
