"""Makes the certificate requests of tests/cases/signing: `python -m tests.support.requests_made [FIRST-LETTERS]`.

Every case is one YAML file: the request (PEM, or base64 of any octets), what LDAP holds, the time, and the code that
the policy answers with. Keys are new each time; nothing else changes. FIRST-LETTERS: only files that begin so. What the library's builder refuses to make is
put together from DER here.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PLACE = Path(__file__).parents[1] / "cases/signing"
NAME = "web-1.red.example.org"
TOKEN = "5Tn3vCq0d1eZk8mXw2rYb7uHj4gLpAo9sVfIxKtQyWE"
OTHER_TOKEN = "A" * 43
HOSTS = "ou=hosts,dc=example,dc=org"
ARC = "1.3.6.1.4.1.34380.1"
PROJECT, REGION, ROLE, INSTANCE_ID = (f"{ARC}.1.{number}" for number in (7, 18, 13, 2))
EXTENSIONS, CHALLENGE = "1.2.840.113549.1.9.14", "1.2.840.113549.1.9.7"
SAN = "2.5.29.17"
NOW = 2000


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


WAITING = f"waiting since 1000 until 5000 token {digest(TOKEN)} nonce 00ff"
OVER = f"waiting since 1000 until 2000 token {digest(TOKEN)}"

EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
OTHER = ec.generate_private_key(ec.SECP256R1())


def spki(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def signed_for(key: Any, *, since: int = 1500, until: int = 5000) -> str:
    return f"signed since {since} until {until} token {digest(TOKEN)} key {hashlib.sha256(spki(key)).hexdigest()}"


# DER


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for number in (40 * first + second, *rest):
        group = [number & 0x7F]
        while number := number >> 7:
            group.append(0x80 | number & 0x7F)
        octets += bytes(reversed(group))
    return tlv(6, bytes(octets))


def utf8(text: str) -> bytes:
    return tlv(12, text.encode())


def relative(attribute: str, text: str) -> bytes:
    return tlv(0x31, tlv(0x30, oid(attribute), utf8(text)))


CN, ORGANISATION = "2.5.4.3", "2.5.4.10"


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    return tlv(0x30, oid(dotted), tlv(1, b"\xff") if critical else b"", tlv(4, value))


def attribute(dotted: str, *values: bytes) -> bytes:
    return tlv(0x30, oid(dotted), tlv(0x31, *sorted(values)))


def request(
    *,
    name: str = NAME,
    key: Any = EC,
    token: str | None = TOKEN,
    extensions: Mapping[str, str] | None = None,
    raw_extensions: Sequence[bytes] = (),
    attributes: Sequence[bytes] = (),
    subject: bytes | None = None,
    claimed: Any = None,
    algorithm: Any = None,
    version: int = 0,
) -> bytes:
    """Return a request (DER). `claimed`: a key that stands in it instead of the one that signs."""
    wanted = {PROJECT: "red"} if extensions is None else extensions
    all_extensions = [extension(dotted, utf8(text)) for dotted, text in wanted.items()] + list(raw_extensions)
    held = [attribute(CHALLENGE, utf8(token))] if token is not None else []
    held += [attribute(EXTENSIONS, tlv(0x30, *all_extensions))] if all_extensions else []
    body = tlv(
        0x30,
        tlv(2, bytes((version,))),
        tlv(0x30, relative(CN, name)) if subject is None else subject,
        spki(claimed or key),
        tlv(0xA0, *sorted((*held, *attributes))),
    )
    return _signed(body, key, algorithm or hashes.SHA256())


_WITH = {
    ("rsa", "sha256"): "1.2.840.113549.1.1.11",
    ("rsa", "sha1"): "1.2.840.113549.1.1.5",
    ("rsa", "md5"): "1.2.840.113549.1.1.4",
    ("rsa", "sha512"): "1.2.840.113549.1.1.13",
    ("ec", "sha256"): "1.2.840.10045.4.3.2",
    ("ec", "sha384"): "1.2.840.10045.4.3.3",
    ("ec", "sha1"): "1.2.840.10045.4.1",
    ("dsa", "sha256"): "2.16.840.1.101.3.4.3.2",
    ("ed25519", "sha256"): "1.3.101.112",
    ("ed448", "sha256"): "1.3.101.113",
}


def _signed(body: bytes, key: Any, algorithm: Any) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        kind, signature = "rsa", key.sign(body, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        kind, signature = "ec", key.sign(body, ec.ECDSA(algorithm))
    elif isinstance(key, dsa.DSAPrivateKey):
        kind, signature = "dsa", key.sign(body, algorithm)
    else:
        kind, signature = ("ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "ed448"), key.sign(body)
    null = tlv(5) if kind == "rsa" else b""
    return tlv(0x30, body, tlv(0x30, oid(_WITH[kind, algorithm.name]), null), tlv(3, b"\0", signature))


def pem(der: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def built(name: str = NAME, **more: Any) -> bytes:
    """Return a request that the library made, as far as it makes such."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    )
    builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, TOKEN.encode())
    puppets = x509.UnrecognizedExtension(x509.ObjectIdentifier(PROJECT), utf8("red"))
    builder = builder.add_extension(puppets, critical=False)
    for value in more.get("add", ()):
        builder = builder.add_extension(value, critical=False)
    made = builder.sign(more.get("key", EC), more.get("algorithm", hashes.SHA256()))
    return bytes(made.public_bytes(Encoding.PEM))


