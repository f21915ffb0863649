"""Who is in what, when groups stand where people can: an index of who is listed where, and the walk through it. Pure.

A group is an entry with people or other groups in it: a project or any `groupOfNames` (`member`), or a role
(`organizationalRole`, `roleOccupant`). Whoever is in a group is in each group that lists it. So:

- what somebody holds is found from the person upwards, through the groups that list them (`above`), and who is in a
  group from the group downwards (`below`); both give the shortest path, and both see the same;
- each group is walked through once, so a group in itself, or two in each other, change nothing;
- a path goes through `DEEPEST` groups at most. What is farther away is not in;
- a group that is listed and is not there holds nobody, nor does a name under which LDAP knows something else;
- a role counts only directly below the entry of a project, and towards that project; wherever it stands, its entry is
  a group like any other;
- being in a project, through whatever it lists, makes a member of it and nothing more: the admins of an inner project
  are no admins of the outer one, and nobody of the outer one gets anything in the inner one.

The same walk is slapd's own (directory/access.py), where each further group of a path doubles the rules. tests/cases/
membership.yaml holds the two, and everything else that asks, against one another.

Not here: asking LDAP (service/people.py), what a role may do (roles.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from enc.rights.roles import ROLES, Held, Holding, Role
from enc.terms import dn
from enc.terms.errors import InvalidName
from enc.terms.filters import folded
from enc.terms.names import ProjectName

if TYPE_CHECKING:
    from enc.settings import Settings

DEEPEST = 4
"""Groups on a path from what is held to the person: three levels of groups below a project's own list.

