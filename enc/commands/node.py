"""`enc-admin node`: shows single nodes and edits them."""

from __future__ import annotations

import argparse
import time
from typing import Any

from enc.classify.classify import Classifier
from enc.commands.call import Call, edit_options, full_option, json_option, past_options, verbs, whole_number
from enc.commands.many import change, choice_options, condition_options, conditions, many_options
from enc.commands.wishes import (
    amendment_options,
    desk_of,
    edit_result,
    wanted,
    wish,
    wish_options,
    withdrawal,
    withdrawal_options,
)
from enc.directory.ldap_store import LdapSource
from enc.edits import differences
from enc.edits.audit import Edit, Trail
from enc.edits.change import legible
from enc.edits.differences import Bounds
from enc.edits.wish import Withdrawal
from enc.service import effect, explain, history, nodes, selection, strangers, survey, trials
from enc.settings import Duration
from enc.terms.errors import UsageError, one_line
from enc.terms.names import BranchName, Certname, ProjectName

SUMMARY = "show, explain and edit nodes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `node`."""
    verb = verbs(parser)
    listing = verb("list", "list nodes", _list)
    condition_options(listing, "--class", "--with-class")
    json_option(listing)
    for name, summary, do in (
        ("show", "show a node's entry and its classification", _show),
        ("explain", "show where each part of a node's classification comes from", _explain),
    ):
        showing = verb(name, summary, do)
        showing.add_argument("certname", metavar="CERTNAME")
        json_option(showing)
    adding = verb("add", "create a node", _add)
    adding.add_argument("certname", metavar="CERTNAME")
    adding.add_argument("--project", metavar="PROJECT", required=True, help="the project that it belongs to")
    wish_options(adding)
    setting = verb("set", "set classes, variables and so on of a node, or of many; the rest stays", _set)
    many_options(setting)
    wish_options(setting)
    amendment_options(setting)
    unsetting = verb("unset", "remove what the own entry of a node, or of many, says", _unset)
    many_options(unsetting)
    withdrawal_options(unsetting)
    removing = verb("remove", "delete a node", _remove)
    removing.add_argument("certname", metavar="CERTNAME")
    trying = verb("try", "give a node, or many, a branch's environment for a while, then the former one", _try)
    words = "the nodes, unless options choose them, and last the branch, such as project/NAME/TOPIC (not with --end)"
    trying.add_argument("words", metavar="CERTNAME|BRANCH", nargs="*", help=words)
    choice_options(trying)
    trying.add_argument("--for", dest="length", metavar="TIME", default="2h", help="how long: 30m, 2h, 3d (default 2h)")
    trying.add_argument("--end", action="store_true", help="end it now")
    past = verb("history", "show who changed what, when and why", _history)
    past.add_argument("certname", metavar="CERTNAME", nargs="?")
    past.add_argument("--project", metavar="PROJECT", help="all edits in this project")
    past.add_argument("--all", action="store_true", help="all edits; the default if only --since or --last is given")
    past_options(past)
    full_option(past)
    json_option(past)
    undoing = verb("undo", "undo an edit (of a node, a project or anything else)", _undo)
    undoing.add_argument("id", metavar="ID", help="the edit's id, as `history` shows it")
    for editing in (adding, setting, unsetting, removing, trying, undoing):
        edit_options(editing)
        full_option(editing)
        json_option(editing)


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _list(call: Call) -> int:
    settings = call.settings
    with LdapSource(settings) as source:
        rows = selection.chosen(conditions(call.arguments), source, settings, time.time())
    documents = [
        {
            "certname": row.certname,
            "project": row.project,
            "environment": row.classification and row.classification.environment,
            "trial": row.classification and effect.trial_document(row.classification),
            "classes": row.classification and row.classification.classes,
            "trouble": row.trouble or None,
        }
        for row in rows
    ]
    cells = [
        (
            row.certname,
            row.project or "-",
            _environment(row),
            " ".join(row.classification.classes) if row.classification else f"cannot be classified: {row.trouble}",
        )
        for row in rows
    ]
    call.show_rows({"nodes": documents}, ("CERTNAME", "PROJECT", "ENVIRONMENT", "CLASSES"), cells, "no nodes")
    return 0


def _environment(row: survey.Row) -> str:
    if row.classification is None:
        return "-"
    trial = row.classification.trial
    return str(row.classification.environment) if trial is None else f"on trial: {effect.told(trial)}"


