"""People's entries, and their accounts on machines (posixAccount).

A person is made with what the toolkit needs of one: an inetOrgPerson below `people.base`. Numbers are numbers.py's,
names and paths terms/posix_names.py's. Not here: passwords and keys, which people set themselves.

A person who is deleted is removed from every list in the same edit: otherwise whoever gets that uid later would get
this one's rights. For the same reason a token works only for the entry that it was made for
(git_hooks/transport/tokens.py). The number stays recorded as given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from enc.edits.change import Change, Step, apply, deleting, making, modifying
from enc.rights.groups import Groups, normal
from enc.service import people, posix
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.service.lists import leaving_others
from enc.service.numbers import Series, Taking
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import Conflict, UsageError
from enc.terms.filters import escape, folded
from enc.terms.names import PersonName
from enc.terms.posix_names import HomeDirectory, LoginName, LoginShell, number_fault
from enc.terms.record import Record

ACCOUNT = "posixAccount"
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Account:
    """What is asked for; None: as the configuration says, or as it is."""

    wanted: bool = False
    """Whether there is to be an account, even if nothing of it is said."""
    number: int | None = None
    home: HomeDirectory | None = None
    shell: LoginShell | None = None

    def __bool__(self) -> bool:
        return self.wanted or any(value is not None for value in (self.number, self.home, self.shell))


def full_name(text: str) -> str:
    """Return somebody's name as an entry and a line of passwd(5) can hold it; raise `UsageError`."""
    name = " ".join(filter(None, text.split(" ")))
    if not name or not name.isprintable() or ":" in name or len(name.encode()) > _LONGEST_NAME:
        raise UsageError(f"{name[:60]!r} is not a valid name: 1 to {_LONGEST_NAME} octets on one line, without a colon")
    return name


