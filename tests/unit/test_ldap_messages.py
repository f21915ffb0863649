"""What ldap3 carries for us: requests that servers read, entries as they were written, no harm from octets."""

from __future__ import annotations

import contextlib
import inspect
import time

import ldap3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol import rfc4511
from ldap3.strategy.base import BaseStrategy
from ldap3.strategy.sync import SyncStrategy
from ldap3.utils import asn1
from pyasn1.codec.ber import decoder

from enc.directory import entries, messages, sync_messages
from enc.directory.messages import Malformed
from enc.terms import filters
from enc.terms.errors import ConfigurationError

names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}(;binary)?", fullmatch=True)
attributes = st.dictionaries(names, st.lists(st.binary(max_size=300), max_size=4), max_size=6)


def entry(dn: str, content: dict[str, list[bytes]]) -> bytes:
    """Return a search result entry as another implementation writes it."""
    message = rfc4511.LDAPMessage()
    message["messageID"] = 7
    found = rfc4511.SearchResultEntry()
    found["object"] = dn
    for at, (name, values) in enumerate(content.items()):
        attribute = rfc4511.PartialAttribute()
        attribute["type"] = name
        vals = rfc4511.Vals()
        for place, value in enumerate(values):
            vals[place] = value
        attribute["vals"] = vals
        found["attributes"][at] = attribute
    message["protocolOp"] = rfc4511.ProtocolOp().setComponentByName("searchResEntry", found)
    return messages.encode(message)


@given(st.text(max_size=200), attributes)
def test_entry_is_read_as_it_was_written(dn: str, content: dict[str, list[bytes]]) -> None:
    data = entry(dn, content)
    assert messages.read(data).id == 7
    wanted: dict[str, tuple[str, ...]] = {}
    for name, values in content.items():
        texts = []
        for value in dict.fromkeys(values):
            try:
                texts.append(value.decode())
            except UnicodeDecodeError:
                continue
        if texts:
            wanted[name.lower()] = wanted.get(name.lower(), ()) + tuple(texts)
    record = entries.record(messages.read(data), uuid="u")
    found = {name: tuple(dict.fromkeys(values)) for name, values in record.attributes.items()}
    assert (record.dn, record.uuid) == (dn, "u")
    assert found == {name: tuple(dict.fromkeys(values)) for name, values in wanted.items()}


def test_identity_and_version_stand_apart() -> None:
    data = entry("cn=a", {"entryUUID": [b"1-2"], "entryCSN": [b"2026"], "CN": [b"a"]})
    record = entries.record(messages.read(data))
    assert (record.uuid, record.csn, record.attributes) == ("1-2", "2026", {"cn": ("a",)})


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 255))
def test_broken_octets_are_malformed_and_nothing_else(noise: bytes, place: int, octet: int) -> None:
    whole = entry("cn=a,dc=example", {"cn": [b"a", b"b" * 200], "puppetClass": [b"ntp"]})
    bent = whole[:place] + bytes((octet,)) + whole[place + 1 :]
    looks = (
        lambda it: it.control("1.2.3"),
        lambda it: it.result(),
        lambda it: it.intermediate(),
        messages.page_cookie,
        entries.record,
    )
    for data in (noise, b"\x30" + noise, whole[:place], bent):
        for look in looks:
            with contextlib.suppress(Malformed):
                look(messages.read(data))
    for read in (entries.from_octets, sync_messages.state, sync_messages.done, sync_messages.info):
        with contextlib.suppress(Malformed):
            read(noise)


@pytest.mark.parametrize("octets", ["64022100", "64020100", "640301 02ff", "6405 0100 0401ff", "6405 0100 0101ff"])
def test_a_truth_value_that_is_none_is_malformed(octets: str) -> None:
    """Nobody guesses whether nodes are gone."""
    with pytest.raises(Malformed):
        sync_messages.done(bytes.fromhex(octets.replace(" ", "")))
    for kind in ("a1", "a2", "a3"):
        with pytest.raises(Malformed):
            sync_messages.info(bytes.fromhex(kind + octets.replace(" ", "")[2:]))


