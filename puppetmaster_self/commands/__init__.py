"""The commands of `puppetmaster-self`: one module for each first word, of the form that enc.commands describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enc.cli import Whose

COMMANDS: dict[str, str] = {
    "completion": "puppetmaster_self.commands.completion",
    "disable": "puppetmaster_self.commands.disable",
    "doctor": "puppetmaster_self.commands.doctor",
    "enable": "puppetmaster_self.commands.enable",
    "invite": "puppetmaster_self.commands.invite",
    "recover": "puppetmaster_self.commands.recover",
    "send": "puppetmaster_self.commands.send",
    "status": "puppetmaster_self.commands.status",
    "sync": "puppetmaster_self.commands.sync",
}
"""First word to module; a test holds docs/self-master.md to it."""

GROUPS: dict[str, tuple[str, ...]] = {
    "becoming a master, and going back": ("enable", "disable", "status", "doctor", "invite"),
    "local patches": ("sync", "send"),
    "this installation": ("completion",),
    "called by a unit at boot, and by hand after a failure": ("recover",),
}
"""Title to first words, as the help shows them."""

AS_ROOT: dict[str, Whose] = dict.fromkeys(COMMANDS)
"""They change the machine, and all that they look at is root's: repository, working copy and what is kept."""
