"""What puppet-lint says of a push, in a managed repository; and without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.settings import PushSettings
from git_hooks.doctor import code
from git_hooks.puppet_code.lint import Choice, Linter, LintMissing, choice
from git_hooks.push.linting import new_lines
from tests.real.conftest import SlapdMaker
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/lint.yaml").read_text(encoding="utf-8"))
SLOW = "class c {\n  file {\n" + "".join(f"    '/a/{n}':\n      ensure => file;\n" for n in range(7000)) + "  }\n}\n"
MANIFEST = "modules/c/manifests/init.pp"
BAD = "# a class\nclass c {\n  $x = \"y\"\n}\n"


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


@pytest.fixture(scope="module")
def site(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedRepository]:
    rules = {"lint": "advice", "lint_rule": ["topic/*", "production"], "require_checks": ["production"]}
    bounds = {"file_bytes": 1_000_000, "push_bytes": 2_000_000}
    made = ManagedRepository(tmp_path_factory.mktemp("lint") / "site", slapd, **rules, **bounds)
    with made.serving():
        yield made


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_lint(case: dict[str, Any], site: ManagedRepository) -> None:
    site.put("test", {".puppet-lint.rc": case.get("rc")})
    site.put("project/red", case["was"])
    site.reset()
    files = {MANIFEST: SLOW} if case.get("slow") else case["push"]
    wanted = {"ref": case.get("ref", "project/red"), "files": files}
    if "from" in case:
        wanted["from"] = case["from"]
    pushed = site.push([wanted], case.get("who", "mia"))
    assert (pushed.status == 0) == case["taken"], pushed.output
    for text in case.get("says", ()):
        assert text in pushed.output, pushed.output
    for text in case.get("hides", ()):
        assert text not in pushed.output, pushed.output


def test_without_puppet_lint_nothing_is_said_where_it_only_advises(slapd: Slapd, tmp_path: Path) -> None:
    site = ManagedRepository(
        tmp_path / "site", slapd, lint="advice", lint_ruby="/bin/false", lint_rule=["topic/*", "prod*"],
        require_checks=["prod*"],
    )  # fmt: skip
    with site.serving():
        pushed = site.push([{"ref": "project/red", "files": {MANIFEST: BAD}}], "mia")
        assert pushed.status == 0 and "lint" not in pushed.output, pushed.output
        pushed = site.push([{"ref": "topic/red/new", "files": {MANIFEST: BAD}}], "mia")
        assert pushed.status == 0 and "not checked: puppet-lint is not installed for /bin/false" in pushed.output
        pushed = site.push([{"ref": "production", "files": {MANIFEST: BAD}}], "olga")
        assert pushed.status != 0 and "takes nothing that was not checked (pushes.require_checks)" in pushed.output


def test_a_process_that_was_ended_is_replaced() -> None:
    linter = Linter()
    try:
        first = linter.lint(MANIFEST, BAD.encode(), Choice())
        assert [one.check for one in first] == ["double_quoted_strings"]
        process = linter._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert linter.lint(MANIFEST, BAD.encode(), Choice()) == first
    finally:
        linter.close()
    with pytest.raises(LintMissing, match="puppet-lint is not installed for /nonexistent/ruby"):
        Linter(Path("/nonexistent/ruby")).lint(MANIFEST, b"", Choice())


def test_doctor_says_whether_it_is_there() -> None:
    def found(**pushes: Any) -> list[tuple[str, str]]:
        return [(one.id, one.level) for one in code.lint(PushSettings(**pushes))]

    assert found() == found(lint_rule=("production",)) == [("lint", "ok")]
    assert found(lint_ruby=Path("/bin/false")) == [("lint", "note")]
    assert found(lint_ruby=Path("/bin/false"), lint_rule=("production",), lint="off") == [("lint", "warning")]
    assert found(lint="off") == []


def test_what_a_choice_of_checks_says() -> None:
    assert choice(b"--no-140chars-check\n  --documentation-check \n--load=x\n--no-a-b-check\n\xff\n") == Choice(
        ("140chars",), ("documentation",)
    )
    assert choice(b"") == choice(b"--fail-on-warnings") == Choice()


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ("", "a\nb\n", {1, 2}),
        ("a\nb\n", "a\nb\n", set()),
        ("a\nb", "a\nb\nc", {3}),
        ("a\n", "a\na\n", {2}),
        ("a\nb\n", "b\na\n", set()),
        ("a\r\n", "a\n", {1}),
        ("x\n" * 50_000, "x\n" * 49_999 + "y\n", {50_000}),
        ("", "", set()),
    ],
)
def test_which_lines_are_new(before: str, after: str, new: set[int]) -> None:
    assert new_lines(before.encode(), after.encode()) == new
