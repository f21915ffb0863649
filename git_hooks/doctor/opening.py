"""Is it known which secrets the repository's history has, and does the authority know which keys are public?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs.machine_trouble import said
from enc.programs.times import day
from enc.settings import Settings
from enc.terms.counted import counted
from enc.terms.errors import NotFound, ToolkitError
from git_hooks.opening.audit import current, state
from git_hooks.secrets.known import KnownCertificates

_OLD = 30
"""Days after which a verdict says little where much is pushed."""
_AUDIT = "branch-manager audit-secrets"


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the last verdict, at the known certificates, and at where public keys are noted."""
    opening = settings.branches.opening
    if opening.state.is_dir():
        yield _verdict(settings)
    elif opening.branches or opening.credentials_file or opening.ssh_key_file or settings.signing.published_keys:
        yield warning("audit", "nobody has looked for secrets in the repository's history", f"run {_AUDIT}")
    if opening.certificates:
        yield from _certificates(settings)
    if settings.signing.published_keys is not None:
        yield _published(settings)


def _verdict(settings: Settings) -> Finding:
    try:
        verdict = current(settings)
        now = state(verdict.repository)
    except NotFound:
        return warning("audit", "an audit of the history did not come to its end", f"run {_AUDIT}; it goes on there")
    except ToolkitError as error:
        return fault("audit", str(error), f"run {_AUDIT}")
    days = max(0, int((time.time() - verdict.taken) // 86_400))
    when = f"the audit of {day(verdict.taken)} ({counted(days, 'day')} ago)"
    if verdict.open:
        live = sum(one.live for one in verdict.open)
        also = f", {counted(live, 'is the key of a live certificate', 'are keys of live certificates')}" if live else ""
        words = f"{when} found {counted(len(verdict.open), 'secret')} that nobody has allowed{also}"
        return fault("audit", words, f"{_AUDIT} --last names them; docs/opening.md")
    if not verdict.is_complete:
        return warning("audit", f"{when} left out some of the history", f"{_AUDIT} --last says what")
    if verdict.refs != now.digest and days >= _OLD:
        return note("audit", f"{when} found no secret, and much may have come since", f"run {_AUDIT}")
    return ok("audit", f"{when} found no secret that nobody has allowed")


def _certificates(settings: Settings) -> Iterator[Finding]:
    known = KnownCertificates(settings)
    number = known.count()
    for why in known.unread:
        yield fault("known-certificates", why, "let the repository's owner read it (branches.opening.certificates)")
    if not known.unread:
        words = f"private keys are compared with {counted(number, 'known certificate', form=',')}"
        yield ok("known-certificates", words)


def _published(settings: Settings) -> Finding:
    place = settings.signing.published_keys
    assert place is not None
    try:
        keys = sum(1 for _ in place.iterdir())
    except FileNotFoundError:
        words = f"{place} is not there (signing.published_keys): the authority signs nothing"
        return fault("published-keys", words, f"run {_AUDIT}, which makes it")
    except OSError as error:
        return fault("published-keys", said(error), "let the repository's owner write there, and everybody read")
    if not os.access(place, os.W_OK):
        words = f"{place} is not writable: keys that pushes bring are not noted"
        return fault("published-keys", words, "give it to the repository's owner")
    return ok("published-keys", f"the authority refuses {counted(keys, 'key')} that the repository has or had")
