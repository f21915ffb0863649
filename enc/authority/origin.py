"""Whose certificate it is: one that the policy of signing gave to an instance, or another. Pure."""

from __future__ import annotations

from cryptography import x509

_MAY_COMMAND = x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.3.39")
"""pp_cli_auth, which a puppetserver that is an authority puts into its own certificate."""
_PP_PROJECT = x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.1.7")


def is_instances(pem: bytes) -> bool:
    """Tell whether a certificate names a project, as all do that the policy gave; raise ValueError if it is none."""
    try:
        return any(one.oid == _PP_PROJECT for one in x509.load_pem_x509_certificate(pem).extensions)
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from error


def commands_authorities(pem: bytes) -> bool:
    """Tell whether authorities obey a certificate by their shipped rules; raise ValueError if it is none."""
    try:
        return any(one.oid == _MAY_COMMAND for one in x509.load_pem_x509_certificate(pem).extensions)
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from error
