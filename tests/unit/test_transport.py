"""Who may read, what is a sound request, who waits: the parts of the transports that need no server."""

from __future__ import annotations

import base64
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException

from enc.rights.roles import Person
from enc.settings import Settings
from enc.terms.errors import ConfigurationError, UsageError
from enc.terms.names import PersonName, ProjectName
from enc.web.origin import client_of, customer, networks
from enc.web.server import check_certificate
from git_hooks.transport import throttle
from git_hooks.transport.even_time import EvenTime
from git_hooks.transport.reading import Rule, refusal
from git_hooks.transport.signin import ASKED, SignedIn, SignIn, parse_basic
from git_hooks.transport.ssh import asked
from git_hooks.transport.throttle import Source, Throttle
from git_hooks.web.body import taken
from git_hooks.web.site import gunicorn_options
from tests.support.people import person

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
    packed = gzip.compress(content, mtime=0)
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
    with pytest.raises(HTTPException) as refused:
        _body(content, length, encoding)
    assert refused.value.code == status


class Clock:
    """Seconds, as a test has them pass."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


BOB = Source.of("bob", "192.0.2.1")


def fail(slow: Throttle, clock: Clock, source: Source, times: int) -> list[float]:
    """Fail so often, each time after the pause; return the pauses."""
    pauses = []
    for _ in range(times):
        wait = slow.begin(source)
        pauses.append(wait)
        clock.now += wait
        assert not wait or slow.begin(source) == 0.0
        slow.bad(source)
    return pauses


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1"])
@pytest.mark.parametrize("known", [False, True])
def test_guessing_waits_longer_each_time(address: str, known: bool) -> None:
    clock, source = Clock(), Source.of("Bob", address)
    slow = Throttle(clock)
    if known:
        slow.good(source)
    pauses = fail(slow, clock, source, 15)
    assert pauses[:5] == [0.0] * 5
    assert pauses[5:8] == [0.5, 1.0, 2.0]
    assert max(pauses) == throttle.PAIR.longest
    assert slow.begin(Source.of("carol", "192.0.2.2")) == 0.0
    assert slow.begin(Source.of("bob", address)) > 0.0
    clock.now += throttle.FORGOTTEN + 1
    assert slow.begin(source) == 0.0


def test_only_one_guess_is_made_in_each_pause() -> None:
    clock = Clock()
    slow = Throttle(clock)
    fail(slow, clock, BOB, 6)
    clock.now += slow.begin(BOB)
    assert slow.begin(BOB) == 0.0
    assert slow.begin(BOB) > 0.0, "a second one at the same time"


def test_a_right_password_lets_its_person_begin_anew_and_nobody_else() -> None:
    clock = Clock()
    slow = Throttle(clock)
    fail(slow, clock, BOB, 8)
    slow.good(BOB)
    assert slow.begin(BOB) == 0.0
    # Signing in as oneself in between does not help to guess at others from there.
    for number in range(throttle.ADDRESS.free):
        slow.bad(Source.of(f"victim{number}", BOB.address))
        slow.good(BOB)
    assert slow.begin(Source.of("victim", BOB.address)) > 0.0


@pytest.mark.parametrize("address", ["198.51.100.7", "127.0.0.1", ""])
def test_invented_names_wash_nothing_away(address: str) -> None:
    clock = Clock()
    slow = Throttle(clock)
    victim = Source.of("victim", address)
    fail(slow, clock, victim, 10)
    for number in range(10_000):
        slow.bad(Source.of(f"invented-{number}", address))
    wait = slow.begin(victim)
    assert wait > 1.0
    clock.now += 20.0
    assert slow.begin(victim) == 0.0
    slow.bad(victim)
    assert slow.begin(victim) > 15.0


def test_one_password_for_many_names_is_slowed_down() -> None:
    """From one address, from many, and through a proxy that tells no address."""
    for address in ("198.51.100.7", "127.0.0.1", "2001:db8::{:x}", "10.1.{}.{}"):
        clock = Clock()
        slow, taken = Throttle(clock), 0
        for number in range(2_000):
            source = Source.of(f"name{number}", address.format(number // 250, number % 250))
            if not slow.begin(source):
                taken += 1
                slow.bad(source)
            clock.now += 0.01
        # 20 s of 100 guesses a second.
        assert taken < 300, address


def test_others_guesses_keep_nobody_out_who_was_there_before() -> None:
    clock = Clock()
    slow = Throttle(clock)
    slow.good(BOB)
    for number in range(3_000):  # many addresses, all at bob
        source = Source.of("bob", f"10.2.{number // 250}.{number % 250}")
        if not slow.begin(source):
            slow.bad(source)
        clock.now += 0.01
    assert slow.begin(BOB) == 0.0
    elsewhere = Source.of("bob", "192.0.2.77")
    assert 0.0 < slow.begin(elsewhere) <= throttle.NAME.longest
    assert slow.begin(Source.of("carol", "192.0.2.77")) <= throttle.ALL.longest, "and carol hardly waits"


def test_what_signed_in_well_is_bounded_and_strangers_put_nothing_there() -> None:
    clock = Clock()
    slow = Throttle(clock)
    slow.good(BOB)
    for number in range(20_000):
        slow.bad(Source.of(f"x{number}", "10.0.0.1"))
    assert slow.begin(BOB) == 0.0
    clock.now += 1.0
    for number in range(10_000):
        slow.good(Source.of(f"x{number}", "10.0.0.1"))
    assert slow.begin(Source.of("x9999", "10.0.0.1")) == 0.0
    slow.bad(BOB)  # forgotten as known, and counted as a stranger's


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("127.0.0.53", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("", ""),
        ("nonsense", ""),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_what_counts_as_one_address(address: str, wanted: str) -> None:
    assert customer(address) == wanted
    assert Source.of("BOB", address) == ("bob", wanted)
    assert customer(address, networks(["0.0.0.0/0", "::/0"])) == ""


PROXIES = networks(["127.0.0.1", "10.0.0.0/24", "2001:db8::/64"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # nobody's proxy: what it says is not believed
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the first was said by the client itself
        ("127.0.0.1", "1.1.1.1,203.0.113.9 , 10.0.0.7", "203.0.113.9"),
        ("2001:db8::1", "2001:db8:9::5", "2001:db8:9::5"),
        ("::ffff:10.0.0.3", "::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "", ""),
        ("127.0.0.1", "unknown", ""),
        ("127.0.0.1", "203.0.113.9, ", ""),
        ("127.0.0.1", "10.0.0.1, 127.0.0.1", ""),
        ("127.0.0.1", "203.0.113.9:4711", "203.0.113.9"),  # some proxies tell the port as well
        ("127.0.0.1", "1.1.1.1:1, 203.0.113.9:65535 ,10.0.0.7:80, [2001:db8::7]:443", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8:9::5]:443", "2001:db8:9::5"),
        ("127.0.0.1", "[2001:db8:9::5]", "2001:db8:9::5"),
        ("127.0.0.1", "[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("127.0.0.1", "[::1]:443", "::1"),
        ("127.0.0.1", "2001:db8:9::5:443", "2001:db8:9::5:443"),  # without brackets there is no port
        ("127.0.0.1", "203.0.113.9:", ""),
        ("127.0.0.1", "203.0.113.9:x", ""),
        ("127.0.0.1", "203.0.113.9:\u0661", ""),
        ("127.0.0.1", "203.0.113.9:123456", ""),
        ("127.0.0.1", "203.0.113.9:80:80", ""),
        ("127.0.0.1", "203.0.113.9:80\n", "203.0.113.9"),
        ("127.0.0.1", "[203.0.113.9]:80", ""),
        ("127.0.0.1", "[2001:db8:9::5:443", ""),
        ("127.0.0.1", "2001:db8:9::5]:443", ""),
        ("127.0.0.1", "[]:443", ""),
        ("127.0.0.1", ":443", ""),
        ("127.0.0.1", "203.0.113.9\n1.1.1.1", ""),
        ("", "203.0.113.9", ""),
        ("not an address", "203.0.113.9", "not an address"),
    ],
)
def test_whose_request_it_is_behind_proxies(peer: str, forwarded: str, client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client
    assert client_of(peer, forwarded, ()) == peer


def test_a_clock_that_is_set_makes_nobody_wait() -> None:
    """Who signs people in has the time of day for tokens; pauses are none of its business."""
    day, slow = Clock(1_800_000_000.0), Throttle()
    sign_in = SignIn(Settings(), day, slow)
    for _ in range(12):
        slow.bad(Source.of("bob", "127.0.0.1"))
    day.now -= 3600
    header = "Basic " + base64.b64encode(b"bob:guess").decode()
    found = sign_in.check(header, "127.0.0.1")
    assert not isinstance(found, SignedIn)
    assert found.status == 429 and 0 < found.wait <= throttle.PAIR.longest


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


def test_a_name_that_nobody_has_is_waited_for_as_long_as_a_bind() -> None:
    now, slept = [100.0], list[float]()
    even = EvenTime(lambda: now[0], slept.append)
    even.wait(even.begin())
    assert slept.pop() > 0, "before any bind was seen, too"
    for took in (0.016, 0.020, 60.0):
        began = even.begin()
        now[0] += took
        even.failed(began)
    for _ in range(100):
        began = even.begin()
        now[0] += 0.001
        even.wait(began)
    assert {round(one, 3) for one in slept} == {0.015, 0.019, 1.999}
    began = even.begin()
    now[0] += 10
    slept.clear()
    even.wait(began)
    assert slept == []
