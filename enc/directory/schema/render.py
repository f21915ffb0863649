"""Schema definitions as text: for slapd.conf and for cn=config. Pure.

What the definitions are stands in definitions.py; how they reach a server, in
install.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from enc.directory.schema.definitions import AttributeType, ObjectClass, Schema

Format = Literal["ldif", "conf"]

FILE_SUFFIX: dict[Format, str] = {"ldif": ".ldif", "conf": ".schema"}


def definition(item: AttributeType | ObjectClass) -> str:
    """Return one definition in a single line, as an olcAttributeTypes or olcObjectClasses value."""
    return f"( {' '.join(item.parts)} )"


def render(schema: Schema, form: Format) -> str:
    """Return the file of `schema`: an entry below cn=schema,cn=config, or slapd.conf directives."""
    return _ldif(schema) if form == "ldif" else _conf(schema)


def _ldif(schema: Schema) -> str:
    return "\n".join(
        [
            f"# {schema.title}",
            "# Load with: ldapadd -Q -Y EXTERNAL -H ldapi:/// -f THIS-FILE",
            f"dn: cn={schema.name},cn=schema,cn=config",
            "objectClass: olcSchemaConfig",
            f"cn: {schema.name}",
            *(f"olcAttributeTypes: {_wrapped(item, '  ')}" for item in schema.attributes),
            *(f"olcObjectClasses: {_wrapped(item, '  ')}" for item in schema.classes),
            "",
        ]
    )


def _conf(schema: Schema) -> str:
    blocks: Iterable[str] = (
        *(f"attributetype {_wrapped(item, chr(9))}\n" for item in schema.attributes),
        *(f"objectclass {_wrapped(item, chr(9))}\n" for item in schema.classes),
    )
    return f"# {schema.title}\n# Load with an include line in slapd.conf.\n\n" + "\n".join(blocks)


def _wrapped(item: AttributeType | ObjectClass, indent: str) -> str:
    """One clause a line. LDIF removes one blank of a continued line, hence its indent of two."""
    return f"( {f'{chr(10)}{indent}'.join(item.parts)} )"
