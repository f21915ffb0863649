"""From the settings to what every instance is told: reads the CA's certificates, the repository's key, our script.

Whoever has these certificates decides whom all instances trust, so they are
looked at here: nothing but certificates, and with the fingerprints that the
configuration pins.

Failure modes: `ConfigurationError` with the setting or the file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path

from enc.errors import ConfigurationError
from enc.instances.user_data import AgentProfile, Repository
from enc.settings import AgentSettings

_PEM = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]+)-----\n(?P<body>[A-Za-z0-9+/=\n]+)-----END (?P=kind)-----\n?", re.ASCII
)
_PACKAGES = {"distribution": (), "puppet": ("puppet-agent",), "openvox": ("openvox-agent",)}


def load(settings: AgentSettings) -> AgentProfile:
    """Return the profile that `settings` describe; raise `ConfigurationError`."""
    if settings.server is None:
        raise ConfigurationError(
            "is not set, so a new instance would not know its master", where="instances.agent.server"
        )
    return AgentProfile(
        server=settings.server,
        port=settings.port,
        ca_server=settings.ca_server,
        authority=authority(
            _read(settings.ca_file, "instances.agent.ca_file"), settings.ca_fingerprints, settings.ca_file
        ),
        packages=settings.packages or _PACKAGES[settings.packaging],
        repository=_repository(settings),
        service=settings.service,
        script=lean("first-run.sh"),
        renew_seconds=int(settings.renew_before),
        renewal=lean("renew.rb"),
        forgetting=lean("forget.sh"),
    )


def lean(name: str) -> str:
    """Return one of our programs without its lines of comment, but for the first two: clouds take 16 KB."""
    first, second, *lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join([first, second, *(line for line in lines if not line.lstrip().startswith("#"))])


def authority(text: str, pinned: tuple[str, ...], file: Path) -> str:
    """Return the certificates in `text` and nothing else of it; raise `ConfigurationError`.

    `pinned`: SHA-256 fingerprints; each must be that of a certificate in the file.
    """
    blocks = list(_PEM.finditer(text.replace("\r\n", "\n")))
    if any("PRIVATE" in block["kind"] for block in blocks):
        raise ConfigurationError("holds a private key; give the CA's certificates only", where=str(file))
    certificates = [block for block in blocks if block["kind"] == "CERTIFICATE"]
    if not certificates:
        raise ConfigurationError("holds no certificate (PEM)", where=str(file))
    found = {_fingerprint(block["body"], file) for block in certificates}
    for fingerprint in pinned:
        if fingerprint.replace(":", "").lower() not in found:
            raise ConfigurationError(
                f"has no certificate with the fingerprint {fingerprint} (instances.agent.ca_fingerprints), only "
                + ", ".join(sorted(found)),
                where=str(file),
            )
    return "".join(block[0].rstrip("\n") + "\n" for block in certificates)


def _fingerprint(body: str, file: Path) -> str:
    try:
        return hashlib.sha256(base64.b64decode(body.replace("\n", ""), validate=True)).hexdigest()
    except binascii.Error as error:
        raise ConfigurationError(f"holds a certificate that is no base64: {error}", where=str(file)) from error


def _repository(settings: AgentSettings) -> Repository | None:
    if settings.repository_key_file is None:
        return None
    key = _read(settings.repository_key_file, "instances.agent.repository_key_file")
    if "-----BEGIN PGP PUBLIC KEY BLOCK-----" not in key:
        raise ConfigurationError(
            "is no armoured OpenPGP key (gpg --armor --export)", where=str(settings.repository_key_file)
        )
    return Repository(key, settings.apt_repository, settings.yum_repository)


def _read(file: Path, setting: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read ({setting}): {error}", where=str(file)) from error
