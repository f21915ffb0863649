"""Who may do what in the embedded directory: the rules that slapd itself enforces. Pure.

Which role may do what is the table of enc/rights/roles.py, and who holds a role
is what the table says of it; the rules are made of its rows. The project is the
boundary. As the table is, its admins (roleOccupant of its projectadmin entry)
edit its nodes, its prefixes, its own classification, its members and its
admins, and its members may say which environment one of its nodes tries
(puppetmasterTrial); operators edit everything; the reading account reads everything;
the signing account notes on nodes who got a certificate and was built, and writes nothing else;
everybody who has logged in reads. Nobody reads passwords.

What has no rule of its own (`WHOLE`) slapd leaves to the roles that may edit everything, whoever else the table names.
A role that may edit nodes changes any attribute that such a rule lists; slapd does not tell one edit from another.

slapd takes the first rule whose target matches, and in it the first `by` that
matches. Some things are not obvious and must stay:

- `add_content_acl` (embedded_config.py) makes slapd apply these rules to what
  a new entry contains; without it, whoever may create an entry may put
  anything into it.
- Attributes and object classes of nodes, prefixes and projects are a list of
  what is allowed. A referral, an alias, a password or an `ou` (a rename to it
  would take the entry out of these rules) is not on it.
- A node's `puppetmasterProject` is for operators only: with `nodes.project:
  attribute puppetmasterProject` it would move the node to another project.
- A certname that another node has is refused by the unique overlay, not here. It does not look at values
  with a language tag (`cn;lang-en`), which a search for `cn` finds all the same: admins write none.
- A role and a region are labels (name_rules.py), and a password is what slapd's own hashing makes (limits.py). Both are
  rules here, because whoever sends the control "relax rules" with an edit passes the constraint overlay by; who wrote
  another text may only take it away.
- A rename is judged by the rules of the old place, and not at all by those about values that the entry has
  already. That a prefix stays below ou=projects, whatever it is renamed to, is the constraint overlay's part
  (embedded_config.py). "Relax rules" helps nobody past that: with it, slapd lets only those rename who may manage.

Whoever signs in by SASL and is no entry here (each local account over ldapi is `…,cn=peercred,cn=external,cn=auth`) is
a user to slapd all the same, so the first rule lets only those pass who are entries.

Groups in groups (enc/rights/groups.py): slapd's own `group` sees who is listed in the entry itself. For whoever comes
by way of other groups there are sets (slapd.access(5)), one for each way that a path of `DEEPEST` groups can take
through the two attributes: `[the entry]/member/roleOccupant/… & user`. slapd looks each name up that such a set goes
through, people too, and keeps nothing of it. So two things come first: the entry's own list, and one look whether the
entry lists any group at all, which ends the matter for nearly all; what comes then is a directive of its own. Groups
are known by where they stand, below `ou=projects` or `ou=groups`. A set's text has 1,023 characters at most once the
project's name is in it (slapd cuts the rest off), which is why there are many short ones.

Operators through a group can edit everything too, with two exceptions, because neither rule can have a set: they cannot
delete a project whose name another project has too (`_rivals`), and slapd limits the size of their answers, unless they
read page by page, as our programs do (embedded_config.py).

Matching an object class by value means that admins add and delete single
values; a modify that replaces the whole attribute is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple
from urllib.parse import quote

from enc.classify.kinds import GUEST, KINDS, TRIAL, attributes_of
from enc.directory.name_rules import LABEL, LABELLED, UID
from enc.directory.service_accounts import READER, SIGNER
from enc.rights.groups import DEEPEST, LISTS
from enc.rights.roles import ROLES, Action, Held, Role, role_entries
from enc.settings import DirectorySettings, Settings

PARTS = frozenset(
    {
        *(Action.NODE_ADD, Action.NODE_EDIT, Action.NODE_TRY, Action.NODE_REMOVE),
        *(Action.PREFIX_EDIT, Action.PROJECT_EDIT, Action.PROJECT_MEMBERS),
    }
)
"""Edits that slapd lets whoever has a role for them make."""

WHOLE = frozenset(
    {
        *(Action.NODE_MOVE, Action.PROJECT_ADD, Action.PROJECT_DELETE),
        *(Action.SITE_EDIT, Action.GROUP_EDIT, Action.OTHER_EDIT),
    }
)
"""Edits that slapd lets only those make who may make every one: what they touch may be anywhere."""

CLASSIFICATION = attributes_of(kind for kind in KINDS if kind.delegated)
"""Attributes that a project's admin may set wherever the admin may classify."""

_TRIAL = TRIAL.attribute
"""On nodes only. Members may push what their nodes run, so trying it gives them nothing more."""

_SIGNERS = ("puppetmasterEnrolment", "puppetmasterBuilt")
"""What the signing account may write, on nodes only."""

