"""The schema files are what the definitions say, and nothing that a server has is added again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import enc.directory.schema
from enc.directory.embedded_config import beside_ours
from enc.directory.schema.compare import clashes, missing
from enc.directory.schema.definitions import OID_ARC, PUPPET, PUPPETMASTER, SCHEMAS, Schema
from enc.directory.schema.render import FILE_SUFFIX, Format, definition, render

FILES = Path(enc.directory.schema.__file__).parent


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
@pytest.mark.parametrize("form", FILE_SUFFIX)
def test_the_shipped_file_is_the_definition(schema: Schema, form: Format) -> None:
    shipped = (FILES / (schema.name + FILE_SUFFIX[form])).read_text(encoding="ascii")
    assert shipped == render(schema, form), "run: python -m enc.directory.schema"


def test_puppets_oids_are_those_that_directories_have() -> None:
    arc = "1.3.6.1.4.1.34380.1.1"
    assert {item.name: item.oid for item in (*PUPPET.attributes, *PUPPET.classes)} == {
        "puppetClass": f"{arc}.3.10",
        "parentNode": f"{arc}.3.9",
        "environment": f"{arc}.3.11",
        "puppetVar": f"{arc}.3.12",
        "puppetClient": f"{arc}.1.2",
    }


def test_our_oids_never_change() -> None:
    """An OID that was published keeps its meaning; new ones are appended."""
    assert [item.oid.removeprefix(OID_ARC) for item in PUPPETMASTER.attributes] == [
        f".1.{number}" for number in range(1, 13)
    ]
    assert [item.name for item in PUPPETMASTER.attributes][:4] == [
        "puppetmasterParameter",
        "puppetmasterVariable",
        "puppetmasterData",
        "puppetmasterRemove",
    ]


def test_ldif_unfolds_to_one_line_a_value() -> None:
    unfolded = re.sub(r"\n ", "", render(PUPPET, "ldif"))
    assert "olcAttributeTypes: ( 1.3.6.1.4.1.34380.1.1.3.9 NAME 'parentNode' DESC 'Puppet Parent Node' " in unfolded


def test_what_a_server_has_by_name_or_by_oid_is_not_missing() -> None:
    assert [item.schema.name for item in missing(())] == [schema.name for schema in SCHEMAS]
    known = ["PUPPETCLASS", f"{OID_ARC}.1.1", "parentnode", "environment", "puppetvar"]
    lacks = {item.schema.name: item.names for item in missing(known)}
    assert lacks["puppet"] == ("puppetClient",)
    assert "puppetmasterParameter" not in lacks["puppetmaster"]
    assert missing(name for item in missing(()) for name in item.names) == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("( 1.3.6.1.1.1.2.2 NAME 'posixGroup' SUP top STRUCTURAL MUST ( cn $ gidNumber ) )", "STRUCTURAL"),
        ("{2}( 1.3.6.1.1.1.2.2 NAME ( 'other' ) DESC 'AUXILIARY' MUST cn )", "STRUCTURAL"),
        ("( 9.9 NAME ( 'x' 'POSIXGROUP' ) DESC ' STRUCTURAL ' SUP top abstract )", "ABSTRACT"),
        ("( 1.3.6.1.1.1.2.2 NAME 'posixGroup' DESC 'STRUCTURAL ' SUP top AUXILIARY MUST gidNumber )", None),
    ],
)
def test_a_class_of_another_kind_clashes(text: str, kind: str | None) -> None:
    assert [(clash.name, clash.found, clash.needed) for clash in clashes([text])] == (
        [("posixGroup", kind, "AUXILIARY")] if kind else []
    )


def test_what_we_do_not_define_and_what_is_ours_does_not_clash() -> None:
    ours = [definition(item) for schema in SCHEMAS for item in schema.classes]
    assert clashes(["( 1.2.3 NAME 'device' STRUCTURAL )", *ours]) == ()


def test_the_embedded_directory_takes_of_nis_what_is_not_ours() -> None:
    nis = (
        "# a comment\nattributetype ( 1.3.6.1.1.1.1.4 NAME 'loginShell'\n\tSYNTAX 1.2 )\n\n"
        "attributetype ( 1.3.6.1.1.1.1.22 NAME 'macAddress'\n\tSYNTAX 1.2 )\n"
        "objectclass ( 1.3.6.1.1.1.2.2 NAME 'posixGroup' SUP top STRUCTURAL )\n"
        "objectclass ( 1.3.6.1.1.1.2.11 NAME 'ieee802Device'\n\tMAY macAddress )"
    )
    assert [" ".join(text.split()) for text in beside_ours(nis)] == [
        "attributetype ( 1.3.6.1.1.1.1.22 NAME 'macAddress' SYNTAX 1.2 )",
        "objectclass ( 1.3.6.1.1.1.2.11 NAME 'ieee802Device' MAY macAddress )",
    ]
    assert list(beside_ours("")) == []
