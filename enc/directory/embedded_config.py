"""The embedded slapd's files as text: slapd.conf, the first entries, a configuration for us. Pure.

Who may do what stands in access.py; where the files go in embedded_home.py, the
process in embedded_process.py. slapd.conf rather than cn=config, because it is written anew at
each start: an upgrade of the toolkit brings its schema and rules along, and no
crash can leave a half-changed configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

from enc.classify.kinds import KINDS, attributes_of
from enc.classify.statements import PROJECT
from enc.directory import deletions, limits
from enc.directory.access import ADMINS_ATTRIBUTES, access_rules, everything_editors, everything_readers
from enc.directory.instances_access import instances_rules
from enc.directory.listening import Listening
from enc.directory.name_rules import name_rules
from enc.directory.projects_access import projects_rules
from enc.directory.schema.compare import names_in
from enc.directory.schema.definitions import SCHEMAS
from enc.directory.schema.render import definition
from enc.directory.service_accounts import READER, SIGNER
from enc.rights.roles import table_with
from enc.terms.errors import UsageError

SYSTEM_SCHEMAS = ("core", "cosine", "inetorgperson", "dyngroup")
"""Schemas of OpenLDAP that ours and people's directories stand on."""

NIS = "nis"
"""The schema of OpenLDAP of which ours says part in another way (`beside_ours`)."""

MODULES = ("back_mdb", "syncprov", "unique", "constraint", "ppolicy", "argon2", "accesslog")
"""Loaded where they are modules; a slapd that has them built in has no such file."""

INDEXES = (
    "objectClass,cn,ou,uid,entryUUID,entryCSN,member,roleOccupant,associatedDomain",
    ",".join((*attributes_of(kind for kind in KINDS if kind.indexed), PROJECT)),
    # Of people and groups of machines, and of the notes which numbers were given.
    "uidNumber,gidNumber,memberUid,owner,serialNumber",
)

_SUFFIX = re.compile(r"(dc|o|ou)=[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9])?(?:,(?:dc|o|ou|c)=[A-Za-z0-9._-]+)*")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for StartTLS and ldaps://."""

    certificate: Path
    key: Path
    authority: Path | None = None
    """The chain that clients get to see above the certificate."""


@dataclass(frozen=True)
class StartOptions:
    """What may differ from one start of the embedded slapd to the next."""

    port: int | None = None
    """On 127.0.0.1. None or 0: the one of last time, else a free one, which is then kept."""
    tls: TlsFiles | None = None
    """Given: StartTLS on the plain port, and ldaps:// on a port of its own."""
    listen: tuple[Listening, ...] = ()
    """Where else than on the loopback it offers ldaps://; needs `tls`."""
    session_log: int = 100_000
    """Writes that syncprov remembers in memory, so that followers get changes and not everything. 0: none."""
    max_size: int = 4 << 30
    """Bytes that the database may grow to; the file is sparse. Full: writes are refused, reading goes on."""
    deletions_size: int = deletions.LARGEST
    """Likewise of the log of deletions. Full: entries are deleted all the same, and not logged."""
    log_level: str = "none"
    """slapd's own level words; `none` logs what goes wrong, `stats` every operation."""
    unique_names: bool = True
    """Refuse a second node with a certname (or associatedDomain) that another node has, or a second key of a person."""
    site_projects: tuple[str, ...] | None = None
    """Projects of the site's own nodes, for the account of a projects' server. None: those of last time."""
    roles: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    """Roles of the site's own: name, and what they allow (`projects.roles`). None: those of last time."""
    limits: bool = True
    """Refuse what is too long or too many (limits.py)."""

    def __post_init__(self) -> None:
        """Raise `UsageError` if other machines were to speak to it in clear."""
        if self.listen and self.tls is None:
            raise UsageError(
                f"{self.listen[0].uri}: other machines are answered over TLS only; "
                "give --tls-certificate and --tls-key, too"
            )


@dataclass(frozen=True)
class Placement:
    """Where one slapd's files are; all paths absolute."""

    suffix: str
    schema_directory: Path
    """OpenLDAP's own schemas."""
    own_schemas: tuple[Path, ...]
    module_directory: Path | None
    """None: everything is built in."""
    modules: tuple[str, ...]
    """Of MODULES, those that exist as files there."""
    database: Path
    deletions: Path
    """The directory of the database in which deletions are logged."""
    pid_file: Path
    arguments_file: Path
    owner_uid: int
    nis: str = ""
    """OpenLDAP's schema `NIS`, as text; empty: it has none."""


def beside_ours(schema: str) -> Iterable[str]:
    """Yield the directives of a slapd.conf schema that define nothing of ours.

    OpenLDAP's nis.schema has RFC 2307's posixGroup, which no project's entry can carry; ours (schema/definitions.py) is
    the successor's. The rest (addresses, netgroups, hardware) is in the entries of directories that are there already.
    """
    defined = [definition(item) for one in SCHEMAS for items in (one.attributes, one.classes) for item in items]
    ours = {name.lower() for name in names_in(defined)}
    bare = "\n".join(line for line in schema.splitlines() if line.strip() and not line.startswith("#"))
    for directive in re.split(r"\n(?=\S)", bare):
        _, _, text = directive.partition(" ")
        if text and not ours & {name.lower() for name in names_in([text.lstrip()])}:
            yield directive