_NODE_ATTRIBUTES = (
    "entry",
    "cn",
    "description",
    "l",
    "owner",
    "serialNumber",
    "associatedDomain",
    *_SIGNERS,
    # An instance that is its own master says so, with the account of one of its admins.
    "puppetmasterSelf",
    *CLASSIFICATION,
)
_PREFIX_ATTRIBUTES = ("entry", "cn", "description", *CLASSIFICATION)
_PROJECT_ATTRIBUTES = ("description", GUEST.attribute, *CLASSIFICATION)

ADMINS_ATTRIBUTES = tuple(
    name
    for name in dict.fromkeys(
        ("objectClass", _TRIAL, *_NODE_ATTRIBUTES, *_PREFIX_ATTRIBUTES, "member", "memberUid", *_PROJECT_ATTRIBUTES)
    )
    if name != "entry"
)
"""Every attribute of which admins may write values somewhere."""

_OWN = ("roleOccupant", "sshPublicKey")
"""What admins write in roles, and people about themselves."""

RIVALS = 3
"""Separators in a project's name up to which slapd tells that another has it already: each doubles what it asks."""

_NODE_FILTER = "(objectClass=puppetClient)"
_PREFIX_FILTER = "(objectClass=puppetmasterScope)"


class Holders(NamedTuple):
    """Who holds a role, as slapd names them in a rule whose first group is the project."""

    direct: str
    """Who is listed in the role's own entry."""
    some: str = ""
    """Everybody who has signed in, if that entry lists any group; empty: it is no entry."""
    alone: str = ""
    """Likewise, if it is there and lists none."""
    nested: tuple[str, ...] = ()
    """Who comes by way of other groups, if it lists any."""


class _Grant(NamedTuple):
    """What holders of a role may do to something."""

    who: Holders
    access: str


def access_rules(suffix: str, table: tuple[Role, ...] = ROLES, *, hashes: str = "") -> str:
    """Return the `access` directives of the database with `suffix` (of `embedded_config.check_suffix`'s form).

    `hashes`: the pattern of passwords as slapd stores them (limits.py); empty: any may be written.
    """
    top = re.escape(suffix).replace("\\", "\\\\")
    signer = f'dn.exact="{SIGNER.dn(suffix)}"'
    people = f'dn.onelevel="ou=people,{suffix}"'
    everything = [_holders(role, suffix) for role in table if _edits_everything(role)]
    # One RDN with one value: neither a comma nor a plus can hide a second one.
    container = f'dn.regex="^ou=([^,+]+),ou=hosts,{top}$"'
    below = f'dn.regex="^cn=[^,+]+,ou=([^,+]+),ou=hosts,{top}$"'
    node = f"{below} filter={_NODE_FILTER}"
    project = f'dn.regex="^cn=([^,+]+),ou=projects,{top}$" filter=(objectClass=groupOfNames)'
    roles = [
        f'dn.regex="^cn={re.escape(name)},cn=([^,+]+),ou=projects,{top}$"'
        for name in sorted(role_entries(_defaults(suffix), table))
    ]
    prefix = f'dn.regex="^cn=[^,+]+,cn=([^,+]+),ou=projects,{top}$" filter={_PREFIX_FILTER}'
    adding, removing, editing, trying, prefixes, classifying, appointing = (
        _editors(action, suffix, table)
        for action in (
            *(Action.NODE_ADD, Action.NODE_REMOVE, Action.NODE_EDIT, Action.NODE_TRY),
            *(Action.PREFIX_EDIT, Action.PROJECT_EDIT, Action.PROJECT_MEMBERS),
        )
    )
    return "\n".join(
        (
            _strangers(suffix),
            *_rivals(suffix, everything),
            # Such a value lets nobody in, and has no limits.
            _rule("* attrs=userPassword;lang-", *_each(everything, "=xw")),
            *_passwords(people, everything, hashes),
            _rule("* attrs=userPassword", *_each(everything, "=xw"), "anonymous auth"),
            _rule(
                "*",
                f'dn.exact="{READER.dn(suffix)}" read',
                "anonymous auth",
                *_each(everything, "write"),
                "* break",
            ),
            _rule(f"* attrs={','.join(f'{name};lang-' for name in (*ADMINS_ATTRIBUTES, *_OWN))}", "users read"),
            _rule(f"{people} attrs=sshPublicKey", "self write", "users read"),
            _rule(f"{people} attrs=objectClass val.regex=^ldapPublicKey$", "self write", "users read"),
            # What is added needs `a`, what is removed `z`; a new name needs both.
            _rule(
                f"{container} attrs=children",
                *_each([who for who in adding if who in removing], "write"),
                *_each([who for who in adding if who not in removing], "=arscd"),
                *_each([who for who in removing if who not in adding], "=zrscd"),
                "users read",
            ),
            # In a directory with the terminus's fall-back, `default` answers for everybody's unknown nodes.
            _rule(f"{below} attrs=cn val=default", "users read"),
            *_classes(
                node,
                editing,
                made_with=("top", "device", "puppetClient"),
                may_change=("puppetmasterClassification", "domainRelatedObject"),
            ),
            _rule(f"{node} attrs={_TRIAL}", *_each(trying, "write"), "users read"),
            _rule(f"{node} attrs={','.join(_SIGNERS)}", f"{signer} write", *_each(editing, "write"), "users read"),
            *_labels(node, editing),
            _rule(f"{node} attrs={','.join(_NODE_ATTRIBUTES)}", *_each(editing, "write"), "users read"),
            *_classes(
                project,
                classifying,
                made_with=(),
                may_change=("puppetClient", "puppetmasterClassification"),
            ),
            _rule(f"{project} attrs=children", *_each(prefixes, "write"), "users read"),
            _rule(f"{project} attrs=member", *_each(appointing, "write"), "users read"),
            *_login_names(project, appointing),
            *_labels(project, classifying),
            _rule(f"{project} attrs={','.join(_PROJECT_ATTRIBUTES)}", *_each(classifying, "write"), "users read"),
            *(_rule(f"{role} attrs=roleOccupant", *_each(appointing, "write"), "users read") for role in roles),
            *(rule for role in roles for rule in _login_names(role, appointing)),
            *(_rule(role, "users read") for role in roles),
            *_classes(
                prefix,
                prefixes,
                made_with=("top", "puppetmasterScope"),
                may_change=("puppetClient", "puppetmasterClassification"),
            ),
            *_labels(prefix, prefixes),
            _rule(f"{prefix} attrs={','.join(_PREFIX_ATTRIBUTES)}", *_each(prefixes, "write"), "users read"),
            _rule("*", "users read"),
        )
    )


