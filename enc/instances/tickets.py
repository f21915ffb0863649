"""What an instance needs to come to its certificate: a token that is good for a while, and what it is bound to.

Owns how a token and the entry's enrolment belong together: LDAP has the
token's digest and nonce, and with the site's key the token can be made once
more as long as the instance waits. Changes nothing.

Failure modes: `ToolkitError` where the key cannot be read, or is another one
by now; `Conflict` where the instance does not wait.

Not here: when an instance waits (lifecycle.py), the form of tokens (tokens.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from enc.instances import tokens
from enc.instances.enrolment import Enrolment
from enc.instances.entry import Instance
from enc.settings import Settings
from enc.terms.errors import ClassificationError, Conflict, ToolkitError
from enc.terms.names import Certname, Label, ProjectName


@dataclass(frozen=True)
class Ticket:
    """What an instance needs to come to its certificate."""

    certname: Certname
    project: ProjectName
    region: str
    role: str
    token: str
    until: int
    """The first second in which the token counts no more, since 1970."""
    serial: str = ""
    """The cloud's id of the server, where it is known."""


def issue(instance: Instance, now: int, settings: Settings) -> tuple[Enrolment, Ticket]:
    """Return a new ticket for an instance, and what its entry has to say from `now` (epoch seconds) on."""
    if instance.project is None:
        raise ClassificationError("the entry does not name its project", where=instance.record.dn)
    nonce = tokens.fresh_nonce()
    token = _token(instance, instance.project, nonce, settings)
    life = int(settings.instances.token_life)
    waiting = Enrolment("waiting", now, now + life, tokens.digest(token), nonce)
    return waiting, _ticket(instance, instance.project, token, waiting.until)


def ticket_of(instance: Instance, settings: Settings) -> Ticket:
    """Return the ticket of a waiting instance once more; raise `ToolkitError` if that cannot be."""
    enrolment, certname = instance.enrolment, instance.certname
    if enrolment.state != "waiting" or instance.project is None:
        raise Conflict(
            f"{certname} is not waiting for a certificate; `enc-admin instance rebuild` makes it enrol again"
        )
    token = _token(instance, instance.project, enrolment.nonce, settings)
    if not enrolment.nonce or tokens.digest(token) != enrolment.token:
        raise ToolkitError(
            f"the token of {certname} was made with another key; `enc-admin instance rebuild` makes a new one"
        )
    return _ticket(instance, instance.project, token, enrolment.until)


def _token(instance: Instance, project: ProjectName, nonce: str, settings: Settings) -> str:
    key = tokens.read_key(settings.instances.token_key_file)
    return tokens.token(key, tokens.Binding(instance.certname, project, instance.region), nonce)


def _ticket(instance: Instance, project: ProjectName, token: str, until: int) -> Ticket:
    for text in filter(None, (instance.region, instance.role)):
        if not Label.accepts(text):  # somebody wrote it without our commands; the certificate would hold it
            raise ClassificationError(f"{text[:80]!r} is not {Label.kind}: {Label.rule}", where=instance.record.dn)
    return Ticket(instance.certname, project, instance.region, instance.role, token, until, instance.serial)