@dataclass
class Case:
    """One file."""

    file: str
    about: str
    octets: bytes
    code: str
    certname: str = NAME
    enrolment: str | None = WAITING
    entry: Mapping[str, Sequence[str]] = field(default_factory=dict)
    entries: Sequence[Mapping[str, Any]] | None = None
    now: int = NOW
    renew_after: int | None = None
    project: str = "red"
    times: int = 1
    """How often the octets are repeated."""
    authority: str | None = None
    """Whose authority is asked: a project's own master; None: the site's."""
    issued: bool = False
    """Whether that authority has a certificate of the name already."""

    def document(self) -> dict[str, Any]:
        entries = self.entries
        if entries is None:
            held = {"cn": [NAME], "objectClass": ["device", "puppetClient", "puppetmasterClassification"]}
            held |= {name: list(values) for name, values in self.entry.items()}
            if self.enrolment is not None:
                held["puppetmasterEnrolment"] = [self.enrolment]
            entries = [{"dn": f"cn={NAME},ou={self.project},{HOSTS}", "attributes": held}]
        shown: dict[str, Any] = {"about": self.about, "code": self.code, "certname": self.certname, "now": self.now}
        if self.renew_after is not None:
            shown["renew_after"] = self.renew_after
        if self.authority is not None:
            shown |= {"authority": self.authority, "issued": self.issued}
        if self.times != 1:
            shown["times"] = self.times
        text = self.octets.decode("ascii", "replace")
        plain = text.encode() == self.octets and all(char == "\n" or char.isprintable() for char in text)
        body = {"request": text} if plain else {"octets": base64.b64encode(self.octets).decode()}
        return {**shown, "entries": list(entries), **body}


def refused(code: str, **cases: tuple[str, bytes]) -> Iterator[Case]:
    for file, (about, octets) in cases.items():
        yield Case(file, about, octets, code)


