"""Hooks in real repositories: installed beside others, checked for drift, and taken out again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from enc.settings import config
from enc.terms.errors import NotFound
from git_hooks.push.install import SETTINGS, InstallError, install, uninstall, verify
from tests.real.conftest import SlapdMaker
from tests.support.bare import git
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd

RED = [{"ref": "project/red", "files": {"manifests/site.pp": "two"}}]
NOTE = '#!/bin/sh\n{ echo "$GIT_QUARANTINE_PATH"; cat; } >> "%s"\nexit %d\n'


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


@pytest.fixture
def site(slapd: Slapd, tmp_path: Path) -> ManagedRepository:
    return ManagedRepository(tmp_path / "site", slapd)


def foreign(site: ManagedRepository, kind: str, status: int = 0) -> Path:
    """Put a hook of somebody else's in the place of ours; it notes what it is given."""
    note = site.base / f"{kind}.note"
    path = site.bare.path / "hooks" / kind
    path.write_text(NOTE % (note, status))
    path.chmod(0o755)
    return note


def files(repository: Path) -> dict[str, bytes]:
    """Return what uninstall has to leave as it was: hooks and configuration."""
    return {path.name: path.read_bytes() for path in [*(repository / "hooks").iterdir(), repository / "config"]}


def test_installing_again_changes_nothing(site: ManagedRepository) -> None:
    assert install(site.settings, site.configuration) == []
    assert verify(site.settings, site.configuration) == []


def test_a_foreign_hook_is_kept_called_and_put_back(site: ManagedRepository) -> None:
    uninstall(site.settings)
    notes = {kind: foreign(site, kind) for kind in ("pre-receive", "post-receive")}
    git(site.bare.path, "config", "receive.fsckObjects", "false")
    before = files(site.bare.path)
    install(site.settings, site.configuration)
    assert verify(site.settings, site.configuration) == []
    assert site.push(RED).status == 0
    commit = site.refs()["refs/heads/project/red"]
    for kind, note in notes.items():
        quarantine, line = note.read_text().splitlines()
        assert line.endswith(f"{commit} refs/heads/project/red")
        assert bool(quarantine) == (kind == "pre-receive")
    uninstall(site.settings)
    after = files(site.bare.path)
    assert {name: text for name, text in after.items() if name != "config"} == {
        name: text for name, text in before.items() if name != "config"
    }
    assert git(site.bare.path, "config", "--get", "receive.fsckObjects") == "false"
    assert not (site.bare.path / "puppetmaster").exists()


def test_a_foreign_hook_may_still_refuse_and_is_not_asked_about_what_we_refuse(site: ManagedRepository) -> None:
    uninstall(site.settings)
    note = foreign(site, "pre-receive", status=7)
    install(site.settings, site.configuration)
    assert "pre-receive hook declined" in site.push(RED).output
    assert note.read_text().count("refs/heads") == 1
    assert "zoe is not a member of project red" in site.push(RED, who="zoe").output
    assert note.read_text().count("refs/heads") == 1


def test_an_interrupted_install_is_completed_by_the_next(site: ManagedRepository) -> None:
    uninstall(site.settings)
    foreign(site, "pre-receive")
    before = files(site.bare.path)
    install(site.settings, site.configuration)
    # As if it had ended after the first of its steps, and then in the middle of the hooks.
    (site.bare.path / "hooks/post-receive").unlink()
    shutil.copy(site.bare.path / "hooks/pre-receive.legacy", site.bare.path / "hooks/pre-receive")
    (site.bare.path / "puppetmaster/pusher.key").unlink()
    git(site.bare.path, "config", "--unset", "transfer.hideRefs")
    (site.bare.path / "hooks/pre-receive.legacy").unlink()
    install(site.settings, site.configuration)
    assert verify(site.settings, site.configuration) == []
    uninstall(site.settings)
    assert files(site.bare.path)["pre-receive"] == before["pre-receive"]


