"""Webhooks: whose they are, what they ask for, and how the address answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from enc.settings import BranchSettings, MirrorSettings, Settings
from enc.settings.config import parse
from enc.terms.environments import Rules
from enc.terms.errors import ConfigurationError
from enc.terms.names import BranchName
from git_hooks.mirror.differences import plan
from git_hooks.mirror.forges import named
from git_hooks.mirror.forges.forge import Delivery, Look
from git_hooks.mirror.report import message
from git_hooks.repository.refs import ObjectId
from git_hooks.web.site import create_site
from git_hooks.web.webhooks import LONGEST
from tests.support.webhooks import NOW, github, gitlab_signature

GITHUBS = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""The vector in GitHub's documentation."""
SECRET, HELLO = "It's a Secret to Everybody", b"Hello, World!"
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


def signed(secret: str, number: str = "m1", at: float = NOW, body: bytes = HELLO) -> dict[str, str]:
    signature = gitlab_signature(secret, number, int(at), body)
    return {"webhook-id": number, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


CASES: list[tuple[bool, str, str, dict[str, str]]] = [
    (True, "github", SECRET, {"x-hub-signature-256": f"sha256={GITHUBS}"}),
    (False, "github", SECRET, {"x-hub-signature-256": GITHUBS}),
    (False, "github", SECRET, {"x-hub-signature-256": f"sha256={GITHUBS[:-1]}8"}),
    (False, "github", SECRET, {"x-hub-signature-256": "sha256="}),
    (False, "github", SECRET, {"x-hub-signature-256": "sha256=\udcff"}),
    (False, "github", SECRET, {"x-hub-signature": "sha1=" + hmac.new(SECRET.encode(), HELLO, "sha1").hexdigest()}),
    (False, "github", SECRET, {"x-gitea-signature": GITHUBS}),
    (False, "github", SECRET, {"x-gitlab-token": SECRET}),
    (False, "github", SECRET, {}),
    (True, "gitea", SECRET, {"x-gitea-signature": GITHUBS}),
    (True, "gitea", SECRET, {"x-forgejo-signature": GITHUBS.upper()}),
    (False, "gitea", SECRET, {"x-hub-signature-256": f"sha256={GITHUBS}"}),
    (False, "gitea", SECRET, {"x-gitea-signature": ""}),
    (False, "gitea", "another", {"x-gitea-signature": GITHUBS}),
    (True, "gitlab", SECRET, {"x-gitlab-token": SECRET}),
    (False, "gitlab", SECRET, {"x-gitlab-token": SECRET + "x"}),
    (False, "gitlab", SECRET, {"x-gitlab-token": ""}),
    (True, "gitlab", SECRET, signed(SECRET)),
    (True, "gitlab", KEY, signed(KEY)),
    (True, "gitlab", KEY, signed(KEY) | {"webhook-signature": f"v1,AAAA {signed(KEY)['webhook-signature']} v2,x"}),
    (False, "gitlab", KEY, signed(KEY, at=NOW - 301)),
    (False, "gitlab", KEY, signed(KEY, at=NOW + 301)),
    (False, "gitlab", KEY, signed(KEY) | {"webhook-id": "m2"}),
    (False, "gitlab", KEY, signed(KEY) | {"webhook-timestamp": "now"}),
    (False, "gitlab", KEY, signed(KEY, body=b"other")),
    (False, "gitlab", KEY, {"x-gitlab-token": KEY}),
    (False, "gitlab", SECRET, signed(KEY) | {"x-gitlab-token": SECRET}),
    (False, "gitlab", "whsec_no base64", signed(SECRET)),
    (False, "gerrit", SECRET, {"x-gitlab-token": SECRET}),
]


@pytest.mark.parametrize(("expected", "forge", "secret", "headers"), CASES)
def test_whose_it_is(expected: bool, forge: str, secret: str, headers: dict[str, str]) -> None:
    assert named(forge).genuine(secret, Delivery(headers, HELLO), NOW) == expected


@pytest.mark.parametrize(("path", "expected"), [("s3cret", True), ("", False), ("/", False), ("s3cret/x", False)])
def test_gerrit_knows_the_secret_path(path: str, expected: bool) -> None:
    assert named("gerrit").genuine("s3cret", Delivery({}, b"", path), NOW) == expected


def push(ref: str) -> bytes:
    return json.dumps({"ref": ref, "after": "f" * 40}).encode()


TEST = Look(BranchName("test"))


@pytest.mark.parametrize(
    ("forge", "event", "body", "expected"),
    [
        ("github", {"x-github-event": "push"}, push("refs/heads/test"), TEST),
        ("github", {"x-github-event": "create"}, push("test"), TEST),
        ("github", {"x-github-event": "ping"}, b"{}", Look()),
        ("github", {"x-github-event": "create"}, b'{"ref": "test", "ref_type": "tag"}', None),
        ("github", {"x-github-event": "create"}, b'{"ref": "test", "ref_type": "branch"}', TEST),
        ("gitlab", {"x-gitlab-event": "Tag Push Hook"}, push("refs/tags/v1"), None),
        ("gitlab", {"x-gitlab-event": "System Hook"}, push("refs/heads/test"), TEST),
        ("github", {"x-github-event": "issues"}, b"{}", None),
        ("github", {}, push("refs/heads/test"), None),
        ("github", {"x-github-event": "push"}, push("refs/tags/v1"), None),
        ("github", {"x-github-event": "push"}, push("refs/heads/../../etc"), None),
        ("github", {"x-github-event": "push"}, b'{"ref": 5}', Look()),
        ("gitea", {"x-gitea-event": "push", "x-github-event": "ping"}, push("refs/heads/test"), TEST),
        ("gitea", {"x-forgejo-event": "delete"}, push("test"), TEST),
        ("gitlab", {"x-gitlab-event": "Push Hook"}, push("refs/heads/test"), TEST),
        ("gitlab", {"x-gitlab-event": "Job Hook"}, push("refs/heads/test"), None),
        ("gerrit", {}, b"", Look()),
        ("gerrit", {}, b'{"type": "ref-updated", "refUpdate": {"refName": "refs/heads/test"}}', TEST),
        ("gerrit", {}, b'{"refUpdate": {"refName": "refs/changes/01/1/1"}}', None),
        ("gerrit", {}, b'{"type": "comment-added"}', None),
    ],
)
def test_what_it_asks_for(forge: str, event: dict[str, str], body: bytes, expected: Look | None) -> None:
    assert named(forge).asked(Delivery(event, body)) == expected


def test_githubs_form_is_read_too() -> None:
    headers = {"x-github-event": "push", "content-type": "application/x-www-form-urlencoded"}
    assert named("github").asked(Delivery(headers, b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Ftest%22%7D")) == TEST


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        named("github").asked(Delivery({"x-github-event": "push"}, body))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    mirror = MirrorSettings(forge="github", url="https://x.example/r.git", secret_file=secret)
    return Settings(branches=BranchSettings(store=tmp_path / "store", mirror=mirror))


Post = Callable[..., tuple[int, dict[str, Any]]]


def poster(settings: Settings, jobs: list[BranchName | None]) -> Post:
    """A site that has just started; `jobs` gets what its webhooks ask for."""

    def ask(branch: BranchName | None) -> str:
        jobs.append(branch)
        return f"job{len(jobs)}"

    client = create_site(settings, ask).test_client()

    def post(body: bytes, path: str = "/webhook", method: str = "POST", **environ: str) -> tuple[int, dict[str, Any]]:
        given = {"PATH_INFO": path, "CONTENT_LENGTH": str(len(body))} | environ
        answer = client.open(method=method, data=body, environ_overrides=given)
        assert answer.json is not None
        return answer.status_code, answer.json

    return post


@pytest.mark.parametrize("event", ["push", "create", "delete"])
def test_a_webhook_that_is_sent_again_is_a_job_again(settings: Settings, event: str) -> None:
    jobs: list[BranchName | None] = []
    body = push("refs/heads/test")
    post = poster(settings, jobs)
    for number in range(1, 4):
        # GitHub's "Redeliver" has the first delivery's id.
        assert post(body, **github(SECRET, body, "1", event)) == (202, {"job": f"job{number}"})
    assert poster(settings, jobs)(body, **github(SECRET, body, "1", event))[0] == 202, "after a restart, too"
    assert jobs == [BranchName("test")] * 4


def test_gitlabs_retries_and_cascades_have_one_number_and_are_all_taken(settings: Settings) -> None:
    mirror = replace(settings.branches.mirror, forge="gitlab")
    jobs: list[BranchName | None] = []
    post = poster(replace(settings, branches=replace(settings.branches, mirror=mirror)), jobs)
    for branch in ("test", "test", "production"):
        body = push(f"refs/heads/{branch}")
        one = {"HTTP_IDEMPOTENCY_KEY": "k", "HTTP_X_GITLAB_EVENT_UUID": "u", "HTTP_X_GITLAB_EVENT": "Push Hook"}
        assert post(body, **one, HTTP_X_GITLAB_TOKEN=SECRET)[0] == 202
    assert jobs == ["test", "test", "production"]


def test_a_delivery_that_was_kept_back_says_so(settings: Settings) -> None:
    mirror = replace(settings.branches.mirror, forge="gitlab")
    post = poster(replace(settings, branches=replace(settings.branches, mirror=mirror)), [])
    body = push("refs/heads/test")
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in signed(SECRET, body=body).items()}
    status, said = post(body, **headers, HTTP_X_GITLAB_EVENT="Push Hook")
    assert status == 403 and "s off" in said["error"]
    assert "s off" not in post(body + b" ", **headers, HTTP_X_GITLAB_EVENT="Push Hook")[1]["error"]


class _Slow(io.RawIOBase):
    """A body that does not come until `go`, and then breaks off."""

    def __init__(self, go: threading.Event) -> None:
        self.begun, self._go = threading.Event(), go

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self.begun.set()
        assert self._go.wait(60)
        return 0


def test_strangers_keep_four_long_bodies_in_memory_at_most_and_one_of_them_one(settings: Settings) -> None:
    """Anybody may send a body, and only a whole one shows whose it is."""
    site, go, held = create_site(settings, lambda _: "job"), threading.Event(), []

    def send(address: str) -> int:
        """Return the status, or 0 while the body is being read."""
        environ = create_environ("/webhook", method="POST", environ_overrides={"REMOTE_ADDR": address})
        body, answers = _Slow(go), []
        environ |= {"wsgi.input": io.BufferedReader(body), "CONTENT_LENGTH": str(LONGEST)}
        sender = threading.Thread(target=lambda: answers.append(run_wsgi_app(site, environ)[1]))
        sender.start()
        held.append(sender)
        while sender.is_alive() and not body.begun.wait(0.01):
            pass
        return 0 if body.begun.is_set() else int(answers[0].split()[0])

    try:
        assert [send(f"192.0.2.{number}") for number in range(4)] == [0] * 4
        assert send("192.0.2.0") == 429, "one address, one body of the largest kind"
        assert send("192.0.2.5") == 503, "all together, four"
    finally:
        go.set()
        for sender in held:
            sender.join(60)
    assert site.test_client().post("/webhook", data=b"x").status_code == 403, "the room is given back"


def test_refusals(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    jobs: list[BranchName | None] = []
    post = poster(settings, jobs)
    body = push("refs/heads/test")
    good = github(SECRET, body, "1")
    assert post(body)[0] == 403
    assert post(body, **github("wrong", body, "1"))[0] == 403
    assert post(body + b" ", **good)[0] == 403
    assert post(b"{}", HTTP_X_GITHUB_EVENT="ping")[0] == 403, "pings are checked, too"
    assert post(b"no json", **github(SECRET, b"no json", "1"))[0] == 400
    assert post(body, method="GET", **good)[0] == 405
    assert post(body, path="/webhook/x", **good)[0] == 404
    assert post(body, **good | {"CONTENT_LENGTH": ""})[0] == 411
    assert post(body, **good | {"CONTENT_LENGTH": str(LONGEST + 1)})[0] == 413
    assert post(body, **good | {"CONTENT_LENGTH": str(len(body) + 1)})[0] == 400
    assert settings.branches.mirror.secret_file is not None
    settings.branches.mirror.secret_file.unlink()
    assert post(body, **good)[0] == 503
    assert jobs == []
    assert SECRET not in caplog.text


@pytest.mark.parametrize("secret", ["s3cret", "/begins/with+slashes==", "sécret", "a b?c#d;e"])
def test_gerrits_secret_is_the_rest_of_the_path(settings: Settings, secret: str) -> None:
    settings = replace(
        settings, branches=replace(settings.branches, mirror=replace(settings.branches.mirror, forge="gerrit"))
    )
    assert settings.branches.mirror.secret_file is not None
    settings.branches.mirror.secret_file.write_text(secret)
    jobs: list[BranchName | None] = []
    post = poster(settings, jobs)
    as_sent = secret.encode().decode("latin-1")  # how WSGI shows the octets of a path
    assert post(b"", path=f"/webhook/{as_sent}") == (202, {"job": "job1"})
    for path in ("/webhook", "/webhook/", f"/webhook/{as_sent}/", f"/webhook/{as_sent}\n"):
        assert post(b"", path=path)[0] in (403, 404), path
    assert jobs == [None]


HERE, THERE = ObjectId("1" * 40), ObjectId("2" * 40)
RULES = Rules(BranchSettings().rules)


def branches(commit: ObjectId, *names: str) -> dict[BranchName, ObjectId]:
    return {BranchName(name): commit for name in names}


def test_what_differs_is_fetched_and_what_is_gone_goes() -> None:
    here = branches(HERE, "test", "production", "project/a", "main")
    there = branches(THERE, "test", "project/b") | branches(HERE, "production", "feature/x")
    found = plan(here, there, RULES)
    assert found == (("project/b", "test"), ("project/a",), ())
    assert plan(here, {}, RULES).gone == (), "a forge that shows nothing is broken, not empty"


def test_a_second_branch_of_an_environment_is_not_taken() -> None:
    found = plan(branches(HERE, "project/a-b"), branches(THERE, "project/a-b", "project/a_b", "test"), RULES)
    assert found.fetch == ("project/a-b", "test")
    assert [branch for branch, _ in found.refused] == ["project/a_b"]
    both = plan({}, branches(THERE, "project/a-b", "project/a_b", "project/1"), RULES)
    assert both.fetch == () and len(both.refused) == 3


@pytest.mark.parametrize(
    ("forge", "address", "header", "state"),
    [
        ("github", "https://f.example/repos/o/r/statuses/" + HERE, ("Authorization", "Bearer t"), "failure"),
        ("gitea", "https://f.example/repos/o/r/statuses/" + HERE, ("Authorization", "token t"), "failure"),
        ("gitlab", "https://f.example/projects/o%2Fr/statuses/" + HERE, ("Private-token", "t"), "failed"),
    ],
)
def test_reports_as_each_forge_takes_them(forge: str, address: str, header: tuple[str, str], state: str) -> None:
    mirror = MirrorSettings(forge=forge, api="https://f.example", project="o/r")
    asking = message(mirror, HERE, "failure", "the reason first " + "x" * 200, "t")
    assert asking is not None
    assert (asking.full_url, asking.get_method(), asking.get_header(header[0])) == (address, "POST", header[1])
    assert isinstance(asking.data, bytes)
    said = json.loads(asking.data)
    assert said["state"] == state and len(said["description"]) == 140
    assert said["description"].startswith("the reason first") and said["description"].endswith("on the server)")


@pytest.mark.parametrize(
    "text",
    [
        "forge: github",
        "forge: github, url: 'https://user:token@h/r.git'",
        "forge: github, url: 'file:///etc'",
        "forge: github, url: '--upload-pack=x'",
        "forge: bitbucket, url: 'https://h/r'",
        "forge: github, url: 'https://h/r', api: 'http://h'",
        "forge: github, url: 'https://h/r', api: 'https://h'",
    ],
)
def test_settings_that_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"branches\.mirror"):
        parse(f"branches: {{mirror: {{{text}}}}}")


def test_githubs_vector_is_what_it_says() -> None:
    assert hmac.new(SECRET.encode(), HELLO, hashlib.sha256).hexdigest() == GITHUBS