def add(
    desk: Desk, uid: LoginName, name: str, account: Account, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Make a person; with an account where numbers are given, or one is asked for."""
    settings = desk.settings
    present = desk.source.search(settings.people_base, settings.people.filter.replace("%s", escape(uid)))
    if present:
        raise Conflict(f"person {uid} already exists; use `enc-admin person set`", where=present[0].dn)
    place = dn.build("uid", uid, settings.people_base)
    attributes = {"objectclass": ("inetOrgPerson",), "uid": (uid,), "cn": (name,), "sn": (name.split(" ")[-1],)}
    entry = Record(place, attributes)
    takings: tuple[Taking, ...] = ()
    remarks: tuple[str, ...] = ()
    if account or desk.numbers.allots(Series.UID):
        changes, takings = _account(entry, uid, account, desk)
        entry = apply(entry, changes)
    else:
        remarks = ("without an account on machines, because this directory gives out no numbers (docs/directory.md)",)
    plan = PlannedEdit(
        "person add", f"person {uid}", None, (making(place, entry.attributes),), takings=takings, remarks=remarks
    )
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def change(
    desk: Desk, uid: PersonName, name: str | None, account: Account, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Let a person who exists have what is asked for; who has a number keeps it."""
    found = people.entry_of(uid, desk.source, desk.settings)
    record = desk.editor.read(found.dn) or found
    changes: tuple[Change, ...] = ()
    takings: tuple[Taking, ...] = ()
    if name is not None:
        if dn.rdn(record.dn)[0] != "uid":
            raise UsageError(f"{record.dn} is named by {dn.rdn(record.dn)[0]}; change the name with LDAP's own tools")
        changes += (*_single(record, "cn", name), *_single(record, "sn", name.split(" ")[-1]))
    if account:
        if ACCOUNT.lower() in map(folded, record.all("objectClass")):
            changes += _of_account(record, account, desk)
        else:
            more, takings = _account(record, LoginName(uid), account, desk)
            changes += more
    steps: tuple[Step, ...] = (modifying(record, changes),) if changes else ()
    receipt = desk.submit(
        PlannedEdit("person set", f"person {uid}", None, steps, takings=takings), reason=reason, dry_run=dry_run
    )
    return posix.noted(receipt, record, desk, dry_run=dry_run)


def delete(desk: Desk, uid: PersonName, *, reason: str, dry_run: bool = False) -> Receipt:
    """Delete a person, after removing them from all projects, roles and groups.

    Raise `Conflict` if a project would have no admin left or a group no member, and for an account of our programs.
    """
    found = people.entry_of(uid, desk.source, desk.settings)
    record = desk.editor.read(found.dn) or found
    ours = (desk.settings.directory.write_bind_dn, desk.settings.directory.bind_dn)
    if normal(record.dn) in (normal(own) for own in ours if own):
        raise Conflict("is the account that this configuration uses for LDAP; it is not deleted", where=record.dn)
    groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    if left := _without_admins(record.dn, groups, desk.settings):
        raise Conflict(
            f"{uid} is the last admin of {', '.join(left)}; add another admin first: enc-admin project "
            f"member add {left[0]} UID --admin"
        )
    leaving, told = leaving_others([record.dn], desk)
    # The trail, which an undo reads, must not get a hash of a password.
    kept = {name: held for name, held in record.attributes.items() if name != "userpassword"}
    steps = (*leaving, deleting(replace(record, attributes=kept)))
    remarks = (*told, "an undo restores everything except the password and the tokens")
    plan = PlannedEdit("person delete", f"person {uid}", None, steps, remarks=remarks)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def _without_admins(gone: str, groups: Groups, settings: Settings) -> list[str]:
    """Return the projects whose admins' role lists `gone`, and would have nobody without them."""
    key, found = normal(gone), []
    role = settings.projects.admin_role.lower()
    for group in groups:
        if not group.is_role or dn.rdn(group.dn)[1].lower() != role or key not in map(normal, group.members):
            continue
        if all(normal(person) == key for person in people.people_in(group.dn, groups, settings)):
            found.append(dn.rdn(dn.parent(group.dn))[1].lower())
    return sorted(found)


def _of_account(record: Record, account: Account, desk: Desk) -> tuple[Change, ...]:
    """Return the changes of an account that is there."""
    number = record.first("uidNumber")
    if account.number is not None and number != str(account.number):
        raise Conflict(f"has uidNumber {number} and keeps it: files on machines have that number", where=record.dn)
    home = () if account.home is None else _single(record, "homeDirectory", _home(account.home, record.dn, desk))
    return (*home, *(() if account.shell is None else _single(record, "loginShell", account.shell)))


def _account(
    record: Record, uid: LoginName, account: Account, desk: Desk
) -> tuple[tuple[Change, ...], tuple[Taking, ...]]:
    """Return what gives `record` an account."""
    posix_settings, series = desk.settings.posix, Series.UID
    if account.number is not None and (fault := number_fault(account.number)):
        raise UsageError(f"uidNumber {account.number} {fault}")
    if account.number is None and not desk.numbers.allots(series):
        words = "this directory gives out no numbers (posix.allot, docs/directory.md); set one with --uid-number"
        raise UsageError(words)
    number = account.number if account.number is not None else desk.numbers.intended(series, record.dn, record.uuid)
    group = posix_settings.people_group
    home = account.home or HomeDirectory(posix_settings.home.replace("%s", uid))
    wanted = {
        "uidNumber": str(number),
        "gidNumber": str(number if group is None else group),
        "homeDirectory": _home(home, record.dn, desk),
        "loginShell": account.shell or posix_settings.shell,
    }
    has = record.all("objectClass")
    classes = (Change("objectClass", (), (ACCOUNT,)),) if ACCOUNT.lower() not in map(folded, has) else ()
    of_number = (series.attribute, "gidNumber") if group is None else (series.attribute,)
    taking = Taking(series, record.dn, number, account.number is None, record.uuid, of_number)
    return (*classes, *(Change(name, record.all(name), (value,)) for name, value in wanted.items())), (taking,)


def _home(home: HomeDirectory, place: str, desk: Desk) -> str:
    """Return `home`; raise for one outside of where homes are, or that is somebody else's."""
    above = desk.settings.posix.homes
    if not home.startswith(above):
        raise UsageError(f"home {home} is not below {above} (posix.home)")
    others = desk.editor.find(desk.settings.people_base, f"(homeDirectory={escape(home)})")
    if others := [other for other in others if dn.normalise(other.dn) != dn.normalise(place)]:
        raise Conflict(f"home {home} is that of {others[0].dn}", where=place)
    return home


def _single(record: Record, attribute: str, value: str) -> tuple[Change, ...]:
    """Return the change after which `value` is the only one."""
    now = record.all(attribute)
    return () if now == (value,) else (Change(attribute, now, (str(value),)),)
