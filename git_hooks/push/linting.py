"""Lets puppet-lint look at the manifests that a push changes, and tells what it says of the lines that are new.

What stood there before the push is nobody's to mend now, so it is not told. A
line is new if the file had no such line before. On most branches this is advice;
on those of `pushes.lint_rule` it refuses. Only what Puppet's parser has taken is
asked about.

Owns: which remarks are told, the time for one push. The process is this
program's, whoever asks: a service keeps it, a hook ends with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from enc.terms.counted import counted
from git_hooks.checks import syntax
from git_hooks.puppet_code.calls import Kind
from git_hooks.push.changes import Change
from git_hooks.push.found import Found
from git_hooks.push.incoming import Incoming
from git_hooks.repository.trees import FILE, PROGRAM

if TYPE_CHECKING:
    from git_hooks.puppet_code.lint import Choice, Linter

_LARGEST = 1 << 20
_LONGEST = 30.0
"""Seconds of puppet-lint for one push where it is a rule."""
_ADVICE = 3.0
"""Likewise where it only advises: nobody waits long for that."""
_LATE = 3
"""After so many manifests of a push that take too long, the others are not asked about: each costs a new process."""
_TOLD = 10
"""Remarks that are told as advice; a refusal tells as many as any other."""


@cache
def _linter(ruby: Path | None) -> Linter:
    from git_hooks.puppet_code.lint import Linter

    return Linter(ruby)


class Linting:
    """Asks puppet-lint about all branches of one push, which have its time together."""

    def __init__(self, objects: Incoming, ruby: Path | None) -> None:
        """Ask nothing yet; `ruby`: see lint.py."""
        self._objects = objects
        self._ruby = ruby
        self._took = 0.0
        self._late = 0

    def look(self, changed: Sequence[Change], options: bytes, *, rule: bool) -> Found:
        """Return what puppet-lint says of the new lines of manifests; with `rule` that refuses, else it is advice.

        `options` are those of a `.puppet-lint.rc`.
        """
        from git_hooks.puppet_code.lint import LintMissing, choice

        chosen, longest = choice(options), _LONGEST if rule else _ADVICE
        said: list[str] = []
        missed: list[str] = []
        for change in filter(_is_manifest, changed):
            began = monotonic()
            try:
                if self._took > longest or self._late >= _LATE:
                    missed.append(f"{change.path}, because there was no more time")
                else:
                    self._one(change, chosen, said, missed)
            except LintMissing as error:
                return Found(unchecked=error.message) if rule else Found()
            self._took += monotonic() - began
        return _found(said, _missed(missed), rule=rule)

    def _one(self, change: Change, chosen: Choice, said: list[str], missed: list[str]) -> None:
        """Add what is said of one manifest, or why nothing is."""
        from git_hooks.puppet_code.lint import NotLinted, TooSlow

        path, after, before = change.path, change.after, change.before
        content = self._objects.content(after, _LARGEST) if after is not None else None
        if content is None:
            missed.append(f"{path}, which is larger than {_LARGEST} bytes")
            return
        new = new_lines((self._objects.content(before, _LARGEST) if before is not None else None) or b"", content)
        if not new:
            return
        try:
            remarks = _linter(self._ruby).lint(path, content, chosen)
        except NotLinted as error:
            self._late += isinstance(error, TooSlow)
            missed.append(f"{path}, because {error.message}")
            return
        said += [f"{path}: line {one.line}: {one.words} ({one.check})" for one in remarks if one.line in new]


def _found(said: Sequence[str], unchecked: str, *, rule: bool) -> Found:
    if rule:
        return Found(tuple(f"{line}; puppet-lint is a rule here (pushes.lint_rule)" for line in said), unchecked)
    return Found((), "", (*_advice(said), *((unchecked,) if unchecked else ())))


def new_lines(before: bytes, after: bytes) -> frozenset[int]:
    """Return the numbers of lines of `after`, from 1, that `before` does not have as often."""
    had = Counter(before.split(b"\n"))
    found = []
    lines = after.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if had[line] > 0:
            had[line] -= 1
        else:
            found.append(number)
    return frozenset(found)


def _is_manifest(change: Change) -> bool:
    if change.after is None or change.after.mode not in (FILE, PROGRAM):
        return False
    return syntax.kind(change.path) in (Kind.SOUND_MANIFEST, Kind.SOUND_PLAN)


def _advice(said: Sequence[str]) -> Iterator[str]:
    yield from (f"puppet-lint: {line}" for line in said[:_TOLD])
    if len(said) > _TOLD:
        yield f"puppet-lint: … and {counted(len(said) - _TOLD, 'remark')} more"


def _missed(missed: Sequence[str]) -> str:
    if not missed:
        return ""
    more = f" and {counted(len(missed) - 1, 'other file')}" if len(missed) > 1 else ""
    return f"puppet-lint has not looked at {missed[0]}{more}"