def of_good_requests() -> Iterator[Case]:
    good = pem(request())
    yield Case("good_ec", "an elliptic-curve key, as the user data says", good, "signed")
    yield Case("good_rsa", "an RSA key of 2048 bits", pem(request(key=RSA)), "signed")
    yield Case("good_library", "made by the library's builder", built(), "signed")
    yield Case("good_rsa_4096", "RSA 4096", pem(request(key=rsa.generate_private_key(65537, 4096))), "signed")
    for curve in (ec.SECP384R1(), ec.SECP521R1()):
        made = pem(request(key=ec.generate_private_key(curve)))
        yield Case(f"good_{curve.name}", f"the curve {curve.name}", made, "signed")
    yield Case("good_sha512", "signed with SHA-512", pem(request(key=RSA, algorithm=hashes.SHA512())), "signed")
    yield Case("good_sha384", "signed with SHA-384", pem(request(algorithm=hashes.SHA384())), "signed")
    yield Case("good_white_space", "white space around it", b"\n \r\n" + good + b"\n\n \t", "signed")
    yield Case("good_crlf", "lines that end with CR LF", good.replace(b"\n", b"\r\n"), "signed")
    printable = extension(PROJECT, tlv(19, b"red"))
    yield Case(
        "good_printable_string", "PrintableString instead of UTF8String",
        pem(request(extensions={}, raw_extensions=[printable])), "signed",
    )  # fmt: skip
    renews = attribute(f"{ARC}.3.2", utf8("true"))
    yield Case("good_auto_renew", "agents of Puppet 8 say that they renew", pem(request(attributes=[renews])), "signed")
    everything = {PROJECT: "red", REGION: "eu", ROLE: "front", INSTANCE_ID: "i-7"}
    entry = {"puppetmasterRegion": ["eu"], "puppetmasterRole": ["front"], "serialNumber": ["i-7"]}
    yield Case(
        "good_with_everything", "region, role and instance id", pem(request(extensions=everything)), "signed",
        entry=entry,
    )  # fmt: skip
    yield Case(
        "good_in_its_last_second", "one second before the end", good, "signed", now=4999,
    )  # fmt: skip


