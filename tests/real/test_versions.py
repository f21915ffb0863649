"""The store on a real disk, from real repositories: what is laid out, shared, verified, removed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.collect import Collected, collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.deploy.verify import verify_store
from git_hooks.repository.trees import DIRECTORY, FILE, PROGRAM, SUBMODULE, Entry
from tests.support.bare import Bare, Content, contents
from tests.support.clocks import even
from tests.support.disks import syncfs_calls

TEST = EnvironmentName("test")
TREE: Content = {
    "environment.conf": "modulepath = modules\n",
    "manifests": {"site.pp": "node default {}\n"},
    "modules": {
        "a": {"files": {"run": "#!/bin/sh\n", "same": "-> run", "deep": {"x": "1"}}, "manifests": {"init.pp": "A\n"}},
        "b": {"manifests": {"init.pp": "class b {}\n"}},
    },
}


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def deploy(bare: Bare, branch: str = "test", environment: str | None = None) -> Record:
    with Deployer(bare.settings) as deployer:
        return deployer.deploy(EnvironmentName(environment or branch), Tip(BranchName(branch)), "me")


def deploy_by_program(bare: Bare, *, umask: int) -> None:
    """Let `branch-manager deploy` be run by somebody whose files nobody else may read."""
    configuration = bare.base / "config.yaml"
    places = {"repository": bare.path, "store": bare.settings.store, "environments": bare.settings.environments}
    configuration.write_text(yaml.safe_dump({"branches": {name: str(path) for name, path in places.items()}}))
    command = [sys.executable, "-m", "git_hooks.cli", "--config", configuration, "deploy", "test"]
    subprocess.run(command, check=True, umask=umask)


def faults(bare: Bare) -> list[str]:
    with Deployer(bare.settings) as deployer:
        return [fault.path for fault in verify_store(deployer.layout, deployer.repository)]


def gc(bare: Bare, *, retain: float = 0.0, now: float = 9e9) -> Collected:
    with Deployer(bare.settings) as deployer:
        return collect(deployer.layout, retain, even(now))


def changed(content: str) -> Content:
    modules = TREE["modules"]
    assert isinstance(modules, dict)
    return {**TREE, "modules": {**modules, "a": {**modules["a"], "manifests": {"init.pp": content}}}}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_an_environment_shows_its_branch(tmp_path: Path, object_format: str) -> None:
    bare = Bare(tmp_path, object_format)
    for content in ("A\n", "B\n"):
        bare.commit("test", changed(content))
        assert deploy(bare).outcome == "live"
        assert contents(bare.live("test")) == {
            "environment.conf": "modulepath = modules\n",
            "manifests/site.pp": "node default {}\n",
            "modules/a/files/run": "#!/bin/sh\n",
            "modules/a/files/same": "#!/bin/sh\n",
            "modules/a/files/deep/x": "1",
            "modules/a/manifests/init.pp": content,
            "modules/b/manifests/init.pp": "class b {}\n",
        }
        assert faults(bare) == []


def test_the_link_is_absolute_and_everything_readable_and_read_only(bare: Bare) -> None:
    bare.commit("test", TREE)
    deploy_by_program(bare, umask=0o077)
    assert bare.live("test").readlink().is_absolute()
    modes = {
        str(path.relative_to(bare.settings.store)): stat.S_IMODE(path.lstat().st_mode)
        for path in bare.settings.store.rglob("*")
        if "units" in path.parts and not path.is_symlink()
    }
    assert set(modes.values()) == {0o755, 0o444, 0o555}
    assert {path for path, mode in modes.items() if mode == 0o555 and path.endswith("run")}
    for path in (bare.settings.environments, bare.settings.store, bare.settings.store / "versions"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_who_deploys_keeps_its_umask(bare: Bare) -> None:
    """It is the process's, which has other threads and other work."""
    before = os.umask(0o077)
    try:
        Deployer(bare.settings).close()
    finally:
        assert os.umask(before) == 0o077


def test_versions_share_what_is_equal(bare: Bare) -> None:
    bare.commit("test", changed("A\n"))
    deploy(bare)
    old = bare.live("test").resolve()
    bare.commit("test", changed("B\n"))
    record = deploy(bare)
    new = bare.live("test").resolve()
    assert old != new
    assert (old / "modules/b").resolve() == (new / "modules/b").resolve()
    for path in ("modules/a/files/run", "modules/a/files/deep/x", "environment.conf"):
        assert (old / path).stat().st_ino == (new / path).stat().st_ino, path
    assert (old / "modules/a/manifests/init.pp").read_text() == "A\n"
    assert record.old is not None


