"""git's program for questions about commits that only git answers well: merges, patch-ids, histories as text.

git runs in a directory of its own that shows it a repository's objects and refs and none of its configuration or
attributes, so that no merge driver, filter or text conversion that stands there is started. What it writes are objects
and nothing else: into the repository, or into a directory of objects apart from it (mirror/arriving.py), which the
caller then lets in or throws away. Refs it does not move (refstore.py).

Not here: what is asked (merges.py, patches.py). Failure modes: git cannot be started, or fails: `RepositoryError`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from git_hooks.repository.git_program import command, sealed
from git_hooks.repository.reading import RepositoryError, is_sha256

_SHA1 = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
_SHA256 = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n"


class GitApart:
    """git on one repository, without what is configured there. A context: its directory goes at the end."""

    def __init__(
        self, repository: str, *, objects: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """Start nothing yet.

        `objects`: a directory that gets what is written and knows the repository's by its alternates. `environ`: that
        of a hook, whose quarantine is seen; None: there is none.
        """
        self.repository = repository
        self._objects = objects
        self._environment = sealed(os.environ if environ is None else environ, quarantine=environ is not None)
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        """Make its directory."""
        try:
            self._directory = made = tempfile.TemporaryDirectory(prefix="puppetmaster-apart-")
            place = Path(made.name)
            real = os.path.realpath(self.repository)
            for part in ("refs", "packed-refs", "shallow"):
                (place / part).symlink_to(f"{real}/{part}")
            (place / "objects").symlink_to(self._objects or f"{real}/objects")
            (place / "HEAD").write_text("ref: refs/heads/nobodys\n", encoding="ascii")
            (place / "config").write_text(_SHA256 if is_sha256(self.repository) else _SHA1, encoding="ascii")
        except OSError as error:
            raise RepositoryError(f"git cannot be given a directory: {error.strerror}", where=error.filename) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def ask(self, *words: str, stdin: bytes = b"", more: Mapping[str, str] | None = None) -> bytes:
        """Return what git says; raise `RepositoryError` if it fails. `more`: variables that it gets."""
        status, said = self.answer(*words, stdin=stdin, more=more)
        if status:
            raise RepositoryError(f"git {words[0]} failed with status {status}", where=self.repository)
        return said

    def through(self, first: Sequence[str], second: Sequence[str]) -> bytes:
        """Return what git says of what it said before, which may be large and is not held here.

        Raise `RepositoryError` if one of both fails.
        """
        assert self._directory is not None, "used outside of its context"
        place = self._directory.name
        try:
            with subprocess.Popen(
                command(place, *first), env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as writing:
                reading = subprocess.run(
                    command(place, *second),
                    env=self._environment,
                    stdin=writing.stdout,
                    capture_output=True,
                    check=False,
                )
        except OSError as error:
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self.repository) from error
        for words, status in ((first, writing.returncode), (second, reading.returncode)):
            if status:
                raise RepositoryError(f"git {words[0]} failed with status {status}", where=self.repository)
        return reading.stdout

    def answer(self, *words: str, stdin: bytes = b"", more: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Return git's status, and what it says; raise `RepositoryError` only if it cannot be asked at all.

        A status above 1 is a failure, and raises with git's own reason.
        """
        assert self._directory is not None, "used outside of its context"
        try:
            done = subprocess.run(
                command(self._directory.name, *words),
                env={**self._environment, **(more or {})},
                input=stdin,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self.repository) from error
        if done.returncode not in (0, 1):
            from enc.terms.program_words import why  # only for a failure

            told = why(done.stderr.decode("utf-8", "replace"))
            raise RepositoryError(f"git {words[0]} failed: {told}", where=self.repository)
        return done.returncode, done.stdout
