"""Where each setting's value comes from: a line of the file, or the default.

Reads the file for its places only; what the values are, and whether they are
sound, is config.py's.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from enc.settings import Section, Settings
from enc.settings.config import DEFAULT_PATH, ENVIRONMENT_VARIABLE, NOT_YAML, key_meant, keys
from enc.settings.gone import GONE, SINCE
from enc.terms.errors import NotFound, UsageError, bounded, one_line


class Origin(NamedTuple):
    """Where one setting's value comes from."""

    line: int | None
    """Of the file, from 1; None: the default."""


Chooser = Literal["option", "environment", "default"]


def chooser(option: str | None, environment: Mapping[str, str]) -> Chooser:
    """Return what named the configuration file."""
    if option:
        return "option"
    return "environment" if environment.get(ENVIRONMENT_VARIABLE) else "default"


def told(path: Path, named_by: Chooser) -> str:
    """Return which file it is, for people."""
    if not path.is_file() and path == DEFAULT_PATH:
        return f"there is no {path}, so each setting has its default"
    how = {"option": "--config", "environment": f"${ENVIRONMENT_VARIABLE}", "default": "the default place"}
    return one_line(f"read from {path} ({how[named_by]})")


def origins(path: Path) -> dict[str, Origin]:
    """Return each setting's origin by its dotted key; a list of sections counts as one setting."""
    lines: dict[str, int] = {}
    if path.is_file():
        try:
            loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
            node = loader.get_single_node()
            if node is not None:
                loader.construct_document(node)  # takes what `<<` merges in where it is merged
            lines = dict(_lines(Settings, node, ""))
        except (OSError, *NOT_YAML):
            lines = {}  # config.py has read it a moment ago, and would have said it
    return {key: Origin(lines.get(key)) for key in keys()}


def _lines(kind: type, node: object, above: str) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    hints = typing.get_type_hints(kind)
    for key, value in node.value:
        hint = hints.get(str(key.value))
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from _lines(hint, value, f"{above}{key.value}.")
        elif hint is not None:
            yield f"{above}{key.value}", key.start_mark.line + 1


def part(document: Mapping[str, Any], key: str) -> Any:
    """Return what stands in a document of settings at `key`, a setting's or a section's.

    Raise `UsageError`, or `NotFound` if there was such a setting once.
    """
    found: Any = document
    above: list[str] = []
    for name in key.split("."):
        if not isinstance(found, Mapping) or name not in found:
            if key in GONE:
                raise NotFound(f"was removed in version {SINCE}: {GONE[key]}", where=key)
            near = key_meant(".".join(above), name, found if isinstance(found, Mapping) else ())
            raise UsageError(f"there is no setting {one_line(bounded(key, 100))}{near or '; `config show` lists all'}")
        found = found[name]
        above.append(name)
    return found


def annotated(document: Mapping[str, Any], found: Mapping[str, Origin], above: str = "") -> Iterator[str]:
    """Yield settings as the lines of a configuration file that tells in comments where each value comes from."""
    indent = "  " * above.count(".")
    for name, value in document.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and key not in found:
            yield f"{indent}{name}:"
            yield from annotated(value, found, f"{key}.")
            continue
        line = found[key].line
        words = "default" if line is None else f"line {line}"
        text = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=10_000)
        first, *rest = text.rstrip("\n").split("\n")
        if rest and not isinstance(value, list):  # a text of several lines, in which a comment would be text
            yield f"{indent}# {words}"
            yield f"{indent}{first}"
        else:
            yield f"{indent}{first}  # {words}"
        yield from (f"{indent}{line}" for line in rest)
