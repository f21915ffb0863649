"""`branch-manager hooks` looks after the branches: real process, real LDAP, real git."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from enc.terms.names import EnvironmentName
from git_hooks.deploy.records import Records
from git_hooks.push.service import Service
from git_hooks.store.layout import Layout
from git_hooks.upkeep.chores import EVERY
from git_hooks.upkeep.loop import Upkeep
from tests.real.conftest import SlapdMaker
from tests.support.bare import git
from tests.support.following import QUICK
from tests.support.slapd import Slapd
from tests.support.transports import PROGRAM, Managed, S, people


@pytest.fixture
def slapd(make_slapd: SlapdMaker) -> Slapd:
    made = make_slapd()
    people(made)
    return made


class Kept(Managed):
    """A managed repository that a process looks after."""

    every: Mapping[str, float] = EVERY

    def settle(self, **every: float) -> None:
        """Set how often what is done, in seconds."""
        self.every = {**EVERY, "projects": 0.1, "reconcile": 0.1, "flushes": 0.1, **every}
        document = yaml.safe_load(self.configuration.read_text())
        document["audit"] = {"file": str(self.base / "trail.jsonl")}
        self.configuration.write_text(yaml.safe_dump(document))

    @property
    def words(self) -> str:
        return (self.base / "hooks.log").read_text()

    @contextmanager
    def looked_after(self) -> Iterator[subprocess.Popen[bytes]]:
        """Within: `branch-manager hooks` runs."""
        with (self.base / "hooks.log").open("ab") as log:
            command = [sys.executable, QUICK, "hooks", str(self.configuration), json.dumps(self.every)]
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGKILL)

    def shows(self, environment: str, text: str = "# first\n") -> bool:
        try:
            return (self.bare.live(environment) / "manifests/site.pp").read_text() == text
        except FileNotFoundError:
            return False

    def enc_admin(self, *words: str) -> None:
        command = [str(PROGRAM.with_name("enc-admin")), "--config", str(self.configuration), *words, "--reason", "test"]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def kept(slapd: Slapd, tmp_path: Path) -> Kept:
    made = Kept(tmp_path / "managed", slapd)
    made.settle()
    return made


def soon(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; far longer than it takes, so that a slow machine is no failure."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def project(slapd: Slapd, name: str) -> None:
    entry = {"objectClass": "groupOfNames", "cn": name, "member": f"uid=alice,ou=people,{S}"}
    slapd.add(f"cn={name},ou=projects,{S}", entry)


def test_a_project_that_is_added_has_its_branch_at_once_and_it_is_live(kept: Kept) -> None:
    with kept.looked_after():
        soon(lambda: kept.shows("test") and kept.shows("project_red", "# red\n"))
        kept.enc_admin("project", "add", "blue", "--admin", "alice")
        soon(lambda: kept.shows("project_blue"))
        assert kept.tip("project/blue") == kept.tip("test")
        soon(lambda: "project blue now has branch project/blue; project_blue: live at" in kept.words)
    records = Records(Layout(str(kept.settings.branches.store), "").root).of(EnvironmentName("project_blue"))
    assert (records[0].who, records[0].why) == ("upkeep", "new project")


def test_without_ldap_nothing_happens_and_with_it_again_everything_does(kept: Kept, slapd: Slapd) -> None:
    with kept.looked_after():
        soon(lambda: kept.shows("project_red", "# red\n"))
        before = git(kept.bare.path, "for-each-ref")
        slapd.stop()
        soon(lambda: "projects failed and will be tried again" in kept.words)
        time.sleep(2.5)  # two more tries
        assert kept.words.count("projects failed and will be tried again") == 1, "what stays wrong is said once"
        assert (git(kept.bare.path, "for-each-ref"), kept.shows("project_red", "# red\n")) == (before, True)
        slapd.start()
        project(slapd, "blue")
        soon(lambda: kept.shows("project_blue"))
        soon(lambda: "projects works again" in kept.words)


def test_a_project_whose_branch_cannot_be_made_stops_no_other(kept: Kept, slapd: Slapd) -> None:
    git(kept.bare.path, "update-ref", "refs/heads/project/a_b", kept.tip("test") or "")
    with kept.looked_after():
        project(slapd, "a-b")
        project(slapd, "blue")
        soon(lambda: kept.shows("project_blue"))
        soon(lambda: "project a-b has no branch: environment project_a_b belongs to branch project/a_b" in kept.words)
    assert kept.words.count("project a-b has no branch") == 1


def test_what_a_killed_process_left_its_successor_finishes(kept: Kept, slapd: Slapd) -> None:
    with kept.looked_after() as process:
        soon(lambda: kept.shows("project_red", "# red\n"))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    # As far as a kill between the branch and its environment lets it come:
    git(kept.bare.path, "update-ref", "refs/heads/project/blue", kept.tip("test") or "")
    kept.bare.commit("test", {"manifests": {"site.pp": "# second\n"}}, parent=kept.tip("test"))
    with kept.looked_after():
        soon(lambda: kept.shows("project_blue") and kept.shows("test", "# second\n"))


def test_an_owed_flush_is_made_up_for_even_where_the_environment_is_gone(kept: Kept) -> None:
    with kept.looked_after():
        soon(lambda: kept.shows("project_red", "# red\n"))
        records = Records(str(kept.settings.branches.store))
        for name in ("project_red", "was_removed"):
            records.owe_flush(EnvironmentName(name))
        soon(lambda: records.owing() == ())
        assert kept.shows("project_red", "# red\n")


def test_what_is_held_stays_and_short_lived_branches_end(kept: Kept) -> None:
    git(kept.bare.path, "update-ref", "refs/heads/topic/red/x", kept.tip("test") or "")
    assert kept.branch_manager("deploy").returncode == 0
    assert kept.branch_manager("hold", "project_red", "--reason", "test").returncode == 0
    kept.bare.commit("project/red", {"manifests": {"site.pp": "# newer\n"}}, parent=kept.tip("project/red"))
    kept.settle(expire=0.1, collect=0.1)
    document = yaml.safe_load(kept.configuration.read_text())
    document["branches"] |= {"topics_unused": 0, "retain": 0}
    kept.configuration.write_text(yaml.safe_dump(document))
    with kept.looked_after():
        soon(lambda: kept.tip("topic/red/x") is None and not kept.bare.live("red__x").exists())
        soon(lambda: not (kept.settings.branches.store / "versions/red__x").exists())
        assert kept.shows("project_red", "# red\n")


def test_a_repository_that_is_away_for_a_while_is_waited_for(kept: Kept) -> None:
    kept.bare.path.joinpath("HEAD").rename(kept.base / "HEAD")  # git finds no repository
    with kept.looked_after() as process:
        soon(lambda: "projects failed and will be tried again" in kept.words)
        (kept.base / "HEAD").rename(kept.bare.path / "HEAD")
        soon(lambda: kept.shows("project_red", "# red\n"))
        assert process.poll() is None


def test_a_store_that_is_emptied_comes_back_by_itself_and_hooks_find_the_process_again(kept: Kept) -> None:
    socket_path, hold = kept.base / "store/run/socket", kept.base / "store/work"
    with kept.looked_after():
        soon(lambda: kept.shows("test") and socket_path.exists())
        away = kept.base / "away"
        away.mkdir()
        for place in (kept.base / "store").iterdir():  # not removed in place: it is filled again meanwhile
            place.rename(away / place.name)
        soon(lambda: kept.shows("test") and socket_path.exists() and hold.is_dir())
        assert "listening again" in kept.words
        kept.bare.commit("project/red", {"manifests": {"site.pp": "# later\n"}}, parent=kept.tip("project/red"))
        soon(lambda: kept.shows("project_red", "# later\n"))
    assert "Traceback" not in kept.words


def test_a_second_process_waits_and_can_be_ended(kept: Kept) -> None:
    with kept.looked_after():
        soon(lambda: kept.shows("test"))
        second = subprocess.Popen([str(PROGRAM), "--config", str(kept.configuration), "hooks"])
        caught = re.compile(r"^SigCgt:\t.*[4-7c-f]...$", re.MULTILINE)  # 15 is SIGTERM: from now on it has its own end
        soon(lambda: caught.search(Path(f"/proc/{second.pid}/status").read_text()) is not None)
        time.sleep(0.5)
        assert second.poll() is None, "it does not fight with the first"
        second.terminate()
        assert second.wait(60) == 0


def test_a_store_whose_path_is_too_long_for_a_socket_is_told_and_hooks_go_on(kept: Kept) -> None:
    document = yaml.safe_load(kept.configuration.read_text())
    document["branches"]["store"] = str(kept.base / ("s" * 100))
    kept.configuration.write_text(yaml.safe_dump(document))
    done = kept.branch_manager("hooks")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "branches.store: " in done.stderr and "107; choose a shorter one" in done.stderr


def test_systemd_is_told_that_it_is_ready(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(kept.base / "notify"))
        listening.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(kept.base / "notify"))
        with kept.looked_after():
            assert listening.recv(100) == b"READY=1"


def test_an_end_before_the_beginning_is_no_error(kept: Kept) -> None:
    Upkeep(Service(kept.configuration)).stop()
