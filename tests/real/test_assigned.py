"""Pushes that take classes and parameters from nodes: told by the check, and by pushes, forges and commands."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.answers.layout import Contact, Layout
from enc.classify.model import Classification
from enc.classify.render import render_answer
from enc.settings import AnswerSettings, BranchSettings, PuppetfileSettings, PushSettings, Settings
from enc.terms.environments import Place, Rules
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.branches.usage import Usage
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from tests.support.bare import Bare

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/assigned.yaml").read_text(encoding="utf-8"))
BRANCH = BranchName("project/red")


class Site:
    """A repository, this machine's modules, what an environment shows, and the answers of its nodes."""

    def __init__(self, base: Path, **pushes: Any) -> None:
        self.bare = Bare(base)
        code = base / "code"
        self.environments = code / "environments"
        self.modules = code / "modules"
        branches = BranchSettings(
            repository=self.bare.path,
            store=base / "store",
            environments=self.environments,
            members_code="trusted",
            puppetfile=PuppetfileSettings(program=Path("/usr/bin/r10k")),
        )
        self.settings = Settings(
            branches=branches,
            pushes=PushSettings(syntax="off", **pushes),
            answers=AnswerSettings(directory=base / "answers"),
        )
        self.answers = Layout(base / "answers")
        self.answers.create()

    def assign(self, nodes: Mapping[str, Mapping[str, Mapping[str, Any]]], environment: str = "project_red") -> None:
        now = int(time.time())
        self.answers.contact.write_text(Contact(now, now, 3600, "current").line())
        for name, classes in nodes.items():
            said = Classification(Certname(name), EnvironmentName(environment), classes, {})
            (self.answers.nodes / f"{name}.yaml").write_text(render_answer(said, "puppetmaster_answer", "copy"))

    def look(self, old: str | None, new: str) -> tuple[tuple[str, ...], dict[str, int]]:
        place = Rules(self.settings.branches.rules).place(BRANCH)
        assert isinstance(place, Place)
        with Incoming(str(self.bare.path), os.environ) as objects:
            looked = Examination(objects, self.settings, usage=Usage(self.settings))
            return looked.problems(new, old, place, {}), dict(looked.unchecked)  # type: ignore[arg-type]


def nested(files: Mapping[str, str | None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, content in files.items():
        *directories, name = path.split("/")
        place = found
        for directory in directories:
            place = place.setdefault(directory, {})
        if content is not None:
            place[name] = content
    return found


def pushed(before: Mapping[str, str], push: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the tree after a push; git knows no empty directories."""
    return nested({path: content for path, content in {**before, **push}.items() if content is not None})


def write(place: Path, files: Mapping[str, str]) -> None:
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_is_told_of_a_push(case: dict[str, Any], tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.assign(case.get("nodes", {"web1.example.org": {"a::b": {}}}))
    write(site.modules, case.get("machine", {}))
    write(site.environments / "project_red", case.get("live", {}))
    old = site.bare.commit("project/red", nested(case["before"]))
    new = site.bare.commit("project/red", pushed(case["before"], case["push"]), parent=old)
    said, noted = site.look(old, new)
    wanted, wanted_notes = case.get("says", []), case.get("noted", [])
    assert len(said) == len(wanted) and all(part in text for part, text in zip(wanted, said, strict=True)), said
    assert len(noted) == len(wanted_notes), noted
    assert all(part in text for part, text in zip(wanted_notes, noted, strict=True)), noted
