"""Who somebody is: their entry in LDAP and the roles that it has in projects.

Not here: what a role may do (roles.py), passwords (the directory checks
them when the person binds).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from enc.directory.ldap_store import LdapSource
from enc.directory.messages import Scope
from enc.rights.roles import OPERATOR, ROLES, Held, Holding, Person, Role
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import ClassificationError, InvalidName, NotFound
from enc.terms.filters import escape, folded
from enc.terms.names import PersonName, ProjectName
from enc.terms.record import Record


def local() -> Person:
    """Return whoever runs this command without naming a person.

    That is an operator: to write at all takes the writing account's secret (or
    the directory's own user) and the audit trail, which the system's file
    permissions guard.
    """
    from enc.edits import audit  # here, because a hook that asks for a person must not wait for what edits need

    user, behind = audit.local_user()
    return Person(f"{user} (logged in as {behind})" if behind else user, holds=frozenset({Holding(OPERATOR.name)}))


def find(
    uid: PersonName, source: LdapSource, settings: Settings, table: tuple[Role, ...] = ROLES
) -> Person:
    """Return the person and their roles of `table` as LDAP has them now; raise `NotFound`."""
    entry = entry_of(uid, source, settings)
    holds = frozenset(holding for role in table for holding in _holdings(role, entry.dn, source, settings))
    return Person(str(uid), entry.dn, holds, table)


def _holdings(role: Role, person: str, source: LdapSource, settings: Settings) -> Iterator[Holding]:
    """Yield where LDAP says that `person`, a DN, holds `role`."""
    assertion, entry = escape(person), role.entry(settings) if role.entry else ""
    if role.held is Held.GROUP:
        group = source.read(entry)
        if group is not None and dn.normalise(person) in map(_normal, group.all("member")):
            yield Holding(role.name)
        return
    projects = set()
    if role.held is Held.MEMBER:
        for project in source.search(settings.projects_base, f"(member={assertion})", Scope.ONE_LEVEL):
            projects.add(dn.rdn(project.dn)[1])
    elif role.held is Held.OCCUPANT:
        base = dn.normalise(settings.projects_base)
        for held in source.search(settings.projects_base, f"(&(cn={escape(entry)})(roleOccupant={assertion}))"):
            above = dn.parent(held.dn)
            # The role counts directly below its project, and nowhere else.
            if dn.normalise(dn.parent(above)) == base and dn.rdn(held.dn) == ("cn", entry):
                projects.add(dn.rdn(above)[1])
    for name in projects:
        if ProjectName.accepts(name):
            yield Holding(role.name, ProjectName(name))


def entry_of(uid: PersonName, source: LdapSource, settings: Settings) -> Record:
    """Return the entry of the person; raise `NotFound`, or `ClassificationError` if there are several."""
    found = source.search(settings.people_base, settings.people.filter.replace("%s", escape(uid)))
    if not found:
        raise NotFound(f"no person {uid} in LDAP (below {settings.people_base}); add the person's entry first")
    if len(found) > 1:
        raise ClassificationError(f"{len(found)} entries are called {uid}: {'; '.join(r.dn for r in found)}")
    return found[0]


def effective_members(entry: Record) -> tuple[str, ...]:
    """Return the DNs of the people who are members of the project with this entry."""
    return entry.all("member")


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
        if PersonName.accepts(value):
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


def _normal(place: str) -> str:
    try:
        return dn.normalise(place)
    except InvalidName:
        return folded(place)
