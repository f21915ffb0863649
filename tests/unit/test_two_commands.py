"""`./quickstart` and `./run-tests`: what they say and which arguments they take, with all that they start replaced."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOTSTRAP = """\
say() { printf '%s\\n' "$*" >&2; }
bootstrap() { say bootstrapped; }
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("quickstart", "run-tests"):
        shutil.copy(ROOT / name, tmp_path)
    for name, text in {".ci/bootstrap.bash": BOOTSTRAP, ".venv/bin/python": '#!/bin/sh\necho "began: $*"\n'}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for name in ("ruff", "mypy"):
        (tmp_path / ".venv/bin" / name).symlink_to("/bin/true")
    for name in (".cache", "enc", "files", "git_hooks", "puppetmaster_self", "puppetmaster_quickstart"):
        (tmp_path / name).mkdir()
    return tmp_path


def run(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / words[0]), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/", check=False)


def test_the_quickstart_says_first_how_long_it_takes_and_that_it_begins_anew(checkout: Path) -> None:
    first = run(checkout, "quickstart")
    before, _, _ = first.stderr.partition("bootstrapped")
    assert "about 5 minutes" in before and "anew" not in before
    assert "began: -m puppetmaster_quickstart .quickstart" in first.stdout
    (checkout / ".quickstart").mkdir()
    assert "begins anew" in run(checkout, "quickstart").stderr.partition("bootstrapped")[0]
    assert run(checkout, "quickstart", "status").stderr == "bootstrapped\n"


@pytest.mark.parametrize("words", [("quickstart", "sing"), ("quickstart", "stop", "now"), ("run-tests", "everything")])
def test_a_wrong_word_is_usage(checkout: Path, words: tuple[str, ...]) -> None:
    done = run(checkout, *words)
    assert (done.returncode, done.stdout) == (2, "") and f"./{words[0]} " in done.stderr
    asked = run(checkout, words[0], "--help")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, done.stderr, "")


@pytest.mark.parametrize("words", [(), ("all",), ("--durations=25",), ("all", "--durations=25")])
def test_all_need_not_be_said(checkout: Path, words: tuple[str, ...]) -> None:
    done = run(checkout, "run-tests", *words)
    given = [word for word in words if word != "all"]
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2 - len(given) :] == ["tests/unit", "tests/real", *given]
    assert "[all]" in run(checkout, "run-tests", "--help").stdout


def test_a_failing_test_is_named_when_it_fails(tmp_path: Path) -> None:
    """Not only at the end: by the process that has the terminal, whoever runs the test."""
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.conftest import pytest_configure\n"
    )
    (tmp_path / "test_x.py").write_text("def test_bad():\n    assert False\n\n\ndef test_good():\n    pass\n")
    # Without a directory of its own it would, when it ends, clear away what whole runs of these tests left behind.
    own = (f"--basetemp={tmp_path / 'base'}", "--rootdir", str(tmp_path))
    options = ("-q", "-p", "no:cacheprovider", "--no-header", *own, str(tmp_path))
    for workers in ((), ("--numprocesses", "1")):
        command = [sys.executable, "-m", "pytest", *workers, *options]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False).stdout
        at_once, ended, _ = said.partition("= FAILURES =")
        assert ended and "FAILED at call: test_x.py::test_bad" in at_once, said
