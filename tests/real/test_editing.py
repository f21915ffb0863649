"""Editing against a real slapd: nothing lost, nothing half-told, nobody beyond their project."""

from __future__ import annotations

import io
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from enc import cli
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.directory.ldap_store import LdapSource
from enc.edits.audit import DONE, Edit, Trail
from enc.edits.change import modifying
from enc.edits.wanted import to_set
from enc.edits.wish import Wish
from enc.service import history, nodes, people, projects
from enc.service.desk import Desk, PlannedEdit, Receipt, open_desk
from enc.settings import AuditSettings, NodeSettings, Settings
from enc.settings.config import load
from enc.terms.errors import ClassificationError, Conflict, NotAllowed, ToolkitError
from enc.terms.names import Certname, ClassName, EnvironmentName, PersonName, PrefixName, ProjectName, VariableName
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.slapd import ADD, REPLACE, Slapd

S = "dc=example,dc=org"
RED, BLUE = ProjectName("red"), ProjectName("blue")
WEB1 = Certname("web1.example.org")
PLACE = f"cn={WEB1},ou=red,ou=hosts,{S}"
WHY = "for a test"
PEOPLE = ("anna", "bert", "mia", "olga")  # admin of red, of blue; member of red; operator


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    made.load_ldif(
        "".join(
            f"dn: uid={uid},ou=people,{S}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n"
            f"userPassword: pw-{uid}\n\n"
            for uid in PEOPLE
        )
    )
    made.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})
    made.directory.backup(made.directory.home.data_dir / "backup.ldif")
    return made


@pytest.fixture
def config(slapd: Slapd, tmp_path: Path) -> Path:
    """A configuration with a trail of its own, over a directory with red (web1) and blue."""
    slapd.stop()
    slapd.directory.restore(slapd.directory.home.data_dir / "backup.ldif")
    slapd.start()
    file = tmp_path / "config.yaml"
    file.write_text(slapd.configuration(audit={"file": f"{tmp_path}/trail.jsonl"}))
    with open_desk(load(file)) as desk:
        for project, admin in ((RED, "anna"), (BLUE, "bert")):
            people = (PersonName(admin),), (PersonName("mia"),) if project == RED else ()
            projects.add(desk, project, *people, Wish(environment=EnvironmentName(project)), reason=WHY)
        nodes.add(desk, WEB1, RED, Wish(classes=(ClassName("apache"),)), reason=WHY)
    return file


