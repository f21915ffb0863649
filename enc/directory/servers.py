"""Which of several servers to follow: the first that has all the changes that we have seen.

A replica that lags takes connections like any other. Going on there would
carry the answers back in time; so each server is asked how far it has got
(`contextCSN`, csns.py) before it is followed. The first that has everything is
taken; if none has, the first that no other is ahead of.

A server that does not say (no contextCSN, or not to this account) is taken as
it comes.

Not here: what follows when the chosen server lacks something (enc/answers/standing.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from enc.directory import csns
from enc.directory.connection import Connection, nobody, open_connection
from enc.directory.csns import NOTHING_KNOWN, Csns
from enc.directory.messages import Scope
from enc.settings import DirectorySettings
from enc.terms import dn as names
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable, InvalidName, NotAllowed, NotFound, ToolkitError


@dataclass(frozen=True, slots=True)
class Server:
    """An open connection to one server, and how far that server has got."""

    connection: Connection
    context: str | None
    """DN of the entry that shows contextCSN; None if none does."""
    csns: Csns
    silent: int = 0
    """How many servers did not answer before this one was chosen."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """How far one server was seen to have got with the tree of each base."""

    uri: str
    csns: dict[str, Csns]
    """By base."""


def choose(settings: DirectorySettings, base: str, known: Csns) -> Server:
    """Connect to a server for `base`, if possible to one that has all of `known`; raise as `open_connection`."""
    failures: list[DirectoryUnreachable | DirectoryRefused] = []
    candidates: list[Server] = []
    try:
        for connection in _each(settings, failures):
            try:
                context = context_of(connection, base)
                found = Server(connection, context, read_context(connection, context), len(failures))
            except DirectoryUnreachable as error:
                connection.close()
                failures.append(error)
                continue
            candidates.append(found)
            if not found.csns or found.csns.covers(known):
                break
        if not candidates:
            raise nobody(failures)
        best = _best(candidates, known)
        candidates.remove(best)
        return replace(best, silent=len(failures))
    finally:
        for other in candidates:
            other.connection.close()


def _best(candidates: list[Server], known: Csns) -> Server:
    last = candidates[-1]
    if not last.csns or last.csns.covers(known):
        return last
    best = candidates[0]
    for other in candidates[1:]:
        if other.csns.covers(best.csns) and not best.csns.covers(other.csns):
            best = other
    return best


def _each(settings: DirectorySettings, failures: list[DirectoryUnreachable | DirectoryRefused]) -> Iterator[Connection]:
    """Yield a connection to each server that takes us; what the others say goes to `failures`."""
    for uri in settings.uris:
        try:
            yield open_connection(replace(settings, uris=(uri,)))
        except (DirectoryUnreachable, DirectoryRefused) as error:
            failures.append(error)


def sight(settings: DirectorySettings, bases: Iterable[str]) -> list[Sighting]:
    """Return how far each server has got with the trees of `bases`; those that do not answer are left out."""
    found: list[Sighting] = []
    for connection in _each(settings, []):
        with closing(connection):
            try:
                seen = {base: read_context(connection, context_of(connection, base)) for base in bases}
            except ToolkitError:
                continue
            found.append(Sighting(connection.uri, seen))
    return found


def context_of(connection: Connection, base: str) -> str | None:
    """Return the DN of the entry at or above `base` that shows contextCSN; None if none does to this account."""
    place = base
    while place:
        if read_context(connection, place):
            return place
        try:
            place = names.parent(place)
        except InvalidName:
            return None
    return None


def read_context(connection: Connection, place: str | None) -> Csns:
    """Return contextCSN of the entry `place`; empty if it is not shown. Raise `DirectoryUnreachable`."""
    if place is None:
        return NOTHING_KNOWN
    try:
        found = connection.search(place, "(objectClass=*)", Scope.BASE, ("contextCSN",))
    except (NotFound, NotAllowed, DirectoryRefused):
        return NOTHING_KNOWN
    return csns.of_values(found[0].all("contextCSN")) if found else NOTHING_KNOWN
