"""Our LDAP octets against ldap3's: what one writes, the other reads; hostile octets are refused, not believed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import compile_filter, parse_filter
from ldap3.protocol import rfc4511
from ldap3.utils.asn1 import decode_message_fast, encode
from pyasn1.codec.ber import decoder

from enc import filters
from enc.directory import ber, entries, messages, search_filter
from enc.directory.ber import Malformed
from enc.errors import ConfigurationError

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
    return encode(message)


@given(st.text(max_size=200), attributes)
def test_entry_is_read_as_it_was_written(dn: str, content: dict[str, list[bytes]]) -> None:
    data = entry(dn, content)
    assert decode_message_fast(data)["messageID"] == 7
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
    for data in (noise, b"\x30" + noise, whole[:place], bent):
        try:
            ber.message_size(data, 0)
            message = messages.read(data)
            message.control("1.2.3")
            entries.record(message)
            message.result()
        except Malformed:
            pass


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 70_000])
def test_lengths_are_written_as_others_read_them(length: int) -> None:
    data = ber.octets(b"x" * length)
    assert bytes(decoder.decode(data)[0]) == b"x" * length
    assert ber.message_size(b"\x30" + data[1:], 0) == len(data)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 65_535, 2**31 - 1, -1, -129])
def test_numbers_are_written_as_others_read_them(number: int) -> None:
    data = ber.integer(number)
    assert int(decoder.decode(data)[0]) == number
    assert ber.to_integer(data, 2, len(data)) == number


def test_a_message_of_a_hostile_length_is_refused() -> None:
    with pytest.raises(Malformed, match="accepted"):
        ber.message_size(b"\x30\x84\x7f\xff\xff\xff", 0)


def test_an_attribute_that_comes_again_and_again_costs_no_more_than_its_octets() -> None:
    """Joined one by one, this takes minutes."""
    one = ber.value(0x30, ber.octets("cn"), ber.value(0x31, ber.octets("a")))
    data = ber.value(0x30, ber.integer(1), ber.value(0x64, ber.octets("cn=a"), ber.value(0x30, one * 400_000)))
    begun = time.monotonic()
    record = entries.record(messages.read(data))
    assert record.all("cn") == ("a",) * 400_000
    assert time.monotonic() - begun < 10


def test_more_values_side_by_side_than_anybody_has_are_refused() -> None:
    message = ber.value(0x30, ber.integer(1), ber.value(0x65, b""), ber.value(0xA0, b"\x30\x00" * 1_000_001))
    with pytest.raises(Malformed, match="side by side"):
        messages.read(message).control("1.2")


def test_a_name_of_a_hostile_length_is_not_kept() -> None:
    known = len(entries._shared)
    entries.record(messages.read(entry("cn=a", {"x" * 129: [b"a"]})))
    assert len(entries._shared) == known


@pytest.mark.parametrize(
    "text",
    [
        "(objectClass=*)",
        "(&(objectClass=puppetClient)(cn=web1.example.org))",
        "(|(cn=a*)(cn=*b)(cn=*c*d*)(!(cn=e*f*g)))",
        "(&(entryCSN>=20260101)(x<=9)(cn~=smith))",
        "(cn:caseExactMatch:=Web)",
        "(ou:dn:=hosts)",
        "(:dn:2.4.6.8.10:=Dino)",
        r"(cn=\2a\28\29\5c\00é)",
    ],
)
def test_filter_is_encoded_as_ldap3_does(text: str) -> None:
    reference = compile_filter(parse_filter(text, None, True, False, None, False).elements[0])
    assert search_filter.encode(text) == encode(reference)


@given(st.text(max_size=60))
def test_an_escaped_value_is_one_value_whatever_it_holds(value: str) -> None:
    data = search_filter.encode(f"(cn={filters.escape(value)})")
    assert data == ber.value(0xA3, ber.octets("cn"), ber.octets(value))


@pytest.mark.parametrize(
    "text", ["", "(", "(cn=a", "(cn=a))", "(cn)", "(=a)", "(!(a=1)(b=2))", r"(cn=\zz)", "(cn>=a*)", "(" * 50, "(cn=**)"]
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        search_filter.encode(text)


def test_requests_are_what_others_read() -> None:
    changes = [(False, "puppetVar", ["a=1"]), (True, "puppetVar", ["a=2"])]
    request = messages.message(300, messages.modify("cn=a", changes), [messages.assertion("(entryCSN=1)")])
    read, rest = decoder.decode(request, asn1Spec=rfc4511.LDAPMessage())
    body = read["protocolOp"]["modifyRequest"]
    assert (int(read["messageID"]), rest, str(body["object"])) == (300, b"", "cn=a")
    assert [str(change["operation"]) for change in body["changes"]] == ["delete", "add"]
    assert (str(read["controls"][0]["controlType"]), bool(read["controls"][0]["criticality"])) == ("1.3.6.1.1.12", True)
