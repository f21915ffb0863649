"""Whether a certificate request is signed: the one place that says yes. Pure.

`judge` compares what a request asks for (request.py) with what LDAP holds about
the instance and with the time. Every verdict has a code of `CODES`; the codes
and their reasons are the same in the journal, on the command line and in
docs/signing.md.

A yes is not final: a new certificate's verdict carries the `enrolment` that
must be put in the place of the old one, and only who succeeds with that in
LDAP may sign. If somebody else was first, `judge` is asked again about what
LDAP holds then (autosign.py).

The order of the rules decides which code is told where several fit: what the
request says of itself, then the instance, then its token, then what the token
was bound to.

A project's own master has an authority, too (`signing.project`). It must not
hold the site's signing account, which could open everybody's enrolments, and
need not: LDAP says already for which key the site's authority has signed each
instance, and a request's own signature proves that it comes from the key's
owner. So `judge_known` asks for that very key in the place of a token, and
nothing is used up.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

from enc.classify.gather import is_called, is_scope, project_of
from enc.classify.statements import REGION, ROLE
from enc.instances.enrolment import ATTRIBUTE, Enrolment
from enc.rights.reserved import is_reserved
from enc.settings import Settings
from enc.signing.request import INSTANCE_ID, PROJECT, Request
from enc.signing.request import REGION as PP_REGION
from enc.signing.request import ROLE as PP_ROLE
from enc.terms.errors import ClassificationError, InvalidName, one_line
from enc.terms.names import Certname, Label, ProjectName
from enc.terms.record import Record


class Code(NamedTuple):
    """What a code means, and what to do about it."""

    meaning: str
    do: str
    signs: bool = False


_AS_MADE = "let the instance make its request the way its user data does"
_REBUILD = "`enc-admin instance rebuild`, and start the instance with the user data that it prints"

CODES: dict[str, Code] = {
    "signed": Code("the token was right and is now used up", "nothing", True),
    "renewed": Code("the same key asked again when a renewal was due", "nothing", True),
    "known-key": Code("a project's authority: the site's has signed this very key for this instance", "nothing", True),
    "certname": Code(
        "the name that puppetserver passed is not a certname",
        "only lower-case names are accepted; check the agent's certname",
    ),
    "too-big": Code("the request is longer than 64 KiB", _AS_MADE),
    "not-a-request": Code("it is not exactly one readable certificate request", _AS_MADE),
    "key": Code(
        "the key is weak or of a kind that is not accepted", "RSA of 2048 to 8192 bits, or P-256, P-384, P-521"
    ),
    "public-key": Code(
        "the key's private half stands in a repository, where others can read it",
        "remove the key from the instance (`puppet ssl clean` there) so that it makes another; docs/opening.md",
    ),
    "hash": Code("the request is signed with a weak hash", "sign it with SHA-256"),
    "signature": Code("the request's own signature is wrong", "somebody forged or changed it: find out who"),
    "subject": Code("the subject is not a single CN equal to the certname", _AS_MADE),
    "attribute": Code("an attribute is unknown or appears twice", _AS_MADE),
    "san": Code("it asks for subject alternative names", "take dns_alt_names out of the agent's puppet.conf"),
    "authorization": Code("it asks for Puppet's authorization extensions", "an operator signs such requests by hand"),
    "extension": Code("it asks for an extension that instances do not get", _AS_MADE),
    "reserved": Code(
        "the name is reserved for the site's own servers", "somebody is trying to impersonate a server: find out who"
    ),
    "unknown": Code("LDAP has no entry with that name", "`enc-admin instance create`"),
    "several": Code("several entries in LDAP have that name", "remove or rename all but one"),
    "not-an-instance": Code(
        "the node was not created as an instance", "sign it by hand, or `enc-admin instance create`"
    ),
    "bad-entry": Code("the instance's entry cannot be understood", "correct what the reason names"),
    "closed": Code("creation, rebuild or move is not finished", "`enc-admin instance resume`"),
    "no-token": Code("the request brings no token", "start the instance with its user data"),
    "wrong-token": Code("the token is not this instance's current one", _REBUILD),
    "expired": Code("the token had expired", _REBUILD),
    "used": Code(
        "the token has already been used, usually by another key", "if it was not you, find out who; then " + _REBUILD
    ),
    "too-early": Code("the instance has its certificate, and no renewal is due", _REBUILD),
    "not-signed": Code(
        "a project's authority: the site's has not signed this instance", "let it enrol at the central master first"
    ),
    "other-key": Code(
        "a project's authority: the site's has signed another key for this instance",
        "`puppetmaster::client` asks with the right one; if it did, find out who asked",
    ),
    "other-project": Code(
        "a project's authority: the instance belongs to another project", "use a master of the instance's own project"
    ),
    "has-certificate": Code(
        "a project's authority: it already has a certificate with that name",
        "its own key fetches that one; after a rebuild `puppetserver ca clean --certname NAME` on the project's master",
    ),
    "no-project": Code("the request does not say its project (pp_project)", _AS_MADE),
    "wrong-project": Code("pp_project is not the instance's project", _AS_MADE),
    "wrong-region": Code("pp_region is not the instance's region", _AS_MADE),
    "wrong-role": Code("pp_role is not the instance's role", _AS_MADE),
    "wrong-instance-id": Code("pp_instance_id is not the instance's serial number", _AS_MADE),
    "stranger": Code("the follower knows no instance with that name", "`enc-admin instance create`"),
    "crowded": Code("too many requests arrived at once", "let the agent ask again; `signing log` shows who asked"),
    "busy": Code("the entry changed too often while it was read", "let the agent ask again"),
    "ldap-unreachable": Code("LDAP did not answer in time", "`enc-admin doctor`; then let the agent ask again"),
    "ldap-refused": Code("LDAP refused the signing account", "`enc-admin doctor`: signing.bind_dn and its rights"),
    "configuration": Code("the configuration cannot be used", "`enc-admin config check` as puppetserver's account"),
    "journal": Code("the journal of signing cannot be written", "free disk space, rights of signing.journal"),
    "bug": Code("a bug in this program", "report it with the line it printed"),
}
"""Every verdict there is (docs/signing.md shows this table)."""


class Instance(NamedTuple):
    """What LDAP holds about a certname, as far as signing goes."""

    certname: Certname
    dn: str
    csn: str
    project: ProjectName | None
    enrolment: Enrolment | None
    """None: the node is no instance."""
    stored: str = ""
    """The enrolment as LDAP holds it."""
    region: str = ""
    role: str = ""
    serial: str = ""


class Verdict(NamedTuple):
    """Whether the request is signed, and why."""

    code: str
    reason: str
    enrolment: Enrolment | None = None
    """What must take the place of the instance's enrolment before anything is signed; None: nothing changes."""

    @property
    def signs(self) -> bool:
        """Whether the answer is yes."""
        return CODES[self.code].signs


