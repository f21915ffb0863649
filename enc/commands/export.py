"""`enc-admin export`: answers or entries, to stdout or into a directory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from enc.commands.call import Call
from enc.directory.ldap_store import LdapSource
from enc.programs import documents
from enc.service import export
from enc.service.survey import Snapshot
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus, UsageError
from enc.terms.names import Certname

SUMMARY = "print the nodes' classification (YAML, JSON), or the entries it comes from (LDIF)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    words = (
        "yaml, json: the finished answers; ldif: the entries; groups: projects as groups of machines, LDIF in the "
        "layout of 2012 (default: yaml)"
    )
    parser.add_argument("--format", choices=("yaml", "json", "ldif", "groups"), help=words)
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument("--nodes", metavar="CERTNAME", nargs="+", default=[], help="only these (default: all)")
    words = "write a file for each node into this directory (ldif, groups: one file) and nothing to stdout"
    parser.add_argument("--to", metavar="DIRECTORY", type=Path, help=words)


def run(call: Call) -> int:
    """Export; 1 if a node has no answer."""
    chosen = call.arguments
    form = "json" if chosen.json else chosen.format or "yaml"
    if chosen.format not in (None, form):
        raise UsageError(f"--json and --format {chosen.format} exclude each other")
    nodes = [Certname(name) for name in chosen.nodes]
    with LdapSource(call.settings) as source:
        if form == "ldif":
            return _entries(call, source, nodes)
        if form == "groups":
            return _groups(call, source)
        snapshot = Snapshot(source, call.settings)
    failed = 0
    good: list[export.Answer] = []
    troubles = []
    for answer in export.answers(snapshot, call.settings, nodes):
        if answer.classification is None:
            failed += 1
            troubles.append({"certname": answer.certname, "message": answer.trouble})
            call.say(f"{answer.certname}: {answer.trouble}")
        else:
            good.append(answer)
    if chosen.to is not None:
        count = export.write(chosen.to, _files(good, form))
        call.say(f"{counted(count, 'answer')} written to {chosen.to}")
    elif form == "json":
        print(documents.text({"answers": [answer.document() for answer in good], "troubles": troubles}), end="")
    else:
        for answer in good:
            sys.stdout.write(f"# {answer.certname}\n{answer.text()}")
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def _files(answers: list[export.Answer], form: str) -> Iterator[tuple[str, str]]:
    for answer in answers:
        text = answer.text() if form == "yaml" else documents.text(answer.document())
        yield f"{answer.certname}.{form}", text


def _groups(call: Call, source: LdapSource) -> int:
    if call.arguments.nodes:
        raise UsageError("--nodes has no meaning with --format groups: it is about projects")
    lines, left_out = export.groups(source, call.settings)
    for line in left_out:
        call.say(line)
    if call.arguments.to is not None:
        export.write(call.arguments.to, [("groups.ldif", "".join(lines))])
    else:
        sys.stdout.writelines(lines)
    return ExitStatus.FAILED if left_out else ExitStatus.DONE


def _entries(call: Call, source: LdapSource, nodes: list[Certname]) -> int:
    missing = [name for name in nodes if not source.nodes_named(name)]
    for name in missing:
        call.say(f"{name}: no such node")
    lines = export.entries(source, call.settings, nodes)
    if call.arguments.to is not None:
        export.write(call.arguments.to, [("entries.ldif", "".join(lines))])
    else:
        sys.stdout.writelines(lines)
    return ExitStatus.FAILED if missing else ExitStatus.DONE
