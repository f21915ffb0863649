"""Typed values as our schema stores them: `name=JSON`. Pure.

JSON, because every admin tool can write it and nothing in it depends on who
reads it. What YAML could not carry to Ruby unchanged is refused here, at the
door, and not found out in a catalog.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from enc.classify.model import Value

DEEPEST = 32
"""Levels of nesting. Puppet and YAML readers recurse."""
LONGEST_KEY = 160
"""Characters of a key. YAML takes only short keys without a '?' (1,024 characters, escapes counted)."""

_TOO_LONG = "a number that does not fit Puppet's Integer (64 bits)"


def read(text: str) -> Value:
    """Return the value that JSON `text` stands for; raise ValueError with the rule it breaks."""
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST} levels") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at character {error.pos + 1}); a text needs double quotes") from None
    except ValueError as error:
        # Python reads no number of thousands of digits, and its words for that speak to programmers.
        raise ValueError(_TOO_LONG if "digits" in str(error) else str(error)) from None
    check(value)
    return value  # type: ignore[no-any-return]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one mapping")
    return result


def check(value: object, depth: int = 0) -> None:
    """Raise ValueError if `value` is not one that arrives in Puppet as it is."""
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or _length(key) > LONGEST_KEY:
                raise ValueError(f"a key that is no text of at most {LONGEST_KEY} characters")
            if key == "<<":
                raise ValueError("the key '<<' would merge mappings in YAML")
            _check_text(key)
            check(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check(item, depth + 1)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("a number that is not finite")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(_TOO_LONG)
    elif not isinstance(value, bool | int | None):
        raise ValueError(f"{type(value).__name__} is no JSON value")


def _length(key: str) -> int:
    """Return the length with characters beyond 16 bits, whose escapes are longest, counted twice."""
    return len(key) if key.isascii() else len(key.encode("utf-16-le", "surrogatepass")) // 2


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("half of a surrogate pair")


def write(value: Value) -> str:
    """Return `value` as it is stored in LDAP.

    The matching rule of the attributes folds spaces, so two texts that differ
    only in a run of spaces would collide; such spaces are escaped.
    """
    check(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"(?<= ) |(?<=\") | (?=\")", r"\\u0020", text)
