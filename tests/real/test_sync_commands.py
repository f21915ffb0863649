"""`puppetmaster-self sync` and `send` as they are called, with the real puppet compiling the new tree."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from puppetmaster_self.cli import main
from puppetmaster_self.transaction.journal import Journal
from tests.support import json_contract
from tests.support.patch_queues import BRANCH, Scene, git, make_template

CLASSIFIER = "#!/bin/sh\nprintf 'environment: project_red\\nclasses: {}\\nparameters: {}\\n'\n"


class Instance:
    """An instance that is its own master, as far as syncing looks at it."""

    def __init__(
        self,
        base: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        rules: tuple[str, ...] = ("local = project_red",),
        compiles: bool = True,
    ) -> None:
        self.scene = Scene(base / "scene", make_template(base / "template"))
        places = base / "self"
        places.mkdir()
        self.scene.own = self.scene.own.rename(places / "repository.git")
        journal = Journal(places / "transaction")
        opened = {"branch": str(BRANCH), "environment": "project_red", "certname": "web-1.example.org"}
        # By this time it is told from others, whose looks stand below /run.
        journal.open("enabling", time.time(), **opened)
        journal.enter("serving", time.time())
        branches = {"repository": str(self.scene.own), "store": str(base / "store")}
        branches |= {"environments": str(base / "environments"), "rules": list(rules)}  # type: ignore[dict-item]
        (places / "config.yaml").write_text(yaml.safe_dump({"branches": branches}))
        enc = base / "classifier"
        enc.write_text(CLASSIFIER)
        enc.chmod(0o755)
        puppet = base / "puppet"
        puppet.mkdir()
        (puppet / "puppet.conf").write_text(f"[server]\nnode_terminus = exec\nexternal_nodes = {enc}\n")
        places_of_puppet = ("vardir", "codedir", "rundir", "logdir", "publicdir")
        words = ["--confdir", str(puppet)]
        words += [word for name in places_of_puppet for word in (f"--{name}", f"{puppet}/{name}")]
        bin_ = base / "bin"
        bin_.mkdir()
        (bin_ / "puppet").write_text(f'#!/bin/sh\nexec {shutil.which("puppet")} "$@" {shlex.join(words)}\n')
        (bin_ / "puppet").chmod(0o755)
        monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
        self.metrics = base / "sync.prom"
        own = {"base": str(places), "working_copy": str(self.scene.copy)}
        own["sync"] = {"compile": compiles, "metrics_file": str(self.metrics)}  # type: ignore[assignment]
        self.config = base / "config.yaml"
        directory = {"uris": [f"ldapi://{str(base / 'nobody').replace('/', '%2F')}"]}
        self.config.write_text(yaml.safe_dump({"self_master": own, "directory": directory}))
        self.live = base / "environments/project_red/manifests/site.pp"

    def call(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
        """Run the program; return exit status and document."""
        status = main(["--config", str(self.config), *words, "--json"])
        output, _ = capsys.readouterr()
        return status, json_contract.held("puppetmaster-self", words, output)


def test_a_tree_that_puppet_cannot_compile_stays_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = Instance(tmp_path, monkeypatch)
    scene = instance.scene
    site = "manifests/site.pp"
    scene.local({"files": {site: "notify { 'mine': }\n\n\n\n\n\n"}, "subject": "mine"})
    status, said = instance.call(capsys, "sync")
    assert (status, said["outcome"], said["behind"]) == (0, "current", 0)
    assert "mine" in instance.live.read_text()

    scene.commit(scene.central, str(BRANCH), {"files": {"manifests/z.pp": "include nothing::here\n"}, "subject": "bad"})
    status, said = instance.call(capsys, "sync")
    assert (status, said["outcome"]) == (1, "unsound")
    assert "Could not find class ::nothing::here" in said["message"]
    assert not instance.live.with_name("z.pp").exists()
    assert "puppetmaster_self_sync_success 0\n" in instance.metrics.read_text()
    assert "puppetmaster_self_sync_behind 1\n" in instance.metrics.read_text()

    scene.commit(scene.central, str(BRANCH), {"files": {"manifests/z.pp": "notify { 'good': }\n"}})
    status, said = instance.call(capsys, "sync")
    assert (status, said["outcome"]) == (0, "synced"), said["message"]
    assert [one["fortune"] for one in said["patches"]] == ["moved"]
    assert instance.live.with_name("z.pp").read_text() == "notify { 'good': }\n"
    assert "puppetmaster_self_sync_success 1\n" in instance.metrics.read_text()
    _, told = instance.call(capsys, "status")
    assert told["sync"]["outcome"] == "synced"

    status, said = instance.call(capsys, "sync", "--back")
    assert (status, said["outcome"]) == (0, "paused")
    assert not instance.live.with_name("z.pp").exists()
    status, said = instance.call(capsys, "sync", "--scheduled")
    assert (status, said["outcome"], said["behind"]) == (0, "paused", None)
    assert not instance.live.with_name("z.pp").exists()
    status, said = instance.call(capsys, "sync", "--dry-run")
    assert (status, said["outcome"]) == (0, "synced")
    assert instance.call(capsys, "sync")[1]["outcome"] == "synced"

    status, said = instance.call(capsys, "send", "1", "--review")
    assert (status, said["ref"]) == (0, f"refs/for/{BRANCH}")
    assert git(scene.central, "show", "-s", "--format=%s", said["ref"]) == "mine"
    assert instance.call(capsys, "sync", "--forecast", "nowhere")[0] == 1
    assert instance.call(capsys, "sync", "--back", "x", "--unpark")[0] == 1
    assert "error" in instance.call(capsys, "invite", "web-2.example.org")[1], "it serves no others"

    # What else looks at an instance that serves, and leaves it as it is.
    for words, key, value in (
        (("status",), "state", "serving"),
        (("recover",), "was", "serving"),
        (("recover", "--watch"), "state", "serving"),
        (("disable", "--dry-run"), "undone", []),
        (("enable", "--assigned"), "state", "serving"),
        (("doctor",), "sound", False),
    ):
        assert instance.call(capsys, *words)[1][key] == value, words
    assert instance.call(capsys, "enable")[0] == 1


def test_the_sites_branch_goes_along_whatever_it_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = Instance(tmp_path, monkeypatch, rules=("local = project_red", "main = production"), compiles=False)
    scene, site = instance.scene, "manifests/site.pp"
    production = instance.live.parents[2] / "production" / site
    for name in ("main", "production", "test"):
        scene.commit(scene.central, name, {"files": {site: f"# {name} 1\n"}})
    git(scene.own, "fetch", "-q", str(scene.central), "main:main")
    scene.commit(scene.central, "main", {"files": {site: "# main 2\n"}})
    assert instance.call(capsys, "sync")[1]["outcome"] == "current"
    assert production.read_text() == "# main 2\n"
    # The central branch moves while the local one has a patch.
    scene.local({"files": {site: "# mine\n"}, "subject": "mine"})
    scene.commit(scene.central, "main", {"files": {site: "# main 3\n"}})
    scene.commit(scene.central, str(BRANCH), {"files": {"manifests/z.pp": "# red\n"}})
    assert instance.call(capsys, "sync")[1]["outcome"] == "synced"
    assert (production.read_text(), instance.live.read_text()) == ("# main 3\n", "# mine\n")
    assert git(scene.own, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/local\nrefs/heads/main"
