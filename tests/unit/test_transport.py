"""Who may read, what is a sound request, who waits: the parts of the transports that need no server."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.errors import ConfigurationError, UsageError
from enc.names import PersonName, ProjectName
from enc.roles import Person
from enc.settings import Settings
from enc.web_server import check_certificate
from git_hooks.transport import throttle
from git_hooks.transport.body import BadBody, taken
from git_hooks.transport.http import GitOverHttp, Refused, wanted
from git_hooks.transport.keys import PublicKey
from git_hooks.transport.reading import Rule, refusal
from git_hooks.transport.serve import gunicorn_options
from git_hooks.transport.signin import ASKED, SignIn, parse_basic
from git_hooks.transport.ssh import asked
from git_hooks.transport.throttle import Throttle
from tests.support.people import person

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
MEMBER = person("m", member_of=frozenset({ProjectName("red")}))
ADMIN = person("a", admin_of=frozenset({ProjectName("red")}))
OPERATOR, OTHER = person("op", operator=True), person("x")


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        ("everyone", [None, OTHER, MEMBER, ADMIN, OPERATOR]),
        ("authenticated", [OTHER, MEMBER, ADMIN, OPERATOR]),
        ("members", [MEMBER, ADMIN, OPERATOR]),
    ],
)
def test_who_may_read(rule: Rule, may: list[Person | None]) -> None:
    everybody = [None, OTHER, MEMBER, ADMIN, OPERATOR]
    assert [person for person in everybody if not refusal(person, rule)] == may


@pytest.mark.parametrize("pair", ["bob:x:y", "bob:ü", "bob:", "a.b-c_d:" + "p" * 200])
def test_names_and_passwords_in_a_header(pair: str) -> None:
    header = "Basic " + base64.b64encode(pair.encode()).decode()
    assert parse_basic(header) == tuple(pair.split(":", 1))


@pytest.mark.parametrize(
    "pair", [b"bob", b":x", b"../x:y", b"bob:x\0y", b"b*b:x", b"bob)(uid=*:x", b"bob\n:x", b"\xff:x"]
)
def test_what_is_no_name_and_password(pair: bytes) -> None:
    word = base64.b64encode(pair).decode()
    assert parse_basic(f"Basic {word}") is None
    assert parse_basic(f"Bearer {word}") is None
    assert parse_basic("Basic " + base64.b64encode(b"bob:" + b"x" * 9000).decode()) is None


def test_a_name_without_password_is_only_asked_to_sign_in() -> None:
    """curl sends this by itself; it is no wrong password, and above all no bind without one."""
    header = "Basic " + base64.b64encode(b"bob:").decode()
    assert SignIn(Settings()).check(header, "192.0.2.1") == ASKED


@given(st.text(max_size=40))
def test_any_header_is_read_or_not_taken(header: str) -> None:
    found = parse_basic(header)
    assert found is None or PersonName.accepts(found[0])


def _body(content: bytes, length: int | None, encoding: str = "", limit: int = 1000) -> bytes:
    with taken(io.BytesIO(content), length, encoding, limit) as (stream, size):
        found = stream.read()
    assert len(found) == size
    return found


@given(st.binary(max_size=1000))
def test_a_body_arrives_as_it_was_sent(content: bytes) -> None:
    assert _body(content, len(content)) == _body(content, None) == content
    packed = gzip.compress(content)
    assert _body(packed, len(packed), "gzip", 5000) == content


@pytest.mark.parametrize(
    ("content", "length", "encoding", "status"),
    [
        (b"x" * 1001, None, "", 413),
        (b"x", 1001, "", 413),
        (b"x", 2, "", 400),
        (gzip.compress(bytes(1_000_000), mtime=0), None, "gzip", 413),
        (gzip.compress(b"abc", mtime=0)[:-1], None, "gzip", 400),
        (gzip.compress(b"abc", mtime=0) + b"x", None, "gzip", 400),
        (b"abc", None, "gzip", 400),
        (b"abc", None, "deflate", 415),
    ],
)
def test_bodies_that_are_refused(content: bytes, length: int | None, encoding: str, status: int) -> None:
    with pytest.raises(BadBody) as refused:
        _body(content, length, encoding)
    assert refused.value.status == status


def test_there_are_three_addresses() -> None:
    assert wanted("GET", "/r.git/info/refs", "service=git-upload-pack", "r.git") == ("git-upload-pack", True)
    assert wanted("POST", "/r.git/git-receive-pack", "", "r.git") == ("git-receive-pack", False)
    for path, query, status in (
        ("/r.git/info/refs", "service=git-upload-archive", 404),
        ("/r.git/info/refs", "", 403),
        ("/r.git/../r.git/git-upload-pack", "", 404),
        ("/other.git/git-upload-pack", "", 404),
        ("/r.git/git-upload-pack", "x", 404),
        ("/r.git/git-receive-pack", "", 405),
    ):
        with pytest.raises(Refused) as refused:
            wanted("GET", path, query, "r.git")
        assert refused.value.status == status


def test_guessing_waits_longer_each_time_and_only_one_guess_is_made_in_each_pause() -> None:
    slow, keys, now = Throttle(), ("name bob",), 0.0
    pauses = []
    for _ in range(throttle.FREE + 10):
        wait = slow.begin(keys, now)
        pauses.append(wait)
        now += wait
        assert not wait or slow.begin(keys, now) == 0.0
        if wait:
            assert slow.begin(keys, now) > 0.0, "a second one at the same time"
        slow.bad(keys, now)
    assert pauses[: throttle.FREE] == [0.0] * throttle.FREE
    assert pauses[throttle.FREE : throttle.FREE + 3] == [0.5, 1.0, 2.0]
    assert max(pauses) == throttle.LONGEST
    assert slow.begin(("name carol",), now) == 0.0
    assert slow.begin(keys, now + throttle.FORGOTTEN + 1) == 0.0
    slow.good(keys[0])
    assert slow.begin(keys, now) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        f"ssh-ed25519 {ED25519}",
        f"ssh-ed25519 {ED25519} bob@laptop",
        f'command="/bin/sh",from="*" ssh-ed25519 {ED25519}',
        f"  ssh-ed25519   {ED25519}\nssh-rsa AAAA\n",
    ],
)
def test_of_a_key_in_ldap_only_type_and_base64_are_taken(text: str) -> None:
    assert PublicKey.of(text) == f"ssh-ed25519 {ED25519}"


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", f"ssh-rsa {ED25519}", f"ssh-dss {ED25519}", f"ssh-ed25519 {ED25519}!", ED25519]
)
def test_what_is_no_key(text: str) -> None:
    assert PublicKey.of(text) is None


@pytest.mark.parametrize("name", ["puppet", "puppet.git", "/puppet.git", "~/puppet", "/srv/puppet.git", "srv/puppet"])
def test_the_repository_has_several_names_over_ssh(name: str) -> None:
    assert asked(f"git-receive-pack '{name}'", "/srv/puppet.git") == "git-receive-pack"
    assert asked(f"git upload-pack {name}", "/srv/puppet.git") == "git-upload-pack"


@pytest.mark.parametrize("name", ["", "..", "other", "/etc", "srv", "x/puppet.git", "puppet.git'; id; '", "-x"])
def test_no_other_repository_is_reached_over_ssh(name: str) -> None:
    with pytest.raises(UsageError):
        asked(f"git-upload-pack '{name}'", "/srv/puppet.git")


def test_gunicorn_never_logs_a_line_that_can_hold_a_header() -> None:
    options = gunicorn_options(Settings())
    assert (options["loglevel"], options["accesslog"]) == ("error", None)
    assert Path(str(options["bind"])).name == "127.0.0.1:8418"


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    check_certificate(None, None)
    with pytest.raises(ConfigurationError, match="No such file") as missing:
        check_certificate(str(tmp_path / "c.pem"), None)
    assert missing.value.where == str(tmp_path / "c.pem")
    (tmp_path / "c.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        check_certificate(str(tmp_path / "c.pem"), str(tmp_path / "c.pem"))


def test_what_would_cross_the_network_in_clear_is_not_even_looked_at() -> None:
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/repository.git/info/refs",
        "QUERY_STRING": "service=git-upload-pack",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "http",
        "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b"bob:secret").decode(),
    }

    def start(status: str, *_: object) -> Callable[[bytes], object]:
        said.append(status)
        return said.append  # type: ignore[return-value]

    answer = GitOverHttp(Settings())(environ, start)
    assert said == ["403 Forbidden"]
    assert b"over HTTPS only" in b"".join(answer)
