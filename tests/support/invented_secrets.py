"""Secrets that are made when a test runs, so that none stands in this repository: each call gives another."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import string
import textwrap
import uuid
from collections.abc import Callable

_CRYPT = "./" + string.digits + string.ascii_letters
_PLAIN = string.ascii_letters + string.digits


def some(alphabet: str, length: int) -> str:
    """Return a random text."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def password() -> str:
    """Return a password that nobody would take for a word: letters of both sizes with a digit between them."""
    chance = secrets.SystemRandom()
    letters, digits = chance.sample(string.ascii_letters, 7), chance.sample(string.digits, 3)
    mixed = some(string.ascii_uppercase, 1) + digits[0] + some(string.ascii_lowercase, 1)
    return "".join((mixed, *letters, *digits[1:]))


def pem(kind: str) -> str:
    """Return a block of this kind, with random content."""
    body = "\n".join(textwrap.wrap(base64.b64encode(secrets.token_bytes(330)).decode(), 64)[:7])
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


def _putty() -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(secrets.token_bytes(96)).decode(), 64))
    public = base64.b64encode(secrets.token_bytes(40)).decode()
    head = f"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 1\n{public}\n"
    return f"{head}Private-Lines: 2\n{body}\nPrivate-MAC: {secrets.token_hex(32)}"


MADE: dict[str, Callable[[], str]] = {
    "password": password,
    "weak": lambda: "hunter" + some("23456789", 1),
    "bare": lambda: some(string.ascii_lowercase, 9),
    "token": lambda: some(_PLAIN, 30) + some(string.digits, 2),
    "uuid": lambda: str(uuid.uuid4()),
    "base64": lambda: base64.b64encode(secrets.token_bytes(48)).decode(),
    "basic": lambda: base64.b64encode(f"admin:{password()}".encode()).decode(),
    "sha512": lambda: f"$6${some(_CRYPT, 12)}${some(_CRYPT, 86)}",
    "sha256": lambda: f"$5$rounds=5000${some(_CRYPT, 12)}${some(_CRYPT, 43)}",
    "md5crypt": lambda: f"$1${some(_CRYPT, 8)}${some(_CRYPT, 22)}",
    "apr1": lambda: f"$apr1${some(_CRYPT, 8)}${some(_CRYPT, 22)}",
    "bcrypt": lambda: f"$2y$12${some(_CRYPT, 53)}",
    "yescrypt": lambda: f"$y$j9T${some(_CRYPT, 22)}${some(_CRYPT, 43)}",
    "ssha": lambda: "{SSHA}" + base64.b64encode(secrets.token_bytes(28)).decode(),
    "mysql": lambda: "*" + secrets.token_hex(20).upper(),
    "sha1": lambda: hashlib.sha1(secrets.token_bytes(8)).hexdigest(),
    "sha256sum": lambda: hashlib.sha256(secrets.token_bytes(8)).hexdigest(),
    "md5": lambda: hashlib.md5(secrets.token_bytes(8)).hexdigest(),
    "putty": _putty,
    "github": lambda: "ghp" + "_" + some(_PLAIN, 36),
    "slack": lambda: "xox" + f"b-{some(string.digits, 12)}-{some(string.digits, 12)}-{some(_PLAIN, 24)}",
    "aws": lambda: "AKI" + "A" + some("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
}
_WRITTEN: dict[str, Callable[[str], str]] = {
    "": lambda text: text,
    "indent": lambda text: text.replace("\n", "\n  "),
    "escaped": lambda text: text.replace("\n", "\\n"),
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "base64": lambda text: base64.b64encode(f"{text}\n".encode()).decode(),
}


def filled(text: str) -> tuple[str, list[str]]:
    """Return `text` with each `<<name>>` and `<<pem KIND|how>>` made, and what was made for them."""
    made: list[str] = []

    def one(found: re.Match[str]) -> str:
        what, _, how = found[1].partition("|")
        made.append(pem(what[4:]) if what.startswith("pem ") else MADE[what]())
        return _WRITTEN[how](made[-1])

    return re.sub(r"<<(.+?)>>", one, text), made