def test_a_result_code_that_nobody_knows_is_a_result() -> None:
    message = messages.read(bytes.fromhex("300e020101") + bytes.fromhex("6509 0a0300 9c40 0400 0400".replace(" ", "")))
    assert (message.operation, message.result().code) == (messages.SEARCH_DONE, 40_000)


def test_an_operation_that_nobody_knows_is_malformed() -> None:
    with pytest.raises(Malformed):
        messages.read(bytes.fromhex("300502010a7f00"))


def test_an_attribute_that_comes_again_and_again_costs_no_more_than_its_octets() -> None:
    """Joined one by one, this takes minutes."""
    one = bytes.fromhex("3009 0402636e 3103 040161".replace(" ", ""))
    inner = b"\x30\x84" + (len(one) * 400_000).to_bytes(4, "big") + one * 400_000
    begun = time.process_time()
    record = entries.from_octets(b"\x30\x84" + (len(inner) + 6).to_bytes(4, "big") + b"\x04\x04cn=a" + inner)
    assert record.all("cn") == ("a",) * 400_000
    assert time.process_time() - begun < 30


def test_a_name_of_a_hostile_length_is_not_kept() -> None:
    known = len(entries._shared)
    entries.record(messages.read(entry("cn=a", {"x" * 129: [b"a"]})))
    assert len(entries._shared) == known


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("(ou=*)", "87 02 6f75"),
        ("ou=*", "87 02 6f75"),
        ("(&(a=b)(c=d))", "a0 10  a3 06 0401 61 0401 62  a3 06 0401 63 0401 64"),
        ("(|(a=*b)(!(a=b*)))", "a1 16  a4 08 0401 61 30 03 8201 62  a2 0a a4 08 0401 61 30 03 8001 62"),
        ("(a=b*c*d)", "a4 0e 0401 61 30 09 8001 62 8101 63 8201 64"),
        ("(a>=1)", "a5 06 0401 61 0401 31"),
        ("(a<=9)", "a6 06 0401 61 0401 39"),
        ("(a~=b)", "a8 06 0401 61 0401 62"),
        ("(a:1.2:=b)", "a9 0b 8103 312e32 8201 61 8301 62"),
        ("(a:dn:=b)", "a9 09 8201 61 8301 62 8401 ff"),
        (r"(a=\2a\28\00é)", "a3 0a 0401 61 0405 2a2800c3a9"),
    ],
)
def test_filters_go_out_as_the_rfc_says(text: str, octets: str) -> None:
    assert messages.encoded_filter(text) == bytes.fromhex(octets)


@given(st.text(max_size=60))
def test_an_escaped_value_is_one_value_whatever_it_holds(value: str) -> None:
    read, _ = decoder.decode(messages.encoded_filter(f"(cn={filters.escape(value)})"), asn1Spec=rfc4511.Filter())
    assert bytes(read["equalityMatch"]["assertionValue"]) == value.encode()
    assert bytes(read["equalityMatch"]["attributeDesc"]) == b"cn"