def of_octets() -> Iterator[Case]:
    good, der = pem(request()), request()
    yield from refused(
        "not-a-request",
        empty=("nothing at all", b""),
        garbage=("no PEM", b"hello\n"),
        nul=("a thousand zero octets", bytes(1000)),
        der_only=("DER without PEM", der),
        two_requests=("two requests, one behind the other", good + pem(request(key=OTHER))),
        text_before=("text before it", b"Certificate Request:\n" + good),
        text_behind=("text behind it", good + b"hello\n"),
        wrong_label=("the label of a certificate", pem(der, "CERTIFICATE")),
        new_label=("an older label", pem(der, "NEW CERTIFICATE REQUEST")),
        labels_differ=("begin and end differ", good.replace(b"END CERTIFICATE REQUEST", b"END CERTIFICATE")),
        pem_header=("a header line in the block", good.replace(b"REQUEST-----\n", b"REQUEST-----\nA: b\n\n", 1)),
        cut_off=("cut off in the middle", pem(der[: len(der) // 2])),
        no_end=("no end line", good.rpartition(b"-----END")[0]),
        more_der=("octets behind the request's end", pem(der + b"\0\0")),
        not_base64=("padding in the middle", good.replace(b"M", b"=", 1)),
        nul_inside=("a zero octet in the block", good[:60] + b"\0" + good[61:]),
        empty_block=("an empty block", b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"),
        version_two=("another version", pem(request(version=1))),
        indefinite=("BER with an indefinite length", pem(b"\x30\x80" + der[4:] + b"\0\0")),
        nested=("sequences in sequences", pem(tlv(0x30, b"\x30\x02" * 500))),
        bad_name=("a name that is no UTF-8", pem(request(subject=tlv(0x30, tlv(0x31, tlv(0x30, oid(CN), tlv(12, b"\xff\xfe"))))))),
        bad_challenge=("a token that is no UTF-8", pem(request(token=None, attributes=[attribute(CHALLENGE, tlv(12, b"\xff"))]))),
        extension_twice=("one extension twice", pem(request(raw_extensions=[extension(PROJECT, utf8("red"))]))),
        two_tokens=("two values of one attribute", pem(request(token=None, attributes=[attribute(CHALLENGE, utf8(TOKEN), utf8(OTHER_TOKEN))]))),
        san_garbage=("alternative names that are none", pem(request(raw_extensions=[extension(SAN, b"\x01")]))),
        long_token=("a token of 2000 octets", pem(request(token="A" * 2000))),
        public_key_garbage=("a public key of nothing", pem(_signed(
            tlv(0x30, tlv(2, b"\0"), tlv(0x30, relative(CN, NAME)), tlv(0x30, tlv(0x30, oid("1.2.3.4")), tlv(3, b"\0\1")), tlv(0xA0)),
            EC, hashes.SHA256()))),
    )  # fmt: skip
    yield Case("one_megabyte", "1 MB of letters", b"A" * 1024, "too-big", times=1024)
    yield Case("long_request", "a good request, and 70 KB of white space", good + b" " * 70, "too-big", times=1000)
    yield Case("many_requests", "the same request a thousand times", good, "too-big", times=1000)


def of_keys() -> Iterator[Case]:
    yield from refused(
        "key",
        rsa_1024=("RSA 1024", pem(request(key=rsa.generate_private_key(65537, 1024)))),
        rsa_2047=("RSA 2047", pem(request(key=rsa.generate_private_key(65537, 2047)))),
        dsa_2048=("DSA", pem(request(key=dsa.generate_private_key(2048)))),
        ec_224=("a curve of 224 bits", pem(request(key=ec.generate_private_key(ec.SECP224R1())))),
        ec_192=("a curve of 192 bits", pem(request(key=ec.generate_private_key(ec.SECP192R1())))),
        ec_koblitz=("the curve of Bitcoin", pem(request(key=ec.generate_private_key(ec.SECP256K1())))),
        ec_brainpool=("a Brainpool curve", pem(request(key=ec.generate_private_key(ec.BrainpoolP256R1())))),
        ed25519=("Ed25519, which agents do not make", pem(request(key=ed25519.Ed25519PrivateKey.generate()))),
        ed448=("Ed448", pem(request(key=ed448.Ed448PrivateKey.generate()))),
    )
    yield Case("rsa_huge", "RSA of 9000 bits, claimed", pem(request(key=RSA, claimed=_Claimed(9000))), "key")
    yield from refused(
        "hash",
        sha1_rsa=("signed with SHA-1", pem(request(key=RSA, algorithm=hashes.SHA1()))),
        sha1_ec=("ECDSA with SHA-1", pem(request(algorithm=hashes.SHA1()))),
        md5=("signed with MD5", pem(request(key=RSA, algorithm=hashes.MD5()))),
    )
    der = request()
    yield from refused(
        "signature",
        forged=("another key signed it", pem(request(key=OTHER, claimed=EC))),
        forged_rsa=("another key of another kind's", pem(request(key=rsa.generate_private_key(65537, 2048), claimed=RSA))),
        changed_name=("the name was changed afterwards", pem(der.replace(NAME.encode(), b"web-2.red.example.org"))),
        changed_project=("the project was changed afterwards", pem(der.replace(utf8("red"), utf8("rex")))),
        changed_token=("the token was changed afterwards", pem(der.replace(TOKEN.encode(), OTHER_TOKEN.encode()))),
    )  # fmt: skip
    yield Case(
        "wrong_algorithm", "an EC key, and a signature that says RSA",
        pem(der.replace(oid(_WITH["ec", "sha256"]) , oid("1.2.840.10045.4.3.3"))), "signature",
    )  # fmt: skip


class _Claimed:
    """A public key that nobody has the other half of."""

    def __init__(self, bits: int) -> None:
        self._numbers = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) | 1)

    def public_key(self) -> rsa.RSAPublicKey:
        return self._numbers.public_key()


def of_subjects() -> Iterator[Case]:
    def subject(*parts: bytes) -> bytes:
        return pem(request(subject=tlv(0x30, *parts)))

    yield from refused(
        "subject",
        no_subject=("no name", subject()),
        two_names=("two CNs", subject(relative(CN, NAME), relative(CN, NAME))),
        two_in_one=("two CNs in one", subject(tlv(0x31, *sorted((tlv(0x30, oid(CN), utf8("a")), tlv(0x30, oid(CN), utf8(NAME))))))),
        organisation=("an organisation beside the CN", subject(relative(ORGANISATION, "Example"), relative(CN, NAME))),
        only_organisation=("no CN", subject(relative(ORGANISATION, NAME))),
        other_name=("another instance's name", pem(request(name="web-2.red.example.org"))),
        capitals_in_subject=("capitals", pem(request(name="Web-1.red.example.org"))),
        newline_in_subject=("a newline at the end", pem(request(name=NAME + "\n"))),
        nul_in_subject=("a zero octet", pem(request(name=NAME + "\0.evil"))),
        space_in_subject=("a space at the end", pem(request(name=NAME + " "))),
        dot_in_subject=("a dot at the end", pem(request(name=NAME + "."))),
        star_in_subject=("a star", pem(request(name="*.example.org"))),
        empty_subject=("an empty CN", pem(request(name=""))),
        the_servers_name=("the puppetserver's name", pem(request(name="puppet.example.org"))),
    )  # fmt: skip
    good = pem(request())
    for file, about, name in (
        ("capitals", "capitals in the argument", NAME.upper()),
        ("trailing_newline", "a newline at the argument's end", NAME + "\n"),
        ("no_name", "an empty argument", ""),
        ("path_name", "a path as the argument", "../../etc/passwd"),
        ("option_name", "an option as the argument", "--config=/tmp/x"),
        ("star_name", "a star as the argument", "*"),
        ("filter_name", "an LDAP filter as the argument", "a)(cn=*"),
        ("unicode_name", "letters that are not ASCII", "wéb-1.red.example.org"),
        ("long_name", "300 letters", "a" * 300),
    ):
        yield Case(f"certname_{file}", about, good, "certname", certname=name)


def of_contents() -> Iterator[Case]:
    def san(*names: x509.GeneralName) -> bytes:
        return built(add=[x509.SubjectAlternativeName(names)])

    yield from refused(
        "san",
        san_other=("the puppetserver's name", san(x509.DNSName("puppet"))),
        san_own=("its own name", san(x509.DNSName(NAME))),
        san_address=("an address", pem(request(raw_extensions=[extension(SAN, tlv(0x30, tlv(0x87, b"\x0a\0\0\1")))]))),
        san_empty=("an empty list", pem(request(raw_extensions=[extension(SAN, tlv(0x30))]))),
    )
    for file, dotted in (("cli", f"{ARC}.3.39"), ("role", f"{ARC}.3.13"), ("first", f"{ARC}.3.1"), ("arc", f"{ARC}.3")):
        made = pem(request(raw_extensions=[extension(dotted, utf8("true"))]))
        yield Case(f"authorization_{file}", f"the extension {dotted}", made, "authorization")
    yield from refused(
        "extension",
        environment=("pp_environment", pem(request(raw_extensions=[extension(f"{ARC}.1.12", utf8("x"))]))),
        preshared_key=("pp_preshared_key", pem(request(raw_extensions=[extension(f"{ARC}.1.4", utf8("x"))]))),
        private_arc=("a private extension", pem(request(raw_extensions=[extension(f"{ARC}.2.1", utf8("x"))]))),
        not_authorization=("an arc that only begins alike", pem(request(raw_extensions=[extension(f"{ARC}.31.1", utf8("x"))]))),
        ca=("it wants to be a CA", built(add=[x509.BasicConstraints(ca=True, path_length=None)])),
        no_ca=("basic constraints at all", built(add=[x509.BasicConstraints(ca=False, path_length=None)])),
        key_usage=("extended key usage", built(add=[x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])])),
        critical=("pp_project marked as critical", pem(request(extensions={}, raw_extensions=[extension(PROJECT, utf8("red"), critical=True)]))),
        no_string=("pp_project without its type", pem(request(extensions={}, raw_extensions=[extension(PROJECT, b"red")]))),
        number=("pp_project as a number", pem(request(extensions={}, raw_extensions=[extension(PROJECT, tlv(2, b"\1"))]))),
        string_and_more=("octets behind pp_project", pem(request(extensions={}, raw_extensions=[extension(PROJECT, utf8("red") + b"!")]))),
        short_string=("pp_project cut off", pem(request(extensions={}, raw_extensions=[extension(PROJECT, b"\x0c\x09red")]))),
        long_length=("a length that is not DER", pem(request(extensions={}, raw_extensions=[extension(PROJECT, b"\x0c\x81\x03red")]))),
        no_value=("pp_project empty of octets", pem(request(extensions={}, raw_extensions=[extension(PROJECT, b"")]))),
    )  # fmt: skip
    yield from refused(
        "attribute",
        unstructured_name=("an attribute that we do not know", pem(request(attributes=[attribute("1.2.840.113549.1.9.2", utf8("x"))]))),
        microsoft=("Microsoft's way to ask for extensions", pem(request(attributes=[attribute("1.3.6.1.4.1.311.2.1.14", tlv(0x30, extension(SAN, tlv(0x30))))]))),
        token_twice=("the token's attribute twice", pem(request(attributes=[attribute(CHALLENGE, utf8(TOKEN))]))),
        extensions_twice=("the extensions' attribute twice", pem(request(attributes=[attribute(EXTENSIONS, tlv(0x30, extension(SAN, tlv(0x30))))]))),
        auto_renew_other=("pp_auth_auto_renew with another text", pem(request(attributes=[attribute(f"{ARC}.3.2", utf8("yes"))]))),
    )  # fmt: skip


