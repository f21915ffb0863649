"""From the settings to what every instance is told: reads the CA's certificates, the repository's key, our script.

Whoever has these certificates decides whom all instances trust, so they are
looked at here: nothing but certificates, and with the fingerprints that the
configuration pins.

Failure modes: `ConfigurationError` with the setting or the file.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from enc.instances.user_data import AgentProfile, Repository
from enc.programs.machine_trouble import reason
from enc.rights.domains import domain_of
from enc.settings import AgentSettings, Settings
from enc.terms.errors import ConfigurationError, bounded, one_line
from enc.terms.names import ProjectName

_PACKAGES = {"distribution": (), "puppet": ("puppet-agent",), "openvox": ("openvox-agent",)}


def load(settings: AgentSettings) -> AgentProfile:
    """Return the profile that `settings` describe; raise `ConfigurationError`."""
    if settings.server is None:
        raise ConfigurationError("is not set, so a new instance would have no master", where="instances.agent.server")
    return AgentProfile(
        server=settings.server,
        port=settings.port,
        ca_server=settings.ca_server,
        ca_port=settings.ca_port,
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


def for_project(profile: AgentProfile, project: ProjectName, settings: Settings) -> AgentProfile:
    """Return what instances of `project` are told: the master of their trust domain, and the same authority as all."""
    domain = domain_of(project, settings)
    found = settings.domains.server(domain) if domain is not None else None
    if found is None:
        return profile
    authority = (profile.ca_server or profile.server, profile.ca_port or profile.port)
    return profile._replace(server=found[0], port=found[1], ca_server=authority[0], ca_port=authority[1])


def lean(name: str) -> str:
    """Return one of our programs without its lines of comment, but for the first two: clouds take 16 KB."""
    first, second, *lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join([first, second, *(line for line in lines if not line.lstrip().startswith("#"))])


def authority(text: str, pinned: tuple[str, ...], file: Path) -> str:
    """Return the certificates in `text` and nothing else of it; raise `ConfigurationError`.

    `pinned`: SHA-256 fingerprints; each must be that of a certificate in the file.
    """
    if "PRIVATE KEY-----" in text:
        raise ConfigurationError("holds a private key; give the CA's certificates only", where=str(file))
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigurationError("holds no certificate (PEM)", where=str(file))
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise ConfigurationError(
            f"contains something other than certificates: {bounded(one_line(str(error)), 200)}", where=str(file)
        ) from error
    found = {certificate.fingerprint(hashes.SHA256()).hex() for certificate in certificates}
    for fingerprint in pinned:
        if fingerprint.replace(":", "").lower() not in found:
            raise ConfigurationError(
                f"has no certificate with the fingerprint {fingerprint} (instances.agent.ca_fingerprints), only "
                + ", ".join(sorted(found)),
                where=str(file),
            )
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in certificates)


def _repository(settings: AgentSettings) -> Repository | None:
    if settings.repository_key_file is None:
        return None
    key = _read(settings.repository_key_file, "instances.agent.repository_key_file")
    if "-----BEGIN PGP PUBLIC KEY BLOCK-----" not in key:
        raise ConfigurationError(
            "is not an armoured OpenPGP key (gpg --armor --export)", where=str(settings.repository_key_file)
        )
    return Repository(key, settings.apt_repository, settings.yum_repository)


def _read(file: Path, setting: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read ({setting}): {reason(error)}", where=str(file)) from error