@pytest.fixture
def settings(config: Path) -> Settings:
    return load(config)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def admin(config: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `enc-admin` and returns exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--config", str(config), *words])
        told = capsys.readouterr()
        json_contract.watch("enc-admin", words, told.out)
        return status, told.out, told.err

    return run


def setting(desk: Desk, name: str, value: str, **more: bool) -> Receipt:
    return nodes.change(desk, WEB1, Wish(variables={VariableName(name): value}), reason=WHY, **more)


def variables(settings: Settings) -> set[str]:
    with DirectoryEditor(settings) as editor:
        found = editor.read(PLACE)
    assert found is not None
    return set(found.all("puppetVar"))


def says(config: Path, section: str, **values: object) -> None:
    """Let a configuration say more in a section."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document[section] = {**document.get(section, {}), **values}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")


def test_values_arrive_in_the_classification_as_they_were_given(admin: Run) -> None:
    words = ["--variable", "a=b=c", "--variable", "none=", "--json-variable", 'l=[0,false,"x  y ",null]']
    words += ["--parameter", "apache::port=0", "--data", 'k::x={"ü":""}', "--region", "eu"]
    status, out, err = admin("node", "set", WEB1, *words, "--reason", WHY)
    assert (status, "+ puppetVar: a=b=c" in out, "undo" in err) == (0, True, True)
    shown = json.loads(admin("node", "show", WEB1, "--json")[1])
    assert shown["variables"] == {"cn": WEB1, "a": "b=c", "none": "", "l": [0, False, "x  y ", None]}
    assert (shown["classes"], shown["data"]) == ({"apache": {"port": 0}}, {"k::x": {"ü": ""}})
    again = admin("node", "set", WEB1, *words, "--reason", WHY)
    assert (again[0], again[1], "already" in again[2]) == (0, "", True)


def test_a_dry_run_tells_the_same_and_writes_nothing(admin: Run, settings: Settings) -> None:
    words = ("node", "set", WEB1, "--class", "ntp", "--environment", "test", "--reason", WHY)
    trail = settings.audit.file.read_bytes()
    tried = admin(*words, "--dry-run")
    assert settings.audit.file.read_bytes() == trail
    done = admin(*words)
    assert tried[1] == done[1]
    assert "~ environment = red  → test" in done[1]
    assert settings.audit.file.read_bytes() != trail


@pytest.mark.parametrize(
    "words, status, hint",
    [
        (("node", "set", "../x", "--class", "a"), 2, "not a certname"),
        (("node", "set", "nobody.example", "--class", "a"), 1, "no node"),
        (("node", "set", WEB1, "--class", "Not::A b"), 2, "not a class name"),
        (("node", "set", WEB1, "--variable", "x"), 2, "has no '='"),
        (("node", "set", WEB1, "--variable", "environment=x"), 2, "--environment"),
        (("node", "set", WEB1, "--variable", "x=ü"), 2, "--json-variable"),
        (("node", "set", WEB1, "--json-variable", "x=text"), 2, "not JSON"),
        (("node", "set", WEB1, "--environment", "../x"), 2, "not an environment"),
        (("node", "set", WEB1, "--parent", "nobody"), 1, "Could not find parent"),
        (("node", "set", WEB1, "--parent", WEB1), 1, "Found loop"),
        (("node", "add", WEB1, "--project", "blue"), 1, "already"),
        (("node", "add", "new.example", "--project", "green"), 1, "no project green"),
        (("node", "undo", "no-such-id"), 1, "no edit"),
        (("project", "delete", "red"), 1, str(WEB1)),
        (("project", "member", "remove", "blue", "bert"), 1, "no member left"),
        (("project", "member", "add", "blue", "nobody"), 1, "no person nobody"),
        (("project", "add", "red", "--admin", "bert"), 1, "differs"),
        (("project", "set", "red", "--site", "--class", "a"), 2, "--site"),
    ],
)
def test_what_is_refused_is_one_line_and_writes_nothing(
    admin: Run, settings: Settings, words: tuple[str, ...], status: int, hint: str
) -> None:
    trail = settings.audit.file.read_bytes()
    got, out, err = admin(*words, "--reason", WHY)
    assert (got, out, err.count("\n"), hint in err) == (status, "", 1, True), err
    assert settings.audit.file.read_bytes() == trail


def test_two_editors_at_once_lose_nothing(settings: Settings) -> None:
    failures: list[Exception] = []

    def edit(who: str) -> None:
        try:
            with open_desk(settings) as desk:
                for number in range(25):
                    setting(desk, f"{who}{number}", who)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=edit, args=(who,)) for who in ("x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert variables(settings) == {f"{who}{number}={who}" for who in "xy" for number in range(25)}
    edits, problems = Trail(settings.audit.file).read()
    assert ({edit.outcome for edit in edits}, problems) == ({DONE}, [])


def test_of_two_edits_of_one_part_the_second_is_a_conflict(settings: Settings) -> None:
    with open_desk(settings) as first, open_desk(settings) as second:
        setting(first, "a", "0")
        record = nodes.entry_of(WEB1, second.editor, settings)
        stale = modifying(record, to_set(record, Wish(variables={VariableName("a"): "2"}), settings.nodes))
        setting(first, "a", "1")
        with pytest.raises(Conflict):
            second.submit(PlannedEdit("node set", f"node {WEB1}", RED, (stale,)), reason=WHY)
    assert variables(settings) == {"a=1"}
    assert Trail(settings.audit.file).read()[0][-1].outcome.startswith("failed: 0 of 1 step made")


@pytest.mark.parametrize("written", [False, True])
def test_an_edit_that_was_killed_is_told_by_its_entry(settings: Settings, admin: Run, written: bool) -> None:
    with open_desk(settings) as desk:
        record = nodes.entry_of(WEB1, desk.editor, settings)
        step = modifying(record, to_set(record, Wish(variables={VariableName("a"): "1"}), settings.nodes))
        desk.trail.begin(who="root", why=WHY, action="node set", subject=f"node {WEB1}", project=RED, steps=(step,))
        if written:
            desk.editor.modify(PLACE, [ValueChange("puppetVar", (), ("a=1",))])
    told = json.loads(admin("node", "history", WEB1, "--json")[1])["edits"]
    assert told[-1]["outcome"] == f"interrupted: {'made' if written else 'not made'}"


def test_kill_9_at_random_moments_leaves_an_entry_and_a_trail_that_agree(config: Path, settings: Settings) -> None:
    chance = random.Random(7)
    for number in range(12):
        command = [sys.executable, "-c", "import sys; from enc.cli import main; sys.exit(main())", "--config"]
        command += [str(config), "node", "set", WEB1, "--variable", f"n={number}", "--reason", WHY]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(chance.uniform(0.15, 0.6))
            process.send_signal(signal.SIGKILL)
    with open_desk(settings) as desk:
        edits = history.of(desk.trail, node=WEB1)
        assert not edits.problems
        last = history.resolved(edits.edits[-1], desk.source, settings)
        if last.steps[0].do == "modify":
            made = last.outcome in (DONE, "interrupted: made")
            (change,) = last.steps[0].changes
            assert variables(settings) == set(change.after if made else change.before)
        setting(desk, "n", "end")
    assert variables(settings) == {"n=end"}


def test_a_person_is_refused_by_our_table_and_by_slapd_alone(settings: Settings) -> None:
    with open_desk(settings, PersonName("anna"), "pw-anna") as desk:
        setting(desk, "a", "1")
        nodes.add(desk, Certname("web2.example.org"), RED, Wish(), reason=WHY)
        projects.change(desk, projects.Target(RED, PrefixName("web")), Wish(classes=(ClassName("ntp"),)), reason=WHY)
        with pytest.raises(NotAllowed, match="its admins and operators may"):
            nodes.add(desk, Certname("web3.example.org"), BLUE, Wish(), reason=WHY)
        with pytest.raises(NotAllowed, match="operators may"):
            projects.change(desk, projects.Target(), Wish(classes=(ClassName("ntp"),)), reason=WHY)
    assert [edit.who for edit in Trail(settings.audit.file).read()[0]][-1].startswith("anna (")
    for who in ("bert", "mia"):
        with open_desk(settings, PersonName(who), f"pw-{who}") as desk:
            with pytest.raises(NotAllowed, match=who):
                setting(desk, "a", "2")
            with pytest.raises(NotAllowed, match="this account lacks the rights"):
                desk.editor.modify(PLACE, [ValueChange("puppetVar", ("a=1",), ("a=2",))])
    with pytest.raises(ToolkitError, match="password is wrong"), open_desk(settings, PersonName("anna"), "x"):
        pass


def test_an_undo_is_judged_like_the_edit(settings: Settings) -> None:
    with open_desk(settings) as desk:
        edit = setting(desk, "a", "1")
    assert edit.id
    with open_desk(settings, PersonName("bert"), "pw-bert") as desk, pytest.raises(NotAllowed):
        history.undo(desk, edit.id, reason=WHY)
    assert variables(settings) == {"a=1"}


def test_undo_brings_back_and_can_be_undone(settings: Settings) -> None:
    with open_desk(settings) as desk:
        setting(desk, "a", "1")
        second = setting(desk, "a", "2")
        setting(desk, "b", "1")
        assert second.id
        back = history.undo(desk, second.id, reason=WHY)
        assert variables(settings) == {"a=1", "b=1"}
        assert not history.undo(desk, second.id, reason=WHY).plan.steps
        assert back.id
        history.undo(desk, back.id, reason=WHY)
        assert variables(settings) == {"a=2", "b=1"}
        setting(desk, "a", "3")
        with pytest.raises(Conflict, match="has since been changed again"):
            history.undo(desk, second.id, reason=WHY)


def test_a_refused_undo_names_the_later_edit(settings: Settings, admin: Run) -> None:
    def refused(identity: str | None) -> str:
        with open_desk(settings) as desk, pytest.raises(Conflict, match="has since been changed again") as failure:
            history.undo(desk, str(identity), reason=WHY)
        return failure.value.message

    with open_desk(settings) as desk:
        first, _, third = (setting(desk, "a", text) for text in "123")
        setting(desk, "b", "1")
        back = history.undo(desk, str(third.id), reason=WHY)
    # The third and its undo are nothing together: the second is in the way.
    told = refused(first.id)
    second = json.loads(admin("node", "history", WEB1, "--json")[1])["edits"][-4]
    assert f": {second['id']} by {second['who']} at {second['time']}, node set ({WHY}); undo that one first" in told
    with open_desk(settings) as desk:
        again = history.undo(desk, str(back.id), reason=WHY)
    assert f": {third.id} by" in refused(first.id) and "(1 more before it)" in refused(first.id)
    assert again.id
    with open_desk(settings) as desk:
        gone = nodes.remove(desk, WEB1, reason="x" * 900)
    assert f": {gone.id} by" in refused(first.id) and len(refused(first.id)) < 500
    with open_desk(settings) as desk:
        history.undo(desk, str(gone.id), reason=WHY)
        desk.editor.modify(PLACE, [ValueChange("puppetVar", ("b=1",), ("b=2",))])
    edits = json.loads(admin("node", "history", WEB1, "--json")[1])["edits"]
    setter = next(edit["id"] for edit in edits if "b=1" in str(edit["steps"]))
    assert "by no edit in the audit trail" in refused(setter)


def test_history_and_a_dry_run_show_what_changed_in_a_large_value(admin: Run) -> None:
    networks = [f"10.{number // 250}.{number % 250}.0/24" for number in range(1500)]
    for blocked in (networks, [*networks, "192.0.2.1/32"]):
        data = "abuse_networks=" + json.dumps({"blocked": {"networks": blocked}})
        words = ("project", "set", "red", "--data", data, "--reason", WHY)
        dry = admin(*words, "--dry-run")[1]
        status, out, _ = admin(*words)
        assert (status, dry) == (0, out)
    shown = '  ~ puppetmasterData: abuse_networks: blocked.networks[+] "192.0.2.1/32"\n'
    assert shown in out and len(out) < 500
    status, out, _ = admin("node", "history", "--project", "red", "--last", "1")
    assert (status, out.count(shown), len(out) < 600) == (0, 1, True)
    *_, last = json.loads(admin("node", "history", "--last", "2", "--json")[1])["edits"]
    assert str(last["steps"]).count("192.0.2.1/32") == 1 and len(str(last["steps"])) > 40_000
    assert len(admin("node", "history", "--project", "red", "--last", "1", "--full")[1]) > 40_000
    undo = ("node", "undo", last["id"], "--reason", WHY)
    assert len(admin(*undo, "--dry-run", "--full")[1]) > 40_000
    undone = admin(*undo)[1]
    assert '[-] "192.0.2.1/32"' in undone and len(undone) < 500
    everything = len(json.loads(admin("node", "history", "--all", "--json")[1])["edits"])
    assert len(json.loads(admin("node", "history", "--since", "1h", "--json")[1])["edits"]) == everything
    assert admin("node", "history", WEB1, "--since", "2999-01-01") == (0, "", "no edits\n")
    for wrong in (("--last", "0"), ("--last", "-1"), ("--since", "yesterday"), (), ("--all", "--project", "red")):
        assert admin("node", "history", *wrong)[0] == 2, wrong


def test_a_removed_node_and_a_deleted_project_come_back_whole(settings: Settings) -> None:
    with open_desk(settings) as desk:
        setting(desk, "a", "1")
        before = desk.editor.read(PLACE)
        gone = nodes.remove(desk, WEB1, reason=WHY)
        project = projects.delete(desk, RED, reason=WHY)
        assert desk.editor.find(f"cn=red,ou=projects,{S}", "(objectClass=*)") == []
        for receipt in (project, gone):
            assert receipt.id
            history.undo(desk, receipt.id, reason=WHY)
        after = desk.editor.read(PLACE)
    assert before is not None
    assert after is not None
    assert {k: set(v) for k, v in after.attributes.items()} == {k: set(v) for k, v in before.attributes.items()}


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_half_made_project_is_completed_by_the_same_command(admin: Run, settings: Settings, steps: int) -> None:
    words = ("project", "add", "green", "--admin", "anna", "--member", "mia", "bert", "--reason", WHY)
    with open_desk(settings) as desk:
        plan = json.loads(admin(*words, "--dry-run", "--json")[1])["steps"]
        for step in plan[:steps]:
            desk.editor.add(step["dn"], {c["attribute"]: c["after"] for c in step["changes"]})
    status, out, _ = admin(*words)
    assert (status, out.count("add ")) == (0, 3 - steps)
    assert "already" in admin(*words)[2]
    people = json.loads(admin("project", "member", "list", "green", "--json")[1])["people"]
    assert {row["uid"]: row["role"] for row in people} == {"anna": "admin", "mia": "member", "bert": "member"}


def test_a_node_is_not_taken_from_under_those_that_inherit_from_it(settings: Settings) -> None:
    heir, stranger = Certname("heir.example.org"), Certname("stranger.example.org")
    with open_desk(settings) as desk:
        for name, project in ((heir, RED), (stranger, BLUE)):
            nodes.add(desk, name, project, Wish(parent=WEB1), reason=WHY)
        with pytest.raises(Conflict, match="cn=heir"):
            nodes.remove(desk, WEB1, reason=WHY)
        nodes.remove(desk, heir, reason=WHY)
        (remark,) = nodes.remove(desk, WEB1, reason=WHY).plan.remarks
    assert "cn=stranger" in remark


def test_a_project_that_does_not_exist_has_no_empty_list(admin: Run) -> None:
    assert admin("node", "list", "--project", "blue")[0] == 0
    status, out, err = admin("node", "list", "--project", "bleu")
    assert (status, out, "no project bleu" in err) == (1, "", True)


def test_a_prefix_comes_and_goes_with_what_stands_on_it(admin: Run, settings: Settings) -> None:
    words = ("red", "--prefix", "web", "--class", "ntp", "--reason", WHY)
    assert admin("project", "set", *words)[0] == 0
    assert "class ntp" in admin("node", "show", WEB1)[1]
    assert admin("project", "unset", *words)[0] == 0
    with DirectoryEditor(settings) as editor:
        assert editor.read(f"cn=web,cn=red,ou=projects,{S}") is None


def test_explain_and_who_uses_tell_where_a_part_comes_from(admin: Run) -> None:
    admin("project", "set", "--site", "--class", "base", "--class", "ntp", "--reason", WHY)
    admin("project", "set", "red", "--parameter", "apache::port=80", "--data", "k::x=1", "--reason", WHY)
    admin("node", "set", WEB1, "--parameter", "apache::port=8080", "--remove", "class base", "--reason", WHY)
    parts = {part["part"]: part for part in json.loads(admin("node", "explain", WEB1, "--json")[1])["parts"]}
    port = parts["parameter apache::port"]
    assert (port["value"], port["layer"]) == (8080, "node")
    assert [(step["layer"], step["value"]) for step in port["history"]] == [("project red", 80), ("node", 8080)]
    assert (parts["class base"]["removed"], parts["class ntp"]["layer"]) == (True, "site")
    assert parts["data k::x"]["layer"] == "project red"
    assert "class base: removed by node" in admin("node", "explain", WEB1)[1]
    used = json.loads(admin("who-uses", "base", "--json")[1])
    assert [row["says"] for row in used["entries"]] == ["assigns", "removes"]
    assert used["nodes"] == []
    assert [n["certname"] for n in json.loads(admin("who-uses", "ntp", "--json")[1])["nodes"]] == [WEB1]
    assert WEB1 in admin("node", "list", "--class", "ntp", "--environment", "red", "--project", "red")[1]
    assert WEB1 not in admin("node", "list", "--class", "base")[1]


def test_the_command_line_signs_in_as_a_person(admin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("pw-anna\n"))
    status, out, err = admin("node", "set", WEB1, "--class", "ntp", "--as", "anna", "--reason", WHY)
    assert (status, "+ puppetClass: ntp" in out) == (0, True), err


def test_no_trail_no_edit(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = replace(settings, audit=AuditSettings(tmp_path / "file" / "trail"))
    with open_desk(blocked) as desk, pytest.raises(ToolkitError, match="audit trail"):
        setting(desk, "a", "1")
    assert variables(settings) == set()


def test_an_edit_whose_outcome_finds_no_room_says_that_it_was_made(settings: Settings) -> None:
    with open_desk(settings) as desk:
        setting(desk, "a", "1")
        intent = settings.audit.file.read_bytes().splitlines()[-2]
        room = settings.audit.file.stat().st_size + len(intent) + 20
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(ToolkitError, match="was made"):
                setting(desk, "b", "1")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert variables(settings) == {"a=1", "b=1"}
    with DirectoryEditor(settings) as editor:
        (*_, last) = history.of(Trail(settings.audit.file), node=WEB1).edits
        assert history.resolved(last, editor, settings).outcome == "interrupted: made"


def test_a_node_that_is_broken_already_can_be_repaired(slapd: Slapd, settings: Settings) -> None:
    slapd.modify(PLACE, {"parentNode": [(ADD, ["nobody"])]})
    with open_desk(settings) as desk:
        setting(desk, "a", "1")
        base = nodes.add(desk, Certname("base"), RED, Wish(), reason=WHY)
        assert base.id
        fixed = nodes.change(desk, WEB1, Wish(parent=Certname("base")), reason=WHY)
        assert fixed.effect
        assert fixed.effect.after
        with pytest.raises(ClassificationError, match="nothing was written"):
            nodes.change(desk, WEB1, Wish(parent=Certname("gone")), reason=WHY)


def test_a_directory_with_only_puppets_schema_is_edited_too(slapd: Slapd, settings: Settings) -> None:
    terminus = replace(settings, nodes=NodeSettings(semantics="terminus"))
    slapd.modify(PLACE, {"description": [(ADD, ["kept"])]})
    with open_desk(terminus) as desk:
        done = setting(desk, "a", "true")
        nodes.add(desk, Certname("plain.example"), RED, Wish(classes=(ClassName("x"),)), reason=WHY)
    assert done.effect
    assert done.effect.after
    assert done.effect.after.variables["a"] is True


@pytest.mark.parametrize(
    ("target", "option"),
    [
        (("project", "set", "red"), "--variable=name=x"),
        (("project", "set", "red", "--prefix", "web"), "--variable=title=x"),
        (("project", "set", "--site"), "--json-variable=module_name=null"),
        (("node", "set", WEB1), '--json-variable=facts={"a":1}'),
        (("node", "set", WEB1), "--variable=settings::vardir=x"),
        (("node", "set", WEB1), "--variable=12=x"),
        (("node", "set", WEB1), "--environment=agent"),
        (("project", "set", "red"), "--environment=Main"),
        (("node", "set", WEB1), "--class=default"),
        (("node", "set", WEB1), "--parameter=apache::title=1"),
        (("node", "set", WEB1), '--parameter=apache::noop="x"'),
        (("node", "set", WEB1), '--parameter=apache::before="ntp"'),
        (("project", "set", "red"), '--data=lookup_options="x"'),
    ],
)
def test_what_would_stop_every_catalog_is_refused(admin: Run, target: tuple[str, ...], option: str) -> None:
    status, out, err = admin(*target, option, "--reason", WHY)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "uppet" in err or "lookup_options" in err


def test_what_surprises_is_told_and_taken(config: Path, admin: Run, tmp_path: Path) -> None:
    environments = tmp_path / "environments"
    for name in ("red", "production"):
        manifests = environments / name / "modules/apache/manifests"
        manifests.mkdir(parents=True)
        (manifests / "init.pp").write_text("class apache { }")
    says(config, "branches", environments=str(environments))
    words = ("--class", "ntp", "--class", "apache", "--variable", "fqdn=x", "--data", 'motd="on %{facts.fqdn}"')
    status, _, err = admin("node", "set", WEB1, *words, "--reason", WHY)
    assert status == 0
    assert [line.partition(":")[0] for line in err.splitlines()[:3]] == ["class ntp", "variable fqdn", "data motd"]
    assert "no file found for it in environment red" in err
    words = ("--class", "sudo", "--environment", "blue", "--json")
    status, out, _ = admin("project", "set", "red", *words, "--reason", WHY)
    assert status == 0
    (told,) = json.loads(out)["remarks"]
    assert told.startswith("environment blue: is not deployed on this machine")
    # A node that moves to another environment has what it says already looked for there.
    status, _, err = admin("node", "set", WEB1, "--environment", "production", "--reason", WHY)
    assert status == 0
    assert [line.partition(": ")[0] for line in err.splitlines()[:-1]] == ["class sudo", "class ntp"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("red--x", "must be single"),
        ("red-", "must be single"),
        ("a_-b", "must be single"),
        ("wiki-a", "project wiki-a and of project wiki_a could become one environment (project_wiki_a)"),
        ("production", ""),
    ],
)
def test_a_project_whose_environments_another_can_have_is_not_made(admin: Run, name: str, why: str) -> None:
    assert admin("project", "add", "wiki_a", "--admin", "bert", "--reason", WHY)[0] == 0
    status, _, err = admin("project", "add", name, "--admin", "anna", "--reason", WHY)
    assert (status == 0) == (not why), err
    assert why in err and err.count("\n") == 1, err
    status, out, _ = admin("project", "list", "--json")
    assert (name in [row["project"] for row in json.loads(out)["projects"]]) == (not why)


def test_the_rules_say_which_names_meet(config: Path, admin: Run) -> None:
    rules = ["production = production", "p/<name> = <name>", "t/<name>/<topic> = <name>_<topic>"]
    says(config, "branches", rules=rules)
    for name, why in (("red-web", "red_web"), ("production", "the site's"), ("agent", "Puppet's"), ("green", "")):
        status, _, err = admin("project", "add", name, "--admin", "anna", "--reason", WHY)
        assert (status == 0) == (not why) and why in err, err


def test_no_project_gives_its_nodes_what_puppet_keeps(config: Path, admin: Run) -> None:
    config.write_text(f"{config.read_text()}projects: {{environment: '%s'}}\n")
    status, _, err = admin("project", "add", "user", "--admin", "anna", "--reason", WHY)
    assert status == 1 and "(projects.environment): Puppet's documentation forbids user" in err
    assert admin("project", "add", "users", "--admin", "anna", "--reason", WHY)[0] == 0


def test_an_environment_of_another_project_takes_its_admins_word(admin: Run, config: Path) -> None:
    def tried(*words: str, who: str = "anna") -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(f"pw-{who}\n"))
            status, _, err = admin(*words, "--reason", WHY, "--as", who)
        return status, err

    node, everybody = ("node", "set", WEB1, "--environment", "project_blue"), (("anna",), ("olga",))
    prefix = ("project", "set", "red", "--prefix", "web", "--environment", "Project_Blue__x")
    for words in (node, prefix, ("project", "set", "red", "--environment", "project_blue"),
                  ("node", "try", WEB1, "topic/blue/x")):  # fmt: skip
        for (who,) in everybody:
            status, err = tried(*words, who=who)
            assert status == 1 and "belongs to project blue, and project red is not one of its guests" in err, (
                words,
                err,
            )
    assert tried("node", "try", WEB1, "topic/blue/x", who="mia")[0] == 1
    local = admin(*node, "--reason", WHY)
    assert local[0] == 1 and "not one of its guests" in local[2], "the local operator's is refused, too"
    assert tried("project", "set", "blue", "--guest", "red")[0] == 1, "anna is no admin of blue"
    assert tried("project", "set", "red", "--guest", "blue", who="mia")[0] == 1
    for place in (("blue", "--prefix", "web"), ("--site",), ("--group", "g")):
        assert admin("project", "set", *place, "--guest", "red", "--reason", WHY)[0] == 2
    assert tried("project", "set", "blue", "--guest", "red", who="bert")[0] == 0
    for words in (node, prefix, ("node", "try", WEB1, "topic/blue/x", "--for", "1h")):
        assert tried(*words)[0] == 0
    assert tried("node", "set", WEB1, "--environment", "production")[0] == 0
    number = json.loads(admin("node", "history", WEB1, "--json")[1])["edits"][-1]["id"]
    assert tried("project", "unset", "blue", "--guest", "red", who="bert")[0] == 0
    status, err = tried("node", "undo", number)
    assert status == 1 and "not one of its guests" in err, "an undo is an edit like any other"
    status, _, err = admin("node", "show", WEB1)
    assert status == 0, err


WEBS = tuple(Certname(f"web{number}.example.org") for number in range(1, 13))


@pytest.fixture
def dozen(settings: Settings) -> Settings:
    """web1 to web12 in red, of which web1 has class apache, and db1."""
    with open_desk(settings) as desk:
        for certname in (*WEBS[1:], Certname("db1.example.org")):
            nodes.add(desk, certname, RED, Wish(), reason=WHY)
        nodes.add(desk, Certname("blue1.example.org"), BLUE, Wish(), reason=WHY)
    return settings


def with_class(settings: Settings, name: str) -> set[str]:
    with DirectoryEditor(settings) as editor:
        found = editor.find(settings.nodes_base, f"(puppetClass={name})")
    return {record.first("cn") or "" for record in found}


def edits(settings: Settings) -> list[Edit]:
    return Trail(settings.audit.file).read()[0]


def test_many_nodes_are_one_edit_and_one_undo(dozen: Settings, admin: Run) -> None:
    before = len(edits(dozen))
    words = ("node", "set", "--project", "red", "--named", "WEB*", "--class", "ntp", "--reason", WHY)
    status, out, err = admin(*words, "--dry-run")
    assert status == 0 and out.count("modify cn=web") == 12 and "--nodes 12" in err
    assert "web1.example.org, web10.example.org" in out and "and 2 more nodes: the classification:" in out
    assert "in a script, add" in err and with_class(dozen, "ntp") == set()
    status, out, err = admin(*words, "--nodes", "12", "--json")
    told = json.loads(out)
    assert (status, told["subject"], told["project"]) == (0, "12 nodes of project red", "red")
    assert [one["certname"] for one in told["effects"]] == sorted(WEBS)
    assert with_class(dozen, "ntp") == set(WEBS)
    assert len(edits(dozen)) == before + 1
    assert admin(*words, "--nodes", "12")[2].count("already up to date") == 1, "the same can be given twice"
    for name in ("web7.example.org", "web12.example.org"):
        seen = json.loads(admin("node", "history", name, "--json")[1])["edits"]
        assert [one["id"] for one in seen if one["action"] == "node set"] == [told["id"]]
    status, out, err = admin("node", "undo", told["id"], "--reason", WHY)
    assert (status, with_class(dozen, "ntp")) == (0, set())
    again = edits(dozen)[-1]
    assert again.nodes == tuple(sorted(WEBS)) and admin("node", "undo", again.id, "--reason", WHY)[0] == 0
    assert with_class(dozen, "ntp") == set(WEBS)
    unset = ("node", "unset", "--with-class", "ntp", "--class", "ntp", "--reason", WHY, "--nodes", "12")
    assert admin(*unset)[0] == 0 and with_class(dozen, "ntp") == set()


def test_many_nodes_try_a_branch_in_one_edit(dozen: Settings, admin: Run) -> None:
    def trying() -> set[str]:
        listed = json.loads(admin("node", "list", "--project", "red", "--json")[1])["nodes"]
        return {str(one["certname"]) for one in listed if one["trial"]}

    before = len(edits(dozen))
    words = ("node", "try", "--project", "red", "--named", "web*", "topic/red/fix", "--reason", WHY)
    status, out, err = admin(*words)
    assert (status, out) == (2, "") and "add --nodes 12 to write" in err and trying() == set()
    assert admin(*words, "--nodes", "11")[0] == 1 and trying() == set()
    assert admin(*words, "--dry-run")[1].count("puppetmasterTrial") == 12 and trying() == set()
    status, out, err = admin(*words, "--nodes", "12", "--json")
    told = json_contract.held("enc-admin", ["node", "try"], out.encode())
    assert (status, told["action"], told["subject"]) == (0, "node try", "12 nodes of project red"), err
    assert trying() == set(WEBS) and len(edits(dozen)) == before + 1
    two = ("web1.example.org", "web2.example.org")
    assert admin("node", "try", *two, "--end", "--nodes", "2", "--reason", WHY)[0] == 0
    assert trying() == set(WEBS) - set(two) and edits(dozen)[-1].action == "node try --end"
    assert admin("node", "try", *two, "topic/red/other", "--nodes", "2", "--reason", WHY)[0] == 0
    assert trying() == set(WEBS)
    assert admin("node", "undo", edits(dozen)[-1].id, "--reason", WHY)[0] == 0
    end = ("node", "try", "--project", "red", "--named", "web*", "--end", "--nodes", "12", "--reason", WHY)
    assert admin(*end)[0] == 0 and trying() == set()
    for wrong, why in (
        (("web1.example.org",), "name nodes before BRANCH"),
        ((), "name the BRANCH to try"),
        (("--project", "red"), "name the BRANCH to try"),
        (("--project", "red", "web1.example.org", "topic/red/fix"), "name nodes, or choose them"),
        (("--project", "red", "--end", "topic/red/fix"), "--end takes nodes and no BRANCH"),
        (("--end",), "name nodes, or choose them"),
    ):
        status, out, err = admin("node", "try", *wrong, "--reason", WHY, "--nodes", "1")
        assert (status, out) == (2, "") and why in err, (wrong, err)


MEANT: tuple[tuple[tuple[str, ...], int], ...] = (
    (("--project", "red"), 13),
    (("--with-class", "apache"), 1),
    (("--in-environment", "blue"), 1),
    (("--filter", "(puppetClass=apache)"), 1),
    (("--filter", "(!(cn=web*))"), 2),
    (("--project", "red", "--filter", "(cn=*1.example.org)", "--named", "*"), 3),
    (("web2.example.org", "web3.example.org", "web2.example.org"), 2),
)


def test_which_nodes_are_meant(dozen: Settings, admin: Run) -> None:
    for words, number in MEANT:
        _meant(dozen, admin, words, number)


def _meant(dozen: Settings, admin: Run, words: tuple[str, ...], number: int) -> None:
    edit = ("node", "set", *words, "--class", "ntp", "--reason", WHY)
    for wrong in (number + 1, number + 100):
        status, out, err = admin(*edit, "--nodes", str(wrong))
        assert (status, out) == (1, "") and f"selected, not {wrong}; nothing was written" in err
    status, out, err = admin(*edit)
    assert (status, out) == (2, "") and f"add --nodes {number} to write" in err
    assert with_class(dozen, "ntp") == set()
    assert admin(*edit, "--nodes", str(number))[0] == 0
    assert len(with_class(dozen, "ntp")) == number
    listed = ("node", "list", *words) if words[0].startswith("--") else ("node", "list", "--with-class", "ntp")
    assert len(json.loads(admin(*listed, "--json")[1])["nodes"]) == number
    words = ("--with-class", "ntp", "--class", "ntp", "--nodes", str(number), "--reason", WHY)
    assert admin("node", "unset", *words)[0] == 0


NOTHING_MEANT: tuple[tuple[tuple[str, ...], str], ...] = (
    ((), "name nodes, or choose them"),
    ((str(WEB1), "--project", "red"), "name nodes, or choose them"),
    (("--named", "none*", "--nodes", "1"), "0 nodes are selected, not 1"),
    (("--named", "none*"), "no node is selected"),
    (("--named", ""), "no node is selected"),
    (("--project", "none"), "no project none"),
    (("--filter", "(cn=x", "--nodes", "1"), "--filter"),
    (("--filter", "x" * 100_000), "--filter"),
    (("--nodes", "0", "--project", "red"), "--nodes 0: write a whole number from 1"),
    (("--nodes", "-1", "--project", "red"), "--nodes"),
    ((str(WEB1), "none.example.org", "--nodes", "2"), "no node none.example.org in LDAP"),
)


def test_what_means_no_nodes_writes_nothing(dozen: Settings, admin: Run) -> None:
    before = dozen.audit.file.read_bytes()
    for words, why in NOTHING_MEANT:
        status, out, err = admin("node", "set", *words, "--class", "ntp", "--reason", WHY)
        assert status in (1, 2) and out == "", words
        assert why in err.splitlines()[-1]
    assert dozen.audit.file.read_bytes() == before and with_class(dozen, "ntp") == set()


TYPED = {"y\n": 0, "yes\n": 0, "11\n": 0, "\n": 0, "\x04": 0, "12\n": 12}


def test_at_a_terminal_the_number_is_typed(config: Path, dozen: Settings) -> None:
    for typed, written in TYPED.items():
        _typed(config, dozen, typed, written)


def _typed(config: Path, dozen: Settings, typed: str, written: int) -> None:
    words = ["node", "set", "--named", "web*", "--class", "ntp", "--reason", WHY]
    here, there = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "enc.cli", "--config", str(config), *words],
        stdin=there,
        stdout=subprocess.PIPE,
        stderr=there,
    ) as program:
        os.close(there)
        shown = b""
        while b"type the number of selected nodes" not in shown:
            shown += os.read(here, 65536)
        assert b"modify cn=web12.example.org" in shown and b"12 nodes are selected, of which 12 change" in shown
        assert with_class(dozen, "ntp") == set()
        os.write(here, typed.encode())
        with suppress(OSError):  # EIO: the program has closed it
            while more := os.read(here, 65536):
                shown += more
        assert program.wait(60) == (0 if written else 1)
    os.close(here)
    assert len(with_class(dozen, "ntp")) == written
    assert (b"nothing was written" in shown) == (not written)


def test_a_failure_in_the_middle_can_be_taken_back_or_completed(dozen: Settings, admin: Run) -> None:
    """Somebody sets the same part of the third node between plan and write."""
    wish = Wish(variables={VariableName("depth"): "all"})
    with open_desk(dozen) as desk:
        plan = nodes.change_all(desk, WEBS[:5], wish)
        nodes.change(desk, WEBS[2], Wish(variables={VariableName("depth"): "other"}), reason="meanwhile")
        with pytest.raises(Conflict) as caught:
            desk.submit(plan, reason=WHY)
    failed = edits(dozen)[-1]
    assert failed.outcome.startswith("failed: 2 of 5 steps made") and failed.made == 2
    back = f"run the same command again for the rest, and enc-admin node undo {failed.id}"
    assert f"(2 of 5 steps were done; {back}" in str(caught.value)
    assert admin("node", "undo", failed.id, "--reason", WHY)[0] == 0
    with DirectoryEditor(dozen) as editor:
        held = {name: nodes.entry_of(name, editor, dozen).all("puppetVar") for name in WEBS[:5]}
    assert held == {WEBS[2]: ("depth=other",)} | dict.fromkeys((*WEBS[:2], *WEBS[3:5]), ())
    words = ("node", "set", *WEBS[:5], "--variable", "depth=all", "--reason", WHY, "--nodes", "5")
    assert admin(*words)[0] == 0


def test_kill_9_in_the_middle_of_many_can_be_taken_back(config: Path, dozen: Settings, admin: Run) -> None:
    words = ["node", "set", "--named", "web*", "--nodes", "12", "--class", "ntp", "--reason", WHY]
    before = len(edits(dozen))
    with subprocess.Popen([sys.executable, "-m", "enc.cli", "--config", str(config), *words]) as program:
        while not with_class(dozen, "ntp") and program.poll() is None:
            pass
        program.kill()
    edit = edits(dozen)[before]
    assert admin("node", "undo", edit.id, "--reason", WHY)[0] == 0
    assert with_class(dozen, "ntp") == set()


def test_one_node_that_would_break_stops_all(dozen: Settings, admin: Run) -> None:
    loop = ("node", "set", "--project", "red", "--parent", str(WEBS[3]), "--reason", WHY, "--nodes", "13")
    status, _, err = admin(*loop)
    assert status == 1 and "nothing was written" in err
    assert all("puppetvar" not in edit.action for edit in edits(dozen)) and edits(dozen)[-1].action == "node add"


def test_an_admin_edits_no_nodes_of_others_among_many(
    dozen: Settings, admin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("pw-anna\n"))
    words = ("node", "set", "--named", "*1.example.org", "--class", "ntp", "--reason", WHY, "--as", "anna")
    status, _, err = admin(*words, "--nodes", "4")
    assert status == 1 and "blue" in err and with_class(dozen, "ntp") == set()
    monkeypatch.setattr("sys.stdin", io.StringIO("pw-anna\n"))
    assert admin(*words, "--project", "red", "--nodes", "3")[0] == 0
    assert len(with_class(dozen, "ntp")) == 3


INNER, OUTER = f"cn=blue,ou=projects,{S}", f"cn=red,ou=projects,{S}"


def held(settings: Settings, uid: str) -> set[tuple[str, str | None]]:
    with LdapSource(settings) as source:
        return set(people.find(PersonName(uid), source, settings).holds)


def test_a_project_and_a_role_stand_where_people_can(admin: Run, settings: Settings, slapd: Slapd) -> None:
    add = ("project", "member", "add", "red", "--reason", WHY)
    status, _, told = admin(*add, "--project", "blue")
    assert (status, "circle" in told) == (0, False)
    assert ("member", "red") in held(settings, "bert")
    assert "already up to date" in admin(*add, "--project", "blue")[2]
    assert admin(*add, "--role", "blue/projectadmin", "--admin")[0] == 0
    assert held(settings, "bert") == {(role, name) for role in ("member", "projectadmin") for name in ("red", "blue")}
    document = json.loads(admin("project", "member", "list", "red", "--effective", "--json")[1])
    assert {row["uid"]: (row["role"], row["way"]) for row in document["people"]} == {
        "anna": ("admin", []),
        "bert": ("admin", ["role blue/projectadmin"]),
        "mia": ("member", []),
    }
    assert {"group": "project blue", "role": "member", "gone": False} in document["groups"]
    listed = json.loads(admin("project", "member", "list", "red", "--json")[1])
    assert {row["uid"] for row in listed["people"]} == {"anna", "mia"} and listed["groups"] == document["groups"]
    table = admin("project", "member", "list", "red", "--effective")[1]
    assert re.search(r"^bert +admin +role blue/projectadmin$", table, re.MULTILINE)
    taken = admin("project", "member", "remove", "red", "--role", "blue/projectadmin", "--reason", WHY, "--json")[1]
    assert held(settings, "bert") == {("member", "red"), ("member", "blue"), ("projectadmin", "blue")}
    assert admin("node", "undo", json.loads(taken)["id"], "--reason", WHY)[0] == 0
    assert ("projectadmin", "red") in held(settings, "bert")


def test_what_is_no_group_that_counts_is_not_put_into_a_project(admin: Run, settings: Settings, slapd: Slapd) -> None:
    add = ("project", "member", "add", "red", "--reason", WHY)
    refused = {
        ("--project", "nosuch"): (1, "no project nosuch"),
        ("--project", "projectadmin"): (1, "no project projectadmin"),
        ("--role", "blue/nosuch"): (1, "project blue has no role nosuch"),
        ("--role", "blue"): (2, "write PROJECT/ROLE"),
        ("--role", "blue/x,ou=y"): (1, "has no role"),
        ("--group", "nothing"): (2, "is not a distinguished name"),
        ("--group", f"uid=bert,ou=people,{S}"): (2, "no groupOfNames or organizationalRole"),
        ("--group", f"cn=nosuch,ou=groups,{S}"): (2, "no groupOfNames or organizationalRole"),
        ("--group", f"ou=projects,{S}"): (2, "no groupOfNames or organizationalRole"),
        (): (2, "say who"),
    }
    for words, (status, text) in refused.items():
        found = admin(*add, *words)
        assert (found[0], text in found[2]) == (status, True), (words, found)
    assert admin(*add, "--group", f"CN=operators, ou=groups,{S}")[0] == 0
    assert ("member", "red") in held(settings, "olga")
    again = admin(*add, "--group", f"cn=operators,ou=groups,{S}")
    assert "already up to date" in again[2], "however the name is written"
    remove = ("project", "member", "remove", "red", "--reason", WHY)
    assert admin(*remove, "--group", f"cn=Operators,ou=groups,{S}")[0] == 0
    assert ("member", "red") not in held(settings, "olga")


def test_circles_and_what_is_too_deep_are_told(admin: Run, settings: Settings) -> None:
    add = ("project", "member", "add")
    assert admin(*add, "red", "--project", "blue", "--reason", WHY)[0] == 0
    status, _, told = admin(*add, "blue", "--project", "red", "--reason", WHY)
    assert status == 0 and "a circle does no harm" in told
    chain = ("c1", "c2", "c3", "c4")
    for name in chain:
        assert admin("project", "add", name, "--admin", "anna", "--reason", WHY)[0] == 0
    for outer, inner in zip(chain, (*chain[1:], "blue"), strict=True):
        told = admin(*add, outer, "--project", inner, "--reason", WHY)[2]
    assert "nested too deeply: whoever is in project c1 only through project blue is not in it" in told
    assert ("member", "c1") not in held(settings, "bert") and ("member", "c2") in held(settings, "bert")


def test_who_is_taken_out_and_is_in_by_another_way_is_told(admin: Run, settings: Settings) -> None:
    words = ("project", "member", "add", "red", "bert", "--project", "blue", "--reason", WHY)
    assert admin(*words)[0] == 0
    told = admin("project", "member", "remove", "red", "bert", "--reason", WHY)[2]
    assert "bert is still in project red, through project blue" in told
    assert ("member", "red") in held(settings, "bert")


def test_a_group_has_no_name_of_a_persons(admin: Run, settings: Settings, slapd: Slapd) -> None:
    """Somebody called like a project is not that project."""
    slapd.add(f"uid=blue,ou=people,{S}", {"objectClass": "inetOrgPerson", "uid": "blue", "cn": "blue", "sn": "x"})
    assert admin("project", "member", "add", "red", "blue", "--project", "blue", "--reason", WHY)[0] == 0
    assert admin("project", "member", "remove", "red", "blue", "--reason", WHY)[0] == 0
    with LdapSource(settings) as source:
        entry = source.read(OUTER)
    assert entry is not None and INNER in entry.all("member") and f"uid=blue,ou=people,{S}" not in entry.all("member")


def test_a_project_that_goes_is_taken_out_of_others(admin: Run, settings: Settings, slapd: Slapd) -> None:
    """Who makes one of that name later gets nothing by it; and undo brings both back."""
    add = ("project", "member", "add", "red", "--reason", WHY)
    assert admin(*add, "--project", "blue", "--role", "blue/projectadmin")[0] == 0
    done = admin("project", "delete", "blue", "--reason", WHY, "--json")
    assert "removed from project red" in done[2]
    assert admin("project", "add", "blue", "--admin", "bert", "--reason", WHY)[0] == 0
    assert ("member", "red") not in held(settings, "bert")
    assert admin("project", "delete", "blue", "--reason", WHY)[0] == 0
    assert admin("node", "undo", json.loads(done[1])["id"], "--reason", WHY)[0] == 0
    assert ("member", "red") in held(settings, "bert")
    slapd.modify(OUTER, {"member": [(REPLACE, [INNER])]})
    status, _, told = admin("project", "delete", "blue", "--reason", WHY)
    assert status == 1 and "project red would have no member left" in told


def test_who_may_change_a_project_gets_nothing_in_one_that_is_in_it(admin: Run, settings: Settings) -> None:
    assert admin("project", "member", "add", "red", "--project", "blue", "--reason", WHY)[0] == 0
    assert held(settings, "anna") == {("projectadmin", "red"), ("member", "red")}
    assert held(settings, "mia") == {("member", "red")}


def test_a_role_of_the_sites_own_is_given_and_taken(
    admin: Run, config: Path, slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text() + "projects: {roles: [{name: deployer, may: [NODE_EDIT, BRANCH_PUSH]}]}\n")
    settings = load(config)
    give = ("project", "role", "add", "red", "deployer", "--reason", WHY)
    assert admin("project", "role", "add", "red", "nosuch", "mia", "--reason", WHY)[0] == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("pw-anna\n"))
    status, _, told = admin(*give, "mia", "--as", "anna")
    assert status == 1 and "anna" in told and "operators may" in told, "an admin makes no role's entry"
    made = admin(*give, "mia", "--project", "blue", "--json")
    assert made[0] == 0
    assert {("deployer", "red"), ("member", "red")} == held(settings, "mia")
    assert ("deployer", "red") in held(settings, "bert")
    document = json.loads(admin("project", "role", "list", "red", "--json")[1])
    assert {"uid": "bert", "role": "deployer", "way": ["project blue"]} in document["people"]
    assert "bert" in admin("project", "member", "list", "red", "--effective")[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("pw-anna\n"))
    slapd.restart(roles=(("deployer", ("NODE_EDIT", "BRANCH_PUSH")),))  # whose own rules are made at its start
    take = ("project", "role", "remove", "red", "deployer", "--project", "blue", "--reason", WHY)
    assert admin(*take, "--as", "anna")[0] == 0, "but says who holds it"
    assert ("deployer", "red") not in held(settings, "bert")
    slapd.restart(roles=())
    assert admin("project", "set", "red", "--prefix", "deployer", "--class", "x", "--reason", WHY)[0] == 2
