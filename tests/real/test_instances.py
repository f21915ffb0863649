"""The life of instances over a real slapd: one name for one creator, nothing open half-way, nothing lost by a kill."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from enc import cli
from enc.classify.classify import Classifier
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.directory.ldap_store import LdapSource
from enc.directory.messages import Scope
from enc.edits.wish import Wish
from enc.instances import tokens
from enc.instances.enrolment import ATTRIBUTE, BUILT_ATTRIBUTE
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.tickets import Ticket
from enc.programs.elapsed import begun, look
from enc.service import history, nodes
from enc.service.desk import open_desk
from enc.settings import Settings
from enc.settings.config import load
from enc.terms.errors import ClassificationError, Conflict, NotAllowed, ToolkitError
from enc.terms.names import Certname, PersonName
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.instances import (
    BLUE,
    RED,
    WHY,
    S,
    add_people_and_projects,
    found,
    killed_at,
    write_config,
)
from tests.support.slapd import Slapd

WEB1 = "web-1.red.example.org"
Run = Callable[..., tuple[int, str, str]]
YEAR = 365 * 86400.0


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Slapd:
    made = make_module_slapd()
    add_people_and_projects(made, write_config(tmp_path_factory.mktemp("first") / "config.yaml", made))
    made.directory.backup(made.directory.home.data_dir / "backup.ldif")
    return made


@pytest.fixture
def config(slapd: Slapd, tmp_path: Path) -> Path:
    slapd.stop()
    slapd.directory.restore(slapd.directory.home.data_dir / "backup.ldif")
    slapd.start()
    return write_config(tmp_path / "config.yaml", slapd)


@pytest.fixture
def settings(config: Path) -> Settings:
    return load(config)


@pytest.fixture
def admin(config: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `enc-admin instance` and returns exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--config", str(config), "instance", *words])
        told = capsys.readouterr()
        if "--output" not in words:
            json_contract.watch("enc-admin", ["instance", *words], told.out)
        return status, told.out, told.err

    return run


def edit(settings: Settings, place: str, *changes: ValueChange) -> None:
    with DirectoryEditor(settings) as editor:
        editor.modify(place, changes)


def version(settings: Settings) -> str:
    """Return the version of WEB1's entry."""
    instance = found(settings, WEB1)
    assert instance is not None
    return instance.record.csn


def sign(settings: Settings, certname: str, at: int = 10) -> None:
    """Let an instance be signed, as enc-autosign would."""
    instance = found(settings, certname)
    assert instance is not None
    signed = instance.enrolment.signed_for("a" * 64, at).text()
    edit(settings, instance.record.dn, ValueChange(ATTRIBUTE, (instance.enrolment.text(),), (signed,)))


def test_from_create_to_delete(admin: Run, settings: Settings) -> None:
    status, out, err = admin("create", "web-1", "--project", "red", "--region", "eu", "--reason", WHY, "--json")
    assert status == 0, err
    told = json.loads(out)
    instance = found(settings, WEB1)
    assert instance is not None and instance.enrolment.state == "waiting"
    binding = tokens.Binding(Certname(WEB1), RED, "eu")
    key = tokens.read_key(settings.instances.token_key_file)
    assert told["token"] == tokens.token(key, binding, instance.enrolment.nonce)
    assert tokens.digest(told["token"]) == instance.enrolment.token
    assert json.loads(admin("user-data", WEB1, "--json")[1])["token"] == told["token"]
    (row,) = json.loads(admin("list", "--json")[1])["instances"]
    assert (row["certname"], row["project"], row["region"], row["state"]) == (WEB1, "red", "eu", "waiting")
    sign(settings, WEB1)
    assert admin("user-data", WEB1)[0] == 1
    assert admin("delete", WEB1, "--reason", WHY)[0] == 0
    assert found(settings, WEB1) is None
    assert list(settings.instances.journal.glob("*.json")) == []
    assert admin("create", "web-1", "--project", "red", "--reason", WHY)[0] == 0
    again = found(settings, WEB1)
    assert again is not None and again.enrolment.token != instance.enrolment.token


