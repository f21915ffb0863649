"""A catalog as puppetserver's JSON has it: resources by type and title. Pure.

The form is that of Puppet's `Catalog#to_data_hash` and `Resource#to_data_hash`
(lib/puppet/resource/catalog.rb, resource.rb), which `POST /puppet/v4/catalog`
answers. Rich values are pcore's: mappings with `__ptype` (Sensitive, Binary,
Deferred …).

What is only virtual is left out: no agent applies it. What is exported stays,
and says so: it is no part of the node itself, but other nodes may collect it.

Not here: comparing (compare.py), asking (client.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from enc.terms.errors import ToolkitError


class BadCatalog(ToolkitError):
    """What should be a catalog is none."""


class Key(NamedTuple):
    """What makes a resource the same one before and after."""

    type: str
    name: str
    """Its title; of a File its path, since a title is only a word for it."""

    def __str__(self) -> str:
        """Return it as Puppet writes references."""
        return f"{self.type}[{self.name}]"


class Resource(NamedTuple):
    """One resource."""

    key: Key
    parameters: Mapping[str, Any]
    """Without Puppet's own bookkeeping."""
    sensitive: frozenset[str]
    """Parameters that were Sensitive; Puppet writes their values in the open beside this list."""
    exported: bool
    file: str
    """Where it is declared, in the tree (modules/a/manifests/init.pp); empty: nowhere."""
    line: int


class Catalog(NamedTuple):
    """All that one node gets."""

    resources: Mapping[Key, Resource]
    """Also classes, as Class[Name], and defined types."""
    classes: tuple[str, ...]


def read(text: bytes | str, tree: str = "") -> Catalog:
    """Read a catalog's JSON; raise `BadCatalog`. `tree`: the path of the environment that it was compiled from."""
    try:
        return of(json.loads(text), tree)
    except (ValueError, RecursionError) as error:
        raise BadCatalog("puppetserver sent something that is not JSON") from error


def of(document: object, tree: str = "") -> Catalog:
    """Return the catalog that a document holds; raise `BadCatalog`."""
    if isinstance(document, Mapping) and isinstance(document.get("catalog"), Mapping):
        document = document["catalog"]  # as v4 wraps it
    if not isinstance(document, Mapping) or not isinstance(document.get("resources"), list):
        raise BadCatalog("puppetserver sent something that is not a catalog")
    found: dict[Key, Resource] = {}
    for one in _resources(document["resources"], f"{tree}/"):
        # Two that differ only in letters' case, or a path beside a title: both stay.
        place = one.key if one.key not in found else one.key._replace(name=f"{one.key.name} (again)")
        found[place] = one
    classes = document.get("classes", ())
    return Catalog(found, tuple(name for name in classes if isinstance(name, str)))


def _resources(entries: list[Any], tree: str) -> Iterator[Resource]:
    nothing: frozenset[str] = frozenset()
    for entry in entries:
        # json makes dictionaries; asking for a Mapping takes ten times as long, and there are thousands.
        if type(entry) is not dict:
            raise BadCatalog("puppetserver sent a catalog with something that is not a resource")
        exported = entry.get("exported") is True
        if entry.get("virtual") is True and not exported:
            continue
        kind, title = str(entry.get("type", "")), str(entry.get("title", ""))
        parameters = entry.get("parameters", {})
        if type(parameters) is not dict:
            raise BadCatalog(f"puppetserver sent {kind}[{title}] without parameters")
        name = title
        if kind == "File":
            if isinstance(parameters.get("path"), str):
                parameters = dict(parameters)
                name = parameters.pop("path")
            name = name.rstrip("/") or "/"
        sensitive, file, line = entry.get("sensitive_parameters"), entry.get("file"), entry.get("line")
        yield Resource(
            Key(kind, name),
            parameters,
            frozenset(map(str, sensitive)) if type(sensitive) is list else nothing,
            exported,
            file.removeprefix(tree) if type(file) is str else "",
            line if type(line) is int else 0,
        )
