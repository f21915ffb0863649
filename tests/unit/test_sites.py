"""What is served over HTTP: which addresses there are, and how what goes wrong is answered and logged."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from flask import Blueprint
from flask.testing import FlaskClient
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from enc.cloud.client import Caller
from enc.cloud.nova import NameInCloud
from enc.cloud.vendordata import Vendordata
from enc.settings import BranchSettings, OpenStackSettings, Settings
from enc.terms.errors import Conflict, DirectoryUnreachable, NotAllowed
from enc.web import part as forms
from enc.web.errors import SignInFirst
from enc.web.part import Form, Part
from enc.web.site import assemble
from enc.web.vendordata import LONGEST, create_vendordata
from git_hooks.web.site import create_site

AWAY = "this does not work at the moment; an operator finds the reason in the log"
BUG = "a bug stopped this; an operator finds it in the log"
UPLOAD = "application/x-git-upload-pack-request"


class Keystone:
    """Knows one token."""

    def caller(self, token: str) -> Caller | None:
        return Caller("1", "nova", frozenset({"service"})) if token == "good" else None

    def project_name(self, project_id: str) -> NameInCloud:
        raise DirectoryUnreachable("ldap://secret.example.org: no answer")


@pytest.fixture
def git() -> FlaskClient:
    return create_site(Settings(), lambda _: "1").test_client()


@pytest.fixture
def nova() -> FlaskClient:
    return create_vendordata(Vendordata(OpenStackSettings(), Keystone(), lambda _: None)).test_client()


REFS = "/repository.git/info/refs"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (REFS, {"GET"}),
        ("/repository.git/git-upload-pack", {"POST"}),
        ("/repository.git/git-receive-pack", {"POST"}),
        ("/webhook", {"POST"}),
        ("/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_an_address_takes_the_methods_that_it_names(git: FlaskClient, path: str, methods: set[str]) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "PATCH", "PROPFIND", "X-Y"):
        answer = git.open(path, method=method)
        assert (answer.status_code != 405) == (method in methods), method
        if method not in methods:
            assert set(str(answer.headers["Allow"]).split(", ")) == methods


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        (REFS, "service=git-upload-pack", 401),
        (REFS, "service=git-upload-archive", 404),
        (REFS, "service=git-upload-pack&service=git-receive-pack", 404),
        (REFS, "service=git-upload-pack%00", 404),
        (REFS, "\xff\xfe", 404),
        (REFS, "", 403),
        *((f"{path}", "service=git-upload-pack", 404) for path in ("/other.git/info/refs", f"/{REFS}", f"//{REFS}")),
        ("/repository.git//info/refs", "service=git-upload-pack", 404),
        (f"{REFS}/", "service=git-upload-pack", 404),
        (f"{REFS}\n", "service=git-upload-pack", 404),
        (f"{REFS}\0", "service=git-upload-pack", 404),
        ("/x/../repository.git/info/refs", "service=git-upload-pack", 404),
        ("/Repository.git/info/refs", "service=git-upload-pack", 404),
        ("/repositoryXgit/info/refs", "service=git-upload-pack", 404),
        *((path, "", 404) for path in ("", "/", "*", "\xff\xfe", "/repository.git", "/repository.git/", "/static/x")),
        *((path, "", 404) for path in ("//healthz", "/healthz/", "/healthz/x", "//webhook", "/webhook/")),
    ],
)
def test_an_address_is_what_is_written(git: FlaskClient, path: str, query: str, status: int) -> None:
    given = {"PATH_INFO": path, "QUERY_STRING": query}
    answer = git.get("/", environ_overrides=given)
    assert answer.status_code == status, answer.text
    form = "application/json" if path.strip("/") == "webhook" else "text/plain; charset=utf-8"
    assert answer.content_type == form and "<" not in answer.text and "Location" not in answer.headers


def test_a_query_makes_another_address(git: FlaskClient) -> None:
    assert git.post("/repository.git/git-upload-pack?x", content_type=UPLOAD).status_code == 404


@pytest.mark.parametrize("name", ["r.git", "<r>.git", "r<x>.git", "a|b", "répertoire", "%41", "a b"])
def test_a_repository_may_have_any_name(tmp_path: Path, name: str) -> None:
    site = create_site(Settings(branches=BranchSettings(repository=tmp_path / name))).test_client()
    path = f"/{name}/info/refs".encode().decode("latin-1")
    found = [
        site.get("/", environ_overrides={"PATH_INFO": place, "QUERY_STRING": "service=git-upload-pack"}).status_code
        for place in (path, path.replace(".git", "_git"), "/x/info/refs")
    ]
    assert found == [401, 404 if "." in name else 401, 404]


def test_what_would_cross_the_network_in_clear_is_not_even_looked_at(git: FlaskClient) -> None:
    sent = {"Authorization": "Basic " + base64.b64encode(b"bob:secret").decode()}
    far = {"REMOTE_ADDR": "192.0.2.7"}
    answer = git.get(f"{REFS}?service=git-upload-pack", headers=sent, environ_overrides=far)
    assert (answer.status_code, answer.status) == (403, "403 FORBIDDEN")
    assert "over HTTPS only" in answer.text


@pytest.mark.parametrize("header", ["Basic \xfc\xfc", "Basic ====", "Basic", "Digest x", "Basic " + "A" * 9000, "\0"])
def test_whatever_a_header_holds_is_a_wrong_password(git: FlaskClient, header: str) -> None:
    answer = git.get(f"{REFS}?service=git-upload-pack", environ_overrides={"HTTP_AUTHORIZATION": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="puppetmaster", charset="UTF-8"'


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("GET", "/", {}, 405),
        ("HEAD", "/", {}, 405),
        ("OPTIONS", "/", {}, 405),
        ("POST", "/x", {}, 404),
        ("POST", "//", {"HTTP_X_AUTH_TOKEN": "good"}, 404),
        ("GET", "/healthz", {}, 200),
        ("POST", "/", {}, 401),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "bad"}, 401),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "b\xe4d"}, 401),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "good"}, 411),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "good", "CONTENT_LENGTH": str(LONGEST + 1)}, 413),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "good", "CONTENT_LENGTH": "9" * 30}, 413),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "good", "CONTENT_LENGTH": "5"}, 400),
        ("POST", "/", {"HTTP_X_AUTH_TOKEN": "good", "CONTENT_LENGTH": "2"}, 400),
        ("POST", "/", {"CONTENT_LENGTH": "9" * 30}, 401),
    ],
)
def test_what_nova_may_do(nova: FlaskClient, method: str, path: str, sent: dict[str, str], status: int) -> None:
    body: dict[str, object] = {"wsgi.input": io.BytesIO(b"{}"), "wsgi.input_terminated": True, "PATH_INFO": path}
    answer = nova.open("/", method=method, environ_overrides=body | sent)
    assert (answer.status_code, answer.content_type) == (status, "application/json"), answer.text
    assert (answer.headers.get("WWW-Authenticate") == "Keystone") == (status == 401)


def _failing(error: Exception, form: Form = forms.text) -> FlaskClient:
    blueprint = Blueprint("b", __name__)

    @blueprint.get("/")
    def fail() -> str:
        raise error

    part = Part(blueprint, log="tried", form=form, challenge="Basic", statuses={Conflict: 409, NotAllowed: 403})
    return assemble([part]).test_client()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Forbidden("not you"), 403, "not you"),
        (Forbidden("a\nb\u2028c"), 403, "a\\nb\\u2028c"),
        (Unauthorized("who are you"), 401, "who are you"),
        (Conflict("in the way", where="cn=x"), 409, "cn=x: in the way"),
        (NotAllowed("no"), 403, "no"),
        (
            DirectoryUnreachable("of no interest"),
            503,
            "this does not work at the moment; an operator finds the reason in the log",
        ),
        (ValueError("of no interest"), 500, "a bug stopped this; an operator finds it in the log"),
        (RecursionError("of no interest"), 500, "a bug stopped this; an operator finds it in the log"),
    ],
)
def test_what_goes_wrong_is_one_line(
    error: Exception, status: int, said: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    for form in (forms.text, forms.json):
        caplog.clear()
        answer = _failing(error, form).get("/", headers={"Authorization": "Basic secret", "Cookie": "session=secret"})
        assert answer.status_code == status
        assert (answer.json if form is forms.json else answer.text) == (
            {"error": said} if form is forms.json else f"{said}\n"
        )
        assert ("of no interest" in caplog.text) == (status >= 500), "the operator learns what the client does not"
        assert answer.headers["Cache-Control"] == "no-store" and "Set-Cookie" not in answer.headers
        assert answer.headers.get("WWW-Authenticate") == ("Basic" if status == 401 else None)
        assert "secret" not in caplog.text


def test_who_is_asked_to_sign_in_is_no_event(caplog: pytest.LogCaptureFixture) -> None:
    assert _failing(SignInFirst("sign in")).get("/").status_code == 401
    assert caplog.text == ""


def test_a_pause_is_told() -> None:
    assert _failing(TooManyRequests("wait", retry_after=7)).get("/").headers["Retry-After"] == "7"


@pytest.mark.parametrize("host", ["a" * 80, "a..b", "\xff", "a/b", ""])
def test_no_host_makes_a_bug(git: FlaskClient, host: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = git.get("/healthz", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code in (200, 400) and "Traceback" not in caplog.text
