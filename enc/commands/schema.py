"""`enc-admin schema`: the LDAP schemas that the toolkit ships, and their way into a server."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.directory import server_facts
from enc.directory.connection import open_connection
from enc.directory.schema import install
from enc.directory.schema.compare import Clash, Missing
from enc.directory.schema.definitions import RFC2307BIS, SCHEMAS
from enc.directory.schema.render import render
from enc.terms.counted import counted
from enc.terms.errors import Conflict, DirectoryRefused, ExitStatus, UsageError

_ENOUGH = 1000
"""Groups of the old kind that are counted; one is too many."""

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
    load.add_argument(
        "--auxiliary-groups",
        action="store_true",
        help="also change the server's posixGroup from RFC 2307 to RFC 2307bis, so that it combines with other classes",
    )
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
        document = {"dry_run": arguments.dry_run, "schemas": [], "clashes": [], "files": paths}
        call.show(document, [f"include {path}" for path in paths])
        call.say(f"include {RFC2307BIS.name}.schema instead of nis.schema, not in addition to it (docs/directory.md)")
        return ExitStatus.DONE
    connection = install.open_configuration(_local_uri(call), call.settings.directory.timeout)
    try:
        added = install.install_in_server(connection, dry_run=arguments.dry_run)
        changed = False
        if arguments.auxiliary_groups:
            _no_groups_of_the_old_kind(call)
            changed = install.let_groups_be_auxiliary(connection, dry_run=arguments.dry_run)
        clashing = () if changed else install.clashes_in_server(connection)
    finally:
        connection.unbind()
    verb = "would be added" if arguments.dry_run else "added"
    document = {
        "dry_run": arguments.dry_run,
        "schemas": _documents(added),
        "clashes": _clash_documents(clashing),
        "files": [],
    }
    said = [f"posixGroup: {'would be' if arguments.dry_run else 'is now'} AUXILIARY (RFC 2307bis)"] if changed else []
    call.show(document, [*_lines(added, verb), *said, *_clash_lines(clashing)] or ["nothing is missing"])
    return ExitStatus.DONE


def _no_groups_of_the_old_kind(call: Call) -> None:
    """Raise `Conflict` if entries stand on RFC 2307's posixGroup, as far as the reading account sees."""
    base = call.settings.directory.suffix
    with open_connection(call.settings.directory) as connection:
        count, more = server_facts.entries_given(connection, base, "(structuralObjectClass=posixGroup)", _ENOUGH)
    if count:
        some = counted(count, "entry is a group", "entries are groups")
        raise Conflict(
            f"{'at least ' if more else ''}{some} of RFC 2307 and nothing else, which could no longer be changed "
            "afterwards; first delete them and create them again as groupOfNames with posixGroup (docs/directory.md)",
            where=base,
        )


def _check(call: Call) -> int:
    with open_connection(call.settings.directory) as connection:
        lacking = server_facts.missing_schema(connection)
        if lacking is None:
            raise DirectoryRefused("does not show its schema to this account", where=connection.uri)
        clashing = server_facts.schema_clashes(connection) or ()
    document = {"schemas": _documents(lacking), "clashes": _clash_documents(clashing)}
    call.show(document, [*_lines(lacking, "missing"), *_clash_lines(clashing)] or ["nothing is missing"])
    return ExitStatus.FOUND if lacking or clashing else ExitStatus.DONE


def _local_uri(call: Call) -> str:
    if call.arguments.uri:
        return str(call.arguments.uri)
    local = [uri for uri in call.settings.directory.uris if uri.startswith("ldapi://")]
    return local[0] if local else "ldapi:///"


def _documents(found: Sequence[Missing]) -> list[dict[str, object]]:
    return [{"schema": item.schema.name, "names": list(item.names)} for item in found]


def _clash_documents(found: Sequence[Clash]) -> list[dict[str, object]]:
    return [
        {"schema": clash.schema.name, "name": clash.name, "found": clash.found, "needed": clash.needed}
        for clash in found
    ]


def _clash_lines(found: Sequence[Clash]) -> list[str]:
    return [
        f"{clash.schema.name}: the server's {clash.name} is {clash.found}, so no project can be one; "
        f"enc-admin schema install --auxiliary-groups makes it {clash.needed} (docs/directory.md)"
        for clash in found
    ]


def _lines(found: Sequence[Missing], verb: str) -> list[str]:
    return [f"{item.schema.name}: {verb}: {', '.join(item.names)}" for item in found]