def test_a_new_branch_of_a_live_commit_costs_one_directory(bare: Bare) -> None:
    commit = bare.commit("test", TREE)
    deploy(bare)
    before = sum(1 for _ in bare.settings.store.rglob("*") if _.lstat().st_nlink >= 1 and _.is_dir())
    bare.commit_tree("project/x", bare.tree(TREE), parent=commit)
    deploy(bare, "project/x", "project_x")
    directories = [path for path in bare.settings.store.rglob("*") if path.is_dir() and not path.is_symlink()]
    links = {path.lstat().st_ino for path in bare.settings.store.rglob("*") if path.is_symlink()}
    assert len(directories) <= before + 2
    deploy(bare, "test", "another")
    assert {path.lstat().st_ino for path in bare.settings.store.rglob("*") if path.is_symlink()} == links


def test_a_file_system_that_allows_no_more_links_is_no_obstacle(bare: Bare) -> None:
    bare.commit("test", changed("A\n"))
    deploy(bare)
    used_up = [(bare.live("test") / "modules/a/files/deep/x").resolve(), bare.live("test") / "modules/b"]
    many = bare.base / "many"
    many.mkdir()
    for number, path in enumerate(used_up):
        with suppress(OSError):  # ext4 has 65,000; where there are many more, nothing is tried here
            for count in range(65_000):
                os.link(path, many / f"{number}-{count}", follow_symlinks=False)
    for content in ("B\n", "C\n"):
        bare.commit("test", changed(content))
        assert deploy(bare).outcome == "live"
        assert contents(bare.live("test"))["modules/a/manifests/init.pp"] == content
    assert faults(bare) == []
    gc(bare)
    assert contents(bare.live("test"))["modules/a/files/deep/x"] == "1"


def test_a_link_between_modules_works_and_keeps_working(bare: Bare) -> None:
    for body in ("one", "two"):
        crossing: Content = {"modules": {"a": {"x": "-> ../b/y"}, "b": {"y": body}}, "m": {"z": "3"}}
        bare.commit("test", crossing)
        assert deploy(bare).outcome == "live"
        assert contents(bare.live("test")) == {"modules/a/x": body, "modules/b/y": body, "m/z": "3"}
        assert faults(bare) == []


def test_a_submodule_is_an_empty_directory_wherever_it_stands(bare: Bare) -> None:
    def show(text: str) -> None:
        deeper = Entry(DIRECTORY, "deeper", bare.raw_tree([Entry(SUBMODULE, "sub", "b" * 40)]))
        module = Entry(DIRECTORY, "a", bare.raw_tree([deeper, Entry(FILE, "file", bare.blob(text))]))
        modules = Entry(DIRECTORY, "modules", bare.raw_tree([module, Entry(SUBMODULE, "sub", "c" * 40)]))
        bare.commit_tree("test", bare.raw_tree([modules, Entry(SUBMODULE, "sub", "d" * 40)]))
        assert deploy(bare).outcome == "live"

    for text in ("one", "two"):  # the second is made from the first
        show(text)
        for place in ("sub", "modules/sub", "modules/a/deeper/sub"):
            assert list((bare.live("test") / place).iterdir()) == []
        assert contents(bare.live("test")) == {"modules/a/file": text}
        assert faults(bare) == []
    (bare.live("test") / "modules/a/deeper/sub/file").write_text("")
    (bare.live("test") / "sub").rmdir()
    assert faults(bare) == sorted(str((bare.live("test") / place).resolve()) for place in ("modules/a", "."))


def test_an_empty_directory_that_should_be_none_is_a_fault(bare: Bare) -> None:
    bare.commit("test", TREE)
    deploy(bare)
    (bare.live("test") / "modules/a/files/extra").mkdir()
    assert faults(bare) == [str((bare.live("test") / "modules/a").resolve())]


def test_somebody_elses_environment_is_not_touched(bare: Bare) -> None:
    bare.commit("test", TREE)
    bare.live("test").mkdir(parents=True)
    (bare.live("test") / "mine").write_text("mine")
    assert "move it away" in deploy(bare).detail
    assert gc(bare).skipped == ()
    assert (bare.live("test") / "mine").read_text() == "mine"


