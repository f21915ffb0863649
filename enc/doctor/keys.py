"""Which of our accounts can read a key or a password that it has no use for?

Who reads the authority's key is everybody's master, who reads the signing account's password opens enrolments. So each
account of ours reads what it needs and nothing more, and none is in puppetserver's group, which reads all of its keys.

Root tries it, in a process that becomes the account. Others are told what owner, mode and groups say, as far as they
can see these (`may_read`); access lists and security modules are not in that. A process keeps the groups of its start,
so the processes that run are looked at, too. The collector's unit has puppetserver's group; there, the places of keys
must be closed to it.

Not here: whether an account can read what it needs (account.py, signing.py, and the branch manager's doctor).
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enc.doctor.account import PUPPETSERVER_USER, unreadable
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.doctor.puppet import PuppetFacts
from enc.programs.accounts import Account, as_account
from enc.settings import Settings
from enc.terms.errors import ToolkitError

FOLLOWER, COLLECTOR, VENDORDATA = "puppetmaster", "puppetmaster-collect", "puppetmaster-vendordata"
DIRECTORY = "puppetmaster-directory"
OURS = (FOLLOWER, COLLECTOR, DIRECTORY, VENDORDATA, "git")
"""Of the units (puppetmaster.sysusers, puppetmaster-git.sysusers)."""
READERS, SIGNERS = "puppetmaster-readers", "puppetmaster-signer"
"""Groups that puppetserver's account shares with ours."""
_COLLECTS = "puppetmaster-collect.service"
_UNITS = (Path("/etc/systemd/system"), Path("/run/systemd/system"), Path("/usr/lib/systemd/system"))
_KEYS_READ = 200
_USUAL = (
    *(Path(f"/etc/{at}/ca/ca_key.pem") for at in ("puppet/puppetserver", "puppetlabs/puppetserver")),
    *(Path(f"{at}/private_keys") for at in ("/var/lib/puppet/ssl", "/etc/puppet/ssl", "/etc/puppetlabs/puppet/ssl")),
)
"""Where keys are if puppet cannot be asked."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A file, and who needs it besides root."""

    what: str
    path: Path
    needed_by: frozenset[str]
    group: str = "root"
    """Whose the file should be, so that just these read it."""


@dataclass(frozen=True, slots=True)
class Member:
    """An account with all its groups."""

    account: Account
    groups: frozenset[int]


def check(facts: PuppetFacts | str, puppets: str | None, settings: Settings) -> Iterator[Finding]:
    """Look at all accounts of ours on this machine; `puppets` is the name of puppetserver's (None: the usual one)."""
    name = puppets or PUPPETSERVER_USER
    members = [member for member in _members(settings) if member.account.name != name]
    if not members:
        return  # they are on another machine, or one person does everything here
    group, places = _group_of(name), keys(facts)
    secrets = [*_of_puppetserver(places, name), *ours(settings, name, _owner(settings))]
    inside = [member for member in members if group in member.groups]
    found = [_in_group(member, name) for member in inside]
    found += [*_readers(members, secrets, told={member.account.name for member in inside}, puppets=name)]
    found += [*_processes(members, group), *_collector(places)]
    if os.geteuid() != 0:
        yield note(
            "keys",
            "without root, who can read which key is only worked out from the owners and modes that can be seen",
            "run this as root",
        )
    yield from found
    if not found:
        yield ok("keys", f"{', '.join(m.account.name for m in members)}: none can read a key it does not need")


def keys(facts: PuppetFacts | str) -> tuple[Path, ...]:
    """Return where the authority's key and private keys are, as puppet says, or where they are usually."""
    said = {} if isinstance(facts, str) else facts.settings
    places = [Path(said[name]) for name in ("cadir", "privatekeydir") if said.get(name, "").startswith("/")]
    return (places[0] / "ca_key.pem", places[1]) if len(places) == 2 else _USUAL


def ours(settings: Settings, server: str, owner: str) -> tuple[Secret, ...]:
    """Return the configuration's secrets; `owner` is the repository's. Pure."""
    directory, branches = settings.directory, settings.branches
    pusher = branches.repository / "puppetmaster/pusher.key"
    # The embedded directory holds every password for LDAP.
    reading = {server, FOLLOWER, VENDORDATA, DIRECTORY, owner}
    wanted = (
        ("the password that reads LDAP", directory.bind_password_file, reading, READERS),
        ("the password that writes LDAP", directory.write_bind_password_file, {VENDORDATA, DIRECTORY}, "root"),
        (
            "the signing account's password",
            settings.signing.bind_password_file,
            {server, COLLECTOR, DIRECTORY},
            SIGNERS,
        ),
        ("the key of tokens", settings.instances.token_key_file, {VENDORDATA}, "root"),
        ("the key of pushes", pusher, {owner}, "root"),
        ("the key that flushes", branches.puppetserver.key_file, {owner}, "root"),
        ("the key of the repository's service", branches.transport.key_file, {owner}, "root"),
        *(("the key that revokes", server.key_file, {VENDORDATA}, "root") for server in settings.authorities.servers),
    )
    return tuple(Secret(what, path, frozenset(who), group) for what, path, who, group in wanted if path is not None)


def judge(read: Mapping[str, Sequence[Secret]]) -> Iterator[Finding]:
    """Judge what accounts can read (name → secrets). Pure."""
    for name, secrets in read.items():
        for secret in secrets:
            if name not in secret.needed_by:
                do = f"chgrp {secret.group} {secret.path} && chmod u=rw,g={'' if secret.group == 'root' else 'r'},o= "
                do += f"{secret.path}; is {name} in a group it should not be in (id {name})?"
                yield fault("keys", f"{name} can read {secret.path}, {secret.what}, and does not need it", do)


