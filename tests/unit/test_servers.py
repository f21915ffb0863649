"""Which LDAP server has which changes: CSNs, cookies, and what to make of a server that lacks some."""

from __future__ import annotations

import pytest

from enc.answers.standing import Standing
from enc.directory import csns
from enc.directory.csns import NOTHING_KNOWN, Csns
from enc.directory.sync_events import Connected

HERE, THERE = "ldap://here", "ldap://there"
PATIENCE = 600.0


def csn(second: int, server: int) -> str:
    return f"202601010000{second:02d}.000000Z#000000#{server:03x}#000000"


def at(**seconds: int) -> Csns:
    """Return how far servers have got: at(a=5, b=3) is second 5 of server 10 and second 3 of server 11."""
    return csns.of_values(csn(second, int(name, 16)) for name, second in seconds.items())


def test_a_cookie_says_csns_and_nothing_about_who_asks() -> None:
    cookie = f"rid=007,sid=00a,csn={csn(5, 10)};{csn(3, 11)}".encode()
    assert csns.of_cookie(cookie) == at(a=5, b=3)
    assert csns.offer(cookie, NOTHING_KNOWN) == f"rid=000,csn={csn(5, 10)};{csn(3, 11)}".encode()
    assert csns.offer(cookie, at(a=9, b=2)) == f"rid=000,csn={csn(5, 10)};{csn(2, 11)}".encode()
    assert csns.offer(cookie, at(a=4, c=9)) == f"rid=000,csn={csn(4, 10)}".encode()
    assert csns.offer(cookie, at(c=9)) is None
    assert csns.offer(None, at(a=1)) is None


def test_a_cookie_of_one_change_does_not_forget_the_other_servers() -> None:
    old = csns.cookie_of(at(a=5, b=3))
    new = f"rid=000,sid=00b,csn={csn(4, 11)},delcsn={csn(4, 11)}".encode()
    assert csns.of_cookie(csns.merged(old, new)) == at(a=5, b=4)
    assert csns.of_cookie(csns.merged(None, new)) == at(b=4)
    older = f"rid=000,sid=00a,csn={csn(1, 10)}".encode()
    assert csns.of_cookie(csns.merged(old, older)) == at(a=5, b=3)


@pytest.mark.parametrize(
    "cookie", [b"host:389#cn=x:dc=y#12", b"", b"\xff\xfe", b"rid=000", b"rid=000,csn=", b"rid=1,csn=x;y"]
)
def test_what_is_no_cookie_of_csns_goes_back_as_it_came(cookie: bytes) -> None:
    assert not csns.of_cookie(cookie)
    assert csns.offer(cookie, at(a=1)) == cookie
    assert csns.merged(csns.cookie_of(at(a=1)), cookie) == cookie


def test_what_a_server_can_know_of() -> None:
    here = at(a=5)
    assert here.knows(csn(5, 10)) and not here.knows(csn(6, 10)) and not here.knows(csn(1, 11))
    assert here.knows("") and here.knows("no csn")
    assert here.covers(NOTHING_KNOWN) and not here.covers(at(b=1)) and not NOTHING_KNOWN.covers(here)
    assert here.lacks(at(a=6, b=1, c=1)) == (10, 11, 12)


def standing(here: Csns, *, servers: int = 2, silent: int = 0) -> Standing:
    made = Standing()
    made.connected(Connected(HERE, here, servers, silent))
    return made


def test_a_server_that_has_all_is_level() -> None:
    one = standing(at(a=5, b=5))
    assert one.judge(at(a=5), 0, PATIENCE).kind == "level"
    assert standing(NOTHING_KNOWN).judge(at(a=5), 0, PATIENCE).kind == "level", "one that does not say is believed"


def test_the_only_server_is_believed_at_once() -> None:
    assert standing(at(a=3), servers=1).judge(at(a=5), 0, PATIENCE).kind == "believe"


def test_one_of_several_is_believed_when_all_were_asked_twice() -> None:
    one = standing(at(a=3))
    assert one.judge(at(a=5), 0, PATIENCE).kind == "behind"
    assert one.judge(at(a=5), 2, PATIENCE).kind == "behind"
    assert one.judge(at(a=5), 4, PATIENCE).kind == "ask"
    one.connected(Connected(HERE, at(a=3), 2, 0))
    assert one.judge(at(a=5), 4.1, PATIENCE).kind == "believe"


def test_while_one_does_not_answer_it_is_waited_for() -> None:
    one = standing(at(a=3), silent=1)
    assert one.judge(at(a=5), 0, PATIENCE).kind == "behind"
    assert one.judge(at(a=5), PATIENCE - 1, PATIENCE).kind == "behind"
    assert one.judge(at(a=5), PATIENCE, PATIENCE).kind == "ask"
    one.connected(Connected(HERE, at(a=3), 2, 1))
    assert one.judge(at(a=5), PATIENCE + 0.1, PATIENCE).kind == "believe"


def test_the_clock_for_those_that_all_answer_begins_when_they_do() -> None:
    one = standing(at(a=3), silent=1)
    assert one.judge(at(a=5), 0, PATIENCE).kind == "behind"
    one.sighted({HERE: at(a=3), THERE: at(a=4)}, 100)
    assert one.judge(at(a=5), 100, PATIENCE).kind == "behind"
    assert one.judge(at(a=5), 102, PATIENCE).kind == "behind"


def test_one_answer_that_a_change_overtook_is_no_lag() -> None:
    one = standing(at(a=5))
    assert one.judge(at(a=5), 0, PATIENCE).kind == "level"
    one.alive(at(a=5))
    assert one.judge(at(a=6), 1, PATIENCE).kind == "level"
    one.alive(at(a=6))
    assert one.judge(at(a=6), 2, PATIENCE).kind == "level"
    one.alive(at(a=5))
    assert one.judge(at(a=6), 3, PATIENCE).kind == "level"
    assert one.judge(at(a=6), 4, PATIENCE).kind == "behind"


def test_another_that_is_ahead_is_moved_to_after_some_moments() -> None:
    one = standing(at(a=5))
    one.sighted({HERE: at(a=5), THERE: at(a=6)}, 0)
    assert one.judge(at(a=5), 1, PATIENCE).kind == "level", "changes take a moment"
    verdict = one.judge(at(a=5), 6, PATIENCE)
    assert (verdict.kind, verdict.wanted) == ("move", at(a=6))
    one.alive(at(a=6))
    assert one.judge(at(a=5), 7, PATIENCE).kind == "level"


def test_two_that_each_lack_something_are_torn() -> None:
    one = standing(at(a=5, b=1))
    one.sighted({HERE: at(a=5, b=1), THERE: at(a=1, b=5)}, 0)
    verdict = one.judge(at(a=5), 6, PATIENCE)
    assert verdict.kind == "torn" and THERE in verdict.text and "00b" in verdict.text
