"""What a look at a push found that goes beyond the form of its tree. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """What one part of a push's checks has to say."""

    refused: tuple[str, ...] = ()
    """Why the push is refused, a sentence each."""
    unchecked: str = ""
    """Why something was not checked; empty: all was."""
    advice: tuple[str, ...] = ()
    """What the person who pushes should know, and what refuses nothing; a line each."""
