"""What of a hiera.yaml reads outside of its tree, or lets somebody choose what is read. Pure.

Facts from Puppet's sources (pops/lookup/hiera_config.rb, interpolation.rb): a
level names a function that reads, and paths, globs, URIs or options that it
gets; `%{…}` in them is filled in from the scope, and facts are what an agent
says they are. A path is joined to the datadir, that to the module or
environment, and `..` and absolute paths are taken as they are.

So a members' hiera.yaml says only what is known to stay in its tree: Puppet's
own readers, relative paths, and `%{…}` only with values that neither an agent nor
code can set; such a value may be empty. Anything else must be reviewed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

import yaml

from enc.settings.config import NOT_YAML
from enc.terms.errors import bounded, one_line

_READERS = {"data_hash": ("yaml_data", "json_data", "hocon_data"), "lookup_key": ("eyaml_lookup_key",)}
_PATHS = ("path", "glob", "datadir")
_LISTS = ("paths", "globs")
_TRUSTED = re.compile(
    r"(?:::)?(?:trusted\.(?:certname|hostname|domain)|trusted\.external\.[a-z_][a-z0-9_.]*"
    r"|server_facts\.environment)|::environment",
    re.ASCII,
)
"""Variables that no code can hide behind one of its own: Puppet keeps `trusted` and `server_facts` to itself, but a
parameter of a block may be called `environment` or `module_name`."""
_FILLED = re.compile(r"%\{([^{}]*)\}")
_LONGEST = 65_536


class OneMeaning(yaml.SafeLoader):
    """Refuses what makes one text mean two things: keys that come twice, aliases, tags."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias: what it says is somewhere else, and can be said a million times."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("has an alias; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Refuse a key that comes twice: Ruby takes the last one, others another."""
        keys = [key.value for key, _ in node.value]
        if len(keys) != len(set(map(str, keys))):
            raise yaml.YAMLError("has a key twice")
        return super().construct_mapping(node, deep)


def faults(content: bytes, limited: Collection[str] = ()) -> Iterator[str]:
    """Yield what of a hiera.yaml members may not say, a few words each; `limited`: patterns of functions."""
    if len(content) > _LONGEST:
        yield f"is larger than {_LONGEST} bytes"
        return
    try:
        found = yaml.load(content.decode("utf-8"), Loader=OneMeaning)  # noqa: S506 - a safe loader, stricter
    except NOT_YAML as error:
        yield bounded(one_line(f"cannot be read as YAML: {error}"))
        return
    if found is None:
        return
    if not isinstance(found, dict) or found.get("version") != 5:
        yield "is not version 5"
        return
    for key, value in found.items():
        if key == "defaults":
            yield from _level("defaults", value, limited)
        elif key in ("hierarchy", "default_hierarchy"):
            for number, level in enumerate(value if isinstance(value, list) else (), 1):
                yield from _level(f"level {number} of {key}", level, limited)
            if value is not None and not isinstance(value, list):
                yield f"{key} is not a list"
        elif key != "version":
            yield f"sets {str(key)[:50]}"


def _level(where: str, level: object, limited: Collection[str]) -> Iterator[str]:
    if not isinstance(level, dict):
        yield f"{where} is not a mapping"
        return
    for key, value in level.items():
        if key == "name":
            continue
        if key in _READERS:
            if value not in _READERS[key] and not _ours(value, limited):
                yield f"{where} reads with {str(value)[:80]!r} (known: {', '.join(_READERS[key])})"
        elif key in _PATHS:
            yield from _path(where, value)
        elif key in _LISTS:
            for one in value if isinstance(value, list) else (value,):
                yield from _path(where, one)
        else:
            yield f"{where} sets {str(key)[:50]}"


def _ours(name: object, limited: Collection[str]) -> bool:
    """Tell whether it is a function of a module: in Puppet it was read as all manifests are, in Ruby it is reviewed."""
    if not isinstance(name, str) or any(fnmatchcase(name, pattern) for pattern in limited):
        return False
    return re.fullmatch(r"[a-z][a-z0-9_]*(?:::[a-z][a-z0-9_]*)+", name, re.ASCII) is not None


def _path(where: str, path: object) -> Iterator[str]:
    if not isinstance(path, str):
        yield f"{where} has a path that is not a text"
        return
    if any(_leaves(_FILLED.sub(value, path)) for value in ("x", "")):
        yield f"{where} has the path {path[:80]!r}; write one that stays in the tree"
    for found in _FILLED.findall(path):
        if not _TRUSTED.fullmatch(found.strip()):
            yield (
                f"{where} has %{{{found[:60]}}} in a path, and an agent or a manifest can set that; "
                "use %{trusted.certname}, %{trusted.external.…} or %{::environment}"
            )


def _leaves(path: str) -> bool:
    """Tell whether a path with nothing left to fill in, or a glob, may lead out of the tree.

    Of what a glob matches, names that begin with a dot are another matter in each version of Ruby.
    """
    parts = path.split("/")
    odd = any(part.startswith(".") and set(part) & set("*?[") for part in parts)
    return odd or ".." in parts or path.startswith(("/", "~")) or bool(set(path) & set("\0\\{}"))
