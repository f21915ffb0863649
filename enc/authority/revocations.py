"""Revocation lists and certificates as PEM files hold them: verified, compared, and when they end. Pure.

A list is taken only if the certificate of its issuer, in the file that this
machine trusts already, has signed it; and only if it is no older than the one
that is there, so that nobody who can answer for the authority can take a
revocation back. A file may hold several lists (intermediate authorities).

The parsers are the cryptography package's.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from enc.terms.counted import counted
from enc.terms.errors import ToolkitError, bounded, one_line

_CRL = re.compile(rb"-----BEGIN X509 CRL-----\s.*?-----END X509 CRL-----\s*", re.DOTALL)
_LISTS = 16


class NotTrusted(ToolkitError):
    """A revocation list is none, or not to be believed."""


class RevocationList(NamedTuple):
    """One verified list."""

    issuer: str
    number: int
    made: datetime
    ends: datetime | None


class Ending(NamedTuple):
    """A certificate of a file, and when it ends."""

    name: str
    ends: datetime


def lists(pem: bytes, trusted: bytes) -> tuple[RevocationList, ...]:
    """Return the lists in `pem`; raise `NotTrusted` unless certificates in `trusted` (PEM) have signed all of them."""
    try:
        issuers = x509.load_pem_x509_certificates(trusted)
    except ValueError as error:
        raise NotTrusted(f"the authority's certificates cannot be read: {bounded(one_line(str(error)))}") from error
    blocks = _CRL.findall(pem)
    if not 0 < len(blocks) <= _LISTS:
        raise NotTrusted(f"holds {counted(len(blocks), 'revocation list')}; expected 1 to {_LISTS}")
    found = []
    for block in blocks:
        try:
            crl = x509.load_pem_x509_crl(block)
            name = crl.issuer.rfc4514_string()
            signed = any(_signed(crl, issuer) for issuer in issuers if issuer.subject == crl.issuer)
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (ValueError, TypeError, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType) as error:
            raise NotTrusted(f"is not a revocation list: {bounded(one_line(str(error)))}") from error
        if not signed:
            raise NotTrusted(f"the revocation list of {one_line(name)} was not signed by an authority that we trust")
        found.append(RevocationList(name, number, crl.last_update_utc, crl.next_update_utc))
    return tuple(found)


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


def check_newer(present: tuple[RevocationList, ...], new: tuple[RevocationList, ...]) -> None:
    """Raise `NotTrusted` if `new` lacks a list of `present`, or holds an older one."""
    by_issuer = {one.issuer: one for one in new}
    for old in present:
        now = by_issuer.get(old.issuer)
        if now is None:
            raise NotTrusted(f"lacks the revocation list of {one_line(old.issuer)}, which the present file has")
        if (now.number, now.made) < (old.number, old.made):
            raise NotTrusted(
                f"the revocation list of {one_line(old.issuer)} is older (number {now.number}) than the present one "
                f"(number {old.number})"
            )


def endings(pem: bytes) -> tuple[Ending, ...]:
    """Return the certificates in `pem`; raise ValueError if there is none that can be read."""
    return tuple(Ending(_name(one), one.not_valid_after_utc) for one in x509.load_pem_x509_certificates(pem))


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return one_line(str(names[0].value) if names else certificate.subject.rfc4514_string())
