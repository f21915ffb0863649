"""Revocation lists: who signed them, and which is newer. Made with the cryptography package."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from enc.authority.revocations import NotTrusted, check_newer, endings, lists

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Issuer:
    """A CA with a key of its own."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name)
        builder = builder.public_key(self.key.public_key()).serial_number(1)
        builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=365))
        self.pem = builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def crl(self, number: int | None, made: datetime = NOW) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(made).next_update(made + timedelta(days=30))
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


ROOT, MIDDLE, EVIL = Issuer("root"), Issuer("middle"), Issuer("root")
TRUSTED = ROOT.pem + MIDDLE.pem


def test_a_list_that_our_authority_signed() -> None:
    (found,) = lists(ROOT.crl(7), TRUSTED)
    assert (found.issuer, found.number, found.made, found.ends) == ("CN=root", 7, NOW, NOW + timedelta(days=30))
    assert [one.issuer for one in lists(ROOT.crl(7) + MIDDLE.crl(1), TRUSTED)] == ["CN=root", "CN=middle"]


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        EVIL.crl(8),
        ROOT.crl(7) + EVIL.crl(8),
        ROOT.crl(None),
        ROOT.crl(7).replace(b"M", b"N", 1),
        ROOT.crl(7) * 17,
        ROOT.pem,
    ],
)
def test_any_other_list_is_not_believed(pem: bytes) -> None:
    with pytest.raises(NotTrusted):
        lists(pem, TRUSTED)


def test_without_certificates_nothing_is_believed() -> None:
    with pytest.raises(NotTrusted):
        lists(ROOT.crl(7), b"")


@pytest.mark.parametrize(
    "present, new, sound",
    [
        (ROOT.crl(7), ROOT.crl(8), True),
        (ROOT.crl(7), ROOT.crl(7), True),
        (ROOT.crl(7), ROOT.crl(6), False),
        (ROOT.crl(7), ROOT.crl(7, NOW - timedelta(days=1)), False),
        (ROOT.crl(7) + MIDDLE.crl(1), ROOT.crl(8), False),
        (ROOT.crl(7), ROOT.crl(8) + MIDDLE.crl(1), True),
    ],
)
def test_which_is_newer(present: bytes, new: bytes, sound: bool) -> None:
    if sound:
        check_newer(lists(present, TRUSTED), lists(new, TRUSTED))
        return
    with pytest.raises(NotTrusted, match=r"older|lacks"):
        check_newer(lists(present, TRUSTED), lists(new, TRUSTED))


def test_when_certificates_end() -> None:
    assert [(one.name, one.ends) for one in endings(TRUSTED)] == [
        ("root", NOW + timedelta(days=365)),
        ("middle", NOW + timedelta(days=365)),
    ]
