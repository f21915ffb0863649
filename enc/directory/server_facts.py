"""What a server says about itself: schema, controls, state, indexes, limits. Reads only.

For `doctor`, `config check` and `schema check`, which judge it. Everything
within the connection's time-out; what the account may not see is None and not
an error. Every other failure is the connection's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from time import monotonic

from enc.directory import messages, results
from enc.directory.connection import Connection
from enc.directory.messages import Scope
from enc.directory.schema.compare import Clash, Missing, clashes, missing, names_in
from enc.directory.sync_events import RefreshDone, SyncNotOffered
from enc.directory.syncrepl import SyncFeed
from enc.settings import DirectorySettings
from enc.terms import dn as names
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable, NotAllowed, NotFound

SYNC_CONTROL = "1.3.6.1.4.1.4203.1.9.1.1"
"""Sync Request, RFC 4533 section 2.2."""
_ANYTHING = "(objectClass=*)"


def controls(connection: Connection) -> frozenset[str]:
    """Return the OIDs of the controls that the server offers (root DSE)."""
    found = connection.search("", _ANYTHING, Scope.BASE, ("supportedControl",))
    return frozenset(found[0].all("supportedControl")) if found else frozenset()


def missing_schema(connection: Connection) -> tuple[Missing, ...] | None:
    """Return what the server lacks of our schemas; None if it does not show its schema."""
    found = _definitions(connection)
    return None if found is None else missing(names_in(found))


def schema_clashes(connection: Connection) -> tuple[Clash, ...] | None:
    """Return what the server defines otherwise than we need it; None if it does not show its schema."""
    found = _definitions(connection)
    return None if found is None else clashes(found)


def can_number(connection: Connection) -> bool | None:
    """Tell whether a project's entry can be a posixGroup; None if the server does not show its schema."""
    found = _definitions(connection)
    if found is None:
        return None
    lacking = {name for item in missing(names_in(found)) for name in item.names}
    return not {"posixGroup", "memberUid"} & (lacking | {clash.name for clash in clashes(found)})


def _definitions(connection: Connection) -> tuple[str, ...] | None:
    """Return the server's attributes and object classes, as it says them."""
    root = connection.search("", _ANYTHING, Scope.BASE, ("subschemaSubentry",))
    place = root[0].first("subschemaSubentry") if root else None
    if place is None:
        return None
    try:
        wanted = ("attributeTypes", "objectClasses")
        found = connection.search(place, "(objectClass=subschema)", Scope.BASE, wanted)
    except (NotFound, NotAllowed):
        return None
    if not found:
        return None
    return tuple(value for attribute in wanted for value in found[0].all(attribute))


def exists(connection: Connection, place: str) -> bool:
    """Tell whether the account sees the entry `place`."""
    try:
        return bool(connection.search(place, _ANYTHING, Scope.BASE, ("1.1",)))
    except NotFound:
        return False


def context_csns(connection: Connection, suffix: str) -> tuple[str, ...]:
    """Return contextCSN of the tree: the newest change of each server that may write; empty if not shown."""
    try:
        found = connection.search(suffix, _ANYTHING, Scope.BASE, ("contextCSN",))
    except NotFound:
        return ()
    return found[0].all("contextCSN") if found else ()


def indexes(connection: Connection, suffix: str) -> dict[str, frozenset[str]] | None:
    """Return attribute (lower-cased) → kinds of index in the database of `suffix`; None if cn=config is closed."""
    try:
        found = connection.search("cn=config", "(olcSuffix=*)", Scope.SUBTREE, ("olcSuffix", "olcDbIndex"))
    except (NotFound, NotAllowed, DirectoryRefused):
        return None
    for database in found:
        tops = database.all("olcSuffix")
        if any(names.normalise(top) == names.normalise(suffix) or names.is_below(suffix, top) for top in tops):
            return _read_indexes(database.all("olcDbIndex"))
    return None


def _read_indexes(values: Iterable[str]) -> dict[str, frozenset[str]]:
    """Read olcDbIndex values such as `{0}cn,ou eq,sub` (slapd-mdb(5))."""
    found: dict[str, frozenset[str]] = {}
    for value in values:
        attributes, _, kinds = value.rpartition("}")[2].partition(" ")
        for attribute in attributes.split(","):
            found[attribute.strip().lower()] = frozenset(kind.strip() for kind in kinds.split(",") if kind.strip())
    return found


def timed_look_up(connection: Connection, base: str, attribute: str) -> float:
    """Return the seconds that a search for a value of `attribute` takes that no entry has."""
    began = monotonic()
    connection.search(base, f"({attribute}=none-{secrets.token_hex(8)})", Scope.SUBTREE, ("1.1",))
    return monotonic() - began


def entries_given(connection: Connection, base: str, filter_text: str, ask: int) -> tuple[int, bool]:
    """Ask for `ask` entries at most without paging; return how many came, and whether there are more.

    A server whose limit for this account is lower gives fewer and says that there are more.
    """
    request = messages.search(base, Scope.SUBTREE, filter_text, ("1.1",), size=ask)
    count = 0
    try:
        for message in connection.answers(request):
            if message.operation == messages.ENTRY:
                count += 1
            elif message.operation == messages.SEARCH_DONE:
                result = message.result()
                break
    except messages.Malformed as error:
        raise DirectoryUnreachable(str(error), where=connection.uri) from error
    if result.code not in (results.SUCCESS, results.SIZE_LIMIT):
        raise results.failure(result, f"{connection.uri}: {base}")
    return count, result.code == results.SIZE_LIMIT


def synchronizes(settings: DirectorySettings, base: str) -> bool:
    """Tell whether the first server of `settings` that takes us carries out a syncrepl search below `base`."""
    feed = SyncFeed(settings, base, f"(cn=none-{secrets.token_hex(8)})", ("1.1",))
    try:
        return any(isinstance(event, RefreshDone) for event in feed.events(None, persist=False))
    except SyncNotOffered:
        return False