@pytest.mark.parametrize(
    "text",
    [
        *("", "(", "(cn=a", "(cn=a))", "(cn)", "(=a)", "(!(a=1)(b=2))", r"(cn=\zz)", "(cn=a\\)", "(cn>=a*)", "(" * 50),
        *("(cn=**)", "(&)", "(&(cn=a)", "(c n=a)", "(!" * 2000 + "(a=b)" + ")" * 2000, "(cn=a)(cn=b)", "(\udce4=a)"),
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        messages.encoded_filter(text)


def sent(request: messages.Request) -> object:
    """Return the operation as a server reads it."""
    kind, operation = request
    message = rfc4511.LDAPMessage()
    message["messageID"] = 300
    message["protocolOp"] = rfc4511.ProtocolOp().setComponentByName(kind, operation)
    read, rest = decoder.decode(messages.encode(message), asn1Spec=rfc4511.LDAPMessage())
    assert rest == b""
    return read["protocolOp"][kind]


def test_requests_are_what_servers_read() -> None:
    changes = [(False, "puppetVar", ["a=1"]), (True, "puppetVar", ["a=2"]), (False, "cn", ["x"])]
    body = sent(messages.modify("cn=é", changes))
    found = [(str(it["operation"]), str(it["modification"]["type"])) for it in body["changes"]]  # type: ignore[index]
    assert found == [("delete", "puppetVar"), ("add", "puppetVar"), ("delete", "cn")]
    assert bytes(body["object"]) == "cn=é".encode()  # type: ignore[index]
    renamed = sent(messages.rename("cn=a", "cn=b", delete_old=True, new_parent="dc=x"))
    assert (str(renamed["newrdn"]), str(renamed["newSuperior"])) == ("cn=b", "dc=x")  # type: ignore[index]
    asked = sent(messages.search("dc=x", messages.Scope.SUBTREE, "(cn=a)", ("*", "entryCSN"), size=3, seconds=9))
    assert [str(name) for name in asked["attributes"]] == ["*", "entryCSN"]  # type: ignore[index]
    assert (int(asked["sizeLimit"]), int(asked["timeLimit"])) == (3, 9)  # type: ignore[index]


def test_a_text_that_is_no_unicode_goes_out_as_its_octets() -> None:
    assert bytes(sent(messages.delete("cn=\udce4"))) == b"cn=\xed\xb3\xa4"  # type: ignore[call-overload]


# RFC 4533


UUID = bytes(range(16))
TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_false_is_not_taken_for_true() -> None:
    """ldap3's fast decoder does; a refreshDeletes read so would delete nodes."""
    assert asn1.decode_boolean(b"\x00", 0, 1) is True, "mended in ldap3: sync_messages._truth may go"
    octets = bytes((4, 1, 99))
    for truth in (False, True):
        flag = bytes((1, 1, 255 if truth else 0))
        uuids = b"\x31\x12\x04\x10" + UUID
        ids = octets + flag + uuids
        assert sync_messages.info(bytes((0xA3, len(ids))) + ids).flag is truth
        assert sync_messages.info(bytes((0xA3, len(ids))) + ids).uuids == (TEXT,)
        for kind in (0xA1, 0xA2):
            content = octets + flag
            assert sync_messages.info(bytes((kind, len(content))) + content).flag is truth
        assert sync_messages.done(bytes((0x30, 6)) + octets + flag) == (b"c", truth)


def test_what_is_left_out_has_its_default() -> None:
    assert sync_messages.done(None) == (None, False)
    assert sync_messages.done(b"\x30\x00") == (None, False)
    assert sync_messages.info(b"\xa1\x00").flag is True
    assert sync_messages.info(b"\xa3\x02\x31\x00").flag is False
    assert sync_messages.info(b"\x80\x01c") == sync_messages.Info(sync_messages.InfoKind.NEW_COOKIE, b"c", False)


def test_states() -> None:
    content = b"\x0a\x01\x03\x04\x10" + UUID
    assert sync_messages.state(bytes((0x30, len(content))) + content) == (sync_messages.EntryState.DELETE, TEXT, None)
    content += b"\x04\x01c"
    assert sync_messages.state(bytes((0x30, len(content))) + content)[2] == b"c"
    for broken in (b"\x30\x00", b"\x30\x03\x0a\x01\x09", b"\x04\x00"):
        with pytest.raises(Malformed):
            sync_messages.state(broken)


def test_what_of_ldap3_is_not_promised_and_used_all_the_same() -> None:
    """The names behind its face that enc.directory.bounded stands on: a release that changes them shows here."""
    assert "_get_response(message_id, timeout)" in inspect.getsource(BaseStrategy.get_response)
    assert "message_id in self._outstanding" in inspect.getsource(BaseStrategy.get_response)
    assert {"_get_response", "_outstanding"} <= {*vars(SyncStrategy), *vars(SyncStrategy(_NoConnection()))}
    for name in ("send", "open", "get_response", "post_send_single_response", "post_send_search"):
        assert f"self.{name} = self.strategy.{name}" in inspect.getsource(ldap3.Connection.__init__)
    assert [key for key in asn1.DECODERS if key in {(0, 1), (0, 4)}] == [(0, 1), (0, 4)]
    assert asn1.compute_ber_size(b"\x04\x82\x01\x00") == (256, 4)


class _NoConnection:
    """A strategy only keeps it."""
