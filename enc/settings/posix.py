"""Numbers and names that machines know people and projects by (RFC 2307). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from enc.settings.values import Section
from enc.terms.posix_names import HomeDirectory, LoginShell, NumberRange, number_fault

USERS = 100
"""Debian's group `users`, the one of the system's that is meant for people (base-passwd)."""


@dataclass(frozen=True)
class PosixSettings(Section):
    """Projects as groups of machines, and people as their accounts."""

    allot: bool = True
    """Whether new projects, their admins' roles and people get a number, if the directory has the entry of `numbers`.
    false: the site gives out numbers itself; existing ones are kept."""
    numbers: str | None = None
    """The entry below which every number ever given is recorded. None: ou=numbers below the suffix."""
    gid_range: str = "50000-59999"
    """Numbers of projects' groups. The default is the upper end of the range that Debian leaves to a site (1000-59999);
    adduser, which counts up from 1000, does not reach it."""
    uid_range: str = "20000-49999"
    """Numbers of people. Must not overlap gid_range, because a person's own group has the person's number."""
    people_group: int | None = None
    """The gidNumber of all people that `person add` makes, for example 100, Debian's group `users`. None: each person's
    own uidNumber."""
    home: str = "/home/%s"
    """The home directory of a person; %s is the login name. Homes given by hand must be in the same directory."""
    shell: str = "/bin/bash"
    """The login shell of a person if none is given."""
    member_uid: bool = False
    """Whether projects and their admins' roles also have memberUid with everybody who is in them, for clients that know
    RFC 2307 only."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield ranges that meet the system's numbers or each other, and a home or shell that nobody can have."""
        ranges = {}
        for key in ("gid_range", "uid_range"):
            try:
                ranges[key] = NumberRange.read(getattr(self, key))
            except ValueError as error:
                yield key, str(error)
        if self.people_group is not None:
            if self.people_group != USERS and (fault := number_fault(self.people_group)):
                yield "people_group", f"{self.people_group} {fault}"
            elif self.people_group in ranges.get("gid_range", ()):
                yield "people_group", f"{self.people_group} is in gid_range and would be given to a project"
        elif len(ranges) == 2 and ranges["gid_range"].meets(ranges["uid_range"]):
            yield "uid_range", "meets gid_range: without people_group, a person's own group would be a project's"
        if self.home.count("%s") != 1 or not HomeDirectory.accepts(self.home.replace("%s", "x")):
            yield "home", f"{self.home!r} with a login name for its one %s is not {HomeDirectory.kind}"
        if not LoginShell.accepts(self.shell):
            yield "shell", f"{self.shell!r} is not {LoginShell.kind}: {LoginShell.rule}"

    @property
    def gids(self) -> NumberRange:
        """Numbers that projects may get."""
        return NumberRange.read(self.gid_range)

    @property
    def uids(self) -> NumberRange:
        """Numbers that people may get."""
        return NumberRange.read(self.uid_range)

    @property
    def homes(self) -> str:
        """The path below which every home lies, with its final slash."""
        return re.sub(r"[^/]*%s.*", "", self.home)
