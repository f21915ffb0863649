"""How our schemas reach a server that others run.

Owns two ways: adding what is missing to cn=config over LDAP, and writing the
files that a slapd.conf includes. Definitions that the server already has, by
OID or by name, are left alone, so that installing twice changes nothing and a
directory that has had Puppet's schema for years keeps its own. What it defines
in another way that matters is a `Clash` and is told. RFC 2307's posixGroup is
such a one, and `let_groups_be_auxiliary` changes it, if somebody says so. The
embedded slapd does not need this module: its slapd.conf includes the shipped files.

Failure modes: `DirectoryRefused` when the server denies access to cn=config
or dislikes a definition; schemas that were added before stay (each is a whole).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from urllib.parse import quote

from ldap3 import MODIFY_ADD, MODIFY_DELETE, NONE, SASL, SUBTREE, Connection, Server
from ldap3.core.exceptions import LDAPException

from enc.directory.address import Address
from enc.directory.schema.compare import Clash, Missing, clashes, missing, names_in
from enc.directory.schema.definitions import RFC2307BIS, SCHEMAS
from enc.directory.schema.render import FILE_SUFFIX, definition, render
from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable

_CONFIG_SCHEMA = "cn=schema,cn=config"


def open_configuration(uri: str, timeout: float) -> Connection:
    """Return a connection to `uri` (ldapi) as the socket's owner, who may usually write cn=config.

    Raise `DirectoryUnreachable` or `DirectoryRefused`. Close it with `unbind()`.
    """
    socket_path = Address.parse(uri).host
    try:
        server = Server(f"ldapi://{quote(socket_path, safe='')}", get_info=NONE, connect_timeout=timeout)
        connection = Connection(
            server,
            authentication=SASL,
            sasl_mechanism="EXTERNAL",
            sasl_credentials="",
            receive_timeout=math.ceil(timeout),
        )
        bound = connection.bind()
    except LDAPException as error:
        raise DirectoryUnreachable(str(error), where=uri) from error
    if not bound:
        raise DirectoryRefused(f"does not accept us as the socket's owner: {connection.result['message']}", where=uri)
    return connection


def clashes_in_server(connection: Connection) -> tuple[Clash, ...]:
    """Return what the server's cn=config defines otherwise than we need it."""
    return clashes(value for _, values in _schema_entries(connection) for value in values)


def let_groups_be_auxiliary(connection: Connection, *, dry_run: bool = False) -> bool:
    """Put RFC 2307bis' posixGroup in the place of RFC 2307's; False if there is nothing to do.

    One write: the old definition goes and the new one comes, or neither. Entries whose structural class is the old
    one could be read and deleted afterwards, and not changed: whether there are any is the caller's to find out.
    """
    wanted = next(item for item in RFC2307BIS.classes if item.name == "posixGroup")
    for dn, values in _schema_entries(connection):
        for value in values:
            if not (wanted.name in names_in([value]) and clashes([value])):
                continue
            if not dry_run:
                # By its number, where it has one: slapd's own text of it need not be the one that it compares with.
                changes = {"olcObjectClasses": [(MODIFY_DELETE, [value]), (MODIFY_ADD, [definition(wanted)])]}
                try:
                    connection.modify(dn, changes)
                except LDAPException as error:
                    raise DirectoryRefused(f"posixGroup cannot be changed: {error}", where=dn) from error
                _succeeded(connection, dn, "posixGroup cannot be changed")
            return True
    return False


def install_in_server(connection: Connection, *, dry_run: bool = False) -> tuple[Missing, ...]:
    """Add to cn=config what it lacks of our schemas, and return what that was.

    `connection` is bound as somebody who may write cn=config (usually EXTERNAL
    over ldapi as root). Raise `DirectoryRefused` with the server's words.
    """
    entries = _schema_entries(connection)
    todo = missing(names_in(value for _, values in entries for value in values))
    if dry_run:
        return todo
    # cn=config numbers its entries: ours may stand there as cn={4}puppet.
    by_name = {re.sub(r"^cn=(\{\d+\})?", "", dn.partition(",")[0]): dn for dn, _ in entries}
    for item in todo:
        values = {
            "olcAttributeTypes": [definition(attribute) for attribute in item.attributes],
            "olcObjectClasses": [definition(object_class) for object_class in item.classes],
        }
        values = {name: value for name, value in values.items() if value}
        present = by_name.get(item.schema.name)
        try:
            if present is None:
                dn = f"cn={item.schema.name},{_CONFIG_SCHEMA}"
                attributes = {"cn": item.schema.name, **values}
                connection.add(dn, ["olcSchemaConfig"], attributes)
            else:
                dn = present
                changes = {name: [(MODIFY_ADD, value)] for name, value in values.items()}
                connection.modify(dn, changes)
        except LDAPException as error:
            raise DirectoryRefused(f"the schema cannot be added: {error}", where=dn) from error
        _succeeded(connection, dn, "the schema cannot be added")
    return todo


def write_files(target: Path) -> tuple[Path, ...]:
    """Write the `.schema` files into `target`, for `include` lines in a slapd.conf; return their paths."""
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for schema in SCHEMAS:
        path = target / f"{schema.name}{FILE_SUFFIX['conf']}"
        whole_file.write(path, render(schema, "conf"), mode=0o644, survives=Strength.POWER_CUT)
        paths.append(path)
    return tuple(paths)


def _schema_entries(connection: Connection) -> list[tuple[str, list[str]]]:
    try:
        connection.search(
            _CONFIG_SCHEMA,
            "(objectClass=olcSchemaConfig)",
            SUBTREE,
            attributes=["olcAttributeTypes", "olcObjectClasses"],
        )
    except LDAPException as error:
        raise DirectoryRefused(f"cannot be read: {error}", where=_CONFIG_SCHEMA) from error
    _succeeded(connection, _CONFIG_SCHEMA, "cannot be read; run this as root over ldapi")
    return [
        (
            entry["dn"],
            [raw.decode() for values in entry["raw_attributes"].values() for raw in values],
        )
        for entry in connection.response or []
        if entry.get("type") == "searchResEntry"
    ]


def _succeeded(connection: Connection, dn: str, what: str) -> None:
    result = connection.result
    if result["result"] != 0:
        words = f"{result['description']} {result['message']}".strip()
        raise DirectoryRefused(f"{what}: {words}", where=dn)