def test_a_dry_run_does_nothing(admin: Run, settings: Settings) -> None:
    status, out, _ = admin("create", "web-1", "--project", "red", "--reason", WHY, "--dry-run")
    assert (status, f"add cn={WEB1},ou=red,ou=hosts,{S}" in out, "a token is made" in out) == (0, True, True)
    assert found(settings, WEB1) is None
    assert not settings.audit.file.exists() or WEB1 not in settings.audit.file.read_text()
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    before = version(settings)
    for words in (("rebuild", WEB1), ("delete", WEB1), ("move", WEB1, "--project", "blue")):
        assert admin(*words, "--reason", WHY, "--dry-run")[0] == 0
    assert version(settings) == before
    assert list(settings.instances.journal.glob("*.json")) == []


def test_a_name_is_taken_in_every_project(admin: Run) -> None:
    assert admin("create", WEB1, "--project", "red", "--reason", WHY)[0] == 0
    status, _, err = admin("create", WEB1, "--project", "blue", "--reason", WHY)
    assert (status, "already" in err) == (1, True)


@pytest.mark.parametrize(
    "words, wanted, hint",
    [
        (("create", "web-1", "--project", "green"), 1, "no project green"),
        (("create", "Web", "--project", "red"), 2, "not a certname"),
        (("create", "../x", "--project", "red"), 2, "not a certname"),
        (("rebuild", "nobody.example.org"), 1, "no instance"),
        (("delete", "nobody.example.org"), 1, "no instance"),
        (("show", "nobody.example.org"), 1, "no instance"),
    ],
)
def test_what_cannot_be_is_refused(
    admin: Run, settings: Settings, words: tuple[str, ...], wanted: int, hint: str
) -> None:
    reason = () if words[0] == "show" else ("--reason", WHY)
    status, out, err = admin(*words, *reason)
    assert (status, out) == (wanted, ""), err
    assert hint in err
    assert list(settings.instances.journal.glob("*.json")) == []


