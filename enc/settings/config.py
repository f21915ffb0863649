"""Reads the configuration: one YAML file, whose sections are the dataclasses of settings/.

It knows no defaults of its own and never touches the network; `config check` of
enc-admin tries what the values point at. Unknown keys, wrong types and values
out of range are refused with their dotted path, so that a misspelt key never
passes for a default. A key that an earlier version knew (settings/gone.py) is
passed over: whoever works for people says so (`Reading.remark`), what answers
machines is silent.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml

from enc.settings import Duration, Section, Settings
from enc.settings.gone import GONE, SINCE
from enc.settings.values import LONGEST, OneOf
from enc.terms.errors import ConfigurationError, one_line
from enc.terms.names import BranchName, EnvironmentName, ProjectName
from enc.terms.nearest import meant, nearest

DEFAULT_PATH = Path("/etc/puppetmaster/config.yaml")
ENVIRONMENT_VARIABLE = "PUPPETMASTER_CONFIG"

NOT_YAML: Final = (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError)
"""What PyYAML raises for texts that it cannot read: its own errors, and whatever its constructors run into (`!!int x`,
`!!timestamp x`, `2026-99-99`, a number of 5,000 digits, 1,000 brackets)."""


def chosen_path(option: str | None) -> Path:
    """Return the file to read: `--config`, else $PUPPETMASTER_CONFIG, else the default place."""
    return Path(option or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_PATH)


def load(path: Path) -> Settings:
    """Read `path`; raise `ConfigurationError` with file and key.

    The default file may be absent: then every setting has its default. A file
    that was asked for must exist.
    """
    return read(path).sound()


def parse(text: str, *, where: str = "configuration") -> Settings:
    """Return the settings in YAML `text`; `where` names the file in errors."""
    return examine(text, where).sound()


@dataclass(frozen=True)
class Reading:
    """What a file says, and all that is wrong with it."""

    settings: Settings
    """Where something is wrong, the default."""
    where: str
    faults: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    """Settings that the file has and that there are no more (settings/gone.py), by their dotted keys."""

    def sound(self) -> Settings:
        """Return the settings; raise `ConfigurationError` with the first fault, and how many more there are."""
        if not self.faults:
            return self.settings
        first, *more = self.faults
        words = f"; and {len(more)} more: `enc-admin config check` lists all" if more else ""
        raise ConfigurationError(first + words, where=self.where)

    @property
    def remark(self) -> str:
        """What is to be said about settings that are gone, in one line; empty if there are none."""
        if not self.gone:
            return ""
        one = len(self.gone) == 1
        return one_line(
            f"{self.where}: {', '.join(self.gone)}: {'this setting is' if one else 'these settings are'} no longer "
            f"used since version {SINCE} and ignored; remove {'it' if one else 'them'} "
            "(`enc-admin config check` says what applies instead)"
        )


def read(path: Path) -> Reading:
    """Read `path` to its end, whatever is wrong in it; raise `ConfigurationError` only if there is no text to read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path == DEFAULT_PATH:
            return Reading(Settings(), str(path))
        raise ConfigurationError("no such configuration file", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {_said(error)}", where=str(path)) from error
    return examine(text, str(path))


class _OnceEach(yaml.SafeLoader):
    """YAML's safe reader that notes a key which stands twice, where PyYAML would silently keep the last."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.twice: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Look at each mapping as it is written: a merge (`<<`) of it elsewhere brings keys into it."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                self.twice.append(f"line {key.start_mark.line + 1}: {key.value} appears twice in this mapping")
            seen.add((key.tag, str(key.value)))
        return node


def examine(text: str, where: str) -> Reading:
    """Return all that YAML `text` says, and all that is wrong with it. Pure."""
    try:
        loader = _OnceEach(text)
        document = loader.get_single_data()
    except NOT_YAML as error:
        return Reading(Settings(), where, (one_line(f"is not YAML: {' '.join(str(error).split())}"),))
    look = _Look()
    settings = look.section(Settings, {} if document is None else document, "")
    return Reading(settings or Settings(), where, (*loader.twice, *look.faults), tuple(look.gone))


T = TypeVar("T", bound=Section)


_WRONG: Final = object()
"""Instead of a value that is none."""


class _Look:
    """One look at a whole document; notes what is wrong and goes on."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.gone: list[str] = []

    def section(self, cls: type[T], value: object, path: str) -> T | None:
        """Return the section, with defaults for what is wrong in it; None if it cannot be one."""
        if not isinstance(value, Mapping):
            self.faults.append(f"{path or 'the file'} must be a mapping of settings")
            return None
        before = len(self.faults)
        fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        hints = typing.get_type_hints(cls, include_extras=True)
        chosen: dict[str, Any] = {}
        for key, item in value.items():
            dotted = f"{path}.{key}" if path else str(key)
            if dotted in GONE:
                self.gone.append(dotted)
            elif key not in fields:
                known = f"known here: {', '.join(sorted(fields))}"
                self.faults.append(f"unknown key {dotted}{key_meant(path, str(key), fields)} ({known})")
            else:
                # Only what is an empty list by default may be one.
                empty = item == [] and fields[key].default == ()
                chosen[key] = () if empty else self.value(hints[key], item, dotted)
        needed = [name for name, it in fields.items() if it.default is it.default_factory is dataclasses.MISSING]
        if lacking := [name for name in needed if name not in value]:
            self.faults.append(f"{path}: needs {', '.join(lacking)}")
        chosen = {key: item for key, item in chosen.items() if item is not _WRONG}
        if any(name not in chosen for name in needed):
            return None
        section = cls(**chosen)
        if len(self.faults) == before:  # what it says of defaults in the place of what is wrong helps nobody
            self.faults += [f"{'.'.join(filter(None, (path, key)))}: {fault}" for key, fault in section.faults()]
        return section

    def value(self, kind: Any, value: object, path: str) -> Any:
        """Turn one YAML value into the type that the dataclass's field declares; `_WRONG` if it is none."""
        options = typing.get_args(kind)
        if isinstance(kind, type) and issubclass(kind, Section):
            section = self.section(kind, {} if value is None else value, path)
            return _WRONG if section is None else section
        if typing.get_origin(kind) is tuple and options[0] is not str and isinstance(value, list) and value:
            items = [self.value(options[0], item, f"{path}[{index}]") for index, item in enumerate(value)]
            return _WRONG if _WRONG in items else tuple(items)
        try:
            return _plain(kind, value)
        except ValueError as error:
            self.faults.append(f"{path}: {value!r} is not {error}")
            return _WRONG


def keys(kind: type[Section] = Settings, above: str = "") -> Iterator[str]:
    """Yield the dotted key of every setting, in the order of the file; a list of sections is one."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from keys(hint, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}"


def key_meant(section: str, name: str, known: Iterable[str]) -> str:
    """Return the end of a message about `name`, which is none of what `section` has: what was meant, or nothing.

    That is a setting of this very name elsewhere, else the nearest in the section.
    """
    near = [key for key in keys() if key.rpartition(".")[2] == name]
    if not near or len(near) > 3:  # a name that is everywhere tells nothing
        near = [f"{section}.{one}" if section else one for one in nearest(name, known)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _choice_meant(value: object, choices: Iterable[str]) -> str:
    return meant(value, choices) if isinstance(value, str) else ""


def _plain(kind: Any, value: object) -> Any:
    """Return a value that has no settings of its own; raise ValueError with what it should be."""
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in options:
            return None
        rest = [option for option in options if option is not type(None)]
        for option in rest[:-1]:
            if typing.get_origin(option) is Literal and value in typing.get_args(option):
                return value
        return _plain(rest[-1], value)
    if origin is Literal:
        if value in options and isinstance(value, str):
            return value
        if value is False and "off" in options:
            return "off"  # what YAML makes of the word without quotes
        raise ValueError(f"one of {', '.join(options)}{_choice_meant(value, options)}")
    if origin is Annotated:
        (table,) = (extra for extra in kind.__metadata__ if isinstance(extra, OneOf))
        if isinstance(value, str) and value in table.names:
            return value
        raise ValueError(f"one of {', '.join(table.names)}{_choice_meant(value, table.names)}")
    if origin is tuple:
        if isinstance(value, list) and value and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        raise ValueError("a list of texts, not empty" if options[0] is str else "a list, not empty")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("true or false")
    if kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        raise ValueError("a whole number above 0")
    if kind is Duration:
        if (duration := Duration.parse(value)) < LONGEST:
            return duration
        raise ValueError("a duration of less than 11574d")
    if kind is Path:
        if isinstance(value, str) and value.startswith("/"):
            return Path(value)
        raise ValueError("an absolute path")
    if kind in (BranchName, EnvironmentName, ProjectName):
        if isinstance(value, str) and kind.accepts(value):
            return kind(value)
        raise ValueError(kind.rule)
    if isinstance(value, str) and value:
        return value
    raise ValueError("a text (quote it if YAML reads it as something else)")


def read_secret(path: Path) -> str:
    """Return the secret in `path` without its final newline.

    Raise `ConfigurationError` if it cannot be read, is empty, or if others
    than owner and group may read it.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            secret = stream.read().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the secret cannot be read: {_said(error)}", where=str(path)) from error
    if mode & 0o007:
        raise ConfigurationError(f"mode {mode:04o} lets everybody read this secret; chmod o-rwx it", where=str(path))
    if not secret:
        raise ConfigurationError("the secret is empty", where=str(path))
    return secret


def _said(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read, without its place; programs/machine_trouble.py stands above this room."""
    return f"byte {error.start + 1} is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
