"""Every setting as text: its dotted key, what it takes, its default and its meaning.

Read from the dataclasses of settings/ and the docstrings below their fields,
so `config example` and docs/configuration.md (which a test compares with this)
say what the program does. Not here: reading anybody's file.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from enc.settings import Duration, Settings
from enc.settings.values import OneOf
from enc.terms.errors import one_line
from enc.terms.names import BranchName, EnvironmentName, ProjectName


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration file."""

    section: tuple[str, ...]
    name: str
    default: Any
    takes: str
    """What kind of value it has, for people."""
    meaning: str
    parts: tuple[Setting, ...] = ()
    """Of a list of sections: the settings of each."""

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join((*self.section, self.name))

    @property
    def default_yaml(self) -> str:
        """The default as it would stand in the file; empty if there is none."""
        return "" if self.default is dataclasses.MISSING else _yaml(self.default)


def settings() -> Iterator[Setting]:
    """Yield every setting in the order of the file."""
    yield from _settings(Settings, ())


def section_meaning(section: tuple[str, ...]) -> str:
    """Return what a section is about."""
    kind: Any = Settings
    for name in section:
        kind = typing.get_type_hints(kind)[name]
    return _sentence(inspect.getdoc(kind) or "")


def example() -> str:
    """Return a complete configuration file: every section and key, with its default, as comments that can be taken in.

    The file as it stands is valid and changes nothing.
    """
    lines = [
        "# Configuration of puppetmaster-toolkit: every setting, with its default.",
        "# Remove the '#' in front of what you change. An unknown key is refused.",
    ]
    last: tuple[str, ...] = ()
    for setting in settings():
        for depth in range(len(setting.section)):
            if setting.section[: depth + 1] != last[: depth + 1]:
                indent = "  " * depth
                if depth == 0:
                    lines.append("")
                lines += [f"{indent}# {line}" for line in _wrapped(section_meaning(setting.section[: depth + 1]))]
                lines.append(f"{indent}{setting.section[depth]}:")
        last = setting.section
        indent = "  " * len(setting.section)
        lines += [f"{indent}# {line}" for line in _wrapped(setting.meaning)]
        for part in setting.parts:
            words = _wrapped(f"{part.name}: {part.meaning}")
            lines += [f"{indent}#   {'- ' if part is setting.parts[0] else '  '}{words[0]}"]
            lines += [f"{indent}#       {line}" for line in words[1:]]
        lines.append(f"{indent}#{setting.name}: {setting.default_yaml}")
    return "\n".join(lines) + "\n"


def effective(given: Settings) -> dict[str, Any]:
    """Return all settings with the values in force, as plain values; secrets are in files and not shown."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return [plain(item) for item in value] if isinstance(value, tuple) else _plain(value)

    shown = plain(given)
    shown["nodes"]["base"] = given.nodes_base
    shown["projects"]["base"] = given.projects_base
    shown["groups"]["base"] = given.groups_base
    shown["people"]["base"] = given.people_base
    shown["people"]["operators"] = given.operators_dn
    shown["site"]["dn"] = given.site_dn
    return typing.cast(dict[str, Any], shown)


def as_yaml(document: dict[str, Any]) -> str:
    """Return plain settings as the text of a configuration file."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text


def as_text(value: Any) -> str:
    """Return one plain value on a line: a text as it is, else as the file would have it."""
    return one_line(value) if isinstance(value, str) else _yaml(value)


def _settings(kind: type, section: tuple[str, ...]) -> Iterator[Setting]:
    hints, meanings = typing.get_type_hints(kind, include_extras=True), _meanings(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(typing.cast(type, hint), (*section, field.name))
        else:
            parts = tuple(_settings(_items(hint), (*section, f"{field.name}[]"))) if _items(hint) else ()
            yield Setting(section, field.name, field.default, _takes(hint), meanings[field.name], parts)


def _items(hint: Any) -> Any:
    """Return the dataclass of which `hint` is a list, None if it is none."""
    options = typing.get_args(hint)
    is_list = typing.get_origin(hint) is tuple and dataclasses.is_dataclass(options[0])
    return options[0] if is_list else None


def _meanings(kind: type) -> dict[str, str]:
    """Return field → the docstring that follows it; Python itself does not keep those."""
    tree = ast.parse(Path(inspect.getfile(kind)).read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found: dict[str, str] = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[field.target.id] = _sentence(words)
                case _:
                    found[field.target.id] = ""
    return found


def _sentence(text: str) -> str:
    return " ".join(text.split()).replace("None: ", "null: ")


def _takes(hint: Any) -> str:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if option is type(None) else _takes(option) for option in options)
    if origin is Literal:
        return " or ".join(f"`{option}`" for option in options)
    if origin is Annotated:
        tables = (extra.names for extra in hint.__metadata__ if isinstance(extra, OneOf))
        return " or ".join(f"`{name}`" for table in tables for name in table)
    if origin is tuple:
        if dataclasses.is_dataclass(options[0]):
            return "list of sections"
        return "list of paths" if options[0] is Path else "list of texts"
    words: dict[Any, str] = {
        bool: "true or false",
        int: "whole number",
        Duration: "duration",
        Path: "absolute path",
        BranchName: "branch",
        EnvironmentName: "environment",
        ProjectName: "project",
        str: "text",
    }
    return words[hint]


def _plain(value: Any) -> Any:
    """Return a setting's value as YAML holds it."""
    if isinstance(value, Duration):
        return _duration(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path | str):
        return str(value)
    return value


def _duration(value: Duration) -> str:
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        if value >= seconds and value % seconds == 0:
            return f"{int(value / seconds)}{unit}"
    return f"{value:g}s"


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
