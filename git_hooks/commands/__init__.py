"""The commands of `branch-manager`: one module for each first word, of the form that enc.commands describes."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "authorized-keys": "git_hooks.commands.authorized_keys",
    "serve": "git_hooks.commands.serve",
    "ssh-shell": "git_hooks.commands.ssh_shell",
    "token": "git_hooks.commands.token",
}
"""First word to module; a test holds docs/branch-manager.md to it."""