def test_drift_is_found_and_put_right(site: ManagedRepository) -> None:
    hooks = site.bare.path / "hooks"
    (hooks / "pre-receive").chmod(0o644)
    (hooks / "post-receive").write_text((hooks / "post-receive").read_text() + "# mine\n")
    git(site.bare.path, "config", "receive.fsckObjects", "false")
    (site.bare.path / "puppetmaster/pusher.key").chmod(0o640)
    found = {drift.where.rpartition("/")[2]: drift.what for drift in verify(site.settings, site.configuration)}
    assert found == {
        "pre-receive": "is not executable, so git ignores it",
        "post-receive": "differs from what init writes",
        "config": "receive.fsckObjects is false, should be true",
        "pusher.key": "other users can read this key; remove it and run branch-manager init",
    }
    (site.bare.path / "puppetmaster/pusher.key").unlink()
    install(site.settings, site.configuration)
    assert verify(site.settings, site.configuration) == []
    (hooks / "pre-receive").unlink()
    assert [drift.what for drift in verify(site.settings, site.configuration)] == [
        "is missing: git accepts every push, or nothing is deployed"
    ]


def test_what_has_drifted_is_uninstalled(site: ManagedRepository) -> None:
    hooks, state = site.bare.path / "hooks", site.bare.path / "puppetmaster"
    (hooks / "post-receive").write_text((hooks / "post-receive").read_text() + "# mine\n")
    git(site.bare.path, "config", "receive.fsckObjects", "false")
    assert verify(site.settings, site.configuration) != []
    assert (state / "installed.json").is_file(), "by this Puppet knows that there is something to uninstall"
    uninstall(site.settings)
    assert not [path for path in hooks.iterdir() if path.suffix != ".sample"]
    assert not state.exists()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_was_before_and_cannot_be_told_any_more_stays_for_a_person(site: ManagedRepository, text: str) -> None:
    (site.bare.path / "puppetmaster/installed.json").write_text(text)
    with pytest.raises(InstallError, match="is damaged"):
        uninstall(site.settings)
    assert len(files(site.bare.path)) > 2
    (site.bare.path / "puppetmaster/installed.json").write_text("{}")
    uninstall(site.settings)


def test_hooks_that_were_copied_with_their_repository_refuse(site: ManagedRepository) -> None:
    copy = site.base / "copy.git"
    shutil.copytree(site.bare.path, copy)
    command = ["git", "-C", str(site.base / "client.git"), "push", str(copy), "test:refs/heads/topic/red/x"]
    done = subprocess.run(command, env=os.environ | {"GL_USER": "olga"}, capture_output=True, text=True, check=False)
    assert f"this hook belongs to {site.bare.path}" in done.stderr
    assert done.returncode != 0


def test_what_cannot_be_managed_is_refused_before_anything_is_changed(site: ManagedRepository, tmp_path: Path) -> None:
    uninstall(site.settings)
    before = files(site.bare.path)
    git(site.bare.path, "config", "core.hooksPath", "/somewhere")
    with pytest.raises(InstallError, match=r"core\.hooksPath"):
        install(site.settings, site.configuration)
    git(site.bare.path, "config", "--unset", "core.hooksPath")
    git(site.bare.path, "config", "core.bare", "false")
    with pytest.raises(InstallError, match="is not a bare repository"):
        install(site.settings, site.configuration)
    assert set(files(site.bare.path)) == set(before)
    with pytest.raises(NotFound):
        uninstall(site.settings)
    missing = tmp_path / "config.yaml"
    missing.write_text(f"branches: {{repository: {tmp_path}/nothing.git}}\n")
    with pytest.raises(InstallError, match="no such repository"):
        install(config.load(missing), missing)


def test_the_archive_is_hidden_from_clients(site: ManagedRepository) -> None:
    assert "refs/archive" not in git(site.base, "ls-remote", str(site.bare.path))
    assert SETTINGS["transfer.hideRefs"] == "refs/archive"
