"""Import, export and shadow on a real slapd: what comes over, what does not, and that twice is once."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from enc import cli
from enc.settings import ProjectSettings
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.slapd import ADD, Slapd

S = "dc=example,dc=org"
WHY = ("--reason", "for a test")
LDIF = f"""version: 1

dn: {S}
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: ou=red,ou=hosts,{S}
objectClass: organizationalUnit
ou: red

dn: cn=red,ou=projects,{S}
objectClass: groupOfNames
objectClass: puppetClient
cn: red
member: uid=anna, ou=people,{S}
puppetClass: base
entryUUID: 00000000-0000-0000-0000-000000000000

dn: cn=web1.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
puppetClass: apache
puppetVar: a=1
puppetVar: name=web1

dn: cn=bad.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
puppetClass: not a class

dn: cn=two.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
cn: two.example.org
cn: web1.example.org

dn: uid=mallory,ou=people,{S}
objectClass: inetOrgPerson
uid: mallory
sn: m
cn: m

dn: cn=web2.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
environment: dev
"""

Run = Callable[..., tuple[int, str, str]]


def people(slapd: Slapd) -> None:
    for uid in ("anna", "olga"):
        slapd.add(
            f"uid={uid},ou=people,{S}",
            {"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid, "userPassword": f"pw-{uid}"},
        )
    slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})


@pytest.fixture
def runner(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[[Slapd], Run]:
    """Makes a function that runs `enc-admin` on a slapd and returns exit status, stdout and stderr."""

    def on(slapd: Slapd) -> Run:
        file = tmp_path / f"{slapd.pid}.yaml"
        file.write_text(slapd.configuration(audit={"file": f"{tmp_path}/{slapd.pid}.trail"}))

        def run(*words: object) -> tuple[int, str, str]:
            capsys.readouterr()
            status = cli.main(["--config", str(file), *map(str, words)])
            told = capsys.readouterr()
            json_contract.watch("enc-admin", words, told.out)
            return status, told.out, told.err

        return run

    return on


@pytest.fixture
def admin(slapd: Slapd, runner: Callable[[Slapd], Run]) -> Run:
    people(slapd)
    return runner(slapd)


@pytest.fixture
def ldif(tmp_path: Path) -> Path:
    file = tmp_path / "site.ldif"
    file.write_text(LDIF)
    return file


def _answers(admin: Run) -> dict[str, dict[str, object]]:
    return {found["certname"]: found for found in json.loads(admin("export", "--json")[1])["answers"]}


def test_ldif_brings_over_what_is_sound_and_tells_the_rest(admin: Run, ldif: Path) -> None:
    status, out, err = admin("import", "ldif", ldif, *WHY, "--dry-run")
    assert status == 1
    assert "dry run, nothing was written" in err
    assert _answers(admin) == {}
    status, again, err = admin("import", "ldif", ldif, *WHY)
    assert (status, again) == (1, out)
    assert f"{ldif}:28: cn=bad.example.org" in err
    assert "not a class name" in err
    assert f"{ldif}:33: " in err
    assert "web1.example.org already belongs to" in err
    assert f"uid=mallory,ou=people,{S} is not below" in err
    assert "puppetVar: 'name=web1': Puppet reserves the variable name" in err
    assert "4 added, 0 changed, 0 unchanged, 3 skipped, 2 with problems" in err
    found = _answers(admin)
    assert found.keys() == {"web1.example.org", "web2.example.org"}
    assert found["web1.example.org"]["classes"] == {"base": {}, "apache": {}}
    assert found["web2.example.org"]["environment"] == "dev"


def test_a_second_import_does_nothing_and_a_changed_file_changes_what_it_names(admin: Run, ldif: Path) -> None:
    admin("import", "ldif", ldif, *WHY)
    admin("node", "set", "web1.example.org", "--environment", "kept", *WHY)
    assert "0 added, 0 changed, 4 unchanged" in admin("import", "ldif", ldif, *WHY)[2]
    ldif.write_text(LDIF.replace("puppetVar: a=1", "puppetVar: a=2"))
    document = json.loads(admin("import", "ldif", ldif, *WHY, "--json")[1])
    assert (document["added"], document["changed"], document["unchanged"]) == (0, 1, 3)
    web1 = _answers(admin)["web1.example.org"]
    assert web1["environment"] == "kept"
    assert web1["parameters"]["a"] == "2"  # type: ignore[index]
    history = admin("node", "history", "web1.example.org")[1]
    assert "import ldif" in history


def test_a_person_imports_only_what_they_may_write(
    admin: Run, ldif: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin("project", "add", "red", "--admin", "anna", *WHY)
    admin("project", "add", "blue", "--admin", "olga", *WHY)
    mine = LDIF.split("\n\n")[4]
    ldif.write_text(f"{mine}\n\n{mine.replace('web1', 'web9').replace('ou=red', 'ou=blue')}\n")
    answer = tmp_path / "password"
    answer.write_text("pw-anna\n")
    monkeypatch.setattr("sys.stdin", answer.open())
    status, _, err = admin("import", "ldif", ldif, *WHY, "--as", "anna")
    assert status == 1
    assert "1 added" in err
    assert _answers(admin).keys() == {"web1.example.org"}


def test_wikimedias_mirror_means_the_same_here(admin: Run, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    for name, text in {
        "red/_.roles": "- role::base\n",
        "red/_.yaml": "who: project\nk: 1\n",
        "red/web.roles": "- role::web\n",
        "red/web1.yaml": "who: web1\n",
        "red/db.roles": "- role::db\n",
        "blue/_.roles": "- role::blue\n- role::9\n",
        "blue/_.yaml": "fine: true\n",
    }.items():
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_text(text)
    status, _, err = admin("import", "wikimedia", mirror, *WHY)
    assert status == 1
    assert "there is no project red" in err
    dry = admin("import", "wikimedia", mirror, "--admin", "anna", *WHY, "--dry-run")
    assert json.loads(admin("project", "list", "--json")[1]) == {"projects": []}
    status, out, err = admin("import", "wikimedia", mirror, "--admin", "anna", *WHY)
    assert dry[0] == status == 1
    assert f"{mirror}/blue/_.roles:2" in err
    assert "+ puppetClass: role::base" in out
    admin("node", "add", "web1.example.org", "--project", "red", *WHY)
    web1 = _answers(admin)["web1.example.org"]
    assert list(web1["classes"]) == ["role::base", "role::web"]  # type: ignore[call-overload]
    assert web1["prefixes"] == ["web", "web1"]
    assert "0 added, 0 changed" in admin("import", "wikimedia", mirror, "--admin", "anna", *WHY)[2]


def test_puppet_conf_becomes_a_configuration_and_a_secret(admin: Run, tmp_path: Path) -> None:
    conf, secret = tmp_path / "puppet.conf", tmp_path / "secret"
    conf.write_text("[master]\nldapbase = ou=hosts,dc=x\nldapuser = cn=a\nldappassword = hidden\nldaptls = true\n")
    status, out, err = admin("import", "puppet-conf", conf, "--password-file", secret)
    assert status == 0
    assert yaml.safe_load(out)["nodes"]["semantics"] == "terminus"
    assert "hidden" not in out + err
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() == "hidden\n"
    assert admin("import", "puppet-conf", conf, "--password-file", secret)[0] == 0
    secret.write_text("another\n")
    assert admin("import", "puppet-conf", conf, "--password-file", secret)[0] == 2
    assert secret.read_text() == "another\n"


def test_exported_entries_make_the_same_site_elsewhere(
    admin: Run, ldif: Path, make_slapd: SlapdMaker, runner: Callable[[Slapd], Run], tmp_path: Path
) -> None:
    admin("import", "ldif", ldif, *WHY)
    admin("project", "add", "red", "--admin", "anna", *WHY)
    data = ["--data", 'k={"ü":[1,"x  y"]}', "--parameter", "apache::p=null"]
    admin("node", "set", "web1.example.org", "--json-variable", 'v=" lead"', *data, *WHY)
    admin("project", "set", "red", "--prefix", "web", "--class", "webs", *WHY)
    exported = tmp_path / "export.ldif"
    exported.write_text(admin("export", "--format", "ldif")[1])
    elsewhere = make_slapd()
    people(elsewhere)
    there = runner(elsewhere)
    status, _, err = there("import", "ldif", exported, *WHY)
    assert status == 0, err
    here, copied = _answers(admin), _answers(there)
    assert len(here) == 2
    assert "anna" in there("project", "member", "list", "red")[1]
    for found in (*here.values(), *copied.values()):
        del found["version"]
    assert copied == here


def test_shadow_runs_another_enc_for_every_node(admin: Run, ldif: Path, tmp_path: Path) -> None:
    admin("import", "ldif", ldif, *WHY)
    answers = tmp_path / "answers"
    assert admin("export", "--to", answers)[0] == 0
    other = tmp_path / "other-enc"
    other.write_text(f"#!/bin/sh\nexec cat {answers}/$1.yaml\n")
    other.chmod(0o755)
    assert admin("shadow", "--with", other)[0] == 0
    file = answers / "web1.example.org.yaml"
    file.write_text(file.read_text().replace('"a": "1"', '"a": 1'))
    status, out, err = admin("shadow", "--with", other, "--jobs", 2)
    assert (status, out) == (4, 'web1.example.org: variable a: ours "1", theirs 1\n')
    assert "2 nodes compared, 1 different" in err
    (answers / "web2.example.org.yaml").unlink()
    document = json.loads(admin("shadow", "--with", other, "--node", "web2.example.org", "--json")[1])
    assert document["different"][0]["differences"][0].startswith("theirs fails: exit status 1")


TREE = {
    "red/_.roles": "- role::base\n- 'bad:class::'\n- role::old\n",
    "red/_.yaml": "role::x:mode: hard\nk: {1: {a: b}, 20: [true, null, 1.5]}\nlist: [a]\nwhen: 2024-01-01\n'a=b': 1\n",
    "red/web.roles": "- role::web\n",
    "red/web.yaml": "k: 1\n",
    "red/db.roles": "- role::db\n",
    "blue/_.roles": "{}\n",
    "blue/_.yaml": "- no mapping\n",
    "green/Web1.yaml": "fine: true\n",
}


def _tree(directory: Path, files: dict[str, str]) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def _entries(admin: Run) -> dict[str, dict[str, list[str]]]:
    """Return what projects and prefixes say."""
    found = {}
    for project in json.loads(admin("project", "list", "--json")[1])["projects"]:
        for entry in json.loads(admin("project", "show", project["project"], "--json")[1])["entries"]:
            said = entry["attributes"]
            found[entry["dn"].removesuffix(f",ou=projects,{S}")] = {
                name: sorted(said[name]) for name in said.keys() & {"puppetclass", "puppetmasterdata", "puppetvar"}
            }
    return found


def test_an_import_loses_only_what_cannot_be_held_and_a_dry_run_is_the_very_plan(admin: Run, tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree", TREE)
    dry = admin("import", "wikimedia", tree, "--admin", "anna", *WHY, "--dry-run")
    status, out, err = admin("import", "wikimedia", tree, "--admin", "anna", *WHY)
    assert (dry[0], dry[1]) == (status, out)
    assert dry[2] == err.replace("6 added", "dry run, nothing was written: 6 added")
    assert status == 1
    for told in ("red/_.roles:2: 'bad:class::'", "red/_.yaml:4: when: a date", "blue/_.yaml:1: expected a mapping"):
        assert f"{tree}/{told}" in err
    assert "6 added, 0 changed, 0 unchanged, 3 with problems" in err
    assert f"note: {tree}/blue: says nothing that can be set; the project is created" in err
    assert _entries(admin) == {
        "cn=blue": {},
        "cn=green": {},
        "cn=red": {
            "puppetclass": ["role::base", "role::old"],
            "puppetmasterdata": ['"a=b"=1', 'k={1:{"a":"b"},20:[true,null,1.5]}', 'list=["a"]', 'role::x:mode="hard"'],
        },
        "cn=db,cn=red": {"puppetclass": ["role::db"]},
        "cn=web,cn=red": {"puppetclass": ["role::web"], "puppetmasterdata": ["k=1"]},
        "cn=web1,cn=green": {"puppetmasterdata": ["fine=true"]},
    }
    assert "0 added, 0 changed, 6 unchanged" in admin("import", "wikimedia", tree, "--admin", "anna", *WHY)[2]


def test_a_mirroring_import_makes_equal_and_touches_only_what_is_the_trees(admin: Run, tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree", TREE)
    mirror = ("import", "wikimedia", tree, "--admin", "anna", "--mirror", "--reason", "nightly")
    admin(*mirror)
    admin("project", "add", "mine", "--admin", "anna", *WHY)
    admin("project", "set", "mine", "--class", "mine", *WHY)
    admin("project", "set", "red", "--class", "by_hand", "--variable", "v=1", *WHY)
    admin("project", "set", "red", "--prefix", "hand", "--class", "by_hand", *WHY)
    before = _entries(admin)
    files = {**TREE, "red/_.yaml": "k: 2\nwhen: 2025-01-01\n", "blue/_.yaml": "now: 1\n"}
    del files["red/db.roles"], files["red/web.yaml"], files["green/Web1.yaml"]
    _tree(tree, files)
    status, plan, err = admin(*mirror, "--dry-run", "--most-removed", 100)
    assert status == 1, err
    assert _entries(admin) == before
    document = json.loads(admin(*mirror, "--dry-run", "--most-removed", 100, "--json")[1])
    assert document["writes"] == plan.splitlines()
    status, out, err = admin(*mirror, "--most-removed", 100)
    assert (status, out) == (1, plan)
    assert "0 added, 3 changed, 1 unchanged, 3 deleted, 8 classes and keys removed" in err
    assert _entries(admin) == {
        "cn=blue": {"puppetmasterdata": ["now=1"]},
        "cn=green": {},
        "cn=mine": {"puppetclass": ["mine"]},
        "cn=red": {
            "puppetclass": ["role::base", "role::old"],
            "puppetmasterdata": ["k=2"],
            "puppetvar": ["v=1"],
        },
        "cn=web,cn=red": {"puppetclass": ["role::web"]},
    }
    _tree(tree, {**files, "red/_.roles": "- role::base\n- role::old\n", "red/_.yaml": "k: 2\n"})
    assert admin(*mirror) == (0, "", "")
    history = admin("node", "history", "--all")[1]
    assert "import wikimedia" in history
    assert "nightly" in history
    for edit in reversed(json.loads(admin("node", "history", "--all", "--json")[1])["edits"][-6:]):
        assert admin("node", "undo", edit["id"], *WHY)[0] == 0
    assert _entries(admin) == before


def test_what_cannot_be_read_is_not_taken_for_gone(admin: Run, tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree", TREE)
    mirror = ("import", "wikimedia", tree, "--admin", "anna", "--mirror", *WHY)
    admin(*mirror)
    before = _entries(admin)
    _tree(tree, {**TREE, "red/web.roles": "- [\n", "red/db.roles": "x", "red/_.yaml": "k: {[1]: 1}\nlist: [a]\n"})
    (tree / "green/Web1.yaml").unlink()
    (tree / "green/Web1.yaml").symlink_to("/etc/passwd")
    status, _, err = admin(*mirror)
    assert status == 1
    assert "1 changed" in err
    after = _entries(admin)
    assert after.pop("cn=red")["puppetmasterdata"] == ['k={1:{"a":"b"},20:[true,null,1.5]}', 'list=["a"]']
    del before["cn=red"]
    assert after == before


@pytest.mark.parametrize("left", [{}, {"red/_.roles": "- role::base\n"}, {"blue/_.yaml": "a: 1\n"}])
def test_a_tree_that_was_cut_short_empties_nothing(admin: Run, tmp_path: Path, left: dict[str, str]) -> None:
    tree = _tree(tmp_path / "tree", TREE)
    tree.mkdir(exist_ok=True)
    mirror = ("import", "wikimedia", tree, "--admin", "anna", "--mirror", *WHY)
    admin(*mirror)
    before = _entries(admin)
    _tree(tree, left).mkdir(exist_ok=True)
    for more in ((), ("--dry-run",)):
        status, _, err = admin(*mirror, *more)
        assert status == 1
        assert "classes and keys, more than the" in err
        assert _entries(admin) == before
    percent = err.rpartition("--most-removed ")[2].split()[0]
    assert admin(*mirror, "--most-removed", percent)[0] == 0
    assert "role::web" not in str(_entries(admin))


def test_a_run_that_was_stopped_is_completed_by_the_next(admin: Run, slapd: Slapd, tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree", {name: text for name, text in TREE.items() if name.startswith("red/w")})
    mirror = ("import", "wikimedia", tree, "--admin", "anna", "--mirror", *WHY)
    assert admin(*mirror)[0] == 0
    wanted = _entries(admin)
    # As a run leaves it that was killed after its first write, the project's own entry: no role, no container, no
    # prefix, and in the trail an intent without outcome.
    trail = tmp_path / f"{slapd.pid}.trail"
    trail.write_text(trail.read_text().splitlines()[0] + "\n")
    below = f"cn=red,ou=projects,{S}"
    for place in (f"cn=web,{below}", f"ou=red,ou=hosts,{S}", f"cn={ProjectSettings().admin_role},{below}"):
        slapd.delete(place)
    status, out, _ = admin(*mirror)
    assert status == 0
    assert "add ou=red" in out
    assert _entries(admin) == wanted
    assert "admins: anna" in admin("project", "show", "red")[1]
    assert admin(*mirror) == (0, "", "")


def test_set_and_unset_in_one_edit(admin: Run, tmp_path: Path) -> None:
    admin("project", "add", "red", "--admin", "anna", *WHY)
    file = tmp_path / "more.yaml"
    file.write_text("role::x:mode: hard\nmany: {1: {a: b}}\n")
    assert admin("project", "set", "red", "--class", "old", "--data", "k=1", "--data-file", file, *WHY)[0] == 0
    edits = len(json.loads(admin("node", "history", "--all", "--json")[1])["edits"])
    swap = ("--class", "new", "--unset-class", "old", "--data", "l={1: 2}", "--unset-data", "k")
    assert admin("project", "set", "red", *swap, *WHY)[0] == 0
    assert _entries(admin)["cn=red"] == {
        "puppetclass": ["new"],
        "puppetmasterdata": ["l={1:2}", 'many={1:{"a":"b"}}', 'role::x:mode="hard"'],
    }
    history = json.loads(admin("node", "history", "--all", "--json")[1])["edits"]
    assert len(history) == edits + 1
    assert [step["do"] for step in history[-1]["steps"]] == ["modify"]
    status, _, err = admin("project", "set", "red", "--class", "a", "--unset-class", "A", *WHY)
    assert (status, "the same edit sets and removes" in err) == (2, True)
    admin("node", "undo", history[-1]["id"], *WHY)
    assert _entries(admin)["cn=red"]["puppetclass"] == ["old"]
    admin("node", "add", "web1.example.org", "--project", "red", "--environment", "a", *WHY)
    assert admin("node", "set", "web1.example.org", "--class", "a", "--unset-environment", *WHY)[0] == 0
    assert admin("project", "set", "red", "--unset-data", '"role::x:mode"', "--unset-data", "many", *WHY)[0] == 0
    assert _entries(admin)["cn=red"]["puppetmasterdata"] == ["k=1"]


def test_an_ldif_tells_which_entry_is_missing_and_counts_the_same_dry(admin: Run, tmp_path: Path) -> None:
    file = tmp_path / "nodes.ldif"
    node = "dn: cn={0}.example.org,ou={1},ou=hosts,{2}\nobjectClass: device\nobjectClass: puppetClient\n"
    file.write_text(
        f"{node.format('a', 'gone', S)}\n{node.format('b', 'here', S)}\n"
        f"dn: ou=here,ou=hosts,{S}\nobjectClass: organizationalUnit\n\n"
        f"{node.format('c', 'here', S)}\n{node.format('c', 'here', S)}environment: dev\n"
    )
    dry = admin("import", "ldif", file, *WHY, "--dry-run")
    status, out, err = admin("import", "ldif", file, *WHY)
    assert (dry[0], dry[1], dry[2].replace("dry run, nothing was written: ", "")) == (status, out, err)
    assert status == 1
    assert f"its parent entry ou=gone,ou=hosts,{S} does not exist" in err
    assert "2 added, 1 changed, 0 unchanged, 2 with problems" in err


def test_number_keys_and_odd_keys_go_all_the_way(
    admin: Run, make_slapd: SlapdMaker, runner: Callable[[Slapd], Run], tmp_path: Path
) -> None:
    admin("project", "add", "red", "--admin", "anna", *WHY)
    admin("node", "add", "web1.example.org", "--project", "red", "--data", 'k={"1": "text"}', *WHY)
    long = "k" * 9_000
    odd = {
        "a=b": 1,
        "": 2,
        " c  d ": 3,
        "é": 4,
        "ﬁ": 5,
        "fi": 6,
        "x\ny": 7,
        '"q"': 8,
        "<<": 9,
        long: 10,
        "A": 11,
        "a": 12,
    }
    more = ("--data", 'k={1: "number", -2.5: {"3": 4, 3: 4}}', "--data-file", tmp_path / "odd.yaml")
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(odd, allow_unicode=True, width=100_000))
    status, out, _ = admin("node", "set", "web1.example.org", *more, "--variable", "v=1", *WHY)
    assert status == 0
    assert 'data k = {"1": "text"}  → {1: "number", -2.5: {"3": 4, 3: 4}}' in out
    explained = admin("node", "explain", "web1.example.org")[1]
    assert 'data k = {1: "number", -2.5: {"3": 4, 3: 4}}  from node' in explained
    assert "data role" not in explained
    exported = tmp_path / "export.ldif"
    exported.write_text(admin("export", "--format", "ldif")[1])
    elsewhere = make_slapd()
    people(elsewhere)
    there = runner(elsewhere)
    assert there("import", "ldif", exported, *WHY)[0] == 0
    document = json.loads(there("node", "show", "web1.example.org", "--json")[1])
    assert odd.items() <= document["data"].items()
    edit = json.loads(admin("node", "history", "web1.example.org", "--json")[1])["edits"][-1]
    assert admin("node", "undo", edit["id"], *WHY)[0] == 0
    assert 'data k = {"1": "text"}  from node' in admin("node", "explain", "web1.example.org")[1]
    assert there("node", "unset", "web1.example.org", "--data", '"a=b"', "--data", '""', "--data", "é", *WHY)[0] == 0
    left = json.loads(there("node", "show", "web1.example.org", "--json")[1])["data"]
    assert odd.keys() - left.keys() == {"a=b", "", "é"}
