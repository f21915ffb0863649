"""What several commands show to programs in the same shape (docs/json.md)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from enc.programs.documents import Document, moment
from enc.programs.times import iso
from git_hooks.commands.target import who
from git_hooks.deploy.decision import Decision, PlannedDeploy
from git_hooks.deploy.records import Hold, Outcome, Record
from git_hooks.mirror.tries import FORGE, Try
from git_hooks.puppetfile.language import ForgeModule, GitModule
from git_hooks.push.approvals import Approval
from git_hooks.repository.refstore import Archived
from git_hooks.secrets.kept import Allowance
from git_hooks.transport.tokens import Token

_LEADS_TO: dict[Decision, Outcome] = {
    "nothing": "unchanged",
    "stay": "held",
    "flush": "live",
    "mend": "live",
    "switch": "live",
    "remove": "removed",
}


def deploys(found: Iterable[Record]) -> Document:
    """Return deploys that were made."""
    return {"dry_run": False, "deploys": [deploy(record) for record in found]}


def would_deploy(plans: Iterable[PlannedDeploy], why: str) -> Document:
    """Return the same for deploys that would be made now, if nothing goes wrong."""
    return {"dry_run": True, "deploys": [deploy(_planned(plan, why)) for plan in plans]}


def _planned(plan: PlannedDeploy, why: str) -> Record:
    return Record(plan.environment, _LEADS_TO[plan.decision], plan.old, plan.new, who(), why, time.time(), {})


def deploy(record: Record) -> dict[str, Any]:
    """Return one deploy."""
    return {
        "environment": record.environment,
        "outcome": record.outcome,
        "from": record.old,
        "to": record.new,
        "who": record.who,
        "why": record.why,
        "at": moment(record.at),
        "step_seconds": {step: round(taken / 1000, 6) for step, taken in record.milliseconds.items()},
        "detail": record.detail or None,
        "note": record.note or None,
        "cure": record.remedy or None,
    }


def hold(held: Hold) -> dict[str, Any]:
    """Return why an environment stays as it is."""
    return {"who": held.who, "reason": held.reason, "at": moment(held.at)}


def module(one: ForgeModule | GitModule) -> dict[str, Any]:
    """Return a module of a Puppetfile."""
    if isinstance(one, ForgeModule):
        return {"name": one.name, "version": one.version, "kind": "forge", "source": f"{one.author}/{one.name}"}
    return {"name": one.name, "version": one.revision, "kind": one.kind, "source": one.url}


def module_cells(one: ForgeModule | GitModule) -> tuple[str, str, str]:
    """Return the same for people: name, version, where it comes from."""
    if isinstance(one, ForgeModule):
        return one.name, one.version or "latest", f"{one.author}/{one.name} of the Forge"
    return one.name, one.revision, f"{one.kind} of {one.url}"


def hold_line(held: Hold) -> str:
    """Return why an environment stays as it is, for people."""
    since = f" since {iso(held.at)}" if held.at else ""
    return f"by {held.who}{since}, until released: {held.reason}"


def attempt(one: Try) -> dict[str, Any]:
    """Return what is wanted of a forge and has failed so far."""
    return {
        "branch": None if one.subject == FORGE else one.subject,
        "commit": one.commit or None,
        "failures": one.failures,
        "since": moment(one.since),
        "last": moment(one.last),
        "next": moment(one.next),
        "reason": one.reason,
        "going": one.going,
    }


def archived(one: Archived, kept: float) -> dict[str, Any]:
    """Return a branch that was taken away, and is kept for `kept` seconds."""
    return {
        "name": one.name,
        "branch": one.branch,
        "commit": one.commit,
        "at": moment(one.at),
        "until": moment(one.at + kept),
    }


def approval(one: Approval) -> dict[str, Any]:
    """Return that members' branches may have a file."""
    return {
        "path": one.path,
        "blob": one.blob,
        "reason": one.reason,
        "who": one.who,
        "at": moment(one.at),
        "until": moment(one.until),
    }


def allowance(one: Allowance) -> dict[str, Any]:
    """Return that a secret may be pushed."""
    return {
        "fingerprint": one.fingerprint,
        "path": one.path,
        "reason": one.reason,
        "who": one.who,
        "at": moment(one.at),
        "until": moment(one.until),
    }


def token(one: Token, word: str | None = None) -> dict[str, Any]:
    """Return a token, and what its owner shows, if that is still known."""
    return {
        "id": one.id,
        "person": one.person,
        "purpose": one.purpose,
        "created": moment(one.created),
        "expires": moment(one.expires),
        "read_only": one.read_only,
        "by": one.by,
        "revoked": moment(one.revoked),
        "token": word,
    }
