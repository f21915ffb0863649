"""What is said about a push: one verdict for each ref, one for the whole. Pure.

A push is taken whole or not at all, as pre-receive has it. A refused push is a
value, not an exception: nothing went wrong.

Not here: how a verdict comes about (policy.py, checks/), who prints it.
"""

from __future__ import annotations

from typing import NamedTuple

from enc.errors import ToolkitError, one_line

SHOWN = 20
"""So many things that are wrong with one ref are told; hostile input can have thousands."""
_LONGEST = 300


class RefVerdict(NamedTuple):
    """What is said about one moved ref."""

    ref: str
    problems: tuple[str, ...] = ()
    """Why it is refused, a sentence each; none: it may move."""

    @property
    def allowed(self) -> bool:
        """Whether this ref may move."""
        return not self.problems


class PushVerdict(NamedTuple):
    """What is said about all refs of a push."""

    refs: tuple[RefVerdict, ...]

    @property
    def allowed(self) -> bool:
        """Whether the push is taken."""
        return all(verdict.allowed for verdict in self.refs)

    def lines(self) -> list[str]:
        """Return what the person who pushes reads: nothing if all is well, else at least a line for each ref."""
        if self.allowed:
            return []
        refused = sum(not verdict.allowed for verdict in self.refs)
        found = [f"refused: nothing of this push is taken, because of {refused} of its {len(self.refs)} refs"]
        for verdict in self.refs:
            name = shown(verdict.ref)
            if verdict.allowed:
                found.append(f"  {name}: could be taken")
            found += [f"  {name}: {clean(problem)}" for problem in verdict.problems[:SHOWN]]
            if len(verdict.problems) > SHOWN:
                found.append(f"  {name}: … and {len(verdict.problems) - SHOWN} more")
        return found


def shown(ref: str) -> str:
    """Return a ref as it is told: a branch by its name."""
    return clean(ref.removeprefix("refs/heads/"))


def clean(text: str) -> str:
    """Return `text` as one line of bounded length in which nothing can pass for something else."""
    safe = one_line(text)
    return safe if len(safe) <= _LONGEST else safe[:_LONGEST] + "…"


def refusal(error: ToolkitError) -> str:
    """Return the line for a push that could not be judged, and is refused for that."""
    return f"refused: {clean(str(error))}"
