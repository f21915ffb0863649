"""Waits that end, whatever is waited for: for programs that puppetserver starts and waits for without an end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from enc.terms.errors import DirectoryUnreachable

T = TypeVar("T")


def within(seconds: float, question: Callable[[], T]) -> T:
    """Return what `question` returns, or raise what it raises; raise `DirectoryUnreachable` after `seconds`.

    It is asked in a thread that is left behind if need be: some waits know no
    time-out of their own (looking up a host name, say).
    """
    answers: queue.SimpleQueue[tuple[T] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put((question(),))
        except Exception as error:  # handed over, not swallowed
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty:
        raise DirectoryUnreachable(f"no answer within {seconds:g} s; see enc-admin doctor") from None
    if isinstance(found, Exception):
        raise found
    return found[0]
