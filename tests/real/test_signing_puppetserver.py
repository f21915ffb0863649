"""A real puppetserver that asks `enc-autosign`: whose certificate it signs, and what stands in the journal."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from enc.terms.names import Certname
from puppetmaster_quickstart.private_agent import AgentSettings
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import AuthRule, MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support import requests_made as make
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import ADD, REPLACE, Slapd

SCRIPTS = Path(sysconfig.get_path("scripts"))
S = "dc=example,dc=org"
AGENT = Certname("agent.red.example.org")
NAMES = (AGENT, make.NAME, "web-2.red.example.org")
END = 4_000_000_000
REQUEST = "/puppet-ca/v1/certificate_request"


def waiting(token: str) -> str:
    return f"waiting since 1000 until {END} token {make.digest(token)}"


class Site:
    def __init__(self, base: Path, slapd: Slapd, make_master: MakeMaster) -> None:
        self.slapd, self.journal = slapd, base / "signing/journal.jsonl"
        config = base / "config.yaml"
        document = yaml.safe_load(slapd.configuration())
        document["signing"] |= {"journal": str(self.journal), "timeout": "30s", "renew_after": "1s"}
        document["directory"] |= {"timeout": "30s"}
        config.write_text(yaml.safe_dump(document))
        # A copy, so that its x bit can be taken away.
        self.program = base / "enc-autosign"
        shutil.copy(SCRIPTS / "enc-autosign", self.program)
        (base / "enc-admin").symlink_to(SCRIPTS / "enc-admin")
        settings = MasterSettings(
            autosign=self.program,
            duplicates=True,
            environment={"PUPPETMASTER_CONFIG": str(config)},
            rules=(AuthRule("clean", "/puppet-ca/v1/clean", ("put",), (AGENT,)),),
        )
        self.master: PrivateMaster = make_master(base / "master", settings)
        self.master.start()

    def set(self, name: str, enrolment: str) -> None:
        place = f"cn={name},ou=red,ou=hosts,{S}"
        self.slapd.modify(place, {"puppetmasterEnrolment": [(REPLACE, [enrolment])]})

    def http(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Ask as somebody who has no certificate yet."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("localhost", self.master.settings.port, context=context, timeout=60)
        try:
            kind = "application/json" if path.endswith("clean") else "text/plain"
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def submit(self, request: bytes, name: str = make.NAME) -> int:
        return self.http("PUT", f"{REQUEST}/{name}", request)[0]

    def certificate(self, name: str = make.NAME) -> x509.Certificate | None:
        status, body = self.http("GET", f"/puppet-ca/v1/certificate/{name}")
        return x509.load_pem_x509_certificate(body) if status == 200 else None

    def codes(self) -> list[str]:
        return [json.loads(line)["code"] for line in self.journal.read_text().splitlines()]


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, make_module_slapd: SlapdMaker, make_master: MakeMaster
) -> Iterator[Site]:
    slapd = make_module_slapd()
    slapd.add(f"ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit"})
    for name in NAMES:
        place = f"cn={name},ou=red,ou=hosts,{S}"
        slapd.add(place, {"objectClass": ["device", "puppetClient", "puppetmasterClassification"]})
        slapd.modify(place, {"puppetmasterEnrolment": [(ADD, ["closed since 1"])]})
    yield Site(tmp_path_factory.mktemp("site"), slapd, make_master)


def test_a_real_agent_with_its_token_is_signed(site: Site) -> None:
    site.set(AGENT, waiting(make.TOKEN))
    attributes = {
        "custom_attributes": {"challengePassword": make.TOKEN},
        "extension_requests": {"pp_project": "red"},
    }
    settings = AgentSettings(AGENT, "localhost", site.master.settings.port, csr_attributes=attributes)
    run = site.master.agent(AGENT, settings).run()
    assert run.succeeded, run.output
    assert site.codes() == ["signed"]


def test_what_is_not_signed_stays_pending_and_the_journal_says_why(site: Site) -> None:
    site.set(make.NAME, waiting(make.TOKEN))
    site.set("web-2.red.example.org", waiting(make.OTHER_TOKEN))
    san = make.built(add=[x509.SubjectAlternativeName([x509.DNSName("puppet")])])
    authorization = make.extension(f"{make.ARC}.3.39", make.utf8("true"))
    before = len(site.codes())
    for request, code in (
        (make.pem(make.request(token=make.OTHER_TOKEN)), "wrong-token"),
        (san, "san"),
        (make.pem(make.request(raw_extensions=[authorization])), "authorization"),
        (make.pem(make.request(key=make.OTHER, claimed=make.EC)), "signature"),
    ):
        site.submit(request)
        assert site.certificate() is None, code
        assert site.codes()[before:][-1] == code
    assert "enc-autosign: wrong-token: " in site.master.log_tail(1000)
    # Each try is judged anew: nothing that was refused stands in the way of what is right.
    assert site.submit(make.pem(make.request())) == 200
    assert site.certificate() is not None
    site.submit(make.pem(make.request(key=make.OTHER)))
    assert site.codes()[-1] == "used"
    found = site.certificate()
    assert found is not None and found.public_key() == make.EC.public_key()


def test_an_outage_of_ldap_is_over_when_it_is_over(site: Site) -> None:
    site.set(make.NAME, waiting(make.TOKEN))
    serial = getattr(site.certificate(), "serial_number", 0)
    request = make.pem(make.request(key=make.RSA))
    site.slapd.stop()
    try:
        site.submit(request)
    finally:
        site.slapd.start()
    assert site.codes()[-1] == "ldap-unreachable"
    assert getattr(site.certificate(), "serial_number", 0) == serial
    assert site.submit(request) == 200
    found = site.certificate()
    assert found is not None and found.serial_number != serial


def test_a_key_gets_another_certificate_when_it_is_due_and_clean_revokes_only_the_last(site: Site) -> None:
    site.set(make.NAME, make.signed_for(make.EC, since=1500, until=2000))
    request = make.pem(make.request(token=None))
    assert site.submit(request) == 200
    first = site.certificate()
    site.set(make.NAME, make.signed_for(make.EC, since=1500, until=2000))
    assert site.submit(request) == 200
    second = site.certificate()
    assert site.codes()[-2:] == ["renewed", "renewed"]
    assert first is not None and second is not None and first.serial_number != second.serial_number
    assert first.public_key() == second.public_key()
    context = ssl._create_unverified_context()
    agent = site.master.agent(AGENT)
    context.load_cert_chain(agent.certificate, agent.key)
    connection = http.client.HTTPSConnection("localhost", site.master.settings.port, context=context, timeout=60)
    body = json.dumps({"certnames": [make.NAME]})
    connection.request("PUT", "/puppet-ca/v1/clean", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    crl = x509.load_pem_x509_crl(site.http("GET", "/puppet-ca/v1/certificate_revocation_list/ca")[1])
    # docs/signing.md states this cost; if puppetserver ever revokes all of them, it can be taken out.
    assert crl.get_revoked_certificate_by_serial_number(second.serial_number) is not None
    assert crl.get_revoked_certificate_by_serial_number(first.serial_number) is None


def test_without_its_x_bit_it_allows_nobody(site: Site) -> None:
    lines = len(site.codes())
    words = {word for line in site.program.read_text().splitlines() for word in line.split() if Certname.accepts(word)}
    assert {"done", "do", "for", "exit"} <= words
    site.program.chmod(0o644)
    try:
        for name in ("done", "do", "for", "exit", make.NAME):
            site.submit(make.pem(make.request(name=name)), name)
            assert site.certificate(name) is None
    finally:
        site.program.chmod(0o755)
    assert len(site.codes()) == lines
    assert "Invalid pattern" in site.master.log_tail(1000)