def of_instances() -> Iterator[Case]:
    good = pem(request())
    yield Case("unknown", "no such entry", good, "unknown", entries=())
    place = f"cn={NAME},ou=red,{HOSTS}"
    one = {"dn": place, "attributes": {"cn": [NAME], "puppetmasterEnrolment": [WAITING]}}
    two = {"dn": f"cn={NAME},ou=blue,{HOSTS}", "attributes": {"cn": [NAME]}}
    yield Case("several", "two entries of one name", good, "several", entries=(one, two))
    second = {"dn": f"cn=web-9.red.example.org,ou=red,{HOSTS}", "attributes": one["attributes"]}
    yield Case("second_name", "an entry that has the name only beside its own", good, "bad-entry", entries=(second,))
    yield Case("plain_node", "a node that was not made as an instance", good, "not-an-instance", enrolment=None)
    yield Case("closed", "creation is not finished", good, "closed", enrolment="closed since 1000")
    yield Case("bad_entry", "an enrolment that cannot be read", good, "bad-entry", enrolment="open for all")
    yield Case("bad_project", "a container that is no project", good, "bad-entry", project="Not A Project")
    nowhere = {"dn": f"cn={NAME},{HOSTS}", "attributes": one["attributes"]}
    yield Case("no_project_in_ldap", "a node outside all projects", good, "bad-entry", entries=(nowhere,))
    yield Case("no_token", "no challengePassword", pem(request(token=None)), "no-token")
    yield Case("empty_token", "an empty one", pem(request(token="")), "no-token")
    yield Case("wrong_token", "a token that nobody gave", pem(request(token=OTHER_TOKEN)), "wrong-token")
    yield Case(
        "token_digest", "the digest that stands in LDAP as the token", pem(request(token=digest(TOKEN))), "wrong-token"
    )
    yield Case("token_with_newline", "the token and a newline", pem(request(token=TOKEN + "\n")), "wrong-token")
    yield Case("old_token", "the token of before the rebuild", good, "wrong-token",
               enrolment=WAITING.replace(digest(TOKEN), digest(OTHER_TOKEN)))  # fmt: skip
    yield Case("expired", "in the first second after its end", good, "expired", now=5000)
    yield Case("expired_long_ago", "long after its end", good, "expired", now=500_000)
    yield Case("expired_at_once", "a token that ends now", good, "expired", enrolment=OVER)
    yield Case("used", "another key was first", good, "used", enrolment=signed_for(OTHER))
    yield Case("used_and_over", "the same, after the token's end", good, "used", enrolment=signed_for(OTHER), now=9000)
    yield Case("signed_other_token", "signed, a new key and no right token", pem(request(token=OTHER_TOKEN)),
               "wrong-token", enrolment=signed_for(OTHER))  # fmt: skip
    yield Case("again", "the same key, in time", good, "used", enrolment=signed_for(EC))
    yield Case("again_without_token", "the same key without the token", pem(request(token=None)), "no-token",
               enrolment=signed_for(EC))  # fmt: skip
    yield Case("again_wrong_token", "the same key with another token", pem(request(token=OTHER_TOKEN)), "wrong-token",
               enrolment=signed_for(EC))  # fmt: skip
    yield Case("again_too_late", "the same key, after the token's end", good, "too-early",
               enrolment=signed_for(EC), now=5000)  # fmt: skip
    yield Case("renewal_early", "before its time", good, "too-early", enrolment=signed_for(EC), now=6499,
               renew_after=5000)  # fmt: skip
    yield Case("renewal", "when its time has come", pem(request(token=None)), "renewed", enrolment=signed_for(EC),
               now=6500, renew_after=5000)  # fmt: skip
    yield Case("renewal_other_key", "with another key", pem(request(key=OTHER)), "used", enrolment=signed_for(EC),
               now=6500, renew_after=5000)  # fmt: skip
    yield Case("renewal_other_project", "for another project", pem(request(extensions={PROJECT: "blue"})),
               "wrong-project", enrolment=signed_for(EC), now=6500, renew_after=5000)  # fmt: skip
    yield Case("renewal_closed", "after the instance was closed", good, "closed", enrolment="closed since 6400",
               now=6500, renew_after=5000)  # fmt: skip


