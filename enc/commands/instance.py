"""`enc-admin instance`: create, look at, rebuild, move and delete instances, and finish what was interrupted."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enc.authority.client import close_all, open_all
from enc.commands.call import Call, edit_options, full_option, json_option, table
from enc.commands.instance_upkeep import configure_upkeep
from enc.commands.wishes import desk_of, wish, wish_options
from enc.directory.ldap_store import LdapSource
from enc.instances import agent_profile, listing, states, user_data
from enc.instances.journal import Journal, Operation
from enc.instances.lifecycle import Lifecycle, Outcome
from enc.instances.tickets import Ticket, ticket_of
from enc.instances.user_data import AgentProfile, UserData
from enc.programs import whole_file
from enc.programs.times import iso
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import ConfigurationError, ExitStatus, ToolkitError, UsageError, one_line
from enc.terms.names import Certname, Label, ProjectName

SUMMARY = "create, list, rebuild, move and delete instances"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `instance`."""
    below = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, summary: str, do: Callable[[Call], int]) -> argparse.ArgumentParser:
        added = below.add_parser(name, help=summary, description=summary)
        added.set_defaults(do=do)
        json_option(added)
        return added

    def ticketed(parser: argparse.ArgumentParser) -> None:
        words = "write it there, for the owner only (0600), and not to stdout: it holds the token"
        parser.add_argument("--output", metavar="FILE", type=Path, help=words)

    creating = verb("create", "make an instance, and print its user data", _create)
    words = "a short name, completed by instances.name; or a certname; `web-#` takes the lowest free number"
    creating.add_argument("name", metavar="NAME", help=words)
    creating.add_argument("--project", metavar="PROJECT", required=True)
    creating.add_argument("--serial", metavar="ID", default="", help="the cloud's id of the server, if it is known")
    wish_options(creating)
    all_of_them = verb("list", "list instances and how they are", _list)
    all_of_them.add_argument("--project", metavar="PROJECT", help="only instances of this project")
    all_of_them.add_argument("--state", choices=states.STATES, help="only instances in this state")
    words = "instead: operations that were begun and are not finished"
    all_of_them.add_argument("--unfinished", action="store_true", help=words)
    showing = verb("show", "show an instance", _show)
    again = verb("user-data", "print the user data of a waiting instance once more", _user_data)
    again.add_argument("--gzip", action="store_true", help="compressed, as cloud-init takes it, too")
    rebuilding = verb("rebuild", "let an instance come to a new certificate; the old one ends", _rebuild)
    moving = verb("move", "put an instance into another project or region (operators)", _move)
    moving.add_argument("--project", metavar="PROJECT", help="where it goes")
    moving.add_argument("--region", metavar="TEXT", help="where it goes")
    deleting = verb("delete", "remove an instance and everything that is known of it", _delete)
    for parser_ in (creating, again, rebuilding, moving):
        ticketed(parser_)
    for parser_ in (showing, again, rebuilding, moving, deleting):
        parser_.add_argument("certname", metavar="CERTNAME")
    resuming = verb("resume", "finish what was interrupted, or could not reach an authority", _resume)
    resuming.add_argument("certname", metavar="CERTNAME", nargs="?", help="only this one; default: everything")
    configure_upkeep(verb)
    for editing in (creating, rebuilding, moving, deleting):
        edit_options(editing)
        full_option(editing)


def run(call: Call) -> int:
    """Do what the second word says."""
    do: Callable[[Call], int] = call.arguments.do
    return do(call)


@contextmanager
def _work(call: Call) -> Iterator[tuple[Lifecycle, Journal]]:
    authorities = open_all(call.settings.authorities)
    journal = Journal(call.settings.instances.journal)
    try:
        with desk_of(call) as desk:
            yield Lifecycle(desk, authorities, journal, call.say), journal
    finally:
        close_all(authorities)


def _create(call: Call) -> int:
    arguments, project, wanted = call.arguments, ProjectName(call.arguments.project), wish(call.arguments)
    if not (arguments.serial.isprintable() and len(arguments.serial) <= 64):
        raise UsageError("--serial takes up to 64 printable characters")
    profile = _prepared(call)
    with _work(call) as (work, _):
        outcome = work.create(
            arguments.name,
            project,
            wanted,
            serial=arguments.serial,
            reason=arguments.reason,
            dry_run=arguments.dry_run,
        )
    return _result(call, outcome, profile)


