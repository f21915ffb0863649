"""The units that look after an instance while it is its own master, and when it starts in the middle of a change."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from enc.terms.errors import UsageError
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.steps.step import Step

RECOVER = "puppetmaster-self-recover.service"
WATCH = "puppetmaster-self-watch.service"
TIMER = "puppetmaster-self-watch.timer"
SYNC = "puppetmaster-self-sync.service"
SYNC_TIMER = "puppetmaster-self-sync.timer"
_WANTS = {RECOVER: "multi-user.target.wants", TIMER: "timers.target.wants", SYNC_TIMER: "timers.target.wants"}
_TIMEOUT = 120.0
INTERVAL = 60.0
"""Seconds between two looks of the watch timer."""

_AS = """\
# With root's home directory, and so its configuration of git and ssh, as by hand.
User=root
# What it has started ends in order, and not all at once.
KillMode=mixed
# As far as it goes for who installs and removes packages, applies Puppet code and writes below /usr, /etc and /root:
# no ProtectSystem, ProtectHome or fewer capabilities, no memory that is not written and executed (packages of Java),
# and no filter of calls, which every package's scripts would inherit.
NoNewPrivileges=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
MemoryMax=90%
TasksMax=4096
OOMPolicy=continue"""
_BESIDES = """\
# It installs nothing: the system itself stays as it is.
ProtectSystem=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes"""

_TEXTS = {
    RECOVER: """\
# Finishes or undoes what a crash interrupted, before the agent starts. Needs no network.
[Unit]
Description=Recover an interrupted puppetmaster-self
Before=puppet.service puppetserver.service
After=local-fs.target systemd-tmpfiles-setup.service

[Service]
Type=oneshot
ExecStart=%s recover
%a
TimeoutStartSec=1h

[Install]
WantedBy=multi-user.target
""",
    WATCH: """\
# Goes back to the central master when the own one has been dead for self_master.dead_after,
# or when LDAP has taken back the class that asked for it.
[Unit]
Description=Watch over the instance's own Puppet master

[Service]
Type=oneshot
ExecStart=%s recover --watch
%a
TimeoutStartSec=1h
""",
    TIMER: """\
[Unit]
Description=Watch over the instance's own Puppet master

[Timer]
OnActiveSec=%l
OnUnitInactiveSec=%l
AccuracySec=5s

[Install]
WantedBy=timers.target
""",
    SYNC: """\
# Brings the local patches onto the central branch. Its result: puppetmaster-self status.
[Unit]
Description=Sync the instance's local patches with upstream
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=%s sync --scheduled
%a
%b
TimeoutStartSec=1h
Nice=10
""",
    SYNC_TIMER: """\
[Unit]
Description=Sync the instance's local patches with upstream

[Timer]
OnActiveSec=%i
OnUnitInactiveSec=%i
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
""",
}
_SHORTEST = 60.0


def texts(program: tuple[str, ...], interval: float = 3600.0) -> dict[str, str]:
    """Return unit → text, running `program`, with a sync every `interval` seconds. Pure.

    Raise `UsageError` for a path that cannot be used in a unit.
    """
    for word in program:
        if not word.isprintable() or any(character in word for character in " \"'\\%$;"):
            raise UsageError(f"{word!r} cannot be used in a unit; use a path without spaces and quotes")
    every = f"{max(interval, _SHORTEST):.0f}"
    values = {"%a": _AS, "%b": _BESIDES, "%s": " ".join(program), "%i": every, "%l": f"{INTERVAL:.0f}"}
    return {name: re.sub("%[absil]", lambda match: values[match[0]], text) for name, text in _TEXTS.items()}


@dataclass(frozen=True)
class Units(Step):
    """Puts the units in place. First to be done, so last to be undone."""

    program: tuple[str, ...]
    interval: float = 3600.0
    """Seconds between two syncs."""
    name: ClassVar[str] = "units"

    def summary(self) -> str:
        return f"watch over the change: {RECOVER}, {TIMER}"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        places = {machine.places.units / wants for wants in _WANTS.values()}
        return {"made": sorted(str(place) for place in places if not place.exists())}

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        directory = machine.places.units
        for name, text in texts(self.program, self.interval).items():
            whole_file.write(directory / name, text.encode(), mode=0o644, survives=Strength.POWER_CUT)
        for name, wants in _WANTS.items():
            (directory / wants).mkdir(exist_ok=True)
            link = directory / wants / name
            if not link.is_symlink():
                link.symlink_to(directory / name)
        machine.run("systemctl", "daemon-reload", timeout=_TIMEOUT)
        for name in (TIMER, SYNC_TIMER):
            machine.run("systemctl", "start", name, timeout=_TIMEOUT)
        return counted(len(_TEXTS), "unit")

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Take the units away."""
        directory = machine.places.units
        for name in (TIMER, SYNC_TIMER):
            if (directory / name).exists():
                machine.ask("systemctl", "stop", name, timeout=_TIMEOUT)
        for name, wants in _WANTS.items():
            (directory / wants / name).unlink(missing_ok=True)
        for name in _TEXTS:
            (directory / name).unlink(missing_ok=True)
        whole_file.collect(directory)  # what we were killed with on the way
        for place in remembered["made"]:
            try:
                Path(place).rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                # Somebody else may have a link in there by now.
                if error.errno != errno.ENOTEMPTY:
                    raise
        machine.run("systemctl", "daemon-reload", timeout=_TIMEOUT)
        return []
