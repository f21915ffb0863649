"""Decides whether the server that a feed follows has all the changes that we know of. Pure.

Being connected, and nothing coming, is no proof: a replica whose own link is
broken says nothing either, for ever. So the server's contextCSN is held against
two things:

- *what the copy was made from* (its cookies). Where the server lacks some of
  it, it lags, or was set back. It is waited for: what it cannot know of is
  neither taken back nor deleted, its own changes are taken. If there is only
  this server, its word counts at once. If all servers were asked, and some
  seconds later again, and none has it, that is how it is; while one does not
  answer, which may have it, only after `follow.patience`. Then the server is
  believed. The last word is always a new connection's, which asks all.
- *what other servers were seen to have*. If another has all of this server's
  changes and more, the feed moves there. If each has something that the other
  lacks, replication between them is broken, and no server says all of the
  truth: that is told, and the answers get older.

Servers that do not show contextCSN are taken at their word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from enc.directory.csns import NOTHING_KNOWN, Csns
from enc.directory.sync_events import Connected

_SETTLING = 3.0
"""Seconds that servers which all answer get to hand a change to one another."""
_LAG = 5.0
"""Seconds by which a server may be later than another without lagging."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of the server."""

    kind: Literal["level", "behind", "ask", "believe", "move", "torn"]
    """`level`: it has all; `behind`: wait for it; `ask`: connect anew, and so ask all servers again;
    `believe`: it lacks something and its word counts all the same;
    `move`: go to a server that has `wanted`; `torn`: others have what it lacks, and the other way round."""
    text: str = ""
    wanted: Csns = NOTHING_KNOWN


LEVEL = Verdict("level")


@dataclass(slots=True)
class Standing:
    """One feed's server, as far as it was seen."""

    uri: str = ""
    csns: Csns = NOTHING_KNOWN
    """How far the server has got, at its last word."""
    _servers: int = 1
    _silent: int = 0
    _lacking: float | None = None
    """Since when (monotonic) it has lacked something."""
    _all_asked: float | None = None
    """Since when (monotonic) it has, while every server answers."""
    _fresh: bool = False
    """Whether all servers were asked just now."""
    _others: dict[str, tuple[Csns, float]] = field(default_factory=dict)
    """By address: how far another server had got, and when (monotonic)."""

    def connected(self, event: Connected) -> None:
        """Note which server is followed from now on."""
        if event.uri != self.uri:
            self._others.clear()
        self.uri, self.csns = event.uri, event.csns
        self._servers, self._silent = event.servers, event.silent
        self._fresh = True

    def alive(self, csns: Csns) -> None:
        """Note how far the server has got now."""
        self.csns = csns or self.csns

    def sighted(self, seen: dict[str, Csns], now: float) -> None:
        """Note how far all the servers that answer have got."""
        self._silent = self._servers - len(seen)
        self._others = {uri: (csns, now) for uri, csns in seen.items() if uri != self.uri}

    def lacks(self, known: Csns) -> bool:
        """Tell whether the server lacks something of `known`; no, where it does not say."""
        return bool(self.csns) and not self.csns.covers(known)

    def judge(self, known: Csns, now: float, patience: float) -> Verdict:
        """Judge the server, with a copy made from `known`; `now` is monotonic, `patience` in seconds."""
        fresh, self._fresh = self._fresh, False
        if not self.csns:
            return LEVEL
        ahead = self._ahead(now)
        if ahead is not None and ahead.kind == "move":
            return ahead
        if not self.lacks(known):
            self._lacking = self._all_asked = None
            return ahead or LEVEL
        if self._lacking is None:
            self._lacking = now
            if not fresh:
                # Its answer may have been on the way when a change overtook it; the next answer tells.
                return ahead or LEVEL
        if self._silent:
            self._all_asked = None
        elif self._all_asked is None:
            self._all_asked = now
        agreed = self._all_asked is not None and now - self._all_asked >= min(_SETTLING, patience)
        missing = f"{self.uri} lacks changes of {_named(self.csns.lacks(known))} that the answers were made from"
        if self._servers == 1 or agreed or now - self._lacking >= patience:
            if not fresh:
                return Verdict("ask", missing)
            self._lacking = self._all_asked = None
            return Verdict("believe", f"{missing}; no server that answers has them, so its data is used")
        return Verdict(
            "behind",
            f"{missing}: it lags behind or was restored from a backup; waiting until it or another server has them",
        )

    def _ahead(self, now: float) -> Verdict | None:
        """Judge by what other servers had some moments ago and this one still lacks."""
        late = {uri: csns for uri, (csns, at) in self._others.items() if now - at > _LAG and not self.csns.covers(csns)}
        for uri, csns in late.items():
            if csns.covers(self.csns):
                return Verdict("move", f"{self.uri} lags behind {uri}; switching to that one", csns)
        for uri, csns in late.items():
            return Verdict(
                "torn",
                f"{self.uri} lacks changes of {_named(self.csns.lacks(csns))} that {uri} has, and vice versa: "
                "repair the replication between them, or take one of them out of directory.uris",
            )
        return None


def _named(servers: tuple[int, ...]) -> str:
    return f"server {', '.join(f'{number:03x}' for number in servers)}"
