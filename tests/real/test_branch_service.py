"""Real pushes through the hooks: served warm, served cold, and told the truth."""

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
import yaml

from enc.settings import config
from enc.terms.names import EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.push.install import KINDS, install
from git_hooks.push.service import Service, socket_path
from tests.support.bare import Bare, git
from tests.support.slapd import Slapd
from tests.support.transports import people


class Site:
    """A managed repository, its configuration file, and a clone of an operator."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        self.bare = Bare(base)
        self.configuration = base / "config.yaml"
        self._document = yaml.safe_load(slapd.configuration())
        self.configure()
        install(config.load(self.configuration), self.configuration)
        self.bare.commit("test", {"manifests": {"site.pp": "one"}})
        self.clone = self.cloned("clone")

    @property
    def socket(self) -> Path:
        return socket_path(self.bare.settings.store)

    def configure(self, **more: object) -> None:
        paths = {name: str(getattr(self.bare.settings, name)) for name in ("repository", "store", "environments")}
        sections = {"branches": paths | more, "pushes": {"identity": "gitolite"}}
        self.configuration.write_text(yaml.safe_dump(self._document | sections))

    def only_warm(self) -> None:
        """Spoil what the hooks do without a service."""
        for kind in KINDS:
            path = self.bare.path / "hooks" / kind
            path.write_text(path.read_text().replace("git_hooks.hook", "git_hooks.nowhere"))

    def cloned(self, name: str) -> Path:
        clone = self.bare.base / name
        subprocess.run(["git", "clone", "-q", "-b", "test", str(self.bare.path), str(clone)], check=True)
        return clone

    def pushing(self, clone: Path, body: str, *refs: str) -> subprocess.Popen[str]:
        (clone / "manifests/site.pp").write_text(body)
        git(clone, "commit", "-q", "-a", "-m", body)
        command = ["git", "push", "-q", "-f", "origin", *refs]
        return subprocess.Popen(
            command, cwd=clone, env=os.environ | {"GL_USER": "olga"}, stderr=subprocess.PIPE, text=True
        )

    def push(self, body: str, *refs: str) -> str:
        """Change a file, push, and return what the developer sees."""
        return self.pushing(self.clone, body, *(refs or ("test",))).communicate()[1]

    def shown(self, environment: str = "test") -> str:
        return (self.bare.live(environment) / "manifests/site.pp").read_text()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    slapd = Slapd(tmp_path_factory.mktemp("slapd") / "data")
    people(slapd)
    yield slapd
    slapd.stop()


@pytest.fixture
def site(tmp_path: Path, directory: Slapd) -> Site:
    return Site(tmp_path, directory)


@pytest.fixture
def service(site: Site) -> Iterator[Service]:
    service = Service(site.configuration)
    thread = threading.Thread(target=service.run)
    thread.start()
    while not site.socket.exists():
        time.sleep(0.01)
    site.only_warm()
    yield service
    service.stop()
    thread.join()
    assert not site.socket.exists()


def test_a_push_is_live_when_it_is_over_and_says_so(site: Site, service: Service) -> None:
    output = site.push("two")
    commit = git(site.clone, "rev-parse", "HEAD")
    assert f"remote: test: live at {commit[:10]} in " in output
    assert site.shown() == "two"
    with Deployer(service.settings) as deployer:
        assert deployer.records.of(EnvironmentName("test"))[0].who == "olga"


def test_without_a_service_the_hook_does_the_work_itself(site: Site) -> None:
    assert "test: live at" in site.push("two")
    assert site.shown() == "two"


def test_a_service_that_was_killed_is_not_missed(site: Site) -> None:
    program = "import sys, pathlib, git_hooks.push.service as s; s.Service(pathlib.Path(sys.argv[1])).run()"
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
    site.push("two", "HEAD:refs/heads/topic/red/fix-1")
    assert site.shown("project_red__fix_1") == "two"
    assert [path.name for path in site.bare.settings.environments.iterdir()] == ["project_red__fix_1"]


def test_those_who_read_at_the_same_time_remember_together(site: Site, service: Service) -> None:
    with service.workplace() as one, service.workplace() as other:
        first, second = one.deployer.repository, other.deployer.repository
        tree = first.tree_of(first.commit_of("test"))
        assert first is not second and first.tree(tree) is second.tree(tree)


def test_a_deleted_branchs_environment_goes(site: Site, service: Service) -> None:
    site.push("two", "HEAD:refs/heads/topic/red/t")
    assert "project_red__t: removed" in site.push("three", ":refs/heads/topic/red/t")
    assert list(site.bare.settings.environments.iterdir()) == []


def test_settings_that_change_hold_from_the_next_push(site: Site, service: Service) -> None:
    site.push("two")
    site.configure(rules=["test = other"])
    site.push("three")
    assert (site.shown("test"), site.shown("other")) == ("two", "three")


def test_many_developers_push_at_once(site: Site, service: Service) -> None:
    clones = [site.cloned(f"c{number}") for number in range(20)]
    pushes = [
        site.pushing(clone, str(number), f"HEAD:refs/heads/topic/red/t{number}") for number, clone in enumerate(clones)
    ]
    for number, push in enumerate(pushes):
        assert f"project_red__t{number}: live at" in push.communicate()[1]
        assert site.shown(f"project_red__t{number}") == str(number)
    for number, push in enumerate([site.pushing(clone, f"# again {clone.name}", "HEAD:test") for clone in clones]):
        told = push.communicate()[1]
        assert "remote: test: live at" in told or "cannot lock ref" in told, (number, told)
    assert site.bare.live("test").readlink().name == git(site.bare.path, "rev-parse", "test")


@pytest.mark.parametrize("warm", [True, False])
def test_a_store_that_cannot_be_written_is_told_in_one_line(site: Site, warm: bool, tmp_path: Path) -> None:
    """Here a directory stands where the lock's file should be; a disk that is read-only fails at the same place."""
    with Deployer(site.bare.settings) as deployer:
        lock = Path(deployer.layout.lock(EnvironmentName("test")))
    lock.unlink(missing_ok=True)
    lock.mkdir()
    if not warm:
        said = site.push("two")
    else:
        service = Service(site.configuration)
        thread = threading.Thread(target=service.run)
        thread.start()
        while not site.socket.exists():
            time.sleep(0.01)
        site.only_warm()
        said = site.push("two")
        service.stop()
        thread.join()
    assert "test: NOT deployed, nothing was changed: " in said and ": Is a directory" in said and "[Errno" not in said
    assert "your commits are in the repository" in said
    assert "bug" not in said
