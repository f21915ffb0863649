"""Real pushes through the installed hooks: the table of verdicts, and what no table can hold."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from enc.answers.layout import Contact, Layout
from enc.terms.names import EnvironmentName, PersonName
from git_hooks import checks
from git_hooks.deploy.records import Records
from git_hooks.push.pusher import sign
from tests.real.conftest import SlapdMaker
from tests.support.bare import git
from tests.support.invented_check import POINTER, Pointers
from tests.support.pushes import ManagedRepository, S, cases, populate
from tests.support.slapd import ADD, DELETE, Slapd

CASES = cases()
RUNS = [(case, where) for case in CASES for where in ("warm", *case.get("also", ()))]


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


class Sites:
    """The repositories in which the table runs, each made when it is first needed."""

    def __init__(self, base: Path, slapd: Slapd, stack: ExitStack) -> None:
        self._base, self._slapd, self._stack = base, slapd, stack
        self._made: dict[str, ManagedRepository] = {}

    def __getitem__(self, where: str) -> ManagedRepository:
        if where not in self._made:
            object_format = "sha256" if where == "sha256" else "sha1"
            made = self._made[where] = ManagedRepository(self._base / where, self._slapd, object_format)
            if where != "cold":
                self._stack.enter_context(made.serving())
        return self._made[where]


@pytest.fixture(scope="module")
def sites(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with ExitStack() as stack:
        yield Sites(tmp_path_factory.mktemp("pushes"), slapd, stack)


def test_the_table_is_as_large_as_it_should_be() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names) >= 150


@pytest.mark.parametrize(("case", "where"), RUNS, ids=[f"{c['file']}: {c['name']} ({w})" for c, w in RUNS])
def test_pushes(case: dict[str, Any], where: str, sites: Sites) -> None:
    site = sites[where]
    pushed = site.push(case["push"], case.get("who", "mia"), fsck=case.get("fsck", False), **case.get("environ", {}))
    try:
        assert (pushed.status == 0) == case["taken"], pushed.output
        if case["taken"]:
            moving = {site.full(ref["ref"]) for ref in case["push"]}
            assert set(pushed.moved) == moving, pushed.output
        else:
            assert pushed.moved == {}, pushed.output
        for text in case.get("says", ()):
            assert text in pushed.output
        for text in case.get("hides", ()):
            assert text not in pushed.output
        for environment, files in case.get("shows", {}).items():
            assert {path: site.shown(environment, path) for path in files} == files
        assert pushed.kept == site.left(pushed.moved), pushed.output
        for environment in case.get("gone", ()):
            assert not (site.base / "environments" / environment).exists()
    finally:
        site.reset()


@pytest.fixture
def site(slapd: Slapd, tmp_path: Path) -> ManagedRepository:
    return ManagedRepository(tmp_path / "site", slapd, roles_kept=0)


RED = {"ref": "project/red", "files": {"manifests/site.pp": "two"}}


def test_a_check_by_content_is_a_line_of_the_table(site: ManagedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what else comes a tree, and what it may cost: tests/real/test_content_checks.py."""
    pointers = Pointers()
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, pointers.line))
    files = {"modules/a/files/bad": POINTER, "modules/a/files/good": "x", "docs/bad": POINTER}
    with site.serving():
        refused = site.push([{"ref": "project/red", "files": files}])
        taken = site.push([{"ref": "project/red", "files": {"modules/a/files/good": "x"}}])
    assert refused.moved == {} and "modules/a/files/bad: is a pointer; commit the file itself" in refused.output
    assert "docs/bad" not in refused.output
    assert list(taken.moved) == ["refs/heads/project/red"] and taken.status == 0
    assert pointers.seen == {"modules/a/files/bad": POINTER.encode(), "modules/a/files/good": b"x"}


