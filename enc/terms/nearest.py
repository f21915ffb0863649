"""What somebody may have meant who wrote a name that there is not. Pure.

Used wherever one of a known set of names is asked for: commands, options,
choices, keys of the configuration. Names of nodes, projects and the like are
not guessed: there are many, and an edit of the wrong one is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 60
"""Characters of a word that is looked at; nothing known is as long, and comparing takes the product of both lengths."""
_ALIKE = 0.6
"""How alike two names must be, as `difflib` counts it: from 0 to 1."""
_MOST = 3


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Return the names that `word` may stand for, the likeliest first; at most three, none if nothing is near."""
    from difflib import get_close_matches  # here: only mistakes need it

    names = list(dict.fromkeys(known))
    if not word or len(word) > _LONGEST:
        return []
    plain: dict[str, list[str]] = {}
    for name in names:
        plain.setdefault(_plain(name), []).append(name)
    asked = _plain(word)
    if asked in plain:
        return plain[asked][:_MOST]
    if close := get_close_matches(asked, plain, n=1, cutoff=_ALIKE):
        return plain[close[0]][:1]
    begun = [name for name in names if len(asked) > 1 and _plain(name).startswith(asked)]
    return begun if len(begun) <= _MOST else []


def meant(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that asks whether a near name was meant; empty if none is near."""
    found = nearest(word, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")
