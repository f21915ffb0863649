"""What a promotion writes into its commit, and what is read from commits alone. Pure.

The last paragraph of the message are trailers (git-interpret-trailers(1)), ours from `Promotion:` on. Only that
paragraph counts, and only where the history of a rung's branch itself leads (first parents): what a developer's commit
claims in its own message stands in an earlier paragraph, or beside that way.

Not here: making commits (result.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from enc.terms.errors import bounded, one_line

_FIRST = "Promotion"
_TRAILER = re.compile(r"([A-Za-z][A-Za-z-]{0,40}): (.*)", re.ASCII)
_PICKED = re.compile(r"\(cherry picked from commit ([0-9a-f]{40}(?:[0-9a-f]{24})?)\)", re.ASCII)
_LONGEST = 500


class Provenance(NamedTuple):
    """Where a commit on a rung's branch came from."""

    id: str
    """Of the promotion."""
    source: str
    """Branch and commit: `project/red@1a2b…`."""
    rung: str
    by: str
    """Who promoted it."""
    proposed_by: str
    approved_by: tuple[str, ...]
    effect: str
    """The digest that was approved."""
    evidence: tuple[str, ...]
    """What the rules found, a sentence each."""
    reason: str = ""
    picked: str = ""
    """The commit that this is a cherry-pick of."""
    reverts: tuple[str, ...] = ()
    """The commits that this undoes."""
    emergency: bool = False


def message(subject: str, said: Provenance) -> str:
    """Return a commit's whole message: `subject` (a whole message of a picked commit) and our trailers."""
    lines = [f"{_FIRST}: {said.id}"]
    for name, value in (
        ("Promoted-From", said.source),
        ("Promoted-To", said.rung),
        ("Promoted-By", said.by),
        ("Proposed-By", said.proposed_by),
        *(("Approved-By", who) for who in said.approved_by),
        ("Effect", said.effect),
        *(("Evidence", one) for one in said.evidence),
        ("Reason", said.reason),
        ("Emergency", "yes" if said.emergency else ""),
        *(("Reverts", one) for one in said.reverts),
    ):
        if value:
            lines.append(f"{name}: {bounded(one_line(value), _LONGEST)}")
    if said.picked:
        lines.append(f"(cherry picked from commit {said.picked})")
    return f"{subject.strip()}\n\n" + "\n".join(lines) + "\n"


def read(text: str) -> Provenance | None:
    """Return what a commit's message says in its last paragraph; None: no promotion made it."""
    lines = text.strip().rpartition("\n\n")[2].split("\n")
    found: dict[str, list[str]] = {}
    for line in lines:
        match = _TRAILER.fullmatch(line)
        if match is not None:
            found.setdefault(match[1], []).append(match[2])
    if not lines[0].startswith(f"{_FIRST}: ") or "Promoted-To" not in found:
        return None

    def first(name: str) -> str:
        return next(iter(found.get(name, ())), "")

    picked = next((match[1] for match in map(_PICKED.fullmatch, lines) if match is not None), "")
    return Provenance(
        id=first(_FIRST),
        source=first("Promoted-From"),
        rung=first("Promoted-To"),
        by=first("Promoted-By"),
        proposed_by=first("Proposed-By"),
        approved_by=tuple(found.get("Approved-By", ())),
        effect=first("Effect"),
        evidence=tuple(found.get("Evidence", ())),
        reason=first("Reason"),
        picked=picked,
        reverts=tuple(found.get("Reverts", ())),
        emergency=first("Emergency") == "yes",
    )
