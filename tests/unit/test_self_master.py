"""The self-master's pure core: states, journal, puppet.conf, what is restored, what is planned and refused."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from enc.programs import documents
from enc.settings import SelfMasterSettings, Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, Certname, EnvironmentName, ProjectName
from puppetmaster_self.commands.enable import document, refuse_soon
from puppetmaster_self.instance import keep, puppet_conf, tree
from puppetmaster_self.instance.machine import Machine, Places, ProgramFailed
from puppetmaster_self.standing.presence import Standing
from puppetmaster_self.transaction.departure import branch_to_keep
from puppetmaster_self.transaction.facts import Facts
from puppetmaster_self.transaction.journal import Busy, Ended, Journal, JournalDamaged, alone
from puppetmaster_self.transaction.noop_run import differences
from puppetmaster_self.transaction.plan import Wish, decide
from puppetmaster_self.transaction.preflight import judge
from puppetmaster_self.transaction.states import EVENTS, STATES, TRANSITIONS, WrongState, after
from puppetmaster_self.transaction.steps import STEPS, agent, units
from puppetmaster_self.transaction.steps.step import Step, StepWithoutUndo
from tests.support import json_contract
from tests.support.disks import files_end_at

PAGE = (Path(__file__).parents[2] / "docs/self-master.md").read_text()
CASES = Path(__file__).parents[1] / "cases/self_master"


# States


def test_the_table_in_the_docs_is_the_table_of_the_program() -> None:
    rows = PAGE.partition("| state | event |")[2].partition("\n\n")[0].splitlines()[2:]
    told = {tuple(cell.strip(" `") for cell in row.split("|")[1:4]) for row in rows}
    assert told == {(state, event, to) for (state, event), to in TRANSITIONS.items()}


@pytest.mark.parametrize("state, event", list(itertools.product(STATES, EVENTS)))
def test_what_is_not_in_the_table_is_refused(state: Any, event: Any) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) in STATES
    else:
        with pytest.raises(WrongState):
            after(state, event)


def test_from_every_state_there_is_a_way_back_to_the_central_master() -> None:
    for state in STATES:
        reached = {state}
        for _ in STATES:
            reached |= {to for (at, _), to in TRANSITIONS.items() if at in reached}
        assert "client" in reached


def test_every_step_of_a_plan_can_be_undone_and_is_told() -> None:
    plan = decide(FACTS, WISH, SETTINGS, Path("/etc/puppetmaster/config.yaml"), Places(Path("/base")))
    names = [step.name for step in plan.steps]
    assert set(names) == set(STEPS) and len(names) == len(set(names))
    assert all(type(step) is STEPS[step.name] for step in plan.steps)
    assert {name for name, step in STEPS.items() if step.vital} == {"pause", "switch", "resume"}
    assert names[:3] == ["units", "pause", "snapshot"]
    assert names.index("mark") < names.index("rehearsal") < names.index("switch") < names.index("run")
    rows = PAGE.partition("| step | does |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == names


def test_no_step_is_without_undo_and_every_step_is_known() -> None:
    known = set(STEPS.values())
    assert [step for step in known if inspect.isabstract(step)] == []
    assert known == {one for kind in (Step, StepWithoutUndo) for one in kind.__subclasses__()} - {StepWithoutUndo}


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "transaction")
    made.open("enabling", 1.0, branch="project/red")
    made.done(made.begin("units", {}, 2.0), 3.0, "three")
    made.begin("packages", {"before": ["a"]}, 4.0)
    return made


def test_what_is_written_is_read_again(journal: Journal) -> None:
    again = Journal(journal.directory)
    assert again.entries == journal.entries and again.opened["branch"] == "project/red"
    assert [(begun.step, begun.done) for begun in again.standing()] == [("packages", False), ("units", True)]
    again.undone(again.standing()[0].number, 5.0)
    again.enter("returning", 6.0)
    assert [begun.step for begun in Journal(journal.directory).standing()] == ["units"]
    assert Journal(journal.directory).state == "returning"


def test_every_torn_end_reads_as_if_the_line_were_not_there(journal: Journal) -> None:
    data = journal.path.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(data)):
        journal.path.write_bytes(data[:cut])
        # Who only looks may see a line that is being written, and must leave it.
        assert Journal(journal.directory, mend=False).entries == journal.entries[:-1], cut
        assert journal.path.read_bytes() == data[:cut]
        again = Journal(journal.directory)
        assert again.entries == journal.entries[:-1], cut
        again.begin("base", {}, 9.0)
        assert [begun.step for begun in Journal(journal.directory).standing()] == ["base", "units"]


def test_a_line_that_finds_no_room_is_as_if_it_had_never_been(journal: Journal) -> None:
    size = journal.path.stat().st_size
    for room in range(60):
        # One process goes on after the first failure: the way back is noted in the same journal.
        with files_end_at(size + room), pytest.raises(ToolkitError, match="cannot be written"):
            journal.begin("base", {"of": "a step that will not begin"}, 9.0)
        with files_end_at(size + room), pytest.raises(ToolkitError, match="cannot be written"):
            journal.enter("returning", 9.0, "no room for all of these words, either")
        assert Journal(journal.directory, mend=False).entries == journal.entries, room
    journal.enter("returning", 10.0, "there is room again")
    again = Journal(journal.directory)
    assert again.entries == journal.entries and again.state == "returning"
    assert [begun.step for begun in again.standing()] == ["packages", "units"]


def test_damage_in_the_middle_is_told_and_nothing_is_cut_off(journal: Journal) -> None:
    data = journal.path.read_bytes().replace(b'"begin"', b'"be\0in"', 1)
    journal.path.write_bytes(data)
    with pytest.raises(JournalDamaged, match="line 2"):
        Journal(journal.directory)
    assert journal.path.read_bytes() == data


def test_evidence_stays_while_a_step_stands(journal: Journal) -> None:
    with pytest.raises(AssertionError):
        journal.close(9.0)
    for begun in journal.standing():
        journal.undone(begun.number, 8.0)
    kept = journal.close(9.0)
    assert (Journal(journal.directory).state, json.loads(kept.read_text().splitlines()[0])["state"]) == (
        "client",
        "enabling",
    )


def test_how_the_last_one_ended(journal: Journal) -> None:
    assert Journal(journal.directory).ended() is None
    for at, reason in ((10.0, "no disk"), (20.0, "")):
        again = Journal(journal.directory)
        if again.state == "client":
            again.open("enabling", at)
        again.enter("returning", at, reason)
        assert again.reason == reason
        for begun in again.standing():
            again.undone(begun.number, at)
        again.close(at + 5)
        assert Journal(journal.directory).ended() == (at, reason)
    (journal.directory / "history/30.jsonl").write_text("{\n{}\n")
    assert Journal(journal.directory).ended() is None


@pytest.mark.parametrize(
    ("ended", "now", "rests"),
    [
        (None, 5000.0, False),
        (Ended(5000.0, "no disk"), 5001.0, True),
        (Ended(5000.0, "no disk"), 8599.0, True),
        (Ended(5000.0, "no disk"), 8600.0, False),
        (Ended(5000.0, ""), 5001.0, False),
        (Ended(5000.0, "of a time to come"), 4999.0, False),
    ],
)
def test_what_ldap_asks_for_is_not_tried_again_at_once(ended: Ended | None, now: float, rests: bool) -> None:
    if rests:
        with pytest.raises(ToolkitError, match=r"went back at 1970-01-01T01:23:20Z, because: no disk; .*an hour later"):
            refuse_soon(ended, now)
    else:
        refuse_soon(ended, now)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("hint: x\nfatal: it is not there\nerror: so\n", "fatal: it is not there; error: so"),
        ("something else\n", "something else"),
        ("", "it gave no reason"),
        ("fatal: 'https://olga:secret@git.example.org/x' is away", "fatal: 'https://git.example.org/x' is away"),
        ("fatal: 'https://token@git.example.org/x'", "fatal: 'https://git.example.org/x'"),
        ("fatal: 'ssh://git@git.example.org/x'", "fatal: 'ssh://git@git.example.org/x'"),
        ("fatal: 'ssh://git:secret@git.example.org/x'", "fatal: 'ssh://git.example.org/x'"),
    ],
)
def test_what_git_said(words: str, told: str) -> None:
    assert keep.reason(words) == told


def test_one_at_a_time_children_included(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    machine = Machine(Places(tmp_path))
    with alone(lock) as handle:
        machine.lock_handle = handle
        with pytest.raises(Busy), alone(lock):
            pass
        pid = int(machine.run("sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!", timeout=60).output)
    # Whoever was started is still at work, and so nobody may begin.
    with pytest.raises(Busy), alone(lock):
        pass
    os.kill(pid, signal.SIGKILL)
    with alone(lock, wait=60):
        pass


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="did not end within"):
        Machine(Places(tmp_path)).run("sleep", "600", timeout=0.2)


# puppet.conf


@pytest.mark.parametrize("case", yaml.safe_load((CASES / "puppet_conf.yaml").read_text()), ids=lambda case: case["is"])
def test_settings_of_puppet_conf(case: dict[str, Any]) -> None:
    assert puppet_conf.changed("agent", case["text"], case["wanted"]) == case["then"]


_LINES = st.sampled_from(["[main]", "[agent]", "[server]", "server = a", "  ssldir=/x", "# remark", "", "other = 1"])


@given(st.lists(_LINES, max_size=12), st.booleans())
def test_a_change_of_puppet_conf_can_be_taken_back(lines: list[str], ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    wanted = {name: puppet_conf.setting_line(name, "/new") for name in ("server", "ssldir")}
    before = puppet_conf.lines_of("agent", text, frozenset(wanted))
    new = puppet_conf.changed("agent", text, wanted)
    assert puppet_conf.lines_of("agent", new, frozenset(wanted)) == wanted
    back = puppet_conf.changed("agent", new, before)
    assert puppet_conf.lines_of("agent", back, frozenset(wanted)) == before
    for section in ("main", "server"):
        names = frozenset({"server", "ssldir", "other"})
        assert puppet_conf.lines_of(section, back, names) == puppet_conf.lines_of(section, text, names)


# Files


def test_what_is_restored() -> None:
    def entry(content: str, kind: str = "file") -> tree.Entry:
        return tree.Entry(kind, 0o644, 0, 0, content, {}, 0)  # type: ignore[arg-type]

    a, b, c, place = entry("a"), entry("b"), entry("c"), entry("", "directory")
    for before, left, now, wanted in (
        (a, a, a, None),
        (a, b, b, "restore"),
        (a, b, None, "replace"),
        (a, None, None, "restore"),
        (None, b, b, "remove"),
        (a, a, b, "leave"),
        (None, None, c, "leave"),
        (a, b, c, "replace"),
        (None, b, c, "replace"),
    ):
        looks = [{"/x": one} if one is not None else {} for one in (before, left, now)]
        found = [task.act for task in tree.restoration(*looks)]
        assert found == ([wanted] if wanted else []), (before, left, now)
    # Interrupted: whatever differs is ours. A directory goes after what was in it.
    tasks = tree.restoration({}, None, {"/d": place, "/d/e": place, "/d/e/f": a})
    assert [task.path for task in tasks] == ["/d/e/f", "/d/e", "/d"]
    # What we left aside is ours, whoever else changed things.
    assert [task.act for task in tree.restoration({}, {}, {"/.puppetmaster-new-0123456789abcdef": a})] == ["remove"]


def test_everything_of_a_tree_comes_back(tmp_path: Path) -> None:
    root, copies = tmp_path / "root", tmp_path / "copies"
    (root / "d/e").mkdir(parents=True)
    (root / "d/file").write_bytes(b"\0 old")
    (root / "d/file").chmod(0o4751)
    os.utime(root / "d/file", ns=(1, 10**18))
    (root / "link").symlink_to("nowhere")
    (root / "becomes-a-directory").write_text("x")
    (root / "d").chmod(0o711)
    before = tree.look([root])
    tree.keep(before, copies)
    (root / "d/file").unlink()
    (root / "d/file").mkdir()
    (root / "link").unlink()
    (root / "becomes-a-directory").unlink()
    (root / "becomes-a-directory/inside").mkdir(parents=True)
    (root / "new").write_text("new")
    (root / "d").chmod(0o777)
    now = tree.look([root])
    assert tree.from_json(tree.as_json(now)) == now
    assert tree.restore(tree.restoration(before, None, now), before, copies, tmp_path / "kept") == []
    again = tree.look([root])
    assert {path: one.likeness for path, one in again.items()} == {path: one.likeness for path, one in before.items()}
    assert (root / "d/file").stat().st_mtime_ns == 10**18


# The plan, and what speaks against it

_PUPPET = {
    "confdir": "/etc/puppet",
    "ssldir": "/var/lib/puppet/ssl",
    "cadir": "/var/lib/puppet/ca",
    "basemodulepath": "/etc/puppet/code/modules:/usr/share/puppet/modules",
}
FACTS = Facts(
    certname=Certname("web-1.example.org"),
    agent={**_PUPPET, "config": "/etc/puppet/puppet.conf", "environment": "production"},
    server=_PUPPET,
    systemd=True,
    root=True,
    tool="apt",
    new_packages=90,
    packages_said="",
    memory=4_000_000_000,
    disk=9_000_000_000,
    now=1_000_000.0,
    port_taken=False,
    master_runs=False,
    agent_runs=True,
    agent_disabled=False,
    certificate=900_000.0,
    last_run=(999_000.0, 0),
    upstream_said="",
    own_name_is_local=True,
    occupied=(),
    hidden=(),
)
SETTINGS = dataclasses.replace(Settings(), self_master=SelfMasterSettings(upstream="https://git.example.org/puppet"))
WISH = Wish(project=ProjectName("red"), environment=EnvironmentName("project_red"))


@pytest.mark.parametrize("case", yaml.safe_load((CASES / "preflight.yaml").read_text()), ids=lambda case: case["is"])
def test_what_speaks_against_it(case: dict[str, Any]) -> None:
    facts = dataclasses.replace(FACTS, **case["facts"])
    told = list(judge(facts, SETTINGS.self_master))
    assert [f"{one.level} {one.id}: {one.found}" for one in told if one.level != "ok"] == case["found"]
    assert any(one.id == "repository" for one in told) == facts.upstream_named


@pytest.mark.parametrize("case", yaml.safe_load((CASES / "plans.yaml").read_text()), ids=lambda case: case["is"])
def test_what_is_planned(case: dict[str, Any]) -> None:
    own = dataclasses.replace(SETTINGS.self_master, **case.get("settings", {}))
    branches = dataclasses.replace(SETTINGS.branches, rules=tuple(case.get("rules", SETTINGS.branches.rules)))
    settings = dataclasses.replace(SETTINGS, self_master=own, branches=branches)
    wish = dataclasses.replace(WISH, **{key: _named(key, text) for key, text in case.get("wish", {}).items()})
    facts = dataclasses.replace(FACTS, **case.get("facts", {}))
    if "refused" in case:
        with pytest.raises(Exception, match=case["refused"]):
            decide(facts, wish, settings, Path("/c.yaml"), Places(Path("/base")))
        return
    plan = decide(facts, wish, settings, Path("/c.yaml"), Places(Path("/base")))
    told = "\n".join(f"{step.name}: {step.summary()} {dataclasses.astuple(step)}" for step in plan.steps)
    assert [words for words in case["holds"] if words not in told] == []
    assert [words for words in case.get("lacks", []) if words in told] == []


def _named(key: str, value: Any) -> Any:
    kinds = {"branch": BranchName, "environment": EnvironmentName, "project": ProjectName}
    return kinds[key](value) if key in kinds and value is not None else value


# Small things


def test_units_hold_the_program_and_refuse_what_they_cannot_hold() -> None:
    made = units.texts(("/opt/p/bin/python3", "-m", "x"))
    assert all("/opt/p/bin/python3 -m x recover" in made[name] for name in (units.RECOVER, units.WATCH))
    with pytest.raises(Exception, match="cannot be used in a unit"):
        units.texts(("/a b",))


REHEARSED = """\
Info: Applying configuration version '1'
Notice: /Stage[main]/Main/File[/etc/a]/content:\x20
--- /etc/a\t2026-11-30 10:00:58.8 +0000
+++ /tmp/puppet-file20261130-7004-gfdi17\t2026-11-30 10:01:18.1 +0000
@@ -1,3 +1,3 @@
-colour green
+colour none\rNotice: /Stage[main]/Main/File[/x]/mode: current_value '1', should be '2' (noop)
 Notice: /Stage[main]/Main/File[/y]/mode: current_value '1', should be '2' (noop)
