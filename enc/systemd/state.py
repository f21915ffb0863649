"""What systemd says about units: asked in one call of systemctl, which needs no rights and changes nothing.

`asked` returns None where systemd does not run the machine (sd_booted(3)): a container, a chroot, another init. Then
nobody knows whether a service should run. A systemctl that gives no answer is that, too.

Not here: what follows from it (enc/doctor/services.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_BOOTED = Path("/run/systemd/system")
_PATIENCE = 20.0
_ASKED = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "MainPID", "User"),
    *("ExecMainStatus", "ActiveEnterTimestampMonotonic", "NeedDaemonReload"),
)


@dataclass(frozen=True, slots=True)
class UnitState:
    """How one unit is (systemctl(1), `show`; org.freedesktop.systemd1(5))."""

    unit: str
    load: str
    """`loaded`, `not-found`, `masked`, or why it could not be read."""
    active: str
    """`active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`."""
    sub: str
    file: str
    """`enabled`, `disabled`, `static` … as `systemctl is-enabled` says; empty: there is no file."""
    result: str
    """How it ended the last time; `success`, also if it never ran."""
    restarts: int
    """How often systemd has started it again by itself."""
    pid: int
    """Of its main process; 0: none."""
    user: str
    """As whom it runs; empty: root."""
    status: int
    """Exit status of its last main process."""
    since: float
    """Seconds of the monotonic clock when it became active; 0: never."""
    stale: bool
    """Its file has changed, and systemd has not read it again."""


def asked(units: Iterable[str]) -> dict[str, UnitState] | None:
    """Return name → state of each of `units`; None: systemd cannot say."""
    names = tuple(units)
    if not _BOOTED.is_dir():
        return None
    command = ["systemctl", "show", f"--property={','.join(('Id', *_ASKED))}", "--", *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read(done.stdout, names) if done.returncode == 0 else None


def read(said: str, names: Iterable[str]) -> dict[str, UnitState] | None:
    """Return what `systemctl show` said about `names`, in their order; None: it said something else. Pure."""
    stanzas = [dict(line.split("=", 1) for line in text.splitlines() if "=" in line) for text in said.split("\n\n")]
    asked_for = tuple(names)
    if len(stanzas) != len(asked_for):
        return None
    return {name: _state(name, stanza) for name, stanza in zip(asked_for, stanzas, strict=True)}


def _state(name: str, said: Mapping[str, str]) -> UnitState:
    return UnitState(
        unit=name,
        load=said.get("LoadState", ""),
        active=said.get("ActiveState", ""),
        sub=said.get("SubState", ""),
        file=said.get("UnitFileState", ""),
        result=said.get("Result", "success"),
        restarts=_number(said.get("NRestarts", "")),
        pid=_number(said.get("MainPID", "")),
        user=said.get("User", ""),
        status=_number(said.get("ExecMainStatus", "")),
        since=_number(said.get("ActiveEnterTimestampMonotonic", "")) / 1e6,
        stale=said.get("NeedDaemonReload") == "yes",
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
