"""`branch-manager promotion`: what is on its way to production, and what people decide about it."""

from __future__ import annotations

import argparse
import time

from enc.commands.call import Call, json_option, verbs, whole_number
from enc.edits.audit import check_reason
from enc.programs.documents import moment
from enc.programs.times import day, iso
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus, one_line
from git_hooks.commands import promoting
from git_hooks.commands.promoting import acting, as_option
from git_hooks.promotion import rules
from git_hooks.promotion.history import landed
from git_hooks.promotion.rungs import named, rungs

SUMMARY = "show, approve and end what is on its way to production; its history, rules and holds"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    verb = verbs(parser)
    one = verb("list", "list what is proposed, waits, or is under way; with --all everything", _list)
    one.add_argument("--to", metavar="RUNG", help="only for this rung")
    one.add_argument("--all", action="store_true", help="also what is over")
    json_option(one)
    one = verb("show", "show a promotion: commits, difference, effect, approvals, and what its rules say", _show)
    one.add_argument("id", metavar="ID")
    json_option(one)
    one = verb("approve", "approve the effect that `show` has shown", _approve)
    one.add_argument("id", metavar="ID")
    words = "the digest that `show` prints, or its first characters (32 at least)"
    one.add_argument("--effect", metavar="DIGEST", required=True, help=words)
    as_option(one)
    json_option(one)
    for name, summary, do in (
        ("reject", "end a proposal, as somebody who could approve it", _reject),
        ("withdraw", "end a proposal, as who proposed it", _withdraw),
    ):
        one = verb(name, summary, do)
        one.add_argument("id", metavar="ID")
        one.add_argument("--reason", required=True, help="reason; kept in the history")
        as_option(one)
        json_option(one)
    one = verb("check", "report what a check (CI) found about the commit that is promoted", _check)
    one.add_argument("id", metavar="ID")
    one.add_argument("name", metavar="NAME", help="one of the rung's checks")
    one.add_argument("--result", choices=("green", "red"), required=True)
    one.add_argument("--url", metavar="URL", default="", help="where the check's log is")
    as_option(one)
    json_option(one)
    one = verb("history", "what went to a rung: when, by whom, on which evidence", _history)
    one.add_argument("rung", metavar="RUNG")
    one.add_argument("--last", metavar="N", default="20", help="only the last N; default: 20")
    one.add_argument("--commits", action="store_true", help="read the commits alone, not what is kept beside them")
    json_option(one)
    one = verb("rehearse", "what a rule would have said of the last promotions", _rehearse)
    words = "a rule's name, or a setting with a value to try: approvals=2, soak_runs=3"
    one.add_argument("rule", metavar="RULE|SETTING=VALUE", help=words)
    one.add_argument("--to", metavar="RUNG", required=True, help="the rung whose promotions are looked at")
    one.add_argument("--last", metavar="N", default="50", help="the last N; default: 50")
    json_option(one)
    one = verb("rungs", "the rungs, their branches, and the rules of each", _rungs)
    json_option(one)
    one = verb("go-on", "carry on what waits or was interrupted; `branch-manager hooks` does it by itself", _go_on)
    json_option(one)
    one = verb("holds", "what was reverted and must not come back", _holds)
    one.add_argument("--all", action="store_true", help="also holds that were lifted")
    json_option(one)
    one = verb("lift", "end a hold: the change may come back", _lift)
    one.add_argument("id", metavar="HOLD")
    one.add_argument("--reason", required=True, help="reason; kept with the hold")
    as_option(one)
    json_option(one)


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _list(call: Call) -> int:
    words = call.arguments
    with promoting.desk(call) as desk:
        found = [one for one in desk.kept.all() if (words.all or one.open) and words.to in (None, one.rung)]
    document = {"promotions": [promoting.promotion(one) for one in found]}
    call.show_lines(document, [promoting.line(one) for one in found], "no promotions")
    return ExitStatus.DONE


def _show(call: Call) -> int:
    with promoting.desk(call) as desk:
        kept = desk.kept.get(call.arguments.id)
        if kept.state in ("proposed", "queued"):
            looked = desk.looked(kept.id)
            difference = desk.difference(looked)
            lines = [*promoting.lines(looked), "", *promoting.plain(difference)]
            call.show(promoting.looked(looked, difference), lines)
            return ExitStatus.DONE
        difference = desk.difference_of(kept)
    call.show(promoting.over(kept, difference), [promoting.line(kept), "", *promoting.plain(difference)])
    return ExitStatus.DONE


def _approve(call: Call) -> int:
    words = call.arguments
    with promoting.desk(call) as desk:
        for remark in desk.approve(words.id, acting(call), words.effect):
            call.say(remark.text)
        call.show(promoting.promotion(desk.kept.get(words.id)), ())
    return ExitStatus.DONE


def _reject(call: Call) -> int:
    with promoting.desk(call) as desk:
        kept = desk.reject(call.arguments.id, acting(call), check_reason(call.arguments.reason))
    call.show(promoting.promotion(kept), promoting.line(kept))
    return ExitStatus.DONE


def _withdraw(call: Call) -> int:
    with promoting.desk(call) as desk:
        kept = desk.withdraw(call.arguments.id, acting(call), check_reason(call.arguments.reason))
    call.show(promoting.promotion(kept), promoting.line(kept))
    return ExitStatus.DONE


