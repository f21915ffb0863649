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
    from git_hooks.puppet_code.lint import Linter

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


def look(objects: Incoming, changed: Sequence[Change], ruby: Path | None, options: bytes, *, rule: bool) -> Found:
    """Return what puppet-lint says of the new lines of manifests; with `rule` that refuses, else it is advice.

    `options` are those of a `.puppet-lint.rc`.
    """
    from git_hooks.puppet_code.lint import LintMissing, NotLinted, TooSlow, choice

    until, late = monotonic() + (_LONGEST if rule else _ADVICE), 0
    chosen = choice(options)
    said: list[str] = []
    missed: list[str] = []
    for change in filter(_is_manifest, changed):
        assert change.after is not None
        if monotonic() > until or late >= _LATE:
            missed.append(f"{change.path}, because there was no more time")
            continue
        content = objects.content(change.after, _LARGEST)
        before = None if change.before is None else objects.content(change.before, _LARGEST)
        if content is None:
            missed.append(f"{change.path}, which is larger than {_LARGEST} bytes")
            continue
        new = new_lines(before or b"", content)
        if not new:
            continue
        try:
            remarks = _linter(ruby).lint(change.path, content, chosen)
        except LintMissing as error:
            return Found(unchecked=error.message) if rule else Found()
        except NotLinted as error:
            late += isinstance(error, TooSlow)
            missed.append(f"{change.path}, because {error.message}")
            continue
        said += [f"{change.path}: line {one.line}: {one.words} ({one.check})" for one in remarks if one.line in new]
    unchecked = _missed(missed)
    if rule:
        return Found(tuple(f"{line}; puppet-lint is a rule here (pushes.lint_rule)" for line in said), unchecked)
    return Found((), "", (*_advice(said), *((f"{unchecked}",) if unchecked else ())))


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