class Refused(Exception):
    """Carries a verdict out of a rule; `judge` and autosign.py return it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = Verdict(code, one_line(reason))


def certname_of(text: str) -> Certname:
    """Return the name that puppetserver gives; raise `Refused` if it is none."""
    try:
        return Certname(text)
    except InvalidName as error:
        raise Refused("certname", str(error)) from error


def check_subject(request: Request, certname: Certname) -> None:
    """Raise `Refused` unless the request is for exactly `certname`."""
    if request.name != certname:
        raise Refused("subject", f"the subject is {request.name[:80]!r}, but the request was made for {certname}")


def instance_of(certname: Certname, found: Sequence[Record], settings: Settings) -> Instance:
    """Return the instance among the entries that LDAP found for `certname`; raise `Refused`."""
    if is_reserved(certname, settings):
        raise Refused("reserved", f"{certname} is a name of the site's own servers (instances.reserved)")
    if not found:
        raise Refused("unknown", f"no node {certname} in LDAP")
    if len(found) > 1:
        found = [record for record in found if not is_scope(record)] or found
    if len(found) > 1:
        raise Refused("several", f"{len(found)} entries are called {certname}: {'; '.join(r.dn for r in found)}")
    (record,) = found
    try:
        # An entry may have further names that its project's admins gave it; a token is for one.
        if not is_called(record, certname):
            raise Refused("bad-entry", f"{record.dn} was found for {certname} but is the entry of another name")
        project = project_of(record, settings)
        values = record.all(ATTRIBUTE)
        stored = values[0] if values else ""
        enrolment = Enrolment.read(stored) if values else None
    except (ClassificationError, InvalidName) as error:
        raise Refused("bad-entry", str(error)) from error
    except ValueError as error:
        raise Refused("bad-entry", f"{record.dn}: {ATTRIBUTE}: {error}") from error
    text = {name: record.first(name) or "" for name in (REGION, ROLE, "serialNumber")}
    for name in (REGION, ROLE):
        if text[name] and not Label.accepts(text[name]):
            raise Refused("bad-entry", f"{record.dn}: {name}: {text[name][:80]!r} is not {Label.kind}: {Label.rule}")
    return Instance(
        certname, record.dn, record.csn, project, enrolment, stored, text[REGION], text[ROLE], text["serialNumber"]
    )


def judge(
    request: Request, certname: Certname, instance: Instance, now: float, renew_after: float | None = None
) -> Verdict:
    """Return the verdict about `request` at `now` (seconds since 1970).

    `renew_after`: seconds after its certificate from which a key may have
    another without a token; None: never.
    """
    try:
        check_subject(request, certname)
        verdict = _of_enrolment(request, instance, int(now), renew_after)
        _check_binding(request, instance)
    except Refused as refused:
        return refused.verdict
    return verdict


def judge_known(request: Request, certname: Certname, instance: Instance, project: ProjectName) -> Verdict:
    """Return the verdict of the authority of `project`'s own master: nothing is used up."""
    try:
        check_subject(request, certname)
        _check_known(request, instance)
        _check_binding(request, instance)
    except Refused as refused:
        return refused.verdict
    if instance.project != project:
        return Verdict(
            "other-project", f"{certname} belongs to {instance.project}, and this master signs only for {project}"
        )
    return Verdict("known-key", "the site's authority has signed this very key")


