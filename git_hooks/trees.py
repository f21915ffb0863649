"""What a git tree holds, and what of it may become files. Pure.

Owns: the form of tree and commit objects, which names, modes and links are sound enough
to be laid out on disk, and how object names follow from contents. What else a
push may or may not hold (sizes, case collisions) is policy, and refused
earlier; the rules here protect the store whatever came into the repository.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from enc.errors import ToolkitError

DIRECTORY = 0o40000
FILE = 0o100644
PROGRAM = 0o100755
LINK = 0o120000
SUBMODULE = 0o160000
"""Becomes an empty directory, as in a plain clone; whether a push may bring one is policy."""

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
            raise UnsoundTree("a tree object is damaged; run git fsck in the repository")
        mode = int(content[position:space], 8)
        if mode & 0o170000 == 0o100000:
            # Old repositories hold 100664 and the like; git itself looks only at this bit.
            mode = PROGRAM if mode & 0o100 else FILE
        name = content[space + 1 : end].decode("utf-8", "surrogateescape")
        entries.append(Entry(mode, name, content[end + 1 : after].hex()))
        position = after
    return tuple(entries)


def check_entries(entries: Iterable[Entry], path: str) -> None:
    """Raise `UnsoundTree` if a name or a kind of entry may not become a file below `path`."""
    seen = set()
    for entry in entries:
        where = join(path, entry.name)
        if entry.name in ("", ".", "..") or "/" in entry.name or _GIT_ITSELF.fullmatch(entry.name):
            raise UnsoundTree("a file of this name is not laid out", where=where)
        if entry.mode not in (DIRECTORY, FILE, PROGRAM, LINK, SUBMODULE):
            raise UnsoundTree(f"has the unknown mode {entry.mode:o}", where=where)
        if entry.name in seen:
            raise UnsoundTree("stands twice in its tree", where=where)
        seen.add(entry.name)


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
