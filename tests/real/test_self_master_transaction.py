"""The self-master's transaction on real files: there and back, made to fail and killed at every step."""

from __future__ import annotations

import argparse
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enc.commands.call import Call
from git_hooks.cli import main as branch_manager
from puppetmaster_self.commands.session import settle
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction import departure
from puppetmaster_self.transaction.journal import Journal, alone
from puppetmaster_self.transaction.steps import agent
from puppetmaster_self.transaction.transaction import Stuck, WentBack, disable, enable, leave, recover
from tests.support.scripted_machine import AUTHOR, ScriptedMachine, answering, run, self_signed

EFFECTS = frozenset(
    {
        *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.symlink", "os.truncate"),
        *("os.utime", "subprocess.Popen", "shutil.copyfile", "shutil.rmtree"),
    }
)
WHOLE = os.environ.get("SELF_MASTER_KILLS") == "all"
POINTS = 24
"""So many points of each way are tried; with SELF_MASTER_KILLS=all, every one."""

RESERVE = shutil.ignore_patterns("reserve")
"""Room for the way back; to copy it a hundred times takes longer than all the rest."""

JOURNALS = Path(__file__).parents[1] / "cases/self_master/journals"
"""Written by the first version that was given to others, on a machine like these; later versions must undo them."""

LATER = frozenset({"reading"})
"""Steps that version did not have; they look only."""

Act = Callable[[ScriptedMachine, Journal, Machine], None]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with answering(self_signed(tmp_path_factory.mktemp("certificate"))) as number:
        yield number


@pytest.fixture
def scripted(tmp_path: Path, port: int) -> ScriptedMachine:
    made = ScriptedMachine(tmp_path / "m", port)
    made.make()
    return made


def quiet(text: str) -> None:
    del text


def do_enable(scripted: ScriptedMachine, journal: Journal, machine: Machine) -> None:
    enable(journal, machine, scripted.steps(), quiet, scripted.opening)


def do_disable(scripted: ScriptedMachine, journal: Journal, machine: Machine) -> None:
    def before() -> None:
        departure.keep_commits(journal, machine, scripted.settings)

    disable(journal, machine, before, lambda: _central_serves(machine), quiet)


def _central_serves(machine: Machine) -> None:
    agent.run(machine, "--noop", timeout=60)


def do_recover(scripted: ScriptedMachine, journal: Journal, machine: Machine) -> None:
    del scripted
    recover(journal, machine, quiet)


def perform(scripted: ScriptedMachine, act: Act) -> None:
    with alone(scripted.places.lock, wait=60) as handle:
        scripted.machine.lock_handle = handle
        act(scripted, scripted.journal, scripted.machine)


