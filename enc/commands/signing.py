"""`enc-admin signing`: why certificate requests were signed or not, and what `enc-autosign` calls."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from enc.commands.call import Call, json_option, verbs
from enc.programs import documents
from enc.programs.documents import Document
from enc.programs.times import iso
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus, NotAllowed, UsageError, one_line

if TYPE_CHECKING:
    from enc.rights.roles import Person
    from enc.signing.refusals import Line

# What only one verb needs is imported there: puppetserver's agents wait for `judge`.

SUMMARY = "show why certificate requests were signed or refused"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `signing`."""
    verb = verbs(parser)
    log = verb("log", "show the journal of signing: every request with its verdict", _log)
    log.add_argument("certname", metavar="CERTNAME", nargs="?", help="only requests for this name")
    log.add_argument("--project", metavar="PROJECT", help="only requests for this project's instances")
    log.add_argument("--since", metavar="TIME", help="only the last 30m, 2h, 7d")
    log.add_argument("--refused", action="store_true", help="only refusals")
    log.add_argument("--follow", action="store_true", help="keep showing new requests until interrupted")
    log.add_argument(
        "--as", dest="person", metavar="UID", help="only what this person may read (asks for the password)"
    )
    json_option(log)
    explaining = verb("explain", "show how the request on stdin would be answered, and why; uses up no token", _explain)
    explaining.add_argument("certname", metavar="CERTNAME")
    json_option(explaining)
    judging = verb("judge", "run by enc-autosign: judge the request on stdin; exit status 0 means sign", _judge)
    judging.add_argument("certname", metavar="CERTNAME")


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _judge(call: Call) -> int:
    from enc.signing import autosign

    return autosign.main(call.arguments.certname, call.config_path, sys.stdin.buffer)


def _explain(call: Call) -> int:
    """Exit status 0 if it would be signed, else 4."""
    from enc.signing import autosign
    from enc.signing.policy import CODES

    octets = autosign.read_all(sys.stdin.buffer)
    outcome = autosign.explain(call.arguments.certname, octets, call.settings)
    verdict, request, instance = outcome
    code = CODES[verdict.code]
    document: dict[str, Any] = {
        "certname": call.arguments.certname,
        "would_sign": verdict.signs,
        "code": verdict.code,
        "reason": verdict.reason,
        "meaning": code.meaning,
        "cure": None if verdict.signs else code.do,
        "request": request and {"certname": request.name, "key": request.key, "extensions": dict(request.extensions)},
        "instance": instance
        and {
            "dn": instance.dn,
            "project": instance.project,
            "region": instance.region or None,
            "state": instance.enrolment.state if instance.enrolment else None,
        },
    }
    rows = [
        ("answer", "would be signed" if verdict.signs else "would be refused"),
        ("code", f"{verdict.code}: {code.meaning}"),
        ("reason", verdict.reason),
        *([] if verdict.signs else [("do", code.do)]),
        *([("key", request.key)] if request else []),
        *([("entry", f"{instance.dn} (project {instance.project})")] if instance else []),
    ]
    call.show(document, [f"{name:<8} {one_line(text)}" for name, text in rows])
    return ExitStatus.DONE if verdict.signs else ExitStatus.FOUND


def _log(call: Call) -> int:
    from enc.signing.refusals import SigningJournal

    wanted = _wanted(call)
    journal = SigningJournal(call.settings.signing.journal)
    if call.arguments.follow:
        for new in journal.follow():
            _print(call, [line for line in new if wanted(line)])
    found = [line for line in journal.read() if wanted(line)]
    untold = journal.untold() if call.arguments.person is None else 0
    document = {"requests": [_document(line) for line in found], "untold": untold}
    call.show_rows(document, ("TIME", "CODE", "CERTNAME", "PROJECT", "REASON"), [*map(_row, found)], "no requests")
    if untold and not call.json:
        turned = counted(untold, "more request was", "more requests were")
        print(f"{turned} refused at the door since its previous line")
    return ExitStatus.DONE


def _document(line: Line) -> Document:
    return {
        "time": line.time,
        "certname": line.certname,
        "code": line.code,
        "signed": line.signed,
        "reason": line.reason,
        "key": line.key or None,
        "project": line.project,
    }


def _wanted(call: Call) -> Callable[[Line], bool]:
    """Return which lines are asked for, and may be read by whoever asks."""
    from enc.settings import Duration
    from enc.signing.refusals import readable_by
    from enc.terms.names import ProjectName

    arguments = call.arguments
    project = ProjectName(arguments.project) if arguments.project is not None else None
    person = _person(call)
    since = ""
    if arguments.since is not None:
        try:
            since = iso(time.time() - Duration.parse(arguments.since))
        except ValueError as error:
            raise UsageError(f"--since {arguments.since!r}: write {error}") from error
    if project is not None:
        from enc.rights.roles import Action, allowed

        may = allowed(person, Action.SIGNING_READ, project)
        if not may.allowed:
            raise NotAllowed(may.reason)
    return lambda line: (
        readable_by(person, line)
        and project in (None, line.project)
        and arguments.certname in (None, line.certname)
        and not (arguments.refused and line.signed)
        and line.time >= since
    )


def _person(call: Call) -> Person:
    from enc.commands.wishes import desk_of
    from enc.service import people

    if call.arguments.person is None:
        return people.local(call.settings)
    with desk_of(call) as desk:
        return desk.person


def _print(call: Call, found: list[Line]) -> None:
    for line in found:
        sys.stdout.write(documents.line(_document(line)) if call.json else "  ".join(_row(line)) + "\n")
    sys.stdout.flush()


def _row(line: Line) -> tuple[str, ...]:
    return (line.time, one_line(line.code), one_line(line.certname), line.project or "-", one_line(line.reason))