def test_a_rebuild_closes_gives_another_token_and_forgets_what_was_built(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    first = found(settings, WEB1)
    sign(settings, WEB1)
    assert first is not None
    edit(settings, first.record.dn, ValueChange(BUILT_ATTRIBUTE, (), ("20 took 10",)))
    assert admin("rebuild", WEB1, "--reason", WHY)[0] == 0
    second = found(settings, WEB1)
    assert second is not None
    assert (second.enrolment.state, second.built) == ("waiting", None)
    assert second.enrolment.token != first.enrolment.token


def test_a_plain_node_becomes_an_instance_by_a_rebuild_and_is_then_no_more_removed_as_a_node(
    admin: Run, settings: Settings
) -> None:
    plain = Certname("old.example.org")
    with open_desk(settings) as desk:
        nodes.add(desk, plain, RED, Wish(), reason=WHY)
        assert admin("delete", plain, "--reason", WHY)[0] == 1
        assert admin("rebuild", plain, "--reason", WHY)[0] == 0
        with pytest.raises(Conflict, match="instance delete"):
            nodes.remove(desk, plain, reason=WHY)


def test_a_move_takes_the_entry_along(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--region", "eu", "--class", "role::web", "--reason", WHY)
    first = found(settings, WEB1)
    before = version(settings)
    status, _, err = admin("move", WEB1, "--project", "blue", "--region", "../us", "--reason", WHY)
    assert status == 2 and "is not a role or region" in err
    assert version(settings) == before, "what no certificate may hold closes nothing"
    assert admin("move", WEB1, "--project", "blue", "--region", "us", "--reason", WHY)[0] == 0
    moved = found(settings, WEB1)
    assert first is not None and moved is not None
    assert (moved.project, moved.region, moved.enrolment.state) == (BLUE, "us", "waiting")
    assert moved.record.dn == f"cn={WEB1},ou=blue,ou=hosts,{S}"
    assert moved.record.uuid == first.record.uuid
    assert moved.record.all("puppetClass") == ("role::web",)
    assert admin("move", WEB1, "--project", "blue", "--reason", WHY)[0] == 2


def test_admins_work_in_their_project_and_only_operators_move(settings: Settings) -> None:
    anna = (PersonName("anna"), "pw-anna")
    with open_desk(settings, *anna) as desk:
        work = Lifecycle(desk, (), Journal(settings.instances.journal))
        work.create("web-1", RED, Wish(), reason=WHY)
        work.rebuild(Certname(WEB1), reason=WHY)
        with pytest.raises(NotAllowed):
            work.create("web-1", BLUE, Wish(), reason=WHY)
        before = version(settings)
        with pytest.raises(NotAllowed):
            work.move(Certname(WEB1), BLUE, None, reason=WHY)
        assert version(settings) == before
    with open_desk(settings, PersonName("bert"), "pw-bert") as desk:
        work = Lifecycle(desk, (), Journal(settings.instances.journal))
        for verb in (work.rebuild, work.delete):
            with pytest.raises(NotAllowed):
                verb(Certname(WEB1), reason=WHY)
        assert version(settings) == before
    assert list(settings.instances.journal.glob("*.json")) == []


def test_an_admin_gets_no_name_of_the_sites_own_servers(settings: Settings) -> None:
    settings = replace(settings, instances=replace(settings.instances, reserved=("ldap.example.org", "*.ops.example")))
    with open_desk(settings, PersonName("anna"), "pw-anna") as desk:
        work = Lifecycle(desk, (), Journal(settings.instances.journal))
        for name in ("ldap.example.org", "db.ops.example", "ldap.example.org."):
            with pytest.raises(NotAllowed, match="the site's own"):
                work.create(name, RED, Wish(), reason=WHY)
            with pytest.raises(NotAllowed, match="operators may"):
                nodes.add(desk, Certname(name), RED, Wish(), reason=WHY)
            with open_desk(settings) as operator:
                nodes.add(operator, Certname(name), RED, Wish(), reason=WHY)
            nodes.change(desk, Certname(name), Wish(classes=("ntp",)), reason=WHY)
            with pytest.raises(NotAllowed, match="the site's own"):
                work.rebuild(Certname(name), reason=WHY)
            receipt = nodes.remove(desk, Certname(name), reason=WHY)
            with pytest.raises(NotAllowed, match="operators may"):
                history.undo(desk, str(receipt.id), reason=WHY)


def test_an_admin_gets_no_name_of_another_projects_instances(settings: Settings) -> None:
    name = Certname("web-1.blue.example.org")
    with open_desk(settings, PersonName("anna"), "pw-anna") as desk:
        work = Lifecycle(desk, (), Journal(settings.instances.journal))
        with pytest.raises(NotAllowed, match="a name for instances of project blue"):
            nodes.add(desk, name, RED, Wish(), reason=WHY)
        with pytest.raises(NotAllowed, match="a name for instances of project blue"):
            work.create(name, RED, Wish(), reason=WHY)
        assert found(settings, name) is None and list(settings.instances.journal.glob("*.json")) == []
        nodes.add(desk, Certname("web-1.green.example.org"), RED, Wish(), reason=WHY)  # there is no such project
    with open_desk(settings) as operator:
        nodes.add(operator, name, RED, Wish(), reason=WHY)


def test_a_servers_name_that_an_admin_wrote_by_ldaps_own_tools_is_not_classified(
    slapd: Slapd, settings: Settings
) -> None:
    """slapd lets an admin make any entry below its project; what such a server installs is not told from there."""
    name, place = "ldap.example.org", f"cn=ldap.example.org,ou=red,ou=hosts,{S}"
    settings = replace(settings, instances=replace(settings.instances, reserved=(name,), reserved_project="blue"))
    with open_desk(settings) as operator:
        nodes.add(operator, Certname("web-1.red.example.org"), RED, Wish(), reason=WHY)
    with slapd.connect(f"uid=anna,ou=people,{S}", "pw-anna") as connection:
        assert connection.add(place, ["device", "puppetClient"], {"cn": name, "puppetClass": "evil"})
    with LdapSource(settings) as source:
        with pytest.raises(ClassificationError, match="the site's own servers"):
            Classifier(settings).classify(Certname(name), source)
        assert Classifier(settings).classify(Certname("web-1.red.example.org"), source)
    with open_desk(settings) as operator:
        nodes.remove(operator, Certname(name), reason=WHY)
        nodes.add(operator, Certname(name), BLUE, Wish(classes=("ntp",)), reason=WHY)
    with LdapSource(settings) as source:
        assert "ntp" in str(Classifier(settings).classify(Certname(name), source))


def test_an_instance_is_worked_on_under_its_own_name_only(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    instance = found(settings, WEB1)
    assert instance is not None
    edit(settings, instance.record.dn, ValueChange("cn", (), ("alias.example.org",)))
    for verb in ("rebuild", "delete"):
        status, _, err = admin(verb, "alias.example.org", "--reason", WHY)
        assert (status, WEB1 in err) == (2, True), "the certificate of the real name would stay good"
    assert found(settings, WEB1) is not None


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """Call `work` in so many threads at one moment; return what each returned, or its expected error."""
    outcomes: list[object] = [None] * count
    start = threading.Barrier(count)

    def one(number: int) -> None:
        start.wait()
        try:
            outcomes[number] = work(number)
        except ToolkitError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("machines", [1, 50])
def test_fifty_creators_get_fifty_names_and_fifty_deletions_leave_none(
    settings: Settings, tmp_path: Path, machines: int
) -> None:
    """With a journal each they are as on different masters, where no lock of ours reaches."""

    def journal(number: int) -> Journal:
        return Journal(tmp_path / f"journal{number % machines}")

    def create(number: int) -> Ticket:
        with open_desk(settings) as desk:
            ticket = Lifecycle(desk, (), journal(number)).create("web-#", RED, Wish(), reason=WHY).ticket
        assert ticket is not None
        return ticket

    tickets = together(50, create)
    assert [ticket for ticket in tickets if not isinstance(ticket, Ticket)] == []
    names = {ticket.certname for ticket in tickets if isinstance(ticket, Ticket)}
    assert names == {f"web-{number}.red.example.org" for number in range(1, 51)}
    for ticket in tickets:
        assert isinstance(ticket, Ticket)
        instance = found(settings, ticket.certname)
        assert instance is not None and instance.enrolment.token == tokens.digest(ticket.token)

    def delete(number: int) -> None:
        with open_desk(settings) as desk:
            Lifecycle(desk, (), journal(number)).delete(Certname(sorted(names)[number]), reason=WHY)

    assert together(50, delete) == [None] * 50
    with DirectoryEditor(settings) as editor:
        assert editor.find(settings.nodes_base, f"({ATTRIBUTE}=*)") == []
    assert list(tmp_path.glob("journal*/*.json")) == []


def test_of_two_creators_of_one_name_one_gets_it(settings: Settings, tmp_path: Path) -> None:
    def create(number: int) -> object:
        with open_desk(settings) as desk:
            work = Lifecycle(desk, (), Journal(tmp_path / f"journal{number}"))
            return work.create(WEB1, (RED, BLUE)[number % 2], Wish(region=f"r{number}"), reason=WHY).ticket

    outcomes = together(8, create)
    (ticket,) = [outcome for outcome in outcomes if isinstance(outcome, Ticket)]
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7, outcomes
    instance = found(settings, WEB1)
    assert instance is not None and (instance.project, instance.region) == (ticket.project, ticket.region)
    assert list(tmp_path.glob("journal*/*.json")) == []


@pytest.mark.parametrize("verb", ["create", "rebuild", "move", "delete"])
def test_killed_after_any_act_it_is_finished_by_resume(config: Path, admin: Run, verb: str) -> None:
    settings = load(config)
    for step in range(1, 20):
        name = f"web-{step}.red.example.org"
        if verb != "create":
            admin("create", name, "--project", "red", "--reason", WHY)
            sign(settings, name)
        killed = killed_at(config, verb, name, step)
        instance = found(settings, name)
        assert instance is None or instance.enrolment.state in ("closed", "waiting", "signed")
        assert admin("resume")[0] == 0
        assert list(settings.instances.journal.glob("*.json")) == []
        after = found(settings, name)
        if step == 1 and verb == "create":
            assert after is None, "killed before the entry was made: there is nothing to finish"
        elif step == 1 and verb != "delete":
            assert after is not None and after.enrolment.state == "signed"
        elif verb == "delete":
            assert after is None
        else:
            assert after is not None and after.enrolment.state == "waiting"
            assert after.project == (BLUE if verb == "move" else RED)
        if not killed:
            assert step > 3
            return
    raise AssertionError("it had more acts than were tried")


UNREACHABLE = """authorities:
  timeout: 1s
  servers:
    - {name: central, url: "https://127.0.0.1:1"}
    - {name: blue, url: "https://127.0.0.1:1", projects: [blue]}
"""


def test_without_an_authority_nobody_is_signed_until_resume(
    slapd: Slapd, config: Path, admin: Run, settings: Settings
) -> None:
    write_config(config, slapd, UNREACHABLE)
    status, out, err = admin("create", "web-1", "--project", "red", "--reason", WHY)
    assert (status, out) == (1, ""), err
    assert "central" in err and "instance resume" in err and "blue" not in err
    instance = found(settings, WEB1)
    assert instance is not None and instance.enrolment.state == "closed"
    (unfinished,) = json.loads(admin("list", "--unfinished", "--json")[1])["operations"]
    assert (unfinished["certname"], unfinished["authorities"]) == (WEB1, ["central"])
    assert admin("resume")[0] == 1
    # An authority that is configured no more cannot be finished with silently.
    write_config(config, slapd)
    assert "authority central is no longer configured" in admin("resume")[2]
    assert admin("delete", WEB1, "--reason", WHY)[0] == 0


def test_what_another_operation_did_since_is_left_alone(slapd: Slapd, config: Path, settings: Settings) -> None:
    write_config(config, slapd, UNREACHABLE)
    with_authority = load(config)
    journal = Journal(settings.instances.journal)
    from enc.authority.client import open_all

    with open_desk(with_authority) as desk:
        stuck = Lifecycle(desk, open_all(with_authority.authorities), journal)
        with pytest.raises(ToolkitError, match="central"):
            stuck.create("web-1", RED, Wish(), reason=WHY)
        (operation,) = journal.read()[0]
        other = Lifecycle(desk, (), Journal(settings.instances.journal / "other"))
        ticket = other.rebuild(Certname(WEB1), reason=WHY).ticket
        assert ticket is not None
        assert stuck.resume(operation).ticket is None
    instance = found(settings, WEB1)
    assert instance is not None and instance.enrolment.token == tokens.digest(ticket.token)
    assert journal.read() == ([], [])


def test_a_journal_file_that_is_none_is_told_and_stops_nothing(admin: Run, settings: Settings) -> None:
    journal = settings.instances.journal
    journal.mkdir(parents=True)
    (journal / "1-00000000.json").write_text('{"format": 1, "id": "../x"')
    status, _, err = admin("resume")
    assert (status, "1-00000000.json" in err) == (1, True)
    assert admin("create", "web-1", "--project", "red", "--reason", WHY)[0] == 0


def test_a_deletion_removes_what_puppetserver_keeps_and_follows_no_link(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    vardir = settings.instances.vardir
    assert vardir is not None
    other = vardir.parent / "elsewhere"
    (other / "facts").mkdir(parents=True)
    kept = other / f"facts/{WEB1}.json"
    kept.write_text("{}")
    for place in ("yaml/facts", "yaml/node", "reports", f"reports/{WEB1}"):
        (vardir / place).mkdir(parents=True)
    (vardir / "server_data").symlink_to(other)
    (vardir / f"yaml/facts/{WEB1}.yaml").write_text("---\n")
    (vardir / f"yaml/node/{WEB1}.yaml").symlink_to(kept)
    (vardir / f"reports/{WEB1}/202601010000.yaml").write_text("---\n")
    (vardir / "yaml/facts/other.example.org.yaml").write_text("---\n")
    status, _, err = admin("delete", WEB1, "--reason", WHY)
    # A link instead of puppetserver's own directory is not what we made: told, and nothing behind it goes.
    assert (status, "cannot be removed" in err) == (1, True)
    assert kept.exists()
    (vardir / "server_data").unlink()
    assert admin("resume")[0] == 0
    left = sorted(str(path.relative_to(vardir)) for path in vardir.rglob("*") if not path.is_dir())
    assert left == ["yaml/facts/other.example.org.yaml"]
    assert kept.exists()


def test_the_enrolment_is_no_variable(admin: Run, settings: Settings, config: Path, capsys: object) -> None:
    from enc.classify.classify import Classifier
    from enc.directory.ldap_store import LdapSource

    admin("create", "web-1", "--project", "red", "--reason", WHY)
    with LdapSource(settings) as source:
        assert set(Classifier(settings).classify(Certname(WEB1), source).variables) == {"cn"}


def test_what_holds_a_token_is_written_for_its_owner_only(admin: Run, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "web-1.json"
    file.write_text("before")
    file.chmod(0o666)
    status, out, err = admin("create", "web-1", "--project", "red", "--reason", WHY, "--json", "--output", str(file))
    assert (status, out) == (0, "") and f"{file}: token of {WEB1}" in err
    assert file.stat().st_mode & 0o777 == 0o600
    told = json.loads(file.read_text())
    again = json.loads(admin("user-data", WEB1, "--json")[1])
    assert {key: told[key] for key in again} == again and told["dry_run"] is False
    assert told["token"] not in err
    for name in ("user-data", "rebuild"):
        words = ["--reason", WHY] if name == "rebuild" else []
        assert admin(name, WEB1, *words, "--output", str(tmp_path / name))[:2] == (0, "")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    # What cannot be written is told before anything is made.
    for place in (tmp_path, tmp_path / "none/file"):
        status, out, err = admin("create", "web-2", "--project", "red", "--reason", WHY, "--output", str(place))
        assert (status, out) == (2, "") and "--output" in err
    assert found(settings, "web-2.red.example.org") is None


def test_without_a_server_the_ticket_is_told_for_people(admin: Run, tmp_path: Path) -> None:
    file = tmp_path / "web-8"
    told_of = admin("create", "web-8", "--project", "red", "--reason", WHY, "--output", str(file))[2]
    assert f"{file}: token of web-8.red.example.org, readable by its owner only" in told_of
    status, said, _ = admin("create", "web-9", "--project", "red", "--reason", WHY)
    told = dict(line.split(": ", 1) for line in said.splitlines())
    assert (status, told["project"]) == (0, "red") and "dry_run" not in told
    assert datetime.fromisoformat(told["token_until"]) > datetime.now(UTC)


def test_a_token_of_another_key_is_not_printed(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    settings.instances.token_key_file.unlink()
    status, out, err = admin("user-data", WEB1)
    assert (status, out, "another key" in err) == (1, "", True)


def test_a_bad_enrolment_counts_as_closed(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    instance = found(settings, WEB1)
    assert instance is not None
    edit(settings, instance.record.dn, ValueChange(ATTRIBUTE, instance.record.all(ATTRIBUTE), ("open to all",)))
    assert json.loads(admin("show", WEB1, "--json")[1])["state"] == "closed"
    assert admin("rebuild", WEB1, "--reason", WHY)[0] == 0


def report(settings: Settings, certname: str, name: str, text: str) -> None:
    """Let a report be there, as puppetserver stores it."""
    assert settings.instances.vardir is not None
    directory = settings.instances.vardir / "reports" / certname
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(f"--- !ruby/object:Puppet::Transaction::Report\n{text}")


def test_the_first_run_that_succeeds_builds_and_later_ones_show_how_it_is(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    assert json.loads(admin("collect", "--json")[1]) == {"runs": []}
    report(settings, WEB1, "1.yaml", "status: changed\nnoop: false\n")
    admin("collect")
    assert (instance := found(settings, WEB1)) and instance.built is None, "it has no certificate: not its report"
    sign(settings, WEB1, int(time.time()) - 1)
    for number, text, state in (
        (2, "status: unchanged\nnoop: true\n", "signed"),
        (3, "status: failed\nnoop: false\n", "failing"),
        (4, "status: [\n", "failing"),
        (5, "status: changed\nnoop: false\nenvironment: test\n", "built"),
        (6, "status: failed\nnoop: false\n", "failing"),
        (7, "status: unchanged\nnoop: false\n", "built"),
    ):
        report(settings, WEB1, f"{number}.yaml", text)
        assert admin("collect")[0] == 0
        assert json.loads(admin("show", WEB1, "--json")[1])["state"] == state, number
        instance = found(settings, WEB1)
        assert instance is not None
        assert (instance.built is not None) == (number >= 5)
        if number == 5:
            assert instance.built is not None
            first = instance.built
            assert 0 <= first.took < 600
    assert instance is not None and instance.built == first
    assert admin("collect")[1] == "", "nothing is new"
    (row,) = json.loads(admin("list", "--state", "built", "--json")[1])["instances"]
    assert row["certname"] == WEB1
    admin("delete", WEB1, "--reason", WHY)
    assert not (settings.instances.runs / f"{WEB1}.json").exists()


def test_where_the_processor_writes_other_reports_do_not_count(admin: Run, settings: Settings) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    sign(settings, WEB1)
    assert settings.instances.vardir is not None
    proven = settings.instances.vardir / "puppetmaster-reports"
    proven.mkdir(parents=True)
    report(settings, WEB1, "1.yaml", "status: changed\nnoop: false\n")
    assert admin("collect")[0] == 0
    assert (instance := found(settings, WEB1)) and instance.built is None
    (proven / WEB1).mkdir()
    (proven / WEB1 / "1.json").write_text('{"status": "changed", "noop": false}')
    assert admin("collect")[0] == 0
    assert (instance := found(settings, WEB1)) and instance.built is not None
    admin("delete", WEB1, "--reason", WHY)
    assert list(proven.iterdir()) == []


def test_reports_of_others_and_links_say_nothing_about_it(admin: Run, settings: Settings, tmp_path: Path) -> None:
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    sign(settings, WEB1)
    report(settings, "web-2.red.example.org", "1.yaml", f"host: {WEB1}\nstatus: changed\nnoop: false\n")
    assert settings.instances.vardir is not None
    (settings.instances.vardir / "reports" / WEB1).symlink_to("web-2.red.example.org")
    assert admin("collect")[0] == 0
    instance = found(settings, WEB1)
    assert instance is not None and instance.built is None


def test_a_server_records_what_is_built_in_its_own_domain_only(admin: Run, settings: Settings, config: Path) -> None:
    """On a server of projects, members' code may have written the reports."""
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    sign(settings, WEB1)
    report(settings, WEB1, "1.yaml", "status: changed\nnoop: false\n")
    ours = config.read_text()
    for serves, of, built in (("projects", ["red"], False), ("site", [], False), ("projects", [], True)):
        config.write_text(ours + yaml.safe_dump({"domains": {"serves": serves, "site_projects": of}}))
        shutil.rmtree(settings.instances.runs, ignore_errors=True)
        assert admin("collect")[0] == 0
        instance = found(settings, WEB1)
        assert instance is not None and (instance.built is not None) == built, (serves, of)


def test_what_is_built_is_recorded_by_the_signing_account(slapd: Slapd, admin: Run, settings: Settings) -> None:
    assert settings.signing.bind_dn == slapd.directory.home.signer_dn
    admin("create", "web-1", "--project", "red", "--reason", WHY)
    sign(settings, WEB1)
    report(settings, WEB1, "1.yaml", "status: changed\nnoop: false\n")
    assert admin("collect")[0] == 0
    instance = found(settings, WEB1)
    assert instance is not None and instance.built is not None
    with DirectoryEditor(settings) as editor:
        (by,) = editor._open().read_all(instance.record.dn, "(objectClass=*)", Scope.BASE, ("modifiersName",))
    assert by.modifier == slapd.directory.home.signer_dn


def test_reconcile_finds_what_a_lost_journal_knew(admin: Run, settings: Settings, config: Path) -> None:
    assert killed_at(config, "create", WEB1, 2)
    for file in settings.instances.journal.glob("*.json"):
        file.unlink()
    assert admin("reconcile")[1] == "nothing to do\n", "it may be in work on another machine"
    status, out, _ = admin("reconcile", "--older-than", "0s", "--dry-run")
    assert (status, out.split()[:2]) == (0, ["rebuild", f"{WEB1}:"])
    assert (instance := found(settings, WEB1)) and instance.enrolment.state == "closed"
    assert admin("reconcile", "--older-than", "0s")[0] == 0
    assert (instance := found(settings, WEB1)) and instance.enrolment.state == "waiting"


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_clock_that_is_set_makes_no_young_instance_old(
    admin: Run, settings: Settings, tmp_path: Path, jump: float
) -> None:
    admin("create", "web-1", "--project", "red", "--serial", "id-1", "--reason", WHY)
    servers = tmp_path / "servers"
    servers.write_text("id-2\n")
    shown = look()
    # Ten minutes ago the clock showed something else, and the instance was made by a machine whose clock is right.
    right = shown.day - jump
    former = begun(shown._replace(day=right - 700, up=shown.up - 700)).after(
        shown._replace(day=right - 600, up=shown.up - 600)
    )
    (settings.instances.journal / "elapsed").write_text(json.dumps(former))
    with DirectoryEditor(settings) as editor:
        (instance,) = editor.find(settings.nodes_base, f"({ATTRIBUTE}=*)")
        (enrolment,) = instance.all(ATTRIBUTE)
    changed = re.sub(r" since \d+ ", f" since {int(right - 601)} ", enrolment)
    edit(settings, instance.dn, ValueChange(ATTRIBUTE, (enrolment,), (changed,)))
    missing = ("reconcile", "--servers", str(servers), "--delete-missing", "--older-than")
    assert admin(*missing, "15m")[0] == 0 and found(settings, WEB1) is not None
    assert admin(*missing, "10m")[0] == 0 and found(settings, WEB1) is None, "and it is kept no longer than that"


def test_instances_whose_server_is_gone_are_told_and_only_deleted_on_demand(
    admin: Run, settings: Settings, tmp_path: Path
) -> None:
    for number in (1, 2):
        admin("create", f"web-{number}", "--project", "red", "--serial", f"id-{number}", "--reason", WHY)
    servers = tmp_path / "servers"
    servers.write_text("")
    assert admin("reconcile", "--servers", str(servers), "--delete-missing")[0] == 2, "an empty list is a mistake"
    servers.write_text("id-2\n")
    assert admin("reconcile", "--servers", str(servers), "--delete-missing")[0] == 0
    assert found(settings, WEB1) is not None, "made this moment; the list may be older"
    old = ("--older-than", "0s")
    out = admin("reconcile", "--servers", str(servers), *old)[1]
    assert WEB1 in out and "web-2" not in out
    assert found(settings, WEB1) is not None
    assert admin("reconcile", "--servers", str(servers), "--delete-missing", *old)[0] == 0
    assert found(settings, WEB1) is None
    assert found(settings, "web-2.red.example.org") is not None
