"""A branch's own checks, pushed into a managed repository: what they refuse, and what they reach."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.real.conftest import SlapdMaker
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
    assert not list(Path("/var/tmp").glob("puppetmaster-check-*"))
