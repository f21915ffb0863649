"""Reads the state of the follower and its answers from outside, for `enc-admin status` and `doctor`.

Reads what the follower wrote, and whether somebody holds its lock. Changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass

from enc.answers.copy import opened
from enc.answers.database import CopyDamaged, CopyFailed
from enc.answers.layout import Layout
from enc.answers.plans import plans
from enc.answers.reader import read_contact
from enc.answers.trouble import FACT, Trouble, decode
from enc.answers.worklist import Problem
from enc.settings import Settings

_STALLED = 30.0
"""Seconds without a beat after which a follower that holds the lock is no longer believed to work."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One part of the directory that is followed."""

    feed: str
    base: str
    complete: bool
    """Whether it was read to its end at least once."""
    cookie: str | None
    """From where on the next connection asks; None: from the start, or the server has to be polled."""


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """The state of one answers directory."""

    directory: str
    running: bool
    """Whether a follower holds the lock."""
    pid: int | None
    state: str
    """`current`, `unreachable` (LDAP is), `refused` (LDAP answers and does not give all), `behind` (the server that
    answers lacks changes), `stalled` (it runs and gets nothing done, for want of disk space, say),
    `stopped` (nobody follows) or `never` (nobody ever was up to date)."""
    age: int | None
    """Seconds since the answers were last known to be what LDAP says."""
    max_age: int
    too_old: bool
    """Whether `enc` refuses because of the age."""
    nodes: int | None
    pending: int | None
    problems: tuple[Problem, ...]
    feeds: tuple[FeedStatus, ...]
    troubles: tuple[Trouble, ...] = ()
    """What keeps a follower that runs from being up to date, feed by feed."""
    unreadable: str | None = None
    """Why the numbers from the copy are missing."""


def status(settings: Settings) -> FollowerStatus:
    """Return how things are; never raises for what it finds."""
    layout = Layout(settings.answers.directory)
    contact = read_contact(layout)
    running, pid = _lock(layout)
    age = max(0, int(time.time()) - contact.contact) if contact else None
    limit = contact.max_age if contact else int(settings.answers.max_age)
    state: str = "never" if contact is None else contact.state if running else "stopped"
    if contact is not None and running and abs(time.time() - contact.beat) > _STALLED:  # a clock that was set back, too
        state = "stalled"
    nodes = pending = None
    problems: tuple[Problem, ...] = ()
    feeds: tuple[FeedStatus, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    unreadable = None if layout.copy.exists() else "there is no copy yet"
    if unreadable is None:
        try:
            with opened(layout.copy, settings) as copy:
                nodes, work, progress = copy.records.count_nodes(), copy.worklist, copy.progress
                troubles = decode(progress.fact(FACT)) if running else ()
                pending, problems = work.dirty_count(), tuple(work.problems())
                feeds = tuple(
                    FeedStatus(plan.feed, plan.base, progress.complete(plan.feed), _text(progress.cookie(plan.feed)))
                    for plan in plans(settings)
                )
        except (CopyDamaged, CopyFailed) as error:
            unreadable = str(error)
    if state == "unreachable":
        state = _worst(troubles)
    return FollowerStatus(
        str(layout.root),
        running,
        pid,
        state,
        age,
        limit,
        age is not None and age > limit,
        nodes,
        pending,
        problems,
        feeds,
        troubles,
        unreadable,
    )


def _worst(troubles: tuple[Trouble, ...]) -> str:
    """Return the kind of trouble that somebody has to mend first."""
    kinds = {trouble.kind for trouble in troubles}
    return next((kind for kind in ("refused", "behind") if kind in kinds), "unreachable")


def _text(cookie: bytes | None) -> str | None:
    return None if cookie is None else cookie.decode("utf-8", "backslashreplace")


def _lock(layout: Layout) -> tuple[bool, int | None]:
    """Tell whether a follower holds the lock, and its process id."""
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False, None
    try:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, int(owner) if owner.isdigit() else None
        return False, None
    finally:
        os.close(descriptor)
