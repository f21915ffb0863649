"""What was found, without what it is: a finding never holds a secret, only a keyed hash of it. Pure."""

from __future__ import annotations

from typing import NamedTuple, Protocol

SHOWN = 16
"""Digits of a fingerprint that people quote; all that there are."""


class Finding(NamedTuple):
    """One secret in one file."""

    path: str
    line: int
    """From 1; 0: the file as a whole."""
    kind: str
    """What it is, in the words of a sentence: `a private key`, `a password`."""
    fingerprint: str
    """The keyed hash of the secret, `SHOWN` hexadecimal digits: equal for the same secret wherever it stands."""
    where: str = ""
    """What the secret is the value of, such as a parameter's name; empty: not known. Never part of the secret."""

    @property
    def text(self) -> str:
        """The sentence for people."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        of = f" ({self.where})" if self.where else ""
        return f"{place}: {self.kind}{of}, fingerprint {self.fingerprint}"


class Examined(NamedTuple):
    """All about one file."""

    findings: tuple[Finding, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Why some rules could not look at it."""


class Engine(Protocol):
    """Finds secrets. May be used from several threads."""

    @property
    def version(self) -> str:
        """Name all rules as they are: equal if the same content gives the same findings."""

    def look(self, path: str, content: bytes, name: str = "") -> Examined:
        """Return what is in a file. `path` decides how it is read; `name`: its object id, if known."""

    def examine(self, path: str, content: bytes) -> list[Finding]:
        """Return the findings alone."""