def _rebuild(call: Call) -> int:
    arguments = call.arguments
    profile = _prepared(call)
    with _work(call) as (work, _):
        outcome = work.rebuild(Certname(arguments.certname), reason=arguments.reason, dry_run=arguments.dry_run)
    return _result(call, outcome, profile)


def _move(call: Call) -> int:
    arguments = call.arguments
    project = None if arguments.project is None else ProjectName(arguments.project)
    region = None if arguments.region is None else Label(arguments.region)
    profile = _prepared(call)
    with _work(call) as (work, _):
        outcome = work.move(
            Certname(arguments.certname), project, region, reason=arguments.reason, dry_run=arguments.dry_run
        )
    return _result(call, outcome, profile)


def _delete(call: Call) -> int:
    arguments = call.arguments
    with _work(call) as (work, _):
        outcome = work.delete(Certname(arguments.certname), reason=arguments.reason, dry_run=arguments.dry_run)
    return _result(call, outcome, None)


def _user_data(call: Call) -> int:
    certname = Certname(call.arguments.certname)
    with LdapSource(call.settings) as source:
        row = listing.one(certname, source, call.settings, time.time())
    ticket = ticket_of(row.instance, call.settings)
    if row.told.state != "waiting":
        raise ToolkitError(f"{certname}: {row.told.remark}")
    told = _told(call, ticket, _profile(call))
    if call.arguments.gzip:
        if told is None:
            raise ConfigurationError("is not set, so a new instance would not know its master", where=_SERVER)
        content = user_data.render_compressed(told)
        if call.arguments.output is not None:
            _write(call, content, ticket)
        else:
            sys.stdout.buffer.write(content)
        return ExitStatus.DONE
    _show_ticket(call, {}, ticket, told)
    return ExitStatus.DONE


_SERVER = "instances.agent.server"


def _prepared(call: Call) -> AgentProfile | None:
    """Return the profile; what is wrong with it, and with --output, is told before anything is made."""
    output: Path | None = call.arguments.output
    if output is not None and (output.is_dir() or not os.access(output.parent, os.W_OK | os.X_OK)):
        raise UsageError(f"--output {str(output)!r} cannot be written; name a file in a directory that you may write")
    return _profile(call)


def _write(call: Call, content: bytes | str, ticket: Ticket) -> None:
    """Write what is to be printed to --output."""
    output: Path = call.arguments.output
    try:
        whole_file.write(output, content, mode=0o600, survives=Strength.POWER_CUT)
    except NotWritten as error:
        again = f"the instance is there; enc-admin instance user-data {ticket.certname} gives its user data once more"
        raise ToolkitError(f"{error.message}; {again}", where=error.where) from error
    call.say(f"{output}: user data of {ticket.certname}, for its owner only; its token is good until it is used")


def _profile(call: Call) -> AgentProfile | None:
    """Return what all instances are told, None where the configuration does not say it; raise `ConfigurationError`."""
    agent = call.settings.instances.agent
    return agent_profile.load(agent) if agent.server is not None else None


def _told(call: Call, ticket: Ticket, profile: AgentProfile | None) -> UserData | None:
    if profile is None:
        return None
    profile = agent_profile.for_project(profile, ticket.project, call.settings)
    return UserData(profile, ticket.certname, ticket.project, ticket.token, ticket.region, ticket.serial, ticket.role)


def _show_ticket(call: Call, document: dict[str, Any], ticket: Ticket, told: UserData | None) -> None:
    """Print the user data; where there is no profile, what somebody needs to write one."""
    document |= _document(ticket)
    if told is None:
        call.say(f"{_SERVER} is not set, so this is the token and no user data (docs/user-data.md)")
        shown = {**_document(ticket), "token_until": iso(ticket.until)}
        text = "\n".join(f"{name}: {value}" for name, value in shown.items() if value is not None)
    else:
        text = user_data.render(told).removesuffix("\n")
        document |= {"user_data": f"{text}\n"}
    if call.arguments.output is not None:
        _write(call, call.shown(document, text), ticket)
    else:
        call.show(document, text)


