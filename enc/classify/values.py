"""Typed values as our schema stores them: `name=JSON`, and hiera data `key=JSON`. Pure.

JSON, because every admin tool can write it and nothing in it depends on who
reads it; with one thing more, since hiera's data has it and JSON does not: the
key of a mapping may be a number, which then stands without quotes,
`{1:{"action":"open"},20:null}`. Puppet takes texts and numbers as keys of a
mapping, and nothing else (its type RichDataKey; `puppet lookup` refuses true,
null, lists and dates as keys). What no catalog could carry to a node unchanged
is refused here, at the door, and not found out in a catalog.

A hiera key may be any text. It stands bare where nothing in it could be
misread, and else in JSON's double quotes: `"a=b"=1`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from enc.classify.model import Key, Value

DEEPEST = 32
"""Levels of nesting. Puppet and YAML readers recurse."""

_TOO_LONG = "a number too large for Puppet's Integer (64 bits)"
_DIGITS = len(str(-(2**63)))
_TEXT = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_TEXT_OR_NUMBER_KEY = re.compile(rf"({_TEXT})|(?<=[{{,])(\s*)({_NUMBER})(?=\s*:)", re.DOTALL)
_MARK = "\ud800"
"""Marks a number key for Python's reader. No text holds it: half of a surrogate pair is refused everywhere."""
_BARE_KEY = re.compile(r"(?!\")[!-<>-~]+")
_QUOTED = re.compile(rf"\s*({_TEXT})\s*", re.DOTALL)


def read(text: str) -> Value:
    """Return the value that `text` stands for; raise ValueError with the rule it breaks."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_whole, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST} levels") from None
    except json.JSONDecodeError as error:
        value = _with_number_keys(text, error)
    check(value)
    return value  # type: ignore[no-any-return]


def _whole(digits: str) -> int:
    """Return a whole number. Python refuses thousands of digits, in words for programmers; before that it is slow."""
    if len(digits) > _DIGITS:
        raise ValueError(_TOO_LONG)
    return int(digits)


def _with_number_keys(text: str, failed: json.JSONDecodeError) -> object:
    """Read what is no JSON as JSON with number keys; raise ValueError in the words of `failed` if it is not that."""
    marked = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal marked
        if found[1] is not None:
            return found[1]
        marked += 1
        return f'{found[2]}"\\ud800{found[3]}"'

    seen = 0

    def pairs(found: list[tuple[str, Value]]) -> dict[Key, Value]:
        nonlocal seen
        keys: list[tuple[Key, Value]] = []
        for key, item in found:
            if key.startswith(_MARK):
                seen += 1
                keys.append((json.loads(key[1:], parse_int=_whole), item))
            else:
                keys.append((key, item))
        return _object(keys)

    try:
        value = json.loads(
            _TEXT_OR_NUMBER_KEY.sub(mark, text),
            parse_constant=_no_constant,
            parse_int=_whole,
            object_pairs_hook=pairs,
        )
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST} levels") from None
    except json.JSONDecodeError:
        where = f"{failed.msg} at character {failed.pos + 1}"
        raise ValueError(f"not JSON ({where}); a text needs double quotes") from None
    if seen != marked:
        raise ValueError("half of a surrogate pair")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _object(pairs: list[tuple[Key, Value]]) -> dict[Key, Value]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice in one mapping")
    return result


def check(value: object, depth: int = 0) -> None:
    """Raise ValueError if `value` is not one that arrives in Puppet as it is."""
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_key(key, depth)
            check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check(item, depth + 1)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("a number that is not finite")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(_TOO_LONG)
    elif not isinstance(value, bool | int | None):
        raise ValueError(f"{type(value).__name__} is not a JSON value")


def _check_key(key: object, depth: int) -> None:
    if isinstance(key, str | int | float) and not isinstance(key, bool):
        return check(key, depth)
    raise ValueError(f"the key {_shown(key)} of a mapping is neither a text nor a number")


def _shown(key: object) -> str:
    return json.dumps(key) if isinstance(key, bool | None) else f"{str(key)[:60]} ({type(key).__name__})"


def _check_text(text: str) -> None:
    """Raise ValueError if UTF-8 cannot hold `text`."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("half of a surrogate pair")


def write(value: Value) -> str:
    """Return `value` as it is stored in LDAP.

    The matching rule of the attributes folds spaces, so two texts that differ
    only in a run of spaces would collide; such spaces are escaped.
    """
    check(value)
    return _spaces_kept(_text(value) if _has_number_keys(value) else _json(value))


def _json(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _spaces_kept(text: str) -> str:
    return re.sub(r"(?<= ) |(?<=\") | (?=\")", r"\\u0020", text)


def _has_number_keys(value: Value) -> bool:
    if isinstance(value, Mapping):
        return any(not isinstance(key, str) or _has_number_keys(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_number_keys, value))


def _text(value: Value, comma: str = ",", colon: str = ":") -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_json(key)}{colon}{_text(item, comma, colon)}" for key, item in value.items())
        return "{" + comma.join(pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + comma.join(_text(item, comma, colon) for item in value) + "]"
    return _json(value)


def shown(value: Value) -> str:
    """Return `value` for people, on one line: as `write` stores it, with room to breathe."""
    return _text(value, ", ", ": ")


def key_text(key: str) -> str:
    """Return a hiera key as it stands before the `=`: ASCII, so that no two keys are one to the matching rule."""
    return key if _BARE_KEY.fullmatch(key) else _spaces_kept(json.dumps(key))


def split(text: str) -> tuple[str, str]:
    """Return key and JSON of a piece of hiera data; raise ValueError with the rule it breaks."""
    quoted = _QUOTED.match(text)
    if quoted is None and text.lstrip().startswith('"'):
        raise ValueError('the key lacks its closing double quote; write "KEY"=JSON')
    if quoted is None:
        key, found, value = text.partition("=")
        if key.strip() and found:
            return key.strip(), value
        raise ValueError("has no '='; write KEY=JSON" if not found else "has no key before the '='; write KEY=JSON")
    if text[quoted.end() : quoted.end() + 1] != "=":
        raise ValueError("after a key in double quotes a '=' is expected; write \"KEY\"=JSON")
    return key_of(quoted[1]), text[quoted.end() + 1 :]


def key_of(text: str) -> str:
    """Return the hiera key that `text` names, bare or in double quotes; raise ValueError if the quotes hold none."""
    if _QUOTED.fullmatch(text) is None:
        return text.strip()
    try:
        return str(json.loads(text))
    except ValueError:
        raise ValueError("the key in double quotes is not JSON") from None
