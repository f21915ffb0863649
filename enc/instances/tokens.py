"""One-time tokens: what an instance shows to be signed, bound to its certname, project and region.

A token is an HMAC-SHA256 over what it is bound to and a nonce, with a key that
only the creators of instances have. LDAP holds the nonce and the token's
SHA-256: enough to check one (the CA needs no secret), and, with the key, to
print the same user data once more; OpenStack asks for it at every boot. Losing
the key costs only that: open tokens go on being good, and cannot be printed again.

Bound means: a token that was made for one host never signs another, because
the policy looks for its digest on that certname's own entry, and because no
other certname, project or region makes the same token.

Not here: when a token ends and who used it (enrolment.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.settings.config import read_secret
from enc.terms.errors import ConfigurationError, ToolkitError
from enc.terms.names import Certname, ProjectName

FORM = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""What a token looks like: 256 bits in base64url."""


class Binding(NamedTuple):
    """What a token is for."""

    certname: Certname
    project: ProjectName
    region: str = ""


def fresh_nonce() -> str:
    """Return a nonce that was never used before."""
    return secrets.token_hex(16)


def token(key: bytes, binding: Binding, nonce: str) -> str:
    """Return the token that belongs to `binding` and `nonce`. Pure."""
    told = "\0".join(("puppetmaster token 1", binding.certname, binding.project, binding.region, nonce))
    return base64.urlsafe_b64encode(hmac.digest(key, told.encode(), "sha256")).decode().rstrip("=")


def digest(shown: str) -> str:
    """Return what LDAP holds of a token. No salt: a token has 256 bits that nobody can guess."""
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()


def read_key(file: Path) -> bytes:
    """Return the key in `file`; make one if there is none. Raise `ConfigurationError`."""
    if not file.exists():
        _make_key(file)
    text = read_secret(file)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigurationError("is not a key for tokens: 64 hex digits (openssl rand -hex 32)", where=str(file))
    return bytes.fromhex(text)


def _make_key(file: Path) -> None:
    """Make the key; of two that do it at once, both use the one that came first."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_file.make(file, secrets.token_hex(32) + "\n", mode=0o600, survives=Strength.POWER_CUT)
    except OSError as error:
        raise ToolkitError(f"the key for tokens cannot be made: {reason(error)}", where=str(file)) from error
