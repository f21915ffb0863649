"""A real puppetserver that asks `enc-autosign`: whose certificate it signs, and what stands in the journal."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from enc.signing.refusals import SigningJournal, lines
from enc.terms.names import Certname
from puppetmaster_quickstart.auth_conf import AuthRule
from puppetmaster_quickstart.owned_process import OwnedProcess
from puppetmaster_quickstart.private_agent import AgentSettings
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support import requests_made as make
from tests.support.following import eventually
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import ADD, REPLACE, Slapd

SCRIPTS = Path(sysconfig.get_path("scripts"))
S = "dc=example,dc=org"
AGENT = Certname("agent.red.example.org")
FLOODED, KILLED = "flooded.red.example.org", "killed.red.example.org"
NAMES = (AGENT, make.NAME, "web-2.red.example.org", FLOODED, KILLED)
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
        document["answers"] = {"directory": str(base / "answers")}
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
        self.config, self.base = config, base
        self.follower = OwnedProcess(base / "follower.pid", "follower")
        command = [str(SCRIPTS / "enc-admin"), "--config", str(config), "follow"]
        self.follower.start(command, output=base / "follower.log", directory=base, environment=os.environ)
        eventually((base / f"answers/enrolments/{AGENT}").exists, "the follower knows the instances")

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
    made = Site(tmp_path_factory.mktemp("site"), slapd, make_master)
    yield made
    made.follower.stop()


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
    # The request that waits holds a token that is still good: nobody reads it there.
    assert make.TOKEN.encode() in base64.b64decode(b"".join(request.split(b"\n")[1:-2]))
    assert site.http("GET", f"{REQUEST}/{make.NAME}")[0] == 403
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


def judges(site: Site) -> set[int]:
    """Which judges of this site work this moment; other tests have some beside it."""
    found, program = set(), str(site.base / "enc-admin").encode()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = place.read_bytes().split(b"\0")
            if b"judge" in words and b"signing" in words and words[1] == program:
                found.add(int(place.parent.name))
    return found


def awaited_judges(site: Site) -> set[int]:
    """The same, as soon as there are some."""
    found: set[int] = set()
    eventually(lambda: found.update(judges(site)) or found, "a judge works")
    return found


class Flood:
    """Requests of strangers, all at once, until the block ends; keeps the most judges that were seen at once."""

    def __init__(self, site: Site, names: list[str]) -> None:
        self.most, self.waits, self.answers = 0, list[float](), set[int]()
        self._site = site
        requests = [(make.pem(make.request(name=name, token=None)), name) for name in names]
        self._threads = [threading.Thread(target=site.submit, args=sent) for sent in requests]
        self._watch = threading.Thread(target=self._look)

    def __enter__(self) -> Flood:
        for thread in (*self._threads, self._watch):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in (*self._threads, self._watch):
            thread.join()
        assert self.answers == {200}, "others are answered meanwhile"
        print(f"{len(self._threads)} requests: GET took {max(self.waits):.2f} s at most, {self.most} judges at once")

    def _look(self) -> None:
        while any(thread.is_alive() for thread in self._threads):
            self.most = max(self.most, len(judges(self._site)))
            began = time.monotonic()
            self.answers.add(self._site.http("GET", "/puppet-ca/v1/certificate/ca")[0])
            self.waits.append(time.monotonic() - began)


def test_strangers_are_turned_away_before_anything_is_read(site: Site) -> None:
    """No name that they make up costs more than the door, and the instance that is waited for is signed meanwhile."""
    site.set(FLOODED, waiting(make.TOKEN))
    before = site.codes()
    with Flood(site, [f"stranger-{number}.red.example.org" for number in range(60)]) as flood:
        assert site.submit(make.pem(make.request(name=FLOODED)), FLOODED) == 200
        assert site.certificate(FLOODED) is not None
    assert site.codes()[len(before) :] == ["signed"]
    assert flood.most <= 1
    journal = SigningJournal(site.journal)
    told = [line for line in lines(journal.strangers.read_bytes()) if "stranger-" in line.certname]
    assert {line.code for line in told} == {"stranger"}
    more = [re.search(r"(\d+) more", line.reason) for line in told]
    assert len(told) + sum(int(found[1]) for found in more if found) + journal.untold() == 60


def test_who_knows_names_makes_few_judges_work_and_takes_no_turn_of_who_is_waited_for(site: Site) -> None:
    site.set(FLOODED, waiting(make.TOKEN))
    site.set("web-2.red.example.org", "closed since 1")
    enrolments = site.base / "answers/enrolments"
    eventually(lambda: (enrolments / "web-2.red.example.org").read_text() == "closed\n", "the follower knows it")
    with Flood(site, ["web-2.red.example.org"] * 40) as flood:
        seen = len(awaited_judges(site))
        assert site.submit(make.pem(make.request(name=FLOODED, key=make.OTHER)), FLOODED) == 200
        found = site.certificate(FLOODED)
        assert found is not None and found.public_key() == make.OTHER.public_key()
    assert 1 <= max(seen, flood.most) <= 2
    # Those that came while two were judged are `crowded` (tests/unit/test_autosign_script.py), if any did.
    told = {line.code for line in SigningJournal(site.journal).read() if line.certname == "web-2.red.example.org"}
    assert told and told <= {"closed", "crowded"}


def test_a_judge_that_is_killed_gives_its_turn_back(site: Site) -> None:
    site.set(KILLED, waiting(make.TOKEN))
    for _ in range(3):
        thread = threading.Thread(target=site.submit, args=(make.pem(make.request(name=KILLED)), KILLED))
        thread.start()
        for pid in awaited_judges(site):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        thread.join()
    site.set(KILLED, waiting(make.TOKEN))
    assert site.submit(make.pem(make.request(name=KILLED)), KILLED) == 200
    assert site.codes()[-1] == "signed"


def test_without_its_x_bit_it_allows_nobody(site: Site) -> None:
    lines = len(site.codes())
    words = {word for line in site.program.read_text().splitlines() for word in line.split() if Certname.accepts(word)}
    assert {"my", "if", "for", "return"} <= words
    site.program.chmod(0o644)
    try:
        for name in ("my", "if", "for", "return", make.NAME):
            site.submit(make.pem(make.request(name=name)), name)
            assert site.certificate(name) is None
    finally:
        site.program.chmod(0o755)
    assert len(site.codes()) == lines
    assert "Invalid pattern" in site.master.log_tail(1000)
