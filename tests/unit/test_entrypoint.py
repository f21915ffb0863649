"""What escapes from a command, and what its caller sees of it."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enc.cli import main as enc_admin
from enc.programs.entrypoint import run
from enc.terms import errors
from git_hooks.cli import main as branch_manager

_RUN = "from enc.programs.entrypoint import run; import sys; "


def _raise(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ToolkitError("x"), 1),
        (errors.NotFound("x"), 1),
        (errors.Conflict("x"), 1),
        (errors.ConfigurationError("x"), 2),
        (errors.UsageError("x"), 2),
        (errors.InvalidName("x"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_statuses(error: BaseException, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("enc-admin", lambda: _raise(error)) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


_NODE = ("node", "set", "web1.example.org", "--reason", "r")


@pytest.mark.parametrize(
    ("program", "words", "rule"),
    [
        (enc_admin, ("node", "show", "../x"), "is not a certname: a-z"),
        (enc_admin, ("node", "set", "WEB1", "--class", "a", "--reason", "r"), "is not a certname: a-z"),
        (enc_admin, (*_NODE, "--class", "Not A Class"), "is not a class name: lower-case words"),
        (enc_admin, ("project", "add", "a b", "--admin", "anna", "--reason", "r"), "is not a project name: a-z"),
        (enc_admin, ("node", "try", "web1.example.org", "a b", "--for", "1h", "--reason", "r"), "is not a branch name"),
        (branch_manager, ("deploy", "a b"), "is not a branch name: parts of"),
        (branch_manager, ("hold", "../x", "--reason", "r"), "is not a branch name: parts of"),
        (branch_manager, ("status", "a b"), "is not a branch name: parts of"),
        (branch_manager, ("restore", "x y@1"), "is not a branch name: parts of"),
        (branch_manager, ("make-branches", "a b"), "is not a project name: a-z"),
    ],
)
def test_a_name_that_breaks_its_rule_is_wrong_usage(
    program: Callable[[list[str]], int],
    words: tuple[str, ...],
    rule: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = "".join(f" {name}: {tmp_path}/{name}," for name in ("repository", "store", "environments"))
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "repository")], check=True)
    configuration = tmp_path / "config.yaml"
    configuration.write_text(f"directory: {{uris: ['ldap://127.0.0.1:1'], timeout: 1s}}\nbranches: {{{places}}}\n")
    assert program(["--config", str(configuration), *words]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert rule in told.err


def test_an_expected_error_is_one_line_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    run("enc-admin", lambda: _raise(errors.NotFound("gone\nfor good\x1b[0m", where="cn=x")))
    assert capsys.readouterr().err == "enc-admin: cn=x: gone\\nfor good\\x1b[0m\n"


def test_a_bug_leaves_a_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run("enc-admin", lambda: _raise(ZeroDivisionError("one\ntwo"))) == 3
    (report,) = tmp_path.iterdir()
    assert "ZeroDivisionError" in report.read_text()
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert str(report) in line


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    program = _RUN + "sys.exit(run('x', lambda: print('\\u2192 \\udcff') or 0))"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1:strict"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr, done.returncode) == ("\\u2192 \\udcff\n", "", 0)


def test_a_reader_that_goes_away_is_no_bug() -> None:
    program = _RUN + "sys.exit(run('x', lambda: print('y\\n' * 100000) or 0))"
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{program}" | head -1'], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("y\n", "")


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\x1b]0;x\x07", "\u2028", "\ud800", "\x9b"])
def test_one_line_leaves_nothing_that_a_terminal_or_a_log_would_obey(text: str) -> None:
    assert errors.one_line(text).isprintable()
    assert errors.one_line("plain ü \\n") == "plain ü \\n"


def test_the_version_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        enc_admin(["--version"])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "") and re.fullmatch(r"\d+\.\d+\.\d+\n", shown.out)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "No space left on device; make room"), (errno.EROFS, "; remount it for writing")],
)
def test_a_disk_that_cannot_be_written_is_no_bug(number: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = OSError(number, os.strerror(number), "/store/\nlocks")
    assert run("program", lambda: _raise(error)) == errors.ExitStatus.FAILED
    told = capsys.readouterr().err
    assert told.startswith("program: /store/\\nlocks: ") and words in told and told.count("\n") == 1


@pytest.mark.parametrize("stderr", ["/dev/full", "-"])
def test_the_status_is_the_same_when_nobody_can_be_told(stderr: str) -> None:
    program = "import sys; from enc.programs.entrypoint import run; from enc.programs.telling import tell\n"
    program += "from enc.terms.errors import UsageError\ndef main():\n    tell('one')\n    raise UsageError('x')\n"
    words = ["sh", "-c", f'exec "$@" 2>&{stderr}' if stderr == "-" else f'exec "$@" 2>{stderr}', "sh"]
    done = subprocess.run([*words, sys.executable, "-c", program + "sys.exit(run('p', main))"], capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")


_FAILS = (
    "from enc.terms.errors import NotFound\ndef fail():\n    raise NotFound('caf\\u00e9 \\udcff', where='\\u2028')\n"
)


def test_a_failure_is_a_document_in_every_locale() -> None:
    program = f"{_RUN}\n{_FAILS}sys.exit(run('x', fail, json=True))"
    for encoding in ("latin-1:strict", "ascii:strict", "utf-8:strict"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
        found = json.loads(done.stdout.decode("ascii"))
        assert (found, done.returncode) == ({"error": {"message": "café \\udcff", "where": "\\u2028"}}, 1)


@pytest.mark.parametrize("work", ["lambda: print('y' * 100000) or 0", "fail"])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_stdout_that_is_full_is_told_on_stderr(work: str, as_json: bool) -> None:
    program = f"{_RUN}\n{_FAILS}sys.exit(run('x', {work}, json={as_json}))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (errors.NotFound("gone", where="cn=x"), 1, {"message": "gone", "where": "cn=x"}),
        (errors.UsageError("what?"), 2, {"message": "what?", "where": None}),
        (KeyboardInterrupt(), 130, {"message": "interrupted", "where": None}),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            1,
            {"message": "Permission denied", "where": "/x", "cure": "run this as the user who owns it"},
        ),
    ],
)
def test_with_json_a_failure_is_one_document(
    error: BaseException, status: int, told: dict[str, str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("enc-admin", lambda: _raise(error), json=True) == status
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"error": told}
    assert shown.out.count("\n") == shown.err.count("\n") == 1
