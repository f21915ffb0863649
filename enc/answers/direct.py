"""The slow path of `enc`: what is not on disk is asked for in LDAP, within a bounded time.

puppetserver waits for ever and shows only stdout. So whatever happens here
ends in an answer or in exactly one line, and LDAP gets twice the directory's
time-out for everything together.

The rules for what is on disk are enc.answers.reader's. If LDAP cannot be
reached, the follower's copy is the best knowledge there is: a node that it saw
deleted stays deleted; in terminus semantics a name that it never saw gets the
answer of its short name or of `default`.

Imports what it needs when it needs it: this runs for single catalogs, and
nobody should wait for what the answer does not need.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from enc.programs.bounded import within
from enc.programs.times import iso
from enc.terms.errors import (
    ClassificationError,
    DirectoryRefused,
    DirectoryUnreachable,
    ExitStatus,
    NotFound,
    ToolkitError,
    one_line,
)
from enc.terms.names import Certname

if TYPE_CHECKING:
    from enc.answers.layout import Layout
    from enc.settings import Settings


def main(arguments: list[str], config_path: Path | None = None) -> int:
    """Run `answer [--trusted] CERTNAME`: print the answer, or one line, on stdout; return the exit status."""
    from enc.settings.config import chosen_path, load

    trusted = "--trusted" in arguments
    names = [word for word in arguments if word != "--trusted"]
    program = "enc-trusted" if trusted else "enc"
    try:
        certname = Certname(names[0] if len(names) == 1 else "")
        settings = load(config_path or chosen_path(None))
        status, text = answer(certname, settings, trusted=trusted)
    except ToolkitError as error:
        status, text = ExitStatus.FAILED, f"{error}\n"
    except Exception as bug:  # the entry point: stdout is all that the operator sees
        status, text = ExitStatus.BUG, one_line(f"a bug stopped the answer: {type(bug).__name__}: {bug}") + "\n"
    sys.stdout.write(text if status == ExitStatus.DONE else f"{program}: {text}")
    sys.stdout.flush()
    return status


def answer(certname: Certname, settings: Settings, *, trusted: bool = False) -> tuple[int, str]:
    """Return exit status and text for `certname`: from disk if it is there, else from LDAP.

    A text that goes with a failure is one line. For trusted data, a name that
    LDAP does not have is no failure: `{}`.
    """
    from enc.answers.layout import Layout
    from enc.answers.reader import look_up

    layout = Layout(settings.answers.directory)
    found = look_up(layout, certname, time.time())
    if found.kind == "answer":
        return ExitStatus.DONE, f"{found.trusted}\n" if trusted else found.text
    if found.kind in ("refused", "too old"):
        return ExitStatus.FAILED, f"{found.text}\n"
    if settings.domains.serves == "projects":
        return (ExitStatus.DONE, "{}\n") if trusted else (ExitStatus.FAILED, f"{_not_asked(certname)}\n")
    try:
        text = within(2 * settings.directory.timeout, lambda: _from_ldap(certname, settings, trusted=trusted))
    except NotFound as error:
        return (ExitStatus.DONE, "{}\n") if trusted else (ExitStatus.FAILED, f"{error}\n")
    except (DirectoryUnreachable, DirectoryRefused) as error:
        return _without_ldap(certname, settings, layout, error, trusted=trusted)
    return ExitStatus.DONE, text


def _not_asked(certname: Certname) -> str:
    """Return the line where members' code may have puppetserver's account, which therefore has no password for LDAP."""
    return (
        f"{certname} has no answer here: this server serves nodes of the domain projects (domains.serves), and "
        "knows only those that its follower has written (enc-admin status); the site's own nodes belong to another "
        "server"
    )


def _from_ldap(certname: Certname, settings: Settings, *, trusted: bool) -> str:
    from enc.classify.classify import Classifier
    from enc.classify.gather import foreign
    from enc.classify.render import render_answer
    from enc.classify.render import trusted as render_trusted
    from enc.directory.ldap_store import LdapSource

    with LdapSource(settings) as source:
        if settings.domains.serves is not None:  # else it would be one more question to LDAP, for nothing
            why = foreign(certname, source.nodes_named(certname), settings)
            if why is not None:
                raise ClassificationError(why)
        classification = Classifier(settings).classify(certname, source).at(time.time())
    if trusted:
        return render_trusted(classification) + "\n"
    text = render_answer(classification, settings.answers.variable, "ldap")
    return text if text.endswith("\n") else text + " 0\n"


def _without_ldap(
    certname: Certname, settings: Settings, layout: Layout, error: ToolkitError, *, trusted: bool
) -> tuple[int, str]:
    """Say what the follower's copy allows to say while LDAP is away."""
    from enc.answers.copy import deleted_at
    from enc.answers.database import CopyDamaged, CopyFailed
    from enc.answers.reader import on_disk, read_contact

    contact = read_contact(layout)
    if contact is None:
        return ExitStatus.FAILED, f"{certname} has no answer on disk, and LDAP cannot be queried: {error}\n"
    try:
        deleted = deleted_at(layout.copy, settings, certname)
    except (CopyDamaged, CopyFailed):
        # Then whether it was deleted cannot be known, and a fallback might bring a deleted node back.
        deleted = 0
    if deleted is not None:
        when = iso(deleted) if deleted else "some time ago"
        return (
            ExitStatus.FAILED,
            f"{certname} was deleted from LDAP ({when}), and LDAP cannot be queried to see whether it was "
            f"created again: {error}\n",
        )
    age = max(0, int(time.time()) - contact.contact)
    found = on_disk(layout, certname, age, now=time.time(), fallback=age <= contact.max_age)
    if found.kind == "answer":
        return ExitStatus.DONE, f"{found.trusted}\n" if trusted else found.text
    if found.kind == "refused":
        return ExitStatus.FAILED, f"{found.text}\n"
    return (
        ExitStatus.FAILED,
        f"{certname} was not in LDAP {age} s ago, and LDAP cannot be queried to see whether it is now: {error}\n",
    )
