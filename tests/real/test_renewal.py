"""An instance renews its certificate: a real puppetserver with a short ca_ttl, its agent in a network of its own."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from enc.edits.wish import Wish
from enc.instances import agent_profile, user_data
from enc.instances.enrolment import ATTRIBUTE
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.user_data import PLACE, UserData
from enc.service.desk import open_desk
from enc.settings.config import load
from enc.terms.names import Certname, EnvironmentName
from puppetmaster_quickstart.owned_process import OwnedProcess
from puppetmaster_quickstart.private_agent import AgentRun
from puppetmaster_quickstart.private_instance import PrivateInstance, end, refusal, start_wire, wire
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support.instances import RED, WHY, add_people_and_projects, found, write_config
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import REPLACE, Slapd

MASTER, WEB = Certname("puppet.example.org"), Certname("web-1.red.example.org")
PROJECT = x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.1.7")
MONTH = "2592000"
# Stands before the real puppet on PATH; `%s` may kill the program that called it.
BEFORE_PUPPET = "#!/bin/sh\n%s\n"


class Site(NamedTuple):
    base: Path
    config: Path
    slapd: Slapd
    master: PrivateMaster
    instance: PrivateInstance

    @property
    def ssl(self) -> Path:
        return self.instance.own / "var/lib/puppet/ssl"

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.ssl / f"certs/{WEB}.pem").read_bytes())

    def files(self) -> dict[str, bytes]:
        """What the agent has: path → octets, without the time of its revocation list and locks."""
        return {str(p.relative_to(self.ssl)): p.read_bytes() for p in self.ssl.rglob("*") if p.is_file()}

    def allow(self, after: str) -> None:
        """Let the policy give another certificate so long after the last one, and let the last one be a day old."""
        document = yaml.safe_load(self.config.read_text())
        document["signing"]["renew_after"] = after
        self.config.write_text(yaml.safe_dump(document))
        instance = found(load(self.config), WEB)
        assert instance is not None and instance.enrolment.state == "signed"
        past = int(time.time()) - 86_400
        value = instance.enrolment._replace(since=past, until=past + 60).text()
        self.slapd.modify(instance.record.dn, {ATTRIBUTE: [(REPLACE, [value])]})

    def renew(self, before: str = MONTH, puppet: str = "", ruby: str = "") -> AgentRun:
        """Run what the timer runs; `puppet`: a shell program that stands before the real one; `ruby`: runs first."""
        programs = self.instance.own / "var/programs"
        programs.mkdir(exist_ok=True)
        (programs / "puppet").unlink(missing_ok=True)
        if puppet:
            (programs / "puppet").write_text(BEFORE_PUPPET % puppet)
            (programs / "puppet").chmod(0o755)
        path = {"PATH": "/var/programs:/usr/sbin:/usr/bin:/sbin:/bin"}
        (programs / "first.rb").write_text(ruby)
        words = ("ruby", *(("-r/var/programs/first.rb",) if ruby else ()), f"{PLACE}/renew", before)
        return self.instance.run(*words, environment=path)

    def codes(self) -> list[str]:
        journal = load(self.config).signing.journal
        return [json.loads(line)["code"] for line in journal.read_text().splitlines()]


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster, make_module_slapd: SlapdMaker
) -> Iterator[Site]:
    why = refusal()
    assert why is None, f"no namespaces: {why}"
    base, slapd = tmp_path_factory.mktemp("renewal"), make_module_slapd()
    at, config = base / "master", base / "config.yaml"
    write_config(config, slapd)
    document = yaml.safe_load(config.read_text())
    ca_file = at / "puppet/ca/ca_crt.pem"
    document["instances"]["agent"] = {"server": str(MASTER), "ca_file": str(ca_file)}
    document["signing"] |= {"timeout": "60s", "journal": str(base / "signing/journal.jsonl")}
    config.write_text(yaml.safe_dump(document))
    add_people_and_projects(slapd, config)
    master = make_master(
        at,
        MasterSettings(
            certname=MASTER,
            autosign=Path(sysconfig.get_path("scripts")) / "enc-autosign",
            duplicates=True,
            environment={"PUPPETMASTER_CONFIG": str(config)},
        ),
    )
    master.add_environment(EnvironmentName("production"), {"manifests/site.pp": "notify { 'hello': }\n"})
    master.start()
    # Its own certificate is made; those of agents end soon.
    master.settings = dataclasses.replace(master.settings, server={"ca_ttl": "1h"})
    master.reload()
    way = wire(base)
    instance = PrivateInstance(base / "web", WEB, MASTER, base / "wire-puppetserver")
    (instance.own / "etc/puppet").mkdir(parents=True)
    (instance.own / "etc/puppet/puppet.conf").write_text("[main]\nkeylength = 2048\n")
    try:
        start_wire(way, master.settings.port)
        instance.start()
        settings = load(config)
        with open_desk(settings) as desk:
            work = Lifecycle(desk, (), Journal(settings.instances.journal))
            ticket = work.create(WEB, RED, Wish(), reason=WHY).ticket
        assert ticket is not None
        told = UserData(agent_profile.load(settings.instances.agent), WEB, RED, ticket.token)
        done = instance.carry_out(user_data.render(told))
        assert done.status == 0, done.output
        yield Site(base, config, slapd, master, instance)
    finally:
        end(OwnedProcess(base / "web/pid", "instance"))
        end(way)


def test_the_same_key_gets_another_certificate_and_the_agent_works_with_it(site: Site) -> None:
    site.allow("1h")
    before, old, mode = site.files(), site.certificate, (site.ssl / f"certs/{WEB}.pem").stat().st_mode
    done = site.renew()
    assert done.status == 0 and "renewed, until" in done.output, done.output
    new, after = site.certificate, site.files()
    assert new.serial_number != old.serial_number and new.not_valid_after_utc > old.not_valid_after_utc
    assert new.public_key() == old.public_key()
    assert new.extensions.get_extension_for_oid(PROJECT).value == old.extensions.get_extension_for_oid(PROJECT).value
    assert (site.ssl / f"certs/{WEB}.pem").stat().st_mode == mode
    assert {name for name in before | after if before.get(name) != after.get(name)} == {f"certs/{WEB}.pem"}
    assert not (site.instance.own / f"{PLACE[1:]}/renewal").exists()
    assert site.codes()[-1] == "renewed"
    run = site.instance.agent()
    assert run.succeeded, run.output


def test_a_refusal_leaves_everything_as_it_was(site: Site) -> None:
    site.allow("1000d")
    before, codes = site.files(), site.codes()
    done = site.renew()
    assert done.status == 1 and "no new certificate" in done.output and "signing log" in done.output, done.output
    assert site.codes() == [*codes, "too-early"]
    assert site.files() == before
    run = site.instance.agent()
    assert run.succeeded, run.output


def test_it_asks_only_when_it_is_time_and_puppet_8_has_the_first_half(site: Site) -> None:
    site.allow("1h")
    before, codes, asked = site.files(), site.codes(), len(site.master.access_log.read_text())
    assert site.renew("60").status == 0
    own = '/usr/bin/puppet "$@"; [ "$1" != config ] || echo "hostcert_renewal_interval = 3600"'
    assert site.renew(MONTH, own).status == 0
    assert site.files() == before and site.codes() == codes
    assert len(site.master.access_log.read_text()) == asked, "nobody was asked"


KILL = 'case "$*" in *%s*) kill -9 $PPID; exit;; esac'
KILLED_AT = {
    "before it looks for an earlier one": {"puppet": f'{KILL % "download_cert"}\nexec /usr/bin/puppet "$@"'},
    "before it asks": {"puppet": f'{KILL % "submit_request"}\nexec /usr/bin/puppet "$@"'},
    "when it has the answer": {"puppet": f'/usr/bin/puppet "$@"; s=$?\n{KILL % "submit_request"}\nexit $s'},
    "before the rename": {"ruby": "File.define_singleton_method(:rename) { |*| Process.kill(9, $$) }"},
}


@pytest.mark.parametrize("at", KILLED_AT)
def test_killed_at_any_step_it_leaves_a_working_agent_and_is_done_next_time(site: Site, at: str) -> None:
    site.allow("1h")
    before, place = site.files(), f"certs/{WEB}.pem"
    done = site.renew(**KILLED_AT[at])
    assert done.status in (-9, 137), done.output
    left = site.files()
    assert left.pop(f"{place}.renewed", None) is None or at == "before the rename"
    assert left == before
    if at in ("when it has the answer", "before the rename"):
        assert site.codes()[-1] == "renewed", "it was signed, and the agent does not have it yet"
    done = site.renew()
    assert done.status == 0 and "renewed" in done.output, done.output
    after = site.files()
    assert after.keys() == before.keys() and after[place] != before[place]
    assert site.instance.run("puppet", "ssl", "verify").status == 0


def signed(site: Site, *, name: str = WEB, own_key: bool = True, own_ca: bool = True, hours: int = 9) -> bytes:
    """Return a certificate as the authority could make it by mistake, or somebody else."""
    ca = x509.load_pem_x509_certificate((site.master.base / "puppet/ca/ca_crt.pem").read_bytes())
    ca_key = load_pem_private_key((site.master.base / "puppet/ca/ca_key.pem").read_bytes(), None)
    assert isinstance(ca_key, rsa.RSAPrivateKey)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.subject)
        .public_key(site.certificate.public_key() if own_key else ec.generate_private_key(ec.SECP256R1()).public_key())  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .sign(ca_key if own_ca else other, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


@pytest.mark.parametrize(
    "wrong", [{"name": "web-2.red.example.org"}, {"own_key": False}, {"own_ca": False}, {"hours": 0}, {}]
)
def test_what_the_agent_could_not_work_with_is_not_put_in_place(site: Site, wrong: dict[str, str | bool]) -> None:
    before = site.files()
    (site.instance.own / "var/wrong.pem").write_bytes(signed(site, **wrong))  # type: ignore[arg-type]
    place = f"{PLACE}/renewal/certs/{WEB}.pem"
    done = site.renew(MONTH, f'[ "$1" != ssl ] || {{ cp /var/wrong.pem {place}; exit 0; }}\nexec /usr/bin/puppet "$@"')
    if not wrong:
        assert done.status == 0, "the same way, a good one comes in"
        assert site.files() != before
        return
    assert done.status == 1, done.output
    assert site.files() == before
