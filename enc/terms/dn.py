"""Distinguished names: split, compare, build (RFC 4514). Pure.

The comparison is the one that directories use for the attributes that appear
in our names (caseIgnoreMatch): case and runs of spaces do not count. Nothing
here asks a server, so attribute aliases (`commonName` for `cn`) are not known.
"""

from __future__ import annotations

import re
from functools import lru_cache

from enc.terms.errors import InvalidName, one_line

_SPECIAL = frozenset('",+;<>\\')


def escape(value: str) -> str:
    """Return `value` as it stands in a DN: every character that means something there is escaped."""
    out = []
    for index, char in enumerate(value):
        edge = index in (0, len(value) - 1)
        if char in _SPECIAL or (char == "#" and index == 0) or (char == " " and edge):
            out.append("\\" + char)
        elif not char.isprintable():
            out.extend(f"\\{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
        else:
            out.append(char)
    return "".join(out)


def _uniform(value: str) -> str:
    """Return `value` with what means something as hex pairs, so that every comma of a normal form separates."""
    if value.isprintable() and _SPECIAL.isdisjoint(value):
        return value
    return "".join(
        char
        if char.isprintable() and char not in _SPECIAL
        else "".join(f"\\{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in value
    )


def build(attribute: str, value: str, base: str) -> str:
    """Return the DN of the entry `attribute`=`value` directly below `base`."""
    return f"{attribute}={escape(value)},{base}"


def split(dn: str) -> list[str]:
    """Return the relative names of `dn`, the entry's own first; raise `InvalidName` if it is no DN."""
    if "\\" not in dn:
        parts = dn.replace(";", ",").split(",")
        if not all("=" in part for part in parts):
            raise _no_dn(dn)
        return parts
    parts = []
    current: list[str] = []
    chars = iter(dn)
    for char in chars:
        if char == "\\":
            current.append(char + next(chars, ""))
        elif char in ",;":
            parts.append("".join(current))
            current = []
        else:
            current.append(char)
    parts.append("".join(current))
    if not all("=" in part for part in parts):
        raise _no_dn(dn)
    return parts


def _no_dn(dn: str) -> InvalidName:
    return InvalidName(f"{one_line(repr(dn[:100]))} is not a distinguished name such as cn=x,dc=example,dc=org")


def _unescape(text: str) -> str:
    """Return the value that an escaped attribute value stands for."""
    if "\\" not in text:
        return text
    raw = bytearray()
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and position + 1 < len(text):
            pair = text[position + 1 : position + 3]
            if re.fullmatch(r"[0-9A-Fa-f]{2}", pair):
                raw.append(int(pair, 16))
                position += 3
                continue
            char = text[position + 1]
            position += 1
        raw.extend(char.encode("utf-8", "surrogatepass"))
        position += 1
    return raw.decode("utf-8", "replace")


def rdn(dn: str) -> tuple[str, str]:
    """Return attribute (lower-cased) and value (unescaped) of the entry's own relative name."""
    attribute, _, value = split(dn)[0].partition("=")
    return attribute.strip().lower(), _unescape(_trim(value))


def _trim(value: str) -> str:
    """Drop the spaces around a value, but not an escaped one at its end."""
    stripped = value.strip(" ")
    odd = (len(stripped) - len(stripped.rstrip("\\"))) % 2
    return stripped + " " if odd and value.rstrip(" ") != value else stripped


def parent(dn: str) -> str:
    """Return the DN above `dn`; empty at the top."""
    return ",".join(split(dn)[1:])


@lru_cache(maxsize=4096)
def normalise(dn: str) -> str:
    """Return a form of `dn` that is equal for equal names: lower-cased, spaces folded, escapes uniform.

    A name below another ends in a comma and the other's normal form.

    The empty name (the root) is itself.
    """
    if not dn.strip():
        return ""
    parts = []
    for part in split(dn):
        attribute, _, value = part.partition("=")
        folded = re.sub(" +", " ", _unescape(_trim(value)).lower()).strip(" ")
        parts.append(f"{attribute.strip().lower()}={_uniform(folded)}")
    return ",".join(parts)


def is_below(dn: str, base: str) -> bool:
    """Tell whether `dn` is somewhere below `base` (not `base` itself)."""
    above = normalise(base)
    return normalise(dn).endswith("," + above) if above else bool(dn)


def child_towards(dn: str, base: str) -> tuple[str, str] | None:
    """Return (attribute, value) of the entry directly below `base` on the way to `dn`, None if `dn` is not below.

    For cn=web1,ou=alpha,ou=hosts,S and base ou=hosts,S that is ("ou", "alpha").
    """
    if not is_below(dn, base):
        return None
    steps = len(split(base)) if base else 0
    return rdn(split(dn)[-steps - 1])
