"""What timer and hand-over decide by themselves: dead or alive, asked for or taken back, a run under way or not.

Real LDAP, answers and git on a scripted machine.
"""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enc.settings import Duration, Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname
from puppetmaster_self.standing.classified import SELF
from puppetmaster_self.standing.watch import watch
from puppetmaster_self.transaction.journal import alone
from puppetmaster_self.transaction.steps import agent
from puppetmaster_self.transaction.transaction import Stuck, WentBack, disable, enable, leave, recover
from tests.real.conftest import SlapdMaker
from tests.support.following import Following, add_node, add_project, node_dn
from tests.support.scripted_machine import ScriptedMachine, answering, self_signed
from tests.support.slapd import REPLACE
from tests.support.transports import free_port

NAME = Certname("web-1.example.org")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with answering(self_signed(tmp_path_factory.mktemp("certificate"))) as number:
        yield number


class Watched:
    """A self-master that LDAP asked for, its answers, and the timer's look at it."""

    def __init__(self, base: Path, following: Following, port: int, *, assigned: bool = True) -> None:
        self.following = following
        self.scripted = ScriptedMachine(base / "m", port)
        self.scripted.make()
        self.told: list[str] = []
        with alone(self.scripted.places.lock):
            opening = {**self.scripted.opening, "assigned": assigned}
            enable(self.scripted.journal, self.scripted.machine, self.scripted.steps(), print, opening)

    def settings(self, **own: object) -> Settings:
        self_master = dataclasses.replace(self.scripted.settings.self_master, **own)  # type: ignore[arg-type]
        return dataclasses.replace(self.following.settings, self_master=self_master)

    def look(self, **own: object) -> str:
        """Look once, as the timer does; return the state afterwards."""
        with alone(self.scripted.places.lock):
            watch(self.scripted.journal, self.scripted.machine, self.settings(**own), self.told.append)
        return self.scripted.journal.state

    def assign(self, *classes: str) -> None:
        self.following.slapd.modify(node_dn(NAME), {"puppetClass": [(REPLACE, list(classes))]})

    def follow(self) -> None:
        """Let the answers be what LDAP says."""
        self.following.start()
        self.following.end()


@pytest.fixture
def watched(tmp_path: Path, make_slapd: SlapdMaker, port: int) -> Watched:
    slapd = make_slapd()
    add_project(slapd, "alpha")
    add_node(slapd, NAME, puppetClass=[SELF, "other"])
    made = Watched(tmp_path, Following(tmp_path / "f", slapd), port)
    made.follow()
    return made


def test_taken_back_in_ldap(watched: Watched) -> None:
    assert watched.look() == "serving"
    watched.scripted.commit("# changed here\n")
    watched.assign("other")
    assert watched.look() == "serving", "its own classifier does not know it yet"
    watched.follow()
    assert watched.look() == "client"
    assert watched.scripted.served_by == "central"
    assert any("removed from this node in LDAP" in line for line in watched.told)
    assert any(line.startswith("and pushed as topic/demo/") for line in watched.told)
    ended = watched.scripted.journal.ended()
    assert ended is not None and ended.reason == ""


def ldap_is_away(watched: Watched) -> None:
    watched.following.slapd.stop()


def ldap_says_otherwise(watched: Watched) -> None:
    watched.assign(SELF)


def the_name_is_capital(watched: Watched) -> None:
    watched.assign("::Puppetmaster::Self")
    watched.follow()


def the_node_is_gone(watched: Watched) -> None:
    watched.following.slapd.delete(node_dn(NAME))


def the_node_is_gone_everywhere(watched: Watched) -> None:
    watched.following.slapd.delete(node_dn(NAME))
    watched.follow()


def the_answer_is_damaged(watched: Watched) -> None:
    place = watched.following.layout.nodes / f"{NAME}.yaml"
    place.write_text(place.read_text().replace("classes:", "classes: ["))


def the_answers_are_gone(watched: Watched) -> None:
    watched.following.layout.contact.unlink()


@pytest.mark.parametrize(
    "happens",
    [
        ldap_is_away,
        ldap_says_otherwise,
        the_name_is_capital,
        the_node_is_gone,
        the_node_is_gone_everywhere,
        the_answer_is_damaged,
        the_answers_are_gone,
    ],
)
def test_what_is_not_certain_takes_nothing_back(watched: Watched, happens: Callable[[Watched], None]) -> None:
    watched.assign("other")
    watched.follow()
    happens(watched)
    assert (watched.look(), watched.scripted.served_by) == ("serving", "own")


