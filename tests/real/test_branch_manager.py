"""The command `branch-manager` on a real repository with a real directory behind it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from enc.terms.names import BranchName
from git_hooks.push.refusals import Refusal, file_of, keep
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.bare import git
from tests.support.clocks import counted_since_1970
from tests.support.slapd import Slapd
from tests.support.transports import PROGRAM, Managed, S, people

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


def data(managed: Managed, *words: str, status: int = 0) -> Any:
    done = managed.branch_manager(*words, "--json")
    assert done.returncode == status, done.stderr
    return json_contract.held("branch-manager", words, done.stdout)


def shown(managed: Managed, environment: str) -> str:
    return (managed.settings.branches.environments / environment / "manifests/site.pp").read_text()


def commit(managed: Managed, text: str) -> str:
    return managed.bare.commit("project/red", {"manifests": {"site.pp": text}}, parent=managed.tip("project/red"))


def listed(managed: Managed) -> dict[str, dict[str, object]]:
    return {row["environment"]: row for row in data(managed, "list")["environments"]}


def test_list_shows_every_environment_with_its_distance(managed: Managed) -> None:
    red = listed(managed)["project_red"]
    assert (red["branch"], red["state"], red["live"]) == ("project/red", "live", managed.tip("project/red"))
    assert red["compared"] == [{"branch": "test", "ahead": 1, "behind": 0}]
    assert red["node_count"] is None, "no follower runs here, so it is not claimed to be 0"
    assert listed(managed)["red__x"]["ends"] is not None and red["ends"] is None
    commit(managed, "# newer\n")
    assert listed(managed)["project_red"]["state"] == "waits"
    assert managed.branch_manager("list", "--not-live").returncode == 4


@pytest.mark.parametrize("name", ["agent", "MAIN"])
def test_no_commit_becomes_an_environment_of_a_name_that_puppet_keeps(managed: Managed, name: str) -> None:
    done = managed.branch_manager("deploy", name, "--commit", str(managed.tip("project/red")))
    assert done.returncode == 2 and f"forbids {name} as an environment" in done.stderr
    assert name not in listed(managed)


def test_status_tells_where_a_commit_is(managed: Managed) -> None:
    first, second = managed.tip("test"), commit(managed, "# newer\n")
    assert first is not None
    everywhere = data(managed, "status", first[:10])
    assert everywhere["environments"] == ["project_red", "red__x", "test"]
    waiting = data(managed, "status", "project/red", status=4)
    assert (waiting["commit"], waiting["environments"], waiting["waiting"]) == (second, [], ["project_red"])
    assert managed.branch_manager("status", "no-such-branch").returncode == 1
    assert "project_red: waits" in managed.branch_manager("status").stdout
    assert [one["state"] for one in data(managed, "status", status=4)["wrong"]] == ["waits"]


def test_deploy_does_what_its_dry_run_said(managed: Managed) -> None:
    new = commit(managed, "# newer\n")
    would = data(managed, "deploy", "project/red", "--dry-run")
    assert shown(managed, "project_red") == "# red\n"
    done = data(managed, "deploy", "project/red")
    assert (would["dry_run"], done["dry_run"]) == (True, False)
    for (deploy,) in (would["deploys"], done["deploys"]):
        assert (deploy["outcome"], deploy["to"]) == ("live", new)
        assert deploy["from"] != new
    assert shown(managed, "project_red") == "# newer\n"


def test_a_rollback_holds_until_the_release(managed: Managed) -> None:
    sound = managed.tip("project/red") or ""
    commit(managed, "# bad\n")
    managed.branch_manager("deploy")
    bad = managed.tip("project/red") or ""
    told = managed.branch_manager("rollback", "project_red", "--dry-run", *WHY).stdout
    assert told == f"project_red would show {sound[:10]} in place of {bad[:10]} and be held there\n"
    (would,) = data(managed, "rollback", "project_red", *WHY, "--dry-run")["deploys"]
    (done,) = data(managed, "rollback", "project_red", *WHY)["deploys"]
    assert {key: would[key] for key in ("from", "to", "outcome", "why")} == {
        key: done[key] for key in ("from", "to", "outcome", "why")
    }
    assert shown(managed, "project_red") == "# red\n"
    managed.branch_manager("deploy")
    assert (shown(managed, "project_red"), listed(managed)["project_red"]["state"]) == ("# red\n", "held")
    assert data(managed, "release", "project_red")["deploys"][0]["outcome"] == "live"
    assert shown(managed, "project_red") == "# bad\n"
    assert "is not held" in data(managed, "release", "project_red", status=1)["error"]["message"]
    assert data(managed, "hold", "project/red", *WHY)["environment"] == "project_red"
    assert listed(managed)["project_red"]["state"] == "held"


def test_an_unused_topic_is_archived_and_comes_back(managed: Managed, slapd: Slapd) -> None:
    tip = managed.tip("topic/red/x")
    assert "pushed to recently" in managed.branch_manager("expire").stdout
    _long_ago(managed, "red__x")
    assert "would be archived" in managed.branch_manager("expire", "--dry-run").stdout
    assert data(managed, "restore")["archived"] == []
    assert managed.branch_manager("restore").stderr == "the archive is empty\n"
    node = {"objectClass": ["device", "puppetClient"], "cn": "web1.example.org", "environment": "red__x"}
    slapd.add(f"ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit", "ou": "red"})
    slapd.add(f"cn=web1.example.org,ou=red,ou=hosts,{S}", node)
    assert "web1.example.org" in managed.branch_manager("expire").stdout
    slapd.delete(f"cn=web1.example.org,ou=red,ou=hosts,{S}")
    assert data(managed, "expire", "--dry-run")["branches"][0]["archived_as"] is None
    (ended,) = data(managed, "expire")["branches"]
    assert data(managed, "restore")["archived"][0]["name"] == ended["archived_as"]
    assert managed.tip("topic/red/x") is None and "red__x" not in listed(managed)
    assert git(managed.bare.path, "for-each-ref", "--format=%(objectname)", "refs/archive/") == tip
    assert "topic/red/x" in managed.branch_manager("restore").stdout
    would = data(managed, "restore", "topic/red/x", "--dry-run")
    done = data(managed, "restore", "topic/red/x")
    assert [one["deploys"][0]["to"] for one in (would, done)] == [tip, tip]
    assert (managed.tip("topic/red/x"), shown(managed, "red__x")) == (tip, "# red\n")
    assert managed.branch_manager("restore", "topic/red/x").returncode == 1


def _long_ago(managed: Managed, environment: str) -> None:
    """Let the last deploy be older than branches.topics_unused."""
    path = managed.settings.branches.store / f"records/{environment}.jsonl"
    record = json.loads(path.read_text().splitlines()[-1]) | {"at": time.time() - 90 * 86400}
    path.write_text(json.dumps(record) + "\n")
    counted_since_1970(managed.settings.branches.store / "elapsed")


def test_what_has_lost_its_branch_goes_only_when_asked(managed: Managed) -> None:
    longest = "y" * (BranchName.longest - len("topic/red/"))
    git(managed.bare.path, "update-ref", f"refs/heads/topic/red/{longest}", "refs/heads/topic/red/x")
    managed.branch_manager("deploy")
    for topic in ("x", longest):
        git(managed.bare.path, "update-ref", "-d", f"refs/heads/topic/red/{topic}")
    managed.branch_manager("deploy")
    assert {listed(managed)[f"red__{topic}"]["state"] for topic in ("x", longest)} == {"no branch"}
    done = managed.branch_manager("deploy", "--gone")
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"red__x", f"red__{longest}"} & listed(managed).keys()


def test_gc_and_verify_store(managed: Managed) -> None:
    assert data(managed, "verify-store") == {"faults": []}
    site = managed.settings.branches.environments / "project_red/manifests/site.pp"
    site.write_text("# somebody was here\n")
    done = managed.branch_manager("verify-store")
    assert done.returncode == 4 and "differs from its" in done.stdout
    counts = dict.fromkeys(("versions", "units", "leftovers", "puppetfiles", "token_count"), 0)
    assert data(managed, "gc") == {**counts, "skipped": [], "archived": []}


@pytest.mark.parametrize("lost", ["", "units", "versions"])
def test_a_store_that_lost_something_is_not_said_to_be_well(managed: Managed, lost: str) -> None:
    store = managed.settings.branches.store
    for place in [store / lost] if lost else list(store.iterdir()):
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    assert {row["state"] for row in listed(managed).values()} == {"damaged"}
    assert "run branch-manager deploy" in managed.branch_manager("list").stderr
    commit = managed.tip("project/red")
    document = data(managed, "status", str(commit), status=4)
    assert "project_red" in document["waiting"]
    everything = managed.branch_manager("status")
    assert everything.returncode == 4 and "project_red: damaged, " in everything.stdout
    verified = managed.branch_manager("verify-store")
    assert verified.returncode == 4 and "damaged" in verified.stdout and "Traceback" not in verified.stderr
    assert "are incomplete" in managed.branch_manager("doctor").stdout
    assert "mend" in managed.branch_manager("deploy", "--dry-run").stdout
    done = managed.branch_manager("deploy")
    assert done.returncode == 0 and "restored" in done.stdout
    assert shown(managed, "project_red")
    assert {row["state"] for row in listed(managed).values()} == {"live"}
    assert data(managed, "verify-store") == {"faults": []}


def test_init_verify_and_uninstall(managed: Managed) -> None:
    assert managed.branch_manager("verify").stdout == "all is well\n"
    (managed.bare.path / "hooks/pre-receive").unlink()
    assert len(data(managed, "verify", status=4)["differences"]) == 1
    assert len(data(managed, "init", "--dry-run")["changes"]) == 1
    assert "pre-receive" in managed.branch_manager("init", str(managed.bare.path)).stdout
    assert data(managed, "verify") == {"differences": []}
    assert managed.branch_manager("init", "/elsewhere.git").returncode == 2
    assert len(data(managed, "uninstall")["changes"]) > 1
    assert "no hooks" in data(managed, "uninstall", status=1)["error"]["message"]
    assert len(data(managed, "init")["changes"]) > 1
    assert data(managed, "uninstall")
    assert not (managed.bare.path / "hooks/pre-receive").exists()


def test_a_token_and_the_units_are_told(managed: Managed, tmp_path: Path) -> None:
    made = data(managed, "token", "create", "a job", "--for", "carol", "--expires", "1d")
    assert made["token"] and made["revoked"] is None
    (row,) = data(managed, "token", "list")["tokens"]
    assert row == {**made, "token": None}
    assert data(managed, "token", "revoke", made["id"])["revoked"] >= made["created"]
    assert managed.branch_manager("token", "list", "--for", "anna").stderr == "no tokens\n"
    units = tmp_path / "units"
    units.mkdir()
    assert {Path(file).parent for file in data(managed, "units", str(units))["files"]} == {units}
    assert data(managed, "doctor", "--user", "root", status=4)["sound"] is False


def test_a_new_project_gets_its_branch_from_test(managed: Managed, slapd: Slapd) -> None:
    entry = {"objectClass": "groupOfNames", "cn": "blue", "member": f"uid=carol,ou=people,{S}"}
    slapd.add(f"cn=blue,ou=projects,{S}", entry)
    try:
        assert "project/blue" in managed.branch_manager("make-branches", "--dry-run").stdout
        assert managed.tip("project/blue") is None
        assert data(managed, "make-branches", "--dry-run")["projects"][0]["branch"] == "project/blue"
        assert data(managed, "make-branches")["projects"][0]["branch"] == "project/blue"
        assert managed.tip("project/blue") == managed.tip("test")
        assert shown(managed, "project_blue") == "# first\n"
        assert managed.branch_manager("make-branches").stdout == "every project has its branch\n"
        assert data(managed, "make-branches", "no-such", status=1)["projects"][0]["good"] is False
    finally:
        slapd.delete(f"cn=blue,ou=projects,{S}")


def test_refusals_are_told_of_a_project_a_branch_or_a_person(managed: Managed) -> None:
    repository = str(managed.bare.path)
    assert data(managed, "refusals") == {"refusals": []}, "nothing is kept yet"
    red, topic, test = "refs/heads/project/red", "refs/heads/topic/red/x", "refs/heads/test"
    now = time.time()
    for who, ref, before in (
        *(("carol", red, 90_000.0), ("carol", red, 9_000.0), ("bob", topic, 8_000.0)),
        *(("bob", "refs/heads/topic/red/y", 7_000.0), ("carol", test, 30.0), ("red", "refs/tags/a b\nc", 20.0)),
    ):
        at = now - before
        one = Refusal(at, f"{at:.0f}", who, "http", ref, "a" * 40, "b" * 40, f"{who} may not: " + "x" * 900, True)
        keep(repository, [one])

    def told(*words: str) -> list[tuple[object, ...]]:
        return [(one["who"], one["ref"], one["count"]) for one in data(managed, "refusals", *words)["refusals"]]

    assert told("project/red") == told(red) == [("carol", red, 2)]
    assert told("Carol") == [("carol", red, 2), ("carol", test, 1)]
    of_red = [("carol", red, 2), ("bob", topic, 1), ("bob", "refs/heads/topic/red/y", 1)]
    assert told("red") == [*of_red, ("red", "refs/tags/a b\nc", 1)], "of the project and of the person of that name"
    assert told("--since", "1h") == told("--last", "2") and len(told()) == 5
    shown = managed.branch_manager("refusals", "project/red").stdout.splitlines()
    assert len(shown) == 2 and "carol may not" in shown[1] and len(shown[1]) < 400
    assert "x" * 900 in managed.branch_manager("refusals", "project/red", "--full").stdout
    assert "of nobody" in managed.branch_manager("refusals", "nobody").stderr
    assert managed.branch_manager("refusals", "--last", "0").returncode == 2
    with Path(file_of(repository, "carol")).open("ab") as file:
        file.write(b'{"at": NaN}\n\xff\n{"torn')
    assert len(told("carol")) == 2, "damage hides nothing else"


def test_an_environment_is_told_with_its_hold(managed: Managed) -> None:
    assert data(managed, "status", "project_red")["branch"] == "project/red"
    assert data(managed, "hold", "project_red", "--reason", "the freeze")["environment"] == "project_red"
    (hold,) = {row["hold"]["reason"] for row in data(managed, "list")["environments"] if row["hold"]}
    assert hold == "the freeze"
    told = managed.branch_manager("list")
    assert re.search(r"^project_red: held by \S+ since 20\S+, until released: the freeze$", told.stderr, re.MULTILINE)
    assert "held          by " in managed.branch_manager("status", "project_red").stdout
    unknown = managed.branch_manager("status", "project_blue")
    assert unknown.returncode == 1 and "no branch or environment project_blue" in unknown.stderr


def waited(managed: Managed, *words: str, status: int = 0) -> str:
    done = managed.branch_manager("wait", *words)
    assert done.returncode == status, done
    said = done.stderr if status else done.stdout
    assert said.count("\n") == 1, said
    return said


def test_a_job_waits_until_its_commit_is_live(managed: Managed) -> None:
    """Without a service here, what makes it live comes while the job waits."""
    live = managed.tip("project/red") or ""
    assert waited(managed, live[:8]) == f"{live[:8]} is live in project_red, red__x\n"
    assert waited(managed, live.upper(), "--environment", "project/red").endswith("is live in project_red\n")
    new = commit(managed, "# newer\n")
    late = waited(managed, new, "--timeout", "0.3s", status=1)
    assert f"{new[:10]}: not live after 0.3s: project_red shows {live[:10]} so far\n" in late
    words = [str(PROGRAM), "--config", str(managed.configuration), "wait", new, "--json", "--timeout", "60s"]
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as job:
        time.sleep(1)
        assert job.poll() is None
        managed.branch_manager("deploy")
        output, _ = job.communicate(timeout=60)
    assert job.returncode == 0
    document = json_contract.held("branch-manager", ["wait", new, "--json"], output)
    assert document["environments"] == ["project_red"]
    assert document["waited_seconds"] <= time.monotonic() - began
    newest = commit(managed, "# newest\n")
    managed.branch_manager("deploy")
    assert "is live in project_red" in waited(managed, new), "a later commit has it"
    assert newest != new


def test_a_job_ends_as_soon_as_its_commit_cannot_go_live(managed: Managed) -> None:
    old = managed.tip("project/red") or ""
    new = commit(managed, "# newer\n")
    assert data(managed, "hold", "project_red", *WHY)
    assert re.search(r"project_red is held by \S+: for a test$", waited(managed, new, status=1))
    managed.branch_manager("release", "project_red")
    absent = "0123456789" * 4
    assert "the repository does not have it yet" in waited(managed, absent, "--timeout", "0.3s", status=1)
    who = Refusal(time.time(), "p1", "alice", "password", "refs/heads/project/red", old, absent, "no, not this one")
    keep(str(managed.bare.path), [who])
    assert f"{absent[:10]}: refused: push p1 of alice: no, not this one\n" in waited(managed, absent, status=1)
    git(managed.bare.path, "update-ref", "refs/archive/project/red@1790000000", new)
    git(managed.bare.path, "update-ref", "refs/heads/project/red", old)
    assert "superseded: no branch has it any more" in waited(managed, new, status=1)
    bad = managed.bare.commit("project/red", {"modules": {"x": {"lib": {"a": "1"}}}}, parent=old)
    (managed.settings.branches.environments / "project_red").unlink()
    (managed.settings.branches.environments / "project_red").mkdir()
    (managed.settings.branches.environments / "project_red" / "theirs").touch()
    assert "is not one of the branch manager's links" in waited(managed, bad, status=1)
    document = data(managed, "wait", bad, status=1)
    assert "is not one of" in document["error"]["message"]


CANNOT_WAIT: tuple[tuple[tuple[str, ...], str], ...] = (
    (("production",), "'production' is not a commit id"),
    (("abc",), "'abc' is not a commit id"),
    (("HEAD^{commit}",), "is not a commit id"),
    (("0" * 70,), "is not a commit id"),
    (("0" * 40, "--timeout", "soon"), "--timeout 'soon': write"),
    (("0" * 40, "--timeout", "-1s"), "--timeout"),
    (("0" * 40, "--environment", "a b"), "a b"),
)


def test_what_a_job_cannot_wait_for(managed: Managed) -> None:
    for words, why in CANNOT_WAIT:
        done = managed.branch_manager("wait", *words)
        assert done.returncode == 2 and why in done.stderr.splitlines()[-1], done
