"""`enc-admin schema`: the LDAP schemas that the toolkit ships, and their way into a server."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.directory import server_facts
from enc.directory.connection import open_connection
from enc.directory.schema import install
from enc.directory.schema.definitions import SCHEMAS
from enc.directory.schema.render import render
from enc.terms.errors import DirectoryRefused, ExitStatus, UsageError

SUMMARY = "print or install the LDAP schemas, or check that a server has them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    names = [schema.name for schema in SCHEMAS]
    show = actions.add_parser("print", help="print schemas")
    show.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default: all")
    show.add_argument("--format", choices=("ldif", "conf"), default="ldif", help="for cn=config, or for slapd.conf")
    load = actions.add_parser("install", help="add what is missing to a server's cn=config, or write files")
    load.add_argument("--uri", help="ldapi address of the server; default: the first ldapi of directory.uris")
    load.add_argument("--files", type=Path, metavar="DIR", help="write .schema files for slapd.conf instead")
    load.add_argument("--dry-run", action="store_true", help="show what would be added")
    json_option(load)
    json_option(actions.add_parser("check", help="show what the server lacks; exit status 4 if anything"))


def run(call: Call) -> int:
    """Do the action."""
    arguments = call.arguments
    if arguments.action == "print":
        unknown = set(arguments.names) - {schema.name for schema in SCHEMAS}
        if unknown:
            raise UsageError(f"no schema {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in SCHEMAS)}")
        chosen = [schema for schema in SCHEMAS if schema.name in arguments.names or not arguments.names]
        print("\n".join(render(schema, arguments.format) for schema in chosen), end="")
        return ExitStatus.DONE
    if arguments.action == "check":
        return _check(call)
    if arguments.files is not None:
        paths = [] if arguments.dry_run else install.write_files(arguments.files)
        call.show({"dry_run": arguments.dry_run, "schemas": [], "files": paths}, [f"include {path}" for path in paths])
        return ExitStatus.DONE
    connection = install.open_configuration(_local_uri(call), call.settings.directory.timeout)
    try:
        added = install.install_in_server(connection, dry_run=arguments.dry_run)
    finally:
        connection.unbind()
    verb = "would be added" if arguments.dry_run else "added"
    document = {"dry_run": arguments.dry_run, "schemas": _documents(added), "files": []}
    call.show(document, _lines(added, verb) or ["nothing is missing"])
    return ExitStatus.DONE


def _check(call: Call) -> int:
    with open_connection(call.settings.directory) as connection:
        lacking = server_facts.missing_schema(connection)
        if lacking is None:
            raise DirectoryRefused("does not show its schema to this account", where=connection.uri)
    call.show({"schemas": _documents(lacking)}, _lines(lacking, "missing") or ["nothing is missing"])
    return ExitStatus.FOUND if lacking else ExitStatus.DONE


def _local_uri(call: Call) -> str:
    if call.arguments.uri:
        return str(call.arguments.uri)
    local = [uri for uri in call.settings.directory.uris if uri.startswith("ldapi://")]
    return local[0] if local else "ldapi:///"


def _documents(found: Sequence[install.Missing]) -> list[dict[str, object]]:
    return [{"schema": item.schema.name, "names": list(item.names)} for item in found]


def _lines(found: Sequence[install.Missing], verb: str) -> list[str]:
    return [f"{item.schema.name}: {verb}: {', '.join(item.names)}" for item in found]
