"""`enc-autosign` as puppetserver starts it, against a real slapd: who is signed, once, and what every failure is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from enc.instances.enrolment import Enrolment
from enc.signing import refusals, request
from enc.signing.published import PublishedKeys
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support import requests_made as make
from tests.support.hostile_server import says_nothing, server
from tests.support.slapd import ADD, REPLACE, Slapd

SCRIPTS = Path(sysconfig.get_path("scripts"))
S = "dc=example,dc=org"
NAME = make.NAME
NODE = f"cn={NAME},ou=red,ou=hosts,{S}"
END = 4_000_000_000
WAITING = f"waiting since 1000 until {END} token {make.digest(make.TOKEN)} nonce 00"


@dataclass
class Site:
    slapd: Slapd
    config: Path
    document: dict[str, Any]

    @property
    def journal(self) -> Path:
        return self.config.with_name("signing") / "journal.jsonl"

    def enrolment(self) -> Enrolment:
        with self.slapd.connect() as connection:
            connection.search(NODE, "(objectClass=*)", attributes=["puppetmasterEnrolment"])
            return Enrolment.read(connection.response[0]["attributes"]["puppetmasterEnrolment"][0])

    def set(self, enrolment: str) -> None:
        self.slapd.modify(NODE, {"puppetmasterEnrolment": [(REPLACE, [enrolment])]})

    def configured(self, **sections: Any) -> Path:
        changed = self.config.with_name(f"config-{time.monotonic_ns()}.yaml")
        names = {*self.document, *sections}
        whole = {name: {**self.document.get(name, {}), **sections.get(name, {})} for name in names}
        changed.write_text(yaml.safe_dump(whole))
        return changed

    def ask(
        self, octets: bytes, *, certname: str = NAME, config: Path | None = None, door: bool = True
    ) -> tuple[int, str]:
        """Send a request to the program; without `door`, to a judge at once."""
        judge = [SCRIPTS / "enc-admin", "signing", "judge", "--", certname]
        done = subprocess.run(
            [SCRIPTS / "enc-autosign", certname] if door else judge,
            input=octets,
            capture_output=True,
            env={**os.environ, "PUPPETMASTER_CONFIG": str(config or self.config)},
            check=False,
        )
        assert done.stdout == b""
        return done.returncode, done.stderr.decode()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


@pytest.fixture(scope="module")
def shared(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Site:
    slapd = make_module_slapd()
    slapd.add(f"ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit"})
    slapd.add(NODE, {"objectClass": ["device", "puppetClient", "puppetmasterClassification"]})
    slapd.modify(NODE, {"puppetmasterEnrolment": [(ADD, [WAITING])]})
    person = f"uid=mia,ou=people,{S}"
    slapd.add(person, {"objectClass": "inetOrgPerson", "cn": "mia", "sn": "mia", "userPassword": "secret"})
    slapd.add(f"cn=red,ou=projects,{S}", {"objectClass": "groupOfNames", "member": person})
    slapd.add(f"cn=blue,ou=projects,{S}", {"objectClass": "groupOfNames", "member": f"cn=manager,{S}"})
    base = tmp_path_factory.mktemp("signing")
    document = yaml.safe_load(slapd.configuration())
    document["signing"] |= {"journal": str(base / "signing/journal.jsonl"), "timeout": "60s"}
    document["directory"] |= {"timeout": "60s"}
    document["audit"] = {"file": str(base / "trail.jsonl")}
    config = base / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    return Site(slapd, config, document)


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    shared.set(WAITING)
    shared.journal.unlink(missing_ok=True)
    yield shared


GOOD = make.pem(make.request())


def test_an_instance_that_is_waited_for_is_signed_and_no_other_key_is(site: Site) -> None:
    assert site.ask(GOOD) == (0, "")
    now = site.enrolment()
    assert (now.state, now.until, now.token) == ("signed", END, make.digest(make.TOKEN))
    assert abs(time.time() - now.since) < 60
    status, said = site.ask(make.pem(make.request(key=make.OTHER)))
    assert status == 1 and said.startswith(f"enc-autosign: used: {NAME}: ") and said.count("\n") == 1
    # Not even its own: with puppetserver 7 there would be two certificates, and one of them could not be revoked.
    assert site.ask(GOOD)[0] == 1
    assert [(line["code"], line["project"], line["signed"]) for line in site.lines()] == [
        ("signed", "red", True), ("used", "red", False), ("used", "red", False),
    ]  # fmt: skip
    assert site.lines()[0]["key"] == now.key
    assert site.journal.stat().st_mode & 0o777 == 0o640


def test_of_twenty_with_one_token_one_is_signed(site: Site) -> None:
    """Also where the door lets them in at once, or there are several authorities' machines."""
    requests = [make.pem(make.request(key=ec.generate_private_key(ec.SECP256R1()))) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(partial(site.ask, door=False), requests))
    assert sorted(status for status, _ in answers) == [0] + [1] * 19
    assert sorted(line["code"] for line in site.lines()) == ["signed"] + ["used"] * 19
    assert [line["key"] for line in site.lines() if line["signed"]] == [site.enrolment().key]


