"""Tells the forge what became of a commit: its commit status API, where it has one. What is said there is the forge's.

The token goes to the configured address and nowhere else: redirects are not
followed. A description has room for little, so what matters stands in front in
`text`, and its end is what is cut; the record and the log have all of it. The
answer has a bounded time to come, for the next look at the forge waits behind it.

Failure modes: `ReportFailed`; the deploy stands whatever comes of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from urllib import request

from enc.programs import log
from enc.settings.config import read_secret
from enc.terms.errors import ConfigurationError, ToolkitError
from enc.terms.names import BranchName
from git_hooks.mirror import forges
from git_hooks.mirror.forge_request import NoAnswer, answer
from git_hooks.mirror.forges.forge import CONTEXT, CommitState
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import MirrorSettings

_LONGEST = 140
"""Characters of a description; GitHub takes no more."""
_REST = "… (the rest is on the server)"


class ReportFailed(ToolkitError):
    """The forge did not take the status."""


def message(
    mirror: MirrorSettings, commit: ObjectId, state: CommitState, text: str, token: str
) -> request.Request | None:
    """Return the request that reports `state` of `commit`, None if the forge takes none; `mirror.api` must be set."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - len(_REST)] + _REST
    status = forges.named(mirror.forge or "").status(mirror, commit, state, short, token)
    if status is None:
        return None
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": CONTEXT}
    headers.update(status.headers)
    content = json.dumps(dict(status.document)).encode()
    return request.Request(status.address, content, headers, method="POST")  # noqa: S310 - https, checked


def report(mirror: MirrorSettings, commit: ObjectId, state: CommitState, text: str, patience: float = 10.0) -> None:
    """Report within `patience` seconds, if that is configured.

    Raise `ReportFailed`, or `ConfigurationError` for the token's file.
    """
    if mirror.forge is None or mirror.api is None or mirror.api_token_file is None:
        return
    asking = message(mirror, commit, state, text, read_secret(mirror.api_token_file))
    if asking is None:
        return
    try:
        answer(asking, patience, 0)
    except NoAnswer as error:
        raise ReportFailed(f"the status of {commit.abbreviated} was not accepted: {error}", where=mirror.api) from error


class _Told(NamedTuple):
    commit: ObjectId
    state: CommitState
    text: str
    trouble: str
    """Why the forge did not take it; empty: it did."""


class Reports:
    """What was reported of each branch by this process: nothing twice, and later what the forge did not take."""

    def __init__(self, mirror: MirrorSettings) -> None:
        """Report nothing yet."""
        self._mirror = mirror
        self._told: dict[BranchName, _Told] = {}
        self._log = log.get("mirror")

    def tell(self, branch: BranchName, commit: ObjectId, state: CommitState, text: str) -> None:
        """Report what became of a branch's commit, unless that is what was reported last."""
        before = self._told.get(branch)
        if before is None or before.trouble or before[:3] != (commit, state, text):
            self._try(branch, _Told(commit, state, text, ""))

    def open(self) -> set[BranchName]:
        """Return the branches of which something else than success was reported."""
        return {branch for branch, told in self._told.items() if told.state != "success"}

    def make_up(self) -> None:
        """Report what the forge did not take, until it is not to be had."""
        for branch, told in [(branch, told) for branch, told in self._told.items() if told.trouble]:
            if not self._try(branch, told):
                break

    def _try(self, branch: BranchName, told: _Told) -> bool:
        """Report; tell whether the forge answered at all."""
        trouble, answered = "", True
        try:
            report(self._mirror, told.commit, told.state, told.text)
        except (ReportFailed, ConfigurationError) as error:
            cause = error.__cause__
            trouble, answered = str(error), isinstance(cause, NoAnswer) and cause.answered
        if trouble and trouble != told.trouble:
            self._log.warning("%s: %s", branch, trouble)
        self._told[branch] = told._replace(trouble=trouble)
        return answered
