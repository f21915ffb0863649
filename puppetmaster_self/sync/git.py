"""git's program in one directory: started, given time, and its words made an error where it fails.

Owns: the processes. Hooks do not run, nothing is asked on a terminal, nobody's
GIT_* variables count, and every object is on disk before git says that it is.
Not here: what is asked of git.

Failure modes: git is missing, takes longer than it was given (it is ended with
all that it started) or ends with an error: `GitFailed`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from enc.terms.errors import ToolkitError
from git_hooks.repository.git_program import git_environment
from puppetmaster_self.instance.keep import WITHOUT_QUESTIONS, reason

_LOCAL = 300.0
"""Seconds for what does not go over the network."""
_ALWAYS = ("-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "core.fsync=all")
"""git does not sync single objects by default: after a power cut a branch could name what is not there."""


class GitFailed(ToolkitError):
    """git could not do what it was asked for."""


class Answer(NamedTuple):
    """How git ended."""

    status: int
    output: bytes
    words: str


@dataclass(frozen=True)
class Git:
    """git in one directory."""

    directory: Path
    handles: tuple[int, ...] = ()
    """File descriptors that git's processes hold, too: the instance's lock."""

    def ask(self, *words: str, stdin: bytes = b"", timeout: float = _LOCAL) -> Answer:
        """Run git and return its answer, good or bad; raise `GitFailed` if it gives none within `timeout` seconds."""
        command = ("git", "-C", str(self.directory), *_ALWAYS, *words)
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**git_environment(os.environ), **WITHOUT_QUESTIONS, "GIT_OPTIONAL_LOCKS": "0"},
                pass_fds=self.handles,
                start_new_session=True,
            )
        except OSError as error:
            raise GitFailed(f"git cannot be started: {error.strerror}") from error
        try:
            output, said = child.communicate(stdin, timeout=timeout)
        except BaseException as error:
            _end(child)
            if isinstance(error, subprocess.TimeoutExpired):
                raise GitFailed(f"git {words[0]} gave no answer within {timeout:g} s") from error
            raise
        return Answer(child.returncode, output, said.decode("utf-8", "replace"))

    def run(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run git and return what it prints; raise `GitFailed` with its words unless it succeeds."""
        answer = self.ask(*words, stdin=stdin)
        if answer.status:
            raise GitFailed(f"git {words[0]} failed: {reason(answer.words)}", where=str(self.directory))
        return answer.output

    def text(self, *words: str) -> str:
        """Return what `run` does, as text; octets that are none survive as surrogates."""
        return self.run(*words).decode("utf-8", "surrogateescape")

    def paths(self, *words: str) -> frozenset[str]:
        """Return what git prints with `-z`: paths, as text."""
        return frozenset(raw.decode("utf-8", "surrogateescape") for raw in self.run(*words).split(b"\0") if raw)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: in order, or after ten seconds by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        child.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
