"""What the signals that end a program mean to the transaction: Ctrl-C, the end of a service, a terminal that closes.

Going forwards, the first of them is an interrupt, and begins the way back; all
that follow, and a closing terminal sends several, do nothing. On the way back
none does anything.

They get a handler that does nothing and are not ignored, because programs
inherit what is ignored (execve(2)): one that is to end when its time is over
could then not be told so in order. What was ignored when we were started
(nohup) does nothing to us either.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let nobody interrupt the way back."""
    with _handled(_nothing):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first signal, and at no other."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        for one in _ENDING:
            signal.signal(one, _nothing)
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


def _nothing(number: int, frame: object) -> None:
    del number, frame


@contextmanager
def _handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number, former in before.items():
            signal.signal(number, _nothing if former is signal.SIG_IGN else handler)
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, signal.SIG_DFL if former is None else former)
