"""What an authority says about certificates and requests, as values. Pure.

The authority of a project's own master is in that project's hands, so its
answers are taken for hostile: a name that is no certname is counted and left
out, and whatever has another form is `ValueError`.
"""

from __future__ import annotations

import calendar
import json
import re
from typing import Any, Literal, NamedTuple

from enc.terms.names import Certname

CertificateState = Literal["requested", "signed", "revoked"]
_STATES: tuple[CertificateState, ...] = ("requested", "signed", "revoked")


class CertificateStatus(NamedTuple):
    """One certificate, or one request that waits for one."""

    name: Certname
    state: CertificateState
    serial: int | None = None
    ends: int | None = None
    """Seconds since 1970; None for a request."""
    fingerprint: str = ""
    authorized: bool = False
    """Whether it holds authorization extensions (`pp_cli_auth` and the like): no instance's has."""


class Statuses(NamedTuple):
    """All that an authority holds."""

    known: tuple[CertificateStatus, ...]
    odd: int = 0
    """So many have a name that is no certname."""


def read_all(body: bytes) -> Statuses:
    """Return the statuses in the answer about all; raise ValueError."""
    document = _json(body)
    if not isinstance(document, list):
        raise ValueError("is not a list")  # noqa: TRY004 - the form of an answer, not of an argument
    known = []
    for item in document:
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and Certname.accepts(name):
            known.append(_status(item))
    return Statuses(tuple(known), len(document) - len(known))


def read_one(body: bytes) -> CertificateStatus:
    """Return the status in the answer about one name; raise ValueError."""
    return _status(_json(body))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _status(item: Any) -> CertificateStatus:
    if not isinstance(item, dict) or item.get("state") not in _STATES:
        raise ValueError("is not the status of a certificate")
    name, serial, ends = item.get("name"), item.get("serial_number"), item.get("not_after")
    if not isinstance(name, str) or not Certname.accepts(name):
        raise ValueError("has a name that is not a certname")
    if isinstance(serial, str) and re.fullmatch(r"[0-9]{1,60}", serial, re.ASCII):
        serial = int(serial)
    if not (serial is None or (isinstance(serial, int) and not isinstance(serial, bool))):
        raise ValueError("has a serial number that is not a number")
    return CertificateStatus(
        Certname(name),
        item["state"],
        serial,
        _seconds(ends) if isinstance(ends, str) else None,
        str(item.get("fingerprint") or "")[:200],
        bool(item.get("authorization_extensions")),
    )


def _seconds(text: str) -> int:
    """Read puppetserver's `2031-11-21T21:48:37UTC`."""
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:UTC|Z)", text, re.ASCII)
    if match is None:
        raise ValueError("has a time not of the form YYYY-MM-DDTHH:MM:SSUTC")
    return calendar.timegm(tuple(map(int, match.groups())))
