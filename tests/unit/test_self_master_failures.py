"""Failures that are not kills, at every step of `enable`, `disable` and `recover`: the tests' names are the table.

While the trouble lasts somebody serves the instance, and the agent's service
runs; when it is over, the machine is as before, or `recover` brings it there.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from enc.commands.call import Call
from enc.settings import Duration
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName
from puppetmaster_self.instance.machine import Machine, Places, ProgramFailed
from puppetmaster_self.standing import watch as watching
from puppetmaster_self.standing.watch import Dead, watch
from puppetmaster_self.sync.patch_repository import PatchRepository
from puppetmaster_self.sync.snapshots import Snapshots
from puppetmaster_self.transaction import departure
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.preflight import judge
from puppetmaster_self.transaction.signals import interruptible, uninterrupted
from puppetmaster_self.transaction.steps import STEPS, agent, packages
from puppetmaster_self.transaction.steps.master import answers
from puppetmaster_self.transaction.steps.repository import Repository
from puppetmaster_self.transaction.transaction import Stuck, WentBack, disable, enable, leave, recover
from tests.support.certificates import Authority
from tests.support.disks import files_end_at
from tests.support.scripted_machine import AUTHOR, ScriptedMachine, answering, run, self_signed
from tests.support.self_master_troubles import TROUBLES, UNHEARD, Tell, Walk
from tests.support.transports import free_port
from tests.unit.test_self_master import FACTS, SETTINGS

YEARS = 10 * 365 * 86_400.0
SAY = Call(argparse.Namespace(), Path("/none")).say
MEMORY = Path("/dev/shm")
"""Hundreds of lines are synced, and a disk would take as long for each as all the rest."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with answering(self_signed(tmp_path_factory.mktemp("certificate"))) as number:
        yield number


@pytest.fixture(scope="module")
def results(port: int) -> Iterator[dict[tuple[str, str, str], str]]:
    """Walk there, and back by `disable` and by a recovery; return what was wrong, by act, step and trouble."""
    heard, (reading, writing) = sys.stderr, os.pipe()
    os.close(reading)
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        sys.stderr = os.fdopen(writing, "w", buffering=1)
        try:
            yield walked(ScriptedMachine(Path(place) / "m", port))
        finally:
            sys.stderr = heard


def walked(scripted: ScriptedMachine) -> dict[tuple[str, str, str], str]:
    scripted.make()
    before = scripted.look()
    found: dict[tuple[str, str, str], str] = {}

    def walk(name: str, act: object) -> None:
        one = Walk(scripted, SAY, before)
        one.go(act)  # type: ignore[arg-type]
        found.update({(name, *key): wrong for key, wrong in one.results.items()})

    def there(journal: Journal, machine: Machine, tell: Tell) -> None:
        enable(journal, machine, scripted.steps(), tell, scripted.opening)

    def back(journal: Journal, machine: Machine, tell: Tell) -> None:
        def keep_commits() -> None:
            departure.keep_commits(journal, machine, scripted.settings)

        disable(journal, machine, keep_commits, lambda: str(agent.run(machine, "--noop", timeout=60)) and None, tell)

    def recovery(journal: Journal, machine: Machine, tell: Tell) -> None:
        recover(journal, machine, tell)

    walk("enable", there)
    walk("disable", back)
    assert (scripted.journal.state, scripted.look()) == ("client", before)
    enable(scripted.journal, scripted.machine, scripted.steps(), SAY, scripted.opening)
    scripted.journal.enter("returning", time.time(), "killed")
    walk("recover", recovery)
    assert (scripted.journal.state, scripted.look()) == ("client", before)
    return found


@pytest.mark.parametrize("trouble", [UNHEARD, *TROUBLES])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("act", ["enable", "disable", "recover"])
def test_nothing_is_left_wrong(results: dict[tuple[str, str, str], str], act: str, step: str, trouble: str) -> None:
    assert results[act, step, trouble] == ""


# A clock that is set


