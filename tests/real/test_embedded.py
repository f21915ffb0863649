"""The embedded slapd's life: made once, started once, killed, restored, refused."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ldap3 import AUTO_BIND_TLS_BEFORE_BIND, NONE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException

from enc.directory import place
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.directory.embedded import EmbeddedDirectory
from enc.directory.embedded_config import StartOptions, TlsFiles
from enc.directory.listening import Listening
from enc.settings import config
from enc.terms.errors import DirectoryUnreachable, ToolkitError, UsageError
from tests.real.conftest import SlapdMaker
from tests.support.certificates import Authority
from tests.support.disks import Disk
from tests.support.slapd import ADD, Refused, Slapd

S = "dc=example,dc=org"
CONFORMANCE = Path(__file__).parents[1] / "cases" / "terminus" / "directory.ldif"


def _node(name: str) -> dict[str, object]:
    return {"objectClass": ["device", "puppetClient"], "cn": name}


def _names(slapd: Slapd, base: str = f"ou=hosts,{S}") -> set[str]:
    with slapd.connect() as connection:
        connection.search(base, "(objectClass=puppetClient)", attributes=["cn"])
        return {item["attributes"]["cn"][0] for item in connection.response or []}


def test_making_and_starting_it_twice_changes_nothing(slapd: Slapd) -> None:
    password = slapd.directory.home.reader_password_file.read_text()
    pid = slapd.pid
    again = EmbeddedDirectory(slapd.directory.home.data_dir)
    again.init()
    assert again.start().pid == pid
    assert again.status().answering
    assert again.home.reader_password_file.read_text() == password
    assert again.home.reader_password_file.stat().st_mode & 0o077 == 0


def test_its_log_does_not_grow_with_every_write_and_has_what_goes_wrong(slapd: Slapd) -> None:
    home = slapd.directory.home
    settings = config.load(home.example_configuration)
    own = replace(settings.directory, bind_dn=None, bind_password_file=None)
    with DirectoryEditor(replace(settings, directory=own)) as editor:
        editor.add(f"cn=written,ou=hosts,{S}", {"objectClass": ["device", "puppetClient"], "cn": ["written"]})
        before = home.log_file.read_bytes()
        for number in range(50):
            gone = (f"x{number - 1}",) if number else ()
            editor.modify(f"cn=written,ou=hosts,{S}", [ValueChange("environment", gone, (f"x{number}",))])
        editor.delete(f"cn=written,ou=hosts,{S}")
    assert home.log_file.read_bytes() == before
    assert b"slapd starting" in before
    slapd.restart(log_level="stats")
    with slapd.connect() as connection:
        connection.search(S, "(objectClass=*)")
    _until(lambda: b"SRCH" in home.log_file.read_bytes())


def test_nobody_is_held_up_where_nobody_writes_the_log(slapd: Slapd) -> None:
    slapd.restart(log_level="stats")
    keeper = slapd.directory.process._child
    assert keeper is not None
    os.kill(keeper.log.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            with slapd.connect() as connection:
                for _ in range(300):
                    connection.search(S, "(&(objectClass=*)(cn=" + "x" * 500 + "))")
    finally:
        keeper.log.kill()
    slapd.add(f"cn=later,ou=hosts,{S}", _node("later"))
    assert "later" in _names(slapd)
    slapd.restart(log_level="none")
    assert keeper.log.poll() is not None


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_example_configuration_leads_to_it(slapd: Slapd) -> None:
    settings = config.load(slapd.directory.home.example_configuration)
    assert settings.directory.uris == (slapd.ldapi_uri, slapd.ldap_uri)
    assert settings.directory.bind_password_file is not None
    password = config.read_secret(settings.directory.bind_password_file)
    for uri in settings.directory.uris:
        reader = Connection(Server(uri, get_info=NONE), settings.directory.bind_dn, password)
        assert reader.bind()
        assert reader.search(settings.site_dn, "(objectClass=puppetmasterScope)", attributes=["cn"])
        reader.unbind()


def test_another_program_can_stop_it(slapd: Slapd) -> None:
    pid = slapd.pid
    EmbeddedDirectory(slapd.directory.home.data_dir).stop()
    assert not slapd.directory.status().answering
    assert not slapd.directory.process.running
    with pytest.raises(AssertionError):
        _ = slapd.pid
    assert not Path(f"/proc/{pid}/exe").exists()


def test_a_kill_loses_nothing_that_was_acknowledged(slapd: Slapd) -> None:
    written = {f"n{number}" for number in range(50)}
    for name in written:
        slapd.add(f"cn={name},ou=hosts,{S}", _node(name))
    slapd.kill9()
    slapd.start()
    assert _names(slapd) == written


def test_a_pid_file_that_names_somebody_else_kills_nobody(slapd: Slapd) -> None:
    slapd.kill9()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (slapd.directory.home.data_dir / "run" / "slapd.pid").write_text(f"{innocent.pid}\n")
        assert slapd.directory.process.pid is None
        slapd.stop()
        slapd.start()
        slapd.stop()
        assert innocent.poll() is None
        innocent.kill()


def test_a_frozen_slapd_is_seen_and_can_be_stopped(slapd: Slapd) -> None:
    os.kill(slapd.pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{slapd.pid}/task")
    _until(lambda: {file.read_text().rpartition(")")[2].split()[0] for file in tasks.glob("*/stat")} == {"T"})
    status = slapd.directory.status()
    assert status.pid is not None
    assert not status.answering
    with pytest.raises(DirectoryUnreachable, match="stop it first"):
        slapd.directory.start(timeout=0.1)
    slapd.stop()
    assert not slapd.directory.process.running


def test_starts_at_the_same_moment_give_one_slapd(tmp_path: Path) -> None:
    EmbeddedDirectory(tmp_path).init()
    try:
        with ThreadPoolExecutor() as pool:
            started = list(pool.map(lambda _: EmbeddedDirectory(tmp_path).start().pid, range(4)))
        assert len(set(started)) == 1
    finally:
        EmbeddedDirectory(tmp_path).stop()


@pytest.mark.parametrize("after", [0.02, 0.05, 0.08, 0.11, 0.14, 0.17])
def test_a_kill_while_it_is_made_leaves_nothing_half(tmp_path: Path, after: float) -> None:
    program = (
        "import sys; from pathlib import Path; from enc.directory.embedded import EmbeddedDirectory\n"
        "print('go', flush=True); EmbeddedDirectory(Path(sys.argv[1])).init()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, start_new_session=True
    ) as making:
        assert making.stdout is not None
        making.stdout.readline()
        time.sleep(after)
        os.killpg(making.pid, signal.SIGKILL)
    slapd = Slapd(tmp_path)
    try:
        password = slapd.directory.home.reader_password_file.read_text().rstrip("\n")
        slapd.connect(slapd.directory.home.reader_dn, password).unbind()
    finally:
        slapd.stop()


def test_what_the_file_system_refuses_is_one_line(slapd: Slapd, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match=r"nowhere/.*No such file"):
        slapd.directory.backup(tmp_path / "nowhere" / "backup.ldif")
    (tmp_path / "file").touch()
    with pytest.raises(ToolkitError, match="Not a directory"):
        slapd.directory.backup(tmp_path / "file" / "backup.ldif")
    with pytest.raises(ToolkitError, match="Not a directory"):
        EmbeddedDirectory(tmp_path / "file" / "directory").init()


def test_a_port_that_cannot_be_is_not_kept(tmp_path: Path) -> None:
    directory = EmbeddedDirectory(tmp_path / "directory")
    with pytest.raises(ToolkitError, match="99999"):
        directory.init(port=99_999)
    directory.init()
    assert "99999" not in directory.home.ldap_uri


def test_a_backup_elsewhere_of_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    slapd = Slapd(disk.place / "directory")
    try:
        with disk.full():
            slapd.directory.backup(tmp_path / "backup.ldif")
            assert f"dn: cn=site,{S}" in (tmp_path / "backup.ldif").read_text()
            with pytest.raises(ToolkitError, match=r"disk/.*No space left"):
                slapd.directory.backup(disk.place / "here.ldif")
        assert [path.name for path in tmp_path.glob("*backup*")] == ["backup.ldif"]
    finally:
        slapd.stop()


def test_backup_and_restore(slapd: Slapd, tmp_path: Path) -> None:
    backup = tmp_path / "backup.ldif"
    slapd.add(f"cn=old,ou=hosts,{S}", _node("old"))
    slapd.directory.backup(backup)
    assert backup.stat().st_mode & 0o077 == 0
    slapd.add(f"cn=new,ou=hosts,{S}", _node("new"))
    with pytest.raises(UsageError, match="stop the directory"):
        slapd.directory.restore(backup)
    slapd.stop()
    slapd.directory.restore(backup)
    slapd.start()
    assert _names(slapd) == {"old"}


def test_a_restore_that_fails_leaves_what_was_there(slapd: Slapd, tmp_path: Path) -> None:
    slapd.add(f"cn=old,ou=hosts,{S}", _node("old"))
    slapd.stop()
    broken = tmp_path / "broken.ldif"
    broken.write_text(f"dn: cn=x,{S}\nobjectClass: nonsense\ncn: x\n")
    with pytest.raises(ToolkitError, match=r"broken\.ldif: cannot be loaded"):
        slapd.directory.restore(broken)
    slapd.start()
    assert _names(slapd) == {"old"}


def test_a_full_database_refuses_writes_and_goes_on_reading(slapd: Slapd) -> None:
    slapd.restart(max_size=400 << 10)
    with pytest.raises(Refused):
        for number in range(2000):
            slapd.add(f"cn=n{number},ou=hosts,{S}", _node(f"n{number}"))
    before = _names(slapd)
    assert before
    slapd.restart(max_size=StartOptions().max_size)
    slapd.add(f"cn=roomy,ou=hosts,{S}", _node("roomy"))
    assert _names(slapd) == before | {"roomy"}


def test_who_deletes_is_kept_and_nobody_else_reads_or_changes_it(slapd: Slapd) -> None:
    """Over restarts and restores; a log that cannot take more keeps nobody from deleting."""
    home, person = slapd.directory.home, f"uid=zoe,ou=people,{slapd.suffix}"
    entry = {"objectClass": ["inetOrgPerson"], "uid": "zoe", "cn": "z", "sn": "z", "userPassword": "pw"}
    node = f"cn=n,ou=hosts,{slapd.suffix}"
    slapd.add(person, entry)
    slapd.add(node, {"objectClass": ["device", "puppetClient"], "cn": "n"})
    slapd.directory.backup(home.data_dir / "backup.ldif")
    slapd.delete(node)
    slapd.kill9()
    slapd.directory.restore(home.data_dir / "backup.ldif")
    slapd.start()
    slapd.delete(node)
    reader = home.reader_password_file.read_text().strip()
    for who, password, count in ((home.reader_dn, reader, 2), (person, "pw", 0)):
        with slapd.connect(who, password) as connection:
            connection.search("cn=deletions", "(objectClass=auditDelete)", attributes=["*"])
            found = [item["attributes"] for item in connection.response or () if "attributes" in item]
            assert [one["reqDN"] for one in found] == [[node]] * count
            assert not connection.delete("cn=deletions")
    assert "userPassword" not in str(found)
    slapd.restart(deletions_size=200 << 10)
    for _ in range(300):
        slapd.add(node, {"objectClass": ["device", "puppetClient"], "cn": "n"})
        slapd.delete(node)
    with slapd.connect() as manager:
        manager.search("cn=deletions", "(objectClass=auditDelete)")
        assert 2 < len(manager.response or ()) < 302


def test_followers_are_offered_changes_from_a_log(slapd: Slapd) -> None:
    def log_size() -> list[bytes]:
        with slapd.connect() as connection:
            connection.search("", "(objectClass=*)", "BASE", attributes=["supportedControl"])
            assert "1.3.6.1.4.1.4203.1.9.1.1" in connection.response[0]["attributes"]["supportedControl"]
            connection.search("cn=config", "(objectClass=olcSyncProvConfig)", attributes=["olcSpSessionlog"])
            return connection.response[0]["raw_attributes"].get("olcSpSessionlog", [])

    assert log_size() == [b"100000"]
    slapd.restart(session_log=0)
    assert log_size() == []


def test_an_organisations_own_tree_is_taken_as_it_is(make_slapd: SlapdMaker) -> None:
    slapd = make_slapd(tree=False, ldif=[CONFORMANCE])
    assert len(_names(slapd)) == 154
    settings = config.load(slapd.directory.home.example_configuration)
    assert settings.directory.bind_dn is None  # no reading account there: EXTERNAL over ldapi


def test_a_long_path_gets_a_short_socket_and_a_blank_does_not_matter(tmp_path: Path) -> None:
    slapd = Slapd(tmp_path / "a directory" / ("x" * 120))
    try:
        assert slapd.directory.home.socket_path.parent.stat().st_mode & 0o022 == 0
        slapd.add(f"cn=n,ou=hosts,{S}", _node("n"))
        assert _names(slapd) == {"n"}
    finally:
        slapd.stop()


def test_tls_is_offered_with_the_given_certificate(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    slapd = make_slapd(options=StartOptions(tls=TlsFiles(certificate, key)))
    trusting = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(certificate))
    starting = Connection(Server(slapd.ldap_uri, tls=trusting), auto_bind=AUTO_BIND_TLS_BEFORE_BIND)
    assert starting.tls_started
    assert Connection(Server(slapd.directory.home.ldaps_uri, tls=trusting)).bind()


def test_other_machines_are_answered_over_tls_only(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    """Asked to listen elsewhere, here at another address of the loopback: nothing but TLS is spoken there."""
    certificate, key = Authority.make(tmp_path / "ca").issue("127.0.0.2")
    trusting = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(tmp_path / "ca/ca.pem"))
    with pytest.raises(UsageError, match="over TLS only"):
        StartOptions(listen=(Listening.parse("127.0.0.2:20100"),))
    port = place.free_port()
    tls = TlsFiles(certificate, key)
    slapd = make_slapd(options=StartOptions(tls=tls, listen=(Listening.parse(f"127.0.0.2:{port}"),)))
    home, password = slapd.directory.home, slapd.directory.home.reader_password_file.read_text().strip()
    assert f"ldaps://127.0.0.2:{port}" in slapd.directory.status().uris
    reading = Connection(Server("127.0.0.2", port, use_ssl=True, tls=trusting), home.reader_dn, password)
    assert reading.bind()
    assert reading.search(S, "(objectClass=*)")
    for wanted in (port, int(home.ldap_uri.rpartition(":")[2])):
        plain = Connection(Server("127.0.0.2", wanted, connect_timeout=5), home.reader_dn, password, receive_timeout=5)
        with pytest.raises(LDAPException):
            plain.bind()
    asked = ("directory", "--data-directory", str(home.data_dir), "start", "--listen", "127.0.0.3")
    given = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    for words, said in ((asked, "over TLS only"), ((*asked, *given), "it is already running, but not at ldaps://127.0.0.3:636")):
        done = subprocess.run([sys.executable, "-m", "enc.cli", *words], capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    # The next start decides anew; what cannot be is one line, and changes nothing.
    slapd.restart(listen=())
    assert f"ldaps://127.0.0.2:{port}" not in slapd.directory.status().uris
    slapd.stop()
    with socket.create_server(("127.0.0.2", port)), pytest.raises(ToolkitError, match=r"127\.0\.0\.2: port .* in use"):
        slapd.start(listen=(Listening.parse(f"127.0.0.2:{port}"),))
    with pytest.raises(ToolkitError, match=r"192\.0\.2\.1: port 636 .* one of this machine's"):
        slapd.start(listen=(Listening.parse("192.0.2.1"),))
    with pytest.raises(ToolkitError, match=r"nothing\.pem: cannot be read"):
        slapd.start(listen=(), tls=TlsFiles(tmp_path / "nothing.pem", key))
    slapd.start(tls=tls)


def test_a_taken_port_is_named(slapd: Slapd) -> None:
    slapd.stop()
    port = int(slapd.ldap_uri.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ToolkitError, match=f"port {port} cannot"):
        slapd.start()
    slapd.start()


def test_a_slapd_that_does_not_come_up_is_quoted(slapd: Slapd) -> None:
    slapd.stop()
    database = slapd.directory.home.data_dir / "db" / "data.mdb"
    database.write_bytes(b"not a database" * 1000)
    with pytest.raises(DirectoryUnreachable, match="MDB_INVALID"):
        slapd.start()
    assert not slapd.directory.process.running


@pytest.mark.parametrize("suffix", ['dc="x"', "dc=a,dc=b\naccess to * by * write", "cn=x", "", "dc=a+dc=b"])
def test_a_suffix_that_could_become_a_rule_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError):
        EmbeddedDirectory(tmp_path / "d", suffix or "dc=")


def test_another_suffix_than_it_was_made_with_is_refused(slapd: Slapd) -> None:
    with pytest.raises(UsageError, match="holds dc=example,dc=org"):
        EmbeddedDirectory(slapd.directory.home.data_dir, "dc=other")
    slapd.modify(f"cn=site,{S}", {"puppetClass": [(ADD, ["base"])]})


def test_other_suffixes_work(make_slapd: SlapdMaker) -> None:
    slapd = make_slapd(suffix="o=My Company,c=de")
    assert _names(slapd, "o=My Company,c=de") == {"site"}
