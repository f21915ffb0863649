"""An edit of many nodes in one: which they are, and asking how many are meant.

Whoever edits more than one node, or chooses nodes by what they have in common,
must say how many it will be: at the terminal the number is asked for after the
edit is shown, a script gives `--nodes N`. That is cumin's way: a "yes" is
typed without reading, a number is not. Nodes that are so already count, so the
same command can be given twice. The plan that was shown is the one that is
carried out; what others change meanwhile is a conflict, as in any edit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from enc.commands.call import Call, whole_number
from enc.commands.wishes import desk_of, edit_result
from enc.directory.ldap_store import LdapSource
from enc.edits.wish import Wanted
from enc.programs.telling import tell
from enc.service import nodes, selection
from enc.service.desk import Desk, PlannedEdit
from enc.service.selection import Conditions
from enc.terms.counted import counted
from enc.terms.errors import ConfigurationError, ToolkitError, UsageError
from enc.terms.filters import parse
from enc.terms.names import Certname, ClassName, EnvironmentName, ProjectName


def condition_options(parser: argparse.ArgumentParser, *class_option: str) -> None:
    """Offer what nodes can have in common."""
    environment = ("--in-environment",) if class_option == ("--with-class",) else ("--environment", "--in-environment")
    parser.add_argument("--project", metavar="PROJECT", help="only nodes of this project")
    parser.add_argument(*class_option, dest="with_class", metavar="CLASS", help="only nodes that get this class now")
    words = "only nodes in this environment now"
    parser.add_argument(*environment, dest="in_environment", metavar="ENVIRONMENT", help=words)
    parser.add_argument("--named", metavar="PATTERN", help="only nodes whose name matches this shell pattern: 'web-*'")
    words = "only nodes whose own entry matches this LDAP filter: '(puppetClass=apache)'"
    parser.add_argument("--filter", metavar="FILTER", help=words)


def many_options(parser: argparse.ArgumentParser) -> None:
    """Offer to name nodes, or to choose them."""
    parser.add_argument("certnames", metavar="CERTNAME", nargs="*", help="instead of choosing them by an option")
    choice_options(parser)


def choice_options(parser: argparse.ArgumentParser) -> None:
    """Offer to choose nodes, and to say how many that will be."""
    condition_options(parser, "--with-class")
    words = "the number of nodes you expect to be selected; needed without a terminal, unless one node is named"
    parser.add_argument("--nodes", metavar="N", dest="expected", help=words)


def conditions(arguments: argparse.Namespace) -> Conditions:
    """Return the conditions that were given; raise `InvalidName` or `UsageError`."""
    try:
        by_entry = None if arguments.filter is None else parse(arguments.filter, where="--filter")
    except ConfigurationError as error:
        raise UsageError(error.message, where=error.where) from error
    environment = arguments.in_environment
    return Conditions(
        None if arguments.project is None else ProjectName(arguments.project),
        None if arguments.with_class is None else ClassName.from_directory(arguments.with_class),
        None if environment is None else EnvironmentName(environment),
        arguments.named,
        by_entry,
    )


def change(call: Call, certnames: Sequence[str], wanted: Wanted, *, action: str = "") -> int:
    """Let what is wanted hold for the nodes that are named or chosen; print what comes of it, return the exit status.

    `action`: what the trail calls it, if it has a name of its own.
    """
    arguments, common = call.arguments, conditions(call.arguments)
    named = list(dict.fromkeys(map(Certname, certnames)))
    expected = None if arguments.expected is None else whole_number("--nodes", arguments.expected)
    if bool(named) == bool(common):
        raise UsageError("name nodes, or choose them (--project, --with-class, --in-environment, --named, --filter)")
    if common:
        with LdapSource(call.settings) as source:
            found = selection.chosen(common, source, call.settings, time.time())
        named = [row.certname for row in found]
    if expected is not None and expected != len(named):
        selected = counted(len(named), "node is", "nodes are")
        raise ToolkitError(f"{selected} selected, not {expected}; nothing was written")
    if not named:
        raise ToolkitError("no node is selected; nothing was written")
    with desk_of(call) as desk:
        if not common and len(named) == 1:
            receipt = nodes.change(
                desk, named[0], wanted, reason=arguments.reason, dry_run=arguments.dry_run, action=action
            )
            return edit_result(call, receipt)
        plan = nodes.change_all(desk, named, wanted, action=action)
        return _change_all(call, desk, plan, len(named), asked=expected is None)


def _change_all(call: Call, desk: Desk, plan: PlannedEdit, number: int, *, asked: bool) -> int:
    reason = call.arguments.reason
    if call.arguments.dry_run or not plan.steps:
        status = edit_result(call, desk.submit(plan, reason=reason, dry_run=call.arguments.dry_run))
        call.say(f"{counted(number, 'node is', 'nodes are')} selected; in a script, add --nodes {number}")
        return status
    if asked:
        shown = desk.submit(plan, reason=reason, dry_run=True)
        _ask(call, shown.lines(call.bounds), number, len(plan.steps))
    return edit_result(call, desk.submit(plan, reason=reason))


def _ask(call: Call, lines: list[str], number: int, changed: int) -> None:
    """Show what would be done and ask for the number of nodes; raise if it is not given."""
    selected = f"{counted(number, 'node is', 'nodes are')} selected"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{selected}; add --nodes {number} to write, or --dry-run to look")
    for line in lines:
        tell(line)
    of_these = counted(changed, "changes", "change")
    call.say(f"{selected}, of which {of_these}. To write, type the number of selected nodes:")
    if sys.stdin.readline().strip() != str(number):
        raise ToolkitError("that is not the number; nothing was written")
