"""Numbers of people, projects and their admins (uidNumber, gidNumber): given once, to one, for ever.

LDAP has no sequences. What it has is that an entry of one name can be added once: so each number that was ever given
is an entry, `cn=NUMBER,ou=gid` or `ou=uid` below `posix.numbers`, and whoever adds it has the number. Many commands on
many machines may try at once; who comes second takes the next. Such a note is never deleted, so that a number whose
project is gone is not given again: files of it may be on some disk.

Three writes, in this order, each whole by itself:

1. the note, with the entry that is to have the number as its `owner`;
2. the entry with the number (the edit in the audit trail; this is the only one that is undone);
3. the entry's entryUUID into the note's `serialNumber`: now it is in use.

A kill after 1 leaves a note without a UUID. Nobody else gets its number; the next attempt for the same entry does.
After 2 the same: the number is in use, which every allotment looks for; `project posix` makes up for 3. So a number can
be lost, and never doubled. A note with a UUID belongs to that very entry, whatever it is called by now; another entry
that gets the name of one that was deleted gets another number. An undo of the deletion brings the old number back,
since it is the same project: that is said by the trail, not by the note.

What is in use without a note (a site's own groups and accounts) is found by asking the directory, and noted in passing.
Between that question and our write somebody may give the number with LDAP's own tools. Only the server can prevent
that: slapd's overlay unique over gidNumber of posixGroup and uidNumber, as in the embedded directory
(directory/embedded_config.py).

Where the directory has no entry for the numbers, or `posix.allot` is off, none are given; those that somebody gives are
still looked for in the directory.

Failure modes: `Conflict` for a number that somebody else has or had, and when all numbers of a range were given.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import Enum

from enc.directory.edits import DirectoryEditor, ValueChange
from enc.directory.messages import Scope
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import Conflict, InvalidName, NotFound
from enc.terms.filters import escape
from enc.terms.posix_names import HIGHEST, NumberRange
from enc.terms.record import Record

LEAST = 100
"""Numbers below it are the same on every machine (root, sudo, www-data …; Debian Policy 9.2.2), whoever gives them."""
_TRIES = 1000
"""Numbers that are tried one after the other, while others take them or the directory is found to use them."""


class Series(Enum):
    """Numbers of one kind: the unit that holds their notes, and the attribute that holds the number."""

    GID = ("gid", "gidNumber")
    UID = ("uid", "uidNumber")

    @property
    def unit(self) -> str:
        """Return the ou of its notes."""
        return self.value[0]

    @property
    def attribute(self) -> str:
        """Return the attribute whose values these numbers are."""
        return self.value[1]

    def range(self, settings: Settings) -> NumberRange:
        """Return the numbers that are given."""
        return settings.posix.gids if self is Series.GID else settings.posix.uids


@dataclass(frozen=True)
class Taking:
    """That an entry is to have a number."""

    series: Series
    owner: str
    """The DN of the entry."""
    number: int
    """Which; `free` if any is right: then it is the one that was free when the plan was made."""
    free: bool = False
    owner_uuid: str = ""
    """Of an entry that is there already."""
    attributes: tuple[str, ...] = ()
    """Those whose value it becomes; of a person with a group of the own, both."""
    again: bool = False
    """Whether the entry had the number before it was deleted, according to the trail or to a file."""


class Numbers:
    """The notes of one directory, seen and written through `editor`."""

    def __init__(self, editor: DirectoryEditor, settings: Settings) -> None:
        self._editor = editor
        self._settings = settings

    def kept(self, series: Series) -> bool:
        """Tell whether the directory has the entry below which numbers of `series` are noted."""
        return self._editor.read(self._base(series)) is not None

    def allots(self, series: Series) -> bool:
        """Tell whether numbers are given here to what is new."""
        return self._settings.posix.allot and self.kept(series)

    def prepare(self) -> tuple[str, ...]:
        """Make the entries below which numbers are noted, if they are missing; return their names."""
        made = []
        for place in (self._settings.numbers_base, *map(self._base, Series)):
            if self._editor.read(place) is None:
                attribute, name = dn.rdn(place)
                if attribute != "ou":
                    raise NotFound("does not exist (posix.numbers); create it", where=place)
                try:
                    self._editor.add(place, {"objectClass": ("organizationalUnit",), "ou": (name,)})
                except Conflict:
                    continue  # by somebody else, this moment
                made.append(place)
        return tuple(made)

    def intended(self, series: Series, owner: str, owner_uuid: str = "", besides: Container[int] = ()) -> int:
        """Return the number that `take` would give now, once those of `besides` are taken; nothing is written."""
        own = self._own(series, owner, owner_uuid)
        if own is not None:
            return own
        return self._next(series, lambda number: number not in besides and not self._users(series, number, owner))

    def take(self, taking: Taking) -> int:
        """Return the number that is the owner's from now on; raise `Conflict`."""
        if not taking.free:
            self._take_given(taking)
            return taking.number
        own = self._own(taking.series, taking.owner, taking.owner_uuid)
        return own if own is not None else self._next(taking.series, lambda number: self._try(taking, number))

    def check(self, taking: Taking) -> None:
        """Raise `Conflict` if the owner cannot have a given number."""
        if not LEAST <= taking.number <= HIGHEST:
            words = f"{taking.series.attribute} {taking.number} is not between {LEAST} and {HIGHEST}"
            raise Conflict(f"{words}: below are the system's", where=taking.owner)
        users = self._users(taking.series, taking.number, taking.owner)
        if users:
            raise Conflict(f"{taking.series.attribute} {taking.number} is in use: {users[0].dn}", where=taking.owner)
        note = self._editor.read(self._place(taking.series, taking.number))
        if note is not None and self._is_owners(note, taking.owner, taking.owner_uuid, again=taking.again):
            return
        if (note := note or self._note_of_a_group(taking.series, taking.number)) is not None:
            owner = note.first("owner") or "somebody"
            raise Conflict(
                f"{taking.series.attribute} {taking.number} was given to {owner} and is not given again",
                where=taking.owner,
            )

    def note_use(self, series: Series, number: int, record: Record) -> bool:
        """Note that `record` uses its number; return whether that was not noted yet.

        What another entry's note says stays.
        """
        place = self._place(series, number)
        note = self._editor.read(place)
        if note is None:
            return self._add(place, series, number, record.dn, record.uuid)
        if not record.uuid or record.uuid in note.all("serialNumber"):
            return False
        if not self._is_owners(note, record.dn, record.uuid, again=True):
            return False
        self._editor.modify(place, [ValueChange("serialNumber", (), (record.uuid,))])
        return True

    def is_noted(self, series: Series, number: int, record: Record) -> bool:
        """Tell whether there is a note that this entry uses its number."""
        note = self._editor.read(self._place(series, number))
        return note is not None and record.uuid in note.all("serialNumber")

    def _take_given(self, taking: Taking) -> None:
        self.check(taking)
        place = self._place(taking.series, taking.number)
        if not self.kept(taking.series) or self._editor.read(place) is not None:
            return
        if not self._add(place, taking.series, taking.number, taking.owner, taking.owner_uuid):
            self.check(taking)

    def _try(self, taking: Taking, number: int) -> bool:
        """Take `number`, if nobody has it or had it."""
        users = self._users(taking.series, number, taking.owner)
        place = self._place(taking.series, number)
        if self._note_of_a_group(taking.series, number) is not None:
            return False
        if users:
            # The site's own, given by hand. With a note it is passed over at once from now on, and for ever.
            self._add(place, taking.series, number, users[0].dn, users[0].uuid)
            return False
        return self._add(place, taking.series, number, taking.owner, taking.owner_uuid)

    def _add(self, place: str, series: Series, number: int, owner: str, owner_uuid: str) -> bool:
        attributes = {
            "objectClass": ("device",),
            "cn": (str(number),),
            "owner": (owner,),
            "description": (f"{series.attribute} {number}, never given to anybody else, even when its owner is gone",),
            "serialNumber": (owner_uuid,) if owner_uuid else (),
        }
        try:
            self._editor.add(place, attributes)
        except Conflict:
            return False
        return True

    def _own(self, series: Series, owner: str, owner_uuid: str) -> int | None:
        """Return the number that is noted for this very owner and that nothing else uses."""
        asked = f"(owner={escape(owner)})"
        if owner_uuid:
            asked = f"(|(serialNumber={escape(owner_uuid)}){asked})"
        for note in self._editor.find(self._base(series), asked, Scope.ONE_LEVEL):
            number = noted_number(note)
            if number is None or not self._is_owners(note, owner, owner_uuid, again=False):
                continue
            # One that was asked for by hand and never came into use is not offered to who asks for any.
            wanted = owner_uuid in note.all("serialNumber") or number in series.range(self._settings)
            if wanted and not self._users(series, number, owner):
                return number
        return None

    def _is_owners(self, note: Record, owner: str, owner_uuid: str, *, again: bool) -> bool:
        used = note.all("serialNumber")
        if used and owner_uuid in used:
            return True
        return (again or not used) and any(_same(place, owner) for place in note.all("owner"))

    def _users(self, series: Series, number: int, owner: str) -> list[Record]:
        """Return the entries other than the owner's that have the number, wherever in the directory they are."""
        asked = f"({series.attribute}={number})"
        if series is Series.UID and self._settings.posix.people_group is None:
            asked = f"(|{asked}(gidNumber={number}))"
        found = [record for base in self._everywhere() for record in self._editor.find(base, asked)]
        return [record for record in found if not _same(record.dn, owner)]

    def _note_of_a_group(self, series: Series, number: int) -> Record | None:
        """Return the other series' note of this number, where people have groups of their own that are numbered so."""
        if self._settings.posix.people_group is not None:
            return None
        other = Series.UID if series is Series.GID else Series.GID
        return self._editor.read(self._place(other, number))

    def _everywhere(self) -> list[str]:
        """Return the places below which numbers may be in use, none of them below another."""
        settings = self._settings
        tops: list[str] = []
        for base in (settings.directory.suffix, settings.projects_base, settings.people_base, settings.groups_base):
            if not any(_same(base, top) or dn.is_below(base, top) for top in tops):
                tops.append(base)
        return tops

    def _next(self, series: Series, take: Callable[[int], bool]) -> int:
        """Return a number that is not noted and that `take` takes, from behind those that were given."""
        wanted = series.range(self._settings)
        begin = self._first_not_noted(series, wanted)
        for number in range(begin, min(begin + _TRIES, wanted.last + 1)):
            if not self._is_taken(series, number) and take(number):
                return number
        # Those before it: numbers that were given by hand leave gaps.
        noted = {note.first("cn") for note in self._editor.find(self._base(series), "(cn=*)", Scope.ONE_LEVEL)}
        for number in range(wanted.first, wanted.last + 1):
            if str(number) not in noted and take(number):
                return number
        raise Conflict(
            f"all numbers of {wanted} have been given; widen posix.{series.unit}_range", where=self._base(series)
        )

    def _first_not_noted(self, series: Series, wanted: NumberRange) -> int:
        """Return a number of the range that is not noted while the one before it is; beyond the range: there is none.

        Some ten questions for ten thousand notes, which are not read.
        """
        if not self._is_taken(series, wanted.first):
            return wanted.first
        taken, step = wanted.first, 1
        while (further := taken + step) <= wanted.last and self._is_taken(series, further):
            taken, step = further, step * 2
        free = min(taken + step, wanted.last + 1)
        while free - taken > 1:
            middle = (taken + free) // 2
            taken, free = (middle, free) if self._is_taken(series, middle) else (taken, middle)
        return free

    def _is_taken(self, series: Series, number: int) -> bool:
        return self._editor.read(self._place(series, number)) is not None

    def _base(self, series: Series) -> str:
        return dn.build("ou", series.unit, self._settings.numbers_base)

    def _place(self, series: Series, number: int) -> str:
        return dn.build("cn", str(number), self._base(series))


def noted_number(note: Record) -> int | None:
    """Return the number that a note is about; None: it is no note."""
    text = note.first("cn") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _same(one: str, other: str) -> bool:
    try:
        return dn.normalise(one) == dn.normalise(other)
    except InvalidName:
        return False
