"""Several LDAP servers that replicate, and a follower that goes from one to another: the answers stay LDAP's.

FAILOVER_SEEDS=10 runs ten seeds instead of two, longer ones, and lets a minute pass after the last edit.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.following import KIND, Following, eventually
from tests.support.replicas import SUFFIX, Group, Replica
from tests.support.slapd import ADD, REPLACE, Refused

SEEDS = int(os.environ.get("FAILOVER_SEEDS", "0"))
HOSTS = f"ou=hosts,{SUFFIX}"
UNITS = {1: ("red", "pink"), 2: ("blue", "cyan"), 3: ("green", "lime")}
"""Projects by server; at any time one of each pair has the container of the server's nodes."""
SHAPES = [
    {"providers": 2},
    {"providers": 1, "replicas": 1},
    {"providers": 2, "delta": True},
    {"providers": 3},
    {"providers": 2, "replicas": 1},
    {"providers": 1, "replicas": 2},
    {"providers": 3, "delta": True},
]


def node(name: str, unit: str = "alpha") -> str:
    return f"cn={name}.example.org,ou={unit},{HOSTS}"


def add(server: Replica, name: str, unit: str = "alpha", **attributes: object) -> None:
    server.add(node(name, unit), {"objectClass": KIND, "cn": f"{name}.example.org", **attributes})


def add_project(server: Replica, name: str) -> None:
    classes = ["groupOfNames", "puppetClient", "puppetmasterClassification"]
    server.add(
        f"cn={name},ou=projects,{SUFFIX}",
        {"objectClass": classes, "member": f"uid=x,{SUFFIX}", "puppetClass": f"p::{name}"},
    )
    server.add(f"ou={name},{HOSTS}", {"objectClass": ["organizationalUnit"], "ou": name})


@contextmanager
def followed(group: Group, base: Path, first: Replica | None = None) -> Iterator[Following]:
    """Project alpha with nodes a, b and c, and a follower; `first` stands first in its list of servers."""
    writer = group.providers[0]
    add_project(writer, "alpha")
    for name in ("a", "b", "c"):
        add(writer, name, puppetClass="base")
    group.settle()
    uris = [server.uri for server in sorted(group.servers, key=lambda server: server is not first)]
    # A node that loses its project to a rename has no answer then; nor has it one from scratch.
    following = Following(base / "f", group, directory={"uris": uris}, answers={"on_bad_entry": "refuse"})
    following.start()
    try:
        yield following
    finally:
        following.end()


def test_what_the_first_server_takes_arrives_by_way_of_the_second(tmp_path: Path) -> None:
    """slapd sends nobody what it thinks that he wrote himself; a cookie of the first server would say just that."""
    with Group(tmp_path, providers=2) as group, followed(group, tmp_path) as following:
        first, second = group.providers
        first.modify(node("c"), {"puppetClass": [(ADD, ["before"])]})
        eventually(lambda: "before" in (following.classes("c.example.org") or ()), "followed at the first")
        first.end()
        eventually(lambda: following.log.read_text().count(second.uri) >= 4, "gone on at the second")
        first.start()
        group.settle()
        first.modify(node("a"), {"puppetClass": [(ADD, ["after"])]})
        first.delete(node("b"))
        group.settle()
        eventually(lambda: "after" in (following.classes("a.example.org") or ()), "a change at the first")
        eventually(lambda: following.text("b.example.org") is None, "a deletion at the first")
        following.current()


def test_a_replica_whose_own_link_is_broken_is_left_and_never_takes_anything_back(tmp_path: Path) -> None:
    with Group(tmp_path, providers=1, replicas=1) as group:
        provider, replica = group.servers
        with followed(group, tmp_path, first=replica) as following:
            replica.configure([])
            replica.end()
            eventually(lambda: provider.uri in following.log.read_text(), "gone on at the provider")
            provider.modify(node("a"), {"puppetClass": [(ADD, ["later"])]})
            provider.delete(node("b"))
            add(provider, "d")
            eventually(lambda: following.text("d.example.org"), "all is followed at the provider")
            eventually(lambda: following.text("b.example.org") is None, "all is followed at the provider")
            replica.start()
            provider.end()
            eventually(lambda: following.status().state == "behind", "the replica lags, and that is told")
            assert following.classes("a.example.org") == ["p::alpha", "base", "later"]
            assert following.text("b.example.org") is None
            assert following.text("d.example.org") is not None
            told = [trouble.message for trouble in following.status().troubles]
            assert any(replica.uri in words and "001" in words for words in told), told
            age = following.status().age
            time.sleep(1.5)
            assert (following.status().age or 0) > (age or 0), "connected, and not equal: the answers get older"
            provider.start()
            following.current()
            provider.modify(node("c"), {"puppetClass": [(ADD, ["more"])]})
            eventually(lambda: "more" in (following.classes("c.example.org") or ()), "the provider is followed again")
            following.end()
            following.start()  # at the replica, which is the first; the provider has more
            provider.modify(node("c"), {"puppetClass": [(ADD, ["most"])]})
            eventually(lambda: "most" in (following.classes("c.example.org") or ()), "moved to the provider")
            following.current()


