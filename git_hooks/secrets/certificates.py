"""Certificates in a file: whose they are, until when, and of which key. Pure."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from enc.programs.times import day
from enc.terms.errors import bounded, one_line
from git_hooks.secrets.armour import Block, blocks
from git_hooks.secrets.private_keys import digest, quietly

_LARGEST = 1 << 17
_MOST = 10_000
"""Certificates of one file: a bundle of authorities has 150."""
_NAME = 120


class Certificate(NamedTuple):
    """What a certificate says."""

    public: str
    """SHA-256 of its public key (DER, SubjectPublicKeyInfo), in hex: what its private key is told by, too."""
    name: str
    """CN=…, or its first alternative name, as people know it."""
    begins: float
    """From when on it is valid, seconds since 1970."""
    ends: float

    def told(self, now: float) -> str:
        """Return whose it is and whether it is valid at `now`: `the live key of CN=x, valid until …`."""
        if self.ends < now:
            return f"the key of {self.name}, whose certificate expired on {day(self.ends)}"
        if self.begins > now:
            return f"the key of {self.name}, valid from {day(self.begins)} until {day(self.ends)}"
        return f"the live key of {self.name}, valid until {day(self.ends)}"


def find(content: bytes) -> list[Certificate]:
    """Return the certificates in `content`, each once, in order."""
    return of(blocks(content))


def of(found_blocks: Iterable[Block]) -> list[Certificate]:
    """Return the certificates among `found_blocks`."""
    found: dict[Certificate, None] = {}
    for block in found_blocks:
        if one := _certificate(block):
            found[one] = None
        if len(found) >= _MOST:
            break
    return list(found)


def best(certificates: list[Certificate], now: float) -> Certificate:
    """Return of several with one key the one that matters most at `now`: a live one before one that has ended."""
    return max(certificates, key=lambda one: (one.begins <= now <= one.ends, one.ends, one.name))


def _certificate(block: Block) -> Certificate | None:
    if "PRIVATE KEY" in block.label or not block.der or len(block.der) > _LARGEST:
        return None
    loaded = quietly(lambda: x509.load_der_x509_certificate(block.der))
    if loaded is None and block.label == "TRUSTED CERTIFICATE":  # openssl's: what it is trusted for follows
        loaded = quietly(lambda: x509.load_der_x509_certificate(block.der[: 4 + int.from_bytes(block.der[2:4], "big")]))
    if loaded is None and not block.label:
        pack = quietly(lambda: pkcs12.load_key_and_certificates(block.der, None))
        loaded = pack[1] if pack is not None else None
    found: Certificate | None = quietly(lambda: _read(loaded)) if loaded is not None else None
    return found


def _read(loaded: Any) -> Certificate:
    public = digest(loaded.public_key())
    ends = loaded.not_valid_after_utc.timestamp()
    return Certificate(public, bounded(one_line(_name(loaded)), _NAME), loaded.not_valid_before_utc.timestamp(), ends)


def _name(loaded: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        names = quietly(lambda: loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)) or []
        if names:
            return f"CN={names[-1].value}"
        others = quietly(lambda: loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        if others is not None and (texts := others.get_values_for_type(x509.DNSName)):
            return str(texts[0])
        return str(quietly(lambda: loaded.subject.rfc4514_string()) or f"serial number {loaded.serial_number:x}")
