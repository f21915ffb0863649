"""LDIF content (RFC 2849) as entries with their line numbers. Pure: lines in, entries or problems out.

An entry that cannot be read is a `Problem`, and reading goes on with the next
one. Change records other than additions are refused: an import says what is to
be, not what is to happen. `attribute:< URL` is refused, since a file that we
are given must not choose which of our files are read. What slapcat prints of
the server's own (entryUUID, creatorsName, …) is dropped.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from enc.importing.outcome import Problem
from enc.terms import dn
from enc.terms.errors import InvalidName, one_line

LONGEST_ENTRY = 8 << 20
"""Characters of one entry."""

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9-]+)*", re.ASCII)

OPERATIONAL = frozenset(
    {
        *("entryuuid", "entrycsn", "entrydn", "structuralobjectclass", "creatorsname", "createtimestamp"),
        *("modifiersname", "modifytimestamp", "contextcsn", "hassubordinates", "numsubordinates"),
        *("subschemasubentry", "pwdchangedtime", "memberof", "authtimestamp"),
    }
)
"""What servers write themselves (RFC 4512, section 3.4, and OpenLDAP's overlays)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file."""

    line: int
    dn: str
    attributes: dict[str, tuple[str, ...]]
    """As spelled in the file; without what servers write themselves."""


def read(lines: Iterable[str], file: str) -> Iterator[Entry | Problem]:
    """Yield the entries of LDIF `lines`; `file` names it in problems."""
    for number, block in _blocks(lines):
        try:
            entry = _entry(number, block)
        except _Unreadable as error:
            yield Problem(f"{file}:{error.line}", str(error))
        else:
            if entry is not None:
                yield entry


class _Unreadable(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _blocks(lines: Iterable[str]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Yield (line, logical lines) of each block between empty lines; folded lines joined, comments dropped."""
    block: list[tuple[int, list[str]]] = []
    number = size = 0
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n")
        if not line:
            if block:
                yield block[0][0], _joined(block)
            block, size = [], 0
            continue
        size += len(line)
        if size > LONGEST_ENTRY:
            # What is too long to be an entry is one whose first line says so, and is not kept.
            block = [(block[0][0] if block else number, ["\0"])]
        elif line.startswith(" ") and block:
            block[-1][1].append(line[1:])
        else:
            block.append((number, [line]))
    if block:
        yield block[0][0], _joined(block)


def _joined(block: list[tuple[int, list[str]]]) -> list[tuple[int, str]]:
    joined = ((number, "".join(pieces)) for number, pieces in block)
    return [(number, line) for number, line in joined if not line.startswith("#")]


def _entry(first: int, block: list[tuple[int, str]]) -> Entry | None:
    place: str | None = None
    begins = first
    attributes: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    for number, line in block:
        name, value = _line(number, line)
        lower = name.lower()
        if lower == "version" and place is None and not attributes:
            if value != "1":
                raise _Unreadable(number, "only LDIF version 1 is known")
        elif lower == "dn" and place is None:
            place, begins = _place(number, value), number
        elif place is None:
            raise _Unreadable(number, "an entry must begin with its dn")
        elif lower == "changetype":
            if value != "add":
                raise _Unreadable(number, f"changetype {one_line(value)}: only entries can be imported, not changes")
        elif lower not in OPERATIONAL:
            values = attributes.setdefault(spelled.setdefault(lower, name), [])
            if value not in values:
                values.append(value)
    if place is None:
        return None
    if "objectclass" not in spelled:
        raise _Unreadable(begins, "an entry needs an objectClass")
    attribute, value = dn.rdn(place)
    if attribute not in spelled and "+" not in attribute:
        attributes[attribute] = [value]
    return Entry(begins, place, {name: tuple(values) for name, values in attributes.items()})


def _line(number: int, line: str) -> tuple[str, str]:
    name, colon, rest = line.partition(":")
    if line.startswith("\0"):
        raise _Unreadable(number, f"an entry is longer than {LONGEST_ENTRY} characters")
    if not colon or not _ATTRIBUTE.fullmatch(name):
        raise _Unreadable(number, f"not ATTRIBUTE: VALUE: {one_line(line[:60])}")
    if rest.startswith("<"):
        raise _Unreadable(number, f"{name}: values given by a URL are not fetched")
    if not rest.startswith(":"):
        value = rest.lstrip(" ")
    else:
        try:
            value = base64.b64decode(rest[1:].strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _Unreadable(number, f"{name}: not base64 of a UTF-8 text") from error
    if "\0" in value:
        raise _Unreadable(number, f"{name}: a NUL character")
    return name, value


def _place(number: int, value: str) -> str:
    try:
        dn.split(value)
    except InvalidName as error:
        raise _Unreadable(number, str(error)) from error
    return value