def test_who_enabled_it_by_hand_keeps_it(tmp_path: Path, watched: Watched, port: int) -> None:
    watched.assign("other")
    watched.follow()
    by_hand = Watched(tmp_path / "second", watched.following, port, assigned=False)
    assert by_hand.look() == "serving"


def test_without_the_central_master_it_stays_and_tries_later(watched: Watched) -> None:
    watched.assign("other")
    watched.follow()
    (watched.scripted.root / "central-is-away").touch()
    with pytest.raises(WentBack, match="remains its own master"):
        watched.look()
    entries = len(watched.scripted.journal.entries)
    assert watched.look() == "serving"
    assert len(watched.scripted.journal.entries) == entries, "not again at once"


def test_a_dead_master_is_left_after_its_time(watched: Watched) -> None:
    dead = free_port()
    assert watched.look(port=dead) == "serving"
    assert any("has not answered for 0 s; after 900 s the instance goes back" in line for line in watched.told)
    mark = watched.scripted.places.dead
    assert watched.look() == "serving" and not mark.exists(), "one answer is enough"
    # A mark of an earlier self-master does not count.
    mark.write_text('{"of": 1.0, "seconds": 1000000000.0, "looked": 0.0}')
    assert watched.look(port=dead) == "serving"
    assert watched.look(port=dead, dead_after=Duration(0)) == "client"
    assert (watched.scripted.served_by, mark.exists()) == ("central", False)
    ended = watched.scripted.journal.ended()
    assert ended is not None and "this instance's puppetserver has been down for" in ended.reason


def test_units_that_wait_for_the_recovery_are_stopped_too(watched: Watched) -> None:
    """At boot, systemd starts what `apply` had enabled; and the hand-over is never ended by its own work."""
    system = watched.scripted.root / "system"
    (system / "queued").mkdir()
    for unit in ("puppetserver.service", "puppetmaster-follower.service", "puppetmaster-self-hand-over.service"):
        (system / "active" / unit).unlink(missing_ok=True)
        (system / "queued" / unit).touch()
    (system / "active/puppetmaster-self-hand-over.service").touch()
    with alone(watched.scripted.places.lock):
        disable(watched.scripted.journal, watched.scripted.machine, lambda: None, lambda: None, print)
    assert [path.name for path in (system / "queued").iterdir()] == ["puppetmaster-self-hand-over.service"]
    assert (system / "active/puppetmaster-self-hand-over.service").exists()


def test_an_undo_that_fails_twice_ends_with_the_agent_running(watched: Watched) -> None:
    """What decides who serves is undone out of its turn, and again in its turn: `resume` stops what `pause` starts."""
    scripted = watched.scripted
    running, program = scripted.root / "system/active/puppet.service", scripted.root / "bin/systemctl"
    whole = program.read_text()
    broken = whole.replace("stop) for", "stop) [ $unit != puppet.service ] || exit 1; for")
    assert broken != whole
    program.write_text(broken)
    with alone(scripted.places.lock), pytest.raises(Stuck, match="resume could not be undone"):
        leave(scripted.journal, scripted.machine, "dead", print)
    assert running.exists() and scripted.served_by == "central"
    program.write_text(whole)
    with alone(scripted.places.lock):
        assert recover(scripted.journal, scripted.machine, print)
    assert (scripted.journal.state, running.exists()) == ("client", True)


# A run under way


@pytest.fixture
def scripted(tmp_path: Path, port: int) -> ScriptedMachine:
    made = ScriptedMachine(tmp_path / "m", port)
    made.make()
    return made


def test_the_hand_over_waits_for_the_run(scripted: ScriptedMachine) -> None:
    words = ["bash", "-c", "exec -a 'puppet agent: applying configuration' sleep 600"]
    with subprocess.Popen(words) as run:
        wait_for_name(run.pid, b"puppet agent")
        (scripted.root / "run.lock").write_text(str(run.pid))
        with pytest.raises(ToolkitError, match="still under way"):
            agent.await_end(scripted.machine, limit=0.1)
        threading.Timer(0.5, run.kill).start()
        agent.await_end(scripted.machine)
        assert run.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("content", ["", "999999999", "{}", "self"])
def test_a_lock_that_a_crash_left_is_no_run(scripted: ScriptedMachine, content: str) -> None:
    with subprocess.Popen(["sleep", "600"]) as another:
        (scripted.root / "run.lock").write_text(str(another.pid) if content == "self" else content)
        agent.await_end(scripted.machine, limit=0.1)
        another.terminate()


def wait_for_name(process: int, name: bytes) -> None:
    deadline = time.monotonic() + 60
    while name not in Path(f"/proc/{process}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
