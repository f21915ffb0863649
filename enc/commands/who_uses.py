"""`enc-admin who-uses`: which entries speak of a class, and which nodes get it."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option, table
from enc.directory.ldap_store import LdapSource
from enc.service import survey
from enc.terms.names import ClassName

SUMMARY = "show which entries assign a class and which nodes get it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("class_name", metavar="CLASS")
    json_option(parser)


def run(call: Call) -> int:
    """Print the entries and the nodes; nodes that cannot be classified are told on stderr."""
    name, settings = ClassName.from_directory(call.arguments.class_name), call.settings
    with LdapSource(settings) as source:
        snapshot = survey.Snapshot(source, settings)
    said = survey.uses(name, snapshot.everything(), settings)
    rows = survey.rows(snapshot, settings)
    nodes = [row for row in rows if row.classification is not None and name in row.classification.classes]
    document = {
        "class": name,
        "entries": [{"dn": use.dn, "says": use.says} for use in said],
        "nodes": [
            {
                "certname": row.certname,
                "project": row.project,
                "parameters": row.classification.classes[name] if row.classification else {},
            }
            for row in nodes
        ],
        "troubles": [{"certname": row.certname, "message": row.trouble} for row in rows if row.trouble],
    }
    lines = [f"{use.dn} {use.says} {name}" for use in said]
    if nodes:
        lines += table(
            ("CERTNAME", "PROJECT", "ENVIRONMENT"),
            [(r.certname, r.project or "-", r.classification.environment if r.classification else "-") for r in nodes],
        )
    call.show(document, lines)
    if not (nodes or call.json):
        call.say("no nodes")
    for row in rows:
        if row.trouble:
            call.say(f"{row.certname} cannot be classified: {row.trouble}")
    return 0
