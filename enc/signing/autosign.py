"""What `enc-autosign` does: read the request, judge it, use up its token in LDAP, write the journal, say yes or no.

puppetserver waits for this program with the agent's connection open, and knows
only its exit status: 0 signs, anything else does not. So whatever happens ends
in one of the two, within a bounded time, and a no is one line on stderr (in
puppetserver's log) that begins with its code. Every failure is a no.

The order matters. The journal must be writable before a token is used. The
token is used by one LDAP modify that takes away exactly the value that was
judged, of exactly the version (entryCSN) that was judged; who loses that race
reads and judges again, and finds the token used. LDAP itself is asked, never
the answers on disk: they may be old.

If this process ends between the modify and its exit status, or puppetserver
before the certificate is written, nothing is signed and the token is used.
`enc-admin instance reconcile`, which asks the authority, lets the instance
wait again (enc/instances/repairs.py).

At a project's own master (`signing.project`) nothing is used up: LDAP is read
with the reading account, and what is asked for is the key that the site's
authority has signed (policy.py). There, a name that has a certificate gets no
second one: puppetserver 7 revokes only the last of several.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from enc.directory.edits import DirectoryEditor, ValueChange
from enc.directory.ldap_store import LdapSource
from enc.instances.enrolment import ATTRIBUTE
from enc.programs.bounded import within
from enc.programs.machine_trouble import reason
from enc.programs.telling import tell
from enc.settings import Duration, Settings
from enc.signing import policy, refusals, request
from enc.signing.policy import Instance, Refused, Verdict
from enc.signing.published import PublishedKeys
from enc.signing.request import Request
from enc.terms.errors import (
    ConfigurationError,
    Conflict,
    DirectoryRefused,
    DirectoryUnreachable,
    ExitStatus,
    NotAllowed,
    NotFound,
    ToolkitError,
    one_line,
)
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname
from enc.terms.record import Record

_TRIES = 5
_CHUNK = 65_536


class Outcome(NamedTuple):
    """A verdict, and what was known when it was given."""

    verdict: Verdict
    request: Request | None = None
    instance: Instance | None = None


class _Stopped(Exception):
    """A verdict that ends the work with LDAP; keeps what was known."""

    def __init__(self, code: str, reason: str, instance: Instance | None = None) -> None:
        super().__init__(reason)
        self.verdict = Verdict(code, one_line(reason))
        self.instance = instance


Find = Callable[[Certname], Sequence[Record]]
"""Finds the entries of a certname."""
Use = Callable[[Instance, Verdict], None]
"""Puts a verdict's enrolment in the place of the instance's; `Conflict` or `NotFound` if somebody was quicker."""
WithLdap = Callable[[Callable[[Find, Use], "Outcome"]], "Outcome"]
"""Calls what it is given with an open connection."""


def main(certname: str, config_path: Path, stream: BinaryIO) -> int:
    """Answer puppetserver about the request in `stream`; return the exit status, 0 only if it is to be signed."""
    octets = read_all(stream)
    try:
        outcome = _answer(certname, octets, config_path)
        verdict = outcome.verdict
    except Exception as bug:  # the entry point: puppetserver gets a no, and its log the reason
        verdict = Verdict("bug", one_line(f"{type(bug).__name__}: {bug}"))
    if verdict.signs:
        return ExitStatus.DONE
    tell(f"enc-autosign: {verdict.code}: {one_line(certname[:250])}: {verdict.reason}")
    return ExitStatus.FAILED


def read_all(stream: BinaryIO) -> bytes:
    """Return what is in `stream`, of long ones only the beginning; read it to its end (puppetserver waits for that)."""
    kept = bytearray()
    while part := stream.read(_CHUNK):
        if len(kept) <= request.LARGEST:
            kept += part
    return bytes(kept)


def _answer(certname: str, octets: bytes, config_path: Path) -> Outcome:
    from enc.settings.config import load

    try:
        settings = load(config_path)
    except ToolkitError as error:
        return Outcome(Verdict("configuration", str(error)))
    journal = refusals.SigningJournal(settings.signing.journal)
    try:
        journal.check()
        outcome = decide(certname, octets, lambda read: _with_ldap(settings, read), settings)
        journal.append(_line(certname, outcome))
    except ToolkitError as error:
        return Outcome(Verdict("journal", str(error)))
    return outcome


def explain(certname: str, octets: bytes, settings: Settings) -> Outcome:
    """Return what would be answered now. Nothing is used up and nothing is written."""

    def look(read: Callable[[Find, Use], Outcome]) -> Outcome:
        return _reading(settings, read)

    return decide(certname, octets, look, settings)


def decide(
    certname: str,
    octets: bytes,
    with_ldap: WithLdap,
    settings: Settings,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Return the verdict about the request in `octets`; every expected failure is one, too."""
    read: Request | None = None
    try:
        name = policy.certname_of(certname)
    except Refused as refused:
        return Outcome(refused.verdict)
    try:
        wanted = read = request.read(octets)
        policy.check_subject(wanted, name)
        _check_secret(wanted, settings)
    except request.BadRequest as error:
        return Outcome(Verdict(error.code, str(error)), None, _whose(name, with_ldap, settings))
    except Refused as refused:
        return Outcome(refused.verdict, read, _whose(name, with_ldap, settings))
    except ToolkitError as error:
        return Outcome(Verdict("configuration", str(error)), read)
    try:
        return within(
            settings.signing.timeout,
            lambda: with_ldap(lambda find, use: _judge(wanted, name, find, use, settings, clock)),
        )
    except Refused as refused:
        return Outcome(refused.verdict, read)
    except _Stopped as stopped:
        return Outcome(stopped.verdict, read, stopped.instance)
    except ConfigurationError as error:
        return Outcome(Verdict("configuration", str(error)), read)
    except (DirectoryRefused, NotAllowed) as error:
        return Outcome(Verdict("ldap-refused", str(error)), read)
    except DirectoryUnreachable as error:
        return Outcome(Verdict("ldap-unreachable", str(error)), read)


