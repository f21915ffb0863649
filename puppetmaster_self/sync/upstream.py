"""The local commits as a queue of patches on the central branch: what becomes of each. Pure.

A patch is carried over by a three-way merge: its parent is the base, the new
tip one side, the patch the other. The merge is git's own; what its answer
means is decided here, and how a commit looks that has moved: author, dates,
committer and message stay, byte by byte, so the same patch on the same tip is
the same commit however often it is made.

Not here: running git (patch_repository.py), the order of acts (sync.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from enc.terms.counted import counted
from git_hooks.repository.refs import ObjectId

Fortune = Literal["kept", "moved", "taken", "empty", "parked", "conflict", "waiting"]
"""kept: the same commit; moved: on a new parent; taken: upstream has it; empty: nothing of it is left to do;
parked: set aside; conflict: it stops the sync; waiting: behind the one that stops it."""
Outcome = Literal["current", "synced", "conflict", "unsound", "blocked", "failed", "paused"]
GOOD: frozenset[Outcome] = frozenset({"current", "synced", "paused"})
_SUBJECT = 72


class Commit(NamedTuple):
    """A commit as people are told of it; texts may hold anything."""

    commit: ObjectId
    author: str
    subject: str

    def __str__(self) -> str:
        return f"{self.commit.abbreviated} “{self.subject[:_SUBJECT]}” by {self.author}"


class Patch(NamedTuple):
    """A local commit."""

    commit: ObjectId
    parent: ObjectId | None
    author: str
    subject: str
    key: str
    """The same for a patch wherever it was moved: digest of author, author's date and message."""

    @property
    def told(self) -> Commit:
        """As people are told of it."""
        return Commit(self.commit, self.author, self.subject)


class Merged(NamedTuple):
    """git's answer to a three-way merge."""

    tree: str
    conflicts: tuple[str, ...] = ()
    """Paths; none: it is clean."""
    kind: str = ""
    """git's word for the first conflict: content, modify/delete, binary…"""


class Clash(NamedTuple):
    """Why a patch does not fit."""

    kind: str
    paths: tuple[str, ...]
    cause: Commit | None = None
    """The commit of the central branch from which on it does not fit."""
    builds_on: Commit | None = None
    """A parked patch that it needs."""

    def __str__(self) -> str:
        where = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        if self.cause is not None:
            why = f"because of {self.cause}"
        elif self.builds_on is not None:
            why = f"because it builds on the parked {self.builds_on}"
        else:
            why = "and no single commit is the cause"
        return f"{where} ({self.kind}) {why}"


class Fate(NamedTuple):
    """What becomes of one patch."""

    number: int
    """Its place in the queue, from 1."""
    patch: Patch
    fortune: Fortune
    commit: ObjectId | None = None
    """What it is now."""
    taken_as: Commit | None = None
    clash: Clash | None = None

    def __str__(self) -> str:
        head = f"patch {self.number}, {self.patch.told}"
        if self.fortune == "taken":
            return f"{head}: upstream has it" + (f" as {self.taken_as.commit.abbreviated}" if self.taken_as else "")
        if self.fortune == "empty":
            return f"{head}: dropped, because nothing of it is left"
        if self.fortune == "parked":
            return f"{head}: parked; it conflicts in {self.clash}"
        if self.fortune == "conflict":
            return f"{head}: conflicts in {self.clash}"
        if self.fortune == "waiting":
            return f"{head}: not tried, because an earlier one conflicts"
        return head


class Queue(NamedTuple):
    """The patches, and what they stand on."""

    local: ObjectId
    upstream: ObjectId
    patches: tuple[Patch, ...]
    """In the order in which they are applied."""
    withdrawn: int
    """Commits in the local branch that upstream once had, and has no more."""
    behind: int
    """Commits of upstream that the local branch does not have."""

    @property
    def current(self) -> bool:
        """Whether the patches stand on upstream as it is."""
        return not self.withdrawn and not self.behind


class Replayed(NamedTuple):
    """What the queue would be."""

    tip: ObjectId
    fates: tuple[Fate, ...]

    @property
    def stopped(self) -> Fate | None:
        """The patch that stops the sync."""
        return next((fate for fate in self.fates if fate.fortune == "conflict"), None)

    def of(self, *fortunes: Fortune) -> tuple[Fate, ...]:
        """Return the patches that fared so."""
        return tuple(fate for fate in self.fates if fate.fortune in fortunes)