def _check_known(request: Request, instance: Instance) -> None:
    enrolment = _enrolled(instance)
    if enrolment.state != "signed":
        raise Refused("not-signed", f"{instance.certname} waits for its first certificate from the site's authority")
    if not hmac.compare_digest(request.key, enrolment.key):
        raise Refused("other-key", f"the site's authority has signed another key for {instance.certname}")


def _of_enrolment(request: Request, instance: Instance, now: int, renew_after: float | None) -> Verdict:
    enrolment = _enrolled(instance)
    if enrolment.state == "signed" and hmac.compare_digest(request.key, enrolment.key):
        return _same_key(request, enrolment, now, renew_after)
    _check_token(request, enrolment)
    if enrolment.state == "signed":
        raise Refused("used", f"another key has used this token {now - enrolment.since} s ago")
    if not enrolment.in_time(now):
        raise Refused("expired", f"the token had expired {now - enrolment.until} s ago")
    return Verdict("signed", "the token is right", enrolment.signed_for(request.key, now))


def _enrolled(instance: Instance) -> Enrolment:
    enrolment = instance.enrolment
    if enrolment is None:
        raise Refused("not-an-instance", f"{instance.certname} is a node, but was not made as an instance")
    if enrolment.state == "closed":
        raise Refused("closed", f"{instance.certname} is closed: its creation, rebuild or move is not finished")
    return enrolment


def _same_key(request: Request, enrolment: Enrolment, now: int, renew_after: float | None) -> Verdict:
    """Judge a request with the key that was signed already; its signature proves that it comes from the key's owner."""
    if enrolment.in_time(now):
        _check_token(request, enrolment)
        # Not even for this key: puppetserver 7 revokes only the last of several certificates.
        raise Refused(
            "used",
            f"this key has used its token {now - enrolment.since} s ago; the agent fetches the "
            "certificate, and if there is none, `enc-admin instance reconcile` lets it ask again",
        )
    if renew_after is None:
        raise Refused("too-early", "this key already has its certificate, and signing.renew_after is not set")
    due = enrolment.since + int(renew_after)
    if now < due:
        raise Refused("too-early", f"this key already has its certificate and may renew it in {due - now} s")
    return Verdict("renewed", f"the certificate is {now - enrolment.since} s old", enrolment._replace(since=now))


def _check_token(request: Request, enrolment: Enrolment) -> None:
    if not request.challenge:
        raise Refused("no-token", "the request has no challengePassword")
    shown = hashlib.sha256(request.challenge.encode("utf-8", "surrogatepass")).hexdigest()
    if not hmac.compare_digest(shown, enrolment.token):
        raise Refused("wrong-token", "the token is not the one that LDAP holds for this instance")


def _check_binding(request: Request, instance: Instance) -> None:
    """Compare what the certificate would say with what LDAP says; others read it there and believe it."""
    said = request.extensions
    if instance.project is None:
        raise Refused("bad-entry", f"{instance.dn} belongs to no project")
    if PROJECT not in said:
        raise Refused("no-project", f"the request has no {PROJECT}")
    for name, code, ours in (
        (PROJECT, "wrong-project", instance.project),
        (PP_REGION, "wrong-region", instance.region),
        (PP_ROLE, "wrong-role", instance.role),
        (INSTANCE_ID, "wrong-instance-id", instance.serial),
    ):
        if name in said and (said[name] != ours or not ours):
            raise Refused(code, f"{name} is {said[name][:80]!r}, and LDAP says {ours or 'nothing'!r}")
    if "/" in instance.serial or ".." in instance.serial:  # an admin writes it, and hiera's paths may hold it
        raise Refused("bad-entry", f"{instance.dn}: serialNumber: {instance.serial[:80]!r} contains '/' or '..'")
    if instance.region and PP_REGION not in said:
        raise Refused("wrong-region", f"the request has no {PP_REGION}, and the instance is in {instance.region}")
