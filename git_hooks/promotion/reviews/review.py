"""What a forge is to a review here: which addresses are asked, and what of the answers is an approval. Pure.

A forge is a module with an object `REVIEW` of this form, and a line in enc/settings/forges.py. `ask` is a generator: it
yields a path below the API's address, is sent the JSON document that the forge answers with, and returns the approvals
in the end. So a forge needs no network to be tested, and has none.

Only an approval of the very commit counts: what was pushed after it, nobody has read. A later review of the same
account takes the place of its earlier one.

Not here: HTTP, and who the accounts are in LDAP (asking.py). Failure mode: ValueError, TypeError or LookupError for
documents that are not as documented; asking.py tells it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId


class Reviewed(NamedTuple):
    """That somebody approved a commit at a forge."""

    account: str
    number: str
    """Of the review, as the forge has it; another one is another approval."""


Asking = Generator[str, Any, tuple[Reviewed, ...]]


class Review(Protocol):
    """One kind of forge."""

    @abstractmethod
    def headers(self, token: str) -> Mapping[str, str]:
        """Return the headers with which the token is shown."""

    @abstractmethod
    def ask(self, project: str, source: BranchName, commit: ObjectId, target: BranchName) -> Asking:
        """Ask for the approvals of `commit`, which is the last one of `source`, to get to `target`."""


def last_of_each(reviews: Iterable[tuple[str, str, bool]]) -> tuple[Reviewed, ...]:
    """Return the approvals among reviews (account, number, whether it approves), of each account the last review."""
    last = {account: (number, approves) for account, number, approves in reviews}
    return tuple(Reviewed(account, number) for account, (number, approves) in last.items() if approves)


def listed(document: Any) -> list[Any]:
    """Return a document that is a list; raise TypeError."""
    if not isinstance(document, list):
        raise TypeError("the forge's answer is not a list")
    return document
