"""Merges, cherry-picks and reverts without a working copy: git's own merge of three trees.

All three are the same question: what was done between `base` and `theirs` is to be done to `ours`. git merge-tree
takes commits and finds the base itself (its --merge-base came with git 2.40, and Debian 12 has 2.39). So it is given
three commits that nobody will see again, whose history says what the base is.

Not here: which commits (git_hooks/promotion), objects' place (apart.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import trees_of_change
from git_hooks.repository.reading import RepositoryError
from git_hooks.repository.refs import ObjectId

_NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "puppetmaster"), ("EMAIL", "puppetmaster@localhost"), ("DATE", "@0 +0000"))
}


class Conflict(NamedTuple):
    """A path on which two sides do not agree."""

    path: str
    what: str
    """In git's words: `CONFLICT (content): Merge conflict in a`."""


class Merged(NamedTuple):
    """What a merge of three trees gives."""

    tree: str
    """With conflicts it has their marks, and is good for nothing but looking."""
    conflicts: tuple[Conflict, ...] = ()


class Identity(NamedTuple):
    """Who made something, as commits have it."""

    name: str
    email: str
    date: str
    """`@SECONDS +ZONE`, as git takes it."""


def three_trees(git: GitApart, base: str, ours: str, theirs: str) -> Merged:
    """Return what `ours` is with all that was done from `base` to `theirs`; all three are trees."""
    ancestor = _throwaway(git, base)
    return _merged(git, _throwaway(git, ours, ancestor), _throwaway(git, theirs, ancestor))


def two_commits(git: GitApart, ours: str, theirs: str) -> Merged:
    """Return what the merge of two commits is; git finds where they parted. Raise `RepositoryError` if nowhere."""
    return _merged(git, ours, theirs)


def shows(git: GitApart, tree: str, change: str) -> bool | None:
    """Tell whether a tree has what a commit did: without it, it would be another. None: this cannot be told.

    So a change is seen to be gone that a revert of it, or of the merge that brought it, or somebody's hand undid.
    """
    before, after = trees_of_change(git, change)
    undone = three_trees(git, after, tree, before)
    return None if undone.conflicts else undone.tree != tree


def commit(
    git: GitApart, tree: str, parents: Sequence[str], message: str, author: Identity, committer: Identity
) -> ObjectId:
    """Make a commit, and return its name."""
    words = ("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-F", "-")
    people = (("AUTHOR", author), ("COMMITTER", committer))
    variables = {f"GIT_{who}_{what.upper()}": getattr(one, what) for who, one in people for what in one._fields}
    made = git.ask(*words, stdin=message.encode("utf-8", "surrogateescape"), more=variables)
    return ObjectId(made.decode("ascii").strip())


def _throwaway(git: GitApart, tree: str, *parents: str) -> str:
    words = ("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-m", "x")
    return git.ask(*words, more=_NOBODY).decode("ascii").strip()


def _merged(git: GitApart, ours: str, theirs: str) -> Merged:
    status, said = git.answer("merge-tree", "--write-tree", "-z", "--name-only", "--messages", ours, theirs)
    # TREE\0, the paths in conflict, an empty one; then for each message: how many paths, these, its kind, its text.
    tree, *rest = said.decode("utf-8", "surrogateescape").split("\0")
    if not ObjectId.accepts(tree):
        raise RepositoryError("git merge-tree cannot merge these: their histories have nothing in common")
    if status == 0:
        return Merged(tree)
    end = rest.index("") if "" in rest else len(rest)
    paths, texts = tuple(dict.fromkeys(rest[:end])), dict[str, str]()
    fields = iter(rest[end + 1 :])
    for count in fields:
        if not count.isdigit():
            break
        about = [next(fields, "") for _ in range(int(count))]
        kind, text = next(fields, ""), next(fields, "").strip()
        if kind.startswith("CONFLICT"):
            texts = dict.fromkeys(about, text) | texts
    return Merged(tree, tuple(Conflict(path, texts.get(path, "CONFLICT")) for path in paths))