class Snapshot(NamedTuple):
    """A former state of the local branch."""

    name: str
    """When it was replaced: YYYYmmddTHHMMSSZ, and `-N` for more of the same second."""
    commit: ObjectId
    at: float


def parse_merge(status: int, output: bytes) -> Merged:
    """Read what `git merge-tree --write-tree -z --name-only --messages` says; raise ValueError if it is none."""
    fields = output.split(b"\0")
    tree = fields[0].decode("ascii")
    if status == 0:
        return Merged(tree)
    if status != 1 or b"" not in fields[1:]:
        raise ValueError("this is not an answer of git merge-tree")
    end = fields.index(b"", 1)
    paths = tuple(dict.fromkeys(_text(path) for path in fields[1:end]))
    rest, kinds = fields[end + 1 :], []
    while len(rest) > 2:
        count = int(rest[0])
        kinds.append((_text(rest[count + 1]), _text(rest[count + 2])))
        rest = rest[count + 3 :]
    conflicts = [(kind, said) for kind, said in kinds if kind.startswith("CONFLICT (")]
    if not conflicts:
        return Merged(tree, paths or ("?",), "content")
    # git calls both "contents" for programs: same file changed, and same file added; its words tell them apart.
    kind, said = conflicts[0]
    text = said if kind == "CONFLICT (contents)" and said.startswith("CONFLICT (") else kind
    return Merged(tree, paths or ("?",), text.removeprefix("CONFLICT (").partition(")")[0])


def key_of(raw: bytes) -> str:
    """Return what makes a commit the same patch wherever it stands, from its raw text."""
    header, _, message = raw.partition(b"\n\n")
    author = next((line for line in header.split(b"\n") if line.startswith(b"author ")), b"")
    return hashlib.sha256(author + b"\n" + message.strip()).hexdigest()[:32]


def rewritten(raw: bytes, tree: str, parent: ObjectId) -> bytes:
    """Return a commit's raw text with another tree and parent; a signature, which would be wrong, goes."""
    header, _, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    dropped = False
    for line in header.split(b"\n"):
        if not line.startswith(b" "):
            dropped = line.startswith((b"tree ", b"parent ", b"gpgsig", b"mergetag "))
        if not dropped:
            kept.append(line)
    top = [f"tree {tree}".encode("ascii"), f"parent {parent}".encode("ascii")]
    return b"\n".join([*top, *kept]) + b"\n\n" + message


def prunable(snapshots: Sequence[Snapshot], number: int, oldest: float) -> tuple[Snapshot, ...]:
    """Return those beyond the `number` newest, and those from before `oldest` (seconds since 1970); never the newest.

    Whether one of them holds the only copy of a patch must be asked before it goes.
    """
    ordered = sorted(snapshots, key=lambda one: one.name, reverse=True)
    return tuple(one for place, one in enumerate(ordered) if place and (place >= number or one.at < oldest))


def only_copies(patches: Iterable[Patch], elsewhere: Collection[str]) -> tuple[Patch, ...]:
    """Return the patches that are not among the keys `elsewhere`."""
    return tuple(patch for patch in patches if patch.key not in elsewhere)


def blames(parked: Iterable[tuple[Commit, frozenset[str]]], paths: Iterable[str]) -> Commit | None:
    """Return the last parked patch that touched one of `paths`."""
    wanted = set(paths)
    found = [commit for commit, touched in parked if touched & wanted]
    return found[-1] if found else None


def message(outcome: Outcome, queue: Queue | None, replayed: Replayed | None, detail: str = "") -> str:
    """Return the one line that stands for a sync."""
    if outcome == "conflict" and replayed is not None and replayed.stopped is not None:
        return f"nothing was changed: {replayed.stopped}"
    if outcome in ("unsound", "blocked"):
        return f"nothing was changed: {detail}"
    if outcome in ("failed", "paused") or queue is None:
        return detail
    standing = len(replayed.of("kept", "moved")) if replayed else len(queue.patches)
    parts = [f"{counted(standing, 'patch', 'patches')} on {queue.upstream.abbreviated}"]
    if replayed is not None:
        counts = ((len(replayed.of(fortune)), word) for fortune, word in _COUNTED)
        parts += [f"{count} {word}" for count, word in counts if count]
    if queue.withdrawn:
        parts.append(f"{counted(queue.withdrawn, 'commit')} left out that upstream no longer has")
    return "; ".join([*parts, *([detail] if detail else [])])


_COUNTED: tuple[tuple[Fortune, str], ...] = (
    ("taken", "taken by upstream"),
    ("empty", "dropped as empty"),
    ("parked", "parked"),
)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
