"""The check: `.puppetmaster.yaml`, in which a branch says what its own checks are, can be read. Pure.

    checks:
      - name: data                          # a word that refusals name
        command: [ci/data.py, --strict]     # in the tree, by absolute path, or a program of /usr/bin
        timeout: 30s                        # default 60s
        memory: 256M                        # of all its processes together; default 512M
        paths: ["data/*", "*.yaml"]         # only if such a file changed (`*` matches anything); default: always
    rspec: true                             # the suites of changed modules, with rspec-puppet

Owns the form of the file: whatever is not exactly this is refused when it is
pushed, so that what is read later from a branch is right. Not here: which
branch's file counts, and how its commands are run (git_hooks/push/own_checks.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

import yaml

from enc.settings.config import NOT_YAML
from enc.settings.values import Duration
from enc.terms.errors import ToolkitError, bounded, one_line
from git_hooks.checks.look import File, Problem
from git_hooks.server_code.hiera_yaml import OneMeaning

NAME = ".puppetmaster.yaml"
LONGEST = 65_536
"""Bytes of the file."""
_MOST = 20
"""Checks of one branch."""
_WORDS = 100
_CHARACTERS = 8192
"""Of one command together; a longer one is a program, and belongs in the tree."""
_TIMEOUT = Duration(60)
_MEMORY = 512 << 20
_LEAST_MEMORY = 16 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class OwnCheck(NamedTuple):
    """One command that a branch wants to be run on each push."""

    name: str
    command: tuple[str, ...]
    seconds: float = float(_TIMEOUT)
    memory: int = _MEMORY
    """Bytes of all its processes together."""
    paths: tuple[str, ...] = ("*",)

    def concerns(self, paths: Iterable[str]) -> bool:
        """Tell whether it is about any of the changed `paths`."""
        return any(fnmatchcase(path, pattern) for path in paths for pattern in self.paths)


class OwnChecks(NamedTuple):
    """What a branch's file says."""

    checks: tuple[OwnCheck, ...] = ()
    rspec: bool = False


class Unreadable(ToolkitError):
    """The file is not of the form above; the text says where and why."""


def reads(file: File) -> int | None:
    """Return how much of the file is read."""
    return LONGEST if file.path == NAME else None


def check(file: File) -> Iterator[Problem]:
    """Yield why the file cannot be read."""
    if not file.is_file:
        yield Problem(file.path, "must be a plain file; links are not followed here")
    elif file.content is None:
        yield Problem(file.path, f"is larger than {LONGEST} bytes")
    else:
        try:
            parse(file.content)
        except Unreadable as error:
            yield Problem(file.path, error.message)


def parse(content: bytes) -> OwnChecks:
    """Return what the file says; raise `Unreadable`."""
    try:
        found = yaml.load(content.decode("utf-8"), Loader=OneMeaning)  # noqa: S506 - a safe loader, stricter
    except NOT_YAML as error:
        raise Unreadable(f"is not YAML in which everything is said once: {_why(error)}") from error
    said = _mapping(found if found is not None else {}, "the file", {"checks", "rspec"})
    rspec = said.get("rspec", False)
    if not isinstance(rspec, bool):
        raise Unreadable(f"rspec: {_shown(rspec)} is neither true nor false")
    listed = said.get("checks", [])
    if not isinstance(listed, list) or len(listed) > _MOST:
        raise Unreadable(f"checks: must be a list of at most {_MOST} checks")
    checks = tuple(_check(one, f"checks[{number}]") for number, one in enumerate(listed))
    names = [one.name for one in checks]
    for name in names:
        if names.count(name) > 1 or (name == "rspec" and rspec):
            raise Unreadable(f"checks: the name {name} is given twice")
    return OwnChecks(checks, rspec)


def _check(value: object, where: str) -> OwnCheck:
    said = _mapping(value, where, {"name", "command", "timeout", "memory", "paths"})
    name = said.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise Unreadable(f"{where}.name: must be a word of lower-case letters, digits, - and _ (40 at most)")
    command = _texts(said.get("command"), f"{where}.command", _WORDS)
    if sum(map(len, command)) > _CHARACTERS or not command[0]:
        raise Unreadable(f"{where}.command: must begin with a program, and have at most {_CHARACTERS} characters")
    paths = _texts(said["paths"], f"{where}.paths", 50) if "paths" in said else ("*",)
    return OwnCheck(
        name,
        command,
        _seconds(said.get("timeout", _TIMEOUT), f"{where}.timeout"),
        _bytes(said.get("memory", _MEMORY), f"{where}.memory"),
        paths,
    )


def _mapping(value: object, where: str, keys: set[str]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Unreadable(f"{where}: must be a mapping with the keys {', '.join(sorted(keys))}")
    for key in value:
        if key not in keys:
            raise Unreadable(f"{where}: there is no key {_shown(key)}; the keys are {', '.join(sorted(keys))}")
    return value


def _texts(value: object, where: str, most: int) -> tuple[str, ...]:
    given = value if isinstance(value, list) else []
    if not 0 < len(given) <= most or not all(isinstance(one, str) and one.isprintable() for one in given):
        raise Unreadable(f"{where}: must be a list of 1 to {most} texts of printable characters (quote numbers)")
    return tuple(given)


def _seconds(value: object, where: str) -> float:
    try:
        seconds = Duration.parse(value)
    except ValueError as error:
        raise Unreadable(f"{where}: {_shown(value)} is not {error}") from error
    if not 1 <= seconds <= 3600:
        raise Unreadable(f"{where}: {_shown(value)} is not between 1s and 1h")
    return float(seconds)


def _bytes(value: object, where: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([KMG]?)", str(value)) if type(value) in (int, str) else None
    if match is None:
        raise Unreadable(f"{where}: {_shown(value)} is not a number of bytes, such as 256M")
    size = int(match[1]) * _UNITS[match[2]]
    if size < _LEAST_MEMORY:
        raise Unreadable(f"{where}: {_shown(value)} is less than {_LEAST_MEMORY >> 20}M, in which no program starts")
    return size


def _why(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        place = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        return one_line(f"{place}: {error.problem}")
    return bounded(one_line(str(error)), 300)


def _shown(value: object) -> str:
    return bounded(one_line(repr(value)), 60)
