"""What git says about refs, parsed once: object names, moved refs. Pure.

Branch names are enc.terms.names'; which environment a branch becomes is
enc.terms.environments' business, who may move it is policy. A refusal is
`InvalidName` with the rule in it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from enc.terms.errors import InvalidName
from enc.terms.names import Name


class ObjectId(Name):
    """A commit, tree or blob: 40 hex digits (sha1) or 64 (sha256); all zeros means absent."""

    __slots__ = ()
    kind = "an object name"
    rule = "40 or 64 hexadecimal digits"
    pattern = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
    longest = 64

    @property
    def absent(self) -> bool:
        """Whether this is git's way of saying that there is no such object."""
        return not self.strip("0")

    @property
    def abbreviated(self) -> str:
        """For people; long enough for a repository of some hundred thousand objects."""
        return self[:10]


class RefUpdate(NamedTuple):
    """One line of what pre-receive and post-receive read: a ref that moves."""

    old: ObjectId
    new: ObjectId
    ref: str

    @property
    def creates(self) -> bool:
        """Whether the ref did not exist."""
        return self.old.absent

    @property
    def deletes(self) -> bool:
        """Whether the ref goes away."""
        return self.new.absent


def parse_updates(stdin: bytes) -> tuple[RefUpdate, ...]:
    """Return the moved refs in a hook's standard input; raise `InvalidName` if it is not git's format."""
    updates = []
    for line in stdin.split(b"\n"):
        if not line:
            continue
        # A ref may hold any bytes; what is no UTF-8 stays recognisable and is refused as a branch name later.
        parts = line.decode("utf-8", "surrogateescape").split(" ", 2)
        if len(parts) != 3 or not parts[2]:
            raise InvalidName("a line of the hook's input is not 'OLD NEW REF'; was this run by git?")
        updates.append(RefUpdate(ObjectId(parts[0]), ObjectId(parts[1]), parts[2]))
    return tuple(updates)
