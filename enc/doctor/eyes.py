"""Runs checks as the account they are about, because doctor is root and must not trust that account's files.

Failure modes: a place that root cannot use safely, or a check that gives no answer, is a finding itself.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from enc.doctor.findings import Finding, fault, note
from enc.programs.accounts import NotSafe, as_account, owner_of
from enc.terms.errors import ToolkitError

_PATIENCE = 900.0
"""Seconds; a forge that hangs has a time-out of its own, and 100,000 answers take some."""


class OwnersEyes:
    """Looks as the owner of some places, where root runs this; else as who runs it."""

    def __init__(self, check: str, places: Callable[[], Sequence[Path]]) -> None:
        """`check`: what a finding is called that says that nothing could be looked at."""
        self._check = check
        self._places = places

    def findings(self, *looks: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
        """Yield what the checks find."""
        if os.geteuid() != 0:
            for look in looks:
                yield from look()
            return
        try:
            owner = owner_of(self._places())
        except NotSafe as error:
            yield fault(self._check, str(error), "until then nothing there is checked")
            return
        for look in looks:
            if owner is None:
                yield from look()
                continue
            try:
                said = as_account(owner, lambda look=look: [dataclasses.asdict(one) for one in look()], _PATIENCE)  # type: ignore[misc]
            except ToolkitError as error:
                yield note(self._check, str(error), f"run this as {owner.name}, too")
                continue
            yield from (Finding(**one) for one in said)