def _check_secret(wanted: Request, settings: Settings) -> None:
    """Raise `Refused` for a key whose private half is no secret; `ToolkitError` if that cannot be told."""
    place = settings.signing.published_keys
    if place is not None and PublishedKeys(place).has(wanted.key):
        raise Refused("public-key", f"the private half of the key {wanted.key} stands in the repository")


def _whose(name: Certname, with_ldap: WithLdap, settings: Settings) -> Instance | None:
    """Return the instance that a bad request was for, so that its project's people can read why; None: not known."""

    def look(find: Find, _use: Use) -> Outcome:
        return Outcome(Verdict("bug", ""), None, policy.instance_of(name, find(name), settings))

    try:
        return within(settings.signing.timeout, lambda: with_ldap(look)).instance
    except (Refused, ToolkitError):
        return None


def _judge(
    wanted: Request, certname: Certname, find: Find, use: Use, settings: Settings, clock: Callable[[], float]
) -> Outcome:
    for _ in range(_TRIES):
        instance = policy.instance_of(certname, find(certname), settings)
        verdict = _verdict(wanted, certname, instance, settings, clock())
        if verdict.enrolment is not None:
            try:
                use(instance, verdict)
            except (Conflict, NotFound):
                continue  # somebody was quicker; what LDAP holds now decides
            except NotAllowed as error:
                raise _Stopped("ldap-refused", str(error), instance) from error
            except DirectoryUnreachable as error:
                raise _Stopped("ldap-unreachable", str(error), instance) from error
        return Outcome(verdict, wanted, instance)
    raise Refused("busy", f"the entry of {certname} changed {_TRIES} times while it was read")


def _verdict(wanted: Request, certname: Certname, instance: Instance, settings: Settings, now: float) -> Verdict:
    signing = settings.signing
    if signing.project is None:
        return policy.judge(wanted, certname, instance, now, signing.renew_after)
    verdict = policy.judge_known(wanted, certname, instance, signing.project)
    try:
        if verdict.signs and signing.issued is not None and (signing.issued / f"{certname}.pem").exists():
            return Verdict("has-certificate", f"this authority has a certificate of {certname}")
    except OSError as error:
        return Verdict("configuration", one_line(f"signing.issued cannot be read: {reason(error)}"))
    return verdict


def _with_ldap(settings: Settings, read: Callable[[Find, Use], Outcome]) -> Outcome:
    """Let `read` work over one connection: of the signing account; of the reading one if nothing is written."""
    if settings.signing.project is not None:
        return _reading(account(settings), read)
    names = NodeFilter(settings.nodes.filter)
    with DirectoryEditor(account(settings)) as editor:

        def use(instance: Instance, verdict: Verdict) -> None:
            assert verdict.enrolment is not None
            change = ValueChange(ATTRIBUTE, (instance.stored,), (verdict.enrolment.text(),))
            editor.modify(instance.dn, [change], instance.csn or None)

        return read(lambda certname: editor.find(settings.nodes_base, names.for_name(certname)), use)


def _reading(settings: Settings, read: Callable[[Find, Use], Outcome]) -> Outcome:
    with LdapSource(settings) as source:
        return read(source.nodes_named, lambda _instance, _verdict: None)


def account(settings: Settings) -> Settings:
    """Return the settings with which the signing account connects: quickly, or not at all."""
    given, signing = settings.directory, settings.signing
    # With a second server, half the time is its own.
    share = 1.0 if len(given.uris) == 1 else 0.45
    directory = dataclasses.replace(given, timeout=Duration(min(given.timeout, share * signing.timeout)))
    if signing.bind_dn is not None:
        directory = dataclasses.replace(
            directory, write_bind_dn=signing.bind_dn, write_bind_password_file=signing.bind_password_file
        )
    return dataclasses.replace(settings, directory=directory)


def _line(certname: str, outcome: Outcome) -> refusals.Line:
    verdict, instance = outcome.verdict, outcome.instance
    return refusals.line(
        certname,
        verdict.code,
        verdict.reason,
        signed=verdict.signs,
        key=outcome.request.key if outcome.request else "",
        project=instance.project if instance else None,
        now=time.time(),
    )
