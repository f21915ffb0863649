"""What changed in LDAP, as the follower saw it: who, when, which attributes. For edits that came past our commands.

The trail (enc/edits/audit.py) has what our commands do. Whoever may edit may
also use LDAP's own tools, and of that the server tells only who changed an
entry last, and when. The follower sees each change; here it notes the
difference between what it knew and what is there now. Which of these notes the
trail tells already is found out by who reads both (enc/service/strangers.py).

Owns the file `seen.jsonl` in the answers' directory, and `seen.jsonl.1` with
what was before; together they stay below 128 MB. Of long values only their
number and length are kept. They have what the copy has, so on a server for
projects (enc/rights/domains.py) they are the follower's own, too. A note is written in the transaction that brings
the change, before its commit: a kill in between brings both once more, and who
reads takes a version of an entry once. Changes that came while nobody followed
are one note, of the last who changed the entry. Who deleted an entry no server
tells. What is not followed (people, groups of people) is not seen.

Failure mode: `NotWritten`, and the change is taken up again later.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from enc.answers.plans import Feed
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from enc.terms.record import Record

_MOST = 64 << 20
_LONGEST = 4096
"""Characters of the values of one change that are kept."""


class Difference(NamedTuple):
    """What went from an attribute, and what came."""

    attribute: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class Seen(NamedTuple):
    """One change of one entry."""

    at: int
    """When it was seen (seconds since 1970)."""
    feed: str
    who: str
    """The DN that changed the entry last; empty: the server does not tell."""
    csn: str
    """The entry's version; of a deleted one the last."""
    do: str
    """`add`, `modify`, `delete`, or `rename`, whose first difference is of `dn`."""
    dn: str
    differences: tuple[Difference, ...]


class SeenEdits:
    """The file below one answers' directory. Making the object does nothing."""

    def __init__(self, root: Path, *, private: bool = False) -> None:
        """`private`: only the follower's account reads what is noted from now on."""
        self.file = root / "seen.jsonl"
        self._lines = JsonLines(self.file, mode=0o600 if private else 0o640, survives=Strength.KILL, longest=_MOST)

    @property
    def files(self) -> tuple[Path, Path]:
        """What was noted before stands in these."""
        return self.file, Path(self._lines.older)

    def note(self, changes: Iterable[tuple[Feed, Record | None, Record | None]]) -> None:
        """Note (feed, before, after) of entries; raise `NotWritten`."""
        now = int(time.time())
        found = [_document(now, *change) for change in changes if _counts(change[1], change[2])]
        if found:
            self._lines.append(*found)

    def read(self) -> list[Seen]:
        """Return what was seen, oldest first, each version of an entry once; raise OSError."""
        found: dict[tuple[str, str, str], Seen] = {}
        older = JsonLines(self._lines.older, mode=None, survives=Strength.KILL)
        for line in (*older.read(), *self._lines.read()):
            try:
                seen = _seen(line.record or {})
            except (KeyError, TypeError, ValueError):
                continue  # torn by a kill; the same change was noted again
            found[seen.dn, seen.csn, seen.do] = seen
        return sorted(found.values(), key=lambda seen: seen.at)


def _counts(before: Record | None, after: Record | None) -> bool:
    """Tell whether the entry itself changed, and not only a name above it."""
    return before is None or after is None or before.csn != after.csn


def _document(at: int, feed: Feed, before: Record | None, after: Record | None) -> dict[str, Any]:
    shown = before or after
    assert shown is not None
    found = [[one.attribute, _bounded(one.before), _bounded(one.after)] for one in _differences(before, after)]
    do = "add" if before is None else "delete" if after is None else "modify"
    if before is not None and after is not None and before.dn != after.dn:
        do, found = "rename", [["dn", [before.dn], [after.dn]], *found]
    who, csn = (after.modifier, after.csn) if after is not None else ("", shown.csn)
    return {"at": at, "feed": feed, "who": who, "csn": csn, "do": do, "dn": shown.dn, "changes": found}


def _differences(before: Record | None, after: Record | None) -> Iterator[Difference]:
    nothing = Record("", {})
    old, new = before or nothing, after or nothing
    for name in dict.fromkeys((*old.attributes, *new.attributes)):
        if old.all(name) != new.all(name):
            had, has = set(old.all(name)), set(new.all(name))
            gone = tuple(value for value in old.all(name) if value not in has)
            yield Difference(name, gone, tuple(value for value in new.all(name) if value not in had))
    if old.unread != new.unread:
        yield Difference("size", (old.unread,) if old.unread else (), (new.unread,) if new.unread else ())


def is_cut(values: tuple[str, ...]) -> bool:
    """Tell whether a note holds only the number and length of what stood there."""
    return len(values) == 1 and values[0].startswith("(") and values[0].endswith(" characters)")


def _bounded(values: tuple[str, ...]) -> list[str]:
    length = sum(map(len, values))
    return list(values) if length <= _LONGEST else [f"({counted(len(values), 'value')} of {length} characters)"]


def _seen(document: dict[str, Any]) -> Seen:
    found = tuple(Difference(str(name), tuple(gone), tuple(come)) for name, gone, come in document["changes"])
    feed, who, csn, do, place = (str(document[key]) for key in ("feed", "who", "csn", "do", "dn"))
    return Seen(int(document["at"]), feed, who, csn, do, place, found)
