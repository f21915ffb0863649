"""How much, and what, may be written in the embedded directory: slapd's constraint overlay, from one table. Pure.

Who may write what is access.py's; here stands, for each attribute of which
somebody other than an operator may write values, how long one may be and how
many an entry may have. A test holds that no such attribute is missing. Without
limits one person fills the database for everybody, or makes an entry that
nobody can read (skimming.py says what becomes of one all the same, in other
directories too). They are generous: real entries have a tenth of it.

Three things about the overlay that are not obvious:

- It looks at what a request adds and at the number of values that the entry
  has then, so what was there before an upgrade stays until it is changed.
- It compares attribute descriptions, so `description;lang-en` has no limit:
  nobody but operators may write one (access.py).
- It asks nobody who they are: operators keep to the limits as well. But whoever sends LDAP's control "relax rules" with
  an edit goes past it. So size and number hold against mistakes and tools; against who means it there are the size of
  a request (REQUEST), readers that leave out what is too large (skimming.py), and doctor's look at how full the
  database is. What a password may be is a rule of access.py, too, which no control relaxes; how many of them a person
  adds so, one with each request, nothing bounds.

A password is written in clear, and slapd hashes it (ppolicy, which comes before
this overlay). A hash of somebody's own choosing would say itself how much work
each attempt to sign in costs the server: a minute, or a gigabyte. So nothing is
stored but a hash of the one form, and the one cost, that slapd itself makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from enc.classify.kinds import KINDS


class Limit(NamedTuple):
    """Of one attribute."""

    size: int
    """Octets of one value."""
    values: int
    """Values of one entry."""


_NAME = Limit(255, 20)
_DN = 512
_SHAPES = {"names": Limit(512, 500), "pairs": Limit(65_536, 500), "single": Limit(4096, 10)}
_LEVELS = Limit(131_072, 500)
"""Of what hiera looks up, which is as long as people's files are."""

LIMITS: Mapping[str, Limit] = {
    **{kind.attribute: _LEVELS if kind.merge == "levels" else _SHAPES[kind.shape] for kind in KINDS},
    # what nodes, projects and prefixes are
    "objectClass": _NAME,
    "cn": Limit(255, 100),
    "associatedDomain": Limit(255, 100),
    "l": _NAME,
    "owner": Limit(_DN, 100),
    "serialNumber": _NAME,
    # what is noted about instances
    "puppetmasterEnrolment": Limit(1024, 5),
    "puppetmasterBuilt": Limit(1024, 5),
    "puppetmasterSelf": Limit(1024, 5),
    # who belongs to a project
    "member": Limit(_DN, 10_000),
    "memberUid": Limit(64, 10_000),
    "roleOccupant": Limit(_DN, 1000),
    # what people write about themselves
    "sshPublicKey": Limit(16_384, 50),
    "userPassword": Limit(1024, 1),
}
"""By the attribute, as the schema writes it."""

REQUEST = 4 * 1024 * 1024
"""Octets of one request by somebody who has signed in (slapd's own default are 16 MiB)."""

ARGON2 = "m=4096 t=3 p=1"
"""What a hash costs: KiB of memory, rounds, lanes. Debian's slapd has these by default; other builds have others."""

STORED = {
    "{ARGON2}": f"^[{{]ARGON2[}}][$]argon2id?[$]v=19[$]{ARGON2.replace(' ', ',')}"
    "[$][A-Za-z0-9+/=]{8,64}[$][A-Za-z0-9+/=]{16,128}$",
    "{SSHA}": "^[{]SSHA[}][A-Za-z0-9+/=]{28,128}$",
}
"""By a key of `password-hash`: the pattern of what slapd stores, each with salt and hash behind what it costs."""


def constraints(suffix: str, password_scheme: str) -> Iterable[str]:
    """Yield the overlay's directives; `password_scheme`: how slapd stores passwords (a key of `password-hash`)."""
    for attribute, limit in LIMITS.items():
        yield f"constraint_attribute {attribute} size {limit.size}"
        yield f"constraint_attribute {attribute} count {limit.values}"
    people = f"ldap:///ou=people,{quote(suffix, safe='=,')}??sub"
    yield f'constraint_attribute userPassword regex "{STORED[password_scheme]}" "restrict={people}"'
