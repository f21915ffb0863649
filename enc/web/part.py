"""A part of a site: what stands at one place of it, and how it speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from flask import Blueprint, Response, jsonify

from enc.terms.errors import ToolkitError

Form = Callable[[str], Response]
"""Writes one line as an answer, for people or for programs."""


def text(line: str) -> Response:
    """Write a line of plain text; git shows it behind `remote:`."""
    return Response(f"{line}\n", mimetype="text/plain")


def json(line: str) -> Response:
    """Write a JSON object with the line as `error`."""
    return jsonify(error=line)


class Part(NamedTuple):
    """What stands at one place of a site."""

    blueprint: Blueprint
    log: str
    """The logger that hears what was refused and why."""
    form: Form
    """How a refusal is written."""
    at: str = ""
    """Where it stands (`/webhook`), no slash at the end. The one at the root speaks for all addresses that are none."""
    nothing: str = "nothing is here"
    """What somebody is told who asks for an address that is none."""
    challenge: str | None = None
    """How to sign in here (`WWW-Authenticate`), which stands in every 401."""
    statuses: Mapping[type[ToolkitError], int] = MappingProxyType({})
    """Expected errors that the client is told, with their status; of the others it learns nothing (503)."""

    def has(self, path: str) -> bool:
        """Tell whether `path` is at this part's place or below it."""
        return path == self.at or path.startswith(f"{self.at}/")