def everything_editors(suffix: str, table: tuple[Role, ...] = ROLES) -> list[str]:
    """Return, as slapd names them, who is listed as somebody who may edit everything: operators."""
    return [_holders(role, suffix).direct for role in table if _edits_everything(role)]


def everything_readers(suffix: str, table: tuple[Role, ...] = ROLES) -> list[str]:
    """Return the `by` clauses that let all who may edit everything read, whichever way they are listed."""
    editors = [_holders(role, suffix) for role in table if _edits_everything(role)]
    return list(_clauses(_each(editors, "read")))


def _strangers(suffix: str) -> str:
    """Let those on who are entries of this tree, or nobody (who may only sign in); all others have no part in it."""
    return _rule("*", f'dn.subtree="{suffix}" break', "anonymous break")


def _rivals(suffix: str, everything: list[Holders]) -> Iterable[str]:
    """Let nobody add a project whose name differs from another's in '-' and '_' alone: to Puppet it is the same.

    A set is asked whether there is one already, spelled in any way; the entry itself is not there yet. What is there
    may be read and deleted. A rule for each number of separators, up to three; a rename is judged by the old name.
    """
    projects = f"ou=projects,{suffix}"
    top = re.escape(projects).replace("\\", "\\\\")
    for separators in range(1, RIVALS + 1):
        name = "[-_]".join(["([a-z0-9]+)"] * (separators + 1))
        rest = [[f"{mark}${place}" for mark in "-_"] for place in range(2, separators + 2)]
        found = "".join(f"(cn=$1{''.join(parts)})" for parts in product(*rest))
        there = f'set.expand="[ldap:///{quote(projects, safe="=,")}?entryDN?one?(|{found})]/entryDN"'
        yield _rule(
            f'dn.regex="^cn={name},{top}$" attrs=entry',
            *(f"{who.direct} {there} =zrscd" for who in everything),
            f"users {there} read",
            "* break",
        )


def _edits_everything(role: Role) -> bool:
    return role.held is Held.GROUP and role.may >= PARTS | WHOLE


def _editors(action: Action, suffix: str, table: tuple[Role, ...]) -> list[Holders]:
    """Return who may do `action` and not everything."""
    return [_holders(role, suffix) for role in reversed(table) if role.grants(action) and not _edits_everything(role)]


def _holders(role: Role, suffix: str) -> Holders:
    entry = role.entry(_defaults(suffix)) if role.entry else ""
    if role.held is Held.EVERYBODY:
        return Holders("users")
    if role.held is Held.GROUP:
        return _through(entry, f'group/groupOfNames/member="{entry}"', "member", "set", suffix)
    if role.held is Held.OCCUPANT:
        place, attribute, kind = f"cn={entry},cn=$1,ou=projects,{suffix}", "roleOccupant", "organizationalRole"
    else:
        place, attribute, kind = f"cn=$1,ou=projects,{suffix}", "member", "groupOfNames"
    return _through(place, f'group/{kind}/{attribute}.expand="{place}"', attribute, "set.expand", suffix)


