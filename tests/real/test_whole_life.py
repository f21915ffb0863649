"""From `instance create` to built by the printed user data in a network of its own, and gone again; what it may do."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import yaml

from enc import cli
from enc.directory.edits import DirectoryEditor
from enc.settings.config import load
from enc.terms.names import Certname, EnvironmentName
from puppetmaster_quickstart.auth_conf import AuthRule, AuthSettings
from puppetmaster_quickstart.owned_process import OwnedProcess
from puppetmaster_quickstart.private_agent import AgentSettings, PrivateAgent
from puppetmaster_quickstart.private_instance import PrivateInstance, end, refusal, start_wire, wire
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.instances import WHY, add_people_and_projects, found, write_config
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import Refused, Slapd

MASTER = Certname("puppet.example.org")
WEB, OTHER, CUT, LOOSE = (Certname(f"{name}.red.example.org") for name in ("web-1", "other", "cut", "loose"))
SCRIPTS = Path(sysconfig.get_path("scripts"))
ROOT = Path(__file__).parents[2]
ROWS = yaml.safe_load((Path(__file__).parents[1] / "cases/credentials/puppetserver.yaml").read_text())
MANIFEST = "node default { file { '/var/lib/built': content => $trusted['extensions']['pp_project'] } }\n"
# enc-autosign, killed at the moment between the token's use and its answer.
KILLED = """#!{python}
import os, signal, sys
from pathlib import Path
from enc.signing import autosign, refusals
if Path({mark!r}).exists():
    Path({mark!r}).unlink()
    refusals.SigningJournal.append = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(autosign.main(sys.argv[1], Path({config!r}), sys.stdin.buffer))
"""
Admin = Callable[..., tuple[int, str, str]]


class Site(NamedTuple):
    """slapd, a puppetserver that asks enc-autosign and enc, and the way of instances to it."""

    base: Path
    config: Path
    slapd: Slapd
    master: PrivateMaster
    kill: Path
    """While this file is there, the next policy program is killed after its change in LDAP."""

    def switched_on(self, name: str, certname: Certname) -> PrivateInstance:
        """Return a new machine that is to be `certname`."""
        instance = PrivateInstance(self.base / name, certname, MASTER, self.base / "wire-puppetserver")
        (instance.own / "etc/puppet").mkdir(parents=True)
        (instance.own / "etc/puppet/puppet.conf").write_text("[main]\nkeylength = 2048\n")
        instance.start()
        return instance

    def ask(self, who: Path, certname: Certname | None) -> http.client.HTTPSConnection:
        """Return a connection with key and certificate of `certname`, which are below `who`; None: without."""
        context = ssl.create_default_context(cafile=str(self.master.base / "puppet/ca/ca_crt.pem"))
        if certname is not None:
            context.load_cert_chain(who / f"certs/{certname}.pem", who / f"private_keys/{certname}.pem")
        return http.client.HTTPSConnection("localhost", self.master.settings.port, context=context, timeout=60)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster, make_module_slapd: SlapdMaker
) -> Iterator[Site]:
    why = refusal()
    assert why is None, f"no namespaces: {why}"
    base, slapd = tmp_path_factory.mktemp("life"), make_module_slapd()
    at, kill, program = base / "master", base / "kill", base / "enc-autosign"
    config = write_config(base / "config.yaml", slapd)
    program.write_text(KILLED.format(python=sys.executable, mark=str(kill), config=str(config)))
    program.chmod(0o755)
    rules = (AuthRule("anybody's reports, by mistake", f"/puppet/v3/report/{LOOSE}", ("put",), ("*",)),)
    master = make_master(
        at,
        MasterSettings(
            certname=MASTER,
            autosign=program,
            duplicates=True,
            auth=AuthSettings(flush_clients=(MASTER,), catalog_clients=(MASTER,), status_clients=(MASTER,)),
            rules=rules,
            server=exec_terminus(SCRIPTS / "enc") | {"reports": "puppetmaster, store"},
            environment={"PUPPETMASTER_CONFIG": str(config)},
        ),
    )
    document = yaml.safe_load(config.read_text())
    tls = at / "puppet/ssl"
    document["instances"] |= {
        "vardir": str(at / "server/var"),
        "reports": str(at / "server/var/reports"),
        "agent": {"server": str(MASTER), "ca_file": str(at / "puppet/ca/ca_crt.pem"), "service": False},
    }
    document["authorities"] = {
        "timeout": "60s",
        "servers": [
            {
                "name": "central",
                "url": f"https://localhost:{master.settings.port}",
                "ca_file": str(at / "puppet/ca/ca_crt.pem"),
                "certificate_file": str(tls / f"certs/{MASTER}.pem"),
                "key_file": str(tls / f"private_keys/{MASTER}.pem"),
            }
        ],
    }
    document["answers"] = {"directory": str(base / "answers")}
    document["signing"] |= {"timeout": "60s", "journal": str(base / "signing/journal.jsonl")}
    config.write_text(yaml.safe_dump(document))
    add_people_and_projects(slapd, config)
    master.add_environment(EnvironmentName("production"), {"manifests/site.pp": MANIFEST})
    processor = at / "server/var/lib/puppet/reports/puppetmaster.rb"
    processor.parent.mkdir(parents=True)
    shutil.copy(ROOT / "lib/puppet/reports/puppetmaster.rb", processor)
    master.start()
    way, follower = wire(base), OwnedProcess(base / "follower.pid", "follower")
    made = Site(base, config, slapd, master, kill)
    try:
        start_wire(way, master.settings.port)
        command = [str(SCRIPTS / "enc-admin"), "--config", str(config), "follow"]
        follower.start(command, output=base / "follower.log", directory=base, environment=os.environ)
        yield made
    finally:
        for pid_file in base.glob("*/pid"):
            end(OwnedProcess(pid_file, "instance"))
        end(way)
        follower.stop()


@pytest.fixture
def admin(site: Site, capsys: pytest.CaptureFixture[str]) -> Admin:
    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--config", str(site.config), *words])
        told = capsys.readouterr()
        json_contract.watch("enc-admin", words, told.out)
        return status, told.out, told.err

    return run


def created(admin: Admin, site: Site, certname: Certname) -> str:
    """Make an instance whose answer is on disk when this returns; return its user data."""
    status, out, err = admin("instance", "create", certname, "--project", "red", "--reason", WHY)
    assert status == 0, err
    wait_until((site.base / f"answers/nodes/{certname}.yaml").exists)
    return out


def wait_until(condition: Callable[[], bool]) -> None:
    """The follower does it."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("the answers did not follow")


