"""LDAP search filters (RFC 4515): build them safely, read them, and apply them to a record. Pure.

Two uses. The *node filter* is a setting with `%s` where a name goes. Asked
about one name, it becomes a filter with the escaped name. The follower needs
the reverse: all entries that the filter could find for any name, and for each
entry the names that it answers to. And *groups* are filters that the follower
applies to its copy instead of asking the server for each of them.

Matching folds case and spaces, as the matching rules of the attributes in
question do (caseIgnoreMatch, caseIgnoreIA5Match, distinguishedNameMatch); an
attribute with a case-exact rule is matched more widely here than by a server.
Extensible matches and `~=` are refused: they mean what a server makes of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from enc.terms.errors import ConfigurationError
from enc.terms.record import Record

_ESCAPED = re.compile(r"[\x00-\x1f\x7f()*\\]|[^\x00-\x7f]|^ +| +\Z")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9.;-]*|[0-9]+(?:\.[0-9]+)*", re.ASCII)
_DEPTH = 32
_NAME = "\ue000"
"""Stands for %s inside a parsed filter: a character that is in no filter text."""


def escape(value: str) -> str:
    """Return `value` as an assertion value: what means something in a filter is escaped, byte by byte."""
    return _ESCAPED.sub(
        lambda found: "".join(f"\\{byte:02x}" for byte in found[0].encode("utf-8", "surrogatepass")), value
    )


def folded(value: str) -> str:
    """Return `value` in the form in which two values are compared."""
    if "  " in value or value[:1] == " " or value[-1:] == " ":
        value = re.sub(" +", " ", value.strip(" "))
    return value.lower()


@dataclass(frozen=True, slots=True)
class Filter:
    """One node of a parsed filter."""

    kind: Literal["and", "or", "not", "equal", "present", "substring", "at least", "at most"]
    attribute: str = ""
    pieces: tuple[str, ...] = ()
    """Of a value: one piece, or several with a * between them."""
    parts: tuple[Filter, ...] = ()

    def matches(self, record: Record) -> bool:
        """Tell whether `record` satisfies the filter."""
        if self.kind == "and":
            return all(part.matches(record) for part in self.parts)
        if self.kind == "or":
            return any(part.matches(record) for part in self.parts)
        if self.kind == "not":
            return not self.parts[0].matches(record)
        values = record.attributes.get(self.attribute, ())
        if self.kind == "present":
            return bool(values)
        wanted = self.pieces[0] if self.kind != "substring" else ""
        if self.kind == "equal":
            return any(folded(value) == wanted for value in values)
        if self.kind == "substring":
            return any(_substring(folded(value), self.pieces) for value in values)
        ordered = (_ordered(folded(value), wanted) for value in values)
        return any(sign >= 0 if self.kind == "at least" else sign <= 0 for sign in ordered)

    def leaves(self) -> Iterator[Filter]:
        """Yield the comparisons in the filter, from left to right."""
        if self.parts:
            for part in self.parts:
                yield from part.leaves()
        else:
            yield self

    def negated(self) -> Iterator[Filter]:
        """Yield the filters that stand below a `!`."""
        for part in self.parts:
            if self.kind == "not":
                yield part
            else:
                yield from part.negated()


def _substring(value: str, pieces: tuple[str, ...]) -> bool:
    first, *middle, last = pieces
    if not value.startswith(first):
        return False
    position = len(first)
    for piece in middle:
        found = value.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(value) - len(last) >= position and value.endswith(last)


_WHOLE = re.compile(r"(-?)0*([0-9]+)", re.ASCII)


def _ordered(value: str, wanted: str) -> int:
    """Return the sign of value - wanted: as whole numbers of any length, or as texts."""
    one, other = _WHOLE.fullmatch(value), _WHOLE.fullmatch(wanted)
    if one is None or other is None:
        return (value > wanted) - (value < wanted)
    # Not int(): Python refuses numbers of thousands of digits, and would be slow.
    first, second = (_signed(found[1], found[2]) for found in (one, other))
    return (first > second) - (first < second)


def _signed(sign: str, digits: str) -> tuple[int, int, str]:
    """Return what orders whole numbers without leading zeros: sign, length, digits (for negative ones reversed)."""
    if digits == "0":
        return 0, 0, ""
    if not sign:
        return 1, len(digits), digits
    return -1, -len(digits), digits.translate(_REVERSED)


_REVERSED = str.maketrans("0123456789", "9876543210")


Wrong = Callable[[str, int], ConfigurationError]
"""Makes the error that tells what is wrong, and at which character."""


def parse(text: str, *, where: str = "filter") -> Filter:
    """Read a filter; raise `ConfigurationError` with the place where it stops being one."""
    stripped = text.strip()
    if not stripped.startswith("("):
        stripped = f"({stripped})"
    result, end = _parse(stripped, 0, 0, where)
    if end != len(stripped):
        raise ConfigurationError(f"{text!r}: unexpected text after the filter at character {end + 1}", where=where)
    return result


def _parse(text: str, at: int, depth: int, where: str) -> tuple[Filter, int]:
    def wrong(what: str, place: int) -> ConfigurationError:
        return ConfigurationError(f"{text!r}: {what} at character {place + 1}", where=where)

    if depth > _DEPTH:
        raise wrong(f"more than {_DEPTH} levels", at)
    if text[at : at + 1] != "(":
        raise wrong("a '(' is missing", at)
    sign = text[at + 1 : at + 2]
    if sign in ("&", "|", "!") and sign:
        parts = []
        at += 2
        while text[at : at + 1] == "(":
            part, at = _parse(text, at, depth + 1, where)
            parts.append(part)
        if text[at : at + 1] != ")" or (sign == "!" and len(parts) != 1):
            raise wrong("a ')' is missing" if sign != "!" else "exactly one filter must follow '!'", at)
        kinds: dict[str, Literal["and", "or", "not"]] = {"&": "and", "|": "or", "!": "not"}
        return Filter(kinds[sign], parts=tuple(parts)), at + 1
    end = text.find(")", at)
    if end < 0:
        raise wrong("a ')' is missing", len(text))
    return _leaf(text[at + 1 : end], wrong, at), end + 1


def _leaf(text: str, wrong: Wrong, at: int) -> Filter:
    attribute, found, value = text.partition("=")
    kind: Literal["equal", "at least", "at most"] = "equal"
    if attribute.endswith((">", "<")):
        kind = "at least" if attribute.endswith(">") else "at most"
        attribute = attribute[:-1]
    if not found or not _ATTRIBUTE.fullmatch(attribute):
        raise wrong("not ATTRIBUTE=VALUE (extensible and approximate matches are not supported)", at)
    if "(" in value:
        raise wrong("an unescaped '(' in a value", at)
    pieces = tuple(folded_piece(piece, wrong, at) for piece in value.split("*"))
    name = attribute.lower()
    if kind == "equal" and pieces == ("", ""):
        return Filter("present", name)
    if len(pieces) == 1:
        return Filter(kind, name, (folded(pieces[0]),))
    if kind != "equal":
        raise wrong("a '*' in a comparison", at)
    return Filter("substring", name, pieces)


def folded_piece(text: str, wrong: Wrong, at: int) -> str:
    """Unescape one piece of a value and fold it; spaces at a piece's ends count."""
    raw = bytearray()
    position = 0
    while position < len(text):
        if text[position] == "\\":
            pair = text[position + 1 : position + 3]
            if not re.fullmatch(r"[0-9A-Fa-f]{2}", pair):
                raise wrong("a '\\' without two hex digits", at)
            raw.append(int(pair, 16))
            position += 3
        else:
            raw.extend(text[position].encode("utf-8", "surrogatepass"))
            position += 1
    return re.sub(" +", " ", raw.decode("utf-8", "replace")).lower()


