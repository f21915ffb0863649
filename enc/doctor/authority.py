"""Can the certificate authorities be asked, and does anything about certificates end soon?

Looks at: each configured authority (its answer to our certificate, its
revocation list), the files that `authorities` names, and operations on
instances that are not finished. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from enc.authority.client import Authority, close_all, open_all
from enc.authority.crl_files import fetch, trusted
from enc.authority.revocations import NotTrusted, RevocationList, endings, lists
from enc.doctor.findings import Finding, Level, fault, ok, warning
from enc.instances.journal import Journal
from enc.programs.machine_trouble import reason
from enc.settings import Settings
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname

_NOBODY = Certname("puppetmaster-doctor.invalid")
"""A name that no instance has; asking about it takes the rights that revoking takes."""


def check(settings: Settings) -> Iterator[Finding]:
    """Check everything about certificates; nothing where no authority is configured."""
    authorities = open_all(settings.authorities)
    try:
        soon = timedelta(seconds=settings.authorities.warn_before)
        answers = {}
        for authority in authorities:
            asked = _asked(authority)
            answers[authority.name] = asked.level == "ok"
            yield asked
            yield from _files(authority, soon)
        if authorities:
            first = authorities[0]
            yield from _lists(first, settings.authorities.crl_files, soon, told=not answers[first.name])
    finally:
        close_all(authorities)
    if authorities or settings.instances.journal.exists():
        yield from _unfinished(settings)


def _asked(authority: Authority) -> Finding:
    try:
        authority.status(_NOBODY)
    except ToolkitError as error:
        return fault(
            "authority",
            str(error),
            "nothing is signed or revoked there until it answers: is puppetserver running there (systemctl status "
            "puppetserver), and does its auth.conf allow our certificate (docs/instances.md)?",
        )
    return ok("authority", f"{authority.name} answers and lets us read its certificates")


def _files(authority: Authority, soon: timedelta) -> Iterator[Finding]:
    for file in (authority.server.ca_file, authority.server.certificate_file):
        if file is None:
            continue
        try:
            found = endings(file.read_bytes())
        except (OSError, ValueError) as error:
            what = f"{file}: no certificate can be read: {reason(error)}"
            yield fault("certificate-ends", what, "put the right file there")
            continue
        first = min(found, key=lambda one: one.ends)
        level, words = _ending(f"{file}: the certificate of {first.name}", first.ends, soon)
        yield Finding("certificate-ends", level, words, "" if level == "ok" else "renew it")


def _lists(authority: Authority, files: tuple[Path, ...], soon: timedelta, *, told: bool) -> Iterator[Finding]:
    # `told`: that it does not answer as it should was told already; it may give its list all the same.
    what = "check the CA: puppetserver writes a new revocation list at each revocation"
    try:
        fetched = fetch(authority)
    except ToolkitError as error:
        if not told:
            yield fault("crl-ends", str(error), "check ca_file of this authority in the configuration")
        return
    level, words = _ending(f"{authority.name}: its revocation list", _first(fetched.lists), soon)
    yield Finding("crl-ends", level, words, "" if level == "ok" else what)
    renew = "enc-admin certificate crl (systemd: puppetmaster-crl.timer)"
    for file in files:
        try:
            present = lists(file.read_bytes(), trusted(authority))
        except (OSError, NotTrusted) as error:
            yield fault("crl-file", f"{file}: {reason(error)}", renew)
            continue
        behind = {one.issuer: one.number for one in present} != {one.issuer: one.number for one in fetched.lists}
        if behind:
            yield warning("crl-file", f"{file} is older than the list of {authority.name}", renew)
        else:
            yield ok("crl-file", f"{file} is the current list of {authority.name}")


def _first(found: tuple[RevocationList, ...]) -> datetime:
    return min((one.ends for one in found if one.ends is not None), default=datetime.max.replace(tzinfo=UTC))


def _ending(what: str, ends: datetime, soon: timedelta) -> tuple[Level, str]:
    left = ends - datetime.now(UTC)
    level: Level = "fault" if left < timedelta() else "warning" if left < soon else "ok"
    return level, f"{what} {'ended' if level == 'fault' else 'ends'} at {ends:%Y-%m-%dT%H:%M:%SZ}"


def _unfinished(settings: Settings) -> Iterator[Finding]:
    try:
        operations, problems = Journal(settings.instances.journal).read()
    except ToolkitError as error:
        yield fault("instances-journal", str(error), "see instances.journal in the configuration")
        return
    for problem in problems:
        yield fault("instances-journal", problem, "its name is still in LDAP and at the authorities: enc-admin "
                                                  "instance reconcile")
    if operations:
        first = operations[0]
        yield warning(
            "instances-journal",
            f"{counted(len(operations), 'operation is', 'operations are')} not finished, the oldest: "
            f"{first.kind} {first.certname}: "
            + (first.trouble or "interrupted"),
            "enc-admin instance resume",
        )
    elif not problems:
        yield ok("instances-journal", "every operation on an instance is finished")
