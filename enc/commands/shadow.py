"""`enc-admin shadow`: compares the answers of another ENC with ours."""

from __future__ import annotations

import argparse
import os

from enc.commands.call import Call, json_option
from enc.directory.ldap_store import LdapSource
from enc.importing import shadow
from enc.service import export
from enc.service.survey import Snapshot
from enc.settings import Duration
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus, UsageError
from enc.terms.names import Certname

SUMMARY = "run another ENC for all nodes and show where its answers differ"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    words = "as in external_nodes: an absolute path and arguments, split on white space"
    parser.add_argument("--with", dest="other", metavar="'PROGRAM ARGUMENTS'", required=True, help=words)
    parser.add_argument("--node", dest="nodes", metavar="CERTNAME", action="append", default=[], help="only this node")
    words = "how many calls run at a time (default: the number of processors)"
    parser.add_argument("--jobs", metavar="N", type=int, default=os.cpu_count() or 1, help=words)
    words = "time limit of a call (default: %(default)s)"
    parser.add_argument("--timeout", metavar="DURATION", default="30s", help=words)
    words = "a variable that may differ (may be repeated); our own answer variable is always ignored"
    parser.add_argument("--ignore", metavar="VARIABLE", action="append", default=[], help=words)
    json_option(parser)


def run(call: Call) -> int:
    """Compare; 4 if there are differences."""
    chosen, settings = call.arguments, call.settings
    if chosen.jobs < 1:
        raise UsageError("--jobs must be at least 1")
    try:
        timeout = Duration.parse(chosen.timeout)
    except ValueError as error:
        raise UsageError(f"--timeout {chosen.timeout!r} is not {error}") from error
    command = shadow.command_of(chosen.other)
    with LdapSource(settings) as source:
        snapshot = Snapshot(source, settings)
    answers = export.answers(snapshot, settings, [Certname(name) for name in chosen.nodes])
    said = ((a.certname, shadow.ours(a.classification) if a.classification else _refused(a)) for a in answers)
    ignore = frozenset((*chosen.ignore, *([settings.answers.variable] if settings.answers.variable else [])))
    verdicts = list(
        shadow.compare(
            said,
            command,
            jobs=chosen.jobs,
            timeout=timeout,
            ignore=ignore,
            default_environment=settings.nodes.default_environment,
        )
    )
    different = [verdict for verdict in verdicts if verdict.differences]
    call.show(
        {
            "node_count": len(verdicts),
            "different": [{"certname": one.certname, "differences": list(one.differences)} for one in different],
        },
        (f"{verdict.certname}: {line}" for verdict in different for line in verdict.differences),
    )
    call.say(f"{counted(len(verdicts), 'node')} compared, {len(different)} different")
    return ExitStatus.FOUND if different else ExitStatus.DONE


def _refused(answer: export.Answer) -> shadow.Said:
    return shadow.refused(answer.trouble)
