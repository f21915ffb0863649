"""What keeps the answers from being known to be what LDAP says, feed by feed: kept in the copy for `status`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Literal

from enc.terms.errors import DirectoryRefused, NotAllowed, NotFound, ToolkitError

FACT = "troubles"
"""The copy's fact that holds them."""

Kind = Literal["unreachable", "refused", "behind"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why one feed is not up to date."""

    feed: str
    kind: Kind
    """`unreachable`: no server answers; `refused`: one answers, and does not give all;
    `behind`: one answers, and lacks changes that others have, or had."""
    message: str


def of_error(feed: str, error: ToolkitError) -> Trouble:
    """Return the trouble that `error` means."""
    refused = isinstance(error, DirectoryRefused | NotAllowed | NotFound)
    return Trouble(feed, "refused" if refused else "unreachable", str(error))


def encode(troubles: Iterable[Trouble]) -> str:
    """Return `troubles` as text for the copy."""
    return json.dumps([astuple(trouble) for trouble in troubles])


def decode(text: str | None) -> tuple[Trouble, ...]:
    """Read what `encode` wrote; none for None."""
    return tuple(Trouble(*fields) for fields in json.loads(text or "[]"))
