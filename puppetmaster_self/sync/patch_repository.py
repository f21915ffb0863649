"""The instance's own repository, as the patch queue needs it: git is asked, patches are carried over, refs are moved.

No working tree is involved, neither the live one nor a scratch one: git merges
trees (`git merge-tree`), and what is killed leaves objects that git collects
some weeks later. Refs that are ours:

    refs/remotes/upstream/BRANCH   the central repository, as it was fetched
    refs/sync/base                 the central commit that the patches stand on
    refs/sync/next                 what is about to become the local branch
    refs/snapshots/TIME            the local branch, before it was moved at TIME
    refs/parked/COMMIT             a patch that was set aside: the commit itself

Failure modes: git's words as `GitFailed`; a branch that somebody moved
meanwhile: `Conflict`.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from enc.terms.errors import Conflict, ToolkitError
from enc.terms.names import BranchName
from git_hooks.repository.reading import git_environment
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import tree_and_parents
from puppetmaster_self.instance.keep import FETCH, REMOTE, WITHOUT_QUESTIONS, reason
from puppetmaster_self.sync.upstream import Commit, Merged, Patch, Queue, Snapshot, key_of, parse_merge, rewritten

PARKED = "refs/parked/"
SNAPSHOTS = "refs/snapshots/"
BASE = "refs/sync/base"
NEXT = "refs/sync/next"

LONGEST = 1000
"""So many local commits are a queue; more are a branch that does not belong to this upstream."""
_LOCAL = 300.0
_NOBODY = "puppetmaster-self <> 0 +0000"
_ALWAYS = ("-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "core.fsync=all")
"""git does not sync single objects by default: after a power cut a branch could name what is not there."""


class GitFailed(ToolkitError):
    """git could not do what it was asked for."""


class Answer(NamedTuple):
    """How git ended."""

    status: int
    output: bytes
    words: str


class PatchRepository:
    """One bare repository."""

    def __init__(self, path: Path, *, timeout: float = _LOCAL, lock_handle: int | None = None) -> None:
        """Start nothing. `timeout` is for what goes over the network; git's processes hold `lock_handle`, too."""
        self.path = path
        self._timeout = timeout
        self.handles = () if lock_handle is None else (lock_handle,)

    # What there is

    def tip(self, ref: str) -> ObjectId | None:
        """Return the commit of a ref, None if there is none."""
        answer = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        text = answer.output.decode("ascii", "replace").strip()
        return ObjectId(text) if answer.status == 0 and ObjectId.accepts(text) else None

    def fetch(self, branch: BranchName) -> ObjectId:
        """Fetch all of the central repository; return the commit of `branch` there."""
        theirs = tracking(branch)
        refspecs = (f"+{branch.ref}:{theirs}", f"+refs/heads/*:refs/remotes/{REMOTE}/*")
        shallow = self._text("rev-parse", "--is-shallow-repository").strip() == "true"
        options = (*FETCH, "--no-tags", "--prune", "--no-write-fetch-head", "--no-recurse-submodules")
        full = ("--unshallow",) if shallow else ()
        answer = self._ask("fetch", *options, *full, REMOTE, *refspecs, timeout=self._timeout)
        if "couldn't find remote ref" in answer.words:
            raise GitFailed(f"the central repository has no branch {branch} any more")
        if answer.status:
            raise GitFailed(f"the central repository cannot be fetched: {reason(answer.words)}")
        found = self.tip(theirs)
        if found is None:
            raise GitFailed(f"the central repository's branch {branch} was not fetched")
        return found

    def queue(self, local: BranchName, branch: BranchName) -> Queue:
        """Return the local commits on `branch` as it was fetched; raise `ToolkitError` if they are no queue."""
        tip, theirs = self.tip(local.ref), self.tip(tracking(branch))
        if tip is None or theirs is None:
            raise ToolkitError(f"no branch {local if tip is None else branch}", where=str(self.path))
        once = self._once(branch)
        new = self._list("--topo-order", f"--max-count={LONGEST + 1}", tip, f"^{theirs}", *(f"^{one}" for one in once))
        if len(new) > LONGEST:
            raise ToolkitError(f"{local} has more than {LONGEST} commits that {branch} never had; is that its branch?")
        all_new = int(self._text("rev-list", "--count", tip, f"^{theirs}"))
        behind = int(self._text("rev-list", "--count", theirs, f"^{tip}"))
        patches = []
        for commit in reversed(new):
            raw = self.raw(commit)
            parents = _parents(raw)
            if len(parents) > 1:
                self._refuse_change(commit, raw)
                continue
            patches.append(_patch(commit, parents, raw))
        return Queue(tip, theirs, tuple(patches), all_new - len(new), behind)

    def patches(self, tip: ObjectId, without: Iterable[ObjectId]) -> tuple[Patch, ...]:
        """Return the commits of `tip` that none of `without` has, but no merges."""
        words = ("--no-merges", f"--max-count={LONGEST}", tip, *(f"^{one}" for one in without))
        return tuple(self.patch(commit) for commit in self._list(*words))

    def patch(self, commit: ObjectId) -> Patch:
        """Return one commit as a patch."""
        raw = self.raw(commit)
        return _patch(commit, _parents(raw), raw)

    def upstream_commits(self) -> tuple[ObjectId, ...]:
        """Return the commits of all central branches."""
        output = self._text("for-each-ref", "--format=%(objectname)", f"refs/remotes/{REMOTE}/")
        return tuple(dict.fromkeys(ObjectId(line) for line in output.split()))

    def raw(self, commit: ObjectId) -> bytes:
        """Return the text of a commit as git keeps it."""
        return self._run("cat-file", "commit", commit)

    def told(self, commit: ObjectId) -> Commit:
        """Return a commit as people are told of it."""
        return self.patch(commit).told

    def tree(self, commit: ObjectId) -> str:
        """Return the tree of a commit."""
        return self._text("rev-parse", f"{commit}^{{tree}}").strip()

    def touched(self, patch: Patch) -> frozenset[str]:
        """Return the paths that a patch changes; of a rename, both."""
        words = ("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", "--no-renames", patch.commit)
        return frozenset(part.decode("utf-8", "surrogateescape") for part in self._run(*words).split(b"\0") if part)

    def taken(self, queue: Queue) -> dict[ObjectId, Commit | None]:
        """Return the patches of which upstream has a commit with the same patch-id, with that commit."""
        both = f"{queue.upstream}...{queue.local}"
        words = ("rev-list", "--cherry-mark", "--right-only", "--no-merges", both)
        marked = {line[1:] for line in self._text(*words).splitlines() if line.startswith("=")}
        return {one.commit: self._taken_as(queue, one) for one in queue.patches if one.commit in marked}

    # Carrying over

    def merge(self, patch: Patch, onto: ObjectId) -> Merged:
        """Merge what `patch` changes into `onto`, by git's own merge of three trees."""
        base, theirs = patch.parent, patch.commit
        if base is None:  # a commit without parent changes an empty tree
            base = self._commit(self._run("mktree", stdin=b"").decode("ascii").strip(), ())
            theirs = self._commit(self.tree(patch.commit), (base,))
        ours = self._commit(self.tree(onto), (base,))
        return self._merge_tree(ours, theirs)

    def write(self, patch: Patch, tree: str, parent: ObjectId) -> ObjectId:
        """Write `patch` as a commit with this tree and parent."""
        text = rewritten(self.raw(patch.commit), tree, parent)
        return ObjectId(self._run("hash-object", "-t", "commit", "-w", "--stdin", stdin=text).decode("ascii").strip())

    def cause(self, patch: Patch, onto: ObjectId, paths: Sequence[str]) -> Commit | None:
        """Return the first commit up to `onto` from which on `patch` conflicts, as far as that can be told.

        Commits that touched the paths are tried, halving; each time with the
        merge of everything up to the patch, so earlier patches count, too.
        """
        wanted = sorted(self.touched(patch) | set(paths))
        literal = [f":(literal){path}" for path in wanted]
        words = ("--no-merges", "--reverse", "--topo-order", onto, f"^{patch.commit}", "--", *literal)
        touching = self._list(*words)
        if not touching:
            return None
        low, high = 0, len(touching) - 1
        while low < high:
            middle = (low + high) // 2
            if self._merge_tree(touching[middle], patch.commit).conflicts:
                high = middle
            else:
                low = middle + 1
        return self.told(touching[low])

    # Refs

    def point(self, ref: str, new: ObjectId, old: ObjectId | None = None) -> None:
        """Let a ref be at `new`; with `old`, only if it is there: else raise `Conflict`."""
        expected = () if old is None else (old,)
        answer = self._ask("update-ref", "--create-reflog", "-m", "puppetmaster-self sync", ref, new, *expected)
        if answer.status:
            raise Conflict(f"{ref} was not moved, git says: {reason(answer.words)}", where=str(self.path))

    def forget(self, ref: str, old: ObjectId) -> None:
        """Delete a ref that is at `old`."""
        self._run("update-ref", "-d", ref, old)

    def parked(self) -> tuple[Patch, ...]:
        """Return the patches that were set aside, in their authors' order."""
        output = self._text("for-each-ref", "--sort=authordate", "--format=%(objectname)", PARKED)
        return tuple(self.patch(ObjectId(line)) for line in output.split())

    def park(self, patch: Patch) -> None:
        """Keep a patch aside."""
        self.point(PARKED + patch.commit, patch.commit)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Return the former states of the local branch, the newest first."""
        found = []
        for line in self._text("for-each-ref", "--format=%(objectname) %(refname)", SNAPSHOTS).splitlines():
            commit, _, ref = line.partition(" ")
            name = ref.removeprefix(SNAPSHOTS)
            if (at := moment(name)) is not None:
                found.append(Snapshot(name, ObjectId(commit), at))
        return tuple(sorted(found, key=lambda one: one.name, reverse=True))

    def follow(self, branch: BranchName) -> None:
        """Let another branch go along with the central one, if nobody has added to it here."""
        here, theirs = self.tip(branch.ref), self.tip(tracking(branch))
        if here is None or theirs is None or here == theirs:
            return
        if self._ask("merge-base", "--is-ancestor", here, theirs).status == 0:
            with contextlib.suppress(Conflict):
                self.point(branch.ref, theirs, here)

    def holds(self, commit: ObjectId) -> bool:
        """Tell whether some ref leads to a commit."""
        words = ("for-each-ref", "--count=1", f"--contains={commit}")
        answer = self._ask(*words)
        return answer.status == 0 and bool(answer.output.strip())

    def push(self, commit: ObjectId, ref: str) -> None:
        """Push one commit to a ref of the central repository; raise `GitFailed` with its words."""
        answer = self._ask("push", "--quiet", "--no-verify", REMOTE, f"{commit}:{ref}", timeout=self._timeout)
        if answer.status:
            said = [line.strip() for line in answer.words.splitlines() if line.strip()]
            refused = [line.removeprefix("remote: ") for line in said if line.startswith(("remote: ", "! ["))]
            words = reason("\n".join(refused) or answer.words)
            raise GitFailed(f"the central repository did not take it: {words}")

    # Within

    def _once(self, branch: BranchName) -> tuple[ObjectId, ...]:
        """Return where the central branch was: what stood there is no patch, even if upstream has thrown it away."""
        answer = self._ask("rev-list", "--walk-reflogs", f"--max-count={LONGEST}", tracking(branch))
        seen = answer.output.decode("ascii", "replace").split() if answer.status == 0 else []
        base = self.tip(BASE)
        return tuple(dict.fromkeys([*([base] if base else []), *(ObjectId(text) for text in seen)]))

    def _refuse_change(self, commit: ObjectId, raw: bytes) -> None:
        """Raise `ToolkitError` if a merge holds more than git's own merge of its parents."""
        parents = _parents(raw)
        merged = self._merge_tree(parents[0], parents[1]) if len(parents) == 2 else None
        if merged is None or merged.conflicts or merged.tree != self.tree(commit):
            raise ToolkitError(
                f"the merge {self.told(commit)} holds changes of its own, which no patch has; "
                "make a line of commits of it (git rebase), then sync again"
            )

    def _taken_as(self, queue: Queue, patch: Patch) -> Commit | None:
        without = () if patch.parent is None else (f"^{patch.parent}",)
        both = f"{queue.upstream}...{patch.commit}"
        marked = self._text("rev-list", "--cherry-mark", "--left-only", "--no-merges", both, *without).splitlines()
        found = [line[1:] for line in marked if line.startswith("=")]
        return self.told(ObjectId(found[-1])) if found else None

    def _merge_tree(self, ours: ObjectId, theirs: ObjectId) -> Merged:
        words = ("merge-tree", "--write-tree", "-z", "--name-only", "--messages", "--allow-unrelated-histories")
        answer = self._ask(*words, ours, theirs)
        try:
            return parse_merge(answer.status, answer.output)
        except ValueError as error:
            raise GitFailed(f"git merge-tree failed: {reason(answer.words)}", where=str(self.path)) from error

    def _commit(self, tree: str, parents: Sequence[str]) -> ObjectId:
        lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {_NOBODY}", f"committer {_NOBODY}"]
        text = "\n".join([*lines, "", "scratch", ""]).encode("ascii")
        return ObjectId(self._run("hash-object", "-t", "commit", "-w", "--stdin", stdin=text).decode("ascii").strip())

    def _list(self, *words: str) -> list[ObjectId]:
        return [ObjectId(line) for line in self._text("rev-list", *words).split()]

    def _text(self, *words: str) -> str:
        return self._run(*words).decode("utf-8", "surrogateescape")

    def _run(self, *words: str, stdin: bytes = b"") -> bytes:
        answer = self._ask(*words, stdin=stdin)
        if answer.status:
            raise GitFailed(f"git {words[0]} failed: {reason(answer.words)}", where=str(self.path))
        return answer.output

    def _ask(self, *words: str, stdin: bytes = b"", timeout: float = _LOCAL) -> Answer:
        return ask_git(self.path, words, stdin=stdin, timeout=timeout, handles=self.handles)


