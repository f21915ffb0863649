"""Private keys in a file, told by their public halves. Pure.

Every kind that `cryptography` reads: PKCS #1, PKCS #8, SEC 1, DSA's and OpenSSH's own form, PKCS #12. A private key
itself is never kept: what is given back is the digest of its public half, which certificates name as well.

Of a key under a passphrase the public half is known where it stands beside it (OpenSSH's form). What has a key's
BEGIN and cannot be read is no key here: documentation is full of such.
"""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from git_hooks.secrets.armour import Block, blocks

_OPENSSH = b"openssh-key-v1\0"
_ENCRYPTED_OID = bytes.fromhex("2a864886f70d01050d")
"""PBES2; PKCS #8 with it says nothing without the passphrase (RFC 8018)."""
_PKCS12_OID = bytes.fromhex("2a864886f70d010701")
_LARGEST = 1 << 16
_MOST = 1000
"""Keys of one file."""
_KINDS = (
    (rsa.RSAPrivateKey, "RSA"),
    (rsa.RSAPublicKey, "RSA"),
    (ec.EllipticCurvePrivateKey, "EC"),
    (ec.EllipticCurvePublicKey, "EC"),
    (dsa.DSAPrivateKey, "DSA"),
    (dsa.DSAPublicKey, "DSA"),
    (ed25519.Ed25519PrivateKey, "Ed25519"),
    (ed25519.Ed25519PublicKey, "Ed25519"),
    (ed448.Ed448PrivateKey, "Ed448"),
)


class PrivateKey(NamedTuple):
    """A private key in a file."""

    line: int
    """Where it begins, from 1 on."""
    kind: str
    """Its algorithm; empty: not known."""
    public: str
    """SHA-256 of its public half (DER, SubjectPublicKeyInfo), in hex; empty: not known without its passphrase."""
    encrypted: bool = False


def find(content: bytes) -> list[PrivateKey]:
    """Return the private keys in `content`, each once, at most a thousand."""
    return of(blocks(content))


def of(found_blocks: Iterable[Block]) -> list[PrivateKey]:
    """Return the private keys among `found_blocks`."""
    found: dict[tuple[str, bool, int], PrivateKey] = {}
    for block in found_blocks:
        for key in _keys(block):
            found.setdefault((key.public, key.encrypted, 0 if key.public else key.line), key)
        if len(found) >= _MOST:
            break
    return sorted(found.values(), key=lambda key: (key.line, key.public))


def digest(public: Any) -> str:
    """Return how a public key of `cryptography`'s is told: SHA-256 of its SubjectPublicKeyInfo, in hex."""
    octets = public.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(octets).hexdigest()


def quietly(load: Callable[[], Any]) -> Any:
    """Return what a parser of `cryptography`'s gives for hostile octets; None, whatever it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old kinds of keys, on the standard error of whoever pushes
            return load()
    # A panic of its Rust part is no Exception.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
            raise
        return None


def _keys(block: Block) -> Iterator[PrivateKey]:
    if "CERTIFICATE" in block.label or not block.der or len(block.der) > _LARGEST:
        return
    if block.encrypted:
        yield PrivateKey(block.line, _named(block.label), "", encrypted=True)
    elif block.der.startswith(_OPENSSH):
        yield from _openssh(block)
    elif block.label == "ENCRYPTED PRIVATE KEY" or (not block.label and _ENCRYPTED_OID in block.der[:40]):
        yield PrivateKey(block.line, "", "", encrypted=True)
    elif key := quietly(lambda: _der(block.der)):
        yield PrivateKey(block.line, _kind(key), _half(key))
    elif not block.label and _PKCS12_OID in block.der[:80]:
        yield from _pkcs12(block)


def _der(octets: bytes) -> Any:
    return form.load_der_private_key(octets, None, unsafe_skip_rsa_key_validation=True)


def _openssh(block: Block) -> Iterator[PrivateKey]:
    """Read OpenSSH's form, in which the public half stands in clear (PROTOCOL.key)."""
    cipher, rest = _string(block.der[len(_OPENSSH) :])
    for _ in range(2):  # the name and the options of the function that makes a key of a passphrase
        _, rest = _string(rest)
    blob, _ = _string(rest[4:])
    name, _ = _string(blob)
    public = quietly(lambda: form.load_ssh_public_key(name + b" " + base64.b64encode(blob)))
    if cipher and blob:
        told = (quietly(lambda: digest(public)) or "") if public is not None else ""
        yield PrivateKey(block.line, _kind(public), told, encrypted=cipher != b"none")


def _string(octets: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(octets[:4], "big")
    return octets[4 : 4 + size], octets[4 + size :]


def _pkcs12(block: Block) -> Iterator[PrivateKey]:
    for password in (None, b""):
        found = quietly(partial(pkcs12.load_key_and_certificates, block.der, password))
        if found is not None:
            if (key := found[0]) is not None:
                yield PrivateKey(block.line, _kind(key), _half(key))
            return
    yield PrivateKey(block.line, "", "", encrypted=True)


def _half(key: Any) -> str:
    return quietly(lambda: digest(key.public_key())) or ""


def _kind(key: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(key, kind)), "")


def _named(label: str) -> str:
    word = label.split(" ", maxsplit=1)[0]
    return word if word in ("RSA", "EC", "DSA") else ""
