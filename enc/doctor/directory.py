"""Can LDAP be reached, fast enough, and does it offer and hold what the toolkit needs?

`check` connects to every address and looks for the bases. `check_service` goes
on with what makes a directory quick and complete: syncrepl, indexes, limits,
schema. Judgements are functions of what was seen.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from enc.directory import embedded_database, server_facts
from enc.directory.connection import Connection, open_connection
from enc.directory.embedded_config import StartOptions
from enc.directory.embedded_home import Home
from enc.directory.schema.compare import Missing
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.settings import DirectorySettings, Settings
from enc.terms import filters
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError

SLOW_CONNECT = 0.5
"""Seconds to connect and sign in from which a catalog would feel it."""
SLOW_LOOK_UP = 0.05
"""Seconds for one look-up from which an index is likely to be missing."""
_TRIES = 5
"""Measurements before a server counts as slow: a single slow one may be this machine, busy with something else."""
ASKED_ENTRIES = 501
"""One more than OpenLDAP gives by default (slapd.conf(5), sizelimit)."""
FULL = 0.8
"""Of what the embedded directory may grow to, from which on somebody should look."""
CLOCK_LEAD = 5.0
"""Seconds that the newest change may lie in our future."""
REPLICA_LAG = 60.0


def check(settings: Settings) -> Iterator[Finding]:
    """Connect to each address of directory.uris, and look for the bases on the first that takes us."""
    yield from _connect(settings.directory)
    try:
        with open_connection(settings.directory) as connection:
            yield from _bases(connection, settings)
    except ToolkitError as error:
        yield note("ldap-bases", f"cannot be looked for: {error}")
    yield from _room(settings.directory)


def _room(directory: DirectorySettings) -> Iterator[Finding]:
    """Look how full the embedded directory is, where there is one and we may see it."""
    try:
        used = embedded_database.size(Home(directory.data_directory, None))
    except ToolkitError as error:
        yield note("directory-room", f"cannot be checked: {error}")
        return
    if used:
        yield judge_room(used, StartOptions().max_size)


def judge_room(used: int, most: int) -> Finding:
    """Judge the octets that the embedded directory takes against those that it may grow to."""
    text = f"the embedded directory takes {used >> 20} MiB of {most >> 20} MiB"
    if used < FULL * most:
        return ok("directory-room", text)
    do = "find out what fills it (enc-admin directory backup FILE, and look for the longest entries) and remove it; "
    return warning(
        "directory-room",
        f"{text}: when it is full, no edit is accepted",
        f"{do}a backup and its restore then shrink it",
    )


def check_service(settings: Settings) -> Iterator[Finding]:
    """Look at what the first server that takes us offers; nothing if none does (`check` has said so)."""
    try:
        with open_connection(settings.directory) as connection:
            yield from _service(connection, settings)
    except ToolkitError as error:
        yield note("ldap-service", f"cannot be checked completely: {error}")


def _connect(directory: DirectorySettings) -> Iterator[Finding]:
    found: dict[str, float | ToolkitError] = {}
    newest: dict[str, float] = {}
    for uri in directory.uris:
        only, took = dataclasses.replace(directory, uris=(uri,)), list[float]()
        try:
            while len(took) < _TRIES and (not took or min(took) > SLOW_CONNECT):
                began = time.monotonic()
                with open_connection(only) as connection:
                    took.append(time.monotonic() - began)
                    csns = server_facts.context_csns(connection, directory.suffix)
            found[uri] = min(took)
            if csns:
                newest[uri] = max(map(csn_time, csns))
        except ToolkitError as error:
            found.setdefault(uri, error)
    yield from judge_connections(found)
    yield from judge_newest(newest, time.time())


def judge_connections(found: Mapping[str, float | ToolkitError]) -> Iterator[Finding]:
    """Judge what came of each address: the seconds that it took, or the error."""
    some = any(isinstance(result, float) for result in found.values())
    for uri, result in found.items():
        if isinstance(result, ToolkitError):
            do = "start that server, or repair its network, certificate or account, or take it out of directory.uris"
            text = str(result) if uri in str(result) else f"{uri}: {result}"
            yield warning("ldap-connect", text, do) if some else fault("ldap-connect", text, do)
        elif result > SLOW_CONNECT:
            do = "check that server's load, its name service and the network to it"
            yield warning("ldap-connect", f"{uri}: took {result * 1000:.0f} ms to connect and sign in", do)
        else:
            yield ok("ldap-connect", f"{uri}: connected and signed in within {max(result * 1000, 1):.0f} ms")


def judge_newest(newest: Mapping[str, float], now: float) -> Iterator[Finding]:
    """Judge the times (epoch seconds) of the newest change that each server knows of."""
    if not newest:
        return
    ahead = max(newest.values()) - now
    if ahead > CLOCK_LEAD:
        yield warning(
            "clock",
            f"LDAP's newest change is {ahead:.0f} s in this machine's future: the clocks differ",
            "run NTP here and on the LDAP servers; until then the ages of answers are wrong",
        )
    else:
        yield ok("clock", "LDAP's newest change is not in this machine's future")
    late = {uri: max(newest.values()) - at for uri, at in newest.items()}
    worst = max(late, key=lambda uri: late[uri])
    if late[worst] > REPLICA_LAG:
        yield warning(
            "ldap-replication",
            f"{worst} is {late[worst]:.0f} s behind the other servers",
            "check its replication: clients that fall back to it get older answers",
        )
    elif len(newest) > 1:
        yield ok("ldap-replication", "the servers have the same changes")


def _bases(connection: Connection, settings: Settings) -> Iterator[Finding]:
    do = "create the entry, correct the setting, or let the account read it"
    wanted = [("nodes.base", settings.nodes_base, True)]
    if settings.nodes.semantics == "extended":
        wanted += [
            ("projects.base", settings.projects_base, True),
            ("groups.base", settings.groups_base, False),
            ("site.dn", settings.site_dn, False),
        ]
    missing = [(key, base, needed) for key, base, needed in wanted if not server_facts.exists(connection, base)]
    for key, base, needed in missing:
        text = f"{key}: there is no entry {base}, or {settings.directory.bind_dn or 'this account'} may not see it"
        yield fault("ldap-bases", text, do) if needed else note("ldap-bases", f"{text}; nothing is read from there")
    if not missing:
        yield ok("ldap-bases", ", ".join(f"{key} {base}" for key, base, _ in wanted))


def _quickest_look_up(connection: Connection, base: str, attribute: str) -> float:
    took = server_facts.timed_look_up(connection, base, attribute)
    for _ in range(_TRIES - 1):
        if took <= SLOW_LOOK_UP:
            break
        took = min(took, server_facts.timed_look_up(connection, base, attribute))
    return took


def _service(connection: Connection, settings: Settings) -> Iterator[Finding]:
    base = settings.nodes_base
    offered = server_facts.SYNC_CONTROL in server_facts.controls(connection)
    yield judge_sync(offered, offered and server_facts.synchronizes(settings.directory, base), settings)
    yield judge_schema(server_facts.missing_schema(connection), settings)
    asked = look_up_attributes(settings)
    times = {name: _quickest_look_up(connection, base, name) for name in asked}
    yield from judge_indexes(times, _indexes(settings))
    nodes = filters.NodeFilter(settings.nodes.filter).for_all()
    yield judge_limit(*server_facts.entries_given(connection, base, nodes, ASKED_ENTRIES), settings)


def _indexes(settings: Settings) -> Mapping[str, frozenset[str]] | None:
    """Read the server's configuration as the account that writes, which may be allowed to; None: it is not."""
    try:
        with open_connection(settings.directory, for_writing=True) as connection:
            return server_facts.indexes(connection, settings.nodes_base)
    except ToolkitError:
        return None


