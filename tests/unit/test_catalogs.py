"""What differs between two catalogs, what is hidden of it, and how it is grouped over nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enc.catalogs import catalog, compiler, effect
from enc.catalogs.catalog import BadCatalog
from enc.catalogs.compare import Change, compare
from enc.catalogs.effect import Effect, NodeEffect
from enc.catalogs.masking import Mask, secret_name
from tests.support.catalogs import CASES, MASK, compared, document, told


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_differs(case: dict[str, Any]) -> None:
    found = compared(case)
    assert sorted(map(told, found)) == sorted(case["differs"])
    kept = json.dumps([effect.change_document(change) for change in found], ensure_ascii=False)
    assert [text for text in case.get("hidden", ()) if text in kept] == []
    one = NodeEffect("a.example.org", "differs" if found else "same", found)
    assert effect.read([effect.document(one)], {}) == Effect((one,), {})
    files = {source: held[::-1] for source, held in case.get("files", {}).items()}
    back = {"before": case["after"], "after": case["before"], "files": files}
    turned = {"+": "-", "-": "+", "~": "~"}
    assert sorted(map(told, compared(back))) == sorted(turned[text[0]] + text[1:] for text in case["differs"])


def test_there_are_enough_pairs() -> None:
    assert len(CASES) >= 30 and len({case["name"] for case in CASES}) == len(CASES)


def test_a_hidden_value_is_told_apart_only_with_the_key() -> None:
    other = Mask(b"o" * 32)
    assert MASK.hidden("hunter2") == MASK.hidden("hunter2") != MASK.hidden("hunter3")
    assert other.hidden("hunter2") != MASK.hidden("hunter2")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in ("password", "root_password", "db_passwd", "apiKey", "my::token", "client_secret")),
        *((name, True) for name in ("password_hash", "PASSWORD", "ssh-private-key", "mysqlpassword", "psk", "secrets")),
        *((name, True) for name in ("bindpw", "rndc_key", "snmp_community", "hsm_pin", "fernetKey", "krb5_keytab")),
        *((name, False) for name in ("passenger", "password_file", "token_life", "key", "keyboard", "secret_path")),
        *((name, False) for name in ("compass", "bypass_list", "ensure", "content", "tokenizer", "source")),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert secret_name(name) is secret


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("password=hunter22", "hunter22"),
        ("  db_password: 'two words here'", "two words here"),
        ('"api_key" => "abcdef"', "abcdef"),
        ("export SECRET_TOKEN=abc123def", "abc123def"),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("root:$6$salt$abcdefghijklmnop:19000:0", "$6$salt$abcdefghijklmnop"),
        ("postgres://me:p4ss@db:5432/x", "p4ss"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nno end", "MIIE"),
        ("requirepass foo1bar2", "foo1bar2"),
        ("PasswordAuthentication no", None),
        ("# the password is kept elsewhere", None),
        ("password_file = /etc/x", None),
        ("password: ''", None),
        ("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", None),
    ],
)
def test_secrets_in_texts(text: str, hidden: str | None) -> None:
    shown = MASK.text(text)
    if hidden is None:
        assert shown == text
    else:
        assert hidden not in shown and "(hidden " in shown


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 200_000, "password " * 30_000, "://" * 60_000, "-----BEGIN PRIVATE KEY-----" * 4_000),
        *("{SSHA" * 30_000, "a_" * 100_000 + "password=x1", "-----BEGIN PRIVATE KEY-----\n" * 5_000),
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """Whatever it is: each pattern looks a bounded way ahead."""
    assert len(MASK.text(text)) > 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"resources": 1}', '{"resources": [1]}'),
        '{"resources": [{"type": "A", "parameters": 1}]}',
    ],
)
def test_what_is_no_catalog(text: str) -> None:
    with pytest.raises(BadCatalog):
        catalog.read(text)


def test_nesting_without_end() -> None:
    with pytest.raises(BadCatalog):
        catalog.read('{"resources":' + "[" * 200_000)
    deep: Any = "hunter2"
    for _ in range(300):
        deep = [deep]
    other = json.loads(json.dumps(deep).replace("hunter2", "hunter3"))
    before, after = (catalog.of(document({"Notify[n]": {"message": value}})) for value in (deep, other))
    (change,) = compare(before, after, MASK)
    assert "hunter" not in str(change)


JRUBY = "Internal Server Error: org.jruby.exceptions.RuntimeError: (PreformattedError) "


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            f"{JRUBY}Evaluation Error: at the end (file: /e/test/manifests/site.pp, line: 2, column: 2) on node a.b",
            "Evaluation Error: at the end (file: manifests/site.pp, line: 2, column: 2)",
        ),
        (f"{JRUBY}Could not find class ::x for a.b (line: 1) on node a.b", "Could not find class ::x (line: 1)"),
        ('{"kind": "x", "msg": "Server Error: no\\nluck"}', "Server Error: no luck"),
        *(("<html>404</html>", ""), ("", ""), ("{", ""), ('{"a": 1}', "")),
    ],
)
def test_what_puppetserver_says(body: str, told: str) -> None:
    assert compiler.message(body.encode(), "a.b", "/e/test") == told


def changes(*resources: str) -> tuple[Change, ...]:
    after = catalog.of(document({name: {"ensure": "x"} for name in resources}))
    return compare(catalog.of(document({})), after, MASK)


def test_equal_differences_are_told_once_and_odd_ones_first() -> None:
    common = [NodeEffect(f"web{n:03}", "differs", changes("File[/a]", "File[/b]", "Package[p]")) for n in range(117)]
    odd = NodeEffect("db1", "differs", changes("File[/a]", "File[/b]", "Package[p]", "User[odd]"))
    nodes = (*common, odd, NodeEffect("quiet", "same"), NodeEffect("ill", "error after", error="no class x"))
    found = Effect(tuple(sorted(nodes)), {"slow": "time is over", "slower": "time is over"})
    assert [(len(group.nodes), len(group.changes)) for group in found.groups()] == [(1, 1), (118, 3)]
    assert found.summary() == (
        "effect: 1 node no longer compiles, 118 nodes differ, 1 node stays as it is, 2 nodes not checked",
        "  ill: does not compile any more: no class x",
        "  db1: + User[odd]",
        "  118 nodes (db1, web000, web001, …): + File[/a], + File[/b], + Package[p]",
        "  not checked: 2 nodes (time is over)",
    )
    assert found.breaks == (found.of("ill"),)


def test_the_digest_is_of_what_is_done_to_whom() -> None:
    one = NodeEffect("a", "differs", changes("File[/a]", "File[/b]"))
    moved = one._replace(changes=tuple(change._replace(file="elsewhere.pp", line=9) for change in one.changes))
    whole = Effect((one, NodeEffect("b", "same")), {})
    assert len(whole.digest) == 64
    same = (Effect((moved, NodeEffect("b", "same", skipped=True)), {}), Effect((NodeEffect("b", "same"), one), {}))
    assert {other.digest for other in same} == {whole.digest}
    others = (
        Effect((one,), {}),
        Effect((one, NodeEffect("b", "error after", error="x")), {}),
        Effect((one._replace(changes=changes("File[/a]")), NodeEffect("b", "same")), {}),
        Effect((one._replace(certname="c"), NodeEffect("b", "same")), {}),
        Effect((one,), {"b": "time is over"}),
    )
    assert len({other.digest for other in others} | {whole.digest}) == 1 + len(others)


def test_nothing_is_told_of_no_nodes() -> None:
    assert Effect((), {}).summary() == ("effect: no node uses it",)
