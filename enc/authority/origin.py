"""Tells certificates that the signing policy gave to instances from all others. Pure."""

from __future__ import annotations

from cryptography import x509

_HEAD = 2
_MAY_COMMAND = x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.3.39")
"""pp_cli_auth, which a puppetserver that is an authority puts into its own certificate."""
_PP_PROJECT = x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.1.7")


def project_in(pem: bytes) -> str | None:
    """Return the project that a certificate names, as all do that the policy gave; None if it names none.

    Empty: one that is no short text. Raise ValueError if `pem` is no certificate.
    """
    try:
        found = [one.value for one in x509.load_pem_x509_certificate(pem).extensions if one.oid == _PP_PROJECT]
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from error
    if not found:
        return None
    octets = found[0].value if isinstance(found[0], x509.UnrecognizedExtension) else b""
    # A DER string: its type, its length in one octet, its text.
    short = len(octets) >= _HEAD and len(octets) == _HEAD + octets[1] and octets[1] < 0x80
    return octets[_HEAD:].decode("ascii", "replace") if short else ""


def commands_authorities(pem: bytes) -> bool:
    """Tell whether authorities obey a certificate by their shipped rules; raise ValueError if it is none."""
    try:
        return any(one.oid == _MAY_COMMAND for one in x509.load_pem_x509_certificate(pem).extensions)
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from error