def in_child(scripted: ScriptedMachine, act: Act, hook: Callable[[str, tuple[object, ...]], None]) -> int:
    """Run `act` in a process of its own under an audit hook; return its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 9
        try:
            sys.addaudithook(hook)
            perform(scripted, act)
            status = 0
        except WentBack:
            status = 1
        except Stuck:
            status = 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_effect(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return event in EFFECTS


def count_effects(scripted: ScriptedMachine, act: Act) -> int:
    reading, writing = os.pipe()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if is_effect(event, arguments):
            os.write(writing, b".")

    assert in_child(scripted, act, hook) == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        return len(stream.read())


def kill_at(number: int) -> Callable[[str, tuple[object, ...]], None]:
    left = [number]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if is_effect(event, arguments):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def fail_at(number: int) -> Callable[[str, tuple[object, ...]], None]:
    left = [number]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if is_effect(event, arguments):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "no space left, says the test")

    return hook


def short_of_room(journal: Path, number: int) -> Callable[[str, tuple[object, ...]], None]:
    """Let one line of the journal find room for five bytes only; what follows finds room, and soon a kill."""
    lines, more, limits = [number], [12], resource.getrlimit(resource.RLIMIT_FSIZE)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if not is_effect(event, arguments) or not journal.exists():
            return
        if resource.getrlimit(resource.RLIMIT_FSIZE) != limits:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        lines[0] -= event == "open" and str(arguments[0]) in (str(journal), journal.name)
        if lines[0] == 0:
            lines[0] = -1
            resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 5, limits[1]))
        elif lines[0] < 0:
            more[0] -= 1
            if more[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def points(total: int) -> list[int]:
    stride = 1 if WHOLE else max(1, total // POINTS)
    return list(range(1, total + 1, stride))


def copies(scripted: ScriptedMachine, total: int) -> Iterator[tuple[int, ScriptedMachine]]:
    """Give the machine as it is, at the same place each time, once for each point."""
    saved = scripted.root.with_name("saved")
    shutil.copytree(scripted.root, saved, symlinks=True, ignore=RESERVE)
    for number in points(total):
        shutil.rmtree(scripted.root)
        shutil.copytree(saved, scripted.root, symlinks=True, ignore=RESERVE)
        yield number, scripted


def test_there_and_back(scripted: ScriptedMachine) -> None:
    before = scripted.look()
    perform(scripted, do_enable)
    assert (scripted.journal.state, scripted.served_by) == ("serving", "own")
    assert (scripted.root / "runs").read_text().split() == ["own", "own"]
    scripted.commit("# changed here\n")
    tip = run("git", "-C", str(scripted.places.repository), "rev-parse", "local")
    assert tip == run("git", "-C", str(scripted.settings.self_master.working_copy), "rev-parse", "HEAD")
    perform(scripted, do_disable)
    assert (scripted.journal.state, scripted.served_by) == ("client", "central")
    assert scripted.look() == before
    # The commit is in the central repository and in a bundle that can be read without us.
    branches = run("git", "-C", str(scripted.upstream), "branch", "--contains", tip)
    assert branches.startswith("topic/demo/web-1-")
    (bundle,) = scripted.places.kept.glob("*/local.bundle")
    assert tip in run("git", "-C", str(scripted.upstream), "bundle", "list-heads", str(bundle))
    # And once more, with the earlier commits at hand.
    perform(scripted, do_enable)
    assert run("git", "-C", str(scripted.places.repository), "for-each-ref", "--contains", tip, "refs/kept")
    perform(scripted, do_disable)
    assert scripted.look() == before


def test_killed_at_every_point_of_enable(scripted: ScriptedMachine) -> None:
    before = scripted.look()
    total = count_effects(scripted, do_enable)
    perform(scripted, do_disable)
    shutil.rmtree(scripted.places.base)
    assert total > 100
    for number, machine in copies(scripted, total):
        assert in_child(machine, do_enable, kill_at(number)) == -signal.SIGKILL, number
        assert machine.served_by != "nobody", number
        perform(machine, do_recover)
        assert (machine.journal.state, machine.look() == before) in (("client", True), ("serving", False)), number
        assert machine.served_by == ("central" if machine.journal.state == "client" else "own"), number


def test_failing_at_every_point_of_enable(scripted: ScriptedMachine) -> None:
    before = scripted.look()
    total = count_effects(scripted, do_enable)
    perform(scripted, do_disable)
    shutil.rmtree(scripted.places.base)
    for number, machine in copies(scripted, total):
        status = in_child(machine, do_enable, fail_at(number))
        assert status in (0, 1, 9), number
        if machine.journal.state != "serving":  # a failure that git or a script outlives is none
            perform(machine, do_recover)  # what could not even be noted down stays open, for the next start
            assert (machine.journal.state, machine.look()) == ("client", before), number
        assert machine.served_by != "nobody", number


def test_a_journal_whose_line_found_no_room_leads_back_all_the_same(scripted: ScriptedMachine) -> None:
    before = scripted.look()
    journal = scripted.places.transaction / "journal.jsonl"
    for number in (3, 10, 15):
        assert in_child(scripted, do_enable, short_of_room(journal, number)) == -signal.SIGKILL, number
        assert scripted.journal.state == "returning", number
        perform(scripted, do_recover)
        assert (scripted.journal.state, scripted.look()) == ("client", before), number


def test_killed_at_every_point_of_disable(scripted: ScriptedMachine) -> None:
    for number, status in disabling(scripted, kill_at):
        assert status == -signal.SIGKILL, number


def test_failing_at_every_point_of_disable(scripted: ScriptedMachine) -> None:
    for number, status in disabling(scripted, fail_at):
        # 0: a failure that git or a script outlives, or of the push; 1: refused; 2: stuck; 9: not even noted down.
        assert status in (0, 1, 2, 9), number


def disabling(
    scripted: ScriptedMachine, at: Callable[[int], Callable[[str, tuple[object, ...]], None]]
) -> Iterator[tuple[int, int]]:
    """Let `disable` meet something at every point, and give point and exit status; what follows must lead back."""
    before = scripted.look()
    perform(scripted, do_enable)
    scripted.commit("# changed here\n")
    tip = run("git", "-C", str(scripted.places.repository), "rev-parse", "local")
    saved = scripted.root.with_name("enabled")
    shutil.copytree(scripted.root, saved, symlinks=True, ignore=RESERVE)
    total = count_effects(scripted, do_disable)
    shutil.rmtree(scripted.root)
    saved.rename(scripted.root)
    for number, machine in copies(scripted, total):
        yield number, in_child(machine, do_disable, at(number))
        assert machine.served_by != "nobody", number
        perform(machine, do_recover)
        if machine.journal.state == "serving":
            assert machine.served_by == "own", number
            perform(machine, do_disable)
        assert (machine.journal.state, machine.served_by) == ("client", "central"), number
        assert machine.look() == before, number
        bundles = list(machine.places.kept.glob("*/local.bundle"))
        assert any(tip in run("git", "-C", str(machine.upstream), "bundle", "list-heads", str(b)) for b in bundles)


@pytest.mark.parametrize("archives", [True, False])
def test_power_cut_while_a_package_is_unpacked(scripted: ScriptedMachine, archives: bool) -> None:
    before = scripted.look()
    if archives:
        (scripted.root / "archives").touch()
    (scripted.root / "power-cut").touch()
    assert in_child(scripted, do_enable, lambda event, arguments: None) == -signal.SIGKILL
    assert (scripted.root / "system/packages/jre").read_text() == "iHR"
    told: list[str] = []
    assert recover(scripted.journal, scripted.machine, told.append)
    assert (scripted.journal.state, scripted.look()) == ("client", before)
    assert any("new files of jre may be left" in line for line in told) is not archives


@pytest.mark.parametrize(("act", "number", "then"), [(do_enable, 60, "client"), (do_disable, 8, "serving")])
def test_the_next_call_first_settles_what_was_interrupted(
    scripted: ScriptedMachine, act: Act, number: int, then: str
) -> None:
    before = scripted.look()
    if act is do_disable:
        perform(scripted, do_enable)
        before = scripted.look()
    assert in_child(scripted, act, kill_at(number)) == -signal.SIGKILL
    interrupted = scripted.journal.state
    assert interrupted in ("enabling", "disabling")
    for dry_run in (True, False):
        call = Call(argparse.Namespace(dry_run=dry_run), Path("/none"))
        perform(scripted, lambda _, journal, machine, call=call: settle(call, journal, machine))  # type: ignore[misc]
        assert scripted.journal.state == (interrupted if dry_run else then)
    assert scripted.look() == before


@pytest.mark.parametrize(
    "obstacle, step", [("no-packages", "packages"), ("no-deploy", "deploy"), ("srv/puppet", "repository")]
)
def test_a_step_that_fails_leads_back(scripted: ScriptedMachine, obstacle: str, step: str) -> None:
    (scripted.root / obstacle).mkdir(parents=True)
    before = scripted.look()
    told: list[str] = []
    with pytest.raises(WentBack, match="everything is as it was before"):
        enable(scripted.journal, scripted.machine, scripted.steps(), told.append, scripted.opening)
    assert told[-1].startswith("undo units") and any(line.startswith(f"{step}:") for line in told)
    assert (scripted.look(), scripted.journal.state) == (before, "client")


def test_a_central_master_that_does_not_serve_keeps_us_here(scripted: ScriptedMachine) -> None:
    perform(scripted, do_enable)
    enabled = scripted.look()
    (scripted.root / "central-is-away").touch()
    with pytest.raises(WentBack, match=r"remains its own master, because: .*no route to it"):
        perform(scripted, do_disable)
    assert (scripted.journal.state, scripted.served_by, scripted.look()) == ("serving", "own", enabled)
    (scripted.root / "central-is-away").unlink()
    perform(scripted, do_disable)
    assert (scripted.journal.state, scripted.served_by) == ("client", "central")


def test_evidence_stays_until_everything_is_undone(scripted: ScriptedMachine) -> None:
    before = scripted.look()
    perform(scripted, do_enable)
    (scripted.root / "no-packages").touch()
    with pytest.raises(Stuck, match="packages could not be undone"):
        perform(scripted, do_disable)
    assert scripted.journal.state == "returning"
    assert {begun.step for begun in scripted.journal.standing()} == {"packages", "base", "snapshot", "pause", "units"}
    # The agent is served all the same, by its service, too.
    assert scripted.served_by == "central" and (scripted.root / "system/active/puppet.service").exists()
    (scripted.root / "no-packages").unlink()
    perform(scripted, do_recover)
    assert (scripted.journal.state, scripted.look()) == ("client", before)


def test_amending_and_rebasing_say_nothing_of_refusals(scripted: ScriptedMachine) -> None:
    perform(scripted, do_enable)
    copy, own = str(scripted.settings.self_master.working_copy), scripted.places.repository

    def typed(*words: str, status: int = 0) -> str:
        """Return all that git says to who types it."""
        command = ["git", "-C", copy, "-c", "user.name=Bob", "-c", "user.email=b@example.org", *words]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GIT_EDITOR": "true"})
        assert done.returncode == status, done
        return done.stdout + done.stderr

    def live() -> bool:
        return run("git", "-C", str(own), "rev-parse", "local") == typed("rev-parse", "HEAD").strip()

    scripted.commit("# first\n")
    assert live()
    said = typed("commit", "--quiet", "--amend", "-m", "first, in other words")
    assert live() and "reject" not in said and "hint" not in said, said
    for name in ("one", "two"):
        (scripted.settings.self_master.working_copy / name).write_text(name)
        typed("add", name)
        typed("commit", "--quiet", "-m", name)
        assert live()
    typed("branch", "base", "HEAD~3")
    for how in ("--merge", "--apply"):
        typed("checkout", "--quiet", "--detach", "base")
        (scripted.settings.self_master.working_copy / f"base-{how}").write_text(how)
        typed("add", ".")
        typed("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", how)
        typed("branch", "--force", "base", "HEAD")
        typed("checkout", "--quiet", "local")
        said = typed("rebase", how, "base")
        assert live() and "reject" not in said and "hint" not in said, said
    # Somebody else's push is not silently passed over.
    other = scripted.root / "other"
    run("git", "clone", "-q", "--branch=local", str(own), str(other))
    run("git", "-C", str(other), *AUTHOR, "commit", "-q", "--allow-empty", "-m", "theirs")
    run("git", "-C", str(other), "push", "-q", "origin", "HEAD:local")
    for fetched in (False, True):
        if fetched:
            typed("fetch", "--quiet", "origin")
        assert "reject" in typed("commit", "--quiet", "--allow-empty", "-m", "ours")


def test_work_of_others_stays(scripted: ScriptedMachine) -> None:
    perform(scripted, do_enable)
    copy = scripted.settings.self_master.working_copy
    (copy / "not-committed").write_text("precious\n")
    (scripted.root / "etc/puppet/theirs").write_text("theirs\n")
    (scripted.root / "etc/puppet/hiera.yaml").write_text("# edited by somebody\n")
    with (scripted.root / "etc/puppet/puppet.conf").open("a") as stream:
        stream.write("# a remark of somebody\n")
    perform(scripted, do_disable)
    kept = {path.name: path for path in scripted.places.kept.glob("*/**/*")}
    assert kept["not-committed"].read_text() == "precious\n"
    assert (scripted.root / "etc/puppet/theirs").read_text() == "theirs\n"
    assert kept["hiera.yaml"].read_text() == "# edited by somebody\n"
    assert (scripted.root / "etc/puppet/hiera.yaml").read_text() == "---\n"
    assert "remark of somebody" in kept["puppet.conf"].read_text()
    assert scripted.served_by == "central"


# Branches by the site's own names


@pytest.mark.parametrize("there", [True, False])
def test_the_sites_branch_comes_along_by_its_name_and_puppetserver_has_its_environment(
    scripted: ScriptedMachine, there: bool
) -> None:
    scripted.rules = ("main = production", "project/<name> = project_<name>", "try/<name>/<topic> = t_<name>_<topic>")
    if there:
        run("git", "-C", str(scripted.upstream), "branch", "main", "project/demo")
    before = scripted.look()
    perform(scripted, do_enable)
    heads = run("git", "-C", str(scripted.places.repository), "for-each-ref", "--format=%(refname)", "refs/heads")
    assert heads.split() == ["refs/heads/local", "refs/heads/main"][: 1 + there]
    # Empty, as long as nothing was deployed; puppetserver starts with it.
    assert list((scripted.places.environments / "production").iterdir()) == []
    assert branch_manager(["--config", str(scripted.places.configuration), "deploy"]) == 0
    shown = {path.name: path.is_symlink() for path in scripted.places.environments.iterdir() if path.name[0] != "."}
    assert shown == {"production": there, "project_demo": True}
    scripted.commit("# changed here\n")
    perform(scripted, do_disable)
    assert (scripted.journal.state, scripted.look()) == ("client", before)
    kept = run("git", "-C", str(scripted.upstream), "for-each-ref", "--format=%(refname)", "refs/heads/try")
    assert kept.startswith("refs/heads/try/demo/web-1-")


# Journals of an earlier version


def written_before(scripted: ScriptedMachine, name: str) -> list[str]:
    """Return the lines of the journal `name` as the earlier version would have written them on this machine."""
    text = (JOURNALS / f"{name}.jsonl").read_text()
    return text.replace("@ROOT@", str(scripted.root)).replace("@PORT@", str(scripted.port)).splitlines(keepends=True)


def replace_journal(scripted: ScriptedMachine, lines: list[str]) -> None:
    scripted.journal.path.write_text("".join(lines))


@pytest.mark.parametrize("name", ["serving", "disabling", "stayed", "returning"])
def test_a_journal_of_an_earlier_version_leads_back(scripted: ScriptedMachine, name: str) -> None:
    before = scripted.look()
    perform(scripted, do_enable)
    scripted.commit("# changed here\n")
    if name == "disabling":
        assert in_child(scripted, killed_before_verifying, lambda event, arguments: None) == -signal.SIGKILL
    elif name == "returning":
        (scripted.root / "no-packages").touch()
        with pytest.raises(Stuck):
            perform(scripted, do_disable)
        (scripted.root / "no-packages").unlink()
    now = [begun.step for begun in scripted.journal.standing()]
    replace_journal(scripted, written_before(scripted, name))
    if name != "stayed":
        assert [begun.step for begun in scripted.journal.standing()] == [step for step in now if step not in LATER]
    (scripted.root / "answers").mkdir()
    perform(scripted, do_recover)
    if name == "returning":
        assert scripted.journal.state == "client"
    else:
        assert (scripted.journal.state, scripted.served_by) == ("serving", "own")
        perform(scripted, do_disable)
    assert (scripted.journal.state, scripted.served_by, scripted.look()) == ("client", "central", before)
    assert not (scripted.root / "answers").exists() and list(scripted.places.kept.glob("*/local.bundle"))


def killed_before_verifying(scripted: ScriptedMachine, journal: Journal, machine: Machine) -> None:
    del scripted
    disable(journal, machine, lambda: None, lambda: os.kill(os.getpid(), signal.SIGKILL), quiet)


@pytest.mark.parametrize("last", ["snapshot", "packages", "repository", "apply", "switch"])
def test_an_earlier_version_that_was_killed_after_a_step_is_undone(scripted: ScriptedMachine, last: str) -> None:
    before, steps = scripted.look(), scripted.steps()
    number = [step.name for step in steps].index(last) + 1
    older = [step.name for step in steps if step.name not in LATER].index(last) + 1
    perform(scripted, lambda one, journal, machine: enable(journal, machine, steps[:number], quiet, one.opening))
    # Each step has its `begin` and its `done`.
    replace_journal(scripted, written_before(scripted, "serving")[: 1 + 2 * older])
    assert (scripted.journal.state, scripted.journal.standing()[0].step) == ("enabling", last)
    perform(scripted, do_recover)
    assert (scripted.journal.state, scripted.served_by, scripted.look()) == ("client", "central", before)


def test_a_step_that_this_version_does_not_know_stops_the_way_back_but_the_agent_has_its_master(
    scripted: ScriptedMachine,
) -> None:
    perform(scripted, do_enable)
    number = scripted.journal.begin("of-a-later-version", {}, 1.0)
    with pytest.raises(WentBack, match=r"its own master, because: of-a-later-version: is not a step of this"):
        perform(scripted, do_disable)
    assert (scripted.journal.state, scripted.served_by) == ("serving", "own")
    with pytest.raises(Stuck, match=r"of-a-later-version could not be undone: .*not a step of this version"):
        perform(scripted, lambda one, journal, machine: leave(journal, machine, "it is dead", quiet))
    assert (scripted.journal.state, scripted.served_by) == ("returning", "central")
    assert (scripted.root / "system/active/puppet.service").exists()
    scripted.journal.undone(number, 2.0)
    perform(scripted, do_recover)
    assert scripted.journal.state == "client"
