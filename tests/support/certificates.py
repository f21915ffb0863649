"""Certificates for a test's servers, made with openssl; Python 3.13 and later want them by the letter of RFC 5280."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a directory of its own."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        """Make the directory, key and certificate."""
        directory.mkdir()
        made = cls(directory)
        subject = ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", made.key, "-out", made.certificate, *subject)
        return made

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def key(self) -> Path:
        return self.directory / "ca.key"

    def issue(self, name: str, *, days: int = 30) -> tuple[Path, Path]:
        """Return certificate and key for the DNS or IP `name`; with negative `days` it has expired already."""
        place = self.directory / f"{name}{days}"
        certificate, key, request = (place.with_name(place.name + end) for end in (".pem", ".key", ".csr"))
        kind = "IP" if name[0].isdigit() else "DNS"
        names = f"subjectAltName={kind}:{name}"
        _openssl("req", "-new", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=server", "-addext", names)
        extensions = place.with_name(place.name + ".ext")
        extensions.write_text("subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n")
        signer = ["-CA", self.certificate, "-CAkey", self.key, "-copy_extensions", "copy", "-extfile", extensions]
        _openssl("x509", "-req", "-in", request, *signer, "-days", str(days), "-out", certificate)
        return certificate, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
