"""Are the numbers by which machines know people and projects sound, and does memberUid say who is a member?

One reading of what has a number, as the reading account; judgements are functions of what was seen. The machine's own
accounts are read from its files, because whoever asks the system is answered from LDAP, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from enc.directory import server_facts
from enc.directory.connection import open_connection
from enc.directory.ldap_store import LdapSource
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.rights.groups import Groups
from enc.rights.roles import role_entries, table_of
from enc.service import people
from enc.service.numbers import Series, noted_number
from enc.settings import Settings
from enc.terms import dn
from enc.terms.counted import counted
from enc.terms.errors import InvalidName, ToolkitError
from enc.terms.filters import folded
from enc.terms.posix_names import number_fault
from enc.terms.record import Record

_NAMED = 10
"""Of each kind of fault, so many are named."""
_NUMBERED = "(|(objectClass=posixGroup)(objectClass=posixAccount))"


@dataclass(frozen=True)
class Numbered:
    """What has numbers, as it was seen."""

    entries: tuple[Record, ...] = ()
    """Groups and accounts, wherever they are."""
    notes: Mapping[Series, Mapping[int, Record]] = field(default_factory=dict)
    """Which numbers were given; a series is missing where the directory has no entry for its notes."""
    local: Mapping[Series, Mapping[int, str]] = field(default_factory=dict)
    """The machine's own accounts and groups by their numbers."""
    lacking: tuple[Record, ...] = ()
    """Projects' roles that have no number."""
    structural: int = 0
    """Groups of RFC 2307 in a server whose posixGroup is RFC 2307bis': nobody can change them."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at all numbers; nothing is said where nothing has one."""
    try:
        with LdapSource(settings) as source:
            seen = Numbered(
                tuple(_entries(source, settings)),
                dict(_notes(source, settings)),
                {Series.UID: _local(Path("/etc/passwd")), Series.GID: _local(Path("/etc/group"))},
                tuple(_lacking(source, settings)),
                _structural(settings),
            )
            yield from judge(seen, settings)
            if settings.posix.member_uid:
                yield from judge_names(seen, settings, source.read, people.groups_in(source, settings))
    except ToolkitError as error:
        yield note("numbers", f"LDAP cannot be queried for the numbers in use: {error}")


def _entries(source: LdapSource, settings: Settings) -> Iterator[Record]:
    found: dict[str, Record] = {}
    tops: list[str] = []
    for base in (settings.directory.suffix, settings.projects_base, settings.people_base, settings.groups_base):
        if not any(_is_at_or_below(base, top) for top in tops):
            tops.append(dn.normalise(base))
            found |= {dn.normalise(record.dn): record for record in source.search(base, _NUMBERED)}
    yield from found.values()


def _lacking(source: LdapSource, settings: Settings) -> Iterator[Record]:
    for record in source.search(settings.projects_base, "(&(objectClass=organizationalRole)(!(gidNumber=*)))"):
        if _is_role(record, settings):
            yield record


def _is_role(record: Record, settings: Settings) -> bool:
    """Tell whether this entry lists who holds a role in a project."""
    return (
        "organizationalrole" in map(folded, record.all("objectClass"))
        and folded(dn.rdn(record.dn)[1]) in role_entries(settings, table_of(settings))
        and dn.normalise(dn.parent(dn.parent(record.dn))) == dn.normalise(settings.projects_base)
    )


def _is_at_or_below(base: str, top: str) -> bool:
    return dn.normalise(base) == top or dn.is_below(base, top)


def _notes(source: LdapSource, settings: Settings) -> Iterator[tuple[Series, Mapping[int, Record]]]:
    for series in Series:
        base = dn.build("ou", series.unit, settings.numbers_base)
        if source.read(base) is not None:
            notes = {noted_number(found): found for found in source.search(base, "(cn=*)")}
            yield series, {number: found for number, found in notes.items() if number is not None}


