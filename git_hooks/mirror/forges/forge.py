"""What a forge is to the mirror: whose a webhook is, where it says that something moved, how a status is told.

A forge is a module with an object `FORGE` of this form, and a line in
enc/settings/forges.py; nothing else knows one forge from another. All of it is
pure: the site (git_hooks/web/webhooks.py) reads the request and bounds its body,
the receiver asks for a look, report.py sends the status.

A webhook is checked before anything of it is parsed, pings too, and which
forge it is from is a setting, not a guess: Gitea sends GitHub's headers too.
What an event says is a hint where to look, never a state: nothing of it but a
branch's name is used. So it may come twice, late, or in another order, and no
forge's number of a delivery is looked at: GitHub's "Redeliver", and the retries
of GitLab, have that of the first, and GitLab gives one to all webhooks that
follow from another one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import MirrorSettings

CommitState = Literal["success", "failure", "pending"]

CONTEXT = "puppetmaster"
"""What a status is called at the forge, beside those of other programs."""


class Delivery(NamedTuple):
    """One webhook as it came in."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    path: str = ""
    """What follows the webhook's address, without the `/` in between; empty unless `secret_in_address`."""


class Look(NamedTuple):
    """What a webhook asks for."""

    branch: BranchName | None = None
    """The branch that may have moved; None: any."""


class Status(NamedTuple):
    """What is to be posted to the forge, so that it shows what became of a commit."""

    address: str
    document: Mapping[str, Any]
    """Goes as JSON."""
    headers: Mapping[str, str]
    """The token's. The others are everywhere the same (report.py)."""


class Forge(Protocol):
    """One kind of forge. A subclass says what is not as here."""

    secret_in_address: bool = False
    """The webhook's address is `/webhook/SECRET`, as this forge can prove itself in no other way."""

    @abstractmethod
    def genuine(self, secret: str, delivery: Delivery, now: float) -> bool:
        """Tell whether somebody who knows `secret`, which is not empty, sent this; `now` in seconds since 1970.

        Compares in constant time (`reading.same`), and parses no body.
        """

    def excuse(self, secret: str, delivery: Delivery, now: float) -> str:
        """Return why a delivery is not genuine, if who sent it knows `secret` all the same; empty: they do not."""
        del secret, delivery, now
        return ""

    @abstractmethod
    def asked(self, delivery: Delivery) -> Look | None:
        """Return where to look, None for events that move no branch; raise ValueError, with words, for a bad body.

        It is only asked about what is genuine.
        """

    def status(
        self, mirror: MirrorSettings, commit: ObjectId, state: CommitState, text: str, token: str
    ) -> Status | None:
        """Return how `state` of `commit` is told, with `text` (140 characters at most); None: it takes no statuses.

        `mirror.api` and `mirror.project` are set.
        """
        del mirror, commit, state, text, token
        return None