def test_a_refusal_uses_nothing(site: Site) -> None:
    for octets, code in (
        (make.pem(make.request(token=make.OTHER_TOKEN)), "wrong-token"),
        (make.pem(make.request(extensions={make.PROJECT: "blue"})), "wrong-project"),
        (make.built(add=[make.x509.SubjectAlternativeName([make.x509.DNSName("puppet")])]), "san"),
        (b"A" * (1 << 20), "too-big"),
        (b"", "not-a-request"),
    ):
        status, said = site.ask(octets)
        assert status == 1 and said.startswith(f"enc-autosign: {code}: ") and said.count("\n") == 1
        assert site.lines()[-1]["code"] == code and site.lines()[-1]["project"] == "red"
    assert site.enrolment().text() == WAITING


def test_a_key_that_is_public_gets_no_certificate(site: Site, tmp_path: Path) -> None:
    keys = PublishedKeys(tmp_path / "published")
    config = site.configured(signing={"published_keys": str(keys.directory)})
    status, said = site.ask(GOOD, config=config)  # nobody has looked yet: it may be public
    assert status == 1 and said.startswith("enc-autosign: configuration: ") and said.count("\n") == 1
    assert "audit-secrets" in said
    keys.prepare()
    wanted = request.read(GOOD)
    assert keys.add(wanted.key, 0) and not keys.add(wanted.key, 1)
    status, said = site.ask(GOOD, config=config)
    assert status == 1 and said.startswith(f"enc-autosign: public-key: {NAME}: ") and wanted.key in said
    assert (site.lines()[-1]["code"], site.lines()[-1]["project"]) == ("public-key", "red")
    assert site.enrolment().text() == WAITING, "the token can be used with another key"
    other = make.pem(make.request(key=make.OTHER))
    assert site.ask(other, config=config) == (0, "")


@pytest.mark.parametrize("name", ["", NAME.upper(), NAME + "\n", "--config", "-x", "--help", "a\nb", "*"])
def test_what_is_no_certname_is_refused_in_one_line(site: Site, name: str) -> None:
    status, said = site.ask(GOOD, certname=name)
    assert status != 0
    assert said.count("\n") == 1


def test_ldap_that_is_away_or_hangs_is_a_refusal_within_the_time(site: Site) -> None:
    quick = site.configured(signing={"timeout": "500ms"}, directory={"timeout": "60s"})
    site.slapd.stop()
    try:
        status, said = site.ask(GOOD, config=quick)
    finally:
        site.slapd.start()
    assert status == 1 and said.startswith("enc-autosign: ldap-unreachable: ") and said.count("\n") == 1
    with site.slapd.hung():
        began = time.monotonic()
        status, said = site.ask(GOOD, config=quick)
        assert time.monotonic() - began < 30  # a machine may be busy; the usual is half a second
    assert status == 1 and said.startswith("enc-autosign: ldap-unreachable: ")
    assert site.lines()[-1]["code"] == "ldap-unreachable"
    assert site.enrolment().text() == WAITING
    assert site.ask(GOOD) == (0, "")


def test_a_second_server_is_asked_in_time(site: Site) -> None:
    with server(says_nothing) as dead:
        uris = [f"ldap://{dead}", site.slapd.ldap_uri]
        answer = site.ask(GOOD, config=site.configured(directory={"uris": uris}, signing={"timeout": "20s"}))
    assert answer == (0, "")