def ask_git(
    directory: Path, words: Sequence[str], *, stdin: bytes = b"", timeout: float = _LOCAL, handles: Sequence[int] = ()
) -> Answer:
    """Run git in `directory` and return its answer; raise `GitFailed` if it cannot be started or takes too long.

    Hooks do not run, nothing is asked on a terminal, nobody's GIT_* variables count.
    """
    command = ("git", "-C", str(directory), *_ALWAYS, *words)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(os.environ),
            pass_fds=tuple(handles),
            start_new_session=True,
        )
    except OSError as error:
        raise GitFailed(f"git cannot be started: {error.strerror}") from error
    try:
        output, words_of_git = child.communicate(stdin, timeout=timeout)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise GitFailed(f"git {words[0]} gave no answer within {timeout:g} s") from error
        raise
    return Answer(child.returncode, output, words_of_git.decode("utf-8", "replace"))


def tracking(branch: BranchName) -> str:
    """Return the ref of a central branch as it was fetched."""
    return f"refs/remotes/{REMOTE}/{branch}"


def moment(name: str) -> float | None:
    """Return the time (seconds since 1970) that is a snapshot's name; None: it is none."""
    text = name.partition("-")[0]
    try:
        return float(calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return None


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {**git_environment(environ), **WITHOUT_QUESTIONS, "GIT_OPTIONAL_LOCKS": "0"}


def _patch(commit: ObjectId, parents: Sequence[ObjectId], raw: bytes) -> Patch:
    header, _, message = raw.partition(b"\n\n")
    author = next((line for line in header.split(b"\n") if line.startswith(b"author ")), b"author ?")
    who = author.removeprefix(b"author ").rpartition(b">")[0] + b">"
    subject = message.strip().partition(b"\n")[0]
    parent = parents[0] if parents else None
    return Patch(commit, parent, who.decode("utf-8", "replace"), subject.decode("utf-8", "replace"), key_of(raw))


def _parents(raw: bytes) -> tuple[ObjectId, ...]:
    return tuple(map(ObjectId, tree_and_parents(raw)[1]))