def _through(place: str, direct: str, attribute: str, style: str, suffix: str) -> Holders:
    """Return who is in the entry at `place`, by its own list or by way of groups in its `attribute`."""
    tops = (quote(f"ou={name},{suffix}", safe="=,") for name in ("projects", "groups"))
    listed = "".join(f"({attribute}:dnSubtreeMatch:={top})" for top in tops)
    uri = f"ldap:///{quote(place, safe='=,$')}?entryDN?base?"
    ways = (way for length in range(1, DEEPEST) for way in product(LISTS, repeat=length))
    return Holders(
        direct,
        f'users {style}="[{uri}(|{listed})]/entryDN"',
        f'users {style}="[{uri}(!(|{listed}))]/entryDN"',
        tuple(f'{style}="[{place}]/{attribute}/{"/".join(way)} & user"' for way in ways),
    )


def _defaults(suffix: str) -> Settings:
    """Return where things are in the embedded directory: at the default places."""
    return Settings(directory=DirectorySettings(suffix=suffix))


def _each(who: Iterable[Holders], access: str) -> list[_Grant]:
    return [_Grant(one, access) for one in who]


def _rule(what: str, *by: str | _Grant) -> str:
    """One directive, and where groups can be listed a second; slapd itself ends every list with `by * none`."""
    if any(isinstance(one, _Grant) and one.who.nested for one in by) and "* break" not in by:
        return f"{_directive(what, _looking(by))}\n{_directive(what, _clauses(by))}"
    return _directive(what, _clauses(by))


def _directive(what: str, clauses: Iterable[str]) -> str:
    return "\n".join((f"access to {what}", *(f"\tby {clause}" for clause in clauses)))


def _looking(by: Sequence[str | _Grant]) -> Iterator[str]:
    """Yield the clauses that decide without following groups, and leave what they cannot to the next directive."""
    for one in by:
        if isinstance(one, str):
            yield one
        else:
            yield f"{one.who.direct} {one.access}"
            if one.who.some:
                yield f"{one.who.some} break"


def _clauses(by: Sequence[str | _Grant]) -> Iterator[str]:
    """Yield all clauses in their order, which is of weight: the first that fits is the one that counts."""
    for one in by:
        if isinstance(one, str):
            yield one
            continue
        yield f"{one.who.direct} {one.access}"
        if one.who.alone and "* break" in by:
            yield f"{one.who.alone} break"
        yield from (f"{way} {one.access}" for way in one.who.nested)


def _passwords(people: str, everything: list[Holders], hashes: str) -> Iterable[str]:
    """Rules for people's passwords, hashed by slapd before it asks: no other text is written, and all are removed.

    What was there before such rules lets its owner in all the same, who may change it.
    """
    if hashes:
        own = f'{people} attrs=userPassword val.regex="{hashes}"'
        yield _rule(own, "self =xw", *_each(everything, "=xw"), "anonymous auth")
        yield _rule(f"{people} attrs=userPassword", "self =xz", *_each(everything, "=xz"), "anonymous auth")
    else:
        yield _rule(f"{people} attrs=userPassword", "self =xw", *_each(everything, "=xw"), "anonymous auth")


def _login_names(what: str, editors: list[Holders]) -> Iterable[str]:
    """Rules for the copy, for machines, of who is listed: login names are written, other texts only taken away."""
    yield _rule(f'{what} attrs=memberUid val.regex="{UID}"', *_each(editors, "write"), "users read")
    yield _rule(f"{what} attrs=memberUid", *_each(editors, "=zrscd"), "users read")


def _labels(what: str, editors: list[Holders]) -> Iterable[str]:
    """Rules for roles and regions: labels are written, whatever else is there is only taken away."""
    for attribute in LABELLED:
        yield _rule(f'{what} attrs={attribute} val.regex="{LABEL}"', *_each(editors, "write"), "users read")
    yield _rule(f"{what} attrs={','.join(LABELLED)}", *_each(editors, "=zrscd"), "users read")


def _classes(
    what: str, editors: list[Holders], *, made_with: Iterable[str], may_change: Iterable[str]
) -> Iterable[str]:
    """Rules for object class values: some only arrive with the entry, some may also be taken away.

    By regular expression, because slapd's exact match for object classes accepts every
    subclass too: `val=top` would be all of them.
    """
    for names, access in ((made_with, "=arscd"), (may_change, "write")):
        if pattern := "|".join(names):
            yield _rule(
                f'{what} attrs=objectClass val.regex="^({pattern})$"', *_each(editors, access), "users read"
            )
