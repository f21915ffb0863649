"""Changes to LDAP entries that lose nobody's work.

A change names the very values it takes away and the very values it adds, and
is made only if the entry still has the version (entryCSN) that the change was
thought up for (RFC 4528): two people who edit one entry at once get one success
and one `Conflict`. The server says what the entry is right after the change
(RFC 4527), so an audit trail need not guess.

Who may change what is not decided here: the server's access rules do, and
`enc` asks its own before it comes here. Reasons, audit, and changes that take
several entries are the caller's.

If the connection breaks after the request was sent, nobody knows whether it
was carried out: `DirectoryUnreachable` says so, and nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from enc.directory import entries, messages, results, server_facts
from enc.directory.connection import Closing, Connection, Credentials, open_connection
from enc.directory.messages import Control, Message, Request, Result, Scope
from enc.settings import Settings
from enc.terms import dn, filters
from enc.terms.errors import DirectoryUnreachable, NotAllowed, NotFound, ToolkitError
from enc.terms.record import Record


@dataclass(frozen=True, slots=True)
class ValueChange:
    """What happens to one attribute: `remove` must be there now, `add` must not."""

    attribute: str
    remove: tuple[str, ...] = ()
    add: tuple[str, ...] = ()


class DirectoryEditor(Closing):
    """Writes over one connection, opened when first needed. Use it in a `with`."""

    def __init__(self, settings: Settings, as_person: Credentials | None = None) -> None:
        """Write as the writing account, or as a person who gave (DN, password)."""
        self._settings = settings.directory
        self._person = as_person
        self._connection: Connection | None = None
        self._can_number: bool | None = None

    def close(self) -> None:
        """Close the connection, if there is one; the next operation opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sign_in(self) -> None:
        """Connect and bind now, so that a wrong password shows before anything is planned."""
        self._open()

    def read(self, place: str) -> Record | None:
        """Return the entry with the DN `place` as the writer sees it."""
        found = self.find(place, "(objectClass=*)", Scope.BASE)
        return found[0] if found else None

    def find(self, base: str, filter_text: str, scope: Scope = Scope.SUBTREE) -> list[Record]:
        """Return what a filter (escaped by the caller) finds as the writer sees it; none if there is no base."""
        try:
            return list(self._open().read_all(base, filter_text, scope))
        except NotFound:
            return []

    def add(self, place: str, attributes: Mapping[str, Sequence[str]]) -> Record | None:
        """Make the entry `place`; return it as the server made it.

        `Conflict` if there is one already, `NotFound` with the entry that is missing above it.
        """
        filled = {name: values for name, values in attributes.items() if values}
        try:
            return self._write(place, messages.add(place, filled))
        except NotFound as error:
            missing = self.missing_above(place)
            if missing is None:
                raise
            raise NotFound(f"its parent entry {missing} does not exist", where=place) from error

    def missing_above(self, place: str) -> str | None:
        """Return the topmost entry that is missing above `place`, as far as the writer may see; None if none is."""
        missing: list[str] = []
        above = dn.parent(place)
        while above and self.read(above) is None:
            missing.append(above)
            above = dn.parent(above)
        if not above:
            return dn.parent(place) or None  # not even the top is there, and whose it would be is not known
        return missing[-1] if missing else None

    def modify(self, place: str, changes: Iterable[ValueChange], assert_csn: str | None = None) -> Record | None:
        """Carry out all `changes` or none; return the entry as it is then.

        `Conflict` if the entry's version is not `assert_csn`, a value to remove
        is missing or a value to add is there; `NotFound`, `NotAllowed`;
        `DirectoryRefused` with the server's words if the schema forbids it.
        """
        steps = []
        for change in changes:
            # Removal first, for attributes that hold a single value.
            steps += [(False, change.attribute, change.remove)] if change.remove else []
            steps += [(True, change.attribute, change.add)] if change.add else []
        if not steps:
            return self.read(place)
        return self._write(place, messages.modify(place, steps), assert_csn)

    def delete(self, place: str, assert_csn: str | None = None) -> None:
        """Remove the entry `place`, which must have nothing below it."""
        self._write(place, messages.delete(place), assert_csn, after=False)

    def rename(
        self, place: str, new_rdn: str, *, new_parent: str | None = None, assert_csn: str | None = None
    ) -> Record | None:
        """Give the entry the relative name `new_rdn` (built with `enc.terms.dn`), and perhaps move it."""
        request = messages.rename(place, new_rdn, delete_old=True, new_parent=new_parent)
        return self._write(place, request, assert_csn)

    def _write(
        self, place: str, request: Request, assert_csn: str | None = None, *, after: bool = True
    ) -> Record | None:
        shown: list[Control] = [messages.post_read(entries.ALL)] if after else []
        asserted = shown
        if assert_csn is not None:
            asserted = [*shown, messages.assertion(f"(entryCSN={filters.escape(assert_csn)})")]
        result, written = self._send(place, request, asserted)
        if assert_csn is not None and result.code in (results.ASSERTION_FAILED, results.CONSTRAINT_VIOLATION):
            # Neither says whether it is about the version: an entry never has one again that it had before.
            found = self.read(place)
            if found is None or found.csn != assert_csn:
                # slapd's constraint overlay tries the change before our assertion is looked at.
                raise results.failure(replace(result, code=results.ASSERTION_FAILED), place)
            if result.code == results.ASSERTION_FAILED:
                # slapd's unique overlay (2.5) applies our assertion to its own search for duplicates, too, where it
                # cannot hold; that happens where names change (cn, associatedDomain, a rename). Old and new value
                # stand in the request itself, so nobody's work is lost.
                result, written = self._send(place, request, shown)
        if result.code == results.SUCCESS:
            return written
        refusal = results.failure(result, place)
        if result.code in results.OF_THE_SCHEMA and self._lacks_schema():
            refusal.add("; the server lacks part of our schema: enc-admin schema check")
        raise refusal

    def can_number(self) -> bool:
        """Tell whether a project's entry can be a group of machines here; True where the server does not say."""
        if self._can_number is None:
            try:
                self._can_number = server_facts.can_number(self._open()) is not False
            except NotAllowed:
                self._can_number = True
        return self._can_number

    def _lacks_schema(self) -> bool:
        """Tell whether the server says so; False where it does not say."""
        try:
            return bool(server_facts.missing_schema(self._open()))
        except ToolkitError:
            return False

    def _send(self, place: str, request: Request, controls: Iterable[Control]) -> tuple[Result, Record | None]:
        connection = self._open()
        try:
            message = connection.ask(request, controls)
            result = message.result()
            return result, _after(message) if result.code == results.SUCCESS else None
        except (DirectoryUnreachable, messages.Malformed) as error:
            self.close()
            raise DirectoryUnreachable(
                f"the change was sent but no answer came ({error}); check whether it was made", where=place
            ) from error

    def _open(self) -> Connection:
        if self._connection is not None and not self._connection.is_usable():
            self.close()
        if self._connection is None:
            self._connection = open_connection(self._settings, for_writing=True, as_person=self._person)
        return self._connection


def _after(message: Message) -> Record | None:
    """Return the entry that the Post-Read control shows, None if the server has none."""
    content = message.control(messages.POST_READ)
    if not content:
        return None
    return entries.from_octets(content)