def of_the_site() -> Iterator[Case]:
    """Names that no instance may have, although a project's admin made a node of that name, waiting."""
    for file, certname in (("reserved", "puppet"), ("reserved_with_dot", "puppet."), ("reserved_ca", "ca")):
        held = {"cn": [certname], "objectClass": ["device", "puppetClient"], "puppetmasterEnrolment": [WAITING]}
        yield Case(file, "a name of the site's own", pem(request(name=certname)), "reserved", certname=certname,
                   entries=[{"dn": f"cn={certname},ou=red,{HOSTS}", "attributes": held}])  # fmt: skip


def of_bindings() -> Iterator[Case]:
    def wants(**extensions: str) -> bytes:
        oids = {"project": PROJECT, "region": REGION, "role": ROLE, "instance": INSTANCE_ID}
        return pem(request(extensions={oids[name]: text for name, text in extensions.items()}))

    eu = {"puppetmasterRegion": ["eu"]}
    yield Case("no_project", "no pp_project", wants(), "no-project")
    yield Case("wrong_project", "another project", wants(project="blue"), "wrong-project")
    yield Case("project_capitals", "capitals", wants(project="Red"), "wrong-project")
    yield Case("project_newline", "a newline behind the project", wants(project="red\n"), "wrong-project")
    yield Case("project_empty", "an empty project", wants(project=""), "wrong-project")
    yield Case("wrong_region", "another region", wants(project="red", region="us"), "wrong-region", entry=eu)
    yield Case("no_region", "no region, and the instance has one", wants(project="red"), "wrong-region", entry=eu)
    yield Case(
        "region_of_none", "a region, and the instance has none", wants(project="red", region="eu"), "wrong-region"
    )
    yield Case("wrong_role", "another role", wants(project="red", role="x"), "wrong-role",
               entry={"puppetmasterRole": ["front"]})  # fmt: skip
    yield Case("role_of_none", "a role, and the instance has none", wants(project="red", role="x"), "wrong-role")
    yield Case("wrong_instance_id", "another id", wants(project="red", instance="i-8"), "wrong-instance-id",
               entry={"serialNumber": ["i-7"]})  # fmt: skip
    yield Case("instance_id_of_none", "an id, and LDAP has none", wants(project="red", instance="i-7"),
               "wrong-instance-id")  # fmt: skip
    path = "../projects/blue"
    for word, oid in (("role", "puppetmasterRole"), ("region", "puppetmasterRegion"), ("instance", "serialNumber")):
        yield Case(f"path_as_{word}", f"a path as the {word}, in LDAP and in the request",
                   wants(project="red", **{word: path}), "bad-entry", entry={oid: [path]})  # fmt: skip
    yield Case("role_left_out", "the instance has a role, the request does not say it", wants(project="red"), "signed",
               entry={"puppetmasterRole": ["front"]})  # fmt: skip


