"""What is said about a push: one verdict for each ref, one for the whole. Pure.

A push is taken whole or not at all, as pre-receive has it. A refused push is a
value, not an exception: nothing went wrong.

Not here: how a verdict comes about (policy.py, checks/), who prints it.
"""

from __future__ import annotations

from typing import NamedTuple

from enc.terms.counted import counted
from enc.terms.errors import ToolkitError, bounded, one_line

SHOWN = 20
"""So many things that are wrong with one ref are told; hostile input can have thousands."""


class RefVerdict(NamedTuple):
    """What is said about one moved ref."""

    ref: str
    problems: tuple[str, ...] = ()
    """Why it is refused, a sentence each; none: it may move."""

    @property
    def allowed(self) -> bool:
        """Whether this ref may move."""
        return not self.problems


class Checked(NamedTuple):
    """What was looked at, and how long that took."""

    who: str
    files: int
    """New and changed files whose names, kinds and sizes were looked at."""
    deletes: bool
    """Branches go away, and it was asked whether nodes use them."""
    brings: bool
    """Commits come."""
    seconds: float

    def line(self) -> str:
        """Return the sentence for the person who pushes."""
        found = [f"{self.who} may push this"]
        if self.brings:
            files = {0: "no file is new", 1: "1 new or changed file is valid"}
            found.append(files.get(self.files, f"{self.files} new or changed files are valid"))
        if self.deletes:
            found.append("no node uses what is deleted")
        return f"checked in {took(self.seconds)}: {', '.join(found)}"


class PushVerdict(NamedTuple):
    """What is said about all refs of a push."""

    refs: tuple[RefVerdict, ...]
    checked: Checked | None = None
    """What was looked at; None: the push is refused before that."""
    unchecked: tuple[tuple[str, int], ...] = ()
    """Why files could not be checked, and how many of them."""
    notes: tuple[str, ...] = ()
    """What else is said if it is taken, a line each."""

    @property
    def allowed(self) -> bool:
        """Whether the push is taken."""
        return all(verdict.allowed for verdict in self.refs)

    def lines(self) -> list[str]:
        """Return what the person who pushes reads: one line if all is well, else at least a line for each ref."""
        if self.allowed:
            found = [clean(self.checked.line())] if self.checked is not None else []
            found += [clean(not_checked(why, number)) for why, number in self.unchecked]
            return found + [clean(note) for note in self.notes]
        refused = sum(not verdict.allowed for verdict in self.refs)
        because = f", because of {refused} of its {len(self.refs)} refs" if len(self.refs) > 1 else ""
        found = [f"refused: nothing of this push was accepted{because}"]
        for verdict in self.refs:
            name = shown(verdict.ref)
            if verdict.allowed:
                found.append(f"  {name}: could be accepted")
            found += [f"  {name}: {clean(problem)}" for problem in verdict.problems[:SHOWN]]
            if len(verdict.problems) > SHOWN:
                found.append(f"  {name}: … and {len(verdict.problems) - SHOWN} more")
        return found


def not_checked(why: str, files: int) -> str:
    """Return the words for files that could not be checked."""
    return f"not checked: {counted(files, 'file')} ({why})"


def shown(ref: str) -> str:
    """Return a ref as it is told: a branch by its name."""
    return clean(ref.removeprefix("refs/heads/"))


def took(seconds: float) -> str:
    """Return a time as people read it."""
    return f"{max(1, round(seconds * 1000))} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def clean(text: str) -> str:
    """Return `text` as one line of bounded length in which nothing can pass for something else."""
    return bounded(one_line(text))


def refusal(error: ToolkitError) -> str:
    """Return the line for a push that could not be judged, and is refused for that."""
    return f"refused: {clean(str(error))}"
