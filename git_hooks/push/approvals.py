"""Files that operators let members' branches bring, though no branch of theirs has them.

An approval is of one content (its object id) at one path, with a reason, who
gave it, and perhaps an end. It is read at each push that needs it, so one that
was given, revoked or has ended counts from the next push on; what is live
already stays (`branch-manager audit-code` names it).

Owns approvals.json in the store, and its lock: one operator at a time changes
it. Failure modes: one that cannot be read or
written is an expected error, and a push that needs it is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import NotFound, ToolkitError
from git_hooks.store.locks import locked

NAME = "approvals.json"


class Approval(NamedTuple):
    """That members' branches may have a file."""

    path: str
    blob: str
    """The object id of its content."""
    reason: str
    who: str
    at: float
    """When it was given, seconds since 1970."""
    until: float | None = None
    """When it ends; None: it does not."""


class Approvals:
    """The approvals of one site."""

    def __init__(self, store: Path) -> None:
        """Read nothing yet."""
        self._file = store / NAME
        self._read: tuple[Approval, ...] | None = None

    def has(self, path: str, blob: str, now: float | None = None) -> bool:
        """Tell whether the file is approved, and still is; they are read once for each object of this class."""
        if self._read is None:
            self._read = self.all()
        moment = time.time() if now is None else now
        return any(
            (one.path, one.blob) == (path, blob) and (one.until is None or moment < one.until) for one in self._read
        )

    def all(self) -> tuple[Approval, ...]:
        """Return all, those that ended, too; raise `ToolkitError` if they cannot be read."""
        try:
            found = json.loads(self._file.read_text("utf-8"))
            return tuple(Approval(**one) for one in found)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ToolkitError(reason(error), where=str(self._file)) from error
        except (ValueError, TypeError) as error:
            raise ToolkitError("does not hold approvals; correct or remove it", where=str(self._file)) from error

    def add(self, approval: Approval) -> None:
        """Keep one, in the place of an earlier one for the same file."""
        with self._changing():
            others = [one for one in self.all() if (one.path, one.blob) != (approval.path, approval.blob)]
            self._keep((*others, approval))

    def revoke(self, path: str) -> tuple[Approval, ...]:
        """Take back all for a path, and return them; raise `NotFound` if there is none."""
        with self._changing():
            kept = self.all()
            gone = tuple(one for one in kept if one.path == path)
            if not gone:
                raise NotFound("no file with this path is approved", where=path)
            self._keep(one for one in kept if one.path != path)
            return gone

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with locked(f"{self._file}.lock"):
                yield
        except ToolkitError:
            raise  # whole_file's are both
        except OSError as error:
            raise ToolkitError(reason(error), where=str(self._file)) from error

    def _keep(self, approvals: Iterable[Approval]) -> None:
        text = json.dumps([one._asdict() for one in approvals], indent=1) + "\n"
        whole_file.write(self._file, text, mode=0o644, survives=Strength.POWER_CUT)
        self._read = None
