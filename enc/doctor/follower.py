"""Is somebody following, are the answers young, and does every entry have one? Judgements of `enc.answers.status`."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from enc.answers.layout import CLOCK_TOLERANCE, Layout
from enc.answers.reader import read_contact
from enc.answers.status import FollowerStatus, status
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.settings import Settings
from enc.terms.counted import counted

START = "systemctl start puppetmaster-follow (or: enc-admin follow)"
LITTLE_SPACE = 100 << 20
LITTLE_PART = 0.05
"""Of a file system or its inodes, below which it will soon be full."""
_LONG = 60.0
"""Seconds after which a large directory, too, should have been read."""
_LOOK = "see ldap-connect above and the follower's log (journalctl -u puppetmaster-follow)"
_NAMED = 5
"""So many bad entries are named."""


def check(config: Path, settings: Settings) -> Iterator[Finding]:
    """Look at the follower, its copy, and the room that it has."""
    layout = Layout(settings.answers.directory)
    found = status(settings)
    started = _changed(layout.lock) if found.running else None
    yield from judge(found, _runs_for(found.pid))
    yield from judge_configuration(_changed(config), started)
    contact = read_contact(layout)
    if contact is not None:
        yield from judge_clock(contact.contact, time.time())
    yield from _space(settings)


def judge(found: FollowerStatus, running: float = 0.0) -> Iterator[Finding]:
    """Judge what `status` found; `running`: for how many seconds the follower runs."""
    if found.state == "never" and not found.running:
        yield note("follower", "the follower has never run here: enc asks LDAP for every catalog", START)
        return
    if not found.running:
        yield fault("follower", "is not running: the answers get older, and edits do not reach them", START)
    elif found.state == "never" and found.troubles:
        yield fault("follower", f"runs (pid {found.pid}) and has not finished reading LDAP: {_told(found)}", _LOOK)
    elif found.state == "never":
        text = f"runs (pid {found.pid}) and has not finished reading LDAP yet"
        do = "see its log (journalctl -u puppetmaster-follow); can its account read the secret?"
        yield warning("follower", text, do) if running > _LONG else note("follower", text, do)
    elif found.state == "unreachable":
        yield fault("follower", f"runs (pid {found.pid}) and cannot reach LDAP{_because(found)}", _LOOK)
    elif found.state == "refused":
        do = "give the follower's account what it lacks (limits, access rules), or correct the setting that is named"
        text = f"runs (pid {found.pid}); LDAP answers but does not return everything{_because(found)}"
        yield fault("follower", text, do)
    elif found.state == "behind":
        do = "repair the replication between the servers, or take the one that lags out of directory.uris"
        text = f"runs (pid {found.pid}); the LDAP server that answers lacks changes{_because(found)}"
        yield fault("follower", text, do)
    elif found.state == "stalled":
        do = "see the follower's log (journalctl -u puppetmaster-follow); is the disk full?"
        yield fault("follower", f"runs (pid {found.pid}) and makes no progress", do)
    else:
        yield ok("follower", f"runs (pid {found.pid}) and keeps up with LDAP")
    yield from _age(found)
    if found.unreadable is not None:
        yield note("follower-copy", found.unreadable, "run this as root or as the follower's user")
        return
    yield from _entries(found)


def _told(found: FollowerStatus) -> str:
    return "; ".join(dict.fromkeys(trouble.message for trouble in found.troubles))


def _because(found: FollowerStatus) -> str:
    return f": {_told(found)}" if found.troubles else ""


def _age(found: FollowerStatus) -> Iterator[Finding]:
    if found.age is None:
        return
    text = f"the answers are {found.age} s old, the limit (answers.max_age) is {found.max_age} s"
    if found.too_old:
        yield fault("answers-age", f"{text}: enc refuses all of them", "correct what the lines above report")
    elif found.age > found.max_age / 2:
        yield warning("answers-age", text, "correct what the lines above report before the limit is reached")
    else:
        yield ok("answers-age", text)


def _entries(found: FollowerStatus) -> Iterator[Finding]:
    if found.pending:
        text = f"{found.pending} of {counted(found.nodes or 0, 'answer is', 'answers are')} yet to be rewritten"
        yield note("answers-pending", text, "check again soon")
    else:
        yield ok("answers-pending", f"the answers of {counted(found.nodes or 0, 'node')} are up to date")
    for problem in found.problems[:_NAMED]:
        yield warning("entries", f"{problem.name}: {problem.message}", "correct the entry in LDAP")
    if len(found.problems) > _NAMED:
        yield warning("entries", f"{len(found.problems) - _NAMED} more cannot be classified", "see enc-admin status")
    if not found.problems:
        yield ok("entries", "every entry can be classified")


def judge_configuration(changed: float | None, started: float | None) -> Iterator[Finding]:
    """Judge when (epoch seconds) the configuration changed and the follower started; None: not known."""
    if changed is None or started is None:
        return
    if changed > started:
        yield warning(
            "follower-config",
            f"the configuration changed {changed - started:.0f} s after the follower started, which has not read it "
            "again",
            "systemctl restart puppetmaster-follow",
        )
    else:
        yield ok("follower-config", "the follower runs with the current configuration")


def judge_clock(contact: int, now: float) -> Iterator[Finding]:
    """Judge the answers' time of contact against the clock (epoch seconds)."""
    if contact > now + CLOCK_TOLERANCE:
        yield fault(
            "answers-clock",
            f"the answers were made {contact - now:.0f} s in the future: this machine's clock was set back",
            "set the clock right; until then enc asks LDAP for every catalog",
        )


def judge_space(place: Path, free: int, free_part: float, free_inodes: float) -> Finding:
    """Judge what is left (bytes, and parts of 1) on the file system of `place`."""
    if free < LITTLE_SPACE or free_part < LITTLE_PART or free_inodes < LITTLE_PART:
        text = f"{place}: {free / 1e6:.0f} MB and {free_inodes:.0%} of the inodes are free"
        return warning("disk-space", text, "free some space: on a full disk the answers are not updated and get older")
    return ok("disk-space", f"{place}: {free / 1e9:.1f} GB are free")


def _space(settings: Settings) -> Iterator[Finding]:
    seen = set()
    for wanted in (settings.answers.directory, settings.audit.file.parent, settings.directory.data_directory):
        try:
            device, usage, inodes = wanted.stat().st_dev, shutil.disk_usage(wanted), os.statvfs(wanted)
        except OSError:
            continue
        if device not in seen:
            seen.add(device)
            share = inodes.f_favail / inodes.f_files if inodes.f_files else 1.0
            yield judge_space(wanted, usage.free, usage.free / max(usage.total, 1), share)


def _runs_for(pid: int | None) -> float:
    """Return for how many seconds a process runs, by a clock that nobody sets; 0 if that cannot be told (proc(5))."""
    try:
        # What stands before the last parenthesis is the program's name.
        ticks = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, uptime - ticks / os.sysconf("SC_CLK_TCK"))


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
