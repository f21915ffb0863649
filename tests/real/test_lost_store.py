"""What was in the store is gone: it is seen, told, and comes back from git."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from enc.terms.environments import Rules
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.branches.reconcile import look, reconcile
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.deploy.verify import verify_store
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.mounted import StoreAway
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from tests.real.test_deploys import killed_at
from tests.support.bare import Bare, Content, contents
from tests.support.clocks import even
from tests.support.disks import syncfs_calls

TEST, PRODUCTION = EnvironmentName("test"), EnvironmentName("production")
TREE: Content = {
    "environment.conf": "",
    "manifests": {"site.pp": "node default {}"},
    ".git": {"config": ""},
    "modules": {
        # What is left out makes trees that git does not have.
        "a": {"manifests": {"init.pp": "a", "more.pp": "more"}, "files": {"x": "1", ".my.cnf": "-> /root/.my.cnf"}},
        "b": {"files": {"y": "2"}},
        "c": {"files": {"z": "-> ../../b/files/y"}},
    },
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Bare(tmp_path_factory.mktemp("origin"))
    for branch in ("test", "production"):
        made.commit(branch, TREE)
    return made.path


@pytest.fixture
def bare(tmp_path: Path, origin: Path) -> Bare:
    made = Bare(tmp_path)
    shutil.copytree(origin, made.path, dirs_exist_ok=True)
    with Deployer(made.settings) as deployer:
        for name in (TEST, PRODUCTION):
            assert deployer.deploy(name, Tip(BranchName(name)), "me").outcome == "live"
    return made


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _unit(bare: Bare, path: str) -> Path:
    return (bare.live("test") / path).resolve()


DAMAGE: dict[str, Callable[[Bare], object]] = {
    "everything": lambda bare: _empty(bare.settings.store),
    "the store": lambda bare: shutil.rmtree(bare.settings.store),
    "units": lambda bare: shutil.rmtree(bare.settings.store / "units"),
    "units, emptied": lambda bare: _empty(bare.settings.store / "units"),
    "versions": lambda bare: shutil.rmtree(bare.settings.store / "versions"),
    "units and links": lambda bare: [shutil.rmtree(bare.settings.store / name) for name in ("units", "links")],
    "units and surveys": lambda bare: [shutil.rmtree(bare.settings.store / name) for name in ("units", "surveys")],
    "a leaf": lambda bare: shutil.rmtree(_unit(bare, "modules/a")),
    "a leaf, emptied": lambda bare: _empty(_unit(bare, "modules/a")),
    "a split unit": lambda bare: shutil.rmtree(_unit(bare, "modules")),
    "a split unit's link": lambda bare: (_unit(bare, "modules") / "a").unlink(),
    "a part": lambda bare: shutil.rmtree(_unit(bare, "modules/c").parents[1]),
    "a part's directory": lambda bare: shutil.rmtree(_unit(bare, "modules/c")),
    "what a part leads to": lambda bare: shutil.rmtree((_unit(bare, "modules/c").parent / "b").resolve()),
    "a version": lambda bare: shutil.rmtree(_unit(bare, ".")),
    "a version, emptied": lambda bare: _empty(_unit(bare, ".")),
    "a version's file": lambda bare: (_unit(bare, ".") / "environment.conf").unlink(),
    "a version's link": lambda bare: (_unit(bare, ".") / "manifests").unlink(),
    "a version became a file": lambda bare: _become_file(_unit(bare, ".")),
    "a unit became a file": lambda bare: _become_file(_unit(bare, "modules/a")),
}


def _become_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def _faults(deployer: Deployer) -> list[str]:
    return [f"{fault.path}: {fault.problem}" for fault in verify_store(deployer.layout, deployer.repository)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_lost_is_seen_and_a_deploy_brings_it_back(bare: Bare, damage: str) -> None:
    """By a process that was there before, and by a new one."""
    kept = Deployer(bare.settings)
    assert kept.deploy(TEST, Tip(BranchName("test")), "me").outcome == "unchanged"
    for deployer in (kept, Deployer(bare.settings)):
        _lose_and_mend(bare, damage, deployer)


def _lose_and_mend(bare: Bare, damage: str, deployer: Deployer) -> None:
    rules = Rules(bare.settings.rules)
    shown = contents(bare.live("test"))
    DAMAGE[damage](bare)
    with deployer:
        commit = deployer.versions.live(TEST)
        assert commit is not None
        left = ["is a link that leaves the tree: its target must be a relative path", "has a name that is not laid out"]
        assert deployer.inspection.look().version(TEST, commit)
        assert TEST in [place.environment for place in look(deployer, rules).deploy]
        assert deployer.plan(TEST, Tip(BranchName("test"))).decision == "mend"
        record = deployer.deploy(TEST, Tip(BranchName("test")), "me")
        assert (record.outcome, "restored" in record.note) == ("live", True), record
        assert contents(bare.live("test")) == shown
        assert sorted(remark.what for remark in deployer.inspection.remarks(TEST, commit)) == sorted(left)
        assert deployer.deploy(TEST, Tip(BranchName("test")), "me").outcome == "unchanged"
        assert [record.outcome for record in reconcile(deployer, look(deployer, rules), "me")] in ([], ["live"])
        assert contents(bare.live("production")) == shown
        assert _faults(deployer) == []
        collect(deployer.layout, 0, even(9e9))
        assert contents(bare.live("test")) == shown


def test_without_what_was_kept_of_versions_nothing_is_missing_and_what_is_missing_is_seen(bare: Bare) -> None:
    shutil.rmtree(bare.settings.store / "surveys")
    with Deployer(bare.settings) as deployer:
        assert deployer.inspection.missing(TEST) == deployer.inspection.missing(PRODUCTION) == ""
        DAMAGE["a split unit's link"](bare)
        assert deployer.inspection.missing(TEST).endswith("/a is missing")


def test_what_is_lost_of_a_held_environment_comes_back_as_it_was(bare: Bare) -> None:
    shown = contents(bare.live("test"))
    with Deployer(bare.settings) as deployer:
        deployer.hold(TEST, "me", "for now")
        bare.commit("test", {"manifests": {"site.pp": "later"}})
        DAMAGE["units"](bare)
        record = deployer.deploy(TEST, Tip(BranchName("test")), "me")
        assert record.outcome == "held"
        assert contents(bare.live("test")) == shown
        assert deployer.deploy(TEST, Tip(BranchName("test")), "me").outcome == "held"


def test_a_push_says_live_only_if_all_of_it_is_there(bare: Bare) -> None:
    """What the new version shares with the lost one is made again, too."""
    shutil.rmtree(_unit(bare, "modules/b"))
    _empty(_unit(bare, "manifests"))
    (_unit(bare, "modules/a") / "manifests/more.pp").unlink()
    changed: Content = {**TREE, "modules": {**TREE["modules"], "a": {**TREE["modules"]["a"], "new": "1"}}}  # type: ignore[dict-item]
    bare.commit("test", changed)
    with Deployer(bare.settings) as deployer:
        assert deployer.deploy(TEST, Tip(BranchName("test")), "me").outcome == "live"
    found = contents(bare.live("test"))
    assert found["modules/b/files/y"] == found["modules/c/files/z"] == "2"
    assert found["manifests/site.pp"] == "node default {}"
    assert found["modules/a/manifests/more.pp"] == "more"


def test_killed_at_every_step_of_laying_out_again_the_next_deploy_finishes(tmp_path: Path, origin: Path) -> None:
    for step in range(1000):
        base = tmp_path / str(step)
        base.mkdir()
        bare = Bare(base)
        shutil.copytree(origin, bare.path, dirs_exist_ok=True)
        with Deployer(bare.settings) as deployer:
            deployer.deploy(TEST, Tip(BranchName("test")), "me")
        shown = contents(bare.live("test"))
        shutil.rmtree(_unit(bare, "modules/a"))
        _empty(_unit(bare, "modules"))
        (_unit(bare, ".") / "environment.conf").unlink()

        def again(at: Callable[[str], None], bare: Bare = bare) -> None:
            with Deployer(bare.settings, at=at) as deployer:
                deployer.deploy(TEST, Tip(BranchName("test")), "me")

        killed = killed_at(bare, again, step)
        with Deployer(bare.settings) as deployer:
            assert deployer.deploy(TEST, Tip(BranchName("test")), "me").good
            assert contents(bare.live("test")) == shown, step
            assert _faults(deployer) == []
            collect(deployer.layout, 0, even(9e9))
            assert not [*(bare.settings.store / "work").iterdir()]
        if not killed:
            break
    assert step > 10


def test_a_store_that_is_not_mounted_is_not_made_anew_below_its_mount_point(bare: Bare) -> None:
    store = bare.settings.store
    note = bare.path / "puppetmaster/store.json"
    away = store.rename(bare.base / "disk")
    store.mkdir()
    # As it is remembered of a store on a file system of its own: this directory is no mount point any more.
    note.write_text(f'{{"mount": "{store}"}}')
    with Deployer(bare.settings) as deployer:
        with pytest.raises(StoreAway, match=r"is not mounted.*branch-manager deploy"):
            deployer.deploy(TEST, Tip(BranchName("test")), "me")
        assert list(store.iterdir()) == []
        assert TEST in [place.environment for place in look(deployer, Rules(bare.settings.rules)).deploy]
        store.rmdir()
        away.rename(store)
        assert deployer.deploy(TEST, Tip(BranchName("test")), "me").outcome == "unchanged"
        # The disk is gone for good: whoever says so gets all of it anew.
        DAMAGE["everything"](bare)
        note.unlink()
        assert deployer.deploy(TEST, Tip(BranchName("test")), "me").outcome == "live"


def test_what_may_not_be_looked_at_is_not_said_to_be_there(bare: Bare) -> None:
    """In a process of another account: root may look everywhere."""
    (bare.settings.store / "units").chmod(0o700)
    for path in (bare.base, *bare.base.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o055)
    layout = Layout(str(bare.settings.store), str(bare.settings.environments))
    commit = bare.live("test").readlink().name
    child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            with Repository(str(bare.path)) as repository:
                Presence(layout, Sound(repository)).version(TEST, ObjectId(commit))
            os._exit(0)
        except PermissionError:
            os._exit(7)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("lost", ["link", "directory", "elsewhere"])
def test_an_environment_that_is_no_link_into_the_store(bare: Bare, lost: str) -> None:
    live = bare.live("test")
    live.unlink()
    if lost == "directory":
        live.mkdir()
        (live / "theirs").touch()
    elif lost == "elsewhere":
        live.symlink_to(bare.base / "nowhere")
    with Deployer(bare.settings) as deployer:
        record = deployer.deploy(TEST, Tip(BranchName("test")), "me")
    assert record.outcome == ("live" if lost == "link" else "failed")
    assert "move it away" in record.detail or lost == "link"


def test_names_are_on_disk_before_an_environment_on_another_file_system_leads_to_them(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Seen at the kernel's door: no power is cut here."""
    done: list[str] = []
    rename, stat = os.rename, os.stat

    def at_rename(source: str, target: str, **words: int) -> None:
        switches = target in (str(bare.live("test")), bare.live("test").name)
        done.append("switch" if switches else "name")
        rename(source, target, **words)

    class Elsewhere:
        def __init__(self, real: os.stat_result) -> None:
            self._real = real

        def __getattr__(self, name: str) -> object:
            return -1 if name == "st_dev" else getattr(self._real, name)

    def at_stat(path: str, **words: object) -> object:
        found = stat(path, **words)  # type: ignore[call-overload]
        return Elsewhere(found) if path == str(bare.settings.environments) else found

    monkeypatch.setattr(os, "rename", at_rename)
    bare.commit("test", {**TREE, "environment.conf": "modulepath = modules"})
    with Deployer(bare.settings) as deployer, syncfs_calls(lambda _: done.append("sync")):
        monkeypatch.setattr(os, "stat", at_stat)
        assert deployer.deploy(TEST, Tip(BranchName("test")), "me").outcome == "live"
    assert done[-2:] == ["sync", "switch"]
    assert "name" in done
