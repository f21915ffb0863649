"""What changed in LDAP, as the follower saw it: who, when, which attributes. For edits that came past our commands.

The trail (enc/edits/audit.py) has what our commands do. Whoever may edit may
also use LDAP's own tools, and of that the server tells only who changed an
entry last, and when. The follower sees each change; here it notes the
difference between what it knew and what is there now. Which of these notes the
trail tells already is found out by who reads both (enc/service/strangers.py).

Owns the directory `seen` in the answers' directory, with a file for each who changed something (`.1`: what was
before), so that nobody's edits take the room of another's: 16 MB each. Of long values only their number and length are
kept. Of a deletion LDAP does not say whose it is; such notes are in a file for each place above the entry, where
whoever may delete one may delete all. They have what the copy has, so on a server for
projects (enc/rights/domains.py) they are the follower's own, too. A note is written in the transaction that brings
the change, before its commit: a kill in between brings both once more, and who
reads takes a version of an entry once. Changes that came while nobody followed
are one note, of the last who changed the entry. Who deleted an entry only the embedded directory tells, and later
(enc/directory/deletions.py). What is not followed (people) is not seen.

Failure mode: `NotWritten`, and the change is taken up again later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from enc.answers.plans import Feed
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.counted import counted
from enc.terms.record import Record

_MOST = 8 << 20
"""Bytes of one file, of which there are two for each who changed something."""
_LONGEST = 4096
"""Characters of the values of one difference that are kept."""
_IN_ALL = 65_536
"""Likewise of all differences of one change."""
_AT_ONCE = 20
"""Notes that are written between two looks at how long a file is."""


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
    """The files below one answers' directory. Making the object does nothing."""

    def __init__(self, root: Path, *, private: bool = False) -> None:
        """`private`: only the follower's account reads what is noted from now on."""
        self.place = root / "seen"
        self._private = private

    @property
    def files(self) -> tuple[Path, ...]:
        """What was noted before stands in these; raise OSError."""
        try:
            return tuple(sorted(self.place.iterdir()))
        except FileNotFoundError:
            return ()

    def note(self, changes: Iterable[tuple[Feed, Record | None, Record | None]]) -> None:
        """Note (feed, before, after) of entries; raise `NotWritten`.

        If that fails, some may be there: all come once more then, and are taken once.
        """
        now = int(time.time())
        found: dict[str, list[dict[str, Any]]] = {}
        for change in changes:
            if _counts(change[1], change[2]):
                document = _document(now, *change)
                found.setdefault(_whose(document), []).append(document)
        for name, documents in found.items():
            file = self.place / f"{name}.jsonl"
            try:
                self.place.mkdir(mode=0o700 if self._private else 0o750, exist_ok=True)
            except OSError as error:
                raise NotWritten(error, str(file)) from error
            mode = 0o600 if self._private else 0o640
            lines = JsonLines(file, mode=mode, survives=Strength.KILL, longest=_MOST)
            for first in range(0, len(documents), _AT_ONCE):
                lines.append(*documents[first : first + _AT_ONCE])

    def read(self) -> list[Seen]:
        """Return what was seen, oldest first, each version of an entry once; raise OSError."""
        found: dict[tuple[str, str, str], Seen] = {}
        # What was before (`….1`) follows its file by name; of one version it does not matter which is taken.
        for file in self.files:
            for line in JsonLines(file, mode=None, survives=Strength.KILL).read():
                try:
                    seen = _seen(line.record or {})
                except (KeyError, TypeError, ValueError):
                    continue  # torn by a kill; the same change was noted again
                found[seen.dn, seen.csn, seen.do] = seen
        return sorted(found.values(), key=lambda seen: (seen.at, seen.csn))


def _whose(document: dict[str, Any]) -> str:
    """Return the name of the file of a note: of who made the change, else of the place above the entry."""
    whose = document["who"] or "above " + str(document["dn"]).partition(",")[2]
    return hashlib.sha256(whose.lower().encode(errors="surrogatepass")).hexdigest()[:32]


def _counts(before: Record | None, after: Record | None) -> bool:
    """Tell whether the entry itself changed, and not only a name above it."""
    return before is None or after is None or before.csn != after.csn


def _document(at: int, feed: Feed, before: Record | None, after: Record | None) -> dict[str, Any]:
    shown = before or after
    assert shown is not None
    found, left = [], _IN_ALL
    for one in _differences(before, after):
        gone, come = _bounded(one.before, left), _bounded(one.after, left)
        left -= sum(map(len, (*gone, *come)))
        found.append([one.attribute, gone, come])
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


def _bounded(values: tuple[str, ...], left: int) -> list[str]:
    length = sum(map(len, values))
    if length <= min(_LONGEST, left):
        return list(values)
    return [f"({counted(len(values), 'value')} of {length} characters)"]


def _seen(document: dict[str, Any]) -> Seen:
    found = tuple(Difference(str(name), tuple(gone), tuple(come)) for name, gone, come in document["changes"])
    feed, who, csn, do, place = (str(document[key]) for key in ("feed", "who", "csn", "do", "dn"))
    return Seen(int(document["at"]), feed, who, csn, do, place, found)
