"""The central repository: fetched, pushed to, and what was seen of it.

Owns: refs/remotes/upstream/BRANCH, the branches as they were fetched, with
their reflogs; and what goes over the network. Not here: what local commits
mean beside them (queueing.py).

Failure modes: away, refused, a branch that is gone, a password that nobody can
be asked for: `GitFailed`, with the central repository's words.
"""

from __future__ import annotations

from dataclasses import dataclass

from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.instance.keep import FETCH, REMOTE, reason
from puppetmaster_self.sync.commits import LONGEST, Commits
from puppetmaster_self.sync.git import Git, GitFailed

_NO_SUCH_REF = 2


@dataclass(frozen=True)
class Central:
    """The remote of one repository."""

    git: Git
    commits: Commits
    timeout: float
    """Seconds that one fetch or push may take."""

    def fetch(self, branch: BranchName) -> ObjectId:
        """Fetch all of the central repository; return the commit of `branch` there."""
        theirs = _tracking(branch)
        refspecs = (f"+{branch.ref}:{theirs}", f"+refs/heads/*:refs/remotes/{REMOTE}/*")
        shallow = self.git.text("rev-parse", "--is-shallow-repository").strip() == "true"
        options = (*FETCH, "--no-tags", "--prune", "--no-write-fetch-head", "--no-recurse-submodules")
        full = ("--unshallow",) if shallow else ()
        answer = self.git.ask("fetch", *options, *full, REMOTE, *refspecs, timeout=self.timeout)
        if answer.status:
            # 2: it can be read, and has no such branch (git-ls-remote(1))
            if (
                self.git.ask("ls-remote", "--exit-code", REMOTE, branch.ref, timeout=self.timeout).status
                == _NO_SUCH_REF
            ):
                raise GitFailed(f"the central repository no longer has branch {branch}")
            raise GitFailed(f"the central repository cannot be fetched: {reason(answer.words)}")
        found = self.tip(branch)
        if found is None:
            raise GitFailed(f"the central repository's branch {branch} was not fetched")
        return found

    def push(self, commit: ObjectId, ref: str) -> None:
        """Push one commit to a ref; raise `GitFailed` with the words of who refuses it."""
        answer = self.git.ask("push", "--quiet", "--no-verify", REMOTE, f"{commit}:{ref}", timeout=self.timeout)
        if answer.status:
            said = [line.strip() for line in answer.words.splitlines() if line.strip()]
            refused = [line.removeprefix("remote: ") for line in said if line.startswith(("remote: ", "! ["))]
            words = reason("\n".join(refused) or answer.words)
            raise GitFailed(f"the central repository refused it: {words}")

    def tip(self, branch: BranchName) -> ObjectId | None:
        """Return where a branch was when it was fetched last; None: there was none."""
        return self.commits.tip(_tracking(branch))

    def tips(self) -> tuple[ObjectId, ...]:
        """Return where all branches were."""
        output = self.git.text("for-each-ref", "--format=%(objectname)", f"refs/remotes/{REMOTE}/")
        return tuple(dict.fromkeys(ObjectId(line) for line in output.split()))

    def seen(self, branch: BranchName) -> tuple[ObjectId, ...]:
        """Return where a branch has ever been seen, as far as the reflog tells."""
        answer = self.git.ask("rev-list", "--walk-reflogs", f"--max-count={LONGEST}", _tracking(branch))
        words = answer.output.decode("ascii", "replace").split() if answer.status == 0 else []
        return tuple(ObjectId(word) for word in words)


def _tracking(branch: BranchName) -> str:
    return f"refs/remotes/{REMOTE}/{branch}"
