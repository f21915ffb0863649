"""The state of certificates and instances as metrics for Prometheus. Pure.

docs/instances.md lists the names. Not here: the format (prometheus.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from enc.authority.statuses import CertificateStatus
from enc.programs import prometheus
from enc.programs.prometheus import Metric, single

_PREFIX = "puppetmaster_"


class Held(NamedTuple):
    """What one authority holds; None where it could not be asked."""

    certificates: tuple[CertificateStatus, ...] | None
    crl_ends: float | None
    """Seconds since 1970."""


def text(held: Mapping[str, Held], states: Iterable[str], unfinished: int) -> str:
    """Return the gauges. `held`: by the authority's name; `states`: of all instances."""
    up = [({"authority": name}, float(one.certificates is not None)) for name, one in held.items()]
    counted = [
        ({"authority": name, "state": state}, float(count))
        for name, one in held.items()
        for state, count in sorted(Counter(status.state for status in one.certificates or ()).items())
    ]
    first = [
        ({"authority": name}, float(min(ends)))
        for name, one in held.items()
        if (ends := [s.ends for s in one.certificates or () if s.ends is not None and s.state == "signed"])
    ]
    lists = [({"authority": name}, one.crl_ends) for name, one in held.items() if one.crl_ends is not None]
    instances = [({"state": state}, float(count)) for state, count in sorted(Counter(states).items())]
    metrics = (
        Metric("authority_up", "1 if the certificate authority answered", tuple(up)),
        Metric("certificates", "Certificates and requests that an authority holds", tuple(counted)),
        Metric(
            "certificate_first_end_seconds",
            "When the first of its certificates expires, in seconds since 1970",
            tuple(first),
        ),
        Metric("crl_end_seconds", "When its revocation list expires, in seconds since 1970", tuple(lists)),
        Metric("instances", "Instances by their state", tuple(instances)),
        single("instance_operations_unfinished", "Operations in the journal", unfinished),
    )
    return prometheus.text(_PREFIX, metrics)