--- not a head
\\ No newline at end of file
Notice: /Stage[main]/Main/File[/etc/a]/content: current_value '{sha256}f0b7', should be '{sha256}6214' (noop)
Notice: /Stage[main]/Main/File[/etc/a]/mode: current_value '0644', should be '0600' (noop)
Notice: /Stage[main]/Main/File[/etc/b]/content: current_value '{sha256}2c8b', should be '{sha256}27dd' (noop)
Notice: /Stage[main]/Main/File[/etc/c]/content: [diff redacted]
Notice: /Stage[main]/Main/File[/etc/c]/content: current_value [redacted], should be [redacted] (noop)
Notice: /Stage[main]/Main/File[/root/d]/content:\x20
--- /root/d\t2026-11-30 10:00:58.8 +0000
+++ /tmp/puppet-file20261130-7004-dadels\t2026-11-30 10:01:18.1 +0000
@@ -1 +1 @@
-old secret
+new secret
Notice: /Stage[main]/Main/File[/root/d]/content: current_value '{sha256}73cb', should be '{sha256}64e4' (noop)
Notice: /Stage[main]/Main/Notify[n]/message: current_value 'absent', should be 'two
lines' (noop)
Notice: Class[Main]: Would have triggered 'refresh' from 11 events
Notice: Applied catalog in 0.22 seconds
"""
"""Puppet 7's words, with a file's lines that look like other words of it."""


def test_a_rehearsal_tells_what_changes_and_no_secret() -> None:
    here = "/Stage[main]/Main"
    forged = "\\rNotice: /Stage[main]/Main/File[/x]/mode: current_value '1', should be '2' (noop)"
    assert differences(REHEARSED, lambda path: path == "/etc/a") == [
        [f"{here}/File[/etc/a]/content", "-colour green", f"+colour none{forged}", "--- not a head"],
        [f"{here}/File[/etc/a]/mode: current_value '0644', should be '0600' (noop)"],
        [f"{here}/File[/etc/b]/content: current_value '{{sha256}}2c8b', should be '{{sha256}}27dd' (noop)"],
        [f"{here}/File[/etc/c]/content: current_value [redacted], should be [redacted] (noop)"],
        [f"{here}/File[/root/d]/content", "the file is not readable by everybody, so its contents are not shown"],
        [f"{here}/Notify[n]/message: current_value 'absent', should be 'two\\nlines' (noop)"],
    ]


def test_a_rehearsal_of_large_files_has_an_end() -> None:
    head = "Notice: /Stage[main]/File[/f{0}]/content: \n--- /f{0}\tx\n+++ /t\tx\n@@ -1 +1 @@\n"
    after = "Notice: /Stage[main]/File[/f{0}]/content: current_value '{{sha256}}a', should be '{{sha256}}b' (noop)\n"
    found = differences("".join((head + "+x\n" * 5000 + after).format(n) for n in range(100)), lambda path: True)
    assert len(found) == 100 and sum(map(len, found)) < 350
    assert found[0][-1] == "… and 4990 more lines" and "sha256" in found[-1][0]


def test_only_what_everybody_may_read_is_shown(tmp_path: Path) -> None:
    assert agent._everybody_reads("/etc/passwd") and not agent._everybody_reads("/etc/shadow")
    assert not agent._everybody_reads("etc/passwd") and not agent._everybody_reads("/nonexistent")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("x")
    assert not agent._everybody_reads(str(closed / "file"))


def test_the_value_in_ldap() -> None:
    standing = Standing("serving", 1_700_000_000.0, "ab12" * 10, 3, 14)
    text = standing.text()
    assert text and Standing.read(text) == standing
    assert Standing("client", 5.0).text() is None
    with pytest.raises(ValueError, match="write serving"):
        Standing.read("serving since ever")


def test_the_branch_for_local_commits() -> None:
    kept = branch_to_keep(SETTINGS, "red", Certname("web-1.example.org"), 0.0)
    assert kept == "topic/red/web-1-19700101T000000"
    with pytest.raises(Exception, match="project is unknown"):
        branch_to_keep(SETTINGS, None, Certname("web-1.example.org"), 0.0)


@pytest.mark.parametrize("words", ["-p 875 -o comm=", "-eq 875 -o comm=", "-eq 875 -o args="])
def test_an_agent_that_met_the_end_of_another_run_is_asked_once_more(tmp_path: Path, words: str) -> None:
    """As Puppet 7 and 8 end then (util/pidlock.rb)."""
    puppet = tmp_path / "puppet"
    lost = f"Error: Could not run Puppet configuration client: Execution of 'ps {words}' returned 1: "
    met = f"[ -e {tmp_path}/met ] && echo applied && exit 0\n: > {tmp_path}/met\n"
    puppet.write_text(f'#!/bin/sh\n{met}echo "{lost}"\nexit 1\n')
    puppet.chmod(0o755)
    machine = Machine(Places(tmp_path), path=f"{tmp_path}:/usr/bin:/bin")
    assert agent.run(machine, timeout=60) == "applied\n"
    puppet.write_text('#!/bin/sh\necho "Error: something else"\nexit 1\n')
    with pytest.raises(ProgramFailed):
        agent.run(machine, timeout=60)


def test_a_journal_that_cannot_begin_leaves_no_reserve_behind(tmp_path: Path) -> None:
    made = Journal(tmp_path / "transaction")
    (tmp_path / "transaction/journal.jsonl").mkdir(parents=True)  # in the way of the rename
    with pytest.raises(ToolkitError, match="cannot be written"):
        made.open("enabling", 1.0)
    assert [path.name for path in made.directory.iterdir() if path.is_file()] == []


def test_a_dry_run_of_enable_is_told_as_the_run_is(tmp_path: Path) -> None:
    plan = decide(FACTS, WISH, SETTINGS, Path("/c.yaml"), Places(Path("/base")))
    journal = Journal(tmp_path / "transaction")
    for dry_run, state in ((True, "client"), (False, "serving")):
        if not dry_run:
            journal.open("enabling", 0.0)
            journal.enter("serving", 1.0)
        told = document(journal, plan, WISH, dry_run=dry_run)
        found = json_contract.held("puppetmaster-self", ["enable"], documents.text(told))
        assert (found["dry_run"], found["state"]) == (dry_run, state)
        assert [step["step"] for step in found["steps"]] == [step.name for step in plan.steps]
