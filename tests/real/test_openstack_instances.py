"""A server that Nova starts becomes an instance in a real LDAP, once, whatever Nova asks again."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from enc import cli
from enc.cloud.allotment import Allotter
from enc.cloud.vendordata import Server
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.instances.enrolment import ATTRIBUTE
from enc.instances.tokens import digest
from enc.settings import Settings
from enc.settings.config import load
from enc.terms.errors import Conflict, NotFound
from enc.terms.names import ProjectName
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.certificates import Authority
from tests.support.crowd import crowd
from tests.support.instances import BLUE, RED, add_people_and_projects, found, write_config
from tests.support.openstack import OpenStack
from tests.support.slapd import Slapd
from tests.unit.test_user_data import _parts

ONE, OTHER = "5f6a1c3e-0b5d-4c58-9a51-3d7a4f0a7c11", "0d3c5cbe-6f9a-4f43-8d7c-8b52a3f1f0aa"
WEB1 = "web-1.red.example.org"
SERVER = Server(ONE, "web-1", RED)
ADMIN = Path(sysconfig.get_path("scripts")) / "enc-admin"


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Slapd:
    made = make_module_slapd()
    add_people_and_projects(made, write_config(tmp_path_factory.mktemp("first") / "config.yaml", made))
    made.directory.backup(made.directory.home.data_dir / "backup.ldif")
    return made


@pytest.fixture
def stack() -> Iterator[OpenStack]:
    stack = OpenStack()
    yield stack
    stack.close()


@pytest.fixture
def config(slapd: Slapd, stack: OpenStack, tmp_path: Path) -> Path:
    slapd.stop()
    slapd.directory.restore(slapd.directory.home.data_dir / "backup.ldif")
    slapd.start()
    authority = Authority.make(tmp_path / "ca").certificate
    clouds = stack.clouds_file(tmp_path / "clouds.yaml")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more = (
        f"  agent: {{server: puppet.example.org, ca_file: {authority}}}\n"
        f"openstack: {{cloud: site, clouds_file: {clouds}, region: north, listen: '127.0.0.1:{port}'}}\n"
    )
    return write_config(tmp_path / "config.yaml", slapd, more)


@pytest.fixture
def settings(config: Path) -> Settings:
    return load(config)


def _token(settings: Settings, answer: str | None) -> bool:
    """Tell whether vendor data holds the token that LDAP waits for."""
    assert answer is not None
    script = _parts(answer)[1].get_payload(decode=True)
    assert isinstance(script, bytes)
    _, _, rest = script.decode().partition("csr_attributes.yaml.new <<'END'\n")
    packed = rest.partition("\nEND\n")[0]
    text = subprocess.run(["base64", "-d"], input=packed.encode(), capture_output=True, check=True).stdout.decode()
    shown = text.partition('"1.2.840.113549.1.9.7": "')[2].partition('"')[0]
    instance = found(settings, WEB1)
    assert instance is not None
    assert f'"pp_instance_id": "{ONE}"' in text and '"pp_region": "north"' in text
    return digest(shown) == instance.enrolment.token


def _set(settings: Settings, value: str) -> None:
    instance = found(settings, WEB1)
    assert instance is not None
    with DirectoryEditor(settings) as editor:
        editor.modify(instance.record.dn, [ValueChange(ATTRIBUTE, (instance.enrolment.text(),), (value,))])


def test_the_same_at_every_boot_until_it_is_signed(settings: Settings) -> None:
    allot = Allotter(settings)
    first = allot(SERVER)
    instance = found(settings, WEB1)
    assert instance is not None
    assert (instance.serial, instance.region, instance.project) == (ONE, "north", RED)
    assert _token(settings, first)
    assert allot(SERVER) == first
    _set(settings, instance.enrolment.signed_for("a" * 64, int(time.time())).text())
    assert allot(SERVER) is None
    assert settings.audit.file.read_text().count(f"OpenStack starts server {ONE}") > 0


def test_two_questions_at_once_make_one_instance(settings: Settings) -> None:
    allot = Allotter(settings)
    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(lambda _: allot(SERVER), range(6)))
    assert len(answers) == 1
    assert _token(settings, answers.pop())


def test_a_name_is_one_servers(settings: Settings) -> None:
    allot = Allotter(settings)
    allot(SERVER)
    with pytest.raises(Conflict, match=ONE):
        allot(SERVER._replace(instance_id=OTHER))
    allot(SERVER._replace(instance_id=OTHER, project=BLUE))
    with pytest.raises(NotFound, match="no project green"):
        allot(SERVER._replace(project=ProjectName("green")))


def test_what_is_over_or_closed_is_told_and_opens_nothing(settings: Settings) -> None:
    allot = Allotter(settings)
    allot(SERVER)
    instance = found(settings, WEB1)
    assert instance is not None
    _set(settings, instance.enrolment._replace(until=instance.enrolment.since).text())
    with pytest.raises(Conflict, match="has expired"):
        allot(SERVER)
    _set(settings, "closed since 1")
    with pytest.raises(Conflict, match="has no pending certificate"):
        allot(SERVER)


def _post(port: int, method: str, path: str, token: str = "", body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, json.dumps(body) if body else None, {"X-Auth-Token": token})
    answer = connection.getresponse()
    return answer.status, json.load(answer)


def test_the_service_answers_nova(config: Path, settings: Settings, stack: OpenStack) -> None:
    port = int(settings.openstack.listen.rpartition(":")[2])
    environment = {**os.environ, "OS_AUTH_URL": "http://127.0.0.1:1/"}  # what the environment says counts for nothing
    serving = subprocess.Popen([ADMIN, "--config", config, "vendordata", "serve"], env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert _post(port, "GET", "/healthz") == (200, {})
                break
            except ConnectionError:
                assert serving.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        posted = {"project-id": "0123456789abcdef0123456789abcdef", "instance-id": ONE, "hostname": "web-1"}
        assert _post(port, "POST", "/", "made up", posted)[0] == 401
        assert found(settings, WEB1) is None
        with crowd(port) as clients:  # more than it has threads
            clients.add(40)
            clients.add(40, b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
            status, answer = _post(port, "POST", "/", stack.token("nova", "service"), posted)
        assert status == 200 and _token(settings, answer)
    finally:
        serving.terminate()
        assert serving.wait(60) == 0


def test_without_a_certificate_it_stays_on_this_machine(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_to_all = config.with_name("open.yaml")
    open_to_all.write_text(config.read_text().replace("listen: 127.0.0.1:", "listen: 0.0.0.0:"))
    assert "listen: 0.0.0.0:" in open_to_all.read_text()
    assert cli.main(["--config", str(open_to_all), "vendordata", "serve"]) == 2
    assert "openstack.listen" in capsys.readouterr().err


def test_servers_are_listed(config: Path, stack: OpenStack, capsys: pytest.CaptureFixture[str]) -> None:
    id_ = stack.server("web-1")
    assert cli.main(["--config", str(config), "vendordata", "servers", "--json"]) == 0
    (server,) = json_contract.held("enc-admin", ["vendordata", "servers"], capsys.readouterr().out)["servers"]
    assert (server["id"], server["name"], server["status"]) == (id_, "web-1", "ACTIVE")


def test_an_instance_whose_server_is_gone_is_found(
    config: Path, settings: Settings, stack: OpenStack, capsys: pytest.CaptureFixture[str]
) -> None:
    Allotter(settings)(SERVER)
    words = ["--config", str(config), "instance", "reconcile", "--openstack", "--older-than", "0s", "--delete-missing"]
    assert cli.main(words) == 1
    assert "names no server" in capsys.readouterr().err
    stack.server("another")
    stack.servers.append({"id": ONE, "name": "web-1", "status": "ACTIVE", "tenant_id": "r", "metadata": {}})
    assert cli.main(words) == 0
    assert found(settings, WEB1) is not None
    del stack.servers[-1]
    elsewhere = config.with_name("elsewhere.yaml")
    elsewhere.write_text(config.read_text().replace("region: north", "region: two"))
    assert "region: two" in elsewhere.read_text()
    assert cli.main(["--config", str(elsewhere), *words[2:]]) == 0
    assert found(settings, WEB1) is not None, "a cloud is asked about the instances of its own region only"
    assert cli.main(words) == 0
    assert found(settings, WEB1) is None


def test_instance_create_prints_user_data(config: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    words = ["--config", str(config), "instance", "create", "web-1", "--project", "red", "--reason", "x"]
    assert cli.main(words) == 0
    text = capsysbinary.readouterr().out
    assert text.startswith(b"#cloud-config\n") and WEB1.encode() in text
    again = ["--config", str(config), "instance", "user-data", WEB1]
    assert cli.main(again) == 0
    assert capsysbinary.readouterr().out == text
    assert cli.main([*again, "--gzip"]) == 0
    assert subprocess.run(["gzip", "-d"], input=capsysbinary.readouterr().out, capture_output=True).stdout == text
