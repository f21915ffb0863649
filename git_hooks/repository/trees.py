"""What a git tree holds, and what of it may become files. Pure.

Owns: the form of tree and commit objects, which names, modes and links are sound enough
to be laid out on disk (`unfit`), and how object names follow from contents.

`unfit` is the one judgement of an entry. The checks of a push refuse what it
names, and a deploy leaves that out (survey.py), whatever way it came into the
repository: so what a push is told to be sound can always be deployed. What
else a push may not hold (sizes, case collisions) is policy (checks/).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import NamedTuple

from enc.terms.errors import ToolkitError

DIRECTORY = 0o40000
FILE = 0o100644
PROGRAM = 0o100755
LINK = 0o120000
SUBMODULE = 0o160000
"""Becomes an empty directory, as in a plain clone; whether a push may bring one is policy."""

LONGEST_TARGET = 1000
"""Bytes of a link's target; XFS takes 1023, others 4095."""
LONGEST_NAME = 255
"""Bytes of a name that every file system takes."""
LONGEST_PATH = 3000
"""Bytes of a path in a tree; the system takes 4095 with the store's own path before it."""
DEEPEST = 100
"""Directories inside one another."""

_DAMAGED = "a tree object is damaged; run git fsck in the repository"
_COMMITTED = re.compile(rb"^committer [^\n]*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_GIT_ITSELF = re.compile(r"\.git[ .]*|git~\d+", re.IGNORECASE | re.ASCII)
"""Names that some file system takes for .git (git itself knows more, for systems that no Puppet is served from)."""


def tree_and_parents(commit: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the tree and the parents that a commit object names.

    Parents stand directly behind the tree, and git looks nowhere else: a line
    of their form further down is none, though git's own checks let it pass.
    """
    tree, *lines = commit.partition(b"\n\n")[0].decode("ascii", "replace").split("\n")
    return tree[5:], tuple(line[7:] for line in takewhile(lambda line: line.startswith("parent "), lines))


def committed_at(commit: bytes) -> int | None:
    """Return the committer's time in a commit object (seconds since 1970), None if it has none that can be read."""
    found = _COMMITTED.search(commit.partition(b"\n\n")[0])
    return int(found[1]) if found else None


class UnsoundTree(ToolkitError):
    """A tree that must not be laid out on disk."""


class Entry(NamedTuple):
    """One name in a tree. `name` may hold any bytes; those that are no UTF-8 are surrogates."""

    mode: int
    name: str
    id: str

    @property
    def is_directory(self) -> bool:
        """Whether `id` is another tree."""
        return self.mode == DIRECTORY


def parse_tree(content: bytes, id_size: int) -> tuple[Entry, ...]:
    """Return the entries of a tree object; ids are `id_size` bytes (20 or 32). Raise `UnsoundTree` if it is damaged."""
    entries = []
    position = 0
    while position < len(content):
        space = content.find(b" ", position)
        end = content.find(b"\0", space)
        after = end + 1 + id_size
        if space < 0 or end < 0 or after > len(content):
            raise UnsoundTree(_DAMAGED)
        try:
            mode = int(content[position:space], 8)
        except ValueError as error:
            raise UnsoundTree(_DAMAGED) from error
        if mode & 0o170000 == 0o100000:
            # Old repositories hold 100664 and the like; git itself looks only at this bit.
            mode = PROGRAM if mode & 0o100 else FILE
        name = content[space + 1 : end].decode("utf-8", "surrogateescape")
        entries.append(Entry(mode, name, content[end + 1 : after].hex()))
        position = after
    return tuple(entries)


def unfit(entry: Entry, path: str, target: Callable[[str], bytes | None]) -> str:
    """Return why an entry of the directory `path` may not become a file; empty if it may.

    `target` returns what a link says, given the name of its blob; None: more than anybody reads.
    """
    name = entry.name
    if name in ("", ".", "..") or "/" in name or _GIT_ITSELF.fullmatch(name):
        return "has a name that is not laid out"
    if entry.mode not in (DIRECTORY, FILE, PROGRAM, LINK, SUBMODULE):
        return f"has the unknown mode {entry.mode:o}"
    if len(name) > LONGEST_NAME // 4 and len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        return f"the name is longer than {LONGEST_NAME} bytes"
    if len(path) > LONGEST_PATH // 8 and len(join(path, name).encode("utf-8", "surrogateescape")) > LONGEST_PATH:
        return f"the path is longer than {LONGEST_PATH} bytes"
    if entry.mode == LINK:
        return leaving(target(entry.id), depth(path))
    if entry.mode == DIRECTORY and depth(path) >= DEEPEST:
        return f"is more than {DEEPEST} directories deep"
    return ""


def leaving(target: bytes | None, depth: int) -> str:
    """Return why a link with `depth` directories above it is not laid out; empty if it stays in the tree.

    What counts is what a link says, not what stands there: then links to
    directories cannot be chained to get out either.
    """
    if target is None or len(target) > LONGEST_TARGET:
        return f"is a link whose target is longer than {LONGEST_TARGET} bytes"
    try:
        return "is a link that leaves the tree" if climb(target, depth, "") else ""
    except UnsoundTree as error:
        return error.message


def check_entries(entries: Iterable[Entry], path: str) -> None:
    """Raise `UnsoundTree` if a name or a kind of entry may not become a file below `path`. Links are not looked at."""
    seen = set()
    for entry in entries:
        what = unfit(entry, path, lambda _: b".")
        if what or entry.name in seen:
            raise UnsoundTree(what or TWICE, where=join(path, entry.name))
        seen.add(entry.name)


TWICE = "appears twice in its tree"
"""What is wrong with the second entry of one name."""


def depth(path: str) -> int:
    """Return how many directories stand above the entries of the directory `path`."""
    return path.count("/") + 1 if path else 0


def join(path: str, name: str) -> str:
    """Return the path of `name` in the directory `path`; the root's path is empty."""
    return f"{path}/{name}" if path else name


def climb(target: bytes, depth: int, where: str) -> int:
    """Return how many directories above its unit a link leads that stands `depth` directories below it; 0: inside.

    Raise `UnsoundTree` for a target that could lead anywhere: absolute, or
    with '..' after a name, since that name may itself be a link.
    """
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    up = 0
    while up < len(parts) and parts[up] == b"..":
        up += 1
    if not target or target.startswith(b"/") or b"\0" in target:
        raise UnsoundTree("is a link that leaves the tree: its target must be a relative path", where=where)
    if b".." in parts[up:]:
        raise UnsoundTree("is a link with '..' in the middle of its target; write it without", where=where)
    return max(0, up - depth)


def object_id(kind: str, content: bytes, id_size: int) -> str:
    """Return the name that git gives to `content`; `kind` is blob, tree or commit."""
    header = f"{kind} {len(content)}\0".encode("ascii")
    # sha1 is git's choice of name here; nothing is protected by it beyond what git protects.
    digest = hashlib.sha256 if id_size == 32 else hashlib.sha1
    return digest(header + content).hexdigest()


def render_tree(entries: Iterable[Entry]) -> bytes:
    """Return the tree object of `entries`, in git's order (directories compare as if they ended in '/')."""

    def key(entry: Entry) -> bytes:
        name = entry.name.encode("utf-8", "surrogateescape")
        return name + b"/" if entry.is_directory else name

    return b"".join(
        b"%o %b\0%b" % (entry.mode, entry.name.encode("utf-8", "surrogateescape"), bytes.fromhex(entry.id))
        for entry in sorted(entries, key=key)
    )
