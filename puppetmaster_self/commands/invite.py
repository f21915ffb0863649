"""`puppetmaster-self invite`: how another instance of the project becomes a client of this master."""

from __future__ import annotations

import argparse
import shlex

from enc.commands.call import Call, json_option
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable, ExitStatus, ToolkitError
from enc.terms.names import Certname
from puppetmaster_self.commands.session import places, read_journal
from puppetmaster_self.standing.classified import classification
from puppetmaster_self.standing.clients import joining, leaving

SUMMARY = "print the command that makes another instance of the project a client of this master"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("node", metavar="NODE", help="the other instance's certname")
    json_option(parser)


def run(call: Call) -> int:
    """Print it for a shell; nothing is changed. Whoever runs it needs the right to edit the node."""
    journal, where = read_journal(call), places(call)
    opened = journal.opened
    if journal.state != "serving" or not opened.get("for_project"):
        raise ToolkitError("this instance serves no others; run puppetmaster-self enable --for-project")
    node, server = Certname(call.arguments.node), Certname(opened["certname"])
    if node == server:
        raise ToolkitError(f"{server} is this master itself")
    _check(call, node, opened["project"])
    authority = (where.ssl / "certs/ca.pem").read_text(encoding="ascii")
    join, leave = joining(node, server, call.settings.self_master.port, authority), leaving(node)
    call.show({"certname": node, "join": join, "leave": leave}, shlex.join(join))
    if not call.arguments.json:
        call.say(f"to go back: {shlex.join(leave)}")
    return ExitStatus.DONE


def _check(call: Call, node: Certname, project: str) -> None:
    """Raise `ToolkitError` for a node that could not become a client."""
    try:
        said = classification(call.settings, node)
    except (DirectoryUnreachable, DirectoryRefused) as error:
        call.say(f"LDAP cannot be queried about {node}: {error}")
        return
    if said.project != project:
        raise ToolkitError(f"{node} is in project {said.project or '(none)'}, and this master signs only for {project}")
    if said.environment is None or not (places(call).environments / said.environment).exists():
        raise ToolkitError(f"{node} has the environment {said.environment}, which this master does not have")
