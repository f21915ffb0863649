"""Checks what puppetserver's account must read on this instance and what prevents it. Changes nothing.

A classifier that cannot read its password, and hiera data behind a directory
that nobody may pass, are found otherwise when everything is up: the first as a
rehearsal that fails, the second not even so, for hiera takes a file that it
cannot reach for one that is not there. So the account itself is asked, before
the first step and again when its environments are made.

Where the account is not here yet, because its package is not, `nobody` stands
in for it, with the groups that it will have.

Not here: judging (preflight.py). What the follower writes later needs no look:
the module gives it to the group of readers.
"""

from __future__ import annotations

import grp
import pwd
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from enc.doctor.account import PUPPETSERVER_USER
from enc.programs.accounts import Account, as_account
from enc.programs.passage import HIDDEN, blocked
from enc.puppet.hiera import data_places
from enc.settings import SelfMasterSettings, Settings
from enc.terms.names import BranchName
from puppetmaster_self.instance import keep
from puppetmaster_self.instance.machine import Machine, ProgramFailed

READERS = "puppetmaster-readers"
"""The group that the module `puppetmaster` makes, with puppetserver's account in it."""
HIERA = "hiera.yaml"
_UNSEEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - what ProtectHome and PrivateTmp hide
"""See templates/drop-in.conf.epp."""
_STAND_IN = "nobody"
_FETCH = 120.0


@dataclass(frozen=True)
class Needed:
    """Something that the account has to read."""

    path: str
    what: str
    """What it is, in words."""
    secret: bool = False


@dataclass(frozen=True)
class InTheWay:
    """Why the account cannot read something."""

    words: str
    cure: str


def account() -> Account:
    """Return puppetserver's account as it is, or will be, once the module has put it into its group."""
    try:
        found = pwd.getpwnam(PUPPETSERVER_USER)
    except KeyError:
        found = pwd.getpwnam(_STAND_IN)
    groups = tuple(group for name in (READERS, PUPPETSERVER_USER) if (group := _group(name)) is not None)
    return Account(found.pw_name, found.pw_uid, found.pw_gid, groups)


def of_configuration(settings: Settings, config: Path) -> Iterator[Needed]:
    """Yield what `enc` reads when puppetserver calls it."""
    yield Needed(str(config), "the configuration")
    password = settings.directory.bind_password_file
    if password is not None and settings.domains.serves != "projects":
        yield Needed(str(password), "the password for LDAP", secret=True)
    if settings.directory.tls.ca_file is not None:
        yield Needed(str(settings.directory.tls.ca_file), "the certificate that verifies LDAP's")
    yield Needed(str(settings.answers.directory), "the answers")


def of_hiera(text: str, where: str) -> Iterator[Needed]:
    """Yield the places outside of its tree that a hiera.yaml names; `where` is whose it is."""
    for place in data_places(text):
        yield Needed(place, f"hiera's data, by {HIERA} of {where}")


def of_environment(environment: Path) -> Iterator[Needed]:
    """Yield those of a directory's hiera.yaml; none where there is none that root can read."""
    try:
        text = (environment / HIERA).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from of_hiera(text, str(environment))


def unseen(settings: SelfMasterSettings, tool: str | None, confdir: str) -> tuple[str, ...]:
    """Return the places that a puppetserver does not see which the module `puppetmaster` confines.

    It does so with Debian's own package (data/layout/debian.yaml), unless the site's own code says otherwise.
    """
    debian = tool == "apt" and confdir == "/etc/puppet"
    return _UNSEEN if debian and "confined" not in (settings.code or "") else ()


def in_the_way(needed: Iterable[Needed], hidden: tuple[str, ...] = ()) -> tuple[InTheWay, ...]:
    """Ask as the account, for which the places `hidden` do not exist; raise `ToolkitError` if it cannot be asked."""
    # Relative ones are taken from here, and the account may be somewhere else.
    wanted = [Needed(str(Path(one.path).absolute()), one.what, one.secret) for one in needed]
    found = as_account(account(), lambda: [blocked(one.path, hidden) for one in wanted])
    return tuple(_told(one, *said) for one, said in zip(wanted, found, strict=True) if said)


def _told(one: Needed, at: str, why: str) -> InTheWay:
    name = PUPPETSERVER_USER
    words = f"{name} cannot read {one.path} ({one.what}): {'it' if at == one.path else at} {why}"
    if why == HIDDEN:
        instead = "use another place, or set confined => false in self_master.code"
        return InTheWay(f"{words}, because puppetserver's unit is confined", instead)
    if Path(at).is_dir():
        return InTheWay(words, f"chmod o+x {shlex.quote(at)}, or use a place that {name} can reach")
    path = shlex.quote(at)
    if one.secret:
        group = READERS if _group(READERS) is not None else name
        return InTheWay(words, f"chgrp {group} {path} && chmod 0640 {path}")
    return InTheWay(words, f"chmod o+r {path}")


def central_hiera(machine: Machine, upstream: str, branch: BranchName) -> str | None:
    """Return hiera.yaml of the central branch, empty if it has none; None: it cannot be had now."""
    if not machine.has("git"):
        return None
    with tempfile.TemporaryDirectory(prefix="puppetmaster-self-") as place:
        options = ("--quiet", "--bare", "--depth=1", "--filter=blob:none", "--single-branch", f"--branch={branch}")
        try:
            clone = ("git", "clone", *options, "--", upstream, place)
            if machine.ask(*clone, timeout=_FETCH, environment=keep.WITHOUT_QUESTIONS).status != 0:
                return None
            listed = keep.git(machine, Path(place), "ls-tree", branch.ref, HIERA)
            if not listed.output.split():
                return ""
            return keep.git(machine, Path(place), "cat-file", "blob", f"{branch.ref}:{HIERA}").output
        except ProgramFailed:
            return None


def _group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
