"""What a server's schema lacks of ours, and what it defines otherwise. Pure.

Definitions that a server has under our name or OID count as ours: it keeps its
own. One difference is more than a matter of taste: the kind of an object class.
RFC 2307's posixGroup (OpenLDAP's nis.schema) is STRUCTURAL, so no project's
entry, which is a groupOfNames, can be one; RFC 2307bis' is AUXILIARY.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from enc.directory.schema.definitions import SCHEMAS, AttributeType, ObjectClass, Schema


@dataclass(frozen=True)
class Missing:
    """What a server lacks of one schema; nothing, if both are empty."""

    schema: Schema
    attributes: tuple[AttributeType, ...]
    classes: tuple[ObjectClass, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The missing names, for people."""
        items: tuple[AttributeType | ObjectClass, ...] = (*self.attributes, *self.classes)
        return tuple(item.name for item in items)


def missing(known: Iterable[str]) -> tuple[Missing, ...]:
    """Return, for each schema that is not complete, what it lacks.

    `known` holds the names and OIDs that the server defines, in any case.
    """
    have = {name.lower() for name in known}

    def lacks(item: AttributeType | ObjectClass) -> bool:
        return item.oid not in have and item.name.lower() not in have

    found = (
        Missing(
            schema,
            tuple(item for item in schema.attributes if lacks(item)),
            tuple(item for item in schema.classes if lacks(item)),
        )
        for schema in SCHEMAS
    )
    return tuple(item for item in found if item.names)


@dataclass(frozen=True)
class Clash:
    """An object class that the server has, and that is of another kind than ours."""

    schema: Schema
    name: str
    found: str
    """The kind that the server says."""
    needed: str
    """The kind that we need."""


def clashes(definitions: Iterable[str]) -> tuple[Clash, ...]:
    """Return what the server defines otherwise; `definitions`: of its object classes, others do no harm."""
    ours = {
        name.lower(): (schema, item) for schema in SCHEMAS for item in schema.classes for name in (item.name, item.oid)
    }
    found: dict[str, Clash] = {}
    for text in definitions:
        named = [name.lower() for name in names_in([text])]
        schema, item = next((ours[name] for name in named if name in ours), (None, None))
        if schema is not None and item is not None and (kind := _kind(text)) != item.kind:
            found[item.name] = Clash(schema, item.name, kind, item.kind)
    return tuple(found.values())


def _kind(definition: str) -> str:
    """Return the kind of an object class; RFC 4512, section 4.1.1: STRUCTURAL where none is said."""
    bare = re.sub(r"'[^']*'", "", definition)
    said = re.search(r"\s(ABSTRACT|STRUCTURAL|AUXILIARY)(?=[\s)])", bare, re.IGNORECASE)
    return said[1].upper() if said else "STRUCTURAL"


def names_in(definitions: Iterable[str]) -> Iterable[str]:
    """Yield the OID and every name of each definition (RFC 4512, section 4.1)."""
    for text in definitions:
        if found := re.match(r"(?:\{\d+\})?\(\s*([^\s)]+)(?:\s+NAME\s+(?:'([^']+)'|\(([^)]*)\)))?", text):
            yield found[1]
            yield from re.findall(r"[^\s']+", found[2] or found[3] or "")
