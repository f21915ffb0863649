"""What is too large of an entry is read past: whatever comes in whatever pieces, little is kept, and nothing breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enc.directory import entries, messages, sync_messages
from enc.directory.messages import Malformed
from enc.directory.skimming import ENTRY_TAG, Skimmed, Skimmer, operation

UUID = bytes(range(16))
NAME = "cn=web1.example.org,ou=hosts,dc=example,dc=org"


def ber(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    # slapd itself writes lengths of four octets, whether they are needed or not.
    return bytes((tag, 0x84)) + size.to_bytes(4, "big") + content


def attribute(name: str, values: Iterable[bytes]) -> bytes:
    return ber(0x30, ber(4, name.encode()) + ber(0x31, b"".join(ber(4, value) for value in values)))


def message(attributes: Iterable[bytes], name: bytes = NAME.encode(), *, tag: int = ENTRY_TAG) -> bytes:
    state = ber(0x30, ber(10, b"\x02") + ber(4, UUID))
    control = ber(0x30, ber(4, sync_messages.STATE.encode()) + ber(4, state))
    entry = ber(tag, ber(4, name) + ber(0x30, b"".join(attributes)))
    return ber(0x30, ber(2, b"\x07") + entry + ber(0xA0, control))


def skim(data: bytes, piece: int = 1 << 18) -> tuple[Skimmed | None, int]:
    """Return what is kept of `data` when it comes in pieces, and how many octets waited at most."""
    skimmer, waiting, at, most = Skimmer(len(data)), bytearray(), 0, 0
    for start in range(0, len(data), piece):
        del waiting[:at]
        waiting += data[start : start + piece]
        most = max(most, len(waiting))
        at = skimmer.take(waiting, 0)
    return skimmer.result, most


@given(
    st.lists(st.tuples(st.sampled_from(["cn", "description", "puppetClass"]), st.lists(st.binary(max_size=40)))),
    st.integers(1, 50),
)
def test_small_attributes_are_kept_however_they_come(found: list[tuple[str, list[bytes]]], piece: int) -> None:
    data = message(attribute(name, values) for name, values in found)
    kept, _ = skim(data, piece)
    assert kept is not None
    whole, left = messages.read(data), messages.read(kept.octets)
    assert (left.id, left.operation, left.payload, left.controls) == (7, 4, whole.payload, whole.controls)


def test_large_attributes_are_named_and_not_kept() -> None:
    heavy = [attribute("description", [b"x" * 1_000_000] * 30), attribute("member", [b"m" * 90] * 1000)]
    data = message([attribute("cn", [b"web1"]), *heavy, attribute("entryUUID", [b"abc"])])
    kept, most = skim(data, 100_000)
    assert kept is not None and len(kept.octets) < 400 and most <= 200_000
    assert "description has 30000" in kept.unread and "member has 9" in kept.unread
    record = entries.record(messages.read(*kept))
    assert (record.dn, record.uuid, dict(record.attributes)) == (NAME, "abc", {"cn": ("web1",)})
    assert record.unread == kept.unread
    state = messages.read(*kept).control(sync_messages.STATE)
    assert state is not None and sync_messages.state(state)[1] == sync_messages.uuid_text(UUID)


@pytest.mark.parametrize(
    "attributes",
    [
        [attribute(f"description;x-{number}", [b"y" * 60_000]) for number in range(60)],
        [attribute(f"description;x-{number}", [b"y"]) for number in range(30_000)],
        [attribute("cn", [b""] * 600_000)],
    ],
    ids=["many", "very many", "values"],
)
def test_little_is_kept_of_much_that_is_small(attributes: list[bytes]) -> None:
    kept, _ = skim(message(attributes))
    assert kept is not None and len(kept.octets) < 600_000 and "octets" in kept.unread
    assert len(kept.unread) < 4000


def test_a_name_that_is_large_is_cut() -> None:
    kept, _ = skim(message([attribute("cn", [b"web1"])], b"cn=" + "ä".encode() * 100_000))
    assert kept is not None
    record = entries.record(messages.read(*kept))
    assert len(record.dn) < 70_000 and record.first("cn") == "web1"


@given(st.binary(min_size=2, max_size=80), st.integers(1, 9))
@example(b"\x30\x84\xff\xff\xff\xff", 1)
@example(b"\x30\x0c\x02\x01\x07\x64\x84\xff\xff\xff\xff\x04\x00\x30", 3)
@example(b"\x30\x0c\x02\x01\x07\x64\x07\x04\x84\xff\xff\xff\xff\x30", 3)
@example(b"\x30\x0e\x02\x01\x07\x64\x09\x04\x00\x30\x05\x30\x03\x04\x80\x00", 3)
def test_what_is_no_entry_is_malformed_and_never_anything_else(data: bytes, piece: int) -> None:
    with contextlib.suppress(Malformed):
        skim(data, piece)
    operation(data)


@given(st.data())
def test_a_damaged_entry_is_malformed_or_read(data: st.DataObject) -> None:
    octets = bytearray(message([attribute("cn", [b"web1"]), attribute("description", [b"x" * 300, b"y"])]))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(6, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        kept, _ = skim(bytes(octets), 7)
        if kept is not None:
            messages.read(*kept)


def test_what_a_message_is_shows_at_its_head() -> None:
    assert operation(message([], tag=0x65)[:16]) == 0x65
    assert operation(b"\x30\x0c\x02\x01") is None