def of_a_projects_authority() -> Iterator[Case]:
    """What a project's own master is asked: the site's authority has signed, or not, and nothing is used up."""

    def asked(file: str, about: str, code: str, octets: bytes | None = None, **more: Any) -> Case:
        given = {"enrolment": signed_for(EC), "authority": "red", "now": 90_000, **more}
        return Case(f"own_master_{file}", about, octets or pem(request(token=None)), code, **given)

    yield asked("good", "the key that the site's authority has signed", "known-key")
    yield asked("good_rsa", "an RSA key", "known-key", pem(request(key=RSA, token=None)), enrolment=signed_for(RSA))
    yield asked("good_in_time", "while the token would still be in time", "known-key", now=NOW)
    yield asked("token", "a token does not matter", "known-key", pem(request()))
    yield asked("renewal", "when a renewal would be due, this is none", "known-key", renew_after=5000)
    eu = {"puppetmasterRegion": ["eu"], "puppetmasterRole": ["front"], "serialNumber": ["i-7"]}
    everything = {PROJECT: "red", REGION: "eu", ROLE: "front", INSTANCE_ID: "i-7"}
    yield asked("good_with_everything", "region, role and instance id", "known-key",
                pem(request(token=None, extensions=everything)), entry=eu)  # fmt: skip
    yield asked("other_key", "another key than the site's authority has signed", "other-key",
                pem(request(key=OTHER, token=None)))  # fmt: skip
    yield asked("other_key_token", "another key, with the right token", "other-key", pem(request(key=OTHER)), now=NOW)
    yield asked("forged", "the right key is claimed, another one signed", "signature",
                pem(request(key=OTHER, claimed=EC, token=None)))  # fmt: skip
    yield asked("rebuilt", "after a rebuild the site's authority has signed another key", "other-key",
                enrolment=signed_for(OTHER))  # fmt: skip
    yield asked("waiting", "a right token, but the site's authority has not signed", "not-signed", pem(request()),
                enrolment=WAITING, now=NOW)  # fmt: skip
    yield asked("closed", "a rebuild is under way", "closed", enrolment="closed since 1000")
    yield asked("unknown", "a deleted instance", "unknown", entries=())
    yield asked("plain_node", "a node that is no instance", "not-an-instance", enrolment=None)
    yield asked("bad_entry", "an enrolment that cannot be read", "bad-entry", enrolment="signed by me")
    yield asked("reserved", "a name of the site's own", "reserved", pem(request(name="puppet", token=None)),
                certname="puppet", entries=[{"dn": f"cn=puppet,ou=red,{HOSTS}", "attributes": {
                    "cn": ["puppet"], "puppetmasterEnrolment": [signed_for(EC)]}}])  # fmt: skip
    yield asked("other_project", "an instance of another project", "other-project",
                pem(request(token=None, extensions={PROJECT: "blue"})), project="blue")  # fmt: skip
    yield asked("wrong_project", "says this project, and is of another", "wrong-project", project="blue")
    yield asked("lies", "is of this project, and says another", "wrong-project",
                pem(request(token=None, extensions={PROJECT: "blue"})))  # fmt: skip
    yield asked("no_project", "no pp_project", "no-project", pem(request(token=None, extensions={})))
    yield asked("no_region", "no region, and the instance has one", "wrong-region", entry=eu)
    yield asked("other_name", "a request for another name", "subject", pem(request(name="web-2.red.example.org")))
    yield asked("san", "alternative names", "san", built(add=[x509.SubjectAlternativeName([x509.DNSName(NAME)])]))
    yield asked("authorization", "an authorization extension", "authorization",
                pem(request(token=None, raw_extensions=[extension(f"{ARC}.3.1", utf8("true"))])))  # fmt: skip
    yield asked("again", "a certificate of the name is there", "has-certificate", issued=True)
    yield asked("again_other_key", "a certificate is there, and another key asks", "other-key",
                pem(request(key=OTHER, token=None)), issued=True)  # fmt: skip


def cases() -> Iterator[Case]:
    """Yield all cases."""
    for some in (
        of_good_requests,
        of_octets,
        of_keys,
        of_subjects,
        of_contents,
        of_instances,
        of_the_site,
        of_bindings,
    ):
        yield from some()
    yield from of_a_projects_authority()


def main(first_letters: str = "") -> None:
    """Write the cases anew whose names begin so."""
    for old in PLACE.glob(f"{first_letters}*.yaml"):
        old.unlink()
    PLACE.mkdir(parents=True, exist_ok=True)
    for case in cases():
        if not case.file.startswith(first_letters):
            continue
        file = PLACE / f"{case.file}.yaml"
        assert not file.exists(), case.file
        file.write_text(yaml.safe_dump(case.document(), sort_keys=False, width=1000, default_style=None))


if __name__ == "__main__":
    main(*sys.argv[1:])
