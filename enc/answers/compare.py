"""Compares the copy once with a listing of all versions on the server.

A version is (entryCSN, DN): a rename above an entry changes its DN and not its
CSN. Whatever differs is only *suspected* at first, since changes may be on
their way while the listing comes in. Suspects are looked at once more, with
all their attributes, after the listing was dealt with. What then

- is as the copy has it, was on its way;
- differs again in the same way, while the copy did not change, is true: the
  copy takes it over;
- differs in another way is in motion, and the next comparison will tell.

A change that comes on the same connection after the listing's page is later
than the page, so the second look cannot show less than the copy has.

Memory: a number for each entry listed. Not here: when to compare, and putting
it into the copy (feed_intake.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from enc.answers.plans import Feed
from enc.answers.records import Records
from enc.terms.record import Record

Version = tuple[str, str]
"""entryCSN and DN."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry of which the server twice said the same, and the copy something else."""

    uuid: str
    record: Record | None
    """As the server has it; None: it has not."""
    held: Version | None
    """As the copy has it; None: it has not."""


@dataclass(slots=True)
class Comparison:
    """One comparison, from its first page to the last second look."""

    feed: Feed
    began: float
    """Monotonic, seconds."""
    unsettled: bool = False
    """Whether something was in motion."""
    _seen: set[int] = field(default_factory=set)
    _suspects: dict[str, tuple[Version | None, Version | None]] = field(default_factory=dict)
    """By UUID: as the server listed it, and as the copy had it then."""

    def page(self, copied: Records, entries: Iterable[tuple[str, str, str]]) -> None:
        """Take (UUID, CSN, DN) of some of the server's entries."""
        listed = {uuid: (csn, dn) for uuid, csn, dn in entries}
        held = copied.versions(self.feed, list(listed))
        for uuid, version in listed.items():
            number, own = held.get(uuid, (None, None))
            if number is not None:
                self._seen.add(number)
            if own != version:
                self._suspects[uuid] = (version, own)

    def suspects(self, copied: Records) -> list[str]:
        """Return, once all pages are taken, the UUIDs to look at again."""
        for number, uuid, *own in copied.all_versions(self.feed):
            if number not in self._seen and uuid not in self._suspects:
                self._suspects[uuid] = (None, (own[0], own[1]))
        return list(self._suspects)

    def looked(self, copied: Records, asked: Iterable[str], records: Iterable[Record]) -> Iterator[Difference]:
        """Take the second look at the entries `asked`; yield what the copy has wrong."""
        found = {record.uuid: record for record in records}
        held = copied.versions(self.feed, list(asked))
        for uuid in asked:
            listed, before = self._suspects.pop(uuid, (None, None))
            record, own = found.get(uuid), held.get(uuid, (0, None))[1]
            now = (record.csn, record.dn) if record else None
            if now == own:
                continue
            if now == listed and own == before:
                yield Difference(uuid, record, own)
            else:
                self.unsettled = True

    @property
    def finished(self) -> bool:
        """Tell whether nothing is left to be looked at."""
        return not self._suspects
