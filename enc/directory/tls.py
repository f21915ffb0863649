"""TLS to an LDAP server: OpenSSL's own verification of chain, dates and host name. There is no way to turn it off.

Why not ldap3's: it verifies nothing by default, never lets OpenSSL look at the
host name, and does not know the names of certificates for addresses.
"""

from __future__ import annotations

import socket
import ssl

from enc.programs.machine_trouble import reason
from enc.settings import TlsSettings
from enc.terms.errors import ConfigurationError


class TlsFailed(Exception):
    """The connection could not be protected; the text says why."""


def protect(plain: socket.socket, host: str, settings: TlsSettings, seconds: float) -> ssl.SSLSocket:
    """Return `plain` with TLS, the server's certificate and name verified, within `seconds`.

    Raise `TlsFailed`, or `ConfigurationError` for certificate files of ours that cannot be used.
    """
    context = _context(settings)
    plain.settimeout(seconds)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise TlsFailed(f"its certificate is not accepted: {error.verify_message}") from error
    except (OSError, ValueError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error
        raise TlsFailed(f"TLS failed: {reason}") from error


def _context(settings: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the authorities' certificates cannot be read: {reason(error)}",
            where=str(settings.ca_file or "directory.tls"),
        ) from error
    if settings.certificate_file is not None:
        try:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificate and its key cannot be used: {reason(error)}", where=str(settings.certificate_file)
            ) from error
    return context
