"""Who somebody is: their entry in LDAP and the roles that it has in projects.

Not here: what a role may do (authorize.py), passwords (the directory checks
them when the person binds).
"""

from __future__ import annotations

from enc import dn
from enc.classify.model import Record
from enc.directory.ldap_store import LdapSource
from enc.directory.messages import Scope
from enc.errors import ClassificationError, InvalidName, NotFound
from enc.filters import escape, folded
from enc.names import PersonName, ProjectName
from enc.roles import Person
from enc.settings import Settings


def local() -> Person:
    """Return whoever runs this command without naming a person.

    That is an operator: to write at all takes the writing account's secret (or
    the directory's own user) and the audit trail, which the system's file
    permissions guard.
    """
    from enc import audit  # here, because a hook that asks for a person must not wait for what edits need

    user, behind = audit.local_user()
    return Person(f"{user} (sudo: {behind})" if behind else user, operator=True)


def find(uid: PersonName, source: LdapSource, settings: Settings) -> Person:
    """Return the person and their roles as LDAP has them now; raise `NotFound`."""
    entry = entry_of(uid, source, settings)
    place = dn.normalise(entry.dn)
    operators = source.read(settings.operators_dn)
    assertion = escape(entry.dn)
    member_of = set()
    for project in source.search(settings.projects_base, f"(member={assertion})", Scope.ONE_LEVEL):
        member_of.add(dn.rdn(project.dn)[1])
    admin_of = set()
    role = settings.projects.admin_role
    for held in source.search(settings.projects_base, f"(&(cn={escape(role)})(roleOccupant={assertion}))"):
        above = dn.parent(held.dn)
        # The role counts directly below its project, and nowhere else.
        if dn.normalise(dn.parent(above)) == dn.normalise(settings.projects_base) and dn.rdn(held.dn) == ("cn", role):
            admin_of.add(dn.rdn(above)[1])
    return Person(
        str(uid),
        entry.dn,
        operator=operators is not None and place in map(_normal, operators.all("member")),
        admin_of=frozenset(ProjectName(name) for name in admin_of if ProjectName.accepts(name)),
        member_of=frozenset(ProjectName(name) for name in member_of if ProjectName.accepts(name)),
    )


def entry_of(uid: PersonName, source: LdapSource, settings: Settings) -> Record:
    """Return the entry of the person; raise `NotFound`, or `ClassificationError` if there are several."""
    found = source.search(settings.people_base, settings.people.filter.replace("%s", escape(uid)))
    if not found:
        raise NotFound(f"no person {uid} in LDAP (below {settings.people_base}); add the entry first")
    if len(found) > 1:
        raise ClassificationError(f"{len(found)} entries are called {uid}: {'; '.join(r.dn for r in found)}")
    return found[0]


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
