"""An instance on its way to its own master and back: what LDAP asks of it, what it says of itself, what it leaves.

A power cut on that way, too. Not here: the site (self_master_site.py), and what is right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.machine_look import SELF_MASTER, differing, look
from tests.support.machines import Machine
from tests.support.self_master_site import NAME, SELF, S, Site, agent, done
from tests.support.slapd import REPLACE

NODE = f"cn={NAME},ou=red,ou=hosts,{S}"
HAND_OVER = "puppetmaster-self-hand-over.service"
OFTEN = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=10\nOnUnitInactiveSec=10\n"
"""What lets the watch look each ten seconds: a drop-in of its timer."""
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


def assign(site: Site, *parameters: str, name: str = "puppetmaster::self") -> None:
    changes = {"puppetClass": [name] if name else [], "puppetmasterParameter": list(parameters)}
    site.slapd.modify(NODE, {attribute: [(REPLACE, values)] for attribute, values in changes.items()})


def in_ldap(site: Site) -> str:
    """Return what LDAP tells everybody about who serves the instance."""
    with site.slapd.connect() as connection:
        connection.search(NODE, "(objectClass=*)", attributes=["puppetmasterSelf"])
        return " ".join(connection.entries[0].entry_attributes_as_dict["puppetmasterSelf"])


def settled(machine: Machine) -> None:
    """Wait for the hand-over's end, which has something to say to LDAP still."""
    idle = ("inactive", "failed", "unknown")
    wait(machine, "hand-over", lambda: machine.run("systemctl", "is-active", HAND_OVER).stdout.strip() in idle)


def told(machine: Machine, unit: str) -> str:
    said = machine.run("journalctl", "-b", "-q", "--no-pager", "-o", "cat", "-u", unit).stdout
    print(f"--- {unit}\n{said[-5000:]}")
    return said


def left_over(machine: Machine, before: Mapping[str, str]) -> set[str]:
    return set(differing(dict(before), look(machine, SELF_MASTER))) - {"/var/lib/puppetmaster"}


def cut_off(machine: Machine, step: str, *there: str) -> None:
    """Cut the power in the middle of a step of `enable`, when `there` succeeds: at the next boot all is as before."""
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
    assert "recovered: was enabling" in said
    # The last step undone takes the unit away that the agent's service waits for; from then on it may begin.
    assert said.index("undo units") < said.index("Started puppet.service")
    agent(machine)
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    assert {path for path in left_over(machine, before) if not path.startswith("/var/lib/cloud/")} == set()
    assert machine.run("find", "/usr", "-name", "*.dpkg-new").stdout == ""