def test_nothing_is_signed_without_a_trace(site: Site, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    for journal in (full, Path("/proc/signing/journal.jsonl"), tmp_path):
        status, said = site.ask(GOOD, config=site.configured(signing={"journal": str(journal)}))
        assert status == 1 and said.startswith("enc-autosign: journal: ") and said.count("\n") == 1
    assert site.enrolment().text() == WAITING


def test_a_configuration_or_account_that_cannot_be_used_is_a_refusal(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("signing: {x: 1}")
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    wrong.chmod(0o600)
    reader = site.document["directory"]
    for config, code in (
        (broken, "configuration"),
        (tmp_path / "none.yaml", "configuration"),
        (site.configured(signing={"bind_password_file": str(tmp_path / "none")}), "configuration"),
        (site.configured(signing={"bind_password_file": str(wrong)}), "ldap-refused"),
        # The reading account may read it all, and use up nothing.
        (
            site.configured(signing={"bind_dn": reader["bind_dn"], "bind_password_file": reader["bind_password_file"]}),
            "ldap-refused",
        ),
    ):
        status, said = site.ask(GOOD, config=config)
        assert status == 1 and said.startswith(f"enc-autosign: {code}: "), said
        assert said.count("\n") == 1
    assert site.enrolment().text() == WAITING


FOLLOW = ("signing", "log", "--follow", "--json")


def _admin(site: Site, *words: str, octets: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(
        [SCRIPTS / "enc-admin", "--config", site.config, "signing", *words],
        input=octets,
        capture_output=True,
        check=False,
    )
    json_contract.watch("enc-admin", ["signing", *words], done.stdout.decode())
    return done.returncode, done.stdout.decode()


def test_explain_tells_and_uses_nothing(site: Site) -> None:
    status, said = _admin(site, "explain", NAME, "--json", octets=GOOD)
    document = json.loads(said)
    assert status == 0 and document["would_sign"] and document["code"] == "signed"
    assert document["instance"]["project"] == "red"
    status, said = _admin(site, "explain", NAME, octets=make.pem(make.request(token=None)))
    assert status == 4 and "no-token" in said and "would be refused" in said
    assert site.enrolment().text() == WAITING
    assert not site.journal.exists()


def test_the_journal_is_shown_and_each_project_reads_its_own(site: Site) -> None:
    site.ask(make.pem(make.request(token=None)))
    site.ask(make.pem(make.request(name="other.example.org")), certname="other.example.org")
    site.ask(GOOD)
    told = json.loads(_admin(site, "log", "--json")[1])["requests"]
    assert [line["code"] for line in told] == ["no-token", "unknown", "signed"]
    told = json.loads(_admin(site, "log", "--json", "--refused", NAME)[1])["requests"]
    assert [line["code"] for line in told] == ["no-token"]
    old, *others = site.journal.read_text().splitlines(keepends=True)
    site.journal.write_text("".join((re.sub(r'"20\d\d-', '"2020-', old, count=1), *others)))
    recent = json.loads(_admin(site, "log", "--json", "--since", "1h")[1])["requests"]
    assert [line["code"] for line in recent] == ["unknown", "signed"]
    assert "no-token" in _admin(site, "log", "--project", "red")[1]
    mine = json.loads(_admin(site, "log", "--json", "--as", "mia", octets=b"secret\n")[1])["requests"]
    assert [line["code"] for line in mine] == ["no-token", "signed"]
    assert _admin(site, "log", "--as", "mia", octets=b"wrong\n") == (1, "")
    assert _admin(site, "log", "--as", "mia", "--project", "blue", octets=b"secret\n") == (1, "")


def test_following_shows_what_comes_also_after_the_journal_was_moved_aside(site: Site) -> None:
    site.ask(GOOD)
    command = [SCRIPTS / "enc-admin", "--config", site.config, *FOLLOW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            assert json_contract.held("enc-admin", FOLLOW, follower.stdout.readline())["code"] == "signed"
            with site.journal.open("a") as journal:
                journal.write("x" * refusals.LONGEST + "\n")
            for _ in range(2):
                site.ask(GOOD)
                assert json_contract.held("enc-admin", FOLLOW, follower.stdout.readline())["code"] == "used"
        finally:
            follower.terminate()
    assert site.journal.with_name("journal.jsonl.1").exists()
    site.journal.with_name("journal.jsonl.1").unlink()


def test_an_older_directory_gets_the_account_at_its_next_start(make_slapd: SlapdMaker) -> None:
    slapd = make_slapd()
    slapd.delete(f"cn=signer,ou=services,{S}")
    slapd.directory.home.signer_password_file.unlink()
    slapd.restart()
    password = slapd.directory.home.signer_password_file.read_text().rstrip("\n")
    with slapd.connect(slapd.directory.home.signer_dn, password):
        pass