def look_up_attributes(settings: Settings) -> tuple[str, ...]:
    """Return the attributes by which nodes are looked up: those of %s in nodes.filter."""
    leaves = filters.parse(settings.nodes.filter.replace("%s", "*x")).leaves()
    return tuple(dict.fromkeys(leaf.attribute for leaf in leaves if leaf.kind == "substring"))


def judge_sync(offered: bool, works: bool, settings: Settings) -> Finding:
    """Judge whether the server lets followers keep up (RFC 4533)."""
    if works:
        return ok("ldap-syncprov", "changes arrive as they happen (syncrepl)")
    how = "offers it, but refuses it below nodes.base" if offered else "does not offer it"
    return warning(
        "ldap-syncprov",
        f"syncrepl: the server {how}; the follower reads everything each {settings.follow.poll_interval:g} s",
        "add the overlay syncprov to the database: moduleload syncprov; overlay syncprov (slapo-syncprov(5))",
    )


def judge_schema(missing: tuple[Missing, ...] | None, settings: Settings) -> Finding:
    """Judge what the server lacks of our schemas."""
    if missing is None:
        return note("ldap-schema", "the server does not show its schema to this account")
    names = {item.schema.name: item.names for item in missing}
    if "puppet" in names and settings.nodes.filter.lower().find("puppetclient") >= 0:
        return fault(
            "ldap-schema", "Puppet's schema is missing: no entry can be a puppetClient", "enc-admin schema install"
        )
    if "puppetmaster" in names and settings.nodes.semantics == "extended":
        return warning(
            "ldap-schema",
            f"the extension is incomplete ({', '.join(names['puppetmaster'])}): "
            "no typed parameters, structured values, prefixes or removals",
            "enc-admin schema install",
        )
    return ok("ldap-schema", "the server has all the schema these settings need")


