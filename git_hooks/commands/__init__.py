"""The commands of `branch-manager`: one module for each first word, of the form that enc.commands describes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enc.cli import Whose
    from enc.commands.call import Call

COMMANDS: dict[str, str] = {
    "allow-secret": "git_hooks.commands.allow_secret",
    "approve": "git_hooks.commands.approve",
    "audit-code": "git_hooks.commands.audit_code",
    "audit-secrets": "git_hooks.commands.audit_secrets",
    "authorized-keys": "git_hooks.commands.authorized_keys",
    "classes": "git_hooks.commands.classes",
    "completion": "git_hooks.commands.completion",
    "deploy": "git_hooks.commands.deploy",
    "diff": "git_hooks.commands.diff",
    "doctor": "git_hooks.commands.doctor",
    "expire": "git_hooks.commands.expire",
    "gc": "git_hooks.commands.gc",
    "gerrit-hook": "git_hooks.commands.gerrit_hook",
    "hold": "git_hooks.commands.hold",
    "hooks": "git_hooks.commands.hooks",
    "init": "git_hooks.commands.init",
    "list": "git_hooks.commands.listing",
    "make-branches": "git_hooks.commands.make_branches",
    "promote": "git_hooks.commands.promote",
    "promotion": "git_hooks.commands.promotion",
    "propose": "git_hooks.commands.propose",
    "publish": "git_hooks.commands.publish",
    "refusals": "git_hooks.commands.refused",
    "release": "git_hooks.commands.release",
    "restore": "git_hooks.commands.restore",
    "revert": "git_hooks.commands.revert",
    "rollback": "git_hooks.commands.rollback",
    "serve": "git_hooks.commands.serve",
    "ssh-shell": "git_hooks.commands.ssh_shell",
    "status": "git_hooks.commands.status",
    "token": "git_hooks.commands.token",
    "uninstall": "git_hooks.commands.uninstall",
    "units": "git_hooks.commands.units",
    "verify": "git_hooks.commands.verify",
    "verify-store": "git_hooks.commands.verify_store",
    "wait": "git_hooks.commands.wait",
}
"""First word to module; a test holds docs/branch-manager.md to it."""

GROUPS: dict[str, tuple[str, ...]] = {
    "branches and environments": (
        *("list", "status", "classes", "wait", "deploy", "hold", "rollback", "release"),
        *("make-branches", "expire", "restore"),
    ),
    "the way to production": ("propose", "promote", "promotion", "revert"),
    "pushes": ("diff", "refusals", "allow-secret", "approve", "audit-code", "token"),
    "opening the repository": ("audit-secrets", "publish"),
    "this installation": ("init", "uninstall", "units", "doctor", "verify", "verify-store", "gc", "completion"),
    "called by units, sshd and Gerrit, not by people": (
        *("hooks", "serve", "authorized-keys", "ssh-shell", "gerrit-hook"),
    ),
}
"""Title to first words, as the help shows them."""

_OF_A_REPOSITORY = ("config", "HEAD", "packed-refs", "hooks", "objects", "objects/info", "objects/pack", "refs")
"""What of a bare repository git obeys or changes (gitrepository-layout(5))."""


def repository(call: Call) -> Sequence[Path]:
    """Return the repository, and what git obeys in it."""
    place = call.settings.branches.repository
    return place, *(place / part for part in _OF_A_REPOSITORY if (place / part).exists())


def _managed(call: Call) -> Sequence[Path]:
    """Return all places that are the branch manager's account's."""
    branches = call.settings.branches
    made = (place for place in (branches.store, branches.environments) if place.exists())
    return *repository(call), *made


def _with_tokens(call: Call) -> Sequence[Path]:
    return *_managed(call), call.settings.branches.transport.tokens


def _opening(call: Call) -> Sequence[Path]:
    state = call.settings.branches.opening.state
    return *_managed(call), *((state,) if state.exists() else ())


def _tokens(call: Call) -> Sequence[Path]:
    """Return the tokens' directory; where there is none yet, the account makes it that will read it."""
    place = call.settings.branches.transport.tokens
    return (place,) if place.exists() else _managed(call)


AS_ROOT: dict[str, Whose] = dict.fromkeys(COMMANDS, _managed) | {
    **dict.fromkeys(("gc", "hooks", "serve"), _with_tokens),
    "token": _tokens,
    **dict.fromkeys(("audit-secrets", "publish"), _opening),
    "doctor": None,  # looks with the eyes of several accounts, and becomes each of them for that
    "completion": None,  # looks at nothing but the configuration
    "units": None,  # writes files of root's, and looks at nobody's
}
"""As whom a command is done that root runs (enc.programs.accounts): as the owner of these places; None: as root."""
