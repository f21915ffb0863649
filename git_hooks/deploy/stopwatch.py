"""Measures how long the steps of a deploy take, for its record. Owns nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """The steps of one deploy."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        """By step; one that was taken up several times counts with their sum."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done inside the block, however it ends."""
        began = time.perf_counter()
        try:
            yield
        finally:
            passed = (time.perf_counter() - began) * 1000
            self.milliseconds[name] = round(self.milliseconds.get(name, 0.0) + passed, 1)
