"""A real puppetserver's CA: instances leave nothing there that is good, whatever is killed and however many at once."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from enc import cli
from enc.authority import crl_files
from enc.authority.client import Authority, AuthorityRefused, AuthorityUnreachable, open_all
from enc.authority.revocations import NotTrusted, lists
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.doctor import authority as doctor
from enc.edits.wish import Wish
from enc.instances.enrolment import ATTRIBUTE
from enc.instances.finishing import Unfinished
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.tokens import digest
from enc.service.desk import open_desk
from enc.settings import AuthoritySettings, Duration, Settings
from enc.settings.config import load
from enc.terms.errors import NotAllowed
from enc.terms.names import Certname, PersonName
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.ca_requests import CA_RULES, OPERATOR, CertificateClient, Keeper, serial
from tests.support.following import eventually
from tests.support.instances import BLUE, RED, WHY, add_people_and_projects, found, killed_at, write_config
from tests.support.puppetserver import MakeMaster

Run = Callable[..., tuple[int, str, str]]


class Site:
    """slapd and a CA that signs everything, so that tests decide when somebody is signed."""

    def __init__(self, base: Path, config: Path, master: PrivateMaster, client: CertificateClient) -> None:
        self.base, self.config, self.master, self.client = base, config, master, client
        self.settings: Settings = load(config)
        self.operator = Keeper(base / "keys", OPERATOR)

    @property
    def authority(self) -> Authority:
        return open_all(self.settings.authorities)[0]

    def instance(self, certname: str) -> Keeper:
        """Make an instance and let it be signed."""
        with self.work() as work:
            work.create(certname, RED, Wish(), reason=WHY)
        return self.enrol(certname)

    def enrol(self, certname: str) -> Keeper:
        keeper = self.client.enrol(certname)
        self.note_signed(certname)
        return keeper

    def note_signed(self, certname: str) -> None:
        """Let LDAP say that the instance was signed."""
        instance = found(self.settings, certname)
        assert instance is not None
        change = ValueChange(
            ATTRIBUTE, (instance.enrolment.text(),), (instance.enrolment.signed_for("a" * 64, 10).text(),)
        )
        with DirectoryEditor(self.settings) as editor:
            editor.modify(instance.record.dn, [change])

    @contextmanager
    def work(self) -> Iterator[Lifecycle]:
        authorities = open_all(self.settings.authorities)
        with open_desk(self.settings) as desk:
            yield Lifecycle(desk, authorities, Journal(self.settings.instances.journal))
        for authority in authorities:
            authority.close()


@pytest.fixture(scope="module")
def site(make_module_slapd: SlapdMaker, make_master: MakeMaster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    base = tmp_path_factory.mktemp("authority")
    slapd = make_module_slapd()
    master = make_master(base / "master", MasterSettings(rules=CA_RULES))
    master.start()
    client = CertificateClient(master.settings.port, base / "keys")
    operator = client.enrol(OPERATOR)
    files = f"ca_file: {operator.ca}, certificate_file: {operator.certificate}, key_file: {operator.key}"
    central = f"{{name: central, url: 'https://localhost:{master.settings.port}', {files}}}"
    more = f"authorities:\n  keep: [{OPERATOR}]\n  crl_files: [{base}/crl.pem]\n  servers:\n    - {central}\n"
    config = write_config(base / "config.yaml", slapd, more)
    add_people_and_projects(slapd, config)
    return Site(base, config, master, client)


@pytest.fixture
def admin(site: Site, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["--config", str(site.config), *words])
        told = capsys.readouterr()
        json_contract.watch("enc-admin", words, told.out)
        return status, told.out, told.err

    return run


def test_a_deleted_instance_is_revoked_and_its_name_is_free_again(site: Site, admin: Run) -> None:
    old = site.instance("web.example.org")
    assert site.client.ask("GET", "expirations", who=old)[0] == 200
    status = site.authority.status(Certname("web.example.org"))
    assert status is not None and (status.state, status.serial) == ("signed", serial(old))
    old = Keeper(old.directory, old.certname)
    number = serial(old)
    assert admin("instance", "delete", "web.example.org", "--reason", WHY)[0] == 0
    assert site.authority.status(Certname("web.example.org")) is None
    assert number in site.client.revoked()
    kept = [path.read_bytes() for path in (old.certificate, old.key)]
    new = site.instance("web.example.org")
    assert site.client.ask("GET", "expirations", who=new)[0] == 200
    new.certificate.write_bytes(kept[0])
    new.key.write_bytes(kept[1])


    def refused() -> str:
        try:
            site.client.ask("GET", "expirations", who=old)
        except OSError as error:
            return str(error)
        return ""

    # puppetserver's web server looks at the list's file now and then.
    eventually(refused, "the revocation counts")
    assert re.search(r"(?i)alert|reset|eof|closed", refused())


def test_a_rebuild_ends_the_old_certificate_before_the_new_token_is_good(site: Site, admin: Run) -> None:
    old = serial(site.instance("again.example.org"))
    status, out, err = admin("instance", "rebuild", "again.example.org", "--reason", WHY, "--json")
    assert status == 0, err
    assert json.loads(out)["token"]
    assert old in site.client.revoked()
    assert site.client.request("again.example.org") == 200


def test_all_certificates_are_told(site: Site) -> None:
    keeper = site.instance("told.example.org")
    by_name = {status.name: status for status in site.authority.all().known}
    told = by_name[Certname("told.example.org")]
    assert (told.state, told.serial, told.authorized) == ("signed", serial(keeper), False)
    assert told.ends is not None and told.ends > 1_800_000_000


def test_an_authority_that_does_not_allow_it_says_so(site: Site) -> None:
    nobody = site.client.enrol("nobody.example.org")
    server = site.settings.authorities.servers[0]
    refused = AuthoritySettings("x", server.url, nobody.ca, nobody.certificate, nobody.key)
    authority = Authority(refused, 10)
    for ask in (authority.all, lambda: authority.remove(Certname("nobody.example.org"))):
        with pytest.raises(AuthorityRefused, match=r"auth\.conf"):
            ask()
    assert site.authority.remove(Certname("nobody.example.org"))
    assert not site.authority.remove(Certname("nobody.example.org"))


def test_another_ca_is_not_believed(site: Site, tmp_path: Path) -> None:
    server = site.settings.authorities.servers[0]
    with pytest.raises(AuthorityUnreachable, match=r"(?i)certificate"):
        Authority(AuthoritySettings("x", server.url), 5).all()


def test_fifty_deletions_at_once_revoke_all_fifty(site: Site) -> None:
    names = [f"many-{number}.example.org" for number in range(50)]
    serials = {serial(site.instance(name)) for name in names}
    troubles: list[BaseException] = []
    start = threading.Barrier(len(names))

    def delete(name: str) -> None:
        try:
            start.wait()
            with site.work() as work:
                work.delete(Certname(name), reason=WHY)
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=delete, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert serials <= site.client.revoked()
    assert not {status.name for status in site.authority.all().known} & set(names)
    assert [name for name in names if found(site.settings, name)] == []


def test_reconcile_revokes_what_ldap_does_not_know_and_nothing_else(site: Site, admin: Run) -> None:
    good = serial(site.instance("good.example.org"))
    lost = serial(site.instance("lost.example.org"))
    with DirectoryEditor(site.settings) as editor:
        instance = found(site.settings, "lost.example.org")
        assert instance is not None
        editor.delete(instance.record.dn)
    foreign = serial(site.client.enrol("foreign.example.org", project=""))
    status, out, err = admin("instance", "reconcile", "--dry-run", "--older-than", "0s")
    assert status == 0, err
    assert "revoke" in out and lost not in site.client.revoked()
    assert admin("instance", "reconcile", "--older-than", "0s")[0] == 0
    revoked = site.client.revoked()
    assert lost in revoked
    assert not {good, foreign} & revoked
    assert site.authority.all().known, "the master's own certificate and the operator's are still there"
    again = admin("instance", "reconcile", "--older-than", "0s")[1]
    assert {line.split()[0] for line in again.splitlines()} <= {"tell", "nothing"}


def test_a_project_that_loses_many_entries_stops_no_revocation_of_others(site: Site, admin: Run) -> None:
    """An admin deletes them past our commands, so that what others have lost stays good."""
    kept = serial(site.instance("kept.example.org"))
    with site.work() as work:
        for number in range(12):
            work.create(f"evil-{number}.example.org", BLUE, Wish(), reason=WHY)
    theirs = {serial(site.client.enrol(f"evil-{number}.example.org", project="blue")) for number in range(12)}
    lost = serial(site.instance("leaked.example.org"))
    with DirectoryEditor(site.settings) as editor:
        for name in ("leaked.example.org", *(f"evil-{number}.example.org" for number in range(12))):
            instance = found(site.settings, name)
            assert instance is not None
            editor.delete(instance.record.dn)
    status, out, err = admin("instance", "reconcile", "--older-than", "0s")
    revoked = site.client.revoked()
    assert lost in revoked and not {kept, *theirs} & revoked, (out, err)
    assert status == 1 and "blue" in err and "--many" in err, (status, err)
    assert admin("instance", "reconcile", "--older-than", "0s", "--many")[0] == 0
    assert theirs <= site.client.revoked()


def test_whose_certificate_was_never_an_instances_keeps_it(site: Site, admin: Run) -> None:
    database = serial(site.client.enrol("database.example.org", project=""))
    with open_desk(site.settings, PersonName("anna"), "pw-anna") as desk:
        authorities = open_all(site.settings.authorities)
        work = Lifecycle(desk, authorities, Journal(site.settings.instances.journal))
        # The authority allows it everything that it allows us: configured, so nobody needs to have listed it.
        with pytest.raises(NotAllowed):
            work.create(OPERATOR, RED, Wish(), reason=WHY)
        with pytest.raises(Unfinished, match="that no instance was given"):
            work.create("database.example.org", RED, Wish(), reason=WHY)
    instance = found(site.settings, "database.example.org")
    assert instance is not None and instance.enrolment.state == "closed", "and no token is given beside it"
    assert admin("instance", "resume")[0] == 1
    assert admin("instance", "delete", "database.example.org", "--reason", WHY)[0] == 1
    assert not {database, serial(site.operator)} & site.client.revoked()
    assert site.client.ask("PUT", "clean", b'{"certnames": ["database.example.org"]}', who=site.operator)[0] == 200
    assert admin("instance", "resume")[0] == 0


def test_who_was_signed_and_got_no_certificate_waits_again(site: Site, admin: Run) -> None:
    """What a puppetserver leaves that dies between the policy's yes and the certificate."""
    name = "unlucky.example.org"
    with site.work() as work:
        ticket = work.create(name, RED, Wish(), reason=WHY).ticket
    assert ticket is not None
    site.note_signed(name)
    assert admin("instance", "reconcile")[0] == 0
    instance = found(site.settings, name)
    assert instance is not None and instance.enrolment.state == "waiting", "its enrolment is from long ago here"
    assert (instance.enrolment.token, instance.enrolment.until) == (digest(ticket.token), ticket.until)
    keeper = site.enrol(name)
    assert admin("instance", "reconcile", "--older-than", "0s")[0] == 0
    instance = found(site.settings, name)
    assert instance is not None and instance.enrolment.state == "signed", "who has a certificate keeps it"
    assert serial(keeper) not in site.client.revoked()