def _show(call: Call) -> int:
    certname = Certname(call.arguments.certname)
    with LdapSource(call.settings) as source:
        classification = Classifier(call.settings).classify(certname, source).at(time.time())
        own = source.nodes_named(certname)
    document: dict[str, Any] = effect.document(classification) or {}
    document["entries"] = [{"dn": record.dn, "attributes": record.attributes} for record in own]
    lines = [f"{part}{value}" for part, value in effect.flat(classification).items()]
    lines += [f"note: {note}" for note in classification.notes]
    for record in own:
        lines.append(f"entry {record.dn}")
        lines += [f"  {name}: {value}" for name, held in record.attributes.items() for value in legible(name, held)]
    call.show(document, map(one_line, lines))
    return 0


def _explain(call: Call) -> int:
    certname = Certname(call.arguments.certname)
    with LdapSource(call.settings) as source:
        told = explain.explain(certname, source, call.settings)
    call.show(told.document(), told.lines())
    return 0


def _add(call: Call) -> int:
    certname, project = Certname(call.arguments.certname), ProjectName(call.arguments.project)
    wanted = wish(call.arguments)
    with desk_of(call) as desk:
        receipt = nodes.add(
            desk, certname, project, wanted, reason=call.arguments.reason, dry_run=call.arguments.dry_run
        )
    return edit_result(call, receipt)


def _set(call: Call) -> int:
    return change(call, call.arguments.certnames, wanted(call.arguments))


def _unset(call: Call) -> int:
    return change(call, call.arguments.certnames, withdrawal(call.arguments))


def _remove(call: Call) -> int:
    certname = Certname(call.arguments.certname)
    with desk_of(call) as desk:
        receipt = nodes.remove(desk, certname, reason=call.arguments.reason, dry_run=call.arguments.dry_run)
    return edit_result(call, receipt)


def _try(call: Call) -> int:
    arguments = call.arguments
    certnames, last = (arguments.words, []) if arguments.end else (arguments.words[:-1], arguments.words[-1:])
    if not last and not arguments.end:
        raise UsageError("name the BRANCH to try, or say --end")
    if arguments.end and (wrong := [word for word in certnames if not Certname.accepts(word)]):
        raise UsageError(f"--end takes nodes and no BRANCH; {wrong[0]} is not a node's name")
    try:
        length = Duration.parse(arguments.length)
    except ValueError as error:
        raise UsageError(f"--for {arguments.length!r}: write {error}") from error
    if arguments.end:
        return change(call, certnames, Withdrawal(trial=True), action="node try --end")
    branch = BranchName(last[0])
    if not certnames and not conditions(arguments):
        raise UsageError(f"name nodes before BRANCH ({branch}), or choose them by an option; or say --end")
    wish = trials.of(branch, length, time.time(), arguments.reason, call.settings)
    return change(call, certnames, wish, action="node try")


def _history(call: Call) -> int:
    arguments, settings = call.arguments, call.settings
    chosen = (arguments.certname is not None) + (arguments.project is not None) + arguments.all
    if chosen > 1 or (not chosen and arguments.since is None and arguments.last is None):
        raise UsageError("name one node, or --project PROJECT, or --all")
    found = history.of(
        Trail(settings.audit.file),
        seen=lambda edits: strangers.read(settings, edits),
        node=None if arguments.certname is None else Certname(arguments.certname),
        project=None if arguments.project is None else ProjectName(arguments.project),
        since=None if arguments.since is None else history.moment(arguments.since, time.time()),
        last=None if arguments.last is None else whole_number("--last", arguments.last),
    )
    with LdapSource(settings) as source:
        edits = [history.resolved(edit, source, settings) for edit in found.edits]
    document = {"edits": [edit.document() for edit in edits], "problems": list(found.problems)}
    call.show_lines(document, [line for edit in edits for line in _told(edit, call.bounds)], "no edits")
    for problem in found.problems:
        call.say(problem)
    return 0


def _told(edit: Edit, bounds: Bounds) -> list[str]:
    head = f"{edit.time}  {edit.id}  {edit.who}  {edit.action}  {edit.subject}  {edit.outcome}"
    why = f"  why: {edit.why}"
    steps = differences.of_steps((step.lines(bounds) for step in edit.steps), bounds)
    return [one_line(head), one_line(why), *(f"  {line}" for line in steps)]


def _undo(call: Call) -> int:
    with desk_of(call) as desk:
        receipt = history.undo(desk, call.arguments.id, reason=call.arguments.reason, dry_run=call.arguments.dry_run)
    return edit_result(call, receipt)
