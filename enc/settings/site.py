"""Where LDAP is, what its entries say, and the answers that are made of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from enc.settings.values import Duration, Section
from enc.terms.names import EnvironmentName, VariableName
from enc.terms.puppet_names import variable_fault


@dataclass(frozen=True)
class TlsSettings(Section):
    """How the connection to LDAP is protected. Certificates are always verified."""

    start: bool = False
    """Use StartTLS on ldap:// addresses. ldaps:// addresses need no setting."""
    ca_file: Path | None = None
    """Certificates of the trusted authorities (PEM). None: the system's."""
    certificate_file: Path | None = None
    """Our own certificate (PEM), if the server asks for one."""
    key_file: Path | None = None
    """The key of our own certificate (PEM)."""


@dataclass(frozen=True)
class DirectorySettings(Section):
    """Where LDAP is, and the accounts that we use there."""

    uris: tuple[str, ...] = ("ldapi:///",)
    """Servers, tried in order: ldap://, ldaps://, ldapi:// with the socket's path percent-encoded."""
    bind_dn: str | None = None
    """The account that reads. None: EXTERNAL over ldapi, anonymous elsewhere."""
    bind_password_file: Path | None = None
    """Holds the password of bind_dn; must not be readable by others."""
    write_bind_dn: str | None = None
    """The account that writes for `enc-admin`, if the reading account may not. None: EXTERNAL over ldapi, otherwise
    bind_dn."""
    write_bind_password_file: Path | None = None
    """Holds the password of write_bind_dn; must not be readable by others."""
    tls: TlsSettings = field(default_factory=TlsSettings)
    """How connections are protected."""
    timeout: Duration = Duration(3)
    """How long connecting may take, and each answer."""
    largest_entry: int = 2 * 1024 * 1024
    """The largest entry that is read, in octets. The large attributes of a larger entry are left out, so it cannot be
    classified; other entries are not affected."""
    data_directory: Path = Path("/var/lib/puppetmaster/directory")
    """Where `enc-admin directory start` keeps the embedded slapd."""
    suffix: str = "dc=example,dc=org"
    """The top of the tree; the default bases are below it."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield addresses that no LDAP server can have."""
        for uri in self.uris:
            if not re.match(r"(?:ldap|ldaps)://[^/]+|ldapi://", uri):
                yield "uris", f"{uri!r} is not ldap://HOST, ldaps://HOST or ldapi://"
        if not 64 * 1024 <= self.largest_entry <= 16 * 1024 * 1024:
            yield "largest_entry", f"{self.largest_entry} is not between 65536 and 16777216"


@dataclass(frozen=True)
class NodeSettings(Section):
    """How the LDAP entry of a certname is found, and which parts of it count."""

    base: str | None = None
    """Where nodes are. None: ou=hosts below the suffix."""
    filter: str = "(&(objectClass=puppetClient)(cn=%s))"
    """Finds the entry of a name; every %s is the escaped name."""
    class_attributes: tuple[str, ...] = ("puppetClass",)
    """Attributes whose values are class names."""
    variable_attributes: tuple[str, ...] = ("puppetVar",)
    """Attributes whose values are NAME=VALUE."""
    parent_attribute: str = "parentNode"
    """Attribute that names the node from which this one inherits."""
    environment_attribute: str = "environment"
    """Attribute that holds the environment."""
    attributes: Literal["all"] | tuple[str, ...] = "all"
    """Which attributes become variables (semantics terminus)."""
    semantics: Literal["terminus", "extended"] = "extended"
    """terminus: exactly the LDAP node terminus; extended: with site, projects, groups and prefixes."""
    strict_compatibility: bool = False
    """With semantics terminus: also show the variables that the terminus leaked (puppetclass, puppetvar, parentnode,
    objectclass and dn), and leave class names as they are written."""
    default_environment: EnvironmentName = EnvironmentName("production")
    """The environment of a node if nothing else names one."""
    project: str = "container"
    """Where a node's project is found: `container` (the ou above it), `attribute NAME`, or `variable NAME`."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a filter that finds no name, and a place of the project that is none."""
        if "%s" not in self.filter:
            yield "filter", "has no %s where the name goes"
        if not re.fullmatch(r"container|(?:attribute|variable) [A-Za-z][\w;-]*", self.project, re.ASCII):
            yield "project", f"{self.project!r} is not container, attribute NAME or variable NAME"


DELEGATED = (
    *("READ", "NODE_ADD", "NODE_EDIT", "NODE_TRY", "NODE_REMOVE", "SIGNING_READ"),
    *("PREFIX_EDIT", "PROJECT_EDIT", "PROJECT_MEMBERS", "BRANCH_PUSH", "BRANCH_FORCE", "BRANCH_DELETE"),
)
"""What a role of the site's own can allow: the actions that are about one project, and are not operators' alone."""

_ROLE = re.compile(r"[a-z][a-z0-9]{0,31}", re.ASCII)
_TAKEN = ("operator", "projectadmin", "admin", "member", "other")
"""What roles are called that there are without it."""