def test_a_server_that_lost_changes_for_good_is_believed_after_a_while(tmp_path: Path) -> None:
    with Group(tmp_path, providers=1, replicas=1) as group:
        provider, replica = group.servers
        with followed(group, tmp_path) as following:
            replica.configure([])
            replica.end()
            replica.start()
            provider.delete(node("b"))
            eventually(lambda: following.text("b.example.org") is None, "followed")
            following.end()
            provider.end()
            text = following.configuration.read_text()
            following.configuration.write_text(text.replace("follow:", "follow:\n  patience: 2s", 1))
            following.start()
            eventually(lambda: following.text("b.example.org"), "the server that is left has b")
            following.assert_true()


class Trial:
    """Seeded edits, and servers that stop, die and come back."""

    def __init__(self, group: Group, seed: int) -> None:
        self._group, self._chance, self._number = group, random.Random(seed), 0

    def step(self) -> None:
        for _ in range(self._chance.randint(0, 3)):
            self._try()
        server = self._chance.choice(self._group.servers)
        if not server.runs:
            server.start()
        elif sum(other.runs for other in self._group.servers) > 1 or self._chance.random() < 0.3:
            server.end(self._chance.choice([signal.SIGTERM, signal.SIGKILL]))
        for _ in range(self._chance.randint(0, 3)):
            self._try()
        time.sleep(self._chance.choice([0, 0.3, 1.5]))

    def _try(self) -> None:
        with suppress(Refused):  # a server that catches up may take an entry away under our hands
            self._edit()

    def _edit(self) -> None:
        """Change something that only this server changes: how servers settle conflicts is not the matter here."""
        running = [server for server in self._group.providers if server.runs]
        if not running:
            return
        server, chance = self._chance.choice(running), self._chance
        self._number += 1
        dns = [dn for dn, _ in server.content().values()]
        here, there = (f"ou={name},{HOSTS}" for name in chance.sample(UNITS[server.number], 2))
        unit = here if here in dns else there
        names = sorted(dn for dn in dns if dn.endswith("," + unit))
        kind = chance.choice(["add", "modify", "modify", "delete", "project", "rename", "above"])
        if kind == "add" or not names:
            name = f"n{self._number}.example.org"
            server.add(f"cn={name},{unit}", {"objectClass": KIND, "cn": name})
        elif kind == "modify":
            server.modify(chance.choice(names), {"puppetClass": [(REPLACE, [f"c{self._number}"])]})
        elif kind == "delete":
            server.delete(chance.choice(names))
        elif kind == "project":
            project = f"cn={UNITS[server.number][0]},ou=projects,{SUFFIX}"
            server.modify(project, {"puppetClass": [(REPLACE, [f"p{self._number}"])]})
        elif kind == "rename":
            server.rename(chance.choice(names), f"cn=r{self._number}.example.org")
        else:
            server.rename(unit, (there if unit == here else here).partition(",")[0])

    def end(self) -> None:
        for server in self._group.servers:
            if not server.runs:
                server.start()


@pytest.mark.parametrize("seed", range(SEEDS or 2))
def test_seed(tmp_path: Path, seed: int) -> None:
    with Group(tmp_path, **SHAPES[seed % len(SHAPES)]) as group, followed(group, tmp_path) as following:  # type: ignore[arg-type]
        for number in range(1, len(group.providers) + 1):
            for name in UNITS[number]:
                add_project(group.providers[0], name)
            group.providers[0].delete(f"ou={UNITS[number][1]},{HOSTS}")
        group.settle()
        trial = Trial(group, seed)
        for _ in range(25 if SEEDS else 6):
            trial.step()
        trial.end()
        server = group.truth(45)
        if server is None:  # each lacks something of another, for good: that has to be told
            eventually(lambda: following.status().state == "behind", "told that no server has all")
            return
        if SEEDS:
            time.sleep(60)
            assert following.all_on_disk() == following.from_scratch(server.uri)
        following.assert_true(server.uri)
        following.current()
        status = following.status()
        assert (status.state, status.troubles) == ("current", ())
