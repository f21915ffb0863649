"""Names that git, Puppet, a file system or a terminal would misread.

Refused: what some file system takes for .git; control characters, backslashes
and bytes that are no UTF-8; a dot or space at the end and a space at the
beginning (Windows drops them, people do not see them); names longer than a
file name may be; two names of one directory that differ only in case or in how
an accented letter is composed, since a clone on macOS or Windows has room for
one of them. Only clones matter for the last: the store itself keeps them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.repository.trees import join

LONGEST_NAME = 240
"""Bytes of one name: file systems take 255, and tools add endings."""
LONGEST_PATH = 1000
"""Bytes of one path: systems take 4096 with the store's own path before it, archives less."""

_PLAIN = re.compile(r"(?:[A-Za-z0-9_@%+=:,~^-]|\.[A-Za-z0-9_-])[A-Za-z0-9_.@%+=:,~^-]*(?<!\.)", re.ASCII)
_GIT = re.compile(r"(?:\.git|git~\d+)[ .]*(?::.*)?", re.IGNORECASE | re.ASCII)
# HFS+ leaves these out when it compares names (git: utf8.c, next_hfs_char).
_UNSEEN = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF],
)


def check(look: Look) -> Iterator[Problem]:
    """Yield the names of new entries that are refused."""
    for entry in look.new:
        what = _wrong(entry.name)
        if what:
            yield Problem(look.where(entry), what)
        elif len(look.where(entry).encode("utf-8", "surrogateescape")) > LONGEST_PATH:
            yield Problem(look.where(entry), f"the path is longer than {LONGEST_PATH} bytes")
    yield from _rivals(look)


def _wrong(name: str) -> str:
    if _PLAIN.fullmatch(name) and len(name) <= LONGEST_NAME and not _GIT.fullmatch(name):
        return ""
    if name in ("", ".", "..") or "/" in name:
        return "this is not a file name"
    if _GIT.fullmatch(name.translate(_UNSEEN)):
        return "this name is treated as .git on some file systems"
    if not name.isascii():
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            return "the name is not UTF-8"
    if not name.isprintable():
        return "the name contains an invisible or control character"
    if "\\" in name:
        return "the name contains a backslash"
    if name.endswith((".", " ")) or name.startswith(" "):
        return "the name begins with a space, or ends with a space or a dot"
    if len(name.encode()) > LONGEST_NAME:
        return f"the name is longer than {LONGEST_NAME} bytes"
    return ""


def _rivals(look: Look) -> Iterator[Problem]:
    groups: dict[str, list[str]] = {}
    for entry in look.entries:
        groups.setdefault(_folded(entry.name), []).append(entry.name)
    new = {entry.name for entry in look.new}
    for names in groups.values():
        if len(names) < 2:
            continue
        fresh = [name for name in names if name in new]
        # `A` of one known tree and `a` of another are new together, though neither is by itself.
        if not fresh and not any(all(name in known for name in names) for known in look.before):
            fresh = names
        if fresh:
            others = [name for name in names if name != fresh[-1]]
            what = (
                f"differs from {others[0]} only in upper/lower case or accents"
                if others
                else "appears twice in its directory"
            )
            yield Problem(join(look.path, fresh[-1]), what)


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    import unicodedata  # only names beyond ASCII need its tables

    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