def check_suffix(suffix: str) -> str:
    """Return `suffix`; raise `UsageError` unless it is plain RDNs of dc, o and ou without escapes.

    The suffix goes into regular expressions and quoted words of slapd.conf.
    """
    if len(suffix) > 200 or not _SUFFIX.fullmatch(suffix):
        raise UsageError(f"{suffix[:80]!r} cannot be the embedded directory's suffix; use the form dc=example,dc=org")
    return suffix


def manager_dn(suffix: str) -> str:
    """Return who the owner of the data directory is, once bound with EXTERNAL over ldapi."""
    return f"cn=manager,{suffix}"


def reader_dn(suffix: str) -> str:
    """Return the reading account: the follower and `enc` bind with it."""
    return READER.dn(suffix)


def slapd_conf(place: Placement, options: StartOptions) -> str:
    """Return the text of slapd.conf; raise `UsageError` for a path that it cannot hold."""
    suffix = place.suffix
    manager = manager_dn(suffix)
    scheme = "{ARGON2}" if "argon2" in place.modules else "{SSHA}"
    lines = [
        "# Written again at each start; changes here are lost.",
        *(f"include {_path(place.schema_directory / f'{name}.schema')}" for name in SYSTEM_SCHEMAS),
        *beside_ours(place.nis),
        *(f"include {_path(path)}" for path in place.own_schemas),
        *([f"modulepath {_path(place.module_directory)}"] if place.module_directory else []),
        *(f"moduleload {name}{f' {limits.ARGON2}' if name == 'argon2' else ''}" for name in place.modules),
        f"pidfile {_path(place.pid_file)}",
        f"argsfile {_path(place.arguments_file)}",
        # To syslog: nothing, not even what `none` stands for, which is a line for each write. Its messages go to stderr
        # at -d's level, and from there into a log that leaves these lines out (slapd_log.py).
        "loglevel 0",
        # People choose weak passwords; the reading account's is random and stays with a fast hash.
        f"password-hash {scheme}",
        *([f"sockbuf_max_incoming_auth {limits.REQUEST}"] if options.limits else []),
        *_tls(options.tls),
        # The owner of the files could read and write them anyway; root can as well.
        *(
            f'authz-regexp "^gidNumber=[0-9]+[+]uidNumber={uid},cn=peercred,cn=external,cn=auth$" "{manager}"'
            for uid in sorted({0, place.owner_uid})
        ),
        'access to dn.base="" by * read',
        'access to dn.base="cn=Subschema" by * read',
        "",
        # Lets doctor see indexes and overlays, and tests turn knobs; nothing of it survives a restart.
        "database config",
        f'access to * by dn.exact="{manager}" manage',
        "",
        "database mdb",
        f'suffix "{suffix}"',
        f'rootdn "{manager}"',
        f"directory {_path(place.database)}",
        f"maxsize {options.max_size}",
        *(f"index {names} eq" for names in INDEXES),
        f'limits dn.exact="{reader_dn(suffix)}" size=unlimited time=unlimited',
        *(f"limits {who} size=unlimited time=unlimited" for who in everything_editors(suffix)),
        # Whoever reads page by page, as our commands do, gets everything that they may read. slapd's limits do not
        # follow groups in groups, so operators through a group have the same limits as everybody else.
        "limits users size.prtotal=unlimited",
        "add_content_acl on",
        *projects_rules(suffix, options.site_projects or ()),
        *instances_rules(suffix),
        access_rules(suffix, table_with(options.roles or ()), hashes=limits.STORED[scheme] if options.limits else ""),
        "",
        "overlay syncprov",
        # Bounds what slapd must look at again after a crash.
        "syncprov-checkpoint 100 1",
        *([f"syncprov-sessionlog {options.session_log}"] if options.session_log else []),
        "syncprov-reloadhint TRUE",
        *(_unique(suffix) if options.unique_names else ()),
        "overlay constraint",
        *_stay(suffix),
        *name_rules(suffix),
        *(limits.constraints(suffix, scheme) if options.limits else ()),
        # People set their password with a plain modify; it is hashed before it is stored.
        "overlay ppolicy",
        "ppolicy_hash_cleartext",
        *deletions.slapd_lines(),
        "",
        "database mdb",
        f'suffix "{deletions.LOG}"',
        f'rootdn "{manager}"',
        f"directory {_path(place.deletions)}",
        f"maxsize {options.deletions_size}",
        "index objectClass,reqStart,reqDN eq",
        "access to *",
        f'\tby dn.exact="{reader_dn(suffix)}" read',
        *(f"\tby {who}" for who in everything_readers(suffix)),
        f'limits dn.exact="{reader_dn(suffix)}" size=unlimited time=unlimited',
        "",
    ]
    return "\n".join(lines)


