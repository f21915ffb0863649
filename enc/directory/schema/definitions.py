"""The LDAP schemas that the toolkit ships, each defined once.

The files beside this module (`*.schema` for slapd.conf, `*.ldif` for
cn=config) are rendered from here by `python -m enc.directory.schema`; a test
holds them equal. Putting a schema into a server is `install.py`'s business.

Sources: Puppet's schema is the one that the LDAP node terminus of Puppet came
with (`ext/ldap/puppet.schema`); sshPublicKey is openssh-lpk's; accounts and
groups of machines are those of RFC 2307 with the one change of its successor
(draft-howard-rfc2307bis, section 3): posixGroup is AUXILIARY, so that an entry
with members (groupOfNames) can be a group of machines, too. OIDs of our own
extension are below 2.25.<a UUID> (ITU-T X.667), which needs no registration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from enc.classify.kinds import KINDS

DIRECTORY_STRING = "1.3.6.1.4.1.1466.115.121.1.15"
IA5_STRING = "1.3.6.1.4.1.1466.115.121.1.26"
OCTET_STRING = "1.3.6.1.4.1.1466.115.121.1.40"
INTEGER = "1.3.6.1.4.1.1466.115.121.1.27"

OID_ARC = "2.25.187328477808938832819614897949437577134"
"""Everything that is ours is below this arc: attributes .1, object classes .2."""

_PUPPET_ARC = "1.3.6.1.4.1.34380.1.1"
_LPK_ARC = "1.3.6.1.4.1.24552.500.1.1"
_NIS_ARC = "1.3.6.1.1.1"


@dataclass(frozen=True)
class AttributeType:
    """An attribute, in the terms of RFC 4512."""

    oid: str
    name: str
    description: str
    syntax: str
    equality: str
    substrings: str | None = None
    single: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The definition's clauses in RFC 4512's order, without the outer parentheses."""
        matching = [f"EQUALITY {self.equality}"]
        if self.substrings:
            matching.append(f"SUBSTR {self.substrings}")
        single = ["SINGLE-VALUE"] if self.single else []
        return (
            f"{self.oid} NAME '{self.name}'",
            f"DESC '{self.description}'",
            *matching,
            f"SYNTAX {self.syntax}",
            *single,
        )


