"""A branch's own checks, pushed into a managed repository: what they refuse, and what they reach."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from git_hooks.store.locks import locked
from tests.real.conftest import SlapdMaker
from tests.support.following import eventually
from tests.support.pushes import ManagedRepository, Pushed, populate
from tests.support.reachable import reachable
from tests.support.slapd import Slapd

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/own_checks.yaml").read_text(encoding="utf-8"))
OWN = ".puppetmaster.yaml"


class Site:
    """A managed repository beside which lie secrets that everybody may read, and a port on which somebody listens."""

    def __init__(self, base: Path, slapd: Slapd, listening: socket.socket) -> None:
        self.listening = listening
        self.managed = ManagedRepository(base / "site", slapd, own_checks_time="20s")
        (self.managed.base / "secret.key").write_text("the secret")
        (self.managed.base / "overlay").mkdir()
        (self.managed.base / "overlay/overlay.yaml").write_text("the secret")

    def begin(self, branch: str, files: dict[str, Any]) -> None:
        """Let `branch` have these files beside the usual ones, past all checks."""
        self.managed.put(branch, {self._path(path): self.filled(path, text) for path, text in files.items()})

    def push(self, case: dict[str, Any]) -> Pushed:
        ref = case.get("ref", "project/red")
        wanted = {"ref": ref, "files": case.get("push", {})}
        if "from" in case:
            wanted["from"] = case["from"]
        if "to" in case:
            wanted["to"] = self.managed.first["refs/heads/project/red"]  # which had no checks
        return self.managed.push([wanted], case.get("who", "mia"))

    def filled(self, path: str, text: Any) -> Any:
        if path == "CHECKS":
            check = {"name": "own", "command": ["sh", "-c", self.filled("", text)]}
            return yaml.safe_dump({"checks": [check]})
        if not isinstance(text, str):
            return text
        place = str(self.managed.base)
        return text.replace("{base}", place).replace("{port}", str(self.listening.getsockname()[1]))

    @staticmethod
    def _path(path: str) -> str:
        return OWN if path == "CHECKS" else path


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


@pytest.fixture(scope="module")
def site(slapd: Slapd) -> Iterator[Site]:
    with reachable() as base, socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        made = Site(base, slapd, listening)
        with made.managed.serving():
            yield made


def left() -> list[Path]:
    """Return what checks of this process have left on the disk."""
    places = (Path("/var/tmp"), Path("/dev/shm"))
    return [one for place in places for one in place.glob(f"puppetmaster-check-{os.getpid()}-*")]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_own_checks(case: dict[str, Any], site: Site) -> None:
    site.managed.reset()
    site.begin("project/red", case["was"])
    pushed = site.push(case)
    assert (pushed.status == 0) == case["taken"], pushed.output
    for text in case.get("says", ()):
        assert text in pushed.output, pushed.output
    for text in case.get("hides", ()):
        assert text not in pushed.output, pushed.output
    with pytest.raises(BlockingIOError):
        site.listening.accept()
    assert left() == []


NO_NAMESPACES = ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"]


def test_without_a_sandbox_nothing_is_run_and_the_push_is_told(slapd: Slapd) -> None:
    """The hook is a cold one, in a namespace in which nobody may make another."""
    with reachable() as base:
        managed = ManagedRepository(base / "site", slapd, require_checks=["topic/*"])
        managed.put("project/red", {OWN: "checks: [{name: own, command: ['false']}]"})
        managed.reset()
        pushed = managed.push([{"ref": "project/red", "files": {"docs/a": "x"}}], "mia", through=NO_NAMESPACES)
        assert pushed.status == 0, pushed.output
        assert "not checked: the branch's own checks: no sandbox can be made: " in pushed.output
        wanted = {"ref": "topic/red/new", "from": "project/red", "files": {"docs/c": "x"}}
        pushed = managed.push([wanted], "mia", through=NO_NAMESPACES)
        assert pushed.status != 0 and "takes nothing that was not checked (pushes.require_checks)" in pushed.output
        managed.reset()
        # A check that can be run is run by a cold hook as well.
        pushed = managed.push([{"ref": "project/red", "files": {"docs/b": "x"}}], "mia")
        assert pushed.status != 0 and "its own check own failed with status 1" in pushed.output
        managed.configure(own_checks="off")
        assert managed.push([{"ref": "project/red", "files": {"docs/b": "x"}}], "mia").status == 0
        # The tree cannot be written out: the hook's files may not grow, as on a full disk.
        managed.configure(own_checks="run")
        managed.put("project/red", {OWN: "checks: [{name: own, command: ['true']}]", "docs/large": "x" * 40_000})
        managed.reset()
        limited = ["prlimit", "--fsize=20000", "--"]
        pushed = managed.push([{"ref": "project/red", "files": {"docs/c": "x"}}], "mia", through=limited)
        assert pushed.status == 0, pushed.output
        assert "not checked: the branch's own checks: the pushed tree cannot be written out below" in pushed.output


def test_checks_of_one_project_wait_for_each_other_and_others_do_not(site: Site) -> None:
    """And who waits too long is told, and was not checked."""
    locks = site.managed.settings.branches.store / "locks"
    site.managed.reset()
    site.begin("project/red", {"CHECKS": "false"})
    site.begin("project/blue", {"CHECKS": "false"})
    red, blue = ({"ref": f"project/{name}", "files": {"docs/a": "x"}} for name in ("red", "blue"))
    done: list[Pushed] = []
    with locked(str(locks / "own-checks.of-red")):
        waiting = threading.Thread(target=lambda: done.append(site.managed.push([red], "mia")))
        waiting.start()
        assert site.managed.push([blue], "bert").status != 0
        assert done == [] and waiting.is_alive()
    waiting.join()
    assert "its own check own failed" in done[0].output


def test_all_checks_of_a_push_have_one_time(site: Site) -> None:
    slow = "{name: %s, command: [sleep, '0.7']}"
    site.managed.reset()
    checks = ", ".join(slow % name for name in ("a", "b", "c"))
    site.begin("project/red", {OWN: f"checks: [{checks}]"})
    site.managed.configure(own_checks_time="1s")
    try:
        pushed = site.managed.push([{"ref": "project/red", "files": {"docs/a": "x"}}], "mia")
    finally:
        site.managed.configure(own_checks_time="20s")
    assert pushed.status == 0, pushed.output
    assert ": there was no more time (pushes.own_checks_time: 1 s)" in pushed.output


def test_a_hook_that_is_killed_leaves_no_process_and_its_tree_goes_with_the_next(slapd: Slapd) -> None:
    name = f"left-behind-{os.getpid()}"
    script = f"exec -a {name} sleep 600"
    check = {"name": "own", "command": ["bash", "-c", script], "timeout": "100s", "paths": ["slow/*"]}
    with reachable() as base:
        managed = ManagedRepository(base / "site", slapd)
        managed.put("project/red", {OWN: yaml.safe_dump({"checks": [check, {"name": "fast", "command": ["true"]}]})})
        managed.reset()
        slow, fast = ({"ref": "project/red", "files": {f"{one}/a": "x"}} for one in ("slow", "fast"))
        done: list[Pushed] = []
        pushing = threading.Thread(target=lambda: done.append(managed.push([slow], "mia")))
        pushing.start()
        eventually(lambda: processes(name.encode()), "the check runs")
        (hook,) = processes(b"git_hooks.hook", str(managed.configuration).encode())
        os.kill(hook, signal.SIGKILL)
        pushing.join()
        assert done[0].status != 0 and done[0].moved == {}
        eventually(lambda: not processes(name.encode()), "the check is gone")
        assert managed.push([fast], "mia").status == 0
        places = (Path("/dev/shm"), Path("/var/tmp"))
        assert not [one for place in places for one in place.glob(f"puppetmaster-check-{hook}-*")]


def processes(*words: bytes) -> list[int]:
    """Return the processes whose command lines have all of `words`."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ends while it is looked at
            line = place.read_bytes().split(b"\0")
            if all(word in line for word in words):
                found.append(int(place.parent.name))
    return found
