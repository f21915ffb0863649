"""An entry that is too large stops nobody but itself: follower, listings, repairs, on a real slapd."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enc.answers.layout import link
from enc.directory.edits import DirectoryEditor
from enc.directory.embedded_config import StartOptions
from enc.directory.ldap_store import LdapSource
from enc.directory.syncrepl import SyncFeed
from enc.instances.journal import Journal
from enc.instances.reconcile import Reconciler
from enc.service import survey
from enc.settings import DirectorySettings, Settings
from enc.terms.names import Certname, ClassName
from enc.terms.record import Record
from tests.real.conftest import SlapdMaker
from tests.support.following import HOSTS, SUFFIX, Following, add_node, add_project, eventually, node_dn
from tests.support.slapd import ADD, DELETE, REPLACE, Slapd

WEB, POISON = "web1.example.org", "poison.example.org"
LONG = "x" * 90_000


@pytest.fixture
def unlimited(make_slapd: SlapdMaker) -> Slapd:
    """A server that lets people write what they like, as a foreign one may, with two projects."""
    slapd = make_slapd(options=StartOptions(limits=False))
    add_project(slapd, "alpha")
    add_node(slapd, WEB, puppetClass=["ntp"])
    add_node(slapd, POISON, puppetClass=["ntp"])
    return slapd


@pytest.fixture
def following(unlimited: Slapd, tmp_path: Path) -> Iterator[Following]:
    following = Following(tmp_path / "f", unlimited, directory={"largest_entry": 100_000})
    yield following
    following.end(signal.SIGKILL)


def poison(slapd: Slapd, dn: str, attribute: str = "description", value: str = LONG) -> None:
    """Make an entry that is too large, as one may who can only send small requests."""
    for number in range(2):
        slapd.modify(dn, {attribute: [(ADD, [f"k{number}={number}" + value])]})


def named(following: Following) -> dict[str, str]:
    return {problem.name: problem.message for problem in following.status().problems}


def test_all_others_keep_up_while_it_is_there_and_it_comes_back(following: Following) -> None:
    slapd, place = following.slapd, node_dn(POISON)
    following.start()
    poison(slapd, place)
    add_node(slapd, "later.example.org", puppetClass=["after"])
    eventually(lambda: following.classes("later.example.org") == ["after"], "a new node has its answer")
    following.current()
    problems = named(following)
    assert "description has 180" in problems[f"entry {place}"] and "entryUUID" in problems[f"entry {place}"]
    assert "cannot be read" in problems[POISON]
    assert "the last good answer stays in use" in problems[POISON] and following.classes(POISON) == ["ntp"]
    told = following.log.read_text().count("entryUUID")
    for _ in range(3):  # comparisons
        time.sleep(0.3)
        following.current()
    assert following.log.read_text().count("entryUUID") == told, "it is told once"
    # Killed and begun again from what is on disk, and from nothing.
    following.end(signal.SIGKILL)
    following.start()
    slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["more"])]})
    eventually(lambda: following.classes(WEB) == ["ntp", "more"], "edits arrive")
    following.end(signal.SIGKILL)
    shutil.rmtree(following.layout.root)
    link(following.configuration, following.layout.root)
    following.start()
    assert following.classes("later.example.org") == ["after"]
    status, text = following.enc(POISON)
    assert status == 1 and "description has 180" in text and POISON in named(following)
    slapd.modify(place, {"description": [(DELETE, [])]})
    eventually(lambda: following.classes(POISON) == ["ntp"], "mended")
    following.current()
    assert following.status().problems == ()
    poison(slapd, place)
    eventually(lambda: POISON in named(following), "poisoned again")
    with slapd.connect() as connection:
        connection.modify_dn(place, "cn=other.example.org")
    eventually(lambda: "other.example.org" in named(following), "renamed")
    assert not {POISON, f"entry {place}"} & named(following).keys()
    slapd.delete(node_dn("other.example.org"))
    eventually(lambda: following.status().problems == (), "deleted")
    following.current()
    assert following.text(WEB) is not None


@pytest.mark.parametrize("attribute", ["puppetmasterData", "cn"])
def test_a_project_or_a_name_that_is_too_large(following: Following, attribute: str) -> None:
    slapd = following.slapd
    place = f"cn=beta,ou=projects,{SUFFIX}" if attribute != "cn" else node_dn(POISON)
    add_project(slapd, "beta")
    add_node(slapd, "db.example.org", "beta", puppetClass=["mysql"])
    following.start()
    poison(slapd, place, attribute)
    hurt = "db.example.org" if attribute != "cn" else POISON
    eventually(lambda: hurt in named(following), "told")
    assert following.classes(WEB) == ["ntp"]
    slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["more"])]})
    eventually(lambda: following.classes(WEB) == ["ntp", "more"], "others go on")
    following.current()


def test_a_server_that_has_to_be_polled(unlimited: Slapd, tmp_path: Path) -> None:
    settings = Settings(directory=DirectorySettings(uris=(unlimited.ldapi_uri,), suffix=SUFFIX))
    poison(unlimited, node_dn(POISON), value=100 * LONG)  # more than is taken of any message
    found = [one for one in SyncFeed(settings.directory, HOSTS).poll() if isinstance(one, Record)]
    bad = next(one for one in found if one.unread)
    assert bad.dn == node_dn(POISON) and bad.uuid and bad.csn and bad.first("cn") == POISON
    with LdapSource(settings) as source:
        listed = {record.first("cn"): bool(record.unread) for record in source.all_nodes()}
    assert listed == {WEB: False, POISON: True}


def test_listings_and_repairs_tell_it_and_go_on(unlimited: Slapd, tmp_path: Path) -> None:
    settings = Settings(directory=DirectorySettings(uris=(unlimited.ldapi_uri,), suffix=SUFFIX))
    settings = replace(settings, answers=replace(settings.answers, directory=tmp_path / "answers"))
    waiting = "waiting since 1 until 2 sha256 " + "0" * 64
    for attribute, value in (("puppetmasterEnrolment", waiting), ("cn", "hidden.example.org")):
        unlimited.modify(node_dn(POISON), {attribute: [(ADD, [value])]})
    poison(unlimited, node_dn(POISON), value=100 * LONG)
    with LdapSource(settings) as source:
        rows = {row.certname: row.trouble for row in survey.rows(survey.Snapshot(source, settings), settings)}
        uses = survey.uses(ClassName("ntp"), survey.Snapshot(source, settings).everything(), settings)
    assert rows[Certname(WEB)] == "" and "description has 180" in rows[Certname(POISON)]
    assert {use.dn for use in uses} == {node_dn(WEB), node_dn(POISON)}
    with DirectoryEditor(settings) as editor:
        reconciler = Reconciler(settings, editor, (), Journal(tmp_path / "journal"), 0.0)
        assert [repair for repair in reconciler.look() if repair.certname == POISON] == []
    assert [trouble for trouble in reconciler.troubles if trouble.startswith(node_dn(POISON))]


def test_the_limit_is_a_setting(unlimited: Slapd) -> None:
    directory = DirectorySettings(uris=(unlimited.ldapi_uri,), suffix=SUFFIX, largest_entry=100_000)
    unlimited.modify(node_dn(WEB), {"description": [(REPLACE, ["x" * 90_000])]})
    for limit, too_large in ((100_000, False), (90_000, True)):
        with LdapSource(Settings(directory=replace(directory, largest_entry=limit))) as source:
            record = source.read(node_dn(WEB))
        assert record is not None and bool(record.unread) is too_large
        assert bool(record.all("description")) is not too_large