def own_node(connection: http.client.HTTPSConnection) -> int:
    """Ask for the instance's own classification; return the status."""
    path = f"/puppet/v3/node/{WEB}?environment=production"
    connection.request("GET", path, headers={"Accept": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def state(admin: Admin, certname: Certname) -> dict[str, Any]:
    assert admin("instance", "collect")[0] == 0
    rows = json.loads(admin("instance", "list", "--json")[1])["instances"]
    (row,) = [row for row in rows if row["certname"] == certname]
    return dict(row)


def log_of(instance: PrivateInstance) -> str:
    file = instance.own / "var/log/puppetmaster-first-run.log"
    return file.read_text()[-6000:] if file.exists() else ""


def test_from_create_to_built_then_gone_then_again_and_the_old_certificate_is_refused(site: Site, admin: Admin) -> None:
    user_data = created(admin, site, WEB)
    assert state(admin, WEB)["state"] == "waiting"
    first = site.switched_on("first", WEB)
    done = first.carry_out(user_data)
    assert done.status == 0, done.output + log_of(first)
    assert (first.own / "var/lib/built").read_text() == "red"
    assert first.run("cat", "/proc/sys/kernel/hostname").output == "web-1\n"
    assert first.run("sh", "-c", "ip -brief link | wc -l").output == "1\n", "nothing but the loopback"
    row = state(admin, WEB)
    assert row["state"] == "built", row
    assert len(proven(site, WEB)) == 1, "it is built because of the report that came with its certificate"
    settings = load(site.config)
    instance = found(settings, WEB)
    assert instance is not None and instance.built is not None
    assert abs(time.time() - instance.built.at) < 600 and 0 < instance.built.took < 600

    tls = first.own / "var/lib/puppet/ssl"
    with closing(site.ask(tls, WEB)) as kept:
        assert own_node(kept) == 200
        assert admin("instance", "delete", WEB, "--reason", WHY)[0] == 0
        wait_until(lambda: not (site.base / f"answers/nodes/{WEB}.yaml").exists())
        # Who was connected already still is; what it was is not to be had any more.
        assert own_node(kept) >= 400
    # puppetserver reads its revocation list again by itself, without a reload.
    refused = first.agent()
    assert not refused.succeeded and "alert certificate" in refused.output, refused.output
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof|closed"):
        own_node(site.ask(tls, WEB))

    again = site.switched_on("again", WEB)
    done = again.carry_out(created(admin, site, WEB))
    assert done.status == 0, done.output + log_of(again)
    assert state(admin, WEB)["state"] == "built"
    refused = first.agent()
    assert not refused.succeeded and "alert certificate" in refused.output, refused.output
    # Nor does the old machine come in by its user data, whose token was another one.
    shutil.rmtree(tls)
    attributes = first.own / "etc/puppet/csr_attributes.yaml"
    document = yaml.safe_load(user_data)
    (text,) = [file["content"] for file in document["write_files"] if file["path"].endswith("csr_attributes.yaml")]
    attributes.write_text(text)
    assert not first.agent().succeeded
    codes = [json.loads(line)["code"] for line in settings.signing.journal.read_text().splitlines()]
    assert codes == ["signed", "signed", "wrong-token"]
    assert again.agent().succeeded
    first.stop()
    again.stop()


def enrolled(site: Site, admin: Admin, certname: Certname) -> PrivateAgent:
    """Make an instance and let a real agent get its certificate with the token."""
    status, out, err = admin("instance", "create", certname, "--project", "red", "--reason", WHY, "--json")
    assert status == 0, err
    token = json.loads(out)["token"]
    extensions = {"custom_attributes": {"challengePassword": token}, "extension_requests": {"pp_project": "red"}}
    settings = AgentSettings(certname, "localhost", site.master.settings.port, csr_attributes=extensions)
    agent = site.master.agent(certname, settings)
    agent.write()
    return agent


def bootstrap(agent: PrivateAgent) -> int:
    return agent.puppet("ssl", "bootstrap", "--waitforcert", "0", "--http_keepalive_timeout", "0").status


def test_a_policy_program_killed_after_its_change_in_ldap_is_made_good_by_reconcile(site: Site, admin: Admin) -> None:
    agent = enrolled(site, admin, CUT)
    site.kill.touch()
    assert bootstrap(agent) != 0
    assert not site.kill.exists() and not agent.certificate.exists()
    instance = found(load(site.config), CUT)
    assert instance is not None and instance.enrolment.state == "signed", "the token is used"
    assert bootstrap(agent) != 0, "a token is used once"
    assert admin("instance", "reconcile", "--older-than", "0s")[0] == 0
    assert bootstrap(agent) == 0
    assert agent.certificate.exists()
    said = map(json.loads, load(site.config).signing.journal.read_text().splitlines())
    assert [line["code"] for line in said if line["certname"] == CUT][-2:] == ["used", "signed"]


ME = Certname("me.red.example.org")


@pytest.fixture(scope="module")
def me(site: Site) -> PrivateAgent:
    """An instance with its own certificate, and another that is signed, too; both have answers."""
    agents = []
    for certname in (OTHER, LOOSE, ME):
        words = ["instance", "create", certname, "--project", "red", "--reason", WHY, "--json"]
        command = [str(SCRIPTS / "enc-admin"), "--config", str(site.config), *words]
        token = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["token"]
        said = {"custom_attributes": {"challengePassword": token}, "extension_requests": {"pp_project": "red"}}
        agent = site.master.agent(
            certname, AgentSettings(certname, "localhost", site.master.settings.port, csr_attributes=said)
        )
        agent.write()
        assert bootstrap(agent) == 0
        agents.append(agent)
        wait_until((site.base / f"answers/nodes/{certname}.yaml").exists)
    return agents[-1]


def asked(site: Site, agent: PrivateAgent, row: dict[str, Any], who: str = "me") -> int:
    """Ask what the row says as `agent`, the `master` or anonymously; return the status."""
    sends = {"me": (agent.ssl, ME), "master": (site.master.base / "puppet/ssl", MASTER), "anonymous": (Path(), None)}

    def filled(text: str) -> str:
        return text.replace("%{me}", ME).replace("%{other}", OTHER).replace("%{nobody}", "nobody.red.example.org")

    method, path = filled(row["ask"]).split(" ", 1)
    whom = ME if ME in path else OTHER
    facts = json.dumps({"name": whom, "values": {}, "timestamp": "2026-01-01T00:00:00Z", "expiration": "2036-01-01"})
    report = {"host": whom, "time": "2026-01-01T00:00:00Z", "configuration_version": 1, "transaction_uuid": "x"}
    report |= {"report_format": 12, "puppet_version": "7.23.0", "status": "unchanged", "environment": "production"}
    report |= {"noop": False, "noop_pending": False, "corrective_change": False, "logs": [], "metrics": {}}
    report |= {"resource_statuses": {}, "cached_catalog_status": "not_used"}
    report |= row.get("report", {})
    kind, body = "application/json", ""
    if "json" in row:
        body = filled(json.dumps(row["json"]))
    elif row.get("body") or "report" in row:
        body = {"facts": facts, "none": "none"}.get(row.get("body", ""), json.dumps(report))
    elif "form" in row:
        kind = "application/x-www-form-urlencoded"
        body = f"facts_format=application%2Fjson&facts={quote(quote(facts))}"
    with closing(site.ask(*sends[who])) as connection:
        connection.request(method, path, body or None, {"Content-Type": kind, "Accept": "application/json, */*"})
        return connection.getresponse().status


@pytest.mark.parametrize("row", ROWS, ids=[row["ask"].partition("?")[0] + " " + row["what"] for row in ROWS])
def test_who_may_ask_what_of_puppetserver(site: Site, me: PrivateAgent, row: dict[str, Any]) -> None:
    wanted = {"me": row["status"], "anonymous": row.get("anonymous", 403), "master": row.get("master", "let")}
    found = {who: asked(site, me, row, who) for who in wanted}
    for who, status in found.items():
        if wanted[who] == "refused":
            assert status in (400, 403, 404), found
        elif wanted[who] == "let":
            assert status not in (401, 403), found
        else:
            assert status == wanted[who], found


def test_others_are_untouched_after_all_that(site: Site, me: PrivateAgent) -> None:
    for row in ROWS:
        asked(site, me, row)
    assert bootstrap(site.master.agent(OTHER)) == 0
    with DirectoryEditor(load(site.config)) as editor:
        assert editor.find(load(site.config).nodes_base, f"(cn={OTHER})")
    crl = (site.master.base / "puppet/ca/ca_crl.pem").read_text()
    assert (site.master.base / f"puppet/ca/signed/{OTHER}.pem").exists() and crl


def proven(site: Site, certname: str) -> list[Path]:
    """Return the reports that the processor has kept of an instance."""
    return sorted((site.master.base / f"server/var/puppetmaster-reports/{certname}").glob("*"))


def reported(site: Site, agent: PrivateAgent, key: str, host: object, status: str) -> int:
    """Let `agent` send a report to the address of `key` that has `host` in it; return puppetserver's answer."""
    said = {"host": host, "status": status, "transaction_uuid": "sent-by-me"}
    return asked(site, agent, {"ask": f"PUT /puppet/v3/report/{key}?environment=production", "report": said})


def test_a_report_in_anothers_name_changes_nothing_and_is_told(site: Site, me: PrivateAgent, admin: Admin) -> None:
    run = site.master.agent(LOOSE).run()
    assert run.succeeded, run.output
    assert state(admin, LOOSE)["state"] == "built"
    before, log = proven(site, LOOSE), site.master.log.stat().st_size
    # By the shipped rules the address is the sender's, and Puppet wants the report's host to be the same.
    assert reported(site, me, ME, LOOSE, "failed") == 500
    assert reported(site, me, OTHER, OTHER, "failed") == 403
    # Where auth.conf lets others in, as it does here for one name, only our processor looks who sent it.
    assert reported(site, me, LOOSE, LOOSE, "failed") == 200
    after = state(admin, LOOSE)
    assert after["state"] == "built" and after["last_run"]["transaction"] != "sent-by-me"
    assert proven(site, LOOSE) == before
    stored = (site.master.base / f"server/var/reports/{LOOSE}").glob("*.yaml")
    assert any("sent-by-me" in file.read_text() for file in stored), "Puppet's own `store` has been taken in"
    with site.master.log.open() as stream:
        stream.seek(log)
        said = stream.read()
    assert f'Instance name "{LOOSE}" does not match requested key "{ME}"' in said
    assert f'puppetmaster: {ME} sent a report in the name of "{LOOSE}"; it was not kept' in said
    assert reported(site, me, ME, ME, "failed") == 200
    assert state(admin, ME)["state"] == "failing"
    assert reported(site, me, ME, ME, "changed") == 200
    assert state(admin, ME)["state"] == "built"


def test_no_report_makes_a_file_elsewhere(site: Site, me: PrivateAgent) -> None:
    base = site.master.base

    def all_files() -> set[Path]:
        return {p for p in base.rglob("*") if p.is_file() and not p.is_relative_to(base / "server/var/reports")}

    before = all_files()
    for host in ("../../x", "..", ".", "", "/tmp/x", f"{ME}/../{OTHER}", f"{ME}\n", ME.upper(), None, [ME], "é" * 200):
        for key in (ME, LOOSE, f"{LOOSE}%2f..%2fx", f"{LOOSE}/../x"):
            reported(site, me, key, host, "changed")
    assert all_files() == before


def test_ldap_tells_an_instance_nothing(site: Site) -> None:
    """It has no account there; without one, nodes and tokens are not read."""
    with suppress(Refused), site.slapd.connect("", "") as connection:
        connection.search("ou=hosts,dc=example,dc=org", "(objectClass=*)", attributes=["*"])
        assert not connection.entries
