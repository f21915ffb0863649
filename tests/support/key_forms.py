"""Private keys as they stand in files (tests/cases/key_forms.yaml), and certificates for them; made at run time."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "cases/key_forms.yaml").read_text(encoding="utf-8")
)
_PASSPHRASE = b"a passphrase of a test"
_NEW: Mapping[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ec256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ec521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "koblitz": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "dsa": lambda: dsa.generate_private_key(2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
}


@cache
def key(kind: str) -> Any:
    """Return the private key of a kind that this run has."""
    return _NEW[kind]()


def new(kind: str = "ec256") -> Any:
    """Return another private key."""
    return _NEW[kind]()


def pem(of: Any) -> bytes:
    """Return a key as PKCS #8."""
    return bytes(of.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))


def certificate(of: Any, name: str, *, days: int = 365, begins: int = -1) -> bytes:
    """Return a certificate of a key for CN=`name` that ends in so many days; negative: it has ended."""
    now = datetime.datetime.now(datetime.UTC)
    start = now + datetime.timedelta(days=begins if days > 0 else days - 10)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, of.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(of, hashes.SHA256())
    )
    return made.public_bytes(form.Encoding.PEM)


def content(case: Mapping[str, Any]) -> bytes:
    """Return the file of a case."""
    found = _formed(key(case["key"]), case)
    for wrap in case.get("wrap", ()):
        found = _WRAPS[wrap](found)
    return found


def _formed(of: Any, case: Mapping[str, Any]) -> bytes:
    under = case.get("under")
    seal: Any = form.BestAvailableEncryption(_PASSPHRASE) if under else form.NoEncryption()
    der = of.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())
    match case["form"]:
        case "openssh" if under:
            return _sealed_openssh(of)
        case "der":
            return bytes(der)
        case "bare":
            return b"key: " + base64.b64encode(der) + b"\nother: value\n"
        case "pkcs12":
            return pkcs12.serialize_key_and_certificates(b"a", of, None, None, seal)
        case "public":
            return bytes(of.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))
        case "certificate":
            return certificate(of, "a")
        case "words":
            return b"-----BEGIN RSA PRIVATE KEY-----\n... your key ...\n-----END RSA PRIVATE KEY-----\n"
        case "eyaml":
            return b"password: ENC[PKCS7,MIIBeQYJKoZIhvcNAQcDoIIBajCCAWYCAQAxggEhMIIBHQIBADAF" + b"A" * 200 + b"]\n"
        case word:
            names = {"pkcs8": "PKCS8", "own": "TraditionalOpenSSL", "openssh": "OpenSSH"}
            return bytes(of.private_bytes(form.Encoding.PEM, getattr(form.PrivateFormat, names[word]), seal))


def _sealed_openssh(of: Any) -> bytes:
    """Return OpenSSH's form under a passphrase: what names the cipher, and the public half, stand in clear."""

    def text(octets: bytes) -> bytes:
        return len(octets).to_bytes(4, "big") + octets

    public = of.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).split()[1]
    options = text(b"0123456789abcdef") + (24).to_bytes(4, "big")
    head = b"openssh-key-v1\0" + text(b"aes256-ctr") + text(b"bcrypt") + text(options) + (1).to_bytes(4, "big")
    lines = base64.encodebytes(head + text(base64.b64decode(public)) + text(b"\x42" * 160))
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + lines + b"-----END OPENSSH PRIVATE KEY-----\n"


def _each(before: bytes, after: bytes = b"") -> Callable[[bytes], bytes]:
    return lambda text: b"".join(before + line + after + b"\n" for line in text.rstrip(b"\n").split(b"\n"))


def _in_lines(text: bytes) -> bytes:
    letters = base64.b64encode(text)
    return b"key: !!binary |\n" + b"".join(b"  " + letters[at : at + 76] + b"\n" for at in range(0, len(letters), 76))


_WRAPS: Mapping[str, Callable[[bytes], bytes]] = {
    "yaml": lambda text: b"a:\n  key: |\n" + _each(b"    ")(text) + b"  other: 1\n",
    "escaped": lambda text: b'{"key": ' + json.dumps(text.decode()).encode() + b"}",
    "crlf": lambda text: text.replace(b"\n", b"\r\n"),
    "base64": lambda text: b"data:\n" + b"  key: " + base64.b64encode(text) + b"\n  other: 1\n",
    "base64 lines": _in_lines,
    "after one": lambda text: b"\n" + text,
    "after two": lambda text: b"\r\n" + text,
    "patch": _each(b"+"),
    "comment": _each(b"// "),
    "joined": _each(b'    "', b'\\n" +'),
    "array": lambda text: b"[\n" + _each(b'  "', b'",')(text) + b"]\n",
    "one line": lambda text: text.replace(b"\n", b" "),
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "xml": lambda text: b"<key>" + text.replace(b"\n", b"&#10;") + b"</key>",
    "after certificate": lambda text: certificate(key("ec256"), "a") + text,
    "behind octets": lambda text: b"\0\1\2\xff" * 100 + text,
    "stripped": lambda text: text.rstrip(),
    "cut off": lambda text: text[: len(text) // 2],
}
