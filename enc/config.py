"""Reads the configuration: one YAML file, whose sections are the dataclasses of settings/.

It knows no defaults of its own and never touches the network; `config check` of
enc-admin tries what the values point at. Unknown keys, wrong types and values
out of range are refused with their dotted path, so that a misspelt key never
passes for a default.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import types
import typing
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from enc.errors import ConfigurationError
from enc.names import BranchName, EnvironmentName, ProjectName
from enc.settings import Duration, Section, Settings
from enc.settings.values import OneOf

DEFAULT_PATH = Path("/etc/puppetmaster/config.yaml")
ENVIRONMENT_VARIABLE = "PUPPETMASTER_CONFIG"


def chosen_path(option: str | None) -> Path:
    """Return the file to read: `--config`, else $PUPPETMASTER_CONFIG, else the default place."""
    return Path(option or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_PATH)


def load(path: Path) -> Settings:
    """Read `path`; raise `ConfigurationError` with file and key.

    The default file may be absent: then every setting has its default. A file
    that was asked for must exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path == DEFAULT_PATH:
            return Settings()
        raise ConfigurationError("no such configuration file", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}", where=str(path)) from error
    return parse(text, where=str(path))


class _OnceEach(yaml.SafeLoader):
    """YAML's safe reader that takes no key twice, where PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice in this mapping", node.start_mark)
        return mapping


def parse(text: str, *, where: str = "configuration") -> Settings:
    """Return the settings in YAML `text`; `where` names the file in errors."""
    try:
        document = yaml.load(text, _OnceEach)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigurationError(f"is not YAML: {' '.join(str(error).split())}", where=where) from error
    return _section(Settings, {} if document is None else document, "", where)


T = TypeVar("T", bound=Section)


def _section(cls: type[T], value: object, path: str, where: str) -> T:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{path or 'the file'} must be a mapping of settings", where=where)
    hints = typing.get_type_hints(cls, include_extras=True)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    for key, item in value.items():
        dotted = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise ConfigurationError(f"unknown key {dotted} (known here: {', '.join(sorted(known))})", where=where)
        # Only what is an empty list by default may be one.
        empty = item == [] and defaults[key] == ()
        chosen[key] = () if empty else _value(known[key], item, dotted, where)
    needed = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.default is f.default_factory is dataclasses.MISSING and f.name not in chosen
    ]
    if needed:
        raise ConfigurationError(f"{path}: needs {', '.join(needed)}", where=where)
    section = cls(**chosen)
    for key, fault in section.faults():
        raise ConfigurationError(f"{'.'.join(filter(None, (path, key)))}: {fault}", where=where)
    return section


def _value(kind: Any, value: object, path: str, where: str) -> Any:
    """Turn one YAML value into the type that the dataclass's field declares."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        rest = [option for option in options if option is not type(None)]
        for option in rest[:-1]:
            if typing.get_origin(option) is Literal and value in typing.get_args(option):
                return value
        return _value(rest[-1], value, path, where)
    if isinstance(kind, type) and issubclass(kind, Section):
        return _section(kind, {} if value is None else value, path, where)
    wanted: str
    if origin is Literal:
        if value in typing.get_args(kind) and isinstance(value, str):
            return value
        wanted = "one of " + ", ".join(typing.get_args(kind))
    elif origin is Annotated:
        (table,) = (extra for extra in kind.__metadata__ if isinstance(extra, OneOf))
        if isinstance(value, str) and value in table.names:
            return value
        wanted = "one of " + ", ".join(table.names)
    elif origin is tuple:
        (item_kind, _) = typing.get_args(kind)
        if isinstance(value, list) and value and item_kind is not str:
            return tuple(_value(item_kind, item, f"{path}[{index}]", where) for index, item in enumerate(value))
        if isinstance(value, list) and value and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        wanted = "a list, not empty" if item_kind is not str else "a list of texts, not empty"
    elif kind is bool:
        if isinstance(value, bool):
            return value
        wanted = "true or false"
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        wanted = "a whole number above 0"
    elif kind is Duration:
        try:
            return Duration.parse(value)
        except ValueError as error:
            wanted = str(error)
    elif kind is Path:
        if isinstance(value, str) and value.startswith("/"):
            return Path(value)
        wanted = "an absolute path"
    elif kind in (BranchName, EnvironmentName, ProjectName):
        if isinstance(value, str) and kind.accepts(value):
            return kind(value)
        wanted = kind.rule
    else:
        if isinstance(value, str) and value:
            return value
        wanted = "a text (quote it if YAML reads it as something else)"
    raise ConfigurationError(f"{path}: {value!r} is not {wanted}", where=where)


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
        raise ConfigurationError(f"the secret cannot be read: {error}", where=str(path)) from error
    if mode & 0o007:
        raise ConfigurationError(f"mode {mode:04o} lets everybody read this secret; chmod o-rwx it", where=str(path))
    if not secret:
        raise ConfigurationError("the secret is empty", where=str(path))
    return secret
