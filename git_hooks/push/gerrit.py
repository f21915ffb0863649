"""Gerrit's hooks: the same verdicts and reports as for git's own, asked for in Gerrit's way.

Gerrit runs none of git's hooks. Its hooks plugin calls programs, once for each
ref, with what happened as arguments and the repository in GIT_DIR:

- `ref-update` before a push past review moves, makes or deletes a ref. The
  verdict is the one of pre-receive, about one ref.
- `commit-received` for each commit that is pushed, for review too. Only its
  tree is looked at: who may submit a change is Gerrit's business.
- `ref-updated` after a ref has moved, however. The report is post-receive's.

The name of who pushes is an argument, so it is Gerrit that vouches for it.
Refs beside branches and tags are Gerrit's own; so are other repositories.

Not here: which words call this (commands/gerrit_hook.py). Failure modes:
`UsageError` for arguments that no Gerrit gives, which refuses the push.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.environments import Rules
from enc.terms.errors import ConfigurationError, InvalidName, NotAllowed, UsageError
from enc.terms.names import HEADS, BranchName, PersonName
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.push.policy import TAGS
from git_hooks.push.post_receive import UNKNOWN, Report
from git_hooks.push.pre_receive import Answer
from git_hooks.push.pusher import Pusher
from git_hooks.push.verdict import PushVerdict, RefVerdict
from git_hooks.repository.refs import ObjectId, RefUpdate

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.branches.usage import Usage
    from git_hooks.deploy.deployer import Deployer
    from git_hooks.push.pre_receive import Judge

KINDS = ("ref-update", "commit-received", "ref-updated")


class Event(NamedTuple):
    """What Gerrit says about one ref."""

    update: RefUpdate
    username: str
    """Who uploads or submits; empty if Gerrit does not say."""

    @property
    def ours(self) -> bool:
        """Whether this ref is a branch or a tag, and none of those that Gerrit keeps for itself."""
        return self.update.ref.startswith((HEADS, TAGS))


def read(words: Sequence[str]) -> Event:
    """Return what the arguments of a hook say; those that are not needed are passed over. Pure."""
    if len(words) % 2 or not all(name.startswith("--") for name in words[::2]):
        raise UsageError("these are not the arguments of a Gerrit hook: --NAME VALUE …")
    found = dict(zip(words[::2], words[1::2], strict=True))
    missing = [name for name in ("--refname", "--oldrev", "--newrev") if name not in found]
    if missing:
        raise UsageError(f"Gerrit's hooks are called with {', '.join(missing)}")
    ref = found["--refname"]
    update = RefUpdate(
        ObjectId(found["--oldrev"]), ObjectId(found["--newrev"]), ref if ref.startswith("refs/") else HEADS + ref
    )
    return Event(update, found.get("--uploader-username") or found.get("--submitter-username") or "")


def concerns(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Tell whether Gerrit means our repository. Raise `ConfigurationError` or `NotAllowed` if that is not clear."""
    if settings.pushes.identity != "gerrit":
        raise ConfigurationError(
            f"is {settings.pushes.identity}, so Gerrit's word on who pushes is not accepted; set it to gerrit",
            where="pushes.identity",
        )
    directory = environ.get("GIT_DIR")
    if not directory:
        raise NotAllowed("GIT_DIR is not set, so the repository is unknown; was this run by Gerrit?")
    return os.path.realpath(directory) == os.path.realpath(settings.branches.repository)


def before(judge: Judge, event: Event, environ: Mapping[str, str], user: int) -> Answer:
    """Return what is said and done about a push past review (`ref-update`)."""
    if not event.ours:
        return Answer(True, [])
    if not event.username:
        raise NotAllowed("unknown pusher: Gerrit gave no user name")
    try:
        pusher = Pusher(PersonName(event.username), "gerrit")
    except InvalidName as error:
        raise NotAllowed(f"unknown pusher: {error}") from error
    return judge.answer(_line(event.update), environ, user, pusher)


def received(settings: Settings, event: Event, environ: Mapping[str, str]) -> PushVerdict:
    """Return the verdict about the tree of a pushed commit (`commit-received`)."""
    update = event.update
    branch = BranchName.of_ref(update.ref) if update.ref.startswith(HEADS) else None
    rules = Rules(settings.branches.rules)
    place = rules.place(branch) or rules.proposal(branch) if branch is not None else None
    if branch is None or place is None or update.deletes:
        return PushVerdict((RefVerdict(update.ref),))
    from git_hooks.branches.usage import Usage  # here: only where something is looked at

    with Incoming(str(settings.branches.repository), environ) as objects:
        examination = Examination(objects, settings, who=event.username, usage=Usage(settings))
        problems = examination.problems(update.new, objects.tip(branch), place, objects.branches())
    unchecked, advice = tuple(examination.unchecked.items()), tuple(examination.advice)
    return PushVerdict((RefVerdict(update.ref, problems),), None, unchecked, advice)


def after(
    settings: Settings, deployer: Deployer, usage: Usage, event: Event, environ: Mapping[str, str], user: int
) -> Report:
    """Make live what has moved (`ref-updated`), as the report is read."""
    who = event.username if PersonName.accepts(event.username) else UNKNOWN
    return Report(settings, deployer, usage, _line(event.update), environ, user, who=who)


def _line(update: RefUpdate) -> bytes:
    """Return what git would write to a hook."""
    return f"{update.old} {update.new} {update.ref}\n".encode("utf-8", "surrogateescape")