@dataclass(frozen=True)
class ObjectClass:
    """An object class, in the terms of RFC 4512; its superior is `top`."""

    oid: str
    name: str
    description: str
    kind: Literal["AUXILIARY", "STRUCTURAL"]
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The definition's clauses in RFC 4512's order, without the outer parentheses."""
        must = [f"MUST ( {' $ '.join(self.must)} )"] if self.must else []
        may = [f"MAY ( {' $ '.join(self.may)} )"] if self.may else []
        return (
            f"{self.oid} NAME '{self.name}'",
            f"DESC '{self.description}'",
            f"SUP top {self.kind}",
            *must,
            *may,
        )


@dataclass(frozen=True)
class Schema:
    """One schema as a server loads it."""

    name: str
    """Its cn below cn=schema,cn=config, and the stem of its files."""
    title: str
    attributes: tuple[AttributeType, ...]
    classes: tuple[ObjectClass, ...]


def _puppet(number: int, name: str, description: str, *, single: bool = False) -> AttributeType:
    return AttributeType(
        f"{_PUPPET_ARC}.3.{number}", name, description, IA5_STRING, "caseIgnoreIA5Match", single=single
    )


def _ours(number: int, name: str, description: str, *, single: bool = False) -> AttributeType:
    # Exact matching: Puppet tells `a` from `A`, and so must a delete of one value.
    return AttributeType(
        f"{OID_ARC}.1.{number}",
        name,
        description,
        DIRECTORY_STRING,
        "caseExactMatch",
        "caseExactSubstringsMatch",
        single,
    )


PUPPET = Schema(
    name="puppet",
    title="Puppet: node data in LDAP",
    attributes=(
        _puppet(10, "puppetClass", "Puppet Node Class"),
        _puppet(9, "parentNode", "Puppet Parent Node", single=True),
        _puppet(11, "environment", "Puppet Node Environment"),
        _puppet(12, "puppetVar", "A variable setting for puppet"),
    ),
    classes=(
        ObjectClass(
            f"{_PUPPET_ARC}.1.2",
            "puppetClient",
            "Puppet Client objectclass",
            "AUXILIARY",
            may=("puppetClass", "parentNode", "environment", "puppetVar"),
        ),
    ),
)

_OURS = tuple(
    _ours(number, name, description, single=single)
    for number, name, description, single in sorted(
        (
            *(
                (kind.schema.number, kind.attribute, kind.schema.description, kind.shape == "single")
                for kind in KINDS
                if kind.schema is not None
            ),
            (5, "puppetmasterProject", "Project that the node belongs to", True),
            (9, "puppetmasterEnrolment", "Whether the instance may get a certificate, and for which key", True),
            (10, "puppetmasterBuilt", "When the instance was built: SECONDS-SINCE-1970 took SECONDS", True),
            (11, "puppetmasterSelf", "Since when the instance is its own Puppet master, and which", True),
        )
    )
)
"""What entries say (enc/classify/kinds.py), and what else the toolkit keeps on them."""

PUPPETMASTER = Schema(
    name="puppetmaster",
    title="puppetmaster-toolkit: typed parameters, structured values, projects and prefixes",
    attributes=_OURS,
    classes=(
        ObjectClass(
            f"{OID_ARC}.2.1",
            "puppetmasterClassification",
            "Node data beyond what puppetClient can hold",
            "AUXILIARY",
            may=tuple(attribute.name for attribute in _OURS),
        ),
        ObjectClass(
            f"{OID_ARC}.2.2",
            "puppetmasterScope",
            "Several nodes at once: the site, or the nodes of a project whose names begin alike",
            "STRUCTURAL",
            must=("cn",),
            may=("description",),
        ),
    ),
)

OPENSSH_LPK = Schema(
    name="openssh-lpk",
    title="openssh-lpk: public keys of people",
    attributes=(
        AttributeType(
            f"{_LPK_ARC}.1.13",
            "sshPublicKey",
            "MANDATORY: OpenSSH Public key",
            OCTET_STRING,
            "octetStringMatch",
            # Not in the original: so that whose a key is can be asked without reading everybody's.
            "octetStringSubstringsMatch",
        ),
    ),
    classes=(
        ObjectClass(
            f"{_LPK_ARC}.2.0",
            "ldapPublicKey",
            "MANDATORY: OpenSSH LPK objectclass",
            "AUXILIARY",
            may=("sshPublicKey", "uid"),
        ),
    ),
)



def _text(number: int, name: str, description: str, *, substrings: bool = False, single: bool = True) -> AttributeType:
    return AttributeType(
        f"{_NIS_ARC}.1.{number}",
        name,
        description,
        IA5_STRING,
        "caseExactIA5Match",
        "caseExactIA5SubstringsMatch" if substrings else None,
        single,
    )


def _number(number: int, name: str, description: str) -> AttributeType:
    return AttributeType(f"{_NIS_ARC}.1.{number}", name, description, INTEGER, "integerMatch", single=True)


RFC2307BIS = Schema(
    name="rfc2307bis",
    title="RFC 2307bis: accounts and groups of machines, as far as people and projects need it",
    # uidNumber and gidNumber are not among them: OpenLDAP has them built in and refuses a second definition.
    attributes=(
        AttributeType(
            f"{_NIS_ARC}.1.2",
            "gecos",
            "The GECOS field; the common name",
            IA5_STRING,
            "caseIgnoreIA5Match",
            "caseIgnoreIA5SubstringsMatch",
            single=True,
        ),
        _text(3, "homeDirectory", "The absolute path to the home directory"),
        _text(4, "loginShell", "The path to the login shell"),
        _number(5, "shadowLastChange", "Day of the last change of the password"),
        _number(6, "shadowMin", "Days that a password must stay"),
        _number(7, "shadowMax", "Days that a password may stay"),
        _number(8, "shadowWarning", "Days of warning before a password ends"),
        _number(9, "shadowInactive", "Days of grace after a password ended"),
        _number(10, "shadowExpire", "Day on which the account ends"),
        _number(11, "shadowFlag", "Reserved"),
        _text(12, "memberUid", "Login name of a member", substrings=True, single=False),
    ),
    classes=(
        ObjectClass(
            f"{_NIS_ARC}.2.0",
            "posixAccount",
            "An account of machines",
            "AUXILIARY",
            must=("cn", "uid", "uidNumber", "gidNumber", "homeDirectory"),
            may=("userPassword", "loginShell", "gecos", "description"),
        ),
        ObjectClass(
            f"{_NIS_ARC}.2.1",
            "shadowAccount",
            "How long an account and its password last",
            "AUXILIARY",
            must=("uid",),
            may=(
                *("userPassword", "description", "shadowLastChange", "shadowMin", "shadowMax"),
                *("shadowWarning", "shadowInactive", "shadowExpire", "shadowFlag"),
            ),
        ),
        ObjectClass(
            f"{_NIS_ARC}.2.2",
            "posixGroup",
            "A group of accounts",
            "AUXILIARY",
            must=("gidNumber",),
            may=("userPassword", "memberUid", "description"),
        ),
    ),
)

SCHEMAS = (PUPPET, PUPPETMASTER, OPENSSH_LPK, RFC2307BIS)
"""All that we ship, in an order in which they load after core, cosine and inetorgperson."""
