"""Reads a certificate signing request: hostile octets in, a frozen `Request` or a `BadRequest` with a code out. Pure.

Everything that is not exactly what an agent sends is refused: puppetserver
reads the same octets with another library, and what one of the two overlooks
must not be in there. So: one PEM block of the strictest form, DER without
anything behind it, each attribute and extension at most once, and only those
that are known here. The request's own signature is verified.

Whatever the library raises is a refusal (`not-a-request`), never a crash. The
codes are explained in policy.py. Whether the instance may have a certificate
is not known here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Mapping
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, ExtensionOID, NameOID

from enc.terms.errors import ToolkitError

LARGEST = 65_536
"""Octets of a request. One with an 8192-bit key takes 4,000."""

_PEM = re.compile(
    rb"[ \t\r\n]*-----BEGIN CERTIFICATE REQUEST-----\r?\n((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)"
    rb"-----END CERTIFICATE REQUEST-----[ \t\r\n]*"
)
_ARC = "1.3.6.1.4.1.34380.1."
PROJECT, REGION, ROLE, INSTANCE_ID = "pp_project", "pp_region", "pp_role", "pp_instance_id"
KNOWN_EXTENSIONS: Mapping[str, str] = {
    f"{_ARC}1.2": INSTANCE_ID,
    f"{_ARC}1.7": PROJECT,
    f"{_ARC}1.13": ROLE,
    f"{_ARC}1.18": REGION,
}
"""Puppet's registered extensions (puppet/ssl/oids.rb) that the policy compares with LDAP; others are refused."""
_AUTHORIZATION = f"{_ARC}3"
_AUTO_RENEW = x509.ObjectIdentifier(f"{_ARC}3.2")
"""An attribute by which agents say that they renew their certificate themselves; it grants nothing."""
_RSA_BITS = range(2048, 8193)
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_STRINGS = {12: "utf-8", 19: "ascii", 22: "ascii"}
"""ASN.1's UTF8String, PrintableString and IA5String."""
_LONGEST_TEXT = 1000


class BadRequest(ToolkitError):
    """A request that nobody needs to ask LDAP about."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Request(NamedTuple):
    """What a request asks for. Its signature is right, its key strong, and nothing else is in it."""

    name: str
    """The subject's only name (CN), as it stands there."""
    key: str
    """SHA-256 of the public key (DER, SubjectPublicKeyInfo), in hex."""
    challenge: str | None = None
    """The challengePassword: a token, if all is well."""
    extensions: Mapping[str, str] = {}
    """Puppet's name of an extension → its text; only those of KNOWN_EXTENSIONS."""


def read(octets: bytes) -> Request:
    """Return the request in PEM `octets`; raise `BadRequest`."""
    if len(octets) > LARGEST:
        raise BadRequest("too-big", f"the request is longer than {LARGEST} octets")
    block = _PEM.fullmatch(octets)
    if block is None:
        raise BadRequest("not-a-request", "it is not exactly one PEM block CERTIFICATE REQUEST")
    try:
        der = base64.b64decode(re.sub(rb"\s", b"", block[1]), validate=True)
        return _read(x509.load_der_x509_csr(der))
    except BadRequest:
        raise
    except binascii.Error as error:
        raise BadRequest("not-a-request", f"the PEM block is not base64: {error}") from error
    # The library's parser is fed by strangers: whatever it says, the answer is no. A panic of its Rust part is no
    # Exception, and comes with the type's name only.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        raise BadRequest("not-a-request", f"it cannot be read: {type(error).__name__}: {error}") from error


def _read(found: x509.CertificateSigningRequest) -> Request:
    key = _key(found)
    _signature(found)
    return Request(_subject(found), key, _attributes(found), _extensions(found))


def _key(found: x509.CertificateSigningRequest) -> str:
    key = found.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            bits = f"{_RSA_BITS[0]} to {_RSA_BITS[-1]}"
            raise BadRequest("key", f"an RSA key of {key.key_size} bits; accepted: {bits}")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise BadRequest("key", f"a key on the curve {key.curve.name}; accepted: {', '.join(sorted(_CURVES))}")
    else:
        raise BadRequest("key", "neither an RSA nor an elliptic-curve key")
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _signature(found: x509.CertificateSigningRequest) -> None:
    used = found.signature_hash_algorithm
    if not isinstance(used, hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | hashes.SHA224):
        raise BadRequest("hash", f"the request is signed with {used.name if used else 'no hash'}; use SHA-256")
    if not found.is_signature_valid:
        raise BadRequest("signature", "the request's signature does not match its key: somebody changed or forged it")


def _subject(found: x509.CertificateSigningRequest) -> str:
    with warnings.catch_warnings():
        # An odd length is refused or not found in LDAP; cryptography's word of it would only fill puppetserver's log.
        warnings.simplefilter("ignore", UserWarning)
        names = list(found.subject)
    if len(names) != 1 or names[0].oid != NameOID.COMMON_NAME or not isinstance(names[0].value, str):
        raise BadRequest("subject", "the subject is not exactly one CN")
    return names[0].value


def _attributes(found: x509.CertificateSigningRequest) -> str | None:
    """Return the challengePassword, and refuse attributes that are not known or stand twice."""
    challenge, seen = None, set()
    for attribute in found.attributes:
        if attribute.oid in seen:
            raise BadRequest("attribute", f"the attribute {attribute.oid.dotted_string} appears twice")
        seen.add(attribute.oid)
        if attribute.oid == AttributeOID.CHALLENGE_PASSWORD:
            challenge = _decoded(attribute.value, "utf-8")
        elif attribute.oid == _AUTO_RENEW:
            if attribute.value not in (b"true", b"false"):
                raise BadRequest("attribute", "pp_auth_auto_renew is neither true nor false")
        elif attribute.oid.dotted_string != "1.2.840.113549.1.9.14":  # the extensions
            raise BadRequest("attribute", f"the attribute {attribute.oid.dotted_string} is unknown")
    return challenge


def _extensions(found: x509.CertificateSigningRequest) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for extension in found.extensions:
        oid = extension.oid.dotted_string
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            raise BadRequest("san", "it asks for alternative names, and an instance has one name")
        if oid == _AUTHORIZATION or oid.startswith(f"{_AUTHORIZATION}."):
            raise BadRequest("authorization", f"it asks for the authorization extension {oid}")
        name = KNOWN_EXTENSIONS.get(oid)
        if name is None:
            raise BadRequest("extension", f"it asks for the extension {oid}, which instances do not get")
        if extension.critical or not isinstance(extension.value, x509.UnrecognizedExtension):
            raise BadRequest("extension", f"{name} is marked as critical")
        values[name] = _string(name, extension.value.value)
    return values


def _string(name: str, octets: bytes) -> str:
    """Return the text of one DER string that fills `octets`."""
    if len(octets) < 2 or octets[0] not in _STRINGS:
        raise BadRequest("extension", f"{name} is not a text")
    start, length = 2, octets[1]
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[2:start], "big")
        if start > 4 or length < 0x80 or octets[2:3] == b"\0":
            raise BadRequest("extension", f"{name} is not DER")
    if len(octets) != start + length:
        raise BadRequest("extension", f"{name} is not one text")
    return _decoded(octets[start:], _STRINGS[octets[0]])


def _decoded(octets: bytes, encoding: str) -> str:
    if len(octets) > _LONGEST_TEXT:
        raise BadRequest("not-a-request", f"a value is longer than {_LONGEST_TEXT} octets")
    return octets.decode(encoding)
