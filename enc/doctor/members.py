"""Do lists of members name people and groups that do not exist?

Such names give nobody anything now. But whoever creates a project, or gets a uid, with that name would get the rights
of the former one at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from enc.directory.ldap_store import LdapSource
from enc.doctor.findings import Finding, note, ok, warning
from enc.rights.groups import Groups, normal
from enc.service import people, standings
from enc.service.lists import shown
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import InvalidName, ToolkitError

_NAMED = 5
"""At most so many names, and lists of each, are shown."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at all lists."""
    if settings.nodes.semantics == "terminus":
        return
    try:
        with LdapSource(settings) as source:
            groups = people.groups_in(source, settings)
            there = [row.record.dn for row in standings.everybody(source, settings)]
    except ToolkitError as error:
        yield note("members", f"cannot read from LDAP who is in which group: {error}")
        return
    yield from judge(groups, there, settings)


def judge(groups: Groups, there: Collection[str], settings: Settings) -> Iterator[Finding]:
    """Judge who is listed; `there`: the DNs of all people. Pure."""
    known = set(map(normal, there))
    gone: dict[str, list[str]] = {}
    for group in groups:
        for member in group.members:
            is_group = any(_below(member, base) for base in (settings.projects_base, settings.groups_base))
            # If no person at all is found, the search itself is more likely to be wrong.
            is_person = bool(known) and not is_group and _below(member, settings.people_base)
            if (is_group and member not in groups) or (is_person and normal(member) not in known):
                gone.setdefault(shown(member, settings), []).append(shown(group.dn, settings))
    do = "remove it: enc-admin project member remove, project role remove; for other groups, ldapmodify"
    for name, places in sorted(gone.items())[:_NAMED]:
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        yield warning(
            "members",
            f"{name} does not exist, but is still in {', '.join(places[:_NAMED])}{more}: whoever gets that name gets "
            "these rights",
            do,
        )
    if len(gone) > _NAMED:
        yield warning("members", f"{len(gone) - _NAMED} more such names", do)
    if not gone:
        yield ok("members", "every person and group that is listed exists")


def _below(place: str, base: str) -> bool:
    try:
        return dn.is_below(place, base)
    except InvalidName:
        return False
