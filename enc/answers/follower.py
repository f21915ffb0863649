"""Keep the answers on disk equal to what LDAP says, for as long as the process lives.

Owns the lock, the umask, the metrics' endpoint, and what follows a failure.
Whatever fails inside (a full disk, a damaged copy) ends a *session*
(session.py): feeds are stopped, the copy is closed, or thrown away if it is
damaged, and after a pause the next session begins from what was committed.
Answers on disk go on being read all the time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from enc.answers import metrics
from enc.answers.database import CopyDamaged, discard
from enc.answers.layout import BEAT, Layout
from enc.answers.lock import locked
from enc.answers.session import Session
from enc.answers.writer import AnswerWriter
from enc.programs import log
from enc.settings import Settings
from enc.terms.errors import ToolkitError


def serve(settings: Settings, *, once: bool = False) -> None:
    """Follow until SIGTERM or SIGINT; for the process whose only work this is."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    follow(settings, once=once, stop=stop)


def follow(
    settings: Settings, *, once: bool = False, stop: threading.Event | None = None, beat: float = BEAT
) -> None:
    """Follow until `stop` is set; with `once`, until everything is up to date for the first time.

    Raise `AlreadyFollowed`, `ConfigurationError`, and with `once` what stands in the way.
    """
    layout = Layout(settings.answers.directory)
    stop = stop or threading.Event()
    os.umask(0o022)  # who may read the answers is decided by the mode of their directory alone
    numbers = metrics.Metrics()
    with contextlib.ExitStack() as held:
        try:
            layout.create()
            lock = held.enter_context(locked(layout, stop))
            writer = held.enter_context(AnswerWriter(layout))
            writer.clean()
        except OSError as error:
            raise _unwritable(layout, error) from error
        if settings.follow.metrics_listen:
            server = metrics.listen(settings.follow.metrics_listen, numbers)
            held.callback(server.server_close)
            held.callback(server.shutdown)
        while not _served(layout, settings, writer, numbers, lock, stop, beat, once=once):
            numbers.errors_total += 1
            numbers.up = 0
            stop.wait(beat)


def _served(
    layout: Layout,
    settings: Settings,
    writer: AnswerWriter,
    numbers: metrics.Metrics,
    lock: int,
    stop: threading.Event,
    beat: float,
    *,
    once: bool,
) -> bool:
    """Run one session; return whether it came to its intended end."""
    logger = log.get("follower")
    try:
        if not stop.is_set():
            Session(layout, settings, writer, numbers, lock, stop, beat).run(once=once)
    except CopyDamaged as error:
        logger.warning("%s; it is discarded and read again from LDAP", error)
        discard(layout.copy)
        return False
    except (ToolkitError, OSError) as error:
        if once:
            raise error if isinstance(error, ToolkitError) else _unwritable(layout, error) from error
        logger.warning("%s; trying again", error)
        return False
    except Exception:  # one iteration of the outermost loop
        if once:
            raise
        logger.exception("a bug stopped the follower's session; trying again")
        return False
    return True


def _unwritable(layout: Layout, error: OSError) -> ToolkitError:
    return ToolkitError(
        f"cannot be written: {error.strerror or error}; it must belong to the follower's account and have free space",
        where=error.filename or str(layout.root),
    )
