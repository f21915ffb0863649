"""Who may read the repository. Pure; roles come from membership.py, the rule is `branches.transport.read`.

Reading is all that a transport decides: the refs that a push would move can be
seen in its first answer, so a push needs the right to read too.
"""

from __future__ import annotations

from typing import Literal

from enc.rights.roles import Person

Rule = Literal["members", "authenticated", "everyone"]


def refusal(person: Person | None, rule: Rule) -> str:
    """Return why `person` (None: nobody signed in) may not read; an empty text: may."""
    if rule == "everyone":
        return ""
    if person is None:
        return "sign in to read this repository"
    if rule == "authenticated" or person.holds:
        return ""
    return f"{person.name} is in no project, and only members of projects may read this repository"
