"""With which ssh key a commit or a tag says that it is signed. Pure.

Source: OpenSSH's PROTOCOL.sshsig, git's gitformat-signature(5). That the
signature is one is for git and ssh-keygen to find out
(repository/verification.py); this is only about whose key to look for.
"""

from __future__ import annotations

import base64
import binascii
import re

from git_hooks.ssh_keys.key_lines import PublicKey

_ARMOURED = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,100}\n){1,400})-----END SSH SIGNATURE-----"
)
_MAGIC = b"SSHSIG"
_HEADER = re.compile(rb"^gpgsig(?:-sha256)? ((?:[^\n]*\n )*[^\n]*)", re.MULTILINE)
_TAGGED = re.compile(rb"^tag ([^\n]*)$", re.MULTILINE)


def of_commit(content: bytes) -> bytes | None:
    """Return the signature that stands in a commit object; None: there is none."""
    match = _HEADER.search(content.partition(b"\n\n")[0])
    return match[1].replace(b"\n ", b"\n") if match else None


def of_tag(content: bytes) -> bytes | None:
    """Return the signature that stands at the end of a tag object; None: there is none."""
    at = content.rfind(b"-----BEGIN ")
    return content[at:] if at >= 0 and (at == 0 or content[at - 1 : at] == b"\n") else None


def tag_name(content: bytes) -> str:
    """Return what a tag object says that it is called."""
    match = _TAGGED.search(content.partition(b"\n\n")[0])
    return match[1].decode("utf-8", "surrogateescape") if match else ""


def key_of(signature: bytes) -> PublicKey | None:
    """Return the key that an ssh signature names; None: it is no ssh signature, or of a kind of key that none uses."""
    match = _ARMOURED.match(signature)
    if match is None:
        return None
    try:
        octets = base64.b64decode(match[1].replace(b"\n", b""), validate=True)
    except binascii.Error:
        return None
    start = len(_MAGIC) + 4  # a number: the version
    size = int.from_bytes(octets[start : start + 4], "big")
    key = octets[start + 4 : start + 4 + size]
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")]
    if not octets.startswith(_MAGIC) or len(key) != size or not kind.isascii():
        return None
    return PublicKey.of(f"{kind.decode('ascii')} {base64.b64encode(key).decode('ascii')}")
