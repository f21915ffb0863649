"""Who may do what in the embedded directory: the rules that slapd itself enforces. Pure.

The project is the boundary. Its admins (roleOccupant of its projectadmin entry)
edit its nodes, its prefixes, its own classification, its members and its
admins, and its members may say which environment one of its nodes tries
(puppetmasterTrial); operators edit everything; the reading account reads everything;
the signing account notes on nodes who got a certificate and was built, and writes nothing else;
everybody who has logged in reads. Nobody reads passwords.

slapd takes the first rule whose target matches, and in it the first `by` that
matches. Four things are not obvious and must stay:

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
- A rename is judged by the rules of the old place, and not at all by those about values that the entry has
  already. That a prefix stays below ou=projects, whatever it is renamed to, is the constraint overlay's part
  (embedded_config.py).

Matching an object class by value means that admins add and delete single
values; a modify that replaces the whole attribute is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from enc.directory.service_accounts import READER, SIGNER

CLASSIFICATION = (
    "puppetClass",
    "parentNode",
    "environment",
    "puppetVar",
    "puppetmasterParameter",
    "puppetmasterVariable",
    "puppetmasterData",
    "puppetmasterRemove",
    "puppetmasterRegion",
    "puppetmasterRole",
)
"""Attributes that a project's admin may set wherever the admin may classify."""

_TRIAL = "puppetmasterTrial"
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
_PROJECT_ATTRIBUTES = ("children", "member", "description", *CLASSIFICATION)

ADMINS_ATTRIBUTES = tuple(
    name
    for name in dict.fromkeys(("objectClass", _TRIAL, *_NODE_ATTRIBUTES, *_PREFIX_ATTRIBUTES, *_PROJECT_ATTRIBUTES))
    if name not in ("entry", "children")
)
"""Every attribute of which admins may write values somewhere."""

_NODE_FILTER = "(objectClass=puppetClient)"
_PREFIX_FILTER = "(objectClass=puppetmasterScope)"


def access_rules(suffix: str) -> str:
    """Return the `access` directives of the database with `suffix` (of `embedded_config.check_suffix`'s form)."""
    top = re.escape(suffix).replace("\\", "\\\\")
    operators = f'group/groupOfNames/member="cn=operators,ou=groups,{suffix}"'
    admins = 'group/organizationalRole/roleOccupant.expand="cn=projectadmin,cn=$1,ou=projects,' + suffix + '"'
    members = 'group/groupOfNames/member.expand="cn=$1,ou=projects,' + suffix + '"'
    signer = f'dn.exact="{SIGNER.dn(suffix)}"'
    people = f'dn.onelevel="ou=people,{suffix}"'
    # One RDN with one value: neither a comma nor a plus can hide a second one.
    container = f'dn.regex="^ou=([^,+]+),ou=hosts,{top}$"'
    node = f'dn.regex="^cn=[^,+]+,ou=([^,+]+),ou=hosts,{top}$"'
    project = f'dn.regex="^cn=([^,+]+),ou=projects,{top}$"'
    role = f'dn.regex="^cn=projectadmin,cn=([^,+]+),ou=projects,{top}$"'
    below_project = f'dn.regex="^cn=[^,+]+,cn=([^,+]+),ou=projects,{top}$"'
    admins_write = (f"{admins} write", "users read")
    return "\n".join(
        (
            _rule(f"{people} attrs=userPassword", "self =xw", f"{operators} =xw", "anonymous auth"),
            _rule("* attrs=userPassword", f"{operators} =xw", "anonymous auth"),
            _rule(
                "*",
                f'dn.exact="{READER.dn(suffix)}" read',
                f"{operators} write",
                "anonymous auth",
                "* break",
            ),
            _rule(f"* attrs={','.join(f'{name};lang-' for name in ADMINS_ATTRIBUTES)}", "users read"),
            _rule(f"{people} attrs=sshPublicKey", "self write", "users read"),
            _rule(f"{people} attrs=objectClass val.regex=^ldapPublicKey$", "self write", "users read"),
            _rule(f"{container} attrs=children", *admins_write),
            # In a directory with the terminus's fall-back, `default` answers for everybody's unknown nodes.
            _rule(f"{node} attrs=cn val=default", "users read"),
            *_classes(
                f"{node} filter={_NODE_FILTER}",
                admins,
                made_with=("top", "device", "puppetClient"),
                may_change=("puppetmasterClassification", "domainRelatedObject"),
            ),
            _rule(f"{node} filter={_NODE_FILTER} attrs={_TRIAL}", f"{members} write", *admins_write),
            _rule(f"{node} filter={_NODE_FILTER} attrs={','.join(_SIGNERS)}", f"{signer} write", *admins_write),
            _rule(f"{node} filter={_NODE_FILTER} attrs={','.join(_NODE_ATTRIBUTES)}", *admins_write),
            *_classes(
                f"{project} filter=(objectClass=groupOfNames)",
                admins,
                made_with=(),
                may_change=("puppetClient", "puppetmasterClassification"),
            ),
            _rule(
                f"{project} filter=(objectClass=groupOfNames) attrs={','.join(_PROJECT_ATTRIBUTES)}",
                *admins_write,
            ),
            _rule(f"{role} attrs=roleOccupant", *admins_write),
            _rule(role, "users read"),
            *_classes(
                f"{below_project} filter={_PREFIX_FILTER}",
                admins,
                made_with=("top", "puppetmasterScope"),
                may_change=("puppetClient", "puppetmasterClassification"),
            ),
            _rule(f"{below_project} filter={_PREFIX_FILTER} attrs={','.join(_PREFIX_ATTRIBUTES)}", *admins_write),
            _rule("*", "users read"),
        )
    )


def _rule(what: str, *by: str) -> str:
    """One directive; slapd itself ends every list with `by * none`."""
    return "\n".join((f"access to {what}", *(f"\tby {who}" for who in by)))


def _classes(what: str, admins: str, *, made_with: Iterable[str], may_change: Iterable[str]) -> Iterable[str]:
    """Rules for object class values: some only arrive with the entry, some may also be taken away.

    By regular expression, because slapd's exact match for object classes accepts every
    subclass too: `val=top` would be all of them.
    """
    for names, access in ((made_with, "=arscd"), (may_change, "write")):
        if pattern := "|".join(names):
            yield _rule(f'{what} attrs=objectClass val.regex="^({pattern})$"', f"{admins} {access}", "users read")