def _result(call: Call, outcome: Outcome, profile: AgentProfile | None) -> int:
    """Print what an operation does or did: the change and what follows with a dry run, else the user data."""
    receipt, ticket = outcome.receipt, outcome.ticket
    document: dict[str, Any] = {"certname": outcome.certname, "dry_run": bool(receipt and receipt.dry_run)}
    lines: list[str] = []
    if receipt is not None and receipt.dry_run:
        document |= {"change": receipt.document(), "follows": list(outcome.follows)}
        lines = [*receipt.lines(call.bounds), *map(one_line, outcome.follows)]
        call.say(f"{outcome.certname}: dry run, nothing was done")
    if receipt is not None:
        for remark in receipt.plan.remarks:
            call.say(remark)
    if ticket is not None:
        _show_ticket(call, document, ticket, _told(call, ticket, profile))
    else:
        call.show(document, lines)
    return ExitStatus.DONE


def _document(ticket: Ticket) -> dict[str, Any]:
    return {
        "certname": ticket.certname,
        "project": ticket.project,
        "region": ticket.region or None,
        "role": ticket.role or None,
        "token": ticket.token,
        "token_until": ticket.until,
    }


def _list(call: Call) -> int:
    if call.arguments.unfinished:
        return _unfinished(call)
    arguments = call.arguments
    project = None if arguments.project is None else ProjectName(arguments.project)
    with LdapSource(call.settings) as source:
        rows = listing.rows(source, call.settings, time.time(), project)
    rows = [row for row in rows if arguments.state in (None, row.told.state)]
    cells = [
        (
            row.instance.certname,
            row.instance.project or "-",
            row.instance.region or "-",
            row.told.state,
            iso(row.told.since),
            iso(row.run.at) if row.run else "-",
            row.told.remark,
        )
        for row in rows
    ]
    head = ("CERTNAME", "PROJECT", "REGION", "STATE", "SINCE", "LAST RUN", "")
    call.show([row.document() for row in rows], table(head, cells))
    return ExitStatus.DONE


def _show(call: Call) -> int:
    certname = Certname(call.arguments.certname)
    with LdapSource(call.settings) as source:
        document = listing.one(certname, source, call.settings, time.time()).document()
    times = ("since", "token_until")
    shown = {key: iso(value) if key in times and value else value for key, value in document.items()}
    call.show(document, [one_line(f"{key}: {value}") for key, value in shown.items() if value is not None])
    return ExitStatus.DONE


def _unfinished(call: Call) -> int:
    found, problems = Journal(call.settings.instances.journal).read()
    rows = [(op.kind, op.certname, op.project, iso(op.begun), op.who, op.trouble or "interrupted") for op in found]
    documents = [
        {"id": op.id, "kind": op.kind, "certname": op.certname, "project": op.project, "begun": op.begun}
        | {"who": op.who, "why": op.why, "authorities": list(op.authorities), "trouble": op.trouble or None}
        for op in found
    ]
    call.show(documents, table(("WHAT", "CERTNAME", "PROJECT", "BEGUN", "BY", "TROUBLE"), rows))
    for problem in problems:
        call.say(problem)
    return ExitStatus.DONE


def _resume(call: Call) -> int:
    wanted = None if call.arguments.certname is None else Certname(call.arguments.certname)
    failed: list[str] = []
    documents = []
    with _work(call) as (work, journal):
        found, problems = journal.read()
        chosen = [operation for operation in found if wanted in (None, operation.certname)]
        for operation in chosen:
            documents.append(_resumed(operation, work, failed))
    call.show(documents, [f"{document['certname']}: {document['outcome']}" for document in documents])
    for text in (*problems, *failed):
        call.say(text)
    return ExitStatus.FAILED if problems or failed else ExitStatus.DONE


def _resumed(operation: Operation, work: Lifecycle, failed: list[str]) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": operation.kind, "certname": operation.certname}
    try:
        outcome = work.resume(operation)
    except ToolkitError as error:
        # The others may be at another authority, which answers.
        failed.append(str(error))
        return document | {"outcome": str(error)}
    waits = "; `enc-admin instance user-data` prints its user data" if outcome.ticket else ""
    return document | {"outcome": f"{operation.kind} is finished{waits}"}