def _local(file: Path) -> Mapping[int, str]:
    """Return the accounts of passwd(5), or the groups of group(5); in both the third field is the number."""
    try:
        lines = [line.split(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return {}
    return {int(fields[2]): fields[0] for fields in lines if len(fields) > 2 and fields[2].isdecimal()}


def _structural(settings: Settings) -> int:
    with open_connection(settings.directory) as connection:
        if server_facts.can_number(connection) is not True:
            return 0
        base = settings.directory.suffix
        return server_facts.entries_given(connection, base, "(structuralObjectClass=posixGroup)", _NAMED)[0]


def judge(seen: Numbered, settings: Settings) -> Iterator[Finding]:
    """Judge the numbers. Pure."""
    if not seen.entries:
        yield ok("numbers", "no person and no project has a number")
        return
    findings = [
        *_doubled(seen, Series.GID, "posixgroup"),
        *_doubled(seen, Series.UID, "posixaccount"),
        *_beyond(seen, settings),
        *_of_the_machine(seen),
        *_not_noted(seen, settings),
        *_without_root(seen, settings),
    ]
    if seen.structural:
        findings.append(
            warning(
                "numbers",
                f"{counted(seen.structural, 'group')} of RFC 2307 (posixGroup and nothing else), which the server's "
                "schema does not allow to change",
                "delete them, and create them again as groupOfNames with posixGroup (docs/directory.md)",
            )
        )
    numbers = counted(len(seen.entries), "number")
    yield from findings or [ok("numbers", f"{numbers}, each used once and within its range")]


def _having(seen: Numbered, series: Series, kind: str) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in seen.entries:
        number = _number(record, series)
        if number is not None and kind in map(folded, record.all("objectClass")):
            found.setdefault(number, []).append(record)
    return found


def _number(record: Record, series: Series) -> int | None:
    text = record.first(series.attribute) or ""
    return int(text) if text.isascii() and text.isdigit() else None


def _doubled(seen: Numbered, series: Series, kind: str) -> Iterator[Finding]:
    doubled = {number: here for number, here in _having(seen, series, kind).items() if len(here) > 1}
    yield from _some(
        fault,
        [f"{series.attribute} {number} is that of {'; '.join(r.dn for r in here)}" for number, here in doubled.items()],
        "files of one belong to the other on every machine: give all but the oldest another number with LDAP's "
        "own tools, and change the owner of their files",
    )


def _beyond(seen: Numbered, settings: Settings) -> Iterator[Finding]:
    told = []
    for series, kind, base in (
        (Series.GID, "posixgroup", settings.projects_base),
        (Series.UID, "posixaccount", settings.people_base),
    ):
        wanted = series.range(settings)
        for number, here in _having(seen, series, kind).items():
            if number in wanted or not any(dn.is_below(record.dn, base) for record in here):
                continue
            words = f"{here[0].dn}: {series.attribute} {number}"
            told.append(f"{words} {why}" if (why := number_fault(number)) else f"{words} is not one of {wanted}")
    bad = [text for text in told if " is not one of " not in text]
    yield from _some(
        warning, bad, "machines use such numbers for their own accounts: change it with LDAP's own tools"
    )
    yield from _some(
        note,
        [text for text in told if text not in bad],
        "harmless if the site gives out numbers itself; otherwise see posix.gid_range and posix.uid_range",
    )


def _of_the_machine(seen: Numbered) -> Iterator[Finding]:
    told = []
    for series, kind, word in ((Series.GID, "posixgroup", "group"), (Series.UID, "posixaccount", "account")):
        own = seen.local.get(series, {})
        for number, here in _having(seen, series, kind).items():
            if number in own and dn.rdn(here[0].dn)[1] != own[number]:
                told.append(f"{here[0].dn}: {series.attribute} {number} is this machine's own {word} {own[number]}")
    yield from _some(warning, told, "change the number of the machine's own account or group, or the directory's range")


def _not_noted(seen: Numbered, settings: Settings) -> Iterator[Finding]:
    others, missing = [], 0
    for series, kind, base in (
        (Series.GID, "posixgroup", settings.projects_base),
        (Series.UID, "posixaccount", settings.people_base),
    ):
        if series not in seen.notes:
            continue
        for number, here in _having(seen, series, kind).items():
            found = seen.notes[series].get(number)
            for record in here:
                if not dn.is_below(record.dn, base) or (found and record.uuid in found.all("serialNumber")):
                    continue
                if found is None or any(_same(place, record.dn) for place in found.all("owner")):
                    missing += 1
                else:
                    words = f"{record.dn}: {series.attribute} {number} was given to {found.first('owner')}"
                    others.append(f"{words}, whose files may still exist")
    yield from _some(warning, others, "give one of the two another number with LDAP's own tools")
    if missing:
        have = "number is" if missing == 1 else "numbers are"
        yield note(
            "numbers",
            f"{missing} {have} not recorded as given, and could be given again after the entry is deleted with other "
            "tools",
            "enc-admin project posix --all; enc-admin person set UID --account",
        )


def _without_root(seen: Numbered, settings: Settings) -> Iterator[Finding]:
    """Report projects that are groups on machines while some of their roles are not."""
    numbered = {dn.normalise(record.dn) for record in seen.entries if _number(record, Series.GID) is not None}
    told = [
        f"{record.dn}: has no gidNumber, although the project has one; on instances it is not a group"
        for record in seen.lacking
        if dn.normalise(dn.parent(record.dn)) in numbered
    ]
    do = "enc-admin project posix --all" if settings.posix.allot else "give it one with LDAP's own tools"
    yield from _some(note, told, f"{do}; harmless if nobody logs in through LDAP (docs/access.md)")


def judge_names(
    seen: Numbered, settings: Settings, read: Callable[[str], Record | None], groups: Groups
) -> Iterator[Finding]:
    """Judge memberUid of projects and their admins' roles, where it is to be there; `read` finds a member's entry."""
    told = []
    projects = 0
    for record in seen.entries:
        is_role = _is_role(record, settings)
        if not is_role and not (dn.is_below(record.dn, settings.projects_base) and "member" in record.attributes):
            continue
        projects += not is_role
        names, _ = people.login_names(people.effective_members(record, groups, settings), read)
        have = record.all("memberUid")
        lacks, extra = sorted(set(names) - set(have)), sorted(set(have) - set(names))
        if lacks or extra:
            parts = [f"lacks {', '.join(lacks[:_NAMED])}"] if lacks else []
            none = "do not hold this role" if is_role else "are not members"
            parts += [f"has {', '.join(extra[:_NAMED])} who {none}"] if extra else []
            told.append(f"{record.dn}: memberUid {' and '.join(parts)}")
    yield from _some(warning, told, "enc-admin project posix --all", "member-uid")
    if not told:
        yield ok("member-uid", f"memberUid of {counted(projects, 'project')} matches the members")


def _same(one: str, other: str) -> bool:
    try:
        return dn.normalise(one) == dn.normalise(other)
    except InvalidName:
        return False


def _some(
    make: Callable[[str, str, str], Finding], told: Iterable[str], do: str, check: str = "numbers"
) -> Iterator[Finding]:
    lines = list(told)
    yield from (make(check, text, do) for text in lines[:_NAMED])
    if len(lines) > _NAMED:
        yield make(check, f"{len(lines) - _NAMED} more like this", do)