@pytest.mark.parametrize("verb", ["create", "rebuild", "delete"])
def test_killed_after_any_act_and_the_journal_lost_reconcile_brings_ldap_and_ca_together(
    site: Site, admin: Run, verb: str
) -> None:
    for step in range(1, 20):
        name = f"lost-{verb}-{step}.example.org"
        keeper = site.client.enrol(name) if verb == "create" else site.instance(name)
        old = serial(keeper)
        killed = killed_at(site.config, verb, name, step)
        for file in site.settings.instances.journal.glob("*.json"):
            file.unlink()
        assert admin("instance", "reconcile", "--older-than", "0s")[0] == 0
        instance, status = found(site.settings, name), site.authority.status(Certname(name))
        if step == 1 and verb != "create":
            # Killed before LDAP was touched: it was not done.
            assert instance is not None and status is not None and status.state == "signed"
        else:
            assert status is None and old in site.client.revoked(), step
            made = instance is not None and instance.enrolment.state == "waiting"
            assert made if verb == "rebuild" or (verb == "create" and step > 1) else instance is None
        if not killed:
            assert step > 3
            return
    raise AssertionError("it had more acts than were tried")


def test_the_revocation_list_comes_to_this_master_and_never_an_older_one(site: Site, admin: Run) -> None:
    (file,) = site.settings.authorities.crl_files
    old = serial(site.instance("listed.example.org"))
    assert admin("certificate", "crl")[0] == 0
    before = file.read_bytes()
    assert admin("instance", "delete", "listed.example.org", "--reason", WHY)[0] == 0
    assert admin("certificate", "crl")[0] == 0
    crl = x509.load_pem_x509_crl(file.read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(old) is not None
    assert before != file.read_bytes()
    assert "already up to date" in admin("certificate", "crl")[1]
    fetched = crl_files.fetch(site.authority)
    stale = crl_files.Fetched(before, lists(before, crl_files.trusted(site.authority)))
    with pytest.raises(NotTrusted, match="older"):
        crl_files.write(stale, (file,), site.authority)
    assert file.read_bytes() == fetched.pem


def test_certificates_are_listed_with_project_and_end(site: Site, admin: Run) -> None:
    site.instance("ending.example.org")
    rows = {row["certname"]: row for row in json.loads(admin("certificate", "list", "--json")[1])["certificates"]}
    assert (rows["ending.example.org"]["project"], rows["ending.example.org"]["state"]) == ("red", "signed")
    assert json.loads(admin("certificate", "list", "--ends-within", "30d", "--json")[1])["certificates"] == []
    assert "ending.example.org" in admin("certificate", "list", "--ends-within", "3000d")[1]


def test_doctor_tells_of_authorities_lists_and_what_ends(site: Site, admin: Run) -> None:
    def levels(settings: Settings) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for finding in doctor.check(settings):
            found.setdefault(finding.id, set()).add(finding.level)
        return found

    assert admin("certificate", "crl")[0] == 0
    all_well = ("authority", "certificate-ends", "crl-ends", "crl-file", "instances-journal")
    assert levels(site.settings) == {check: {"ok"} for check in all_well}
    section = site.settings.authorities
    far = replace(section, warn_before=Duration(1e9 - 1), crl_files=(site.base / "none",))
    found = levels(replace(site.settings, authorities=far))
    assert (found["certificate-ends"], found["crl-ends"], found["crl-file"]) == ({"warning"}, {"warning"}, {"fault"})
    away = replace(section, servers=(replace(section.servers[0], url="https://127.0.0.1:1"),))
    found = levels(replace(site.settings, authorities=away))
    assert found["authority"] == {"fault"} and "crl-ends" not in found


@pytest.mark.parametrize("verb", ["create", "rebuild", "delete"])
def test_killed_after_any_act_resume_brings_ldap_and_ca_together(site: Site, admin: Run, verb: str) -> None:
    for step in range(1, 20):
        name = f"{verb}-{step}.example.org"
        # A predecessor's certificate is at the CA, whatever is done.
        keeper = site.client.enrol(name) if verb == "create" else site.instance(name)
        old = serial(keeper)
        killed = killed_at(site.config, verb, name, step)
        assert admin("instance", "resume")[0] == 0
        assert list(site.settings.instances.journal.glob("*.json")) == []
        instance, status = found(site.settings, name), site.authority.status(Certname(name))
        if step == 1:
            # Killed before LDAP was touched: it was not done, or it is done now.
            assert verb == "delete" or status is not None
        else:
            assert status is None and old in site.client.revoked()
            assert instance is None if verb == "delete" else instance and instance.enrolment.state == "waiting"
        if not killed:
            assert step > 3
            return
    raise AssertionError("it had more acts than were tried")