@dataclass(frozen=True)
class RoleSettings(Section):
    """A role of the site's own, which people and groups hold in a project."""

    name: str
    """Its name, which is also the cn of the entries (organizationalRole) below projects that say who holds it:
    lower-case letters and digits."""
    may: tuple[str, ...]
    """What it allows: actions from docs/editing.md that concern one project, for example `BRANCH_PUSH`."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a name that is none or is taken, and actions that are none or are operators' alone."""
        if not _ROLE.fullmatch(self.name):
            yield "name", f"{self.name!r} is not a role's name: lower-case letters and digits, at most 32"
        elif self.name in _TAKEN:
            yield "name", f"there is a role {self.name} already"
        for action in self.may:
            if action not in DELEGATED:
                yield "may", f"{action!r} is not an action that a role can allow: {', '.join(DELEGATED)}"


@dataclass(frozen=True)
class ProjectSettings(Section):
    """Where projects are; used by semantics extended."""

    base: str | None = None
    """Where projects are. None: ou=projects below the suffix."""
    filter: str = "(objectClass=groupOfNames)"
    """Which entries directly below the base are projects."""
    admin_role: str = "projectadmin"
    """The cn of the organizationalRole below a project whose occupants administer it."""
    environment: str | None = None
    """Environment of a project's nodes if its entry names none; every %s becomes the project's name, with '-' as '_'.
    None: the site's environment."""
    roles: tuple[RoleSettings, ...] = ()
    """Roles of the site's own, besides admins and members. The embedded directory applies them from its next start."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a role that is there twice."""
        names = [role.name.lower() for role in self.roles]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield "roles", f"there is more than one role {name}"
        if self.admin_role.lower() in names:
            yield "roles", f"{self.admin_role} is the admins' (projects.admin_role)"


@dataclass(frozen=True)
class GroupSettings(Section):
    """Groups of nodes by LDAP filter (groupOfURLs); used by semantics extended."""

    base: str | None = None
    """Where groups are. None: ou=groups below the suffix."""
    filter: str = "(objectClass=groupOfURLs)"
    """Which entries below the base are groups."""


@dataclass(frozen=True)
class SiteSettings(Section):
    """The entry that applies to every node; used by semantics extended."""

    dn: str | None = None
    """The entry. None: cn=site below the suffix."""


@dataclass(frozen=True)
class PeopleSettings(Section):
    """Who may edit."""

    base: str | None = None
    """Where people are. None: ou=people below the suffix."""
    filter: str = "(&(objectClass=inetOrgPerson)(uid=%s))"
    """Finds the entry of a person; every %s is the escaped user name."""
    operators: str | None = None
    """The group of operators. None: cn=operators,ou=groups below the suffix."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a filter that finds no name."""
        if "%s" not in self.filter:
            yield "filter", "has no %s where the name goes"


@dataclass(frozen=True)
class AnswerSettings(Section):
    """The finished answers on disk."""

    directory: Path = Path("/var/lib/puppetmaster/answers")
    """Where the answers are. Only one follower may write there."""
    max_age: Duration = Duration(86400)
    """How long the follower may be without contact to LDAP before `enc` refuses every catalog."""
    variable: str | None = "puppetmaster_answer"
    """Top-scope variable with source, age (seconds) and version of the answer. null: none."""
    on_bad_entry: Literal["last-good", "refuse"] = "last-good"
    """What a node gets when its entry can no longer be classified."""
    merged_data: bool = False
    """Whether each node's hiera data is also written as one merged file. Each key has the value of the nearest entry
    that has the key."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a variable that Puppet cannot take, with which no catalog would compile."""
        if self.variable is None:
            return
        if not VariableName.accepts(self.variable):
            yield "variable", f"{self.variable!r} is not {VariableName.kind}: {VariableName.rule}"
        elif fault := variable_fault(self.variable):
            yield "variable", f"{self.variable!r}: {fault}"


@dataclass(frozen=True)
class FollowSettings(Section):
    """How the follower keeps up with LDAP."""

    poll_interval: Duration = Duration(30)
    """How often the versions of all entries are compared with the server's. This finds changes that syncrepl does not
    report (a rename above an entry, new access rules). If the server has no syncrepl: how often everything is read."""
    patience: Duration = Duration(600)
    """How long a server that lacks changes seen before is not trusted, while another server that may have them is
    down."""
    metrics_file: Path | None = None
    """Prometheus text file, for the node exporter's textfile collector."""
    metrics_listen: str | None = None
    """ADDRESS:PORT of an HTTP endpoint /metrics, for example 127.0.0.1:9164."""


@dataclass(frozen=True)
class AuditSettings(Section):
    """The append-only trail of edits."""

    file: Path = Path("/var/lib/puppetmaster/audit/trail.jsonl")
    """The trail itself, one JSON document a line."""


@dataclass(frozen=True)
class LogSettings(Section):
    """What is written to stderr while working."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON document a line."""
