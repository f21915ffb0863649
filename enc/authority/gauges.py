"""How certificates and instances are, as Prometheus text. Pure.

docs/instances.md lists the names. Not here: what the follower counts (answers/metrics.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from enc.authority.statuses import CertificateStatus

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
    lines = (
        *_gauge("authority_up", "1 if the certificate authority answered", up),
        *_gauge("certificates", "Certificates and requests that an authority holds", counted),
        *_gauge("certificate_first_end_seconds", "When the first of its certificates ends, since 1970", first),
        *_gauge("crl_end_seconds", "When its revocation list ends, since 1970", lists),
        *_gauge("instances", "Instances by their state", instances),
        *_gauge("instance_operations_unfinished", "Operations in the journal", [({}, float(unfinished))]),
    )
    return "\n".join(lines) + "\n"


def _gauge(name: str, help_text: str, values: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {help_text}"
    yield f"# TYPE {_PREFIX}{name} gauge"
    for labels, value in values:
        # Labels are names of authorities and states: words without quotes or backslashes.
        told = ",".join(f'{label}="{word}"' for label, word in labels.items())
        yield f"{_PREFIX}{name}{'{' + told + '}' if told else ''} {value:.15g}"
