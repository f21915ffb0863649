"""The commands of `branch-manager`: one module for each first word, of the form that enc.commands describes."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "approve": "git_hooks.commands.approve",
    "audit-code": "git_hooks.commands.audit_code",
    "authorized-keys": "git_hooks.commands.authorized_keys",
    "deploy": "git_hooks.commands.deploy",
    "doctor": "git_hooks.commands.doctor",
    "expire": "git_hooks.commands.expire",
    "gc": "git_hooks.commands.gc",
    "gerrit-hook": "git_hooks.commands.gerrit_hook",
    "hold": "git_hooks.commands.hold",
    "hooks": "git_hooks.commands.hooks",
    "init": "git_hooks.commands.init",
    "list": "git_hooks.commands.listing",
    "make-branches": "git_hooks.commands.make_branches",
    "release": "git_hooks.commands.release",
    "restore": "git_hooks.commands.restore",
    "rollback": "git_hooks.commands.rollback",
    "serve": "git_hooks.commands.serve",
    "ssh-shell": "git_hooks.commands.ssh_shell",
    "status": "git_hooks.commands.status",
    "token": "git_hooks.commands.token",
    "uninstall": "git_hooks.commands.uninstall",
    "units": "git_hooks.commands.units",
    "verify": "git_hooks.commands.verify",
    "verify-store": "git_hooks.commands.verify_store",
}
"""First word to module; a test holds docs/branch-manager.md to it."""
