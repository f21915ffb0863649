"""Root obeys nobody: a command that root runs becomes the account whose things it looks at, before it opens any.

What belongs to an account obeys that account: a repository's configuration names
programs, a directory can be another one between two looks. Whoever is its owner
gains nothing by that; root would give them everything. So:

- `owner_of` says whose some places are, and refuses where that can be changed
  by a third: on the way to a place, each directory and each link is root's or
  its owner's, and nobody else may write there. What is root's may hold nothing
  of anybody else's. Who may write this very program is not looked for: they
  need no other way.
- `become` changes this process for good: groups, group, user; nothing of the
  environment but `_KEPT` goes along. With a terminal, the account's process
  gets a session of its own, for who shares root's terminal can type into it
  (TIOCSTI, ioctl_tty(2)); root's process waits, hands signals on, and ends as
  the other did.
- `as_account` does one thing as an account, in a process that ends then.

Which command is run as whom: `AS_ROOT` in enc/commands/, git_hooks/commands/ and puppetmaster_self/commands/.
Not here: who may do what; that is what the account's rights say.

Failure modes: `NotSafe` with the place, and what to do.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enc.terms.errors import ToolkitError, UsageError

_PATIENCE = 30.0
_EVERYBODY = "everybody"
_MOST_LINKS = 40
"""As many as the kernel follows on one way (path_resolution(7))."""
_KEPT = (
    *("PATH", "TERM", "TZ", "LANG", "LANGUAGE", "COLUMNS", "NO_COLOR", "PUPPETMASTER_CONFIG"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"),
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"),
)
"""Variables that go along, and LC_*. Root's others are nobody else's business: agents, secrets, search paths."""
_HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

_FIRST_OF_OTHERS, _LAST_OF_OTHERS = 3, 1 << 20
"""File descriptors that whoever started this may have left open; a command has opened none yet."""

_began_as: int | None = None


class NotSafe(ToolkitError):
    """Root cannot use a place, for somebody else could let it be another one."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    also: tuple[int, ...] = ()
    """Groups beside those that it is in."""


