"""Where the embedded directory may be asked to listen."""

from __future__ import annotations

import pytest

from enc.directory.listening import Listening
from enc.terms.errors import UsageError


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("192.0.2.1", "ldaps://192.0.2.1:636"),
        ("0.0.0.0:1636", "ldaps://0.0.0.0:1636"),
        ("::", "ldaps://[::]:636"),
        ("2001:DB8::1", "ldaps://[2001:db8::1]:636"),
        ("[2001:db8::1]:65535", "ldaps://[2001:db8::1]:65535"),
        ("[::1]", "ldaps://[::1]:636"),
    ],
)
def test_an_address_with_or_without_a_port(text: str, uri: str) -> None:
    assert Listening.parse(text).uri == uri


@pytest.mark.parametrize(
    "text",
    [
        *("", ":636", "ldap.example.org", "ldap://192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536"),
        *("192.0.2", "192.0.2.256", "0192.0.2.1", "192.0.2.1 ldap://0.0.0.0", "[::1]:", "::1%lo", "[fe80::1%lo]:636"),
        *("1.2.3.4:٦٣٦", "192.0.2.1:636\n", "[[::1]]:636", "[192.0.2.1]:636", "192.0.2.1/24"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Listening.parse(text)
    assert "\n" not in str(caught.value)
