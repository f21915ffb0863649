"""Numbers of projects against a real slapd: each given once, to one, for ever, whoever asks at once or dies of it."""

from __future__ import annotations

import io
import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import yaml

from enc import cli
from enc.directory.edits import DirectoryEditor
from enc.directory.ldap_store import LdapSource
from enc.doctor import members, numbers
from enc.edits.change import Change, modifying
from enc.rights.groups import Groups
from enc.service import people, standings
from enc.service.desk import PlannedEdit, open_desk
from enc.settings.config import load
from enc.terms.errors import Conflict
from enc.terms.record import Record
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.between import Between
from tests.support.slapd import ADD, DELETE, REPLACE, Refused, Slapd

S = "dc=example,dc=org"
NUMBERS = f"ou=gid,ou=numbers,{S}"
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["pytest", "enc.commands.project", __name__])


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    for uid in ("anna", "olga"):
        person = {"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid, "userPassword": f"pw-{uid}"}
        made.add(f"uid={uid},ou=people,{S}", person)
    made.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})
    return made


class Site:
    """A configuration for the directory, with a trail of its own; its ranges are used by no other test."""

    def __init__(self, slapd: Slapd, base: Path, first: int, **posix: object) -> None:
        self.slapd, self.first, self.config = slapd, first, base / f"config{first}.yaml"
        document = yaml.safe_load(slapd.configuration())
        document["audit"] = {"file": str(base / "trail.jsonl")}
        document["posix"] = {"gid_range": f"{first}-{first + 99}", **posix}
        self.config.write_text(yaml.safe_dump(document))

    def with_uri(self, uri: str) -> Path:
        document = yaml.safe_load(self.config.read_text())
        document["directory"] = {"uris": [uri], "suffix": S}
        file = self.config.with_name("between.yaml")
        file.write_text(yaml.safe_dump(document))
        return file

    def run(self, *words: str, say: bool = True) -> tuple[int, str, str]:
        given = [*words, "--reason", "for a test"] if say else list(words)
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            status = cli.main(["--config", str(self.config), *given])
        json_contract.watch("enc-admin", given, out.getvalue())
        return status, out.getvalue(), err.getvalue()

    def add(self, name: str, *more: str) -> int | None:
        status, _, err = self.run("project", "add", name, "--admin", "anna", *more)
        assert status == 0, err
        return self.number(name)

    def read(self, place: str) -> Record | None:
        with DirectoryEditor(load(self.config)) as editor:
            return editor.read(place)

    def number(self, name: str) -> int | None:
        record = self.read(f"cn={name},ou=projects,{S}")
        assert record is not None, name
        found = record.first("gidNumber")
        return None if found is None else int(found)

    def role(self, name: str) -> Record:
        found = self.read(f"cn=projectadmin,cn={name},ou=projects,{S}")
        assert found is not None, name
        return found

    def role_number(self, name: str) -> int | None:
        found = self.role(name).first("gidNumber")
        return None if found is None else int(found)

    def note(self, number: int | None) -> Record:
        found = self.read(f"cn={number},{NUMBERS}")
        assert found is not None, number
        return found

    def last_edit(self) -> str:
        return _edits(self)[-1]


_ranges = iter(range(50_000, 59_000, 100))


@pytest.fixture
def site(slapd: Slapd, tmp_path: Path) -> Callable[..., Site]:
    return lambda **posix: Site(slapd, tmp_path, next(_ranges), **posix)


def _edits(here: Site) -> list[str]:
    told = json.loads(here.run("node", "history", "--all", "--json", say=False)[1])
    return [edit["id"] for edit in told["edits"]]


def _command(config: str, words: Sequence[str]) -> None:
    sys.stdout = sys.stderr = io.StringIO()
    sys.exit(cli.main(["--config", config, *words, "--reason", "for a test"]))


def test_twenty_at_once_get_twenty_numbers_and_none_comes_back(site: Callable[..., Site]) -> None:
    here = site()
    names = [f"crowd{number}" for number in range(20)]
    words = [("project", "add", name, "--admin", "anna") for name in names]
    crowd = [_FORKING.Process(target=_command, args=(str(here.config), one)) for one in words]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(600)
    assert [process.exitcode for process in crowd] == [0] * 20
    given, of_admins = [here.number(name) for name in names], [here.role_number(name) for name in names]
    assert sorted(filter(None, (*given, *of_admins))) == list(range(here.first, here.first + 40))
    for name in names[:3]:
        assert here.run("project", "delete", name)[0] == 0
    assert (here.add("after"), here.add(names[0])) == (here.first + 40, here.first + 42)
    assert {here.role_number("after"), here.role_number(names[0])} == {here.first + 41, here.first + 43}
    status, _, err = here.run("project", "add", names[1], "--admin", "anna", "--gid", str(given[1]))
    assert (status, "is not given again" in err) == (1, True)


def test_twenty_at_once_that_want_one_number(site: Callable[..., Site]) -> None:
    here = site()
    words = [("project", "add", f"one{n}", "--admin", "anna", "--gid", str(here.first)) for n in range(10)]
    crowd = [_FORKING.Process(target=_command, args=(str(here.config), one)) for one in words]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(600)
    assert sorted(process.exitcode or 0 for process in crowd) == [0] + [1] * 9


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7])
def test_kill_9_at_each_write_doubles_no_number(
    site: Callable[..., Site], tmp_path: Path, at: int, after: bool
) -> None:
    here = site()
    name = f"killed{at}{'a' if after else 'b'}"
    victim: list[int] = []
    socket = here.slapd.directory.home.socket_path
    between = Between(tmp_path / "between", socket, at=at, after=after, victim=lambda: victim[0])
    started = _FORKING.Process(
        target=_command, args=(str(here.with_uri(between.uri)), ("project", "add", name, "--admin", "anna"))
    )
    started.start()
    assert started.pid is not None
    victim.append(started.pid)
    started.join(600)
    between.close()
    assert started.exitcode == -9, between.writes
    other = here.add(f"{name}other")
    own = here.add(name)
    every = (own, other, here.role_number(name), here.role_number(f"{name}other"))
    assert sorted(filter(None, every)) == list(range(here.first, here.first + 4))
    assert here.run("project", "posix", name)[0] == 0
    record, role = here.read(f"cn={name},ou=projects,{S}"), here.role(name)
    assert record is not None and here.note(own).all("serialNumber") == (record.uuid,)
    assert here.note(here.role_number(name)).all("serialNumber") == (role.uuid,)