def _check(call: Call) -> int:
    words = call.arguments
    with promoting.desk(call) as desk:
        for remark in desk.report(words.id, words.name, words.result, acting(call), words.url):
            call.say(remark.text)
        call.show(promoting.promotion(desk.kept.get(words.id)), ())
    return ExitStatus.DONE


def _history(call: Call) -> int:
    words = call.arguments
    rung, most = named(words.rung, call.settings), whole_number("--last", words.last)
    with promoting.desk(call) as desk:
        if not words.commits:
            found = landed(desk.kept.all(), rung.name)[:most]
            document = {"promotions": [promoting.promotion(one) for one in found], "commits": []}
            call.show_lines(document, [promoting.line(one) for one in found], "no promotions")
            return ExitStatus.DONE
        made = desk.landings(rung, most)
    document = {
        "promotions": [],
        "commits": [
            {
                "commit": told.commit,
                "at": moment(desk_time),
                "id": said.id,
                "source": said.source or None,
                "promoted_by": said.by,
                "proposed_by": said.proposed_by,
                "approved_by": list(said.approved_by),
                "effect": said.effect,
                "evidence": list(said.evidence),
                "reason": said.reason or None,
                "picked": said.picked or None,
                "reverts": list(said.reverts),
                "emergency": said.emergency,
            }
            for told, said, desk_time in ((one.commit, one.said, one.at) for one in made)
        ],
    }
    lines = []
    for one in made:
        by = f"promoted by {one.said.by}"
        by += f", approved by {', '.join(one.said.approved_by)}" if one.said.approved_by else ""
        what = f"{one.commit.commit.abbreviated}  {iso(one.at)}  {one.said.id}  {one.commit.subject}  {by}"
        lines.append(one_line(what))
    call.show_lines(document, lines, "no promotions")
    return ExitStatus.DONE


def _rehearse(call: Call) -> int:
    words = call.arguments
    rung = named(words.to, call.settings)
    rule, says = rules.tried(words.rule, rung.says)
    with promoting.desk(call) as desk:
        past = [one for one in landed(desk.kept.all(), rung.name) if one.facts is not None and one.way != "revert"]
    facts = [(one.id, one.facts) for one in past[: whole_number("--last", words.last)] if one.facts is not None]
    found = rules.rehearse(rule, says, facts)
    document = {
        "rule": rule,
        "text": rules.named(rule).text,
        "rung": rung.name,
        "looked_at": found.looked_at,
        "refused": [{"id": id, "why": why} for id, why in found.refused],
    }
    head = f"{rule} would have stopped {len(found.refused)} of the last {counted(found.looked_at, 'promotion')}"
    call.show(document, [head, *(f"{id}: {why}" for id, why in found.refused)])
    return ExitStatus.DONE


def _rungs(call: Call) -> int:
    found = rungs(call.settings)
    with promoting.desk(call) as desk:
        queues = {rung.name: desk.kept.queue(rung.name) for rung in found}
    document = {
        "rungs": [
            {
                "rung": rung.name,
                "branch": rung.branch,
                "environment": rung.environment,
                "takes": rung.sources(),
                "approval_count": rung.says.approvals or 0,
                "approvers": list(rung.says.approvers),
                "checks": list(rung.says.checks),
                "soak_runs": rung.says.soak_runs,
                "soak_seconds": float(rung.says.soak_time),
                "canary_branch": rung.says.canary_branch,
                "queue": [one.id for one in queues[rung.name]],
            }
            for rung in found
        ],
        "rules": [{"rule": rule.name, "text": rule.text} for rule in rules.RULES],
    }
    lines = []
    for rung in found:
        waiting = ", ".join(one.id for one in queues[rung.name]) or "nothing"
        lines.append(f"{rung.name}: branch {rung.branch}, takes {rung.sources()}; in its queue: {waiting}")
    call.show(document, [*lines, *(f"{rule.name:<14}{rule.text}" for rule in rules.RULES)])
    return ExitStatus.DONE


def _go_on(call: Call) -> int:
    wrong, found = False, dict[str, object]()
    with promoting.desk(call) as desk:
        for rung in rungs(call.settings):
            for remark in desk.go_on(rung.name):
                call.say(remark.text)
                wrong = wrong or remark.wrong
                found[remark.promotion.id] = promoting.promotion(remark.promotion)
    call.show({"promotions": list(found.values())}, ())
    return ExitStatus.FAILED if wrong else ExitStatus.DONE


def _holds(call: Call) -> int:
    with promoting.desk(call) as desk:
        found = [one for one in desk.holds.all() if one.holds or call.arguments.all]
    now, lines = time.time(), []
    for one in found:
        end = f"lifted by {one.lifted_by}" if not one.holds else f"until {day(one.until)}"
        past = ", which is past" if one.holds and one.until < now else ""
        lines.append(one_line(f"{one.id}  {one.branch}  {one.who}  {end}{past}  {one.subject}: {one.reason}"))
    call.show_lines({"holds": [promoting.hold(one) for one in found]}, lines, "no holds")
    return ExitStatus.DONE


def _lift(call: Call) -> int:
    words = call.arguments
    with promoting.desk(call) as desk:
        found = desk.reverting.lift(words.id, acting(call), check_reason(words.reason))
    call.show(promoting.hold(found), f"{found.id} is lifted: {found.subject!r} may come back to {found.branch}")
    return ExitStatus.DONE