def judge_indexes(times: Mapping[str, float], indexes: Mapping[str, frozenset[str]] | None) -> Iterator[Finding]:
    """Judge look-ups by the seconds that they took, and by the server's own configuration where it is readable."""
    do = "index it for equality: `index NAME eq` in slapd.conf (then slapindex), or olcDbIndex in cn=config"
    for name, seconds in times.items():
        how = f"looking up a node by {name} takes {max(seconds * 1000, 1):.0f} ms"
        if indexes is not None and "eq" not in indexes.get(name, frozenset()):
            yield warning("ldap-indexes", f"{name} has no equality index; {how}", do.replace("NAME", name))
        elif seconds > SLOW_LOOK_UP:
            yield warning("ldap-indexes", f"{how}: is it indexed?", do.replace("NAME", name))
        else:
            yield ok("ldap-indexes", how)
    missing = [name for name in ("entryuuid", "entrycsn") if indexes is not None and name not in indexes]
    if missing:
        yield warning(
            "ldap-indexes",
            f"{' and '.join(missing)} not indexed: a returning follower makes the server read everything",
            "index entryUUID,entryCSN eq (slapo-syncprov(5))",
        )


def judge_limit(given: int, more: bool, settings: Settings) -> Finding:
    """Judge whether the account gets all entries, having asked for ASKED_ENTRIES."""
    who = settings.directory.bind_dn or "this account"
    if given >= ASKED_ENTRIES:
        return ok("ldap-limits", f"{who} gets more than {given - 1} entries at once")
    if more:
        return fault(
            "ldap-limits",
            f"{who} gets {counted(given, 'entry', 'entries')} and no more: a follower would not see the others",
            f'give it its own limits: limits dn.exact="{who}" size=unlimited time=unlimited (slapd.conf(5))',
        )
    return ok("ldap-limits", f"{who} gets all of {counted(given, 'node')}; a limit above that cannot be detected")


def csn_time(csn: str) -> float:
    """Return the time of a change sequence number such as `20120101120000.123456Z#…` in epoch seconds; 0 if none."""
    try:
        return datetime.strptime(csn.partition("#")[0], "%Y%m%d%H%M%S.%fZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