def may_read(uid: int, groups: frozenset[int], path: Path) -> bool | None:
    """Tell whether owner, mode and groups let that account read `path`; None: it cannot be seen from here."""
    try:
        for above in reversed(path.parents):
            if not _allows(above.stat(), uid, groups, 1):
                return False
        return _allows(path.stat(), uid, groups, 4)
    except FileNotFoundError:
        return False
    except OSError:
        return None


def _allows(status: os.stat_result, uid: int, groups: frozenset[int], wanted: int) -> bool:
    if status.st_uid == uid:
        return bool(stat.S_IMODE(status.st_mode) >> 6 & wanted)
    if status.st_gid in groups:
        return bool(stat.S_IMODE(status.st_mode) >> 3 & wanted)
    return bool(status.st_mode & wanted)


def closed_to_the_unit(texts: Iterable[str], places: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of `places` that a unit of these texts (file and drop-ins, in order) could still open. Pure."""
    closed: list[Path] = []
    for line in "\n".join(texts).splitlines():
        if match := re.fullmatch(r"InaccessiblePaths=(.*)", line.strip()):
            closed = [*closed, *(Path(word.lstrip("-+")) for word in match[1].split())] if match[1].strip() else []
    return tuple(place for place in places if not any(place.is_relative_to(at) for at in closed))


def _members(settings: Settings) -> Iterator[Member]:
    for name in dict.fromkeys((*OURS, _owner(settings))):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid == 0:
            continue
        groups = frozenset(os.getgrouplist(name, found.pw_gid))
        yield Member(Account(name, found.pw_uid, found.pw_gid), groups)


def _owner(settings: Settings) -> str:
    try:
        return pwd.getpwuid(settings.branches.repository.stat().st_uid).pw_name
    except (OSError, KeyError):
        return "git"


def _of_puppetserver(places: Iterable[Path], server: str) -> Iterator[Secret]:
    for place in places:
        if place.name == "ca_key.pem":
            yield Secret("the authority's key", place, frozenset({server}), server)
            continue
        try:
            files = sorted(place.glob("*.pem"))[:_KEYS_READ]
        except OSError:
            files = []
        # Where the names cannot be seen from here, those who can see them may read the files.
        yield from (Secret("a private key", file, frozenset({server}), server) for file in files or [place])


def _readers(
    members: Iterable[Member], secrets: Sequence[Secret], *, told: set[str], puppets: str
) -> Iterator[Finding]:
    """Yield what can be read; not what the group says already of the accounts that are `told`."""
    read: dict[str, list[Secret]] = {}
    for member in members:
        name = member.account.name
        asked = [secret for secret in secrets if name not in told or secret.group != puppets]
        try:
            readable = _read_by(member, [secret.path for secret in asked])
        except ToolkitError as error:
            yield note("keys", str(error), "run this as root")
            continue
        read[name] = [secret for secret in asked if secret.path in readable]
    yield from judge(read)


def _read_by(member: Member, paths: Sequence[Path]) -> set[Path]:
    if os.geteuid() in (0, member.account.uid):
        there = [str(path) for path in paths]
        refused: dict[str, str] = as_account(member.account, lambda: unreadable(there))
        return {Path(path) for path in there if path not in refused}
    return {path for path in paths if may_read(member.account.uid, member.groups, path)}


def _in_group(member: Member, puppets: str) -> Finding:
    name, group = member.account.name, _name_of(_group_of(puppets))
    primary = member.account.gid == _group_of(puppets)
    do = f"usermod -g {name} {name}" if primary else f"gpasswd -d {name} {group}"
    said = f"{name} is in the group {group}, which reads the authority's key and all private keys"
    return fault("keys", said, f'{do}, and restart its units (docs/operation.md, "Upgrading")')


def _processes(members: Iterable[Member], group: int | None) -> Iterator[Finding]:
    """What was started before its account left the group has it still."""
    names = {m.account.uid: m.account.name for m in members if m.account.name != COLLECTOR and group not in m.groups}
    told = set()
    for place in Path("/proc").glob("[0-9]*/status"):
        try:
            said = dict(line.split(":\t", 1) for line in place.read_text().splitlines() if ":\t" in line)
            name = names.get(int(said["Uid"].split()[1]))
            numbers = {int(number) for number in (*said["Gid"].split(), *said["Groups"].split())}
        except (OSError, KeyError, ValueError):
            continue  # it has ended
        if name is not None and name not in told and group in numbers:
            told.add(name)
            found = f"process {place.parent.name} of {name} has had the group {_name_of(group)} since it started"
            yield warning("keys", found, "restart its unit")


def _collector(places: Iterable[Path]) -> Iterator[Finding]:
    """Yield what of the keys the collector's unit does not close."""
    unit = next((at / _COLLECTS for at in _UNITS if (at / _COLLECTS).is_file()), None)
    if unit is None:
        return
    drop_ins = [file for at in _UNITS for file in (at / f"{_COLLECTS}.d").glob("*.conf")]
    texts = [file.read_text(errors="replace") for file in (unit, *sorted(drop_ins, key=lambda file: file.name))]
    for open_place in closed_to_the_unit(texts, [place for place in places if place.exists()]):
        place = open_place.parent if open_place.suffix else open_place
        do = f"in a drop-in of the unit: InaccessiblePaths={place}, then systemctl daemon-reload, and restart it"
        yield fault("keys", f"{_COLLECTS} has puppetserver's group and can reach {place}", do)


def _group_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_gid
    except KeyError:
        return None


def _name_of(number: int | None) -> str:
    try:
        return "nobody's" if number is None else grp.getgrgid(number).gr_name
    except KeyError:
        return f"with the number {number}"