def test_kill_9_of_one_that_wanted_a_number_leaves_it_to_the_same_project_alone(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    here = site()
    victim: list[int] = []
    between = Between(
        tmp_path / "between", here.slapd.directory.home.socket_path, at=2, after=False, victim=lambda: victim[0]
    )
    words = ("project", "add", "wants", "--admin", "anna", "--gid", str(here.first + 50))
    started = _FORKING.Process(target=_command, args=(str(here.with_uri(between.uri)), words))
    started.start()
    victim.append(started.pid or 0)
    started.join(600)
    between.close()
    assert started.exitcode == -9
    assert here.run("project", "add", "other", "--admin", "anna", "--gid", str(here.first + 50))[0] == 1
    assert here.add("wants", "--gid", str(here.first + 50)) == here.first + 50


def test_the_number_stays_for_life(site: Callable[..., Site]) -> None:
    here = site()
    first = here.add("life")
    note = here.note(first)
    assert note.first("owner") == f"cn=life,ou=projects,{S}"
    assert here.run("project", "posix", "life", "--gid", str(here.first + 9))[0] == 1
    assert here.run("project", "delete", "life")[0] == 0
    edit = here.last_edit()
    assert here.run("node", "undo", edit)[0] == 0
    assert here.number("life") == first
    undone = here.read(f"cn=life,ou=projects,{S}")
    assert undone is not None and undone.uuid in here.note(first).all("serialNumber")
    assert here.role_number("life") == here.first + 1
    assert here.role("life").uuid in here.note(here.first + 1).all("serialNumber")
    # Renamed with LDAP's own tools, it keeps its number; a new one of the old name gets another.
    with here.slapd.connect() as connection:
        connection.delete(f"cn=projectadmin,cn=life,ou=projects,{S}")
        connection.modify_dn(f"cn=life,ou=projects,{S}", "cn=lives")
    assert here.add("life") == here.first + 2
    assert (here.role_number("life"), here.number("lives")) == (here.first + 3, first)
    # Deleted with them, too.
    here.slapd.delete(f"cn=lives,ou=projects,{S}")
    assert here.add("lives2") == here.first + 4
    assert here.run("project", "add", "lives3", "--admin", "anna", "--gid", str(first))[0] == 1
    # An edit that gave it is taken back, but for the number.
    here.slapd.add(f"cn=late,ou=projects,{S}", {"objectClass": "groupOfNames", "cn": "late", "member": f"cn=x,{S}"})
    assert here.run("project", "posix", "late")[0] == 0
    status, _, err = here.run("node", "undo", here.last_edit())
    assert (status, "already up to date" in err, here.number("late")) == (0, True, here.first + 6)
    # No edit takes it away otherwise, whoever thought it up.
    with open_desk(load(here.config)) as desk:
        record = desk.editor.read(f"cn=late,ou=projects,{S}")
        assert record is not None
        gone = Change("gidNumber", record.all("gidNumber"), ())
        plan = PlannedEdit("test", "project late", None, (modifying(record, (gone,)),))
        with pytest.raises(Conflict, match="and keeps it"):
            desk.submit(plan, reason="for a test")
    # Made by mistake, undone, and the undo undone: it is the same project again.
    again = here.add("mistake")
    assert here.run("node", "undo", here.last_edit())[0] == 0
    assert here.add("between") == (again or 0) + 2
    assert here.run("node", "undo", _edits(here)[-2])[0] == 0
    assert here.number("mistake") == again


def test_numbers_of_the_sites_own_are_passed_over_and_stay_noted(site: Callable[..., Site]) -> None:
    here = site()
    group = f"cn=own,ou=groups,{S}"
    attributes = {"objectClass": ["groupOfNames", "posixGroup"], "cn": "own", "member": f"cn=x,{S}"}
    here.slapd.add(group, {**attributes, "gidNumber": str(here.first)})
    person = {"objectClass": ["inetOrgPerson", "posixAccount"], "uid": "own", "cn": "own", "sn": "own"}
    numbers = {"uidNumber": "70001", "gidNumber": str(here.first + 1), "homeDirectory": "/home/own"}
    here.slapd.add(f"uid=own,ou=people,{S}", {**person, **numbers})
    assert here.run("project", "add", "taken", "--admin", "anna", "--gid", str(here.first))[0] == 1
    assert here.add("beside") == here.first + 2
    here.slapd.delete(group)
    assert here.run("project", "add", "taken", "--admin", "anna", "--gid", str(here.first))[0] == 1
    assert here.note(here.first).first("owner") == group
    with pytest.raises(Refused):
        doubled = {"objectClass": ["groupOfNames", "posixGroup"], "cn": "dup", "member": f"cn=x,{S}"}
        here.slapd.add(f"cn=dup,ou=groups,{S}", {**doubled, "gidNumber": str(here.number("beside"))})


def test_where_the_site_gives_numbers_they_are_kept(site: Callable[..., Site]) -> None:
    here = site(allot=False)
    assert here.add("plain") is None
    assert here.add("own", "--gid", "1234") == 1234
    status, _, err = here.run("project", "posix", "plain")
    assert (status, "posix.allot is off" in err) == (0, True)
    assert here.number("plain") is None
    assert here.run("project", "posix", "plain", "--gid", "1234")[0] == 1
    assert here.run("project", "posix", "plain", "--gid", "1235")[0] == 0
    assert here.run("project", "posix", "--all", "--gid", "7")[0] == 2


@pytest.mark.parametrize(
    "number", ["0", "999", "60000", "65534", "65535", "2147483648", "-1", "50000x", "\u0665\u0660"]
)
def test_numbers_that_no_project_can_have(site: Callable[..., Site], number: str) -> None:
    assert site().run("project", "add", "bad", "--admin", "anna", f"--gid={number}")[0] == 2


def test_the_range_is_used_to_its_end_with_its_gaps_and_no_further(slapd: Slapd, tmp_path: Path) -> None:
    here = Site(slapd, tmp_path, next(_ranges), gid_range="59900-59906")
    assert here.add("end0", "--gid", "59901") == 59901
    assert [here.add(f"end{n}") for n in (1, 2)] == [59902, 59904]
    assert [here.role_number(f"end{n}") for n in (0, 1, 2)] == [59900, 59903, 59905]
    # One is left, which is not enough for a project and its admins.
    status, _, err = here.run("project", "add", "end3", "--admin", "anna")
    assert (status, "posix.gid_range" in err) == (1, True)
    assert here.read(f"cn=end3,ou=projects,{S}") is None
    assert here.read(f"cn=59906,{NUMBERS}") is None


def test_a_dry_run_takes_no_number(site: Callable[..., Site]) -> None:
    here = site()
    shown = json.loads(here.run("project", "add", "dry", "--admin", "anna", "--dry-run", "--json")[1])
    for step, number in zip(shown["steps"], (here.first, here.first + 1), strict=False):
        said = {change["attribute"]: change["after"] for change in step["changes"]}
        assert said["gidNumber"] == [str(number)] and "posixGroup" in said["objectClass"]
    assert here.read(f"cn={here.first},{NUMBERS}") is None
    assert here.add("notdry") == here.first


def test_only_who_may_make_projects_writes_the_notes(slapd: Slapd, site: Callable[..., Site]) -> None:
    here = site()
    number = here.add("guarded")
    with slapd.connect(f"uid=anna,ou=people,{S}", "pw-anna") as anna:
        for place in (f"cn=59999,{NUMBERS}", f"cn=59999,ou=uid,ou=numbers,{S}"):
            anna.add(place, ["device"], {"cn": "59999"})
            assert anna.result["description"] == "insufficientAccessRights"
        anna.delete(f"cn={number},{NUMBERS}")
        assert anna.result["description"] == "insufficientAccessRights"
        anna.modify(f"cn={number},{NUMBERS}", {"serialNumber": [(REPLACE, ["x"])]})
        assert anna.result["description"] == "insufficientAccessRights"
        # An admin of the project changes its people, and not its number.
        refused = "insufficientAccessRights"
        for place in (f"cn=guarded,ou=projects,{S}", f"cn=projectadmin,cn=guarded,ou=projects,{S}"):
            for change in ((REPLACE, ["50999"]), (REPLACE, [])):
                anna.modify(place, {"gidNumber": [change]})
                assert anna.result["description"] == refused
            anna.modify(place, {"objectClass": [(DELETE, ["posixGroup"])], "gidNumber": [(REPLACE, [])]})
            assert anna.result["description"] == refused
            for text, word in (("anna", "success"), ("a\nroot", refused), ("a:b", refused)):
                anna.modify(place, {"memberUid": [(ADD, [text])]})
                assert anna.result["description"] == word
    with slapd.connect(f"uid=olga,ou=people,{S}", "pw-olga") as olga:
        olga.add(f"cn=59998,{NUMBERS}", ["device"], {"cn": "59998"})
        assert olga.result["description"] == "success"


def test_who_may_not_make_projects_takes_no_number(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site()
    for words in (("project", "add", "ann", "--admin", "anna"), ("person", "add", "ann", "--name", "Ann")):
        monkeypatch.setattr(sys, "stdin", io.StringIO("pw-anna\n"))
        status, _, err = here.run(*words, "--as", "anna")
        assert (status, "may not" in err) == (1, True), err
    assert here.read(f"cn={here.first},{NUMBERS}") is None
    monkeypatch.setattr(sys, "stdin", io.StringIO("pw-olga\n"))
    assert here.run("project", "add", "ann", "--admin", "anna", "--as", "olga")[0] == 0
    assert here.number("ann") == here.first


def test_an_older_directory_gets_the_entries_at_its_next_start(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    slapd = make_slapd()
    here = Site(slapd, tmp_path, 50_000)
    slapd.add(f"uid=anna,ou=people,{S}", {"objectClass": "inetOrgPerson", "uid": "anna", "cn": "a", "sn": "a"})
    for unit in ("ou=gid,ou=numbers", "ou=uid,ou=numbers", "ou=numbers"):
        slapd.delete(f"{unit},{S}")
    assert here.add("before") is None
    slapd.restart()
    assert here.add("after") == 50_000
    # `project posix` makes them, too, in a directory that is not ours to start.
    for unit in ("cn=50000,ou=gid,ou=numbers", "cn=50001,ou=gid,ou=numbers", "ou=gid,ou=numbers"):
        slapd.delete(f"{unit},{S}")
    assert here.run("project", "posix", "--all")[0] == 0
    assert [here.number("after"), here.role_number("after")] == [50_000, 50_001]
    assert [here.number("before"), here.role_number("before")] == [50_002, 50_003]
    assert all(here.note(number).all("serialNumber") for number in range(50_000, 50_004))
    # A backup of a time when nis.schema was loaded: its groups are there again, told, and can be deleted.
    old, place = tmp_path / "old.ldif", f"cn=old,ou=groups,{S}"
    slapd.directory.backup(old)
    group = "objectClass: posixGroup\nstructuralObjectClass: posixGroup\ncn: old\ngidNumber: 4711\n"
    old.write_text(f"{old.read_text()}dn: {place}\n{group}\n")
    slapd.stop()
    slapd.directory.restore(old)
    slapd.start()
    told = [one.found for one in numbers.check(load(here.config)) if one.level == "warning"]
    assert len(told) == 1 and told[0].startswith("1 group of RFC 2307")
    assert here.run("project", "add", "third", "--admin", "anna", "--gid", "4711")[0] == 1
    slapd.delete(place)


def _member_uids(here: Site, name: str) -> set[str]:
    record = here.read(f"cn={name},ou=projects,{S}")
    assert record is not None
    return set(record.all("memberUid"))


def test_member_uid_follows_the_members_where_it_is_wanted(
    slapd: Slapd, site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    slapd.add(f"cn=nobody,ou=people,{S}", {"objectClass": "person", "cn": "nobody", "sn": "x"})
    slapd.add(f"cn=byname,ou=people,{S}", {"objectClass": "inetOrgPerson", "cn": "byname", "sn": "x", "uid": "named"})
    here, plain = site(member_uid=True), site()
    here.add("mirrored", "--member", "olga")
    assert _member_uids(here, "mirrored") == {"anna", "olga"}
    assert here.run("project", "member", "remove", "mirrored", "olga")[0] == 0
    assert _member_uids(here, "mirrored") == {"anna"}
    assert here.run("node", "undo", here.last_edit())[0] == 0
    assert here.run("project", "member", "add", "mirrored", "named")[0] == 0
    assert _member_uids(here, "mirrored") == {"anna", "olga", "named"}
    # What is made past us drifts, is shown, and is mended.
    assert here.run("project", "posix", "--all")[0] == 0
    # Machines have an account of their own that is called www-data.
    members = [f"cn=nobody,ou=people,{S}", f"uid=gone,ou=people,{S}", f"uid=www-data,ou=people,{S}"]
    place = f"cn=mirrored,ou=projects,{S}"
    slapd.modify(place, {"member": [(ADD, members)], "memberUid": [(ADD, ["stranger"])]})
    status, out, err = here.run("project", "posix", "mirrored", "--dry-run")
    assert (status, "- memberUid: stranger" in out, "+ memberUid: gone" in out) == (0, True, True)
    words = f"no uid that machines accept, so left out of memberUid of {place}: {members[0]}; {members[2]}"
    assert words in err
    assert "stranger" in _member_uids(here, "mirrored")
    found = [one.found for one in numbers.check(load(here.config)) if one.id == "member-uid"]
    assert found == [f"{place}: memberUid lacks gone and has stranger who are not members"]
    assert here.run("project", "posix", "--all")[0] == 0
    assert [one.level for one in numbers.check(load(here.config)) if one.id == "member-uid"] == ["ok"]
    assert _member_uids(here, "mirrored") == {"anna", "olga", "named", "gone"}
    # Whoever is a member by way of another project is one of the machine's group, too.
    here.add("inner")
    assert here.run("project", "member", "add", "mirrored", "--project", "inner")[0] == 0
    assert _member_uids(here, "mirrored") == {"anna", "olga", "named", "gone"}
    slapd.add(f"uid=further,ou=people,{S}", _person_entry("further"))
    # The outer one follows in the same edit, and in its undo.
    assert here.run("project", "member", "add", "inner", "further")[0] == 0
    assert _member_uids(here, "mirrored") == {"anna", "olga", "named", "gone", "further"}
    assert here.run("node", "undo", here.last_edit())[0] == 0
    assert _member_uids(here, "mirrored") == {"anna", "olga", "named", "gone"}
    # Who is admin of the inner one only cannot write there; that is told, seen, and mended.
    assert here.run("project", "member", "add", "inner", "further", "--admin")[0] == 0
    assert here.run("project", "member", "remove", "inner", "anna", "--admin")[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("pw-further\n"))
    status, _, err = here.run("project", "member", "remove", "inner", "further", "--as", "further")
    assert (status, "ask an admin there to run: enc-admin project posix mirrored" in err) == (0, True), err
    found = [one.found for one in numbers.check(load(here.config)) if one.id == "member-uid"]
    assert found == [f"{place}: memberUid has further who are not members"]
    assert here.run("project", "posix", "mirrored")[0] == 0
    assert _member_uids(here, "mirrored") == {"anna", "olga", "named", "gone"}
    # Who has no such clients has no memberUid, and nothing is taken away.
    plain.add("unmirrored")
    assert _member_uids(plain, "unmirrored") == set()
    assert plain.run("project", "member", "add", "mirrored", "olga")[0] == 0


def _admin_uids(here: Site, name: str) -> set[str]:
    return set(here.role(name).all("memberUid"))


def _person_entry(uid: str) -> dict[str, str]:
    return {"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": "x", "userPassword": f"pw-{uid}"}


def test_the_admins_group_has_its_login_names_too(
    slapd: Slapd, site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    for uid in ("rita", "rolf", "rosa"):
        slapd.add(f"uid={uid},ou=people,{S}", _person_entry(uid))
    here = site(member_uid=True)
    here.add("led", "--member", "olga")
    assert (_admin_uids(here, "led"), _member_uids(here, "led")) == ({"anna"}, {"anna", "olga"})
    # By an admin, too.
    monkeypatch.setattr(sys, "stdin", io.StringIO("pw-anna\n"))
    status, _, err = here.run("project", "member", "add", "led", "rita", "--admin", "--as", "anna")
    assert status == 0, err
    assert (_admin_uids(here, "led"), _member_uids(here, "led")) == ({"anna", "rita"}, {"anna", "olga", "rita"})
    monkeypatch.setattr(sys, "stdin", io.StringIO("pw-anna\n"))
    assert here.run("project", "member", "remove", "led", "rita", "--admin", "--as", "anna")[0] == 0
    assert (_admin_uids(here, "led"), _member_uids(here, "led")) == ({"anna"}, {"anna", "olga", "rita"})
    assert here.run("node", "undo", here.last_edit())[0] == 0
    assert _admin_uids(here, "led") == {"anna", "rita"}
    assert here.run("project", "member", "remove", "led", "rita")[0] == 0
    assert (_admin_uids(here, "led"), _member_uids(here, "led")) == ({"anna"}, {"anna", "olga"})
    # Groups among the admins, and the project itself in the same edit.
    here.add("crew")
    assert here.run("project", "member", "add", "led", "--project", "crew", "--admin")[0] == 0
    assert here.run("project", "member", "add", "crew", "rolf")[0] == 0
    assert (_admin_uids(here, "led"), _member_uids(here, "led")) == ({"anna", "rolf"}, {"anna", "olga", "rolf"})
    assert here.run("project", "member", "add", "crew", "--project", "crew", "rosa", "--admin")[0] == 0
    assert _admin_uids(here, "crew") == _member_uids(here, "crew") == {"anna", "rolf", "rosa"}
    assert here.run("project", "member", "remove", "crew", "rosa")[0] == 0
    assert _admin_uids(here, "crew") == _member_uids(here, "crew") == {"anna", "rolf"}
    # Without admins it is a group of nobody, which is what the machines have to see.
    assert here.run("project", "member", "remove", "crew", "anna", "--project", "crew", "--admin")[0] == 0
    assert _admin_uids(here, "crew") == set()
    slapd.modify(f"cn=projectadmin,cn=crew,ou=projects,{S}", {"memberUid": [(ADD, ["rolf"])]})
    assert here.run("project", "posix", "--all")[0] == 0
    assert _admin_uids(here, "crew") == set()
    assert [one.level for one in numbers.check(load(here.config)) if one.id == "member-uid"] == ["ok"]


def test_admins_of_a_project_that_exists_get_their_number(slapd: Slapd, site: Callable[..., Site]) -> None:
    here, own = site(), site(allot=False)
    lacking = "has no gidNumber, although the project has one"
    assert own.add("rooted", "--gid", "1777") == 1777
    assert own.role_number("rooted") is None
    _, _, err = own.run("project", "posix", "rooted")
    assert "projectadmin has no gidNumber, and posix.allot is off" in err
    place = f"cn=projectadmin,cn=rooted,ou=projects,{S}"
    told = [one.found for one in numbers.check(load(here.config)) if lacking in one.found]
    assert [text.split(":")[0] for text in told] == [place]
    _, out, _ = here.run("project", "posix", "rooted", "--dry-run")
    assert f"gidNumber: {here.first}" in out and here.role_number("rooted") is None
    assert here.run("project", "posix", "rooted")[0] == 0
    assert (here.number("rooted"), here.role_number("rooted")) == (1777, here.first)
    assert here.note(here.first).all("serialNumber") == (here.role("rooted").uuid,)
    assert not [one.found for one in numbers.check(load(here.config)) if lacking in one.found]
    # For life, as the project's: an undo takes it away no more than an edit of ours.
    assert "already up to date" in here.run("node", "undo", here.last_edit())[2]
    with open_desk(load(here.config)) as desk:
        gone = Change("gidNumber", (str(here.first),), ())
        plan = PlannedEdit("test", "role", None, (modifying(here.role("rooted"), (gone,)),))
        with pytest.raises(Conflict, match="and keeps it"):
            desk.submit(plan, reason="for a test")
    assert here.run("project", "add", "other", "--admin", "anna", "--gid", str(here.first))[0] == 1
    # One that the site gave by hand is kept, and noted.
    slapd.delete(place)
    role = {"objectClass": ["organizationalRole", "posixGroup"], "cn": "projectadmin", "gidNumber": "1778"}
    slapd.add(place, {**role, "roleOccupant": f"uid=anna,ou=people,{S}"})
    assert here.run("project", "posix", "rooted")[0] == 0
    assert (here.role_number("rooted"), here.note(1778).first("owner")) == (1778, place)
    # A role that came late gets a number of its own where the project has one, and none where it has none.
    slapd.delete(place)
    assert here.add("rooted") == 1777
    assert here.role_number("rooted") == here.first + 1
    slapd.add(f"cn=unled,ou=projects,{S}", {"objectClass": "groupOfNames", "cn": "unled", "member": f"cn=x,{S}"})
    assert here.add("unled") is None
    assert here.role_number("unled") is None
    # Both at once: two numbers.
    assert here.run("project", "posix", "unled")[0] == 0
    assert (here.number("unled"), here.role_number("unled")) == (here.first + 2, here.first + 3)


def _person(here: Site, uid: str) -> Record:
    found = here.read(f"uid={uid},ou=people,{S}")
    assert found is not None
    return found


def test_people_get_accounts_and_keep_them(slapd: Slapd, site: Callable[..., Site]) -> None:
    here = site(uid_range="30000-30009")
    status, _, err = here.run("person", "add", "alice", "--name", "Alice  Example")
    assert status == 0, err
    alice = _person(here, "alice")
    wanted = {"cn": "Alice Example", "sn": "Example", "uidNumber": "30000", "gidNumber": "30000"}
    wanted |= {"homeDirectory": "/home/alice", "loginShell": "/bin/bash"}
    assert {name: alice.first(name) for name in wanted} == wanted
    note = here.read(f"cn=30000,ou=uid,ou=numbers,{S}")
    assert note is not None and note.all("serialNumber") == (alice.uuid,)
    assert here.run("person", "add", "alice", "--name", "Other")[0] == 1
    words = ("person", "set", "alice", "--shell", "/bin/zsh", "--name", "Ålice Øther", "--home", "/home/al")
    assert here.run(*words)[0] == 0
    alice = _person(here, "alice")
    assert (alice.first("loginShell"), alice.first("cn"), alice.first("sn")) == ("/bin/zsh", "Ålice Øther", "Øther")
    assert here.run("person", "set", "alice", "--uid-number", "30005")[0] == 1
    slapd.delete(f"uid=alice,ou=people,{S}")
    assert here.run("person", "add", "alice", "--name", "Alice")[0] == 0
    assert _person(here, "alice").first("uidNumber") == "30001"
    # Those who are there already, with the site's numbers and without.
    assert here.run("person", "set", "olga", "--account")[0] == 0
    assert _person(here, "olga").first("uidNumber") == "30002"
    assert here.run("person", "set", "anna", "--uid-number", "1500")[0] == 0
    assert _person(here, "anna").first("gidNumber") == "1500"
    assert here.run("project", "add", "anns", "--admin", "anna", "--gid", "1500")[0] == 1
    # A number that a project had is nobody's own group.
    gone = here.add("goneproject")
    assert here.run("project", "delete", "goneproject")[0] == 0
    assert here.run("person", "add", "late", "--name", "L", "--uid-number", str(gone))[0] == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("person", "add", "Bob", "--name", "x"), 2),
        (("person", "add", "root", "--name", "x"), 2),
        (("person", "add", "bob\n", "--name", "x"), 2),
        (("person", "add", "b:b", "--name", "x"), 2),
        (("person", "add", "b*", "--name", "x"), 2),
        (("person", "add", "_b", "--name", "x"), 2),
        (("person", "add", "0", "--name", "x"), 2),
        (("person", "add", "b" * 33, "--name", "x"), 2),
        (("person", "add", "bob", "--name", "a:b"), 2),
        (("person", "add", "bob", "--name", "a\nb"), 2),
        (("person", "add", "bob", "--name", "  "), 2),
        (("person", "add", "bob", "--name", "x", "--uid-number", "0"), 2),
        (("person", "add", "bob", "--name", "x", "--uid-number", "65534"), 2),
        (("person", "add", "bob", "--name", "x", "--shell", "/bin/sh\nroot::0:0"), 2),
        (("person", "add", "bob", "--name", "x", "--shell", "bash"), 2),
        (("person", "add", "bob", "--name", "x", "--shell", "/bin/../x"), 2),
        (("person", "add", "bob", "--name", "x", "--home", "/root"), 2),
        (("person", "add", "bob", "--name", "x", "--home", "/home/"), 2),
        (("person", "add", "bob", "--name", "x", "--home", "/home/../etc"), 2),
        (("person", "add", "bob", "--name", "x", "--home", "/home/b:x"), 2),
        (("person", "add", "bob", "--name", "x", "--home", "/homes/bob"), 2),
        (("person", "set", "nobody-here", "--account"), 1),
        (("person", "set", "anna"), 2),
    ],
)
def test_what_no_account_can_be(site: Callable[..., Site], words: tuple[str, ...], status: int) -> None:
    here = site()
    found, _, err = here.run(*words)
    assert (found, err.count("\n")) == (status, 1), err
    assert here.read(f"uid=bob,ou=people,{S}") is None


def test_two_people_have_no_home_in_common(site: Callable[..., Site]) -> None:
    here = site(people_group=100, uid_range="30100-30109")
    assert here.run("person", "add", "carl", "--name", "Carl")[0] == 0
    assert _person(here, "carl").first("gidNumber") == "100"
    status, _, err = here.run("person", "add", "dora", "--name", "Dora", "--home", "/home/carl")
    assert (status, "is that of" in err) == (1, True)


OLD = """version: 1

dn: cn=project-bastion,ou=groups,dc=old,dc=org
objectClass: groupOfNames
objectClass: posixGroup
objectClass: top
cn: project-bastion
gidNumber: 57001
member: uid=anna,ou=people,dc=old,dc=org
member: uid=unknown,ou=people,dc=old,dc=org
memberUid: olga

dn: cn=bastion,ou=projects,dc=old,dc=org
objectClass: groupOfNames
objectClass: extensibleObject
cn: bastion
member: uid=anna,ou=people,dc=old,dc=org

dn: cn=sysadmin,cn=bastion,ou=projects,dc=old,dc=org
objectClass: organizationalRole
cn: sysadmin
roleOccupant: uid=anna,ou=people,dc=old,dc=org

dn: cn=loadbalancer,cn=bastion,ou=projects,dc=old,dc=org
objectClass: organizationalRole
cn: loadbalancer
roleOccupant: uid=anna,ou=people,dc=old,dc=org

dn: cn=project-noadmin,ou=groups,dc=old,dc=org
objectClass: posixGroup
cn: project-noadmin
gidNumber: 57002
memberUid: olga

dn: cn=project-bad,ou=groups,dc=old,dc=org
objectClass: posixGroup
cn: project-bad
gidNumber: 0
memberUid: anna

dn: cn=project-twice,ou=groups,dc=old,dc=org
objectClass: posixGroup
cn: project-twice
gidNumber: 57001
memberUid: anna

dn: cn=project-Bad Name,ou=groups,dc=old,dc=org
objectClass: posixGroup
cn: project-Bad Name
gidNumber: 57009

dn: uid=anna,ou=people,dc=old,dc=org
objectClass: inetOrgPerson
uid: anna
"""
"""In the layout of 2012, with faults of each kind."""


def test_the_layout_of_2012_comes_in_and_goes_out(site: Callable[..., Site], tmp_path: Path) -> None:
    here, file = site(), tmp_path / "old.ldif"
    file.write_text(OLD)
    dry = json.loads(here.run("import", "groups", str(file), "--admin", "anna", "--dry-run", "--json")[1])
    assert here.read(f"cn=bastion,ou=projects,{S}") is None
    status, out, _ = here.run("import", "groups", str(file), "--admin", "anna", "--json")
    told = json.loads(out)
    assert (status, told["added"], dry["added"]) == (1, 2, 2)
    assert sorted(problem["message"].split(": ")[0] for problem in told["problems"]) == [
        "'bad name' is not a project name",
        "project bad",
        "project twice",
    ]
    assert ["unknown" in note["message"] for note in told["notes"]] == [True]
    assert len(told["skipped"]) == 2
    assert (here.number("bastion"), here.number("noadmin")) == (57001, 57002)
    role = here.role("bastion")
    assert role.all("roleOccupant") == (f"uid=anna,ou=people,{S}",)
    assert (here.role_number("bastion"), here.role_number("noadmin")) == (here.first, here.first + 1)
    again = json.loads(here.run("import", "groups", str(file), "--admin", "anna", "--json")[1])
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 2)
    here.add("half", "--gid", "57010")
    out = here.run("export", "--format", "groups", say=False)[1]
    block = next(block for block in out.split("\n\n") if block.startswith("dn: cn=project-bastion,ou=groups"))
    wanted = ("objectclass: posixGroup", "gidNumber: 57001", f"member: uid=anna,ou=people,{S}", "memberUid: olga")
    assert set(wanted) <= set(block.split("\n"))
    exported = tmp_path / "new.ldif"
    exported.write_text("\n\n".join(block for block in out.split("\n\n") if "bastion" in block))
    same = json.loads(here.run("import", "groups", str(exported), "--json")[1])
    assert (same["added"], same["changed"], same["unchanged"], same["problems"]) == (0, 0, 1, [])


def test_what_an_export_brings_back_is_the_same_project(site: Callable[..., Site], tmp_path: Path) -> None:
    here = site()
    number = here.add("exported")
    of_admins = here.role_number("exported")
    file = tmp_path / "all.ldif"
    file.write_text(here.run("export", "--format", "ldif", say=False)[1])
    assert here.run("project", "delete", "exported")[0] == 0
    other = file.read_text().replace("cn=exported,", "cn=taker,").replace("cn: exported", "cn: taker")
    (tmp_path / "other.ldif").write_text(other)
    here.run("import", "ldif", str(tmp_path / "other.ldif"))
    assert here.read(f"cn=taker,ou=projects,{S}") is None
    here.run("import", "ldif", str(file))
    assert (here.number("exported"), here.role_number("exported")) == (number, of_admins)
    zero = file.read_text().replace(f"gidnumber: {number}", "gidnumber: 0").replace("exported", "zero")
    (tmp_path / "zero.ldif").write_text(zero)
    status, _, err = here.run("import", "ldif", str(tmp_path / "zero.ldif"))
    assert (status, "gidNumber 0 is not between" in err) == (1, True), err
    assert here.read(f"cn=zero,ou=projects,{S}") is None


def test_a_person_who_is_deleted_is_nowhere_any_more(slapd: Slapd, site: Callable[..., Site]) -> None:
    here = site(member_uid=True)
    password = "pw-dora"
    assert here.run("person", "add", "dora", "--name", "Dora")[0] == 0
    place, staff = f"uid=dora,ou=people,{S}", f"cn=staff,ou=groups,{S}"
    slapd.modify(place, {"userPassword": [(REPLACE, [password])]})
    slapd.add(staff, {"objectClass": "groupOfNames", "cn": "staff", "member": [place, f"uid=olga,ou=people,{S}"]})
    here.add("inmost", "--member", "dora")
    here.add("around")
    assert here.run("project", "member", "add", "around", "--project", "inmost")[0] == 0
    assert here.run("project", "add", "hers", "--admin", "dora")[0] == 0
    assert here.run("project", "member", "add", "hers", "olga")[0] == 0
    assert _member_uids(here, "around") == {"anna", "dora"}
    document = json.loads(here.run("person", "show", "dora", "--json", say=False)[1])
    assert [(it["role"], it["project"], it["way"]) for it in document["roles"]] == [
        ("projectadmin", "hers", []),
        ("member", "around", ["project inmost"]),
        ("member", "hers", []),
        ("member", "inmost", []),
    ]
    number = document["uid_number"]
    assert "dora" in [row["uid"] for row in json.loads(here.run("person", "list", "--json", say=False)[1])["people"]]
    assert f"dora {number} 0 Dora" in " ".join(here.run("person", "list", say=False)[1].split())
    assert "member of project around, through project inmost" in here.run("person", "show", "dora", say=False)[1]
    # A project would have no admin.
    status, _, err = here.run("person", "delete", "dora")
    assert (status, "dora is the last admin of hers; add another admin" in err) == (1, True), err
    assert here.run("project", "member", "add", "hers", "olga", "--admin")[0] == 0
    assert here.run("person", "delete", "dora", "--dry-run")[0] == 0
    assert here.read(place) is not None
    status, _, err = here.run("person", "delete", "dora")
    assert status == 0, err
    assert "dora removed from project hers\n" in err and f"dora removed from {staff}\n" in err
    assert here.read(place) is None
    assert not [one for one in _everything(here) if "dora" in one]
    assert password not in here.config.with_name("trail.jsonl").read_text()
    assert "{ARGON2}" not in here.config.with_name("trail.jsonl").read_text()
    # The number is used up.
    assert here.run("person", "add", "dirk", "--name", "Dirk", "--uid-number", str(number))[0] == 1
    # All is one edit.
    assert here.run("node", "undo", here.last_edit())[0] == 0
    again = json.loads(here.run("person", "show", "dora", "--json", say=False)[1])
    assert again == document | {"roles": again["roles"]} and len(again["roles"]) == 4
    assert _member_uids(here, "around") == {"anna", "dora"}
    # Whoever is the only one in a group stays, and so does the account that writes.
    slapd.modify(staff, {"member": [(REPLACE, [place])]})
    status, _, err = here.run("person", "delete", "dora")
    assert (status, f"{staff} would have no member left" in err) == (1, True), err
    slapd.delete(staff)
    document = yaml.safe_load(here.config.read_text())
    secret, writing = (here.config.with_name(name) for name in ("secret", "writing.yaml"))
    secret.touch(0o600)
    secret.write_text(password)
    slapd.modify(place, {"userPassword": [(REPLACE, [password])]})  # which no undo brings back
    document["directory"] |= {"write_bind_dn": place, "write_bind_password_file": str(secret)}
    writing.write_text(yaml.safe_dump(document))
    here.config = writing
    status, _, err = here.run("person", "delete", "dora")
    assert (status, "that this configuration uses for LDAP" in err) == (1, True), err


def _everything(here: Site) -> list[str]:
    """Return the values of all lists."""
    with DirectoryEditor(load(here.config)) as editor:
        found = editor.find(S, "(|(member=*)(roleOccupant=*)(memberUid=*))")
    return [value for record in found for name in ("member", "roleOccupant", "memberUid") for value in record.all(name)]


def _gone(here: Site) -> list[str]:
    """Return what is told of this test's own groups."""
    settings = load(here.config)
    with LdapSource(settings) as source:
        groups = Groups(one for one in people.groups_in(source, settings) if "lists" in one.dn or "former" in one.dn)
        there = [row.record.dn for row in standings.everybody(source, settings)]
    return [one.found for one in members.judge(groups, there, settings)]


def test_members_that_are_gone_are_told(slapd: Slapd, site: Callable[..., Site]) -> None:
    here = site()
    here.add("lists")
    gone = [f"cn=former,ou=projects,{S}", f"cn=projectadmin,cn=former,ou=projects,{S}", f"CN=Left , ou=groups,{S}",
            f"uid=lost,ou=people,{S}"]  # fmt: skip
    slapd.modify(f"cn=lists,ou=projects,{S}", {"member": [(ADD, gone)]})
    told = json.loads(here.run("project", "member", "list", "lists", "--json", say=False)[1])
    groups = {one["group"]: one["gone"] for one in told["groups"]}
    assert list(groups.values()) == [True] * 3 and {"project former", "role former/projectadmin"} < set(groups)
    shown = " ".join(here.run("project", "member", "list", "lists", say=False)[1].split())
    assert "project former member, gone" in shown
    found = _gone(here)
    assert len(found) == 4
    assert [text for text in found if text.startswith("lost does not exist, but is still in project lists")]
    slapd.modify(f"cn=lists,ou=projects,{S}", {"member": [(DELETE, gone)]})
    group = {"objectClass": "groupOfNames", "cn": "former", "member": f"uid=anna,ou=people,{S}"}
    slapd.add(f"cn=former,ou=groups,{S}", group)
    slapd.modify(f"cn=lists,ou=projects,{S}", {"member": [(ADD, [f"CN=former, OU=Groups,{S}"])]})
    assert _gone(here) == ["every person and group that is listed exists"]
    told = json.loads(here.run("project", "member", "list", "lists", "--json", say=False)[1])
    assert [one["gone"] for one in told["groups"]] == [False]


def test_a_role_of_the_sites_own_is_a_group_of_machines_too(slapd: Slapd, site: Callable[..., Site]) -> None:
    for uid in ("dave", "dina"):
        slapd.add(f"uid={uid},ou=people,{S}", _person_entry(uid))
    here = site(member_uid=True)
    document = yaml.safe_load(here.config.read_text())
    document["projects"] = {"roles": [{"name": "deployer", "may": ["BRANCH_PUSH"]}]}
    here.config.write_text(yaml.safe_dump(document))
    place = f"cn=deployer,cn=roled,ou=projects,{S}"

    def role() -> tuple[str | None, set[str]]:
        found = here.read(place)
        assert found is not None
        return found.first("gidNumber"), set(found.all("memberUid"))

    here.add("roled")
    here.add("team", "--member", "dina")
    assert here.run("project", "role", "add", "roled", "deployer", "dave", "--project", "team")[0] == 0
    number = str(here.first + 4)
    assert role() == (number, {"dave", "anna", "dina"})
    assert here.run("project", "role", "remove", "roled", "deployer", "dave")[0] == 0
    assert here.run("project", "member", "remove", "team", "dina")[0] == 0
    assert role() == (number, {"anna"})
    # One from before, and one that another tool made
    slapd.delete(place)
    slapd.add(place, {"objectClass": "organizationalRole", "cn": "deployer", "roleOccupant": f"uid=dave,ou=people,{S}"})
    told = [one.found for one in numbers.check(load(here.config)) if place in one.found]
    assert told == [f"{place}: has no gidNumber, although the project has one; on instances it is not a group"]
    assert here.run("project", "posix", "roled")[0] == 0
    assert role() == (str(here.first + 5), {"dave"})
    assert not [one.found for one in numbers.check(load(here.config)) if place in one.found]
    assert here.run("project", "delete", "roled")[0] == 0
