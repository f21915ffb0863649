"""The journal of one enable and of the way back: what undo needs is on disk before anything is done.

One JSON document a line in DIRECTORY/journal.jsonl. `begin` is written and
synced before a step acts, with all that its undo needs; `done` after it;
`undone` after its undo. The file appears complete with its first line (one
rename) and leaves by one rename into history/, when everything is undone.

What a crash leaves: a last line without its end was never answered for, so
what it speaks of did not begin; it is cut off when the journal is opened. Of a
line that a full disk refused nothing stays (json_lines.py). A line in the
middle that cannot be read is damage: `JournalDamaged`, and nothing is touched,
for the snapshot beside it is then the only way back.

What a full disk does: going forwards, a line that cannot be written is an
error, and leads back. On the way back (`owing`) it holds nothing up: it is
owed, and written before the next line that can be. Until then a crash has what
was undone already undone once more, which every undo takes. And there should be
room: a reserve of `_RESERVE` octets is set aside when the journal is opened,
and given up when the way back begins, for the journal's lines and for what
undoing writes (puppet.conf, what the package programs note down).

Not here: what steps do (steps/), which states there are (states.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import json_lines, whole_file
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import ToolkitError
from puppetmaster_self.transaction.states import STATES, SelfMasterState

_KEPT = 20
"""So many finished journals stay."""
_RESERVE = 8 << 20
"""Octets; dpkg writes its list of packages anew with each that goes, a MB or two."""


class JournalDamaged(ToolkitError):
    """The journal cannot be read, so nobody knows what to undo."""


class Busy(ToolkitError):
    """Another puppetmaster-self works on this instance."""


class Begun(NamedTuple):
    """A step that has begun and is not undone."""

    number: int
    step: str
    undo: Mapping[str, Any]
    done: bool


class Ended(NamedTuple):
    """How the last journal that was put away came to its end."""

    at: float
    """When the way back began, in seconds since 1970."""
    reason: str
    """What failed, was interrupted or was dead; empty: somebody wanted it."""


class Journal:
    """The open journal of an instance, or none (`state` is then `client`)."""

    def __init__(self, directory: Path, *, mend: bool = True) -> None:
        """Read what is there, and `mend` a torn end: not for who does not hold the lock, somebody may be writing it."""
        self.directory = directory
        self.path = directory / "journal.jsonl"
        self.entries: list[dict[str, Any]] = []
        self._reserve = directory / "reserve"
        self._may_owe = False
        self._owed: list[dict[str, Any]] = []
        # To whoever reads it, a line that cannot be read is damage: so what is torn is cut.
        self._lines = JsonLines(self.path, mode=None, survives=Strength.POWER_CUT, cuts=True)
        if mend:
            # If it cannot be cut now, it is cut before the next line; readers leave it out.
            with contextlib.suppress(NotWritten):
                self._lines.mend()
        self.entries = _entries(self._lines)

    @property
    def state(self) -> SelfMasterState:
        """Where the instance is."""
        return next((entry["state"] for entry in reversed(self.entries) if "state" in entry), "client")

    @property
    def since(self) -> float | None:
        """When this state began, in seconds since 1970; None without a journal."""
        return next((entry["at"] for entry in reversed(self.entries) if "state" in entry), None)

    @property
    def reason(self) -> str:
        """Why this state was entered, if something went wrong; else empty."""
        return next((entry.get("reason", "") for entry in reversed(self.entries) if "state" in entry), "")

    @property
    def opened(self) -> Mapping[str, Any]:
        """What the journal was opened with; empty without a journal."""
        return self.entries[0] if self.entries else {}

    def open(self, state: SelfMasterState, at: float, **facts: Any) -> None:
        """Begin the journal; nothing has been changed before this is on disk."""
        if self.entries:
            raise ToolkitError("there already is one; run `puppetmaster-self recover` first", where=str(self.path))
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._history.mkdir(mode=0o700, exist_ok=True)
        self._set_aside()
        entry = {"state": state, "at": at, **facts}
        try:
            whole_file.write(self.path, json_lines.line(entry), mode=0o600, survives=Strength.POWER_CUT)
        except NotWritten:
            self._give_up()
            raise
        self.entries.append(entry)

    @contextlib.contextmanager
    def owing(self) -> Iterator[None]:
        """Give up the reserve; within, a line that cannot be written holds nothing up, but is owed.

        What goes on being served by itself then gets its reserve back, if there is room.
        """
        self._give_up()
        self._may_owe = True
        try:
            yield
        finally:
            self._may_owe = False
            if self.state == "serving":
                with contextlib.suppress(OSError):
                    self._set_aside()

    def enter(self, state: SelfMasterState, at: float, reason: str = "") -> None:
        """Record the state in which the instance is from now on."""
        self._append({"state": state, "at": at, **({"reason": reason} if reason else {})})

    def begin(self, step: str, undo: Mapping[str, Any], at: float) -> int:
        """Record that `step` begins, and what its undo needs; return its number."""
        number = len(self.entries)
        self._append({"begin": number, "step": step, "undo": dict(undo), "at": at})
        return number

    def done(self, number: int, at: float, told: str) -> None:
        """Record that a step has done its work; `told` is what it found, in words."""
        self._append({"done": number, "told": told, "at": at})

    def undone(self, number: int, at: float) -> None:
        """Record that a step is as if it had never been."""
        self._append({"undone": number, "at": at})

    def standing(self) -> tuple[Begun, ...]:
        """Return the steps that have begun and are not undone, the last first."""
        undone = {entry["undone"] for entry in self.entries if "undone" in entry}
        done = {entry["done"] for entry in self.entries if "done" in entry}
        return tuple(
            Begun(entry["begin"], entry["step"], entry["undo"], entry["begin"] in done)
            for entry in reversed(self.entries)
            if "begin" in entry and entry["begin"] not in undone
        )

    def last(self, step: str) -> Mapping[str, Any] | None:
        """Return what the undo of the latest `step` was given, undone or not; None: it never began."""
        return next((entry["undo"] for entry in reversed(self.entries) if entry.get("step") == step), None)

    def close(self, at: float) -> Path:
        """Put the journal away, now that nothing stands any more; return its place in history/.

        Raise `NotWritten` if it has to stay where it is.
        """
        if self.standing():  # no `assert`, which Python may be told to leave out
            raise AssertionError("the journal is kept until the undo is complete")
        if self._owed:
            with contextlib.suppress(NotWritten):
                self._lines.append(*self._owed)
        self._owed.clear()
        former = self._finished()
        # Named after the time, but later than the one before, whatever the clock says: the last name is the last one.
        number = max([0, int(at), *(_number(path) + 1 for path in former[-1:])])
        place = self._history / f"{number}.jsonl"
        try:
            self._history.mkdir(mode=0o700, exist_ok=True)
            self.path.rename(place)
        except OSError as error:
            raise NotWritten(error, str(place)) from error
        self.entries.clear()
        # All is undone; what is not on disk after a power cut is undone once more.
        with contextlib.suppress(OSError):
            whole_file.sync(self._history)
            whole_file.sync(self.directory)
        with contextlib.suppress(OSError):
            for old in [*former, place][:-_KEPT]:
                old.unlink(missing_ok=True)
        return place

    def ended(self) -> Ended | None:
        """Return how the last journal that was put away ended; None: there is none that can be read."""
        places = self._finished()
        try:
            entries = _entries(JsonLines(places[-1], mode=None, survives=Strength.KILL)) if places else []
        except JournalDamaged:
            return None
        back = next((entry for entry in reversed(entries) if entry.get("state") == "returning"), None)
        return None if back is None else Ended(float(back["at"]), str(back.get("reason", "")))

    @property
    def _history(self) -> Path:
        return self.directory / "history"

    def _finished(self) -> list[Path]:
        """Return the journals that were put away, the last one last."""
        return sorted((path for path in self._history.glob("*.jsonl") if path.stem.isdecimal()), key=_number)

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            self._lines.append(*self._owed, entry)
        except NotWritten:
            if not self._may_owe:
                raise
            self._owed.append(entry)
        else:
            self._owed.clear()
        self.entries.append(entry)

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        """Take the room that the way back may need; raise `NotWritten` if there is none."""
        try:
            handle = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(handle, 0, _RESERVE)
            except OSError:
                self._reserve.unlink(missing_ok=True)
                raise
            finally:
                os.close(handle)
        except OSError as error:
            raise NotWritten(error, str(self._reserve)) from error


@contextlib.contextmanager
def alone(lock: Path, *, wait: float = 0.0) -> Iterator[int]:
    """Hold the instance's lock and give its handle; raise `Busy` if somebody else has it for `wait` seconds.

    The kernel frees it when the last process ends that was given the handle.
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + wait
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise Busy(
                        "another puppetmaster-self is running here; wait for it to end", where=str(lock)
                    ) from error
                time.sleep(0.1)
        yield handle
    finally:
        os.close(handle)


def _number(path: Path) -> int:
    return int(path.stem)


def _entries(lines: JsonLines) -> list[dict[str, Any]]:
    """Return what a journal holds, without a last line that is torn; nothing if there is none."""
    entries = []
    for line in lines.read():
        entry = line.record
        if not line.whole:
            continue
        if entry is None or entry.get("state", "client") not in STATES:
            raise JournalDamaged(
                f"line {line.number} cannot be read; the snapshot beside it has the earlier state", where=lines.file
            )
        entries.append(entry)
    return entries