def test_the_branches_of_one_push_are_compared_with_all_others_once(
    slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in a repository that git's program reads: there, each look at all branches is a process."""
    site = ManagedRepository(tmp_path / "site", slapd, "sha256", roles_kept=0)
    started: list[str] = []
    really = os.posix_spawnp

    def noted(program: str, arguments: list[str], *rest: Any, **more: Any) -> int:
        started.extend(arguments)
        return really(program, arguments, *rest, **more)

    monkeypatch.setattr(os, "posix_spawnp", noted)
    counts = []
    with site.serving():
        for number in (3, 30):
            started.clear()
            pushed = site.push([{"ref": f"topic/red/t{number}-{one}", "to": "test"} for one in range(number)])
            assert pushed.output.count("live at") == number
            counts.append(started.count("for-each-ref"))
    assert counts[0] == counts[1] > 0


def test_a_full_disk_is_told_of_each_environment(site: ManagedRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open
    work = f"{site.base}/store/work/"

    def full(path: Any, flags: int, *mode: int, **place: Any) -> int:
        if flags & os.O_CREAT and os.fspath(path).startswith(work):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return really(path, flags, *mode, **place)

    monkeypatch.setattr(os, "open", full)
    with site.serving():
        pushed = site.push([RED, {"ref": "topic/red/idle", "files": {"manifests/site.pp": "three"}}])
    for name in ("project_red", "project_red__idle"):
        assert f"{name}: NOT deployed, nothing was changed: " in pushed.output
        assert Records(str(site.base / "store")).of(EnvironmentName(name))[0].outcome == "failed"
    assert "No space left on device" in pushed.output and "[Errno" not in pushed.output
    assert "2 of 2 environments are not as this push requires" in pushed.output


@pytest.mark.parametrize("first", ["delete", "create"])
def test_a_branch_is_renamed_and_keeps_its_environment(site: ManagedRepository, first: str) -> None:
    commit = site.refs()["refs/heads/topic/red/idle"]
    assert site.push([{"ref": "topic/red/a-b", "to": "topic/red/idle"}]).status == 0
    lines = [f"{commit} {'0' * 40} refs/heads/topic/red/a-b", f"{'0' * 40} {commit} refs/heads/topic/red/a.b"]
    told = site.send(lines if first == "delete" else lines[::-1], who="anna")
    assert "refs/heads/topic/red/a-b" not in site.refs() and "refs/heads/topic/red/a.b" in site.refs()
    assert site.shown("project_red__a_b", "manifests/site.pp") == "idle", told
    assert "project_red__a_b: live at" in told and "removed" not in told


def test_a_refused_push_leaves_no_object_behind(site: ManagedRepository) -> None:
    before = set((site.bare.path / "objects").rglob("*"))
    refused = site.push([{"ref": "project/red", "files": {"out": "-> /etc", "large": {"bytes": 40_000}}}])
    assert "out: is a link that leaves the tree" in refused.output
    assert set((site.bare.path / "objects").rglob("*")) == before
    assert site.push([RED]).status == 0


@pytest.mark.parametrize("where", ["cold", "warm"])
def test_what_was_refused_stands_on_the_server_a_line_for_each_ref(
    site: ManagedRepository, where: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The toolkit's log does not reach the root logger, where caplog listens; an earlier test may have set its level.
    log = logging.getLogger("puppetmaster")
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    monkeypatch.setattr(log, "propagate", False)
    caplog.set_level("INFO", logger=log.name)
    with site.serving() if where == "warm" else nullcontext():
        refused = site.push([RED, {"ref": "production", "to": "test"}])
        nobody = site.push([RED], "nobody\\x")
    assert refused.status and nobody.status
    places = [site.bare.path / f"puppetmaster/refused/{who}.jsonl" for who in ("mia", "-")]
    first, second, third = (json.loads(line) for file in places for line in file.read_text().splitlines())
    assert (first["denied"], second["denied"], first["times"]) == (True, False, 1)
    assert (first["who"], first["via"], first["ref"]) == ("mia", "gitolite", "refs/heads/production")
    assert second["ref"] == "refs/heads/project/red" and "could be accepted" in second["verdict"]
    assert first["push"] == second["push"] != third["push"] and third["who"] == "-"
    assert f"push {first['push']} in the server's log" in refused.output
    assert first["verdict"] in refused.output
    logged = [record.message for record in caplog.records if record.message.startswith("push ")]
    assert len(logged) == (3 if where == "warm" else 0), "a cold hook's words go to the person who pushes"
    assert all(one["push"] in line for one, line in zip((first, second, third), logged, strict=False))


def test_many_refusals_of_one_person_wash_nobodys_away(site: ManagedRepository) -> None:
    """Nor one's own of another's branch: by refs that are made up, some thousands, all through the running service."""
    blue, red, zero = "refs/heads/project/blue", "refs/heads/project/red", "0" * 40
    new, tips = git(site.bare.path, "rev-parse", "test"), site.refs()
    with site.serving():
        assert site.push([{"ref": "project/blue", "to": "test"}]).status, "mia is not of blue"
        assert site.push([{"ref": "project/red", "to": "test"}], "bert").status
        for number in range(12):
            made_up = [f"{zero} {new} refs/heads/topic/blue/{number}-{one}-{'x' * 90}" for one in range(300)]
            site.send(made_up if number else [f"{tips[red]} {tips[red]} {blue}", *made_up])
    file = site.bare.path / "puppetmaster/refused/mia.jsonl"
    mine = [json.loads(line) for line in file.read_text().splitlines()]
    assert sum(one["times"] for one in mine) > 1_500 and file.stat().st_size < 300_000
    (first,) = (one for one in mine if one["ref"] == blue)
    assert first["denied"] and "mia is not a member of project blue" in first["verdict"]
    (theirs,) = map(json.loads, file.with_name("bert.jsonl").read_text().splitlines())
    assert theirs["ref"] == red and "bert is not a member of project red" in theirs["verdict"]


def test_all_that_a_person_was_told_is_kept(site: ManagedRepository) -> None:
    links = {f"modules/{'long' * 40}/{number}": "-> /etc" for number in range(8)}
    refused = site.push([{"ref": "project/red", "files": links}])
    lines = [line for line in refused.output.splitlines() if "leaves the tree" in line]
    told = [line.removeprefix("remote:   project/red: ").strip() for line in lines]
    kept = (site.bare.path / "puppetmaster/refused/mia.jsonl").read_text().splitlines()
    assert len(told) == 8 and all(one in json.loads(kept[-1])["verdict"] for one in told)


def test_a_role_that_is_taken_away_is_gone_at_the_next_push(site: ManagedRepository, slapd: Slapd) -> None:
    assert site.push([RED]).status == 0
    slapd.modify(f"cn=red,ou=projects,{S}", {"member": [(DELETE, [f"uid=mia,ou=people,{S}"])]})
    try:
        refused = site.push([{"ref": "project/red", "files": {"manifests/site.pp": "three"}}])
        assert "mia is not a member of project" in refused.output
    finally:
        slapd.modify(f"cn=red,ou=projects,{S}", {"member": [(ADD, [f"uid=mia,ou=people,{S}"])]})


def test_a_new_branch_takes_no_environment_that_another_project_can_have(site: ManagedRepository, slapd: Slapd) -> None:
    files = {"from": "test", "files": {"manifests/site.pp": "mine"}}

    def add(name: str, **said: object) -> str:
        place, zoe = f"cn={name},ou=projects,{S}", f"uid=zoe,ou=people,{S}"
        classes = ["groupOfNames", "puppetmasterClassification"]
        slapd.add(place, {"objectClass": classes, "cn": name, "member": zoe, **said})
        return place

    places = [add("c-d"), add("c_d", puppetmasterGuest="c-d")]
    try:
        for ref in ("project/c-d", "project/c_d", "topic/c_d/x", "topic/c-d/x"):
            refused = site.push([{"ref": ref, **files}], who="zoe")
            assert refused.moved == {} and "which can also belong to project c" in refused.output, ref
        slapd.modify(places[0], {"puppetmasterGuest": [(ADD, ["c_d"])]})
        assert site.push([{"ref": "project/c-d", **files}], who="zoe").status == 0, "they share what they have"
        assert "which belongs to branch project/c-d" in site.push([{"ref": "project/c_d", **files}], who="zoe").output
    finally:
        for place in places:
            slapd.delete(place)


def test_another_projects_node_keeps_no_branch(site: ManagedRepository, slapd: Slapd) -> None:
    container, node = f"ou=blue,ou=hosts,{S}", f"cn=bert.example.org,ou=blue,ou=hosts,{S}"
    slapd.add(container, {"objectClass": "organizationalUnit", "ou": "blue"})
    said = {"environment": "project_red__idle", "puppetmasterTrial": "project_red__idle until 9999999999 mine"}
    classes = ["device", "puppetClient", "puppetmasterClassification"]
    slapd.add(node, {"objectClass": classes, "cn": "bert.example.org", **said})
    delete = [{"ref": "topic/red/idle", "delete": True}]
    try:
        slapd.modify(f"cn=red,ou=projects,{S}", {
            "objectClass": [(ADD, ["puppetmasterClassification"])], "puppetmasterGuest": [(ADD, ["blue"])],
        })  # fmt: skip
        assert "1 node still uses environment project_red__idle: bert" in site.push(delete, who="anna").output
        slapd.modify(f"cn=red,ou=projects,{S}", {"puppetmasterGuest": [(DELETE, [])]})
        assert site.push(delete, who="anna").status == 0
    finally:
        for place in (node, container):
            slapd.delete(place)


def test_while_ldap_is_away_known_people_push_for_a_while(site: ManagedRepository, slapd: Slapd) -> None:
    assert site.push([RED]).status == 0
    site.reset()
    slapd.stop()
    try:
        assert site.push([RED]).status == 0
        site.reset()
        stranger = site.push([RED], who="anna")
        assert "cannot find out what anna may push, because LDAP cannot be reached" in stranger.output
        site.configure(roles_kept_offline=0)
        assert "cannot find out what mia may push" in site.push([RED]).output
        assert site.push([{"ref": "topic/red/idle", "delete": True}], who="anna").moved == {}
    finally:
        slapd.start()


def test_whether_a_branch_is_used_is_read_from_the_answers_if_there_are_any(site: ManagedRepository) -> None:
    answers = Layout(site.settings.answers.directory)
    answers.create()
    text = '# {"project":"red"}\n---\nenvironment: "project_red__idle"\nclasses: {}\nparameters: {}\n'
    (answers.nodes / "db1.example.org.yaml").write_text(text)
    now = int(time.time())
    answers.contact.write_text(Contact(now, now, 86400, "current").line())
    told = site.push([{"ref": "topic/red/idle", "files": {"manifests/site.pp": "new"}}]).output
    assert "remote:   1 node gets it at its next run: db1.example.org" in told
    site.reset()
    delete = [{"ref": "topic/red/idle", "delete": True}]
    assert "1 node still uses environment project_red__idle: db1.example.org" in site.push(delete, who="anna").output
    # A follower that is behind is not believed: LDAP knows of no such node.
    answers.contact.write_text(Contact(now - 120, now - 120, 86400, "current").line())
    assert site.push(delete, who="anna").status == 0


def test_a_transport_vouches_for_one_person_one_repository_and_some_hours(slapd: Slapd, tmp_path: Path) -> None:
    site = ManagedRepository(tmp_path / "signed", slapd, identity="transport")
    other = ManagedRepository(tmp_path / "other", slapd, identity="transport")
    mia, now = PersonName("mia"), time.time()
    good = sign(mia, "ssh", str(site.bare.path), now)
    assert site.push([RED], PUPPETMASTER_PUSHER=good).status == 0
    record = (site.base / "store/records/project_red.jsonl").read_text()
    assert '"mia"' in record
    site.reset()
    forged = [
        "",
        good.replace("mia", "olga"),
        good[:-1],
        sign(mia, "ssh", str(other.bare.path), now),
        sign(mia, "ssh", str(site.bare.path), now - 7 * 3600),
        sign(mia, "ssh", str(site.bare.path), now + 3600),
        "1 x ssh mia 00",
    ]
    for word in forged:
        refused = site.push([RED], who="olga", PUPPETMASTER_PUSHER=word)
        assert "unknown pusher" in refused.output, word
        assert refused.moved == {}


def test_of_two_branches_that_came_at_one_moment_none_takes_the_others_environment(site: ManagedRepository) -> None:
    assert site.push([{"ref": "topic/red/idle", "files": {"manifests/site.pp": "mine"}}]).status == 0
    # What pre-receive could not see because the other branch was not there yet.
    (site.bare.path / "hooks/pre-receive").chmod(0o644)
    told = site.push([{"ref": "topic/red/IDLE", "files": {"manifests/site.pp": "theirs"}}]).output
    assert "topic/red/IDLE: stored, but NOT deployed: it would become environment project_red__IDLE, which" in told
    assert site.shown("project_red__idle", "manifests/site.pp") == "mine"
    assert site.shown("project_red__IDLE", "manifests/site.pp") is None


def test_a_branch_whose_environment_is_anothers_waits_until_the_other_is_gone(site: ManagedRepository) -> None:
    first = [{"ref": "topic/red/a-b", "files": {"manifests/site.pp": "mine"}}]
    assert site.push(first).status == 0
    before = site.bare.path / "hooks/pre-receive"
    before.chmod(0o644)
    assert "stored, but NOT deployed" in site.push([{"ref": "topic/red/a.b", "to": "test"}]).output
    before.chmod(0o755)
    theirs = site.push([{"ref": "topic/red/a.b", "from": "test", "files": {"manifests/site.pp": "theirs"}}])
    assert "topic/red/a.b: stored, but NOT deployed: it would become environment project_red__a_b" in theirs.output
    assert site.shown("project_red__a_b", "manifests/site.pp") == "mine"
    assert site.push([{"ref": "topic/red/a-b", "delete": True}], "anna").status == 0
    assert site.shown("project_red__a_b", "manifests/site.pp") == "theirs"
    last = [{"ref": "topic/red/a.b", "from": "test", "files": {"manifests/site.pp": "last"}}]
    assert "project_red__a_b: live at" in site.push(last, "anna").output
    assert site.shown("project_red__a_b", "manifests/site.pp") == "last"
    assert "which belongs to branch topic/red/a.b; choose another name" in site.push(first).output


def test_a_submodule_that_is_allowed_becomes_an_empty_directory(site: ManagedRepository) -> None:
    site.configure(submodules=True)
    raw = {"modules": [{"name": "sub", "mode": "160000", "id": "1234567890"}]}
    files = {".gitmodules": '[submodule "sub"]\n path = modules/sub\n url = https://example.org/sub\n'}
    pushed = site.push([{"ref": "project/red", "raw": raw, "files": files}], fsck=True)
    assert pushed.status == 0, pushed.output
    assert list((site.base / "environments/project_red/modules/sub").iterdir()) == []
    assert site.shown("project_red", "modules/a/files/data") == "data"


@pytest.mark.parametrize("fault", ["configuration", "python", "key", "perl"])
def test_whatever_is_broken_refuses_the_push(fault: str, slapd: Slapd, tmp_path: Path) -> None:
    site = ManagedRepository(tmp_path / "site", slapd, identity="transport")
    word = sign(PersonName("mia"), "ssh", str(site.bare.path), time.time())
    hook = site.bare.path / "hooks/pre-receive"
    if fault == "configuration":
        site.configuration.write_text("pushes: [\n")
    elif fault == "key":
        (site.bare.path / "puppetmaster/pusher.key").chmod(0o644)
    else:
        program = sys.executable if fault == "python" else "/usr/bin/perl"
        hook.write_text(hook.read_text().replace(program, "/nowhere/at/all"))
    refused = site.push([RED], PUPPETMASTER_PUSHER=word)
    assert refused.moved == {}
    assert refused.status != 0