def test_an_empty_directory_is_nobodys_environment(bare: Bare) -> None:
    bare.commit("test", TREE)
    place = bare.live("test")
    place.mkdir(mode=0o750, parents=True)  # as Puppet makes production
    assert deploy(bare).outcome == "live"
    assert place.is_symlink() and (place / "environment.conf").exists()


def test_gc_keeps_what_is_live_or_was_until_lately(bare: Bare) -> None:
    for content in ("A\n", "B\n", "C\n"):
        bare.commit("test", changed(content))
        deploy(bare)
    retired = max(path.stat().st_mtime for path in (bare.settings.store / "versions/test").iterdir())
    assert gc(bare, retain=3600, now=retired + 3000) == Collected(0, 0, 0, 0, ())
    assert gc(bare, retain=3600, now=retired + 4000) == Collected(2, 4, 0, 0, ())
    assert faults(bare) == []
    assert contents(bare.live("test"))["modules/a/manifests/init.pp"] == "C\n"


def test_gc_removes_all_of_an_environment_that_is_gone(bare: Bare) -> None:
    bare.commit("test", TREE)
    deploy(bare)
    bare.live("test").unlink()
    gc(bare)
    for part in ("units", "links", "versions", "work"):
        assert [path for path in (bare.settings.store / part).rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize("damage", ["content", "mode", "extra", "missing"])
def test_verify_finds_what_was_changed_in_place(bare: Bare, damage: str) -> None:
    bare.commit("test", TREE)
    deploy(bare)
    file = (bare.live("test") / "modules/a/files/run").resolve()
    if damage == "content":
        file.chmod(0o755)
        file.write_text("evil")
        file.chmod(0o555)
    elif damage == "mode":
        file.chmod(0o444)
    elif damage == "extra":
        (file.parent / "extra").write_text("")
    else:
        file.unlink()
    unit = (bare.live("test") / "modules/a").resolve()
    assert faults(bare) == [str(unit)]


def test_verify_finds_a_unit_that_is_gone(bare: Bare) -> None:
    bare.commit("test", TREE)
    deploy(bare)
    unit = (bare.live("test") / "modules").resolve()
    unit.rename(bare.base / "away")
    assert faults(bare) == [str(bare.live("test").resolve())]


def test_programs_keep_their_mode(bare: Bare) -> None:
    tree = bare.raw_tree([Entry(PROGRAM, "x", bare.blob("1")), Entry(0o100664, "y", bare.blob("2"))])
    bare.commit_tree("test", tree)
    deploy(bare)
    assert os.access(bare.live("test") / "x", os.X_OK)
    assert stat.S_IMODE((bare.live("test") / "y").stat().st_mode) == 0o444


@pytest.mark.parametrize("files", [2, 30])
def test_the_data_of_new_files_is_on_disk_before_anything_gets_its_name(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Seen at the kernel's door: no power is cut here."""
    written: set[int] = set()
    named: list[set[int]] = []
    synced: set[int] = set()
    fsync, rename = os.fsync, os.rename

    aside = bare.settings.store / "work"

    def at_fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def at_syncfs(descriptor: int) -> None:
        assert os.fstat(descriptor).st_dev == aside.stat().st_dev
        synced.update(path.lstat().st_ino for path in aside.rglob("*") if path.is_file())

    def at_rename(source: str, target: str, **words: int) -> None:
        inside = Path(source).rglob("*") if Path(source).is_relative_to(aside) else ()
        inodes = {path.lstat().st_ino for path in inside if path.is_file() and not path.is_symlink()}
        written.update(inodes)
        named.append(inodes - synced)
        rename(source, target, **words)

    monkeypatch.setattr(os, "fsync", at_fsync)
    monkeypatch.setattr(os, "rename", at_rename)
    bare.commit("test", {"modules": {"a": {f"f{number}": f"{number}" for number in range(files)}}})
    with syncfs_calls(at_syncfs):
        deploy(bare)
    assert len(written) == files
    assert set().union(*named) == set()


def test_a_version_that_was_live_for_long_stays_for_as_long_as_a_compile_lasts(bare: Bare) -> None:
    bare.commit("test", changed("A\n"))
    deploy(bare)
    old = bare.live("test").resolve()
    os.utime(old, (1_000_000_000, 1_000_000_000))
    bare.commit("test", changed("B\n"))
    deploy(bare)
    assert gc(bare, retain=3600, now=time.time()).versions == 0
    assert contents(old)["modules/a/manifests/init.pp"] == "A\n"
