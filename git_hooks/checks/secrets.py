"""The check: nothing that a push brings holds a secret, in none of its commits: whoever reads a tree reads its history.

Owns which contents are looked at: all that new commits bring, with what the
commits and tags themselves say. What counts as a secret is `secrets/`, what is
allowed stands on the server (secrets/kept.py), and a push cannot say anything
about it.

A finding is told by place, kind and fingerprint, never by what it is; and what
it is goes out of all other words about the push, which may show lines of files.

Failure modes: if a part of the rules cannot look (no Puppet, no kingfisher on
this machine, a file that is too large or takes too long, more commits than can
be looked at), the others go on, the push is accepted, and its output says so.
On branches that `pushes.require_checks` names, it is refused. Without the key of
the fingerprints nothing can be told from what is allowed: refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from git_hooks.checks.look import History, Problem

if TYPE_CHECKING:
    from git_hooks.secrets.engine import Look, RuleEngine
    from git_hooks.secrets.findings import Finding
    from git_hooks.secrets.kept import Allowances

_MESSAGE = "commit-message"
"""As which file the words of a commit are looked at."""


def check(history: History) -> Iterator[Problem]:
    """Yield each secret that is not allowed, with its place."""
    settings = history.settings
    if settings.pushes.secrets == "off":
        return
    one = _Search(history)
    for brought in history.brought:
        path = brought.path
        if any(fnmatchcase(path, pattern) for pattern in settings.pushes.secrets_excluded):
            continue
        content = history.content(brought.entry)
        if content is None:
            yield from one.unchecked(path, ["a file that is too large to look for secrets in"])
            continue
        yield from one.problems(path, one.engine.closely(path, content, brought.entry.id), brought.commit)
    for name, words in history.messages:
        look = one.engine.closely(_MESSAGE, words)
        yield from one.problems(_MESSAGE, look, name)
    if cut := history.cut():
        yield from one.unchecked("", [f"{cut}, so there may be secrets in it: look with branch-manager audit-secrets"])


class _Search:
    """What one look at a history needs, from when it finds the first content."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._engine: RuleEngine | None = None
        self._allowances: Allowances | None = None
        self._told: set[tuple[str, str]] = set()

    @property
    def engine(self) -> RuleEngine:
        """The rules; loaded only where there is something to look at."""
        if self._engine is None:
            from git_hooks.secrets.engine import engine

            self._engine = engine(self._history.settings.branches.repository, self._history.site.read)
        return self._engine

    def problems(self, path: str, look: Look, commit: str) -> Iterator[Problem]:
        """Yield what is told of one file."""
        self._history.site.hide(look.secrets)
        for finding in look.examined.findings:
            told = (finding.path, finding.fingerprint)
            if told not in self._told and not self._allowed(finding):
                self._told.add(told)  # once, where it is first: each version of a file has it again
                yield Problem(*_told(finding, commit))
        yield from self.unchecked(path, look.examined.unchecked)

    def unchecked(self, path: str, reasons: Iterable[str]) -> Iterator[Problem]:
        """Note why something was not looked at; yield it where the branch must not have it."""
        for why in reasons:
            if words := self._history.site.unchecked(why):
                yield Problem(path, words)

    def _allowed(self, finding: Finding) -> bool:
        if self._allowances is None:
            from git_hooks.secrets.kept import Allowances

            self._allowances = Allowances(self._history.settings.branches.repository)
        return self._allowances.allow(finding, time.time())


def _told(finding: Finding, commit: str) -> tuple[str, str]:
    """Return the place of a finding, and the words."""
    where = f" ({finding.where})" if finding.where else ""
    what = f"holds {finding.kind}{where}, fingerprint {finding.fingerprint}"
    if finding.path == _MESSAGE:
        return f"the message of {commit}", f"{what}; write it anew (git commit --amend, git rebase -i)"
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    if commit:
        return place, f"{what}, in commit {commit}, whatever later ones do; take it out of that commit (git rebase -i)"
    return place, f"{what}; take it out of the commits, or let an operator allow it (branch-manager allow-secret)"
