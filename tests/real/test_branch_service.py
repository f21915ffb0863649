"""Real pushes through the hook: served warm, served cold, and told the truth."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.names import EnvironmentName
from git_hooks.deploy import Deployer
from git_hooks.service import Service, socket_path
from git_hooks.stub import hook
from tests.support.bare import Bare, git


class Site:
    """A managed repository, its configuration file, and a clone of a developer."""

    def __init__(self, base: Path) -> None:
        self.bare = Bare(base)
        self.configuration = base / "config.yaml"
        self.configure()
        self.bare.commit("test", {"manifests": {"site.pp": "one"}})
        program = self.bare.path / "hooks/post-receive"
        program.write_text(hook("post-receive", self.socket, Path(sys.executable), self.configuration))
        program.chmod(0o755)
        self.clone = base / "clone"
        subprocess.run(["git", "clone", "-q", "-b", "test", str(self.bare.path), str(self.clone)], check=True)

    @property
    def socket(self) -> Path:
        return socket_path(self.bare.settings.store)

    def configure(self, more: str = "") -> None:
        settings = self.bare.settings
        self.configuration.write_text(
            f"branches:\n  repository: {settings.repository}\n  store: {settings.store}\n"
            f"  environments: {settings.environments}\n{more}"
        )

    def push(self, body: str, *refs: str) -> str:
        """Change a file, push, and return what the developer sees."""
        (self.clone / "manifests/site.pp").write_text(body)
        git(self.clone, "commit", "-q", "-a", "-m", body)
        command = ["git", "push", "-q", "origin", *(refs or ("test",))]
        environment = os.environ | {"PUPPETMASTER_PERSON": "alice", "GIT_DIR": str(self.clone / ".git")}
        done = subprocess.run(command, cwd=self.clone, env=environment, capture_output=True, text=True, check=True)
        return done.stderr

    def shown(self, environment: str = "test") -> str:
        return (self.bare.live(environment) / "manifests/site.pp").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def service(site: Site) -> Iterator[Service]:
    service = Service(site.configuration)
    thread = threading.Thread(target=service.run)
    thread.start()
    while not site.socket.exists():
        time.sleep(0.01)
    yield service
    service.stop()
    thread.join()
    assert not site.socket.exists()


def test_a_push_is_live_when_it_is_over_and_says_so_warm(site: Site, service: Service) -> None:
    output = site.push("two")
    commit = git(site.clone, "rev-parse", "HEAD")
    assert f"remote: test: live at {commit[:10]} (" in output
    assert site.shown() == "two"
    with Deployer(service.settings) as deployer:
        assert deployer.records.of(EnvironmentName("test"))[0].who == "alice"


def test_without_a_service_the_hook_does_the_work_itself(site: Site) -> None:
    assert "test: live at" in site.push("two")
    assert site.shown() == "two"


def test_a_service_that_was_killed_is_not_missed(site: Site) -> None:
    program = "import sys, pathlib, git_hooks.service as s; s.Service(pathlib.Path(sys.argv[1])).run()"
    process = subprocess.Popen([sys.executable, "-c", program, str(site.configuration)])
    while not site.socket.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert site.socket.exists(), "so the hook connects to nobody"
    assert "test: live at" in site.push("two")
    assert site.shown() == "two"


def test_only_what_was_pushed_is_touched(site: Site, service: Service) -> None:
    site.bare.commit("production", {"manifests": {"site.pp": "never pushed"}})
    output = site.push("two", "HEAD:refs/heads/project/web/fix-1", "HEAD:refs/heads/scratch", "HEAD:refs/tags/v1")
    assert site.shown("project_web__fix_1") == "two"
    assert [path.name for path in site.bare.settings.environments.iterdir()] == ["project_web__fix_1"]
    assert output.count("remote:") == 1


def test_a_branch_without_a_fitting_environment_is_told(site: Site, service: Service) -> None:
    assert "becomes no environment: 'WEB' is not a project name" in site.push("two", "HEAD:refs/heads/project/WEB")


def test_a_deleted_branchs_environment_goes(site: Site, service: Service) -> None:
    site.push("two", "HEAD:refs/heads/project/web")
    assert "project_web: removed" in site.push("three", ":refs/heads/project/web")
    assert list(site.bare.settings.environments.iterdir()) == []


def test_settings_that_change_hold_from_the_next_push(site: Site, service: Service) -> None:
    site.push("two")
    site.configure("  rules: [test = other]\n")
    site.push("three")
    assert (site.shown("test"), site.shown("other")) == ("two", "three")


def test_a_git_that_was_killed_is_started_again(site: Site, service: Service) -> None:
    site.push("two")
    children = [
        int(pid) for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()
    ]
    gits = [pid for pid in children if b"cat-file" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert gits
    for pid in gits:
        os.kill(pid, signal.SIGKILL)
    assert "test: live at" in site.push("three")


def test_many_developers_push_at_once(site: Site, service: Service, tmp_path: Path) -> None:
    clones = []
    for number in range(20):
        clone = tmp_path / f"c{number}"
        subprocess.run(["git", "clone", "-q", "-b", "test", str(site.bare.path), str(clone)], check=True)
        (clone / "manifests/site.pp").write_text(str(number))
        git(clone, "commit", "-q", "-a", "-m", "mine")
        clones.append(clone)
    pushes = [
        subprocess.Popen(["git", "push", "-q", "-f", "origin", f"HEAD:project/p{n}", "HEAD:test"], cwd=clone,
                         stderr=subprocess.PIPE, text=True)
        for n, clone in enumerate(clones)
    ]  # fmt: skip
    told = [push.communicate()[1] for push in pushes]
    for number in range(20):
        assert site.shown(f"project_p{number}") == str(number)
        assert f"project_p{number}: live at" in told[number]
    assert site.bare.live("test").readlink().name == git(site.bare.path, "rev-parse", "test")
    for number, output in enumerate(told):
        line = next((line for line in output.splitlines() if "remote: test:" in line), "")
        assert "live at" in line or "failed to update ref" in output or "cannot lock ref" in output, (number, output)
