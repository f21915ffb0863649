"""An instance on its way to its own master and back: what it says of itself, awaited; what it leaves; a power cut.

Not here: the site (self_master_site.py), and what is right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.machine_look import SELF_MASTER, differing, look
from tests.support.machines import Machine
from tests.support.self_master_site import NAME, SELF, agent, done

JOURNAL = "/var/lib/puppetmaster/self/transaction/journal.jsonl"


def status(machine: Machine) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(machine.run(SELF, "status", "--json").stdout or "{}")
    return document


def wait(machine: Machine, what: str, for_it: Callable[[], bool], seconds: float = 600) -> None:
    began = time.monotonic()
    while not for_it():
        if time.monotonic() - began > seconds:
            said = machine.run("journalctl", "-b", "-q", "--no-pager", "-n", "200", "-o", "short-monotonic")
            pytest.fail(f"{what}: not within {seconds:.0f} s; {status(machine)}\n{said.stdout[-12000:]}")
        time.sleep(1)
    print(f"{what}: after {time.monotonic() - began:.1f} s")


def until(machine: Machine, state: str) -> None:
    """Wait for a state; whenever the journal, from which it follows, has another text, the program is asked."""
    asked: str | None = None

    def reached() -> bool:
        nonlocal asked
        if (text := machine.read(JOURNAL)) == asked:
            return False
        asked = text
        return status(machine).get("state") == state

    wait(machine, f"until {state}", reached)


def left_over(machine: Machine, before: Mapping[str, str]) -> set[str]:
    return set(differing(dict(before), look(machine, SELF_MASTER))) - {"/var/lib/puppetmaster"}


def cut_off(machine: Machine, step: str, *there: str) -> None:
    """Cut the power in the middle of a step of `enable`, when `there` succeeds: at the next boot all is as before."""
    agent(machine)
    before = look(machine, SELF_MASTER)
    done(machine, "systemd-run", "--quiet", "--unit=by-hand", SELF, "enable")
    wait(machine, step, lambda: f'"step":"{step}"' in machine.read(JOURNAL))
    done(machine, "sh", "-c", 'until "$@"; do sleep 0.05; done', "sh", *there, timeout=300)
    machine.power_cut()
    machine.boot()
    until(machine, "client")
    assert status(machine)["ended"]["reason"] == "interrupted"
    wait(machine, "agent", lambda: machine.run("systemctl", "is-active", "puppet").stdout.strip() == "active")
    units = ("-u", "puppet.service", "-u", "puppetmaster-self-recover.service")
    said = done(machine, "journalctl", "-b", "-q", "--no-pager", "-o", "cat", *units)
    print(machine.run("dpkg", "--audit").stdout)
    recovered, began = said.index("recovered: was enabling"), said.index("Started puppet.service")
    assert recovered < began
    agent(machine)
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    assert {path for path in left_over(machine, before) if not path.startswith("/var/lib/cloud/")} == set()
    assert machine.run("find", "/usr", "-name", "*.dpkg-new").stdout == ""
