"""What the system says, in words: no `[Errno 13]` and no path twice, wherever an error of the system is caught."""

from __future__ import annotations

import ast
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.programs import machine_trouble
from enc.programs.whole_file import NotWritten

ROOT = Path(__file__).parents[2]
_OF_SYSTEM = {"OSError", "SSLError", "HTTPException", "gaierror", "herror"} | {
    kind.__name__ for kind in OSError.__subclasses__() if kind.__module__ == "builtins"
}
_OURS = ("enc", "git_hooks", "puppetmaster_self")


def _sources() -> Iterator[Path]:
    for package in _OURS:
        yield from (ROOT / package).rglob("*.py")


def _names(expression: ast.expr | None) -> set[str]:
    nodes = ast.walk(expression) if expression is not None else ()
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in nodes
        if isinstance(node, ast.Attribute | ast.Name)
    }


def _is_raw(node: ast.AST, name: str) -> bool:
    """Tell whether `node` makes a text of the error `name` by itself."""
    if isinstance(node, ast.FormattedValue):
        return isinstance(node.value, ast.Name) and node.value.id == name
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr")
    return called and any(isinstance(word, ast.Name) and word.id == name for word in node.args)


def _raw(path: Path) -> Iterator[str]:
    for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(handler, ast.ExceptHandler) and handler.name and _names(handler.type) & _OF_SYSTEM:
            for node in ast.walk(handler):
                if _is_raw(node, handler.name):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]


def test_errors_of_the_system_are_told_in_words() -> None:
    found = [place for path in _sources() for place in _raw(path)]
    assert found == [], "use enc.programs.machine_trouble: said, reason, placed or told"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            "/x: Permission denied; run this as the user who owns it",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", b"/x\xff"),
            "/x\\udcff: Permission denied; run this as the user who owns it",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room"),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "/etc/passwd/store"),
            "/etc/passwd/store: Not a directory; correct the path in the configuration",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a\nb"), "/a\\nb: No such file or directory"),
        (OSError("the answer is too long"), "the answer is too long"),
        (TimeoutError("timed out"), "timed out"),
        (ValueError("is no number"), "is no number"),
    ],
)
def test_place_words_and_cure(error: Exception, told: str) -> None:
    assert machine_trouble.told(error) == told


def test_what_has_said_it_already_is_not_said_again() -> None:
    error = NotWritten(OSError(errno.ENOSPC, "No space left on device"), "/x")
    assert machine_trouble.told(error) == "/x: cannot be written: No space left on device; make room"


def test_bytes_that_are_no_text_are_told_without_pythons_words() -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        b"ab\xff".decode()
    assert machine_trouble.reason(caught.value) == "byte 3 is not UTF-8"
