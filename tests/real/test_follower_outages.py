"""Whatever happens to the directory, `enc` goes on answering from disk, and afterwards everything is true again."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.answers.layout import Contact
from enc.answers.reader import read_contact
from enc.directory.embedded_config import StartOptions, TlsFiles
from tests.real.conftest import SlapdMaker
from tests.support.certificates import Authority
from tests.support.following import Following, add_node, add_project, eventually, node_dn
from tests.support.slapd import ADD, REPLACE, Refused, Slapd

WEB = "web1.example.org"
GONE = "gone.example.org"


@pytest.fixture
def following(slapd: Slapd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Following]:
    """Project alpha with one node, one more that was deleted, and a running follower; the parameter: its patience."""
    add_project(slapd, "alpha")
    add_node(slapd, WEB, puppetClass=["ntp"])
    add_node(slapd, GONE)
    patience = {"timeout": request.param} if hasattr(request, "param") else {}
    following = Following(tmp_path / "f", slapd, directory=patience)
    following.start()
    slapd.delete(node_dn(GONE))
    eventually(lambda: following.text(GONE) is None, "deleted")
    yield following
    following.end()


def unreachable(following: Following) -> None:
    """Wait until the follower has noticed, and check what `enc` says meanwhile."""
    eventually(lambda: following.status().state == "unreachable", "noticed")
    status, text = following.enc(WEB)
    assert status == 0 and '"ntp"' in text
    status, text = following.enc(GONE)
    assert status == 1 and text.count("\n") == 1 and "was deleted" in text
    status, text = following.enc("never.example.org")
    assert status == 1 and text.count("\n") == 1


def true_again(following: Following) -> None:
    """Check that what changes now arrives, and that nothing else is left over."""
    following.current()
    following.slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["again"])]})
    eventually(lambda: "again" in (following.classes(WEB) or ()), "a change after the outage")
    following.assert_true()
    assert following.text(GONE) is None


@pytest.mark.parametrize("how", ["stopped", "killed", "without its session log"])
def test_slapd_away(following: Following, how: str) -> None:
    slapd = following.slapd
    slapd.kill9() if how == "killed" else slapd.stop()
    unreachable(following)
    contact = read_contact(following.layout)
    time.sleep(1.2)
    assert read_contact(following.layout).contact == contact.contact, "no contact, so no younger answers"  # type: ignore[union-attr]
    slapd.start(**({"session_log": 0} if how == "without its session log" else {}))
    true_again(following)


def test_deleted_during_the_outage_of_the_network(following: Following) -> None:
    """The server forgets what was deleted (no session log): what it does not name is gone."""
    slapd = following.slapd
    add_node(slapd, "later.example.org")
    eventually(lambda: following.text("later.example.org"), "added")
    following.end()
    slapd.delete(node_dn("later.example.org"))
    slapd.restart(session_log=0)
    following.start()
    assert following.text("later.example.org") is None
    true_again(following)


@pytest.mark.parametrize("following", ["1s"], indirect=True)
def test_a_connection_that_hangs(following: Following) -> None:
    with following.slapd.hung():
        unreachable(following)
    true_again(following)


@pytest.mark.parametrize("changed_after", [False, True])
@pytest.mark.parametrize("ended_by", [None, signal.SIGKILL])
def test_restored_from_an_older_backup(
    following: Following, tmp_path: Path, ended_by: signal.Signals | None, changed_after: bool
) -> None:
    """The truth is what the server has, also where an accepted cookie would hide it."""
    slapd = following.slapd
    backup = tmp_path / "backup.ldif"
    add_node(slapd, "deleted-later.example.org")
    slapd.directory.backup(backup)
    slapd.delete(node_dn("deleted-later.example.org"))
    add_node(slapd, "added-later.example.org")
    slapd.modify(node_dn(WEB), {"puppetClass": [(REPLACE, ["changed-later"])]})
    eventually(lambda: following.text("added-later.example.org"), "added")
    eventually(lambda: following.text("deleted-later.example.org") is None, "deleted")
    if ended_by:
        following.end(ended_by)
    slapd.stop()
    slapd.directory.restore(backup)
    if changed_after and not ended_by:
        with following.frozen():
            slapd.start()
            add_node(slapd, "after.example.org")
    slapd.start()
    if ended_by:
        if changed_after:
            add_node(slapd, "after.example.org")
        following.start()
    following.current()
    assert following.classes(WEB) == ["ntp"]
    assert following.text("deleted-later.example.org") is not None
    assert following.text("added-later.example.org") is None
    true_again(following)


def test_the_directory_is_full(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    slapd = make_slapd(options=StartOptions(max_size=1 << 20))
    add_project(slapd, "alpha")
    add_node(slapd, WEB, puppetClass=["ntp"])
    following = Following(tmp_path / "f", slapd)
    following.start()
    try:
        with pytest.raises(Refused):
            for number in range(2000):
                slapd.modify(node_dn(WEB), {"description": [(ADD, [f"{number} " + "x" * 5000])]})
        assert following.enc(WEB)[0] == 0
        slapd.restart(max_size=64 << 20)
        following.current()
        slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["again"])]})
        eventually(lambda: "again" in (following.classes(WEB) or ()), "a change after the outage")
        following.assert_true()
    finally:
        following.end()


def test_a_certificate_that_has_expired(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    good, expired = (TlsFiles(*authority.issue("127.0.0.1", days=days)) for days in (30, -1))
    slapd = make_slapd(options=StartOptions(tls=good))
    add_project(slapd, "alpha")
    add_node(slapd, WEB, puppetClass=["ntp"])
    following = Following(
        tmp_path / "f",
        slapd,
        directory={"uris": [slapd.directory.home.ldaps_uri], "tls": {"ca_file": str(authority.certificate)}},
    )
    following.start()
    try:
        slapd.restart(tls=expired)
        eventually(lambda: following.status().state == "unreachable", "refused")
        assert following.enc(WEB)[0] == 0
        eventually(lambda: "certificate has expired" in following.log.read_text(), "the reason in the log")
        slapd.restart(tls=good)
        following.current()
        following.assert_true()
    finally:
        following.end()


def test_site_and_groups_may_be_missing_and_come_later(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    slapd = make_slapd()
    add_project(slapd, "alpha")
    add_node(slapd, WEB, puppetClass=["ntp"])
    slapd.delete("cn=site,dc=example,dc=org")
    slapd.delete("cn=operators,ou=groups,dc=example,dc=org")
    slapd.delete("ou=groups,dc=example,dc=org")
    following = Following(tmp_path / "f", slapd)
    following.start()
    try:
        for _ in range(20):
            assert following.status().state == "current"
            time.sleep(0.1)
        following.current()
        slapd.add(
            "cn=site,dc=example,dc=org",
            {"objectClass": ["puppetmasterScope", "puppetClient"], "puppetClass": "base"},
        )
        eventually(lambda: following.classes(WEB) == ["base", "ntp"], "the site's entry came")
    finally:
        following.end()


def test_a_base_of_nodes_that_vanishes_empties_nothing(following: Following) -> None:
    """A wrong base, or a lost right to read, looks the same; good answers are not thrown away for it."""
    following.end()
    slapd = following.slapd
    slapd.delete(node_dn(WEB))
    slapd.delete("ou=alpha,ou=hosts,dc=example,dc=org")
    slapd.delete("ou=hosts,dc=example,dc=org")
    following.start(wait=False)
    eventually(lambda: "ou=hosts,dc=example,dc=org does not exist" in following.log.read_text(), "said")
    eventually(lambda: following.status().state == "refused", "shown")
    assert following.enc(WEB)[0] == 0


def test_past_the_limit_enc_refuses(following: Following) -> None:
    following.end()
    old = int(time.time()) - 90_000
    following.layout.contact.write_text(Contact(old, old, 86_400, "unreachable").line())
    status, text = following.enc(WEB)
    assert status == 1 and text.count("\n") == 1 and "86400" in text and "enc-admin status" in text
