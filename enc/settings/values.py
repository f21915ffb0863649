"""What sections are made of: the section itself, lengths of time, and the rules that several share. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)", re.ASCII)
LONGEST = 1e9
"""Seconds that a setting may say, some 30 years: Python's waits refuse ten times as much."""


class Section:
    """A section of the configuration; each is a frozen dataclass of its settings."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the settings' types do not refuse: the key (empty: the section itself), and what is wrong."""
        yield from ()


class OneOf:
    """In `Annotated[str, OneOf(TABLE)]`: a text that must be a key of a table, which says itself what is in it."""

    def __init__(self, names: Collection[str]) -> None:
        """`names` is looked at whenever a value is read, and told in refusals and in the docs."""
        self.names = names


def listening_faults(listen: str, certificate: Path | None, key: Path | None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the settings of a service that listens."""
    if not re.fullmatch(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", listen):
        yield "listen", f"{listen!r} is not ADDRESS:PORT"
    yield from pair_faults(certificate, key)


def pair_faults(certificate: Path | None, key: Path | None) -> Iterator[tuple[str, str]]:
    """Yield a fault if one of a certificate and its key is missing."""
    if (certificate is None) != (key is None):
        yield "", "certificate_file and key_file go together"


class Duration(float):
    """A length of time in seconds."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Duration:
        """Read `3s`, `24h` or a number of seconds; raise ValueError with the rule."""
        if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
            return cls(float(match[1]) * _UNITS[match[2]])
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LONGEST:
            return cls(value)
        raise ValueError("a duration such as 500ms, 3s, 15m, 24h or 7d")