def test_a_clock_that_jumps_both_ways_at_every_step_changes_nothing(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = ScriptedMachine(tmp_path / "m", port)
    scripted.make()
    before, whole, told = scripted.look(), time.time, list[str]()

    def tell(line: str) -> None:
        told.append(line)
        offset = YEARS * (1 if len(told) % 2 else -1)
        monkeypatch.setattr(time, "time", lambda: whole() + offset)

    for _ in range(2):
        enable(scripted.journal, scripted.machine, scripted.steps(), tell, scripted.opening)
        assert (scripted.journal.state, scripted.served_by) == ("serving", "own")
        disable(scripted.journal, scripted.machine, lambda: None, lambda: None, tell)
        assert (scripted.journal.state, scripted.look()) == ("client", before)
    took = [float(line.rpartition("(")[2].removesuffix(" s)")) for line in told if line.endswith(" s)")]
    assert len(took) == 2 * len(STEPS) and all(0 <= seconds < YEARS / 2 for seconds in took)


def test_the_last_journal_is_the_last_one_whatever_the_clock_says(tmp_path: Path) -> None:
    for at, reason in [*((YEARS + number, "of a clock that was ahead") for number in range(25)), (1000.0, "the last")]:
        journal = Journal(tmp_path / "transaction")
        journal.open("enabling", at)
        journal.enter("returning", at, reason)
        journal.close(at)
        ended = Journal(journal.directory).ended()
        assert ended is not None and ended == (at, reason)
    assert len(list((tmp_path / "transaction/history").iterdir())) == 20


def test_what_is_kept_never_takes_the_place_of_what_was_kept_before(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert places.kept_from(1000.7) == places.kept / "1000"
    for second in ("1000", "1001"):
        (places.kept / second).mkdir(parents=True)
    assert places.kept_from(1000.2) == places.kept / "1002"


def test_the_newest_former_state_is_the_last_one_whatever_the_clock_says(tmp_path: Path) -> None:
    run("git", "init", "-q", "-b", "local", str(tmp_path))
    repository, taken = PatchRepository(tmp_path), []
    for at in (1000.0, 1000.0, YEARS, 2000.0, 2001.0):
        run("git", "-C", str(tmp_path), *AUTHOR, "commit", "-q", "--allow-empty", "-m", str(at))
        commit = repository.commits.tip("refs/heads/local")
        assert commit is not None
        taken.append(Snapshots(repository).take(commit, at))
        assert repository.refs.snapshots()[0].commit == commit
    assert sorted(taken) == taken and len(set(taken)) == 5


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [
        ([0.0, 60.0, 120.0], 120.0),
        ([0.0, 28_860.0], 120.0),  # suspended for a night
        ([0.0, 28_860.0, 28_920.0], 180.0),
        ([9000.0, 60.0], 0.0),  # started anew
        ([0.0, 0.0], 0.0),
        ([0.0, 119.0, 239.5], 239.0),
    ],
)
def test_how_long_it_has_been_seen_dead(clock: list[float], seconds: float) -> None:
    dead = None
    for now in clock:
        dead = Dead.seen(dead, 1.0, now)
    assert dead is not None and dead.seconds == seconds
    assert Dead.seen(dead, 2.0, clock[-1] + 60).seconds == 0, "of another self-master"


@pytest.fixture
def serving(tmp_path: Path, port: int) -> ScriptedMachine:
    scripted = ScriptedMachine(tmp_path / "m", port)
    scripted.make()
    enable(scripted.journal, scripted.machine, scripted.steps(), SAY, scripted.opening)
    return scripted


def test_a_night_asleep_and_a_clock_that_is_set_tear_no_living_self_master_down(
    serving: ScriptedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = dataclasses.replace(serving.settings.self_master, port=free_port(), dead_after=Duration(300))
    settings = dataclasses.replace(serving.settings, self_master=own)
    wall, kernel = time.time(), time.monotonic()

    def look(step: float) -> str:
        nonlocal kernel
        kernel += step
        monkeypatch.setattr(time, "monotonic", lambda: kernel)
        watch(serving.journal, serving.machine, settings, SAY)
        return serving.journal.state

    # Down while it is started anew; in between the machine sleeps, and the clock is set there and back.
    assert look(0) == "serving"
    for offset in (YEARS, -YEARS, 0.0):
        monkeypatch.setattr(time, "time", lambda offset=offset: wall + offset)
        assert look(0) == "serving"
    assert look(28_860.0) == "serving"
    # One answer is enough to forget it.
    watch(serving.journal, serving.machine, serving.settings, SAY)
    assert not serving.places.dead.exists()
    assert [look(60.0) for _ in range(6)] == ["serving"] * 5 + ["client"]
    assert serving.served_by == "central"


def test_a_full_disk_keeps_no_dead_self_master(serving: ScriptedMachine) -> None:
    own = dataclasses.replace(serving.settings.self_master, port=free_port(), dead_after=Duration(0))
    settings = dataclasses.replace(serving.settings, self_master=own)
    with files_end_at(4096):  # puppet.conf finds room, and no line of the journal does
        watch(serving.journal, serving.machine, settings, SAY)
    assert (serving.journal.state, serving.served_by) == ("client", "central")


@pytest.mark.parametrize("since", [-60.0, YEARS])
def test_a_refused_way_back_is_tried_again_though_the_clock_was_set_back(since: float) -> None:
    assert watching.rests(1_000_000.0, 1_000_000.0 + since, "the central master was away") is (since < 0)
    assert not watching.rests(1_000_000.0, 999_940.0, "")


# A disk that is really full


@pytest.mark.parametrize("step", ["packages", "apply", "rehearsal", "switch"])
def test_a_disk_that_fills_up_is_left_as_it_was(tmp_path: Path, port: int, step: str) -> None:
    """Undoing makes room; until it has, there is the reserve."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32M,mode=0755", "tmpfs", place], check=True)
    try:
        scripted = ScriptedMachine(place / "m", port)
        scripted.make()
        before = scripted.look()

        def tell(line: str) -> None:
            if line.startswith(f"{step}:"):
                with (place / "filler").open("wb", buffering=0) as stream, suppress(OSError):
                    while stream.write(bytes(4096)) == 4096:
                        pass

        with pytest.raises(WentBack, match="No space left"):
            enable(scripted.journal, scripted.machine, scripted.steps(), tell, scripted.opening)
        assert (place / "filler").exists()
        assert (scripted.journal.state, scripted.served_by, scripted.look()) == ("client", "central", before)
        ended = scripted.journal.ended()
        assert ended is not None and "No space left" in ended.reason, "it is noted down, too"
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_bug_in_one_undo_leaves_the_agent_its_master(serving: ScriptedMachine) -> None:
    serving.journal.begin("packages", {}, 1.0)  # as another version would remember it
    with pytest.raises(Stuck, match="packages could not be undone"):
        leave(serving.journal, serving.machine, "it is dead", SAY)
    assert (serving.served_by, (serving.root / "system/active/puppet.service").exists()) == ("central", True)


# Programs of the way back


@pytest.mark.parametrize("ignored", [False, True])
def test_programs_of_the_way_back_can_be_ended_in_order(tmp_path: Path, ignored: bool) -> None:
    machine, former = Machine(Places(tmp_path)), signal.getsignal(signal.SIGTERM)
    try:
        if ignored:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for within in (uninterrupted, interruptible):
            with within():
                said = machine.run("grep", "SigIgn", "/proc/self/status", timeout=60).output
                mask = int(said.split()[1], 16)
                assert not any(mask >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGTERM, former)


def test_only_the_first_signal_interrupts_and_what_was_ignored_never_does() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), interruptible():
            os.kill(os.getpid(), signal.SIGHUP)  # nohup
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    os.kill(os.getpid(), number)
                reached = True
        assert reached and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


def test_a_hook_names_its_program_whatever_the_path_holds(tmp_path: Path, port: int) -> None:
    scripted = ScriptedMachine(tmp_path / "m", port)
    scripted.make()
    program = tmp_path / "it's $HOME; a {path}" / "deploy"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$1\" >>'{tmp_path}/deployed'\n")
    program.chmod(0o755)
    steps = [
        dataclasses.replace(step, deploy=(str(program), "two words")) if isinstance(step, Repository) else step
        for step in scripted.steps()
    ]
    enable(scripted.journal, scripted.machine, steps, SAY, scripted.opening)
    scripted.commit("# changed here\n")
    assert (tmp_path / "deployed").read_text() == "two words\n"


@pytest.mark.parametrize("base", ["/var/lib/a b", "/x/it's", "/x/$y", "relative", "/x/ü"])
def test_a_base_that_puppet_conf_cannot_hold_is_refused_before_anything(base: str) -> None:
    own = dataclasses.replace(SETTINGS.self_master, base=Path(base))
    found = [finding for finding in judge(FACTS, own) if finding.level == "fault"]
    assert len(found) == 1 and "self_master.base" in found[0].found


# Packages of others


def test_what_others_installed_later_stays_and_so_does_what_it_needs(serving: ScriptedMachine) -> None:
    packages = serving.root / "system/packages"
    (packages / "jenkins").touch()
    told: list[str] = []
    disable(serving.journal, serving.machine, lambda: None, lambda: None, told.append)
    assert serving.journal.state == "client"
    assert sorted(path.name for path in packages.iterdir()) == ["jenkins", "jre", "libc6", "puppet-agent"]
    assert "  jre and all new accounts stay: removing them would also remove jenkins, installed later" in told
    assert (serving.root / "system/users/puppet").exists()


def test_apt_says_what_would_go_along() -> None:
    """The real one; git needs perl."""
    taken = packages.removed_with(Machine(Places(Path("/none"))), "apt", ["perl"], 300.0)
    assert {"perl", "git"} <= taken


# Who answers


def test_only_the_own_puppetserver_answers_for_itself(tmp_path: Path) -> None:
    own, another = Authority.make(tmp_path / "own"), Authority.make(tmp_path / "another")
    machine = Machine(Places(tmp_path / "self"))
    (machine.places.ssl / "certs").mkdir(parents=True)
    # -1: the clock says that its time is over, which makes it no less alive.
    for authority, name, days, good in (
        *((own, "localhost", 30, True), (own, "localhost", -1, True)),
        *((another, "localhost", 30, False), (own, "web-2.example.org", 30, False)),
    ):
        certificate, key = authority.issue(name, days=days)
        both = tmp_path / "both.pem"
        both.write_text(certificate.read_text() + key.read_text())
        with answering(both) as port:
            assert not answers(machine, port) or (machine.places.ssl / "certs/ca.pem").exists()
            (machine.places.ssl / "certs/ca.pem").write_text(own.certificate.read_text())
            assert answers(machine, port) is good, (authority, name, days)


# Nobody's words


@pytest.mark.parametrize("status", [1, 4, 6])
def test_a_run_that_applied_nothing_is_tried_once_more_whatever_it_said(tmp_path: Path, status: int) -> None:
    puppet = tmp_path / "puppet"
    puppet.write_text(
        f"#!/bin/sh\necho run >>{tmp_path}/runs\n[ -e {tmp_path}/met ] || {{ : >{tmp_path}/met; exit {status}; }}\n"
    )
    puppet.chmod(0o755)
    machine = Machine(Places(tmp_path), path=f"{tmp_path}:/usr/bin:/bin")
    if status == 1:
        agent.run(machine, timeout=60)
    else:
        with pytest.raises(ProgramFailed):
            agent.run(machine, timeout=60)
    assert len((tmp_path / "runs").read_text().split()) == (2 if status == 1 else 1)


def test_git_speaks_any_language_when_a_branch_is_gone(tmp_path: Path) -> None:
    central, own = tmp_path / "central.git", tmp_path / "own.git"
    run("git", "init", "-q", "--bare", str(central))
    run("git", "init", "-q", "--bare", str(own))
    run("git", "-C", str(own), "remote", "add", "upstream", str(central))
    # A git whose words say nothing.
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\n{shutil.which("git")} "$@" 2>/dev/null\n')
    git.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{git.parent}:{path}"
    try:
        with pytest.raises(ToolkitError, match="no longer has branch project/red"):
            PatchRepository(own).central.fetch(BranchName("project/red"))
        shutil.rmtree(central)
        with pytest.raises(ToolkitError, match="cannot be fetched"):
            PatchRepository(own).central.fetch(BranchName("project/red"))
    finally:
        os.environ["PATH"] = path
