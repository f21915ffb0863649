"""`enc-admin instance`: create, look at, rebuild, move and delete instances, and finish what was interrupted."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from enc.authority.client import close_all, open_all
from enc.commands.call import Call, edit_options, full_option, json_option
from enc.commands.instance_upkeep import configure_upkeep
from enc.commands.wishes import desk_of, wish, wish_options
from enc.directory.ldap_store import LdapSource
from enc.instances import agent_profile, listing, states, user_data
from enc.instances.finishing import Unfinished
from enc.instances.journal import Journal, Operation
from enc.instances.lifecycle import Lifecycle, Outcome
from enc.instances.tickets import Ticket, ticket_of
from enc.instances.user_data import AgentProfile, UserData
from enc.programs import whole_file
from enc.programs.documents import moment
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
        words = "write it to this file (mode 0600) and not to stdout: it holds the token"
        parser.add_argument("--output", metavar="FILE", type=Path, help=words)

    creating = verb("create", "create an instance and print its user data", _create)
    words = "a certname, or a short name that instances.name completes; `web-#` takes the lowest free number"
    creating.add_argument("name", metavar="NAME", help=words)
    creating.add_argument("--project", metavar="PROJECT", required=True)
    creating.add_argument("--serial", metavar="ID", default="", help="the server's id in the cloud, if known")
    wish_options(creating)
    all_of_them = verb("list", "list instances and their state", _list)
    all_of_them.add_argument("--project", metavar="PROJECT", help="only instances of this project")
    all_of_them.add_argument("--state", choices=states.STATES, help="only instances in this state")
    words = "list instead the operations that were started and are not finished"
    all_of_them.add_argument("--unfinished", action="store_true", help=words)
    showing = verb("show", "show an instance", _show)
    again = verb("user-data", "print the user data of a waiting instance once more", _user_data)
    again.add_argument("--gzip", action="store_true", help="compressed, which cloud-init also accepts")
    rebuilding = verb("rebuild", "let an instance get a new certificate; the old one is revoked", _rebuild)
    moving = verb("move", "put an instance into another project or region (operators)", _move)
    moving.add_argument("--project", metavar="PROJECT", help="the project to move it to")
    moving.add_argument("--region", metavar="TEXT", help="the region to move it to")
    deleting = verb("delete", "delete an instance and everything known about it", _delete)
    for parser_ in (creating, again, rebuilding, moving):
        ticketed(parser_)
    for parser_ in (showing, again, rebuilding, moving, deleting):
        parser_.add_argument("certname", metavar="CERTNAME")
    resuming = verb("resume", "finish operations that were interrupted or could not reach an authority", _resume)
    resuming.add_argument("certname", metavar="CERTNAME", nargs="?", help="only this instance; default: all")
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
    before = _noted(journal)
    try:
        with desk_of(call) as desk:
            yield Lifecycle(desk, authorities, journal, call.say), journal
    except ToolkitError as error:
        if not isinstance(error, Unfinished) and _noted(journal) - before:
            error.add("; the operation is in the journal, and `enc-admin instance resume` finishes it")
        raise
    finally:
        close_all(authorities)


def _noted(journal: Journal) -> frozenset[str]:
    with suppress(ToolkitError):
        return frozenset(operation.id for operation in journal.read()[0])
    return frozenset()


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
            _write(call, content, ticket, "user data")
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
        raise UsageError(f"--output {str(output)!r} cannot be written; name a file in a directory you may write to")
    return _profile(call)


def _write(call: Call, content: bytes | str, ticket: Ticket, what: str) -> None:
    """Write what is to be printed to --output; `what` it is, in words."""
    output: Path = call.arguments.output
    try:
        whole_file.write(output, content, mode=0o600, survives=Strength.POWER_CUT)
    except NotWritten as error:
        again = f"the instance exists; enc-admin instance user-data {ticket.certname} prints its {what} again"
        raise ToolkitError(f"{error.message}; {again}", where=error.where) from error
    call.say(f"{output}: {what} of {ticket.certname}, readable by its owner only; the token is valid until it is used")


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
    held = _document(ticket)
    document |= {**held, "user_data": None}
    if told is None:
        call.say(f"{_SERVER} is not set, so this is the token and no user data (docs/user-data.md)")
        text = "\n".join(f"{name}: {value}" for name, value in held.items() if value is not None)
    else:
        text = user_data.render(told).removesuffix("\n")
        document |= {"user_data": f"{text}\n"}
    if call.arguments.output is not None:
        _write(call, call.shown(document, text), ticket, "token" if told is None else "user data")
    else:
        call.show(document, text)


def _result(call: Call, outcome: Outcome, profile: AgentProfile | None) -> int:
    """Print what an operation does or did: the change and what follows with a dry run, else the user data."""
    receipt, ticket = outcome.receipt, outcome.ticket
    document: dict[str, Any] = {
        "certname": outcome.certname,
        "dry_run": bool(receipt and receipt.dry_run),
        "change": receipt and receipt.document(),
        "follows": list(outcome.follows),
        **dict.fromkeys(("project", "region", "role", "token", "token_until", "user_data")),
    }
    lines: list[str] = []
    if receipt is not None and receipt.dry_run:
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
        "token_until": moment(ticket.until),
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
    call.show_rows({"instances": [row.document() for row in rows]}, head, cells, "no instances")
    return ExitStatus.DONE


def _show(call: Call) -> int:
    certname = Certname(call.arguments.certname)
    with LdapSource(call.settings) as source:
        document = listing.one(certname, source, call.settings, time.time()).document()
    call.show(document, [one_line(f"{key}: {_shown(value)}") for key, value in document.items() if value is not None])
    return ExitStatus.DONE


def _shown(value: object) -> str:
    parts = value.items() if isinstance(value, dict) else None
    return str(value) if parts is None else ", ".join(f"{key} {part}" for key, part in parts if part is not None)


def _unfinished(call: Call) -> int:
    found, problems = Journal(call.settings.instances.journal).read()
    rows = [(op.kind, op.certname, op.project, iso(op.begun), op.who, op.trouble or "interrupted") for op in found]
    documents: list[dict[str, Any]] = [
        {"id": op.id, "kind": op.kind, "certname": op.certname, "project": op.project, "begun": moment(op.begun)}
        | {"who": op.who, "why": op.why, "authorities": list(op.authorities), "trouble": op.trouble or None}
        for op in found
    ]
    head = ("WHAT", "CERTNAME", "PROJECT", "BEGUN", "BY", "TROUBLE")
    call.show_rows({"operations": documents, "problems": list(problems)}, head, rows, "no unfinished operations")
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
    lines = [f"{document['certname']}: {document['outcome']}" for document in documents]
    call.show_lines({"operations": documents, "problems": list(problems)}, lines, "nothing to resume")
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
        return document | {"good": False, "outcome": str(error)}
    waits = "; `enc-admin instance user-data` prints its user data" if outcome.ticket else ""
    return document | {"good": True, "outcome": f"{operation.kind} is finished{waits}"}
