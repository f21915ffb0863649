"""The comment above a definition, read as puppet-strings reads it. Pure.

A line that begins with `@` is a tag; what is indented below it belongs to it, and an empty line does if more follows.
What belongs to no tag is the description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_TAG = re.compile(r"@([a-z_!]+)\b[ \t]*(.*)", re.ASCII | re.DOTALL)
_BRACKETS = r"\[(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*\]"
_PARAMETER = re.compile(rf"(?:{_BRACKETS}\s*)?([^\s\[]\S*)(?:\s+{_BRACKETS}(?=\s|$))?\s*(.*)", re.DOTALL)
"""A type in brackets, which has brackets itself, may stand before the name or behind it."""


class Documentation(NamedTuple):
    """What is said about a definition."""

    summary: str
    """One line."""
    text: str
    parameters: Mapping[str, str]
    """By name."""


def read(comment: str) -> Documentation:
    """Return what a comment says."""
    text: list[str] = []
    tags: list[tuple[str, list[str]]] = []
    current: list[str] | None = None
    for line in comment.split("\n"):
        found = _TAG.match(line)
        if found is not None:
            current = [found[2]]
            tags.append((found[1], current))
        elif current is not None and (not line.strip() or line[0] in " \t"):
            current.append(line.strip())
        else:
            current = None
            text.append(line)
    summary = next((_one(lines) for tag, lines in tags if tag == "summary"), "")
    parameters = {}
    for tag, lines in tags:
        if tag == "param":
            found = _PARAMETER.match("\n".join(lines).strip())
            if found is not None:
                parameters[found[1]] = found[2].strip()
    return Documentation(summary, "\n".join(text).strip(), parameters)


def _one(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())
