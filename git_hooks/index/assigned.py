"""What a node is assigned, as those who compare it with code need it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from enc.classify.model import Value


class Assigned(NamedTuple):
    """One node's classes."""

    certname: str
    classes: Mapping[str, Mapping[str, Value]]
    """By name, in small letters and without `::` before it, with the parameters that are set."""
