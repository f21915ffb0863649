"""The stream of changes from a real slapd: a copy kept by its events is equal, whatever happens to the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enc.directory.connection import open_connection
from enc.directory.embedded_config import StartOptions
from enc.directory.sync_events import (
    Alive,
    Connected,
    Deleted,
    Listed,
    Looked,
    NewCookie,
    Present,
    RefreshDone,
    RefreshRequired,
    SyncEvent,
    SyncNotOffered,
    Upsert,
)
from enc.directory.sync_stream import Questions
from enc.directory.syncrepl import SyncFeed
from enc.settings import DirectorySettings, Duration, config
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable
from enc.terms.record import Record
from tests.real.conftest import SlapdMaker
from tests.support.hostile_server import server, synchronizes_nothing
from tests.support.slapd import ADD, REPLACE, Slapd

BASE = "ou=hosts,dc=example,dc=org"
KIND = ["device", "puppetClient"]
PATIENT, IMPATIENT = 30.0, 1.5
"""`directory.timeout` where slapd answers, however busy the machine is, and where the time has to be over soon."""


class Copy:
    """What a follower does with the events, at its simplest."""

    def __init__(self, slapd: Slapd, timeout: float = PATIENT) -> None:
        settings = replace(config.parse(slapd.configuration()).directory, timeout=Duration(timeout))
        self.feed = SyncFeed(settings, BASE, beat=0.2)
        self.entries: dict[str, tuple[str, str, tuple[str, ...]]] = {}
        self.cookie: bytes | None = None
        self.seen: list[str] = []
        """Kinds of events since the last `refresh` began."""
        self._named: set[str] = set()
        self._events: Iterator[SyncEvent] = iter(())
        self.questions = Questions()
        self.listed: dict[str, tuple[str, str]] = {}

    def refresh(self) -> None:
        """Connect and go on from the cookie, to the end of the refresh and its cookie."""
        self.close()
        self.seen, self._named, self.questions = [], set(), Questions()
        self._events = self.feed.events(self.cookie, self.questions)
        if isinstance(self.until(RefreshDone, RefreshRequired), RefreshDone):
            self.until(NewCookie)

    def refresh_from_cookie(self) -> None:
        """Connect and go on from the cookie, to the end of the refresh."""
        self.close()
        self.seen, self._named, self.questions = [], set(), Questions()
        self._events = self.feed.events(self.cookie, self.questions)
        self.until(RefreshDone)

    def until(self, *kinds: type) -> SyncEvent:
        """Take events up to the first of one of `kinds`, for a minute at most."""
        deadline = time.monotonic() + 60
        for event in self._events:
            self.take(event)
            if isinstance(event, kinds):
                return event
            assert time.monotonic() < deadline, self.seen
        raise AssertionError(f"the stream ended after {self.seen}")

    def take(self, event: SyncEvent) -> None:
        self.seen.append(type(event).__name__)
        match event:
            case Upsert(record):
                self.entries[record.uuid] = (record.dn, record.csn, record.all("puppetClass"))
                self._named.add(record.uuid)
            case Present(uuids):
                self._named.update(uuids)
            case Deleted(uuids):
                for uuid in uuids:
                    self.entries.pop(uuid, None)
            case RefreshDone(deletes_by_absence=True):
                self.entries = {uuid: entry for uuid, entry in self.entries.items() if uuid in self._named}
            case NewCookie(cookie):
                self.cookie = cookie
            case Listed(entries):
                self.listed |= {uuid: (csn, dn) for uuid, csn, dn in entries}

    def catch_up(self) -> None:
        """Take events until the server has answered two questions sent after this call began."""
        for _ in range(3):
            self.until(Alive)

    def close(self) -> None:
        self.questions.stop.set()
        for _ in self._events:
            pass

    def is_equal(self) -> bool:
        """Compare with what a plain search reads."""
        now = {r.uuid: (r.dn, r.csn, r.all("puppetClass")) for r in records(self.feed)}
        return self.entries == now

    def list_all(self) -> dict[str, tuple[str, str]]:
        """Return (entryCSN, DN) by UUID, as the server lists them on the connection that is open."""
        self.listed = {}
        self.questions.list_all()
        while not (isinstance(event := self.until(Listed), Listed) and event.complete):
            pass
        return self.listed

    def names(self) -> set[str]:
        return {dn.split(",")[0].removeprefix("cn=") for dn, _, _ in self.entries.values() if dn.startswith("cn=")}


def records(feed: SyncFeed) -> list[Record]:
    return [one for one in feed.poll() if isinstance(one, Record)]


@pytest.fixture
def copy(slapd: Slapd) -> Iterator[Copy]:
    slapd.add(f"ou=red,{BASE}", {"objectClass": "organizationalUnit", "ou": "red"})
    for name in ("a", "b", "c"):
        add(slapd, name)
    made = Copy(slapd)
    made.refresh()
    yield made
    made.close()


@pytest.fixture
def impatient(slapd: Slapd) -> Iterator[Copy]:
    made = Copy(slapd, IMPATIENT)
    made.refresh()
    yield made
    made.close()


def add(slapd: Slapd, name: str) -> None:
    slapd.add(place(name), {"objectClass": KIND, "cn": name, "puppetClass": "base"})


def place(name: str) -> str:
    return f"cn={name},ou=red,{BASE}"


def test_initial_content_then_every_kind_of_change(slapd: Slapd, copy: Copy) -> None:
    assert copy.seen[0] == "Connected"
    assert copy.names() == {"a", "b", "c"}
    assert copy.is_equal()
    add(slapd, "d")
    slapd.modify(place("a"), {"puppetClass": [(ADD, ["ntp"])]})
    slapd.delete(place("b"))
    with slapd.connect() as connection:
        connection.modify_dn(place("c"), "cn=e")
    copy.catch_up()
    assert copy.names() == {"a", "d", "e"}
    assert copy.is_equal()
    with slapd.connect() as connection:  # out of what is followed
        connection.modify_dn(place("e"), "cn=e", new_superior="ou=groups,dc=example,dc=org")
    copy.catch_up()
    assert copy.names() == {"a", "d"}


def test_a_change_arrives_in_milliseconds(slapd: Slapd, copy: Copy) -> None:
    waits = []
    for number in range(20):
        slapd.modify(place("a"), {"description": [(REPLACE, [str(number)])]})
        begun = time.monotonic()
        copy.until(Upsert)
        waits.append(time.monotonic() - begun)
    # The quickest: on a busy machine each of them may have to wait for the processor.
    assert min(waits) < 0.02, waits


def changed_while_away(slapd: Slapd, copy: Copy) -> None:
    copy.close()
    slapd.modify(place("a"), {"puppetClass": [(ADD, ["ntp"])]})
    slapd.delete(place("b"))
    add(slapd, "d")


def test_cookie_with_session_log_brings_only_the_changes(slapd: Slapd, copy: Copy) -> None:
    changed_while_away(slapd, copy)
    copy.refresh()
    assert copy.seen.count("Upsert") == 2
    assert "Present" not in copy.seen
    assert copy.is_equal()


def test_cookie_after_restart_without_session_log_names_what_is_left(slapd: Slapd, copy: Copy) -> None:
    changed_while_away(slapd, copy)
    slapd.restart(session_log=0)
    copy.refresh()
    assert copy.seen.count("Upsert") == 2
    assert "Present" in copy.seen
    assert copy.names() == {"a", "c", "d"}
    assert copy.is_equal()


def test_kill_9_ends_the_stream_and_the_cookie_still_holds(slapd: Slapd, copy: Copy) -> None:
    slapd.kill9()
    with pytest.raises(DirectoryUnreachable):
        copy.until(Upsert)
    slapd.start()
    slapd.delete(place("b"))
    copy.refresh()
    assert copy.names() == {"a", "c"}
    assert copy.is_equal()


@pytest.mark.parametrize("changed_after", [False, True])
def test_what_a_restored_backup_took_back_is_seen_by_listing_versions(
    slapd: Slapd, copy: Copy, tmp_path: Path, changed_after: bool
) -> None:
    slapd.directory.backup(tmp_path / "backup.ldif")
    slapd.modify(place("a"), {"puppetClass": [(ADD, ["later"])]})
    copy.catch_up()
    slapd.stop()
    slapd.directory.restore(tmp_path / "backup.ldif")
    slapd.start()
    if changed_after:
        add(slapd, "d")
    copy.refresh_from_cookie()
    held = {uuid: (csn, dn) for uuid, (dn, csn, _) in copy.entries.items()}
    odd = [uuid for uuid, version in copy.list_all().items() if held[uuid] != version]
    assert [copy.entries[uuid][0] for uuid in odd] == [place("a")]
    copy.questions.look_at(odd)
    looked = copy.until(Looked)
    assert isinstance(looked, Looked)
    assert [record.all("puppetClass") for record in looked.records] == [("base",)]


def test_a_rename_above_is_seen_by_listing_versions(slapd: Slapd, copy: Copy) -> None:
    with slapd.connect() as connection:
        assert connection.modify_dn(f"ou=red,{BASE}", "ou=blue")
    copy.catch_up()
    moved = {dn for _, dn in copy.list_all().values()} - {dn for dn, _, _ in copy.entries.values()}
    assert moved == {f"cn={name},ou=blue,{BASE}" for name in ("a", "b", "c")}


def test_refresh_only_ends_by_itself(slapd: Slapd, copy: Copy) -> None:
    events = list(copy.feed.events(None, persist=False))
    assert isinstance(events[0], Connected)
    assert sum(isinstance(event, Upsert) for event in events) == len(copy.entries)
    assert RefreshDone(deletes_by_absence=True) in events
    assert isinstance(events[-1], NewCookie)
    slapd.delete(place("a"))
    later = list(copy.feed.events(events[-1].cookie, persist=False))
    assert [event for event in later if isinstance(event, Deleted)]
    assert RefreshDone(deletes_by_absence=False) in later


def test_a_hung_server_is_not_alive(slapd: Slapd, impatient: Copy) -> None:
    begun = time.monotonic()
    impatient.until(Alive)
    with slapd.hung():
        with pytest.raises(DirectoryUnreachable, match="has sent nothing"):
            impatient.until(Upsert)
        assert time.monotonic() - begun > IMPATIENT
        assert impatient.seen[-3:].count("Alive") <= 2


def test_a_busy_reader_does_not_take_the_server_for_dead(impatient: Copy) -> None:
    for _ in range(3):
        impatient.until(Alive)
        time.sleep(1.2 * IMPATIENT)


def test_stop_ends_a_quiet_stream_soon(copy: Copy) -> None:
    begun = time.monotonic()
    copy.close()
    assert time.monotonic() - begun < PATIENT / 2, "it is not waited for"


def test_without_syncprov_it_says_so_and_polling_reads_all(slapd: Slapd, copy: Copy) -> None:
    copy.close()
    with slapd.connect() as connection:
        assert connection.delete("olcOverlay={0}syncprov,olcDatabase={1}mdb,cn=config")
    with pytest.raises(SyncNotOffered):
        list(copy.feed.events(None))
    assert {record.uuid for record in records(copy.feed)} == set(copy.entries)


def test_a_server_that_only_seems_to_synchronize_does_not() -> None:
    with server(synchronizes_nothing) as place:
        feed = SyncFeed(DirectorySettings(uris=(f"ldap://{place}",)), BASE)
        with pytest.raises(SyncNotOffered):
            list(feed.events(None))


def test_a_base_that_is_not_there_is_no_empty_directory(copy: Copy) -> None:
    with pytest.raises(DirectoryRefused, match="does not exist"):
        list(replace(copy.feed, base="ou=nowhere,dc=example,dc=org").events(None))


def test_thousands_arrive_once_each_whatever_their_number(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    ldif = tmp_path / "many.ldif"
    ldif.write_text(
        f"dn: ou=red,{BASE}\nobjectClass: organizationalUnit\nou: red\n\n"
        + "".join(
            f"dn: {place(f'n{n}')}\nobjectClass: device\nobjectClass: puppetClient\ncn: n{n}\n\n" for n in range(5000)
        )
    )
    slapd = make_slapd(ldif=[ldif], options=StartOptions(session_log=0))
    copy = Copy(slapd)
    copy.refresh()
    assert copy.seen.count("Upsert") == 5002
    changed = [place(f"n{n}") for n in range(0, 5000, 500)]
    with slapd.connect() as connection:
        for dn in changed:
            connection.delete(dn)
    copy.refresh()  # the present phase names 4,990 entries in a few messages
    assert len(copy.entries) == 4992
    copy.close()
    with open_connection(copy.feed.directory) as connection:
        assert sum(1 for _ in connection.read_all(BASE)) == 4992