def _tls(tls: TlsFiles | None) -> Iterable[str]:
    if tls is None:
        return
    yield f"TLSCertificateFile {_path(tls.certificate)}"
    yield f"TLSCertificateKeyFile {_path(tls.key)}"
    if tls.authority:
        yield f"TLSCACertificateFile {_path(tls.authority)}"
    yield "TLSVerifyClient never"


def _unique(suffix: str) -> Iterable[str]:
    yield "overlay unique"
    for attribute in ("cn", "associatedDomain"):
        # serialize: two adds of one name at the same moment must not both pass the check.
        yield f'unique_uri "serialize ldap:///ou=hosts,{quote(suffix, safe="=,")}?{attribute}?sub"'
    # Who copies another's public key into the own entry makes it nobody's (transport.md); one with another comment is
    # another value here, and is told apart there.
    yield f'unique_uri "serialize ldap:///ou=people,{quote(suffix, safe="=,")}?sshPublicKey?sub"'
    # Who gives numbers by hand, at the moment in which a command does (service/numbers.py).
    for attribute, who in (("gidNumber", "posixGroup"), ("uidNumber", "posixAccount")):
        where = f"ldap:///{quote(suffix, safe='=,')}?{attribute}?sub?(objectClass={who})"
        yield f'unique_uri "serialize {where}"'


def number_units(suffix: str) -> Iterable[tuple[str, str]]:
    """Yield name and ou of the entries below which the numbers that were given are noted (service/numbers.py)."""
    top = f"ou=numbers,{suffix}"
    yield top, "numbers"
    for unit in ("gid", "uid"):
        yield f"ou={unit},{top}", unit


def _stay(suffix: str) -> Iterable[str]:
    """Keep prefixes below ou=projects.

    One that moves to ou=hosts would bring along names that the unique overlay never saw there: another project's
    certname, or `default`. Every attribute that a new name can be made of is watched. The price: a modify of a prefix
    that cannot be is answered with a bare "constraint violation", whatever the reason (the overlay tries it first).
    """
    top = f"ou=projects,{suffix}"
    yield (
        f'constraint_attribute {",".join(ADMINS_ATTRIBUTES)} set "this/-* & [{top}]" '
        f'"restrict=ldap:///{quote(top, safe="=,")}??sub?(objectClass=puppetmasterScope)"'
    )


def _path(path: Path) -> str:
    """Return `path` as one word of slapd.conf."""
    text = str(path)
    if not path.is_absolute() or not text.isprintable() or '"' in text or "\\" in text:
        raise UsageError(f"slapd.conf cannot hold the path {text!r}; choose an absolute one without quotes")
    return f'"{text}"'


def first_entries(suffix: str, reader_password_hash: str, signer_password_hash: str) -> str:
    """Return the LDIF of an empty site: the containers, the site default, the groups, the programs' accounts."""
    kind, _, name = suffix.partition(",")[0].partition("=")
    top = {
        "dc": ["objectClass: dcObject", "objectClass: organization", f"dc: {name}", f"o: {name}"],
        "o": ["objectClass: organization", f"o: {name}"],
        "ou": ["objectClass: organizationalUnit", f"ou: {name}"],
    }[kind]
    entries = [
        [f"dn: {suffix}", *top],
        *(
            [f"dn: ou={unit},{suffix}", "objectClass: organizationalUnit", f"ou: {unit}"]
            for unit in ("people", "projects", "hosts", "groups", "services")
        ),
        *(
            [f"dn: {place}", "objectClass: organizationalUnit", f"ou: {unit}"]
            for place, unit in number_units(suffix)
        ),
        [
            f"dn: cn=site,{suffix}",
            "objectClass: puppetmasterScope",
            "objectClass: puppetClient",
            "objectClass: puppetmasterClassification",
            "cn: site",
            "description: what every node gets",
        ],
        [
            # groupOfNames must have a member; the manager may do everything anyway.
            f"dn: cn=operators,ou=groups,{suffix}",
            "objectClass: groupOfNames",
            "cn: operators",
            f"member: {manager_dn(suffix)}",
        ],
        *(
            [
                f"dn: {account.dn(suffix)}",
                *(f"{name}: {value}" for name, held in account.attributes(hashed).items() for value in held),
            ]
            for account, hashed in ((READER, reader_password_hash), (SIGNER, signer_password_hash))
        ),
    ]
    return "\n\n".join("\n".join(entry) for entry in entries) + "\n"


def example_configuration(
    suffix: str,
    uris: Iterable[str],
    data_directory: Path,
    reader_password: Path | None,
    signer_password: Path | None = None,
) -> str:
    """Return a configuration file (settings/config.py) for this directory; without accounts, EXTERNAL over ldapi."""
    directory: dict[str, object] = {
        "uris": list(uris),
        "suffix": suffix,
        "data_directory": str(data_directory),
    }
    if reader_password:
        directory |= {"bind_dn": reader_dn(suffix), "bind_password_file": str(reader_password)}
    sections = {"directory": directory}
    if signer_password:
        sections["signing"] = {"bind_dn": SIGNER.dn(suffix), "bind_password_file": str(signer_password)}
    text: str = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)
    return f"# For the embedded directory. Every setting: docs/configuration.md\n{text}"
