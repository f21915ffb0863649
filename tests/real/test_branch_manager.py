"""The command `branch-manager` on a real repository with a real directory behind it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.real.conftest import SlapdMaker
from tests.support.bare import git
from tests.support.slapd import Slapd
from tests.support.transports import Managed, S, people

WHY = ("--reason", "for a test")


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    people(made)
    return made


@pytest.fixture
def managed(slapd: Slapd, tmp_path: Path) -> Managed:
    """With `test`, project/red one commit ahead of it, and topic/red/x at the same commit."""
    made = Managed(tmp_path / "managed", slapd)
    red = made.tip("project/red")
    assert red is not None
    git(made.bare.path, "update-ref", "refs/heads/topic/red/x", red)
    assert made.branch_manager("deploy").returncode == 0
    return made


def data(managed: Managed, *words: str, status: int = 0) -> object:
    done = managed.branch_manager(*words, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def shown(managed: Managed, environment: str) -> str:
    return (managed.settings.branches.environments / environment / "manifests/site.pp").read_text()


def commit(managed: Managed, text: str) -> str:
    return managed.bare.commit("project/red", {"manifests": {"site.pp": text}}, parent=managed.tip("project/red"))


def listed(managed: Managed) -> dict[str, dict[str, object]]:
    rows = data(managed, "list")
    assert isinstance(rows, list)
    return {row["environment"]: row for row in rows}


def test_list_shows_every_environment_with_its_distance(managed: Managed) -> None:
    red = listed(managed)["project_red"]
    assert (red["branch"], red["state"], red["live"]) == ("project/red", "live", managed.tip("project/red"))
    assert red["compared"] == {"test": {"ahead": 1, "behind": 0}}
    assert red["nodes"] is None, "nobody follows LDAP here, so it is not claimed to be 0"
    assert listed(managed)["red__x"]["ends"] is not None and red["ends"] is None
    commit(managed, "# newer\n")
    assert listed(managed)["project_red"]["state"] == "waits"
    assert managed.branch_manager("list", "--not-live").returncode == 1


def test_status_tells_where_a_commit_is(managed: Managed) -> None:
    first, second = managed.tip("test"), commit(managed, "# newer\n")
    assert first is not None
    everywhere = data(managed, "status", first[:10])
    assert isinstance(everywhere, dict)
    assert everywhere["environments"] == ["project_red", "red__x", "test"]
    waiting = data(managed, "status", "project/red", status=1)
    assert isinstance(waiting, dict)
    assert (waiting["commit"], waiting["environments"], waiting["waiting"]) == (second, [], ["project_red"])
    assert managed.branch_manager("status", "no-such-branch").returncode == 1
    assert "project_red: waits" in managed.branch_manager("status").stdout


def test_deploy_does_what_its_dry_run_said(managed: Managed) -> None:
    commit(managed, "# newer\n")
    plans = data(managed, "deploy", "project/red", "--dry-run")
    assert isinstance(plans, list) and plans[0]["decision"] == "switch"
    assert shown(managed, "project_red") == "# red\n"
    assert "live at" in managed.branch_manager("deploy", "project_red").stdout
    assert shown(managed, "project_red") == "# newer\n"


def test_a_rollback_holds_until_the_release(managed: Managed) -> None:
    sound = managed.tip("project/red") or ""
    commit(managed, "# bad\n")
    managed.branch_manager("deploy")
    bad = managed.tip("project/red") or ""
    told = managed.branch_manager("rollback", "project_red", "--dry-run", *WHY).stdout.splitlines()
    assert told[0] == f"project_red would show {sound[:10]} in place of {bad[:10]}, and be held there"
    assert shown(managed, "project_red") == "# bad\n"
    assert managed.branch_manager("rollback", "project_red", *WHY).returncode == 0
    assert shown(managed, "project_red") == "# red\n"
    managed.branch_manager("deploy")
    assert (shown(managed, "project_red"), listed(managed)["project_red"]["state"]) == ("# red\n", "held")
    assert managed.branch_manager("release", "project_red").returncode == 0
    assert shown(managed, "project_red") == "# bad\n"
    assert managed.branch_manager("release", "project_red").returncode == 1
    assert managed.branch_manager("hold", "project/red", *WHY).returncode == 0
    assert listed(managed)["project_red"]["state"] == "held"


def test_an_unused_topic_is_archived_and_comes_back(managed: Managed, slapd: Slapd) -> None:
    tip = managed.tip("topic/red/x")
    assert "not long ago" in managed.branch_manager("expire").stdout
    _long_ago(managed, "red__x")
    assert "would be archived" in managed.branch_manager("expire", "--dry-run").stdout
    node = {"objectClass": ["device", "puppetClient"], "cn": "web1.example.org", "environment": "red__x"}
    slapd.add(f"ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit", "ou": "red"})
    slapd.add(f"cn=web1.example.org,ou=red,ou=hosts,{S}", node)
    assert "web1.example.org" in managed.branch_manager("expire").stdout
    slapd.delete(f"cn=web1.example.org,ou=red,ou=hosts,{S}")
    assert managed.branch_manager("expire").returncode == 0
    assert managed.tip("topic/red/x") is None and "red__x" not in listed(managed)
    assert git(managed.bare.path, "for-each-ref", "--format=%(objectname)", "refs/archive/") == tip
    assert "topic/red/x" in managed.branch_manager("restore").stdout
    assert managed.branch_manager("restore", "topic/red/x").returncode == 0
    assert (managed.tip("topic/red/x"), shown(managed, "red__x")) == (tip, "# red\n")
    assert managed.branch_manager("restore", "topic/red/x").returncode == 1


def _long_ago(managed: Managed, environment: str) -> None:
    """Let the last deploy be older than branches.topics_unused."""
    path = managed.settings.branches.store / f"records/{environment}.jsonl"
    record = json.loads(path.read_text().splitlines()[-1]) | {"at": time.time() - 90 * 86400}
    path.write_text(json.dumps(record) + "\n")


def test_what_has_lost_its_branch_goes_only_when_asked(managed: Managed) -> None:
    git(managed.bare.path, "update-ref", "-d", "refs/heads/topic/red/x")
    managed.branch_manager("deploy")
    assert listed(managed)["red__x"]["state"] == "no branch"
    assert managed.branch_manager("deploy", "--gone").returncode == 0
    assert "red__x" not in listed(managed)


def test_gc_and_verify_store(managed: Managed) -> None:
    assert data(managed, "verify-store") == []
    site = managed.settings.branches.environments / "project_red/manifests/site.pp"
    site.write_text("# somebody was here\n")
    done = managed.branch_manager("verify-store")
    assert done.returncode == 1 and "holds something else" in done.stdout
    nothing = {"versions": 0, "units": 0, "leftovers": 0, "skipped": [], "tokens": 0, "archived": [], "puppetfiles": 0}
    assert data(managed, "gc") == nothing


@pytest.mark.parametrize("lost", ["", "units", "versions"])
def test_a_store_that_lost_something_is_not_said_to_be_well(managed: Managed, lost: str) -> None:
    store = managed.settings.branches.store
    for place in [store / lost] if lost else list(store.iterdir()):
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    assert {row["state"] for row in listed(managed).values()} == {"damaged"}
    assert "run branch-manager deploy" in managed.branch_manager("list").stderr
    commit = managed.tip("project/red")
    document = data(managed, "status", str(commit), status=1)
    assert isinstance(document, dict) and "project_red" in document["waiting"]
    everything = managed.branch_manager("status")
    assert everything.returncode == 1 and "project_red: damaged, " in everything.stdout
    verified = managed.branch_manager("verify-store")
    assert verified.returncode == 1 and "damaged" in verified.stdout and "Traceback" not in verified.stderr
    assert "are not whole" in managed.branch_manager("doctor").stdout
    assert "mend" in managed.branch_manager("deploy", "--dry-run").stdout
    done = managed.branch_manager("deploy")
    assert done.returncode == 0 and "laid out again" in done.stdout
    assert shown(managed, "project_red")
    assert {row["state"] for row in listed(managed).values()} == {"live"}
    assert data(managed, "verify-store") == []


def test_init_verify_and_uninstall(managed: Managed) -> None:
    assert managed.branch_manager("verify").stdout == "all is well\n"
    (managed.bare.path / "hooks/pre-receive").unlink()
    assert managed.branch_manager("verify").returncode == 1
    assert "pre-receive" in managed.branch_manager("init", str(managed.bare.path)).stdout
    assert managed.branch_manager("verify").returncode == 0
    assert managed.branch_manager("init", "/elsewhere.git").returncode == 2
    assert managed.branch_manager("uninstall").returncode == 0
    assert not (managed.bare.path / "hooks/pre-receive").exists()


def test_a_new_project_gets_its_branch_from_test(managed: Managed, slapd: Slapd) -> None:
    entry = {"objectClass": "groupOfNames", "cn": "blue", "member": f"uid=carol,ou=people,{S}"}
    slapd.add(f"cn=blue,ou=projects,{S}", entry)
    try:
        assert "project/blue" in managed.branch_manager("make-branches", "--dry-run").stdout
        assert managed.tip("project/blue") is None
        assert managed.branch_manager("make-branches").returncode == 0
        assert managed.tip("project/blue") == managed.tip("test")
        assert shown(managed, "project_blue") == "# first\n"
        assert managed.branch_manager("make-branches").stdout == "every project has its branch\n"
        assert managed.branch_manager("make-branches", "no-such").returncode == 1
    finally:
        slapd.delete(f"cn=blue,ou=projects,{S}")
