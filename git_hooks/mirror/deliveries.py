"""Which webhooks were taken before: one empty file for each, so a replay is told also after a restart.

The file is made exclusively: of two processes that get the same delivery at
once, one takes it. A delivery that was taken by a process that was then killed
is not taken again; the look at the start of the next process makes up for it.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

KEPT = 7 * 86400
"""Seconds after which a delivery is forgotten. A replay then costs one look at the forge, and nothing more."""


class Deliveries:
    """The deliveries of one store."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when it is needed."""
        self._directory = directory
        self._swept = 0.0

    def take(self, number: str) -> bool:
        """Note a delivery; tell whether it is new."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        try:
            (self._directory / hashlib.sha256(number.encode("utf-8", "surrogateescape")).hexdigest()).touch(
                mode=0o600, exist_ok=False
            )
        except FileExistsError:
            return False
        return True

    def _sweep(self) -> None:
        now = time.time()
        if now - self._swept < 3600:
            return
        self._swept = now
        for file in self._directory.iterdir():
            with suppress(FileNotFoundError):
                if now - file.stat().st_mtime > KEPT:
                    file.unlink()
