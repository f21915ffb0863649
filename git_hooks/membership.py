"""What the person who pushes is: roles from LDAP, and for a short while from what LDAP said before.

Owns the files below puppetmaster/roles/ in the repository: what LDAP last said
about each person. That is used again for some seconds (`pushes.roles_kept`),
and while LDAP cannot be reached for some minutes (`pushes.roles_kept_offline`).
After that pushes are refused: nobody may push because LDAP is away.

The follower's copy is not used: it has no people, no admins and no operators.

Failure modes: LDAP away and nothing kept, or too old: `DirectoryUnreachable`.
No such person: `NotFound`, and what was kept about them is forgotten. LDAP
that answers no (a wrong password): `DirectoryRefused`, nothing kept is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from enc.errors import DirectoryUnreachable, NotFound
from enc.names import PersonName, ProjectName
from enc.roles import Person

if TYPE_CHECKING:
    from enc.directory.ldap_store import LdapSource
    from enc.settings import Settings


class Membership:
    """Asks LDAP about persons and projects; keeps the connection. Not for several threads at once."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        """Connect to nothing yet; `clock` gives seconds since 1970."""
        self._settings = settings
        self._clock = clock
        self._directory = f"{settings.branches.repository}/puppetmaster/roles"
        self._source: LdapSource | None = None

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._source is not None:
            self._source.close()

    def person(self, name: PersonName) -> Person:
        """Return the person with their roles. For the errors see above."""
        kept = self._kept(name)
        if kept is not None and self._age(kept) <= self._settings.pushes.roles_kept:
            return _person(name, kept)
        from enc import people

        try:
            person = people.find(name, self._ldap(), self._settings)
        except NotFound:
            with suppress(FileNotFoundError):
                os.unlink(self._path(name))
            raise
        except DirectoryUnreachable as error:
            limit = self._settings.pushes.roles_kept_offline
            if kept is not None and self._age(kept) <= limit:
                return _person(name, kept)
            raise DirectoryUnreachable(
                f"what {name} may push cannot be told, because LDAP cannot be reached: {error}"
            ) from error
        self._keep(name, person)
        return person

    def project_exists(self, project: ProjectName) -> bool:
        """Ask LDAP whether there is such a project; raise `DirectoryUnreachable` or `DirectoryRefused`."""
        return self._ldap().project(project) is not None

    def projects(self) -> frozenset[ProjectName]:
        """Ask LDAP which projects there are; raise as `project_exists` does."""
        return self._ldap().project_names()

    def _ldap(self) -> LdapSource:
        if self._source is None:
            from enc.directory.ldap_store import LdapSource

            self._source = LdapSource(self._settings)
        return self._source

    def _path(self, name: PersonName) -> str:
        return f"{self._directory}/{name}"

    def _age(self, kept: dict[str, object]) -> float:
        at = kept.get("at")
        age = self._clock() - at if isinstance(at, int | float) else -1.0
        return age if age >= 0 else float("inf")  # the clock was set back: nothing can be said

    def _kept(self, name: PersonName) -> dict[str, object] | None:
        try:
            with open(self._path(name), encoding="utf-8") as stream:
                kept = json.load(stream)
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None

    def _keep(self, name: PersonName, person: Person) -> None:
        said = {
            "at": self._clock(),
            "dn": person.dn,
            "operator": person.operator,
            "admin_of": sorted(person.admin_of),
            "member_of": sorted(person.member_of),
        }
        aside = f"{self._directory}/.{name}.{os.getpid()}"
        with suppress(OSError):  # nothing depends on it: LDAP is asked again
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            with open(aside, "w", encoding="utf-8") as stream:
                json.dump(said, stream)
            os.rename(aside, self._path(name))


def _person(name: PersonName, kept: dict[str, object]) -> Person:
    def projects(key: str) -> frozenset[ProjectName]:
        names = kept.get(key)
        return frozenset(map(ProjectName, names)) if isinstance(names, list) else frozenset()

    return Person(
        str(name),
        str(kept.get("dn", "")),
        operator=kept.get("operator") is True,
        admin_of=projects("admin_of"),
        member_of=projects("member_of"),
    )
