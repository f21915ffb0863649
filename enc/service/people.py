"""Who somebody is: their entry in LDAP and the roles that it has in projects.

Everything that asks "may this person" asks here (the hooks and git's transport by way of git_hooks/push/membership.py).
LDAP is asked one question, below what people, projects and groups have in common: for the person's entry and for every
group with those whom it lists. What that means is told without LDAP (enc/rights/groups.py). So it does not matter how
deep groups stand in one another, and the lists all stand as LDAP had them at one time. Groups count below
`projects.base` and `groups.base`, and where a role of the table names one. Who asks often keeps the groups for a while.

Where bases have nothing in common, or the reading account may not read above them, each is asked by itself.

Not here: what a role may do (roles.py), passwords (the directory checks
them when the person binds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from enc.directory.ldap_store import LdapSource
from enc.rights.groups import LISTS, Group, Groups, Path, holdings, normal
from enc.rights.roles import OPERATOR, Held, Holding, Person, Role, table_of
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import ClassificationError, ConfigurationError, InvalidName, NotFound
from enc.terms.filters import Filter, escape, parse
from enc.terms.names import PersonName
from enc.terms.posix_names import LoginName
from enc.terms.record import Record

_GROUPS = "(objectClass=groupOfNames)(objectClass=organizationalRole)"


def local(settings: Settings | None = None) -> Person:
    """Return whoever runs this command without naming a person.

    That is an operator: to write at all takes the writing account's secret (or
    the directory's own user) and the audit trail, which the system's file
    permissions guard. `settings` say which roles there are besides.
    """
    from enc.edits import audit  # here, because a hook that asks for a person must not wait for what edits need

    user, behind = audit.local_user()
    name, table = f"{user} (logged in as {behind})" if behind else user, table_of(settings or Settings())
    return Person(name, holds=frozenset({Holding(OPERATOR.name)}), table=table)


def find(
    uid: PersonName, source: LdapSource, settings: Settings, table: tuple[Role, ...] | None = None
) -> Person:
    """Return the person and their roles of `table` (None: the settings') as LDAP has them now; raise `NotFound`."""
    table = table or table_of(settings)
    entry, groups = look_up(uid, source, settings, table)
    return with_roles(uid, entry, groups, settings, table)


def with_roles(
    uid: PersonName, entry: Record, groups: Groups, settings: Settings, table: tuple[Role, ...] | None = None
) -> Person:
    """Return the person whose entry that is, with their roles; asks nobody."""
    table = table or table_of(settings)
    return Person(str(uid), entry.dn, frozenset(holdings(entry.dn, groups, settings, table)), table, entry.uuid)


def look_up(
    uid: PersonName, source: LdapSource, settings: Settings, table: tuple[Role, ...] | None = None
) -> tuple[Record, Groups]:
    """Return the person's entry and all groups, by one question; raise as `entry_of` does."""
    places = _places(settings, table or table_of(settings))
    base, asked = _above_all((settings.people_base, *places)), _filter_of(uid, settings)
    known = _read(asked)
    if base and known is not None:
        attributes = ("objectClass", "entryUUID", *LISTS, *dict.fromkeys(leaf.attribute for leaf in known.leaves()))
        records = source.search(base, f"(|{asked}{_GROUPS}{_projects(settings)})", attributes=attributes)
        found = [one for one in records if known.matches(one) and dn.is_below(one.dn, settings.people_base)]
        if found:
            return _only(uid, found, settings), _groups_of(records, places)
    return entry_of(uid, source, settings), groups_in(source, settings, table)


def groups_in(source: LdapSource, settings: Settings, table: tuple[Role, ...] | None = None) -> Groups:
    """Return all groups that count, with those whom they list."""
    places, wanted = _places(settings, table or table_of(settings)), f"(|{_GROUPS}{_projects(settings)})"
    base = _above_all(places)
    records = source.search(base, wanted, attributes=("objectClass", *LISTS)) if base else []
    if not records:
        records = [one for place in places for one in source.search(place, wanted, attributes=("objectClass", *LISTS))]
    return _groups_of(records, places)


def _places(settings: Settings, table: tuple[Role, ...]) -> tuple[str, ...]:
    """Return the names of what groups stand below or are, none of them below another."""
    named = (role.entry(settings) for role in table if role.entry is not None and role.held is Held.GROUP)
    places = tuple(dict.fromkeys(map(normal, (settings.projects_base, settings.groups_base, *named))))
    return tuple(one for one in places if not any(one.endswith(f",{other}") for other in places))


def _above_all(places: Iterable[str]) -> str:
    """Return the name below which all `places` are, or which they are; empty if there is none."""
    first, *others = ([*reversed(dn.split(place))] for place in map(normal, places) if place)
    common = first
    for other in others:
        same = [mine == theirs for mine, theirs in zip(common, other, strict=False)]
        common = common[: same.index(False) if False in same else len(same)]
    return ",".join(reversed(common))


def _groups_of(records: Iterable[Record], places: tuple[str, ...]) -> Groups:
    below = tuple(f",{place}" for place in places)
    return Groups(group_of(one) for one in records if (key := normal(one.dn)) in places or key.endswith(below))


def group_of(record: Record) -> Group:
    """Return the group that an entry is: whom a role lists as occupants, everything else as members. Pure."""
    classes = {name.lower() for name in record.all("objectClass")}
    is_role = "organizationalrole" in classes and "groupofnames" not in classes
    return Group(record.dn, record.all("roleOccupant" if is_role else "member"), is_role)


def _projects(settings: Settings) -> str:
    return _bracketed(settings.projects.filter)


def _filter_of(uid: PersonName, settings: Settings) -> str:
    return _bracketed(settings.people.filter.replace("%s", escape(uid)))


def _bracketed(text: str) -> str:
    return text if text.lstrip().startswith("(") else f"({text.strip()})"


def _read(text: str) -> Filter | None:
    try:
        return parse(text, where="people.filter")
    except ConfigurationError:
        return None  # what only a server understands


def entry_of(uid: PersonName, source: LdapSource, settings: Settings) -> Record:
    """Return the entry of the person; raise `NotFound`, or `ClassificationError` if there are several."""
    return _only(uid, source.search(settings.people_base, _filter_of(uid, settings)), settings)


def _only(uid: PersonName, found: list[Record], settings: Settings) -> Record:
    if not found:
        raise NotFound(f"no person {uid} in LDAP (below {settings.people_base}); add the person's entry first")
    if len(found) > 1:
        raise ClassificationError(f"{len(found)} entries are called {uid}: {'; '.join(r.dn for r in found)}")
    return found[0]


def people_in(place: str, groups: Groups, settings: Settings) -> dict[str, Path]:
    """Return the people in the group `place`: the DN of each, as it is listed, and the way there. Pure.

    Whether they have an entry is not asked; what stands where groups do is no person.
    """
    bases = (settings.projects_base, settings.groups_base)
    return {
        one: way
        for one, way in groups.below(place).items()
        if one not in groups and not any(_below(one, base) for base in bases)
    }


def effective_members(entry: Record, groups: Groups, settings: Settings) -> tuple[str, ...]:
    """Return the DNs of the people in the project, or with the role, of this entry, also by way of groups. Pure.

    The entry may be newer than `groups`.
    """
    return tuple(people_in(entry.dn, groups.with_group(group_of(entry)), settings))


def login_names(
    places: Iterable[str], read: Callable[[str], Record | None]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names by which machines know the people at `places`, and the places that have none.

    `read` is asked only about places whose name is not the uid itself.
    """
    names: dict[str, None] = {}
    without = []
    for place in places:
        try:
            attribute, value = dn.rdn(place)
        except InvalidName:
            attribute = value = ""
        if attribute != "uid":
            entry = read(place) if attribute else None
            value = (entry.first("uid") or "") if entry else ""
        # What machines call an account of their own is no person's there: that account would be in the group.
        if PersonName.accepts(value) and value not in LoginName.reserved:
            names[value] = None
        else:
            without.append(place)
    return tuple(names), tuple(without)


def shown(place: str) -> str:
    """Return the uid in a person's DN, or the DN if its first name is something else."""
    try:
        attribute, value = dn.rdn(place)
    except InvalidName:
        return place
    return value if attribute in ("uid", "cn") else place


def _below(place: str, base: str) -> bool:
    try:
        return dn.is_below(place, base)
    except InvalidName:
        return False
