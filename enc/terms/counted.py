"""A number and the word for what was counted. Pure."""

from __future__ import annotations


def counted(number: int, one: str, several: str | None = None, *, form: str = "") -> str:
    """Return `1 node`, `2 nodes`: the number as `form` says (`,`), and `one` or `several` (`one` with an s).

    Words that change with the number belong to it: `counted(n, "node gets", "nodes get")`.
    """
    return f"{number:{form}} {one if number == 1 else several or f'{one}s'}"