def by_name(name: str) -> Account:
    """Return the user `name`; raise `UsageError` if there is none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise UsageError(f"there is no user {name!r} on this machine") from error
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def started_by() -> int:
    """Return the user that started this program, whoever it is now."""
    return os.getuid() if _began_as is None else _began_as


def owner_of(places: Sequence[Path]) -> Account | None:
    """Return the account that root must be to use `places`, the first of which decides; None: root itself.

    Places that do not exist are nobody's: then the one that they would be made in counts. Raise `NotSafe`.
    """
    first, *others = [_there(place) for place in places]
    status = first.stat()
    root = status.st_uid == 0
    for place in (first, *others) if root else (first,):
        allowed = {"uid 0", f"uid {status.st_uid}"}
        found = [*_on_the_way(place), *(_writers(place, place.stat()) if root else ())]
        strangers = {who: where for where, who in found if who not in allowed}
        if strangers and not strangers.keys() <= _writers_of_this_program():
            who, where = next(iter(strangers.items()))
            named = _named(who)
            whose = _named(f"uid {status.st_uid}")
            text = f"is {whose}'s, and {named} could replace it: {named} can change {where}"
            raise NotSafe(f"{text}; chown it to {whose}, chmod go-w it, or do this as {whose}", where=str(place))
    return None if root else _account(status.st_uid, status.st_gid)


def become(who: Account, load: Callable[[], None]) -> None:
    """Let this process be `who` from now on, for good; raise `NotSafe` if this root may not.

    `load` imports what may be needed; called where `who` cannot read this program or its Python (in root's home, say).
    Only root can. With a terminal, this returns in a process of its own; the one that called it ends with that one.
    """
    global _began_as
    _began_as = started_by()
    if not as_account(who, lambda: all(os.access(file, os.R_OK) for file in (__file__, os.__file__))):
        load()
    if _has_terminal():
        _into_a_session_of_its_own()
    os.closerange(_FIRST_OF_OTHERS, _LAST_OF_OTHERS)
    _change(who)


def as_account(who: Account, look: Callable[[], Any], patience: float = _PATIENCE, *, root: str | None = None) -> Any:
    """Call `look` in a child process that has become `who`; return its result (anything that JSON can hold).

    `root`: directory that is `/` for it; /proc/PID/root has the mounts of a process.
    Who is not root looks as themselves. Raise `ToolkitError` if the child cannot become the user, or does not
    answer within `patience` seconds.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setsid()
                if root is not None:
                    os.chroot(root)
                    os.chdir("/")
                _change(who)
            said = json.dumps(look()).encode()
            with os.fdopen(writing, "wb") as stream:
                stream.write(said)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    try:
        return json.loads(_all_of(reading, patience))
    except ValueError as error:
        raise ToolkitError(f"a process that should have become {who.name} gave no answer") from error
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


# Whose a place is


def _there(place: Path) -> Path:
    """Return `place` or, where there is nothing, the nearest directory above it."""
    place = Path.cwd() / place  # not normalised: `link/..` is where the link leads
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _on_the_way(place: Path) -> Iterator[tuple[str, str]]:
    """Yield (where, who) for all that decides what `place` leads to: directories above, and links on the way."""
    at, left, links = Path("/"), list(reversed(place.parts[1:])), 0
    while left:
        status = at.stat()
        name = left.pop()
        if name == "..":
            at = at.parent
            continue
        here = (at / name).lstat()
        sticky = status.st_mode & stat.S_ISVTX
        yield from _writers(at, status) if not sticky else [(str(at), f"uid {status.st_uid}")]
        if stat.S_ISLNK(here.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise NotSafe("too many links lead to it", where=str(place))
            yield str(at / name), f"uid {here.st_uid}"
            target = os.readlink(at / name)  # noqa: PTH115 - its parts, as they are written
            left += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            at = Path("/") if target.startswith("/") else at
            continue
        if sticky:
            yield str(at / name), f"uid {here.st_uid}"
        at /= name


def _writers(place: Path, status: os.stat_result) -> Iterator[tuple[str, str]]:
    """Yield (place, who) for everybody who may write `place` by its modes."""
    yield str(place), f"uid {status.st_uid}"
    if status.st_mode & stat.S_IWOTH:
        yield str(place), _EVERYBODY
    if status.st_mode & stat.S_IWGRP:
        if status.st_gid != 0 and not _private(status):
            yield str(place), f"group {status.st_gid}"
        elif "system.posix_acl_access" in _attributes(place):
            yield str(place), "whom its access list names"


def _attributes(place: Path) -> list[str]:
    try:
        return os.listxattr(place)
    except OSError:
        return []


def _private(status: os.stat_result) -> bool:
    """Tell whether the group is its owner's alone, as each user has one on most systems."""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return owner.pw_gid == group.gr_gid and owner.pw_name == group.gr_name and set(group.gr_mem) <= {owner.pw_name}


def _writers_of_this_program() -> set[str]:
    here = Path(__file__)
    return {who for _, who in (*_on_the_way(here), *_writers(here, here.stat()))}


def _named(who: str) -> str:
    kind, _, number = who.partition(" ")
    try:
        if kind == "uid":
            return pwd.getpwuid(int(number)).pw_name
        if kind == "group":
            return f"group {grp.getgrgid(int(number)).gr_name}"
    except KeyError:
        pass
    return who


def _account(uid: int, gid: int) -> Account:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        # Nobody's name: of root's groups it gets none.
        return Account(f"uid {uid}", uid, gid or uid)
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


# Becoming somebody else


def _change(who: Account) -> None:
    try:
        home = pwd.getpwuid(who.uid).pw_dir
        groups: Iterable[int] = os.getgrouplist(who.name, who.gid)
    except KeyError:
        home, groups = "/", [who.gid]
    try:
        os.setgroups(sorted({*groups, *who.also}))
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
    except PermissionError as error:
        text = f"this must be done as {who.name}, and this root may not become that user (no CAP_SETUID)"
        raise NotSafe(f"{text}; run it as {who.name}") from error
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    os.environ.clear()
    os.environ.update({**kept, "HOME": home, "USER": who.name, "LOGNAME": who.name, "SHELL": "/bin/sh"})
    try:
        os.chdir(os.getcwd())  # noqa: PTH109 - not where we are, but whether this account finds the way there
    except OSError:
        os.chdir("/")


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _into_a_session_of_its_own() -> None:
    """Return in a new process that has no terminal to type into; this one waits for it and ends as it did."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.setsid()
        return

    def hand_on(number: int, _: object) -> None:
        os.kill(child, number)

    for number in _HANDED_ON:
        signal.signal(number, hand_on)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


def _all_of(reading: int, patience: float) -> bytes:
    found, deadline = b"", time.monotonic() + patience
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        found += part
    return found
