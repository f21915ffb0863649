"""What is remembered about deploys: records, holds, and flushes that are still owed.

Owns the files below records/, holds/ and pending/ of the store. The caller
holds the environment's lock when it writes.

- A record is one JSON line, begun before the work and completed after it, so
  a deploy that was killed shows as begun only.
  A file that has grown past `_MOST` bytes is cut to its last records and the
  last switches, which a rollback needs. Of the last `_WHOLE` all words stay,
  of older ones how they begin.
- A hold keeps an environment as it is until it is released.
- A flush is owed from before the switch until every puppetserver confirmed it.

Records are not written through to the disk: after a power cut the last lines
may be missing. A rollback without a commit then asks for one, and a topic
branch may end as many days earlier; nothing else is decided by them.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from enc.programs import whole_file
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import Strength
from enc.terms.errors import MOST_SAID, InvalidName, bounded
from enc.terms.names import EnvironmentName
from git_hooks.repository.refs import ObjectId

_MOST = 131_072
"""Bytes of one environment's records after which they are cut; some 200 deploys."""
_KEPT = 100
"""Records that a cut leaves, and as many switches before them."""
_WHOLE = 20
_OF_OLDER = 160
"""Characters of words that a cut leaves in older records."""

Outcome = Literal["begun", "live", "unchanged", "held", "failed", "not flushed", "removed"]


class Record(NamedTuple):
    """One deploy."""

    environment: EnvironmentName
    outcome: Outcome
    old: ObjectId | None
    """What the environment showed before; None: there was none."""
    new: ObjectId | None
    """What it was to show; None: to be removed."""
    who: str
    why: str
    at: float
    """When it began, seconds since 1970."""
    milliseconds: dict[str, float]
    """How long each step took."""
    detail: str = ""
    """What went wrong, in one line."""
    note: str = ""
    """What people should know though nothing went wrong, a line for each thing."""
    remedy: str = ""
    """What helps if it failed: who does what."""

    @property
    def switched(self) -> bool:
        """Whether the environment was to show something else than before."""
        return self.old != self.new

    @property
    def good(self) -> bool:
        """Whether the environment shows what it should, as far as puppetserver can know."""
        return self.outcome in ("live", "unchanged", "removed")


class Hold(NamedTuple):
    """Why an environment stays as it is."""

    who: str
    reason: str
    at: float


class Records:
    """The records of one store."""

    def __init__(self, root: str) -> None:
        self._root = root

    def add(self, record: Record) -> None:
        """Append a record."""
        if self._lines(record.environment).append(_shorter(record)._asdict()) > _MOST:
            self._cut(record.environment)

    def of(self, environment: EnvironmentName, limit: int | None = 20) -> tuple[Record, ...]:
        """Return the last records of `environment`, the newest first; what began and went on counts once.

        At most `limit` of them, None: all that are kept.
        """
        found: dict[float, Record] = {}
        for line in self._lines(environment).read():
            with suppress(TypeError, InvalidName, ValueError):  # a line that a kill cut off
                record = _read(line.record or {})
                found.pop(record.at, None)
                found[record.at] = record
        # In the order in which they were written: a clock that is set back would turn that of their times round.
        return tuple(reversed(found.values()))[:limit]

    def held(self, environment: EnvironmentName) -> Hold | None:
        """Return why `environment` is held, None if it is not."""
        try:
            with open(self._hold(environment), encoding="utf-8") as stream:
                content: dict[str, Any] = json.load(stream)
        except FileNotFoundError:
            return None
        except ValueError:
            return Hold("?", "the file of the hold is damaged; release the environment and hold it again", 0.0)
        return Hold(**content)

    def hold(self, environment: EnvironmentName, hold: Hold) -> None:
        """Hold `environment`; an older hold is replaced."""
        text = json.dumps(hold._asdict())
        # Whoever was told that it is held relies on it.
        whole_file.write(self._hold(environment), text, mode=0o644, survives=Strength.POWER_CUT)

    def release(self, environment: EnvironmentName) -> bool:
        """End the hold; tell whether there was one."""
        return _unlink(self._hold(environment))

    def owes_flush(self, environment: EnvironmentName) -> bool:
        """Tell whether a puppetserver may still have an older version in its cache."""
        return os.path.exists(f"{self._root}/pending/{environment}")

    def owe_flush(self, environment: EnvironmentName) -> None:
        """Note that a flush must follow."""
        os.close(os.open(f"{self._root}/pending/{environment}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))

    def flushed(self, environment: EnvironmentName) -> None:
        """Note that it did."""
        _unlink(f"{self._root}/pending/{environment}")

    def owing(self) -> tuple[EnvironmentName, ...]:
        """Return the environments whose flush is owed, sorted; none, if all that is remembered is lost."""
        try:
            names = sorted(os.listdir(f"{self._root}/pending"))
        except FileNotFoundError:
            return ()
        return tuple(EnvironmentName(name) for name in names if EnvironmentName.accepts(name))

    def _cut(self, environment: EnvironmentName) -> None:
        """Forget the oldest records. Killed in between, the next record cuts."""
        records = self.of(environment, limit=None)
        recent, older = records[:_KEPT], records[_KEPT:]
        # What failed has switched nothing, and what fails for weeks must not push out what was live.
        switches = [record for record in older if record.switched and record.outcome != "failed"]
        kept = [*recent[:_WHOLE], *(_shorter(record, _OF_OLDER) for record in (*recent[_WHOLE:], *switches[:_KEPT]))]
        self._lines(environment).rewrite(record._asdict() for record in reversed(kept))

    def _hold(self, environment: EnvironmentName) -> str:
        return f"{self._root}/holds/{environment}"

    def _lines(self, environment: EnvironmentName) -> JsonLines:
        return JsonLines(f"{self._root}/records/{environment}.jsonl", mode=0o644, survives=Strength.KILL)


def _shorter(record: Record, most: int = MOST_SAID) -> Record:
    """Cut what is much longer; what was cut before stays as it is, and says rightly by how much."""
    detail, note = (bounded(text, most) if len(text) > most + 100 else text for text in (record.detail, record.note))
    return record._replace(detail=detail, note=note)


def told(record: Record) -> str:
    """Return a line about a deploy."""
    shown = record.new.abbreviated if record.new is not None else "nothing"
    words = {
        "live": f"live at {shown}",
        "unchanged": f"unchanged at {shown}",
        "removed": "removed",
        "held": "not deployed, because it is held",
        "failed": f"NOT deployed, nothing was changed: {record.detail}",
        "not flushed": f"switched to {shown}, but puppetserver may still serve the old version: {record.detail}",
        "begun": "begun",
    }
    note = f" ({'; '.join(filter(None, (*record.note.splitlines(), record.remedy)))})"
    note = note if record.note or record.remedy else ""
    return f"{record.environment}: {words[record.outcome]}{note}"


def _read(fields: dict[str, Any]) -> Record:
    record = Record(**fields)
    return record._replace(
        environment=EnvironmentName(record.environment),
        old=ObjectId(record.old) if record.old else None,
        new=ObjectId(record.new) if record.new else None,
    )


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
