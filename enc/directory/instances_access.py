"""What the account of instances may read in the embedded directory: what SSSD asks for (docs/access.md). Pure.

Its password is on every instance. Root there can read it, and a project's admins are root there. So the account can
read what `getent`, a login by key and sudo by group need, and nothing else: of people with an account the name,
numbers, home, shell and keys; of projects and admins' roles that are groups on machines, who is in them. It cannot read
other people, other projects, nodes, what a project's nodes get, mail addresses or passwords. It cannot write.

These rules name this account only and come before all others, so they take nothing from anybody else.
"""

from __future__ import annotations

from collections.abc import Iterator

from enc.directory.service_accounts import INSTANCES

_ABOUT = ("entry", "objectClass", "entryUUID", "modifyTimestamp")
"""Of each entry: SSSD looks at the UUID to tell who was renamed, and at the time to tell what changed."""
PERSON = ("uid", "cn", "uidNumber", "gidNumber", "homeDirectory", "loginShell", "gecos", "sshPublicKey")
GROUP = ("cn", "gidNumber", "member", "roleOccupant", "memberUid")


def instances_rules(suffix: str) -> Iterator[str]:
    """Yield the `access` directives; `suffix` has a form that needs no quoting (`check_suffix`)."""
    by = f'by dn.exact="{INSTANCES.dn(suffix)}"'
    people, projects = (f"ou={name},{suffix}" for name in ("people", "projects"))
    accounts = f'dn.onelevel="{people}" filter=(objectClass=posixAccount)'
    groups = f'dn.children="{projects}" filter=(objectClass=posixGroup)'
    for base in (people, projects):
        yield f'access to dn.base="{base}" attrs=entry {by} search by * break'
    yield f"access to {accounts} attrs={','.join((*_ABOUT, *PERSON))} {by} read by * break"
    yield f"access to {groups} attrs={','.join((*_ABOUT, *GROUP))} {by} read by * break"
    yield f"access to * {by} none by * break"
