"""`branch-manager allow-secret`: let a push bring one thing that looks like a secret, or is one that may be public."""

from __future__ import annotations

import argparse
import re
import time

from enc.commands.call import Call, json_option
from enc.edits.audit import check_reason
from enc.programs.log import get
from enc.programs.times import iso
from enc.service.history import moment
from enc.terms.errors import UsageError
from git_hooks.commands import views
from git_hooks.commands.target import who
from git_hooks.secrets.findings import SHOWN
from git_hooks.secrets.kept import Allowance, Allowances

SUMMARY = "let pushes bring one thing that looks like a secret"
_DAYS = 365


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "fingerprint", metavar="FINGERPRINT", nargs="?", help="the fingerprint that the refused push names"
    )
    parser.add_argument(
        "--path", metavar="PATTERN", help="the file's path in the tree, or a pattern in which * matches anything"
    )
    parser.add_argument(
        "--until", metavar="WHEN", help=f"a date (2026-12-31) or time at which that ends (default: in {_DAYS} days)"
    )
    parser.add_argument("--reason", help="reason; kept with the allowance")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list what is allowed, and until when")
    what.add_argument("--revoke", action="store_true", help="revoke it; without --path for all paths")
    json_option(parser)


def run(call: Call) -> int:
    """Allow, revoke or list."""
    words = call.arguments
    allowances = Allowances(call.settings.branches.repository)
    now = time.time()
    if words.list:
        found = allowances.all()
        lines = [_told(one, now) for one in found]
        call.show({"allowances": [views.allowance(one) for one in found]}, lines or ["no secret is allowed"])
        return 0
    if words.fingerprint is None:
        raise UsageError("give the FINGERPRINT that the refused push names, or use --list")
    if not re.fullmatch(f"[0-9a-f]{{{SHOWN}}}", words.fingerprint):
        # Whoever writes the secret itself here must not find it in an error.
        raise UsageError(f"FINGERPRINT has {SHOWN} of 0-9 and a-f, as the refused push names it; this has not")
    why = check_reason(words.reason or "")
    if words.revoke:
        gone = allowances.revoke(words.fingerprint, words.path)
        lines = [f"no longer allowed: {_told(one, now)}" for one in gone]
    else:
        gone = (Allowance(words.fingerprint, _path(words.path), why, who(), now, _end(words.until, now)),)
        allowances.add(gone[0])
        lines = [f"allowed: {_told(gone[0], now)}"]
    for line in lines:
        get("branches").info("%s (%s: %s)", line, who(), why)
    call.show({"allowances": [views.allowance(one) for one in gone]}, lines)
    return 0


def _path(text: str | None) -> str:
    if not text:
        raise UsageError("name the file's path, for example --path data/common.yaml; * matches anything")
    if text.startswith("/") or ".." in text.split("/"):
        raise UsageError("is not a path in a tree: DIRECTORY/NAME, where * matches anything", where="--path")
    return text


def _end(text: str | None, now: float) -> float:
    until = now + _DAYS * 86_400 if text is None else moment(text, now)
    if until <= now:
        raise UsageError("is in the past; write a future date or time", where="--until")
    return until


def _told(one: Allowance, now: float) -> str:
    ends = "until" if now < one.until else "ended"
    return f"{one.fingerprint} at {one.path} by {one.who} on {iso(one.at)}, {ends} {iso(one.until)}: {one.reason}"
