"""Words for people that several messages need. Pure."""

from __future__ import annotations


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Return a number with its noun: `1 node`, `2 nodes`; `things` where the plural is another than with an s."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"