class NodeFilter:
    """The setting `nodes.filter`, asked in both directions."""

    def __init__(self, template: str) -> None:
        """Read `template`; raise `ConfigurationError` if it is no filter or has no %s in a value."""
        if not template.strip().startswith("("):
            template = f"({template.strip()})"
        self._template = template
        where = "nodes.filter"
        if _NAME in template:
            raise ConfigurationError(f"{template!r}: holds a character that no filter may hold", where=where)
        self._filter = parse(template.replace("%s", _NAME), where=where)
        self._slots = tuple(leaf for leaf in self._filter.leaves() if any(_NAME in p for p in leaf.pieces))
        if any(_NAME in p for part in self._filter.negated() for leaf in part.leaves() for p in leaf.pieces):
            raise ConfigurationError(f"{template!r}: %s must not be inside a '!'", where=where)
        if not self._slots or any(leaf.kind != "equal" or leaf.pieces[0].count(_NAME) != 1 for leaf in self._slots):
            raise ConfigurationError(
                f"{template!r}: %s must be the name in ATTRIBUTE=VALUE, once in a value", where=where
            )
        # Of (&(objectClass=…)(attribute=%s)), the usual form, the rest is judged once and not for each name.
        self._rest: tuple[Filter, ...] | None = None
        if len(self._slots) == 1 and self._filter.kind == "and" and self._slots[0] in self._filter.parts:
            self._rest = tuple(part for part in self._filter.parts if part != self._slots[0])

    def for_name(self, name: str) -> str:
        """Return the filter that finds the entry of `name`."""
        return self._template.replace("%s", escape(name))

    def for_all(self) -> str:
        """Return a filter that finds every entry that `for_name` finds for some name.

        It asks for presence and not for a part of the value: Puppet's own
        attributes have no substring rule. `names` sorts out what is too much.
        """
        return re.sub(r"\(([^()=]+)=[^()]*%s[^()]*\)", r"(\1=*)", self._template)

    def names(self, record: Record) -> tuple[str, ...]:
        """Return the names, folded, under which the filter finds `record`; in the order of its values."""
        found: dict[str, None] = {}
        simple = self._rest is not None
        if self._rest is not None and not all(part.matches(record) for part in self._rest):
            return ()
        for leaf in self._slots:
            before, _, after = leaf.pieces[0].partition(_NAME)
            for value in record.attributes.get(leaf.attribute, ()):
                text = folded(value)
                if text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after):
                    name = text[len(before) : len(text) - len(after)]
                    # A name with a space at its end is not one that anybody asks for.
                    if name in found or name != folded(name):
                        continue
                    if simple or self._with(self._filter, name).matches(record):
                        found[name] = None
        return tuple(found)

    def _with(self, part: Filter, name: str) -> Filter:
        if part.parts:
            return Filter(part.kind, parts=tuple(self._with(p, name) for p in part.parts))
        if part in self._slots:
            return Filter(part.kind, part.attribute, (part.pieces[0].replace(_NAME, name),))
        return part