Sites nest two or three deep. One more would double the access rules that slapd looks through for each attribute.
"""

LISTS = ("member", "roleOccupant")
"""The attributes that say who is in a group."""

Path = tuple[str, ...]
"""The DNs of the groups on a way, from the one that is held to the one that lists the person."""

_PLAIN = re.compile(r"(?:(?:cn|uid|ou|dc|o|c|l)=[a-z0-9._@-]+(?:,|\Z))+", re.ASCII | re.IGNORECASE)
"""A DN that is its own normal form once it is lower-cased, as nearly all are."""

_SPELLED = {
    "commonname": "cn", "userid": "uid", "organizationalunitname": "ou", "domaincomponent": "dc",
    "organizationname": "o", "countryname": "c", "localityname": "l",
    "2.5.4.3": "cn", "0.9.2342.19200300.100.1.1": "uid", "2.5.4.11": "ou", "0.9.2342.19200300.100.1.25": "dc",
    "2.5.4.10": "o", "2.5.4.6": "c", "2.5.4.7": "l",
}
"""Other names of the attributes that stand in DNs (RFC 4519), which servers take for the same and keep as they come."""


class Group(NamedTuple):
    """One entry that lists somebody."""

    dn: str
    members: tuple[str, ...]
    """DNs, as they stand there."""
    is_role: bool = False
    """It lists occupants (organizationalRole), and not members."""


class Groups:
    """All groups that count, and who is listed in each. Not to be changed; any number of threads may ask it."""

    def __init__(self, groups: Iterable[Group]) -> None:
        """Read each list once: about a microsecond for each name in one."""
        self._groups: dict[str, Group] = {}
        self._lists: dict[str, list[str]] = {}
        for group in groups:
            key = normal(group.dn)
            self._groups[key] = group
            for member in group.members:
                self._lists.setdefault(normal(member), []).append(key)

    def __contains__(self, place: str) -> bool:
        """Tell whether there is a group with the DN `place`."""
        return normal(place) in self._groups

    def get(self, place: str) -> Group | None:
        """Return the group with the DN `place`."""
        return self._groups.get(normal(place))

    def __iter__(self) -> Iterator[Group]:
        """Yield the groups."""
        return iter(self._groups.values())

    def with_group(self, *groups: Group) -> Groups:
        """Return the groups as they are with `groups`, each in the place of the one of its name."""
        return Groups((self._groups | {normal(group.dn): group for group in groups}).values())

    def without(self, places: Iterable[str]) -> Groups:
        """Return the groups as they are without those of the names `places`."""
        gone = set(map(normal, places))
        return Groups(group for key, group in self._groups.items() if key not in gone)

    def listing(self, place: str, more: Iterable[str]) -> Groups:
        """Return the groups as they are with `more` (DNs) in the list of `place`."""
        group = self.get(place) or Group(place, ())
        return self.with_group(group._replace(members=(*group.members, *more)))

    def above(self, place: str) -> dict[str, Path]:
        """Return the groups that `place`, a person or a group, is in: the normal form of each name → the way there."""
        start = normal(place)
        found: dict[str, Path] = {}
        level: dict[str, Path] = {start: ()}
        for _ in range(DEEPEST):
            further: dict[str, Path] = {}
            for key, path in level.items():
                for group in self._lists.get(key, ()):
                    if group not in found:
                        found[group] = further[group] = (self._groups[group].dn, *path)
            level = further
        return found

    def below(self, place: str) -> dict[str, Path]:
        """Return all that is in the group `place`: each DN as it is listed → the way there. Groups are among it."""
        found: dict[str, tuple[str, Path]] = {}
        level: dict[str, Path] = {normal(place): ()}
        for _ in range(DEEPEST):
            further: dict[str, Path] = {}
            for key, path in level.items():
                group = self._groups.get(key)
                for member in group.members if group is not None else ():
                    if (listed := normal(member)) not in found and group is not None:
                        further[listed] = (*path, group.dn)
                        found[listed] = (member, further[listed])
            level = further
        return dict(found.values())

    def too_deep(self, place: str) -> list[str]:
        """Return the groups so far down in `place` that those whom they list are not in it, if nothing else says so."""
        return [member for member, path in self.below(place).items() if len(path) == DEEPEST and member in self]

    def is_loop(self, outer: str, inner: str) -> bool:
        """Tell whether `inner` in `outer` would close a circle."""
        return normal(outer) == normal(inner) or normal(inner) in self.above(outer)


def normal(place: str) -> str:
    """Return the form of a DN that is equal for equal names; of what is none, the value as it is compared."""
    if _PLAIN.fullmatch(place):
        return place.lower()
    try:
        parts = (part.partition("=") for part in dn.normalise(unicodedata.normalize("NFKC", place)).split(","))
    except InvalidName:
        return folded(place)
    return ",".join(f"{_SPELLED.get(name, name)}{equals}{value}" for name, equals, value in parts)


def holdings(
    person: str, groups: Groups, settings: Settings, table: tuple[Role, ...] = ROLES
) -> Mapping[Holding, Path]:
    """Return what the person (a DN) holds of the roles of `table`, each with the way there."""
    reached = groups.above(person)
    found: dict[Holding, Path] = {}
    for role in table:
        entry = role.entry(settings) if role.entry else ""
        if role.held is Held.GROUP and (path := reached.get(normal(entry))) is not None:
            found[Holding(role.name)] = path
        elif role.held in (Held.MEMBER, Held.OCCUPANT):
            for key, path in reached.items():
                project = _project(key, groups, settings, entry.lower() if role.held is Held.OCCUPANT else None)
                if project is not None:
                    found[Holding(role.name, project)] = path
    return found


def _project(key: str, groups: Groups, settings: Settings, role: str | None) -> ProjectName | None:
    """Return the project whose own list (`role`: whose role of that cn) has the name `key`; None: it is none."""
    try:
        if role is not None:
            if dn.rdn(key) != ("cn", role) or not _is_role(key, groups):
                return None
            key = dn.parent(key)
        if dn.parent(key) != normal(settings.projects_base) or groups.get(key) is None or _is_role(key, groups):
            return None
        name = dn.rdn(key)[1]
    except InvalidName:
        return None
    return ProjectName(name) if ProjectName.accepts(name) else None


def _is_role(key: str, groups: Groups) -> bool:
    group = groups.get(key)
    return group is not None and group.is_role
