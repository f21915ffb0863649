"""What a key may do over ssh: git on the one repository (and promotions, commands/ssh_shell.py). Pure but for `shell`.

sshd has checked the key and started `branch-manager ssh-shell PERSON`; what the
client wanted to run is only read here, never run. No path of the client's
reaches git: whatever it called the repository, it is ours or it is refused.
Who did what is noted in the system's log, where sshd writes, too.
"""

from __future__ import annotations

import re
import syslog
import time
from collections.abc import Mapping
from typing import NoReturn

from enc.settings import Settings
from enc.terms.errors import NotAllowed, NotFound, UsageError, one_line
from enc.terms.names import PersonName
from git_hooks.push import policy
from git_hooks.push.membership import Membership
from git_hooks.transport.backend import Service, run_in_place
from git_hooks.transport.reading import refusal

_COMMAND = re.compile(r"git[ -](upload-pack|receive-pack) '?([A-Za-z0-9._~/-]+)'?", re.ASCII)


def asked(command: str, repository: str) -> Service:
    """Return the service that the client's `command` asks for; raise `UsageError`.

    `repository` is the repository's directory. The client may call it by its
    name or its path, with or without `.git`.
    """
    match = _COMMAND.fullmatch(command.strip())
    if match is None:
        raise UsageError("only git fetch and git push are allowed here")
    called = match[2].strip("/").removeprefix("~/").removesuffix(".git")
    path = repository.strip("/").removesuffix(".git")
    if called not in (path, path.rpartition("/")[2]):
        raise UsageError(f"the only repository here is {repository.rpartition('/')[2]}")
    return "git-upload-pack" if match[1] == "upload-pack" else "git-receive-pack"


def note(text: str, level: int = syslog.LOG_INFO) -> None:
    """Tell the system's log. What sshd starts has no other: its stderr is the client's, or nobody's."""
    syslog.openlog("branch-manager", syslog.LOG_PID, syslog.LOG_AUTH)
    syslog.syslog(level, one_line(text))


def admitted(name: PersonName, settings: Settings, environ: Mapping[str, str], what: str) -> None:
    """Note that `name` does `what` over ssh; raise `NotAllowed` if they may not even read, or may not push."""
    membership = Membership(settings, time.time)
    try:
        person = membership.person(name)
    except NotFound as error:
        raise NotAllowed(f"{name} no longer has an entry in LDAP") from error
    finally:
        membership.close()
    reason = refusal(person, settings.branches.transport.read)
    if not reason and what == "git-receive-pack":
        reason = policy.nothing(person)
    address = environ.get("SSH_CONNECTION", "?").partition(" ")[0]
    if reason:
        note(f"{address}: {name} is refused: {reason}")
        raise NotAllowed(reason)
    note(f"{address}: {name} {what} over ssh")


def shell(name: PersonName, settings: Settings, environ: Mapping[str, str]) -> NoReturn:
    """Become git for `name`, if they may read and asked for nothing else; raise what says why not."""
    command = environ.get("SSH_ORIGINAL_COMMAND", "")
    if not command:
        raise UsageError(f"hello {name}, your key works; there is no shell here, only git fetch and git push")
    service = asked(command, str(settings.branches.repository))
    admitted(name, settings, environ, service)
    run_in_place(service, settings, name, environ.get("GIT_PROTOCOL", ""))
