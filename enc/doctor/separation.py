"""Checks what puppetserver's account can reach: the authority, all domains or one (docs/trust-domains.md).

Found out by looking, not from what is configured: which services puppetserver loads, what its account can read (in a
process that has become the account), and what the authority answers to the certificate that it serves with. The
setting `branches.members_code` only decides how loud a set-up is told in which members' code may get that account.

Not here: the other accounts, and whether what is configured works (signing.py, authority.py, account.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enc.answers.layout import Layout
from enc.authority.client import Authority, AuthorityRefused
from enc.authority.origin import commands_authorities
from enc.doctor.account import unreadable
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.doctor.puppet import PuppetFacts
from enc.programs.accounts import Account, as_account
from enc.programs.machine_trouble import said
from enc.settings import AuthoritySettings, Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname

_SERVICES = tuple(
    Path(place) / "services.d"
    for place in (
        *("/etc/puppet/puppetserver", "/etc/puppetlabs/puppetserver"),
        "/opt/puppetlabs/server/apps/puppetserver/config",
    )
)
_ENABLED = re.compile(r"^\s*[^#\s]\S*/certificate-authority-service\s*$", re.MULTILINE)
_NOBODY = Certname("puppetmaster-doctor.invalid")
_DOCS = "docs/trust-domains.md"


@dataclass(frozen=True, slots=True)
class Reach:
    """What puppetserver's account can do."""

    user: str
    keys: tuple[str, ...] = ()
    """Keys of the authority that it reads."""
    authority_service: bool = False
    """Whether puppetserver loads the authority."""
    commands: str = ""
    """Why its certificate can command the authority; empty: it cannot, as far as could be seen."""
    asked: str = ""
    """Why the authority could not be asked; empty: it was, or need not be."""
    secrets: tuple[str, ...] = ()
    """Of the signing secret, the copy of LDAP and the password to it, what it reads."""


def check(facts: PuppetFacts | str, who: Account, settings: Settings) -> Iterator[Finding]:
    """Look, and say which set-up this is."""
    if isinstance(facts, str):
        return  # no puppetserver here, which is told elsewhere
    yield from judge(look(facts.settings, who, settings), settings)


def look(puppet: Mapping[str, str], who: Account, settings: Settings, services: Sequence[Path] = _SERVICES) -> Reach:
    """Find out what `who` can do; `puppet` is what puppetserver is configured to do."""
    keys = {*map(str, Path(puppet.get("cadir", "/nonexistent")).glob("*key*.pem")), puppet.get("cakey", "")}
    keys |= {"/etc/puppet/puppetserver/ca/ca_key.pem", "/etc/puppetlabs/puppetserver/ca/ca_key.pem"}
    secrets = [settings.signing.bind_password_file, settings.directory.bind_password_file]
    copy = Layout(settings.answers.directory).copy
    wanted = sorted(key for key in keys if key)
    others = [str(path) for path in (*secrets, copy) if path is not None]
    closed: Mapping[str, str] = as_account(who, lambda: unreadable([*wanted, *others]))
    certificate, key = Path(puppet.get("hostcert", "")), Path(puppet.get("hostprivkey", ""))
    commands, asked = "", ""
    if certificate.is_file() and not as_account(who, lambda: unreadable([str(key)])):
        commands, asked = _commands(puppet, certificate, key)
    return Reach(
        who.name,
        tuple(path for path in wanted if path not in closed),
        any(_ENABLED.search(_text(file)) for place in services for file in sorted(place.glob("*.cfg"))),
        commands,
        asked,
        tuple(path for path in others if path not in closed),
    )


def judge(reach: Reach, settings: Settings) -> Iterator[Finding]:
    """Say which set-up it is, and what is not as that wants it. Pure."""
    yield _authority(reach, settings)
    apart = not (reach.keys or reach.authority_service)
    signer = settings.signing.bind_password_file
    if apart and signer is not None and str(signer) in reach.secrets:
        yield warning(
            "trust-signer",
            f"{reach.user} can read {signer}, and nothing is signed here: the key lets it open enrolments",
            f"remove it; only the authority's account needs it ({_DOCS})",
        )
    yield from _domain(reach, settings)


def _authority(reach: Reach, settings: Settings) -> Finding:
    if not (reach.keys or reach.authority_service):
        if reach.commands:
            return fault(
                "trust-authority",
                f"the authority is a separate server, yet obeys {reach.user}: {reach.commands}",
                f"give this puppetserver a new key and a certificate of a compile server's ({_DOCS})",
            )
        if reach.asked:
            return note(
                "trust-authority", f"{reach.user} cannot read the authority's key; {reach.asked}", "see ca_server"
            )
        return ok(
            "trust-authority", f"the authority is a separate server: {reach.user} cannot read its key or give it orders"
        )
    what = f"reads {', '.join(reach.keys)}" if reach.keys else "runs the authority"
    said = (
        f"one process: {reach.user}, which compiles catalogs, {what}: anybody who takes over that account can sign "
        "anything"
    )
    if settings.branches.members_code == "trusted":
        return warning(
            "trust-authority",
            f"{said}, and members' code can take it over (branches.members_code: trusted)",
            f"branches: {{members_code: reviewed}}, or run the authority on a server of its own ({_DOCS})",
        )
    return ok("trust-authority", f"{said}; members' code must be reviewed before it runs there")


def _domain(reach: Reach, settings: Settings) -> Iterator[Finding]:
    serves = settings.domains.serves
    if serves is None:
        yield ok("trust-domains", "one domain: the site's own nodes and those of projects share this puppetserver")
        return
    private = (settings.directory.bind_password_file, Layout(settings.answers.directory).copy)
    open_to_members = [str(path) for path in private if path is not None and str(path) in reach.secrets]
    if serves == "projects" and open_to_members:
        yield fault(
            "trust-domains",
            f"{reach.user}, which members' code can take over, can read {', '.join(open_to_members)}: the data of "
            "the site's nodes",
            f"let only the follower's account read it: chown puppetmaster FILE && chmod 0400 FILE ({_DOCS})",
        )
    elif serves == "projects" and settings.directory.bind_dn is None:
        yield fault(
            "trust-domains",
            "LDAP is read without a password here, so anybody can read it (directory.bind_dn)",
            "read LDAP with an account whose password only the follower knows",
        )
    else:
        yield ok("trust-domains", f"separate domains: this puppetserver serves {serves} only")


def _commands(puppet: Mapping[str, str], certificate: Path, key: Path) -> tuple[str, str]:
    """Return why whoever has this certificate's key can command the authority, and why that could not be asked."""
    try:
        if commands_authorities(certificate.read_bytes()):
            return f"{certificate} has pp_cli_auth, as an authority's own has", ""
        url = f"https://{puppet.get('ca_server', '')}:{puppet.get('ca_port', '')}"
        server = AuthoritySettings("authority", url, Path(puppet.get("localcacert", "")), certificate, key)
        authority = Authority(server, 10)
        try:
            authority.status(_NOBODY)
        finally:
            authority.close()
    except AuthorityRefused:
        return "", ""
    except (ToolkitError, OSError, ValueError) as error:
        return "", f"cannot find out what it obeys: {said(error)}"
    return f"{url} shows certificates to {certificate.name} and takes orders from it (its ca_clients)", ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
