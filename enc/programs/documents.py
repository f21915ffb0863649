"""What programs read with `--json`: one way to write a document, and the forms that all documents share. Pure.

docs/json.md is the contract. A command builds its document itself, key by key,
from the values that it has: what is inside may change, the document does not.
Only what JSON can hold goes in, so that nothing gets out by its `str` or its
fields; a value of another type is a bug, and a test meets it.

Not here: text for people (times.py, enc/terms/counted.py), files of ours (json_lines.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from enc.programs.times import iso
from enc.terms.errors import one_line

Document = Mapping[str, object]


def text(document: Document) -> str:
    """Return a document as it is printed; ASCII only, because it must be JSON whatever the locale is."""
    return json.dumps(document, indent=2, allow_nan=False, default=_plain) + "\n"


def line(document: Document) -> str:
    """Return a document on one line, where others follow it."""
    return json.dumps(document, allow_nan=False, default=_plain) + "\n"


def moment(seconds: float | None) -> str | None:
    """Return a moment as documents tell it, RFC 3339 in UTC; None and 0, as which some files have it, are none."""
    return iso(seconds) if seconds else None


def failure(message: str, where: str | None = None, cure: str | None = None) -> Document:
    """Return the document of a command that failed."""
    told = {"message": one_line(message), "where": None if where is None else one_line(where)}
    return {"error": told if cure is None else {**told, "cure": one_line(cure)}}


def asked(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for documents, though it may be no right one; argparse takes shorter forms."""
    options = words[: words.index("--")] if "--" in words else words
    return any(len(word) > len("--") and "--json".startswith(word.partition("=")[0]) for word in options)


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a document")
