"""What the person who pushes is: roles from LDAP, and for a short while from what LDAP said before.

Owns the files below puppetmaster/roles/ in the repository: what LDAP last said
about each person. That is used again for some seconds (`pushes.roles_kept`),
and while LDAP cannot be reached for some minutes (`pushes.roles_kept_offline`).
After that pushes are refused: nobody may push because LDAP is away. What a
program with another table of roles has kept is not used.

A process that lives longer keeps for the same seconds who is in which group, for all its threads (`KnownGroups`): then
LDAP is asked for no more than the entry of somebody who comes.

All of that ends earlier where a follower runs: it writes down when it last saw a project, a role or a group change
(`membership` in the answers' directory), and what LDAP said before that moment is asked again. So who is taken out of a
project, or of one in it, has lost it as soon as the follower knows.

The follower's copy is not used: it has no people and no operators.

Failure modes: LDAP away and nothing kept, or too old: `DirectoryUnreachable`.
No such person: `NotFound`, and what was kept about them is forgotten. LDAP
that answers no (a wrong password): `DirectoryRefused`, nothing kept is used.
No follower, or a file of it that cannot be read: what is kept lasts its seconds.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.rights.roles import Person, Role, remembered, table_of
from enc.terms.environments import Place, Rules, rivals
from enc.terms.errors import DirectoryUnreachable, NotFound
from enc.terms.names import PersonName, ProjectName

if TYPE_CHECKING:
    from enc.directory.ldap_store import LdapSource
    from enc.rights.groups import Groups
    from enc.settings import Settings


class KnownGroups:
    """Who is in which group, as LDAP said when it was asked last. Several threads share one."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._said: tuple[float, Groups] | None = None

    def get(self) -> tuple[float, Groups] | None:
        """Return when LDAP was asked (seconds since 1970), and what it said; None: it was not."""
        with self._lock:
            return self._said

    def keep(self, asked: float, groups: Groups) -> None:
        """Know what LDAP said to a question asked at `asked`, whatever was known: the clock may have been set back."""
        with self._lock:
            self._said = asked, groups


class Membership:
    """Asks LDAP about persons and projects; keeps the connection. Not for several threads at once."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float],
        table: tuple[Role, ...] | None = None,
        known: KnownGroups | None = None,
    ) -> None:
        """Connect to nothing yet; `clock` gives seconds since 1970; the roles of `table` are asked about
        (None: the settings').

        `known` is what others of the same settings and table share with it.
        """
        self._settings = settings
        self._clock = clock
        self._table = table or table_of(settings)
        self._known = known or KnownGroups()
        self._directory = f"{settings.branches.repository}/puppetmaster/roles"
        self._source: LdapSource | None = None

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._source is not None:
            self._source.close()

    def person(self, name: PersonName) -> Person:
        """Return the person with their roles. For the errors see above."""
        now, changed = self._clock(), self._changed()
        kept, at = self._kept(name)
        if kept is not None and at > changed and now - at <= self._settings.pushes.roles_kept:
            return kept
        try:
            person, at = self._asked(name, now, changed)
        except NotFound:
            with suppress(FileNotFoundError):
                os.unlink(self._path(name))
            raise
        except DirectoryUnreachable as error:
            limit = self._settings.pushes.roles_kept_offline
            if kept is not None and now - at <= limit:
                return kept
            raise DirectoryUnreachable(
                f"cannot find out what {name} may push, because LDAP cannot be reached: {error}"
            ) from error
        self._keep(name, person, at)
        return person

    def called(self, name: PersonName) -> frozenset[str]:
        """Return how LDAP calls somebody: uid, names and addresses, in lower case; raise as `person` does."""
        from enc.service import people

        entry = people.entry_of(name, self._ldap(), self._settings)
        words = (word for kind in ("uid", "cn", "displayName", "mail") for word in entry.all(kind))
        return frozenset({name.lower(), *(word.strip().lower() for word in words if word.strip())})

    def _asked(self, name: PersonName, now: float, changed: float) -> tuple[Person, float]:
        """Return the person as LDAP says, and from when that is."""
        from enc.service import people

        said = self._known.get()
        if said is not None and said[0] > changed and 0 <= now - said[0] < self._settings.pushes.roles_kept:
            at, groups = said
            entry = people.entry_of(name, self._ldap(), self._settings)
        else:
            at = now
            entry, groups = people.look_up(name, self._ldap(), self._settings, self._table)
            self._known.keep(at, groups)
        return people.with_roles(name, entry, groups, self._settings, self._table), at

    def _changed(self) -> float:
        """Return when the follower last saw a group change (seconds since 1970); 0 if that cannot be told."""
        try:
            # Layout's `membership`; a cold hook does not wait for that import.
            with open(f"{self._settings.answers.directory}/membership", encoding="ascii") as stream:
                at = float(stream.read(64))
        except (OSError, ValueError):
            return 0.0
        return at if at <= self._clock() else 0.0  # one from the future would have LDAP asked for ever

    def project_exists(self, project: ProjectName) -> bool:
        """Ask LDAP whether there is such a project; raise `DirectoryUnreachable` or `DirectoryRefused`."""
        return self._ldap().project(project) is not None

    def projects(self) -> frozenset[ProjectName]:
        """Ask LDAP which projects there are; raise as `project_exists` does."""
        return self._ldap().project_names()

    def rival(self, place: Place, rules: Rules) -> ProjectName | None:
        """Ask LDAP for a project to which the environment of a new branch belongs rather, or just as well; or raise so.

        None also if each of the two names the other as a guest: then they share what they have.
        """
        if place.project is None or rules.can_only_be(place.environment, place.project):
            return None
        from enc.classify.entitled import guests, holders

        source = self._ldap()
        for other in rivals(place, holders(place.environment, source, rules), rules):
            welcome = guests(source.project(other))
            if place.project not in welcome or other not in guests(source.project(place.project)):
                return other
        return None

    def _ldap(self) -> LdapSource:
        if self._source is None:
            from enc.directory.ldap_store import LdapSource

            self._source = LdapSource(self._settings)
        return self._source

    def _path(self, name: PersonName) -> str:
        return f"{self._directory}/{name}"

    def _kept(self, name: PersonName) -> tuple[Person | None, float]:
        """Return what is kept about a person, and from when it is; None if nothing of it can be used."""
        try:
            with open(self._path(name), encoding="utf-8") as stream:
                kept = json.load(stream)
        except (OSError, ValueError, RecursionError):
            return None, 0.0
        at = kept.get("at") if isinstance(kept, dict) else None
        if not isinstance(at, int | float) or at > self._clock():  # the clock was set back: nothing can be said
            return None, 0.0
        return remembered(str(name), kept, self._table), at

    def _keep(self, name: PersonName, person: Person, at: float) -> None:
        text = json.dumps({"at": at, **person.document()})
        with suppress(OSError):  # nothing depends on it: LDAP is asked again
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            whole_file.write(self._path(name), text, mode=0o600, survives=Strength.KILL)
