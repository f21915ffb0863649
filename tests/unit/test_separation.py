"""What doctor concludes about the set-up from what puppetserver's account can do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enc.doctor.separation import Reach, judge, look
from enc.programs.accounts import Account
from enc.settings import Settings
from enc.settings.config import parse

KEY, SIGNER, LDAP, COPY = "/ca/ca_key.pem", "/e/signer.secret", "/e/ldap.secret", "/a/copy.sqlite"
TEXT = f"""directory: {{bind_dn: cn=x, bind_password_file: {LDAP}}}
answers: {{directory: /a}}
signing: {{bind_dn: cn=y, bind_password_file: {SIGNER}}}
"""
SERVES = "domains: {serves: projects}\n"
TRUSTED = "branches: {members_code: trusted}\n"
APART = Reach("puppet")
ONE = Reach("puppet", keys=(KEY,), authority_service=True, secrets=(SIGNER, LDAP, COPY))


def found(reach: Reach, more: str = "") -> dict[str, tuple[str, str]]:
    return {one.id: (one.level, one.found) for one in judge(reach, parse(TEXT + more))}


@pytest.mark.parametrize(
    ("reach", "more", "level", "said"),
    [
        (ONE, "", "ok", "one process: puppet, which compiles catalogs, reads /ca/ca_key.pem"),
        (ONE, TRUSTED, "warning", "members' code can take it over (branches.members_code: trusted)"),
        (Reach("puppet", authority_service=True), "", "ok", "runs the authority"),
        (Reach("puppet", keys=(KEY,)), TRUSTED, "warning", "reads /ca/ca_key.pem"),
        (APART, TRUSTED, "ok", "the authority is a separate server: puppet cannot read its key or give it orders"),
        (Reach("puppet", commands="it has pp_cli_auth"), "", "fault", "yet obeys puppet: it has pp_cli_auth"),
        (Reach("puppet", asked="it is away"), "", "note", "it is away"),
    ],
)
def test_whether_the_authority_is_apart(reach: Reach, more: str, level: str, said: str) -> None:
    what = found(reach, more)["trust-authority"]
    assert what[0] == level and said in what[1]


def test_a_signing_secret_is_odd_only_where_nothing_is_signed() -> None:
    assert "trust-signer" not in found(ONE)
    assert found(Reach("puppet", secrets=(SIGNER,)))["trust-signer"][0] == "warning"
    assert "trust-signer" not in found(Reach("puppet", secrets=(LDAP,)))


@pytest.mark.parametrize("secret", [LDAP, COPY])
def test_the_projects_server_keeps_ldap_from_puppetserver(secret: str) -> None:
    assert found(APART, SERVES)["trust-domains"][0] == "ok"
    level, said = found(Reach("puppet", secrets=(secret,)), SERVES)["trust-domains"]
    assert level == "fault" and secret in said
    assert found(Reach("puppet", secrets=(secret,)), "domains: {serves: site}\n")["trust-domains"][0] == "ok"
    assert found(Reach("puppet", secrets=(secret,)))["trust-domains"] == (
        "ok",
        "one domain: the site's own nodes and those of projects share this puppetserver",
    )


def test_a_projects_server_that_reads_ldap_without_a_password_is_none() -> None:
    (one,) = [it for it in judge(APART, parse(SERVES)) if it.id == "trust-domains"]
    assert one.level == "fault"


def test_services_and_keys_are_looked_at(tmp_path: Path) -> None:
    services = tmp_path / "services.d"
    services.mkdir()
    (tmp_path / "ca_key.pem").touch()
    name = "puppetlabs.services.ca.certificate-authority-service/certificate-authority-service"
    who = Account("me", os.geteuid(), os.getegid())

    def reach() -> Reach:
        return look({"cadir": str(tmp_path)}, who, Settings(), [services])

    assert str(tmp_path / "ca_key.pem") in reach().keys and not reach().authority_service
    (services / "ca.cfg").write_text(f"# comment\n#{name}\n{name.replace('-service', '-disabled-service')}\n")
    assert not reach().authority_service
    (services / "ca.cfg").write_text(f"a.b/c\n  {name}  \n")
    assert reach().authority_service
