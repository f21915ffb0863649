"""`./quickstart` and `./run-tests`: what they say and which arguments they take, with all that they start replaced."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOTSTRAP = """\
say() { printf '%s\\n' "$*" >&2; }
bootstrap() { say bootstrapped; security=$(cat lacking 2>/dev/null || true); }
venv_works() { [[ ! -e broken ]]; }
"""
MINIMAL = """\
set -euo pipefail
source .ci/bootstrap.bash
find_python() { [[ -e installed ]]; }
need_python() { say "python, after: $(<installed)"; }
missing_packages() { [[ -e installed ]] || printf '%s\\n' "$@"; }
install_packages() { printf '%s\\n' "$*" >>installed; }
bootstrap git slapd
"""
"""What a machine does that has neither the packages nor venv, with all replaced that would change this one."""


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
    assert ("needs root" in before) == (os.geteuid() != 0)
    assert "began: -m puppetmaster_quickstart .quickstart" in first.stdout
    (checkout / ".quickstart").mkdir()
    assert "begins anew" in run(checkout, "quickstart").stderr.partition("bootstrapped")[0]


@pytest.mark.parametrize("word", ["status", "stop"])
def test_to_look_and_to_end_install_nothing(checkout: Path, word: str) -> None:
    done = run(checkout, "quickstart", word)
    assert (done.returncode, done.stdout) == (0, "") and "Nothing was started here" in done.stderr
    (checkout / ".quickstart").mkdir()
    done = run(checkout, "quickstart", word)
    assert (done.stdout, done.stderr) == (f"began: -m puppetmaster_quickstart .quickstart {word}\n", "")
    (checkout / "broken").touch()
    assert run(checkout, "quickstart", word).stderr == "bootstrapped\n"


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


@pytest.mark.parametrize("words, told", [((), True), (("real",), True), (("unit",), False), (("lint",), False)])
def test_what_security_updates_are_missing_for_is_told_first(
    checkout: Path, words: tuple[str, ...], told: bool
) -> None:
    assert "doctor" not in run(checkout, "run-tests", *words).stderr
    (checkout / "lacking").write_text("security: one lacks it\n")
    assert ("tests fail in which doctor" in run(checkout, "run-tests", *words).stderr) == told


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


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    """A checkout on a machine that has only git and an interpreter."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/bootstrap.bash", tmp_path / ".ci")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to("/bin/true")
    return tmp_path


def bootstrapping(checkout: Path) -> subprocess.Popen[str]:
    command = ["bash", "-c", MINIMAL, "./quickstart"]
    return subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_all_that_is_missing_is_installed_at_once(minimal: Path) -> None:
    done = bootstrapping(minimal)
    assert done.communicate(timeout=60)[1] == "python, after: git slapd python3-venv\n"
    assert done.returncode == 0


def test_who_waits_for_another_installation_is_told(minimal: Path) -> None:
    (minimal / ".cache").mkdir()
    with (minimal / ".cache/bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = bootstrapping(minimal)
        assert waiting.stderr is not None
        assert select.select([waiting.stderr], [], [], 30)[0], "it waits without a word"
        assert waiting.stderr.readline() == "Waiting for another run that installs\n"
    assert waiting.communicate(timeout=60)[1].startswith("python, after")


def test_a_clone_that_cannot_be_written_is_told(minimal: Path) -> None:
    (minimal / ".cache").touch()  # root may write everywhere, and not below a file
    done = bootstrapping(minimal)
    assert f"cannot write to {minimal}/.cache: use a clone of your own" in done.communicate(timeout=60)[1]
    assert done.returncode == 1 and not (minimal / "installed").exists()


def test_what_shows_a_package_is_no_documentation() -> None:
    """Small images leave documentation out, and then the package would be missing for ever."""
    script = "source .ci/bootstrap.bash; printf '%s\\n' \"${PACKAGES[@]}\""
    shown = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(shown) > 20 and not [file for file in shown if file.startswith(("/usr/share/doc/", "/usr/share/man/"))]
