"""Vendordata and the list of servers, through the real openstacksdk and the real cloud-init."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from enc.cloud.client import Cloud, CloudRefused, CloudUnreachable
from enc.cloud.vendordata import Server, Vendordata
from enc.instances import user_data
from enc.settings import Duration, OpenStackSettings
from enc.terms.errors import ConfigurationError, Conflict, DirectoryUnreachable
from enc.web.vendordata import create_vendordata
from tests.support.openstack import OpenStack
from tests.unit.test_user_data import PLAIN

INSTANCE, PROJECT = "5f6a1c3e-0b5d-4c58-9a51-3d7a4f0a7c11", "0123456789abcdef0123456789abcdef"
POSTED = {
    "project-id": PROJECT,
    "instance-id": INSTANCE,
    "image-id": "9f3b3b0e-93dc-4c37-8a4b-2b4f0b6f3b0a",
    "user-data": None,
    "hostname": "web-1",
    "metadata": {"anything": "what somebody wrote"},
    "boot-roles": "member,reader",
}


@pytest.fixture
def stack() -> Iterator[OpenStack]:
    stack = OpenStack()
    yield stack
    stack.close()


def _settings(stack: OpenStack, tmp_path: Path, **other: Any) -> OpenStackSettings:
    file = stack.clouds_file(tmp_path / "clouds.yaml")
    return OpenStackSettings(cloud="site", clouds_file=file, timeout=Duration(5), **other)


class Site:
    """The application behind HTTP, and what it made."""

    def __init__(self, settings: OpenStackSettings) -> None:
        self.asked: list[Server] = []
        self.answer: str | Exception | None = user_data.render_vendor_data(PLAIN)
        self.cloud = Cloud(settings)

        class Quiet(WSGIRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

        application = create_vendordata(Vendordata(settings, self.cloud, self._allot))
        self._http = make_server("127.0.0.1", 0, application, handler_class=Quiet)
        self.url = f"http://127.0.0.1:{self._http.server_port}/"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def _allot(self, server: Server) -> str | None:
        self.asked.append(server)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def post(self, token: str | None, body: bytes | dict[str, Any], path: str = "", **headers: str) -> tuple[int, Any]:
        """Post as Nova does; return status and document."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        sent |= {"X-Auth-Token": token} if token is not None else {}
        request = urllib.request.Request(self.url + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self.cloud.close()


@pytest.fixture
def site(stack: OpenStack, tmp_path: Path) -> Iterator[Site]:
    site = Site(_settings(stack, tmp_path))
    yield site
    site.close()


def _as_cloud_init_reads(document: Any) -> str:
    """What cloud-init makes of vendor_data2.json: file name and first line of each part."""
    program = (
        "import json, sys\n"
        "from cloudinit import sources, user_data, helpers\n"
        "raw = sources.convert_vendordata(json.load(sys.stdin))\n"
        "if raw is None: sys.exit(print('nothing'))\n"
        "paths = helpers.Paths({'cloud_dir': sys.argv[1], 'run_dir': sys.argv[1]})\n"
        "for part in user_data.UserDataProcessor(paths).process(raw).walk():\n"
        "    if part.get_content_maintype() != 'multipart':\n"
        "        first = part.get_payload(decode=True).decode().split()[0]\n"
        "        print(part.get_content_type(), part.get_filename(), first)\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, "/nonexistent"], input=json.dumps(document), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nova_gets_what_cloud_init_runs(stack: OpenStack, site: Site) -> None:
    status, answer = site.post(stack.token("nova", "service"), POSTED)
    assert status == 200
    assert site.asked == [Server(INSTANCE, "web-1", PLAIN.project)]
    # Nova puts the answer under the target's name, and cloud-init looks under its own.
    said = _as_cloud_init_reads({"cloud-init": answer, "other": {"a": 1}})
    assert said.splitlines() == [
        "text/cloud-boothook puppetmaster-hold #!/bin/sh",
        "text/x-shellscript puppetmaster-first-run #!/bin/sh",
    ]
    assert site.post(stack.token("nova", "service"), POSTED) == (200, answer)


def test_an_instance_with_its_certificate_gets_nothing(stack: OpenStack, site: Site) -> None:
    site.answer = None
    status, answer = site.post(stack.token("nova", "service"), POSTED)
    assert (status, answer) == (200, {})
    assert _as_cloud_init_reads({"cloud-init": answer}) == "nothing"


def test_only_novas_user_is_answered(stack: OpenStack, site: Site) -> None:
    assert site.post(None, POSTED)[0] == 401
    assert site.post("", POSTED)[0] == 401
    assert site.post("made up", POSTED)[0] == 401
    assert site.post("x" * 10_000, POSTED)[0] == 401
    status, said = site.post(stack.token("mallory", "member", "admin"), POSTED)
    assert (status, said["error"]) == (403, "mallory has no role service (openstack.caller_role)")
    revoked = stack.token("nova", "service")
    assert site.post(revoked, POSTED)[0] == 200
    del stack.tokens[revoked]
    assert site.post(revoked, POSTED)[0] == 401
    assert len(site.asked) == 1


def test_users_can_be_named(stack: OpenStack, tmp_path: Path) -> None:
    site = Site(_settings(stack, tmp_path, caller_users=("nova",)))
    assert site.post(stack.token("glance", "service"), POSTED)[0] == 403
    assert site.post(stack.token("nova", "service", domain="customers"), POSTED)[0] == 403
    assert site.post(stack.token("nova", "service"), POSTED)[0] == 200
    site.close()


def test_nobody_is_answered_while_keystone_is_away(stack: OpenStack, site: Site) -> None:
    token = stack.token("nova", "service")
    for broken in ((500, "{}"), (200, "[]"), (200, "no json"), (200, '{"token": {}}'), (403, "{}")):
        stack.broken = {"/identity/v3/auth/tokens": broken}
        assert site.post(token, POSTED)[0] == 503, broken
    stack.broken = {}
    assert site.post(token, POSTED)[0] == 200
    stack.close()
    assert site.post(token, POSTED)[0] == 503
    assert len(site.asked) == 1


def test_our_wrong_password_opens_nothing(stack: OpenStack, site: Site) -> None:
    stack.password = "changed"
    status, said = site.post(stack.token("nova", "service"), POSTED)
    assert (status, site.asked) == (503, [])
    assert "password" not in said["error"]


@pytest.mark.parametrize(
    "changed",
    [
        *(
            {"hostname": name}
            for name in ("", "-", "a b", "a\nb", "web-#", "é", "../x", "a" * 64, "a-", None, 7, "a;b")
        ),
        *({"instance-id": value} for value in ("", "1", None, "5f6a1c3e", INSTANCE + "\n", INSTANCE.upper())),
        *({"project-id": value} for value in ("", None, "../users", "a/b", "a" * 65, "a b")),
    ],
)
def test_hostile_words_are_refused(stack: OpenStack, site: Site, changed: dict[str, Any]) -> None:
    status, said = site.post(stack.token("nova", "service"), {**POSTED, **changed})
    assert (status, site.asked) == (400, []), said
    assert next(iter(changed)) in said["error"]
    assert "\n" not in said["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000, b"\xff", b'{"project-id": NaN}'])
def test_what_is_no_request_of_novas_is_refused(stack: OpenStack, site: Site, body: bytes) -> None:
    assert site.post(stack.token("nova", "service"), body)[0] == 400


def test_a_longer_hostname_counts_to_its_first_dot(stack: OpenStack, site: Site) -> None:
    assert site.post(stack.token("nova", "service"), {**POSTED, "hostname": "Web-2.novalocal"})[0] == 200
    assert site.asked[0].name == "web-2"


def test_other_addresses_and_sizes(stack: OpenStack, site: Site) -> None:
    token = stack.token("nova", "service")
    assert site.post(token, POSTED, "elsewhere")[0] == 404
    assert site.post(token, b" " * ((1 << 20) + 1))[0] == 413


def test_projects_are_named_or_mapped(stack: OpenStack, tmp_path: Path) -> None:
    stack.projects |= {"b" * 32: "Blue Team", "c" * 32: "green"}
    token = stack.token("nova", "service")
    plain = Site(_settings(stack, tmp_path))
    assert plain.post(token, {**POSTED, "project-id": "b" * 32})[0] == 403
    assert plain.post(token, {**POSTED, "project-id": "d" * 32})[0] == 403
    assert plain.post(token, {**POSTED, "project-id": "c" * 32})[0] == 200
    plain.close()
    mapped = Site(_settings(stack, tmp_path, projects=("Blue Team = blue", f"{'c' * 32} = red")))
    assert mapped.post(token, {**POSTED, "project-id": "b" * 32})[0] == 200
    assert mapped.post(token, {**POSTED, "project-id": "c" * 32})[0] == 200
    assert mapped.post(token, POSTED)[0] == 403
    assert [server.project for server in mapped.asked] == ["blue", "red"]
    mapped.close()


def test_a_name_counts_in_one_domain_only(stack: OpenStack, tmp_path: Path) -> None:
    theirs, ours, domain, likened = "b" * 32, "c" * 32, "d" * 32, "e" * 32
    stack.projects |= {theirs: "red", ours: "blue", domain: "red", likened: ours}
    stack.domains |= {theirs: "customers", ours: "default", domain: None}
    token = stack.token("nova", "service")

    def asked(site: Site, project: str) -> int:
        return site.post(token, {**POSTED, "project-id": project})[0]

    plain = Site(_settings(stack, tmp_path))
    refusal = plain.post(token, {**POSTED, "project-id": theirs})
    assert refusal[0] == 403 and "is in domain 'customers'" in refusal[1]["error"]
    assert [asked(plain, one) for one in (PROJECT, ours, domain, likened)] == [200, 200, 403, 403]
    plain.close()
    # A name in the table is a name of that domain; an id is nobody else's, also where another is named like it.
    mapped = Site(_settings(stack, tmp_path, projects=("red = crimson", f"{ours} = blue")))
    assert [asked(mapped, one) for one in (PROJECT, theirs, domain, ours, likened)] == [200, 403, 403, 200, 403]
    assert [server.project for server in mapped.asked] == ["crimson", "blue"]
    mapped.close()
    other = Site(_settings(stack, tmp_path, domain="customers", projects=(f"{domain} = green",)))
    assert [asked(other, one) for one in (PROJECT, ours, domain)] == [403, 403, 200]
    other.close()
    named = Site(_settings(stack, tmp_path, domain="customers"))
    assert [asked(named, one) for one in (theirs, PROJECT, domain)] == [200, 403, 403]
    stack.broken = {f"/identity/v3/projects/{theirs}": (200, json.dumps({"project": {"id": ours, "name": "red"}}))}
    assert asked(named, theirs) == 503, "an answer about another project"
    named.close()


def test_what_the_life_cycle_refuses_is_told_and_what_is_away_is_not(stack: OpenStack, site: Site) -> None:
    token = stack.token("nova", "service")
    site.answer = Conflict("web-1.red.example.org belongs to server x")
    assert site.post(token, POSTED) == (409, {"error": "web-1.red.example.org belongs to server x"})
    site.answer = DirectoryUnreachable("ldap://secret.example.org: no answer")
    status, said = site.post(token, POSTED)
    assert status == 503 and "secret" not in said["error"]
    site.answer = RuntimeError("a bug")
    assert site.post(token, POSTED)[0] == 500


def test_all_pages_of_all_projects_or_an_error(stack: OpenStack, tmp_path: Path) -> None:
    ids = [stack.server(f"web-{number}", project=str(number) * 32) for number in range(5)]
    cloud = Cloud(_settings(stack, tmp_path))
    found = cloud.servers()
    assert [server.id for server in found] == ids
    assert found[3][1:] == ("web-3", "ACTIVE", "3" * 32)
    stack.broken = {"/compute/v2.1/servers/detail": (403, '{"forbidden": {"message": "Policy", "code": 403}}')}
    with pytest.raises(CloudRefused):
        cloud.servers()
    for broken in ((500, "{}"), (200, "no json"), (200, '{"servers": [{"id": "x"}]}')):
        stack.broken = {"/compute/v2.1/servers/detail": broken}
        with pytest.raises(CloudUnreachable):
            cloud.servers()
    cloud.close()


def test_the_file_with_our_password_is_closed_to_others(stack: OpenStack, tmp_path: Path) -> None:
    settings = _settings(stack, tmp_path)
    settings.clouds_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="lets everybody read our password"):
        Cloud(settings)
    settings.clouds_file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Cloud(settings)


def test_a_cloud_must_be_named_and_known(stack: OpenStack, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"openstack\.cloud"):
        Cloud(OpenStackSettings())
    settings = _settings(stack, tmp_path)
    settings.clouds_file.write_text("clouds: {other: {}}")
    with pytest.raises(ConfigurationError, match="site"):
        Cloud(settings)
