"""Certificate requests made and sent to a real puppetserver without an agent: 20 ms instead of 5 s."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from enc.terms.names import Certname
from puppetmaster_quickstart.auth_conf import AuthRule

PP_PROJECT = x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.1.7")
OPERATOR = Certname("operator.example.org")
"""Whose certificate may do at the CA what the toolkit does."""
CA_RULES = (
    AuthRule("revoke", r"^/puppet-ca/v1/(certificate_status(es)?/|clean$)", ("get", "put"), (OPERATOR,)),
    AuthRule("delete requests", "/puppet-ca/v1/certificate_request/", ("delete",), (OPERATOR,)),
)


@dataclass(frozen=True)
class Keeper:
    """Files of one certname beside a master: key, certificate and the CA's certificate."""

    directory: Path
    certname: str

    @property
    def key(self) -> Path:
        return self.directory / f"{self.certname}.key"

    @property
    def certificate(self) -> Path:
        return self.directory / f"{self.certname}.pem"

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"


class CertificateClient:
    """Asks a puppetserver's CA as an agent does."""

    def __init__(self, port: int, directory: Path) -> None:
        self._port = port
        self._directory = directory
        directory.mkdir(exist_ok=True)
        status, body = self.ask("GET", "certificate/ca", verify=False)
        assert status == 200
        (directory / "ca.pem").write_bytes(body)

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, who: Keeper | None = None, verify: bool = True
    ) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self._directory / "ca.pem")) if verify else None
        if context is None:
            context = ssl._create_unverified_context()
        if who is not None:
            context.load_cert_chain(who.certificate, who.key)
        connection = http.client.HTTPSConnection("localhost", self._port, context=context, timeout=60)
        try:
            connection.request(method, f"/puppet-ca/v1/{path}", body, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def request(self, certname: str, project: str = "red") -> int:
        """Make a key and send a request; return the status. With an empty `project`, it names none."""
        keeper = Keeper(self._directory, certname)
        key = ec.generate_private_key(ec.SECP256R1())
        keeper.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, certname)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        if project:
            # A UTF8String, as Puppet writes it.
            value = b"\x0c" + bytes([len(project)]) + project.encode()
            builder = builder.add_extension(x509.UnrecognizedExtension(PP_PROJECT, value), critical=False)
        request = builder.sign(key, hashes.SHA256())
        return self.ask("PUT", f"certificate_request/{certname}", request.public_bytes(serialization.Encoding.PEM))[0]

    def enrol(self, certname: str, project: str = "red") -> Keeper:
        """Get a certificate from a CA that signs everything."""
        assert self.request(certname, project) == 200
        keeper = Keeper(self._directory, certname)
        status, body = self.ask("GET", f"certificate/{certname}")
        assert status == 200, f"{certname} was not signed"
        keeper.certificate.write_bytes(body)
        return keeper

    def revoked(self) -> set[int]:
        """Return the serial numbers in the CA's revocation list."""
        crl = x509.load_pem_x509_crl(self.ask("GET", "certificate_revocation_list/ca")[1])
        return {entry.serial_number for entry in crl}


def serial(keeper: Keeper) -> int:
    """Return the serial number of somebody's certificate."""
    return x509.load_pem_x509_certificate(keeper.certificate.read_bytes()).serial_number
