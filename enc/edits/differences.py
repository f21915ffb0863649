"""From a value before and after to a few lines that say what became different. Pure.

Short values are shown whole, the old one and the new one. Of a long one only
the difference is: for JSON the path to each item that came, went or changed;
for a text its lines, or the excerpt around what changed.

    - puppetmasterData: role::port=80
    + puppetmasterData: role::port=8080
    ~ puppetmasterData: abuse_networks: blocked.networks[+] "192.0.2.1"
    ~ puppetmasterData: abuse_networks: blocked.context[2]: "text" → "other text"
    ~ puppetmasterData: motd: line 14[-] "See the wiki"

A path is keys with dots between them and places of lists in brackets, from 0;
`[+]` is an item more, `[-]` one less. Every line has at most `Bounds.width`
characters, and a value at most `Bounds.most` lines; what is left out is
counted. No text can break a line or forge one. Whole values are the business
of who calls: `WHOLE` bounds nothing.

What it costs: in proportion to the values, but for lists and texts with many
items changed in many places, where items are counted instead of aligned
(`_ALIGNED`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from enc.terms.errors import one_line


class Bounds(NamedTuple):
    """How much is shown. None: all."""

    width: int | None = 200
    """Characters of a line."""
    most: int | None = 20
    """Lines of a value, or values of an attribute."""
    together: int | None = 200
    """Lines of all that is shown at once."""


SHORT = Bounds()
WHOLE = Bounds(None, None, None)

_SMALL = 100
"""Characters up to which a value is shown whole."""
_ALIGNED = 250_000
"""Pairs of items that are compared to find out which came and which went."""
_AROUND = 20
"""Characters on each side of what changed in a text."""
_LONGEST_NAME = 60
"""Characters that are shown of a name or a path, so that the value beside it has its place."""
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_:-]{1,60}", re.ASCII)
_FORM_ONLY = "only the notation changed (order of keys, spaces, or how a number is written)"


def of_values(name: str, removed: Sequence[str], added: Sequence[str], bounds: Bounds = SHORT) -> list[str]:
    """Return the difference between the values of an attribute: those that went, and those that came.

    A value that went and one that came belong together if they are the only
    ones, or the only ones with one text before their first `=`.
    """
    pairs = {} if bounds.width is None else dict(_pairs(removed, added))
    gone, come, changed = [], [], []
    for value in removed:
        if value in pairs and len(value) + len(pairs[value]) > 2 * _SMALL:
            changed += _of_pair(name, value, pairs[value], bounds)
            continue
        gone.append(_line("-", name, value, bounds))
        if value in pairs:
            come.append(_line("+", name, pairs[value], bounds))
    come += [_line("+", name, value, bounds) for value in added if value not in set(pairs.values())]
    return [*bounded(gone, bounds.most), *bounded(come, bounds.most), *changed]


def of_texts(label: str, before: str, after: str, bounds: Bounds = SHORT) -> list[str]:
    """Return the difference between two forms of one value, without marks in front of the lines.

    Both may be JSON; then items are compared, else characters.
    """
    if bounds.width is None or len(before) + len(after) <= 2 * _SMALL:
        return [_clipped(f"{label} = {before}  → {after}", bounds)]
    found = bounded(list(_differences(before, after)), bounds.most)
    return [_clipped(f"{label}: {line}" if line else label, bounds) for line in found]


def bounded(lines: Sequence[str], most: int | None, more: str = "… and {} more") -> list[str]:
    """Return at most `most` lines; if there were more, the last one says how many."""
    if most is None or len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], more.format(f"{len(lines) - most + 1:,}")]


def of_steps(steps: Iterable[Sequence[str]], bounds: Bounds = SHORT) -> list[str]:
    """Return the lines of several steps as those of one thing."""
    found = [line for lines in steps for line in lines]
    return bounded(found, bounds.together, "… and {} more lines; --full shows all")


def excerpt(value: str, width: int | None) -> str:
    """Return the beginning of a text, on one line of at most `width` characters, and how long it is."""
    # Escaping makes a text longer, never shorter.
    shown = one_line(value if width is None else value[: width + 1])
    if width is None or (len(shown) <= width and len(value) <= width):
        return shown
    size = f"… ({len(value):,} characters)"
    return shown[: max(0, width - len(size))] + size


def _pairs(removed: Sequence[str], added: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(removed) == len(added) == 1:
        yield removed[0], added[0]
        return
    sides = []
    for values in (removed, added):
        names = Counter(_name(value) for value in values)
        sides.append({_name(value): value for value in values if "=" in value and names[_name(value)] == 1})
    yield from ((value, sides[1][name]) for name, value in sides[0].items() if name in sides[1])


def _name(value: str) -> str:
    return value.partition("=")[0].strip()


def _of_pair(name: str, before: str, after: str, bounds: Bounds) -> list[str]:
    label = f"~ {name}"
    if "=" in before and "=" in after and _name(before) == _name(after):
        label = f"{label}: {excerpt(_name(before), _LONGEST_NAME)}"
        before, after = before.partition("=")[2], after.partition("=")[2]
    return of_texts(label, before, after, bounds)


def _line(mark: str, name: str, value: str, bounds: Bounds) -> str:
    head = f"{mark} {name}: "
    return one_line(head) + excerpt(value, bounds.width and max(_SMALL, bounds.width - len(head)))


def _clipped(line: str, bounds: Bounds) -> str:
    shown = one_line(line if bounds.width is None else line[: bounds.width + 1])
    return shown if bounds.width is None or len(shown) <= bounds.width else shown[: bounds.width - 1] + "…"


def _differences(before: str, after: str) -> Iterator[str]:
    try:
        old, new = json.loads(before), json.loads(after)
    except (ValueError, RecursionError):
        yield from _of_text("", before, after)
        return
    found = False
    try:
        for line in _of_json("", old, new):
            found = True
            yield line
    except RecursionError:
        yield from _of_text("", before, after)
        return
    if not found:
        yield _FORM_ONLY


def _of_json(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_mappings(path, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(path, old, new)
    elif isinstance(old, str) and isinstance(new, str) and len(old) + len(new) > _SMALL:
        yield from _of_text(path, old, new)
    elif _canonical(old) != _canonical(new):
        both = f"{_shown(old)} → {_shown(new)}"
        yield f"{path}: {both}" if path else both


def _of_mappings(path: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in (*old, *(key for key in new if key not in old)):
        place = _below(path, key)
        if key not in new:
            yield f"{place}[-] {_shown(old[key])}"
        elif key not in old:
            yield f"{place}[+] {_shown(new[key])}"
        else:
            yield from _of_json(place, old[key], new[key])


def _of_lists(path: str, old: list[Any], new: list[Any]) -> Iterator[str]:
    texts, others = [_canonical(item) for item in old], [_canonical(item) for item in new]
    if texts != others and Counter(texts) == Counter(others):
        yield f"{path}: the same {len(old):,} items in another order".removeprefix(": ")
        return
    for tag, a, b, c, d in _aligned(texts, others):
        same = b - a == d - c and all(_nested(x, y) for x, y in zip(old[a:b], new[c:d], strict=True))
        if tag == "replace" and same:
            for at, (x, y) in enumerate(zip(old[a:b], new[c:d], strict=True), a):
                yield from _of_json(f"{path}[{at}]", x, y)
            continue
        yield from (f"{path}[-] {_shown(item)}" for item in old[a:b])
        yield from (f"{path}[+] {_shown(item)}" for item in new[c:d])


def _nested(old: Any, new: Any) -> bool:
    """Tell whether two items of lists are forms of one that can be looked into."""
    return isinstance(old, dict | list) and type(old) is type(new)


def _of_text(path: str, old: str, new: str) -> Iterator[str]:
    if old == new:
        return
    lines, others = old.split("\n"), new.split("\n")
    if len(lines) > 1 and len(others) > 1:
        head = f"{path}: line" if path else "line"
        for _, a, b, c, d in _aligned(lines, others):
            yield from (f"{head} {number}[-] {_shown(line)}" for number, line in enumerate(lines[a:b], a + 1))
            yield from (f"{head} {number}[+] {_shown(line)}" for number, line in enumerate(others[c:d], c + 1))
        return
    start, end = _common(old, new)
    first = max(0, start - _AROUND)
    both = " → ".join(
        ("…" if first else "")
        + _middle(text[first : len(text) - end], text[len(text) - end : len(text) - end + _AROUND])
        + ("…" if end > _AROUND else "")
        for text in (old, new)
    )
    yield f"{path}: {both}" if path else both


def _middle(changed: str, behind: str) -> str:
    return _shown(excerpt(changed, _SMALL) + one_line(behind)) if len(changed) > _SMALL else _shown(changed + behind)


def _aligned(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield what changed as (`replace`, `delete` or `insert`, from and to in `old`, from and to in `new`)."""
    start, end = _common(old, new)
    stop, other_stop = len(old) - end, len(new) - end
    if (stop - start) * (other_stop - start) <= _ALIGNED:
        matcher = SequenceMatcher(None, old[start:stop], new[start:other_stop], autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                yield tag, a + start, b + start, c + start, d + start
        return
    # Too many to align: what is there more or fewer times, wherever it stands.
    more = Counter(new[start:other_stop])
    fewer = Counter(old[start:stop])
    more, fewer = more - fewer, fewer - more
    for at in range(start, stop):
        if fewer[old[at]] > 0:
            fewer[old[at]] -= 1
            yield "delete", at, at + 1, 0, 0
    for at in range(start, other_stop):
        if more[new[at]] > 0:
            more[new[at]] -= 1
            yield "insert", 0, 0, at, at + 1


def _common(old: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """Return how much both have in common at the beginning, and of the rest at the end."""
    shorter = min(len(old), len(new))
    start = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - start
    end = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    return start, end


def _below(path: str, key: str) -> str:
    shown = key if _PLAIN_KEY.fullmatch(key) else excerpt(_shown(key), _LONGEST_NAME)
    if len(path) > _LONGEST_NAME:
        path = "…" + path[-_LONGEST_NAME:]
    return f"{path}.{shown}" if path else shown


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
