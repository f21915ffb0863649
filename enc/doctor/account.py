"""Can the account that puppetserver runs as do what `enc` does, and how fast?

Everything is tried and not computed from modes: reading in a child process
that has become the user (so access lists and security modules have their say),
and `enc` itself, started as puppetserver would start it. Only root can become
somebody else.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from enc.answers.layout import Layout, link_of
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs.accounts import Account, as_account, by_name
from enc.programs.machine_trouble import said
from enc.settings import Settings
from enc.settings.config import ENVIRONMENT_VARIABLE
from enc.terms import program_words
from enc.terms.errors import UsageError, one_line
from enc.terms.names import Certname

PUPPETSERVER_USER = "puppet"
"""Of Debian's, Puppet's and OpenVox's packages."""
FAST = 0.1
"""Seconds within which `enc` answers from disk, also on a busy machine."""
_PATIENCE = 30.0
_TRIES = 3


def account(name: str | None) -> Account:
    """Return the user `name`; None: puppetserver's if we are root, else ourselves. Raise `UsageError`."""
    if name is None:
        try:
            found = pwd.getpwnam(PUPPETSERVER_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        except KeyError:
            return Account(f"uid {os.geteuid()}", os.geteuid(), os.getegid())
    else:
        chosen = by_name(name)
        if os.geteuid() not in (0, chosen.uid):
            raise UsageError(f"only root can run the checks as {name}; use sudo")
        return chosen
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def check(
    who: Account, config: Path, settings: Settings, command: Sequence[str], node: Certname | None
) -> Iterator[Finding]:
    """Read as `who` what `enc` reads, and run `command` (external_nodes, as words) for a node."""
    layout = Layout(settings.answers.directory)
    node = node or _some_node(layout)
    needed = [config, link_of(config), layout.contact, layout.hiera]
    needed += [layout.nodes / f"{node}.yaml"] if node else []
    secret = settings.directory.bind_password_file
    wanted = [str(path) for path in (*needed, *([secret] if secret else [])) if _is_there(path)]
    if settings.domains.serves == "projects":
        wanted = [path for path in wanted if path != str(secret)]  # it must not (separation.py)
    failures: dict[str, str] = as_account(who, lambda: unreadable(wanted))
    yield from judge_reading(who.name, failures, str(secret))
    if node is None:
        yield note("enc", "there is no answer to try enc with", "name a node: doctor --node CERTNAME")
        return
    runs = [_run(who, [*command, node], config) for _ in range(_TRIES)]
    yield judge_runs(who.name, node, runs)


def judge_reading(user: str, failures: dict[str, str], secret: str) -> Iterator[Finding]:
    """Judge what `user` could not read (path → why)."""
    for path, why in failures.items():
        if path == secret:
            yield warning(
                "account-secret",
                f"{user} cannot read {path} ({why}): enc cannot ask LDAP about a node that has no answer yet",
                f"chgrp puppetmaster-readers {path} && chmod 0640 {path}; is {user} in that group?",
            )
        else:
            do = "let its group read it and enter the directories above it"
            yield fault("account", f"{user} cannot read {path}: {why}", do)
    if not failures:
        yield ok("account", f"{user} can read everything that enc reads")


def judge_runs(user: str, node: str, runs: Sequence[tuple[int, str, float]]) -> Finding:
    """Judge runs of `enc`: (exit status, first line, seconds) each."""
    status, line, _ = runs[-1]
    best = min(seconds for _, _, seconds in runs)
    if status != 0:
        return fault(
            "enc", f"for {node}, run by {user}: {line or f'exit status {status}'}", "correct what this line says"
        )
    if best > FAST:
        return warning(
            "enc",
            f"takes {best * 1000:.0f} ms for {node}: it asks LDAP, or the machine is overloaded",
            "see follower and config-link above",
        )
    return ok("enc", f"answers {user} for {node} within {max(best * 1000, 1):.0f} ms")


def unreadable(paths: Sequence[str]) -> dict[str, str]:
    """Return path → why, for what the calling process cannot read."""
    found = {}
    for path in paths:
        try:
            if Path(path).is_dir():
                next(Path(path).iterdir(), None)
            else:
                with open(path, "rb") as stream:
                    stream.read(1)
        except OSError as error:
            found[path] = said(error)
    return found


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _some_node(layout: Layout) -> Certname | None:
    try:
        with os.scandir(layout.nodes) as entries:
            names = (entry.name.removesuffix(".yaml") for entry in entries)
            return next((Certname(name) for name in names if Certname.accepts(name) and name != "default"), None)
    except OSError:
        return None


def _run(who: Account, command: Sequence[str], config: Path) -> tuple[int, str, float]:
    """Run `enc` as puppetserver does: no shell, a bare environment; return exit status, a line, seconds."""
    environment = {"PATH": os.defpath, ENVIRONMENT_VARIABLE: str(config)}
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        identity = {"user": who.uid, "group": who.gid, "extra_groups": os.getgrouplist(who.name, who.gid)}
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd="/",
            env=environment,
            timeout=_PATIENCE,
            check=False,
            **identity,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, one_line(f"{command[0]} cannot be run: {said(error)}"), time.monotonic() - began
    words = done.stdout.partition("\n")[0] if done.returncode == 0 else program_words.why(done.stderr or done.stdout)
    return done.returncode, words, time.monotonic() - began
