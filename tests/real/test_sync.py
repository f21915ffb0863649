"""The patch queue: the table of tests/cases/sync/, and the kill at every step. Real git, store and environments."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.terms.errors import ToolkitError
from puppetmaster_self.instance import keep
from puppetmaster_self.instance.machine import Machine, Places
from puppetmaster_self.sync.sync import Policy
from puppetmaster_self.sync.upstream import Replayed
from tests.support.patch_queues import BRANCH, LOCAL, Scene, git, make_template

CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in sorted((Path(__file__).parents[1] / "cases/sync").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text())
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("sync") / "template")


@pytest.fixture
def scene(tmp_path: Path, template: Path) -> Scene:
    return Scene(tmp_path / "scene", template)


def test_the_table_is_large_enough() -> None:
    assert len(CASES) >= 40
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES)
def test_case(case: dict[str, Any], scene: Scene) -> None:
    scene.policy = Policy(**case.get("policy", {}))
    for step in case["steps"]:
        ((action, wanted),) = step.items()
        STEPS[action](scene, wanted)


def _sync(scene: Scene, wanted: dict[str, Any], **how: bool) -> None:
    scene.refuse = wanted.get("refuse", "")
    scene.deploy_fails = wanted.get("deploy_fails", False)
    before = git(scene.own, "for-each-ref", LOCAL.ref)
    result = scene.sync().run(**how)
    _compare(scene, wanted, result.outcome, result.message, result.replayed)
    assert len(result.parked) == wanted.get("parked", 0)
    if result.outcome not in ("synced", "current") or how.get("dry_run"):
        assert git(scene.own, "for-each-ref", LOCAL.ref) == before
    elif not how.get("dry_run"):
        again = scene.sync().run()
        assert (again.outcome, again.replayed and again.replayed.tip) == ("current", result.replayed.tip), again


def _back(scene: Scene, wanted: dict[str, Any]) -> None:
    result = scene.sync().back(wanted.get("to"))
    _compare(scene, wanted, result.outcome, result.message, None)


def _forecast(scene: Scene, wanted: dict[str, Any]) -> None:
    before = git(scene.own, "for-each-ref", LOCAL.ref)
    _, replayed = scene.sync().forecast(wanted["branch"])
    _compare(scene, wanted, "", " / ".join(map(str, replayed.fates)), replayed)
    assert git(scene.own, "for-each-ref", LOCAL.ref) == before


def _send(scene: Scene, wanted: dict[str, Any]) -> None:
    ref = wanted.get("ref", BRANCH.ref)
    try:
        _, commit = scene.sync().send(wanted["number"], ref)
    except ToolkitError as error:
        assert wanted["says"]
        _compare(scene, wanted, "", str(error), None)
        return
    assert git(scene.central, "rev-parse", ref) == commit
    shown = git(scene.central, "show", "--format=%an <%ae> %ad / %s", "--date=raw", commit)
    _compare(scene, wanted, "", shown, None)


def _compare(scene: Scene, wanted: dict[str, Any], outcome: str, message: str, replayed: Replayed | None) -> None:
    assert outcome == wanted.get("outcome", outcome), message
    assert "\n" not in message or not outcome
    for words in wanted.get("says", []):
        assert words in message
    if "patches" in wanted:
        assert replayed is not None
        assert [fate.fortune for fate in replayed.fates] == wanted["patches"], message
    for path, words in wanted.get("live", {}).items():
        shown = scene.live(path)
        assert shown is None if words is None else shown is not None and words in shown, (path, shown)
    for path, words in wanted.get("copy", {}).items():
        file = scene.copy / path
        assert words in file.read_text() if words is not None else not file.exists(), path
    if "snapshots" in wanted:
        assert len(scene.sync().repository.refs.snapshots()) == wanted["snapshots"]


def _dirty(scene: Scene, files: dict[str, str]) -> None:
    copy = scene.working_copy()
    for path, text in files.items():
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_text(text)


STEPS = {
    "local": lambda scene, change: scene.local(change),
    "upstream": lambda scene, change: scene.commit(scene.central, BRANCH, change),
    "sync": _sync,
    "dry-run": lambda scene, wanted: _sync(scene, wanted, dry_run=True),
    "unpark": lambda scene, wanted: _sync(scene, wanted, unpark=True),
    "back": _back,
    "forecast": _forecast,
    "send": _send,
    "dirty": _dirty,
    "git": lambda scene, words: git(scene.working_copy(), *words, check=False),
    "repository": lambda scene, words: git(scene.own, *words),
    "central": lambda scene, words: git(scene.central, *words),
}


STEPS_OF_A_SYNC = (
    *("mend", "fetch", "next", "check", "snapshot", "park", "move", "deploy", "base"),
    *("working copy", "working copy's branch", "prune"),
)


@pytest.mark.parametrize("step", STEPS_OF_A_SYNC)
def test_killed_at_a_step_the_next_sync_finishes(scene: Scene, step: str) -> None:
    scene.policy = Policy(on_conflict="park")
    scene.working_copy()
    scene.local({"edit": "manifests/site.pp 5 five"})
    scene.local({"edit": "manifests/site.pp 10 ten"})
    scene.sync().run()
    _dirty(scene, {"data/common.yaml": "my work\n"})
    scene.commit(scene.central, BRANCH, {"edit": "manifests/site.pp 5 FIVE", "files": {"manifests/new.pp": "new\n"}})
    shown = scene.live("manifests/site.pp")

    def kill(at: str) -> None:
        if at == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            scene.sync(kill).run()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    before_the_switch = STEPS_OF_A_SYNC.index(step) <= STEPS_OF_A_SYNC.index("deploy")
    assert (scene.live("manifests/site.pp") == shown) == before_the_switch
    result = scene.sync().run()
    assert result.outcome in ("synced", "current"), result.message
    assert len(result.parked) == 1
    assert "FIVE" in (scene.live("manifests/site.pp") or "")
    assert "ten" in (scene.copy / "manifests/site.pp").read_text()
    assert git(scene.copy, "status", "--porcelain") == " M data/common.yaml"
    assert len(scene.sync().repository.refs.snapshots()) == 1


@pytest.mark.parametrize("written", ["", "line 1\nli", "line 1\nline 2\nline 3\n"])
def test_a_half_moved_working_copy_is_mended_and_edits_stay(scene: Scene, written: str) -> None:
    """git itself is killed: its lock stays, a file is half there, another was edited after the crash."""
    copy = scene.working_copy()
    scene.commit(scene.central, BRANCH, {"files": {"manifests/site.pp": "line 1\nline 2\nline 3\n", "logo.png": "x\n"}})

    def crash(at: str) -> None:
        if at == "working copy":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.sync(crash).run()
    (copy / ".git/index.lock").write_text("")
    (copy / "manifests/site.pp").write_text(written)
    assert scene.sync().run().outcome == "current"
    assert (copy / "manifests/site.pp").read_text() == "line 1\nline 2\nline 3\n"
    assert git(copy, "status", "--porcelain") == ""


def test_an_edit_after_a_crash_is_not_overwritten(scene: Scene) -> None:
    copy = scene.working_copy()
    scene.commit(scene.central, BRANCH, {"edit": "manifests/site.pp 5 five"})

    def crash(at: str) -> None:
        if at == "working copy":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.sync(crash).run()
    (copy / "manifests/site.pp").write_text("edited since\n")
    result = scene.sync().run()
    assert "manifests/site.pp" in result.message
    assert (copy / "manifests/site.pp").read_text() == "edited since\n"


def test_a_push_meanwhile_is_seen(scene: Scene) -> None:
    scene.local({"edit": "manifests/site.pp 5 five"})
    scene.commit(scene.central, BRANCH, {"edit": "manifests/site.pp 25 twenty-five"})
    pushed = []

    def push(at: str) -> None:
        if at == "move" and not pushed:
            pushed.append(at)
            scene.local({"edit": "manifests/site.pp 10 ten"})

    result = scene.sync(push).run()
    assert result.outcome == "synced" and result.replayed is not None
    assert len(result.replayed.of("moved")) == 2
    assert "ten" in (scene.live("manifests/site.pp") or "")


def test_what_only_a_snapshot_or_a_parked_patch_holds_is_in_the_bundle(scene: Scene, tmp_path: Path) -> None:
    scene.local({"edit": "manifests/site.pp 5 five", "subject": "thrown away"})
    scene.commit(scene.central, BRANCH, {"edit": "manifests/site.pp 25 twenty-five"})
    scene.sync().run()
    git(scene.own, "update-ref", LOCAL.ref, f"refs/remotes/upstream/{BRANCH}")
    machine = Machine(Places(tmp_path / "self"))
    assert not keep.worthless(machine, scene.own, None, bundled=False)
    file = keep.bundle(machine, scene.own, LOCAL, tmp_path / "kept")
    assert file is not None
    git(scene.central, "fetch", "-q", str(file), "+refs/*:refs/brought/*")
    assert "thrown away" in git(scene.central, "log", "--format=%s", "--glob=refs/brought/*")
