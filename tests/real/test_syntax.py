"""Files that their readers cannot read: told by the check of syntax, and by pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.settings import Settings
from git_hooks.checks import syntax
from git_hooks.checks.look import OPERATORS, File
from git_hooks.puppet_code.calls import Kind, Reading
from git_hooks.puppet_code.worker import Worker
from git_hooks.repository.trees import FILE, Entry
from tests.real.conftest import SlapdMaker
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/syntax.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


def file(case: dict[str, Any]) -> File:
    content = bytes.fromhex(case["hex"]) if "hex" in case else case["content"].encode()
    directory, _, name = case["path"].rpartition("/")
    return File(directory, Entry(FILE, name, content.hex()), len(content), content, Settings())


@pytest.mark.parametrize("case", CASES, ids=[f"{case['path']} {number}" for number, case in enumerate(CASES)])
def test_what_is_told_of_a_file(case: dict[str, Any], worker: Worker) -> None:
    one = file(case)
    one = one._replace(site=OPERATORS._replace(read=worker.read))
    told = [problem.text for problem in syntax.check(one)] if syntax.reads(one) is not None else []
    if "says" in case:
        assert len(told) == 1 and told[0].startswith(f"{case['path']}: line ") and case["says"] in told[0], told
    else:
        assert told == []


def test_nesting_without_end_is_told_as_not_checked(worker: Worker) -> None:
    noted: list[str] = []

    def unchecked(why: str) -> str:
        noted.append(why)
        return ""

    site = OPERATORS._replace(read=worker.read, unchecked=unchecked)
    for text in ("$x = " + "[" * 20_000 + "]" * 20_000, "$x = 1"):
        assert list(syntax.check(file({"path": "a.pp", "content": text})._replace(site=site))) == []
    assert noted == ["is nested too deeply to be read"]
    large = file({"path": "a.pp", "content": ""})._replace(content=None, site=site._replace(unchecked=lambda why: why))
    assert [one.text for one in syntax.check(large)] == ["a.pp: a file larger than 1048576 bytes"]


def test_other_code_is_read_after_a_plan_as_before_it(worker: Worker) -> None:
    """Whether `plan` is a word of the language is a setting of the process."""
    plan = b"plan a() { }"

    def fault(kind: Kind) -> Reading:
        return worker.read(f"plan as {kind}", kind, lambda: plan)

    assert fault(Kind.SOUND_MANIFEST).fault and not fault(Kind.SOUND_PLAN).fault
    assert worker.read("again", Kind.SOUND_MANIFEST, lambda: plan).fault
    assert not worker.read("after", Kind.MANIFEST, lambda: b"$x = plan").fault


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


def test_a_push_with_a_fault_is_refused_with_its_place(slapd: Slapd, tmp_path: Path) -> None:
    site = ManagedRepository(tmp_path / "site", slapd, syntax="check")
    with site.serving():
        broken = {"modules/a/manifests/init.pp": "class a {\n  $x = = 3\n}\n", "data/x.yaml": "a: b: c\n"}
        for ref, who in (("project/red", "mia"), ("production", "olga")):
            pushed = site.push([{"ref": ref, "files": broken}], who)
            assert pushed.status != 0 and pushed.moved == {}
            wanted = "modules/a/manifests/init.pp: line 2, column 8: Syntax error at '=' (the line is: $x = = 3)"
            assert wanted in pushed.output and "data/x.yaml: line 1, column 5: mapping values" in pushed.output
        sound = {"modules/a/manifests/init.pp": "class a {\n  $x = 3\n}\n", "data/x.yaml": "a: b\n"}
        pushed = site.push([{"ref": "project/red", "files": sound}], "mia")
        assert pushed.status == 0 and "2 new or changed files are valid" in pushed.output
        site.reset()
        # What a branch has already is not looked at again; a push on top of it brings what it brings.
        pushed = site.push([{"ref": "project/red", "files": {"docs/a": "x"}}], "mia")
        assert pushed.status == 0 and "not checked" not in pushed.output


def test_what_cannot_be_read_is_not_sent_to_be_reviewed(slapd: Slapd, tmp_path: Path) -> None:
    site = ManagedRepository(tmp_path / "site", slapd, syntax="check")
    document = yaml.safe_load(site.configuration.read_text(encoding="utf-8"))
    document["branches"]["members_code"] = "reviewed"
    site.configuration.write_text(yaml.safe_dump(document), encoding="utf-8")
    broken = {"manifests/init.pp": "class a {\n  $x = 1\n", "templates/a.epp": "<%= $x %>\n<%= 1 + %>\n"}
    for name, content in broken.items():
        pushed = site.push([{"ref": "project/red", "files": {f"modules/a/{name}": content}}], "mia")
        assert pushed.status != 0 and pushed.output.count(f"modules/a/{name}: line 2") == 1
        assert pushed.output.count("modules/a") == 1 and "review" not in pushed.output, pushed.output


def test_without_puppet_a_push_is_told_what_was_not_checked(slapd: Slapd, tmp_path: Path) -> None:
    site = ManagedRepository(tmp_path / "site", slapd, syntax="check", require_checks=["prod*"])
    document = yaml.safe_load(site.configuration.read_text(encoding="utf-8"))
    document["branches"]["ruby"] = "/bin/false"
    site.configuration.write_text(yaml.safe_dump(document), encoding="utf-8")
    broken = {"modules/a/manifests/init.pp": "class a {", "data/x.json": "{}"}
    pushed = site.push([{"ref": "project/red", "files": broken}], "mia")
    assert pushed.status == 0, pushed.output
    assert "not checked: 1 file (Puppet code cannot be read: " in pushed.output
    pushed = site.push([{"ref": "production", "files": broken}], "olga")
    assert pushed.status != 0 and "takes only files that were checked (pushes.require_checks)" in pushed.output
    pushed = site.push([{"ref": "production", "files": {"data/x.json": "{,}"}}], "olga")
    assert pushed.status != 0 and "data/x.json: line 1, column 2" in pushed.output
