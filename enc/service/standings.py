"""What is known about people: accounts, keys, and roles, with the groups through which they hold them. It only reads.

Not here: editing them (accounts.py), who is in one project (belonging.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enc.directory.ldap_store import LdapSource
from enc.rights.groups import holdings
from enc.rights.roles import table_of
from enc.service import people
from enc.service.lists import shown
from enc.settings import Settings
from enc.terms.names import PersonName, ProjectName
from enc.terms.record import Record


@dataclass(frozen=True)
class Standing:
    """A role that somebody holds."""

    role: str
    project: ProjectName | None
    """None: the role is for the whole site."""
    way: tuple[str, ...]
    """The groups between the role and the person, as lists call them; empty: the person is listed directly."""


@dataclass(frozen=True)
class PersonRow:
    """One person."""

    uid: str
    record: Record

    @property
    def number(self) -> int | None:
        """Return the uidNumber; None: the person has no account on machines."""
        text = self.record.first("uidNumber") or ""
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def keys(self) -> int:
        """Return how many ssh keys the person has."""
        return len(self.record.all("sshPublicKey"))

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {
            "uid": self.uid,
            "name": self.record.first("cn"),
            "dn": self.record.dn,
            "uid_number": self.number,
            "home": self.record.first("homeDirectory"),
            "shell": self.record.first("loginShell"),
            "keys": self.keys,
        }


def everybody(source: LdapSource, settings: Settings) -> list[PersonRow]:
    """Return all people whom `people.filter` finds by some name, by uid."""
    found = source.search(settings.people_base, settings.people.filter.replace("%s", "*"))
    return sorted((_row(record) for record in found), key=lambda row: row.uid)


def one(uid: PersonName, source: LdapSource, settings: Settings) -> tuple[PersonRow, list[Standing]]:
    """Return a person, and what they hold; raise `NotFound`."""
    table = table_of(settings)
    entry = people.entry_of(uid, source, settings)
    held = holdings(entry.dn, people.groups_in(source, settings), settings, table)
    order = [role.name for role in table]
    standings = [
        Standing(holding.role, holding.project, tuple(shown(place, settings) for place in way[1:]))
        for holding, way in held.items()
    ]
    return _row(entry), sorted(standings, key=lambda it: (order.index(it.role), it.project or ""))


def _row(record: Record) -> PersonRow:
    return PersonRow(record.first("uid") or people.shown(record.dn), record)
