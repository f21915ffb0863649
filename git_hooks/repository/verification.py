"""Lets git verify signatures of commits and tags, against the ssh keys that the caller names.

Owns: how git and ssh-keygen are started for it. Only signatures by ssh count:
the programs for others are not started. What is verified may still be in
quarantine. Failure modes: `RepositoryError` if git fails or takes too long.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from git_hooks.repository.git_program import command, sealed
from git_hooks.repository.reading import RepositoryError
from git_hooks.repository.refs import ObjectId

_SECONDS = 120.0
"""For one run of git; a signature takes some 10 ms."""


class Verification:
    """Signatures in one repository, as a hook sees it."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        """Start nothing; `environ` is what git gave the hook."""
        self._path = path
        self._environ = environ

    def new_commits(self, new: str, known: Sequence[str], most: int) -> list[tuple[ObjectId, tuple[ObjectId, ...]]]:
        """Return the commits that `new` has and none of `known`, with their parents; one more than `most` at most."""
        words = ("rev-list", "--topo-order", "--parents", f"--max-count={most + 1}", "--stdin")
        given = "".join(f"{one}\n" for one in (new, *(f"^{one}" for one in known)))
        lines = self._run(words, sealed(self._environ, quarantine=True), given).splitlines()
        found = [[ObjectId(name) for name in line.split()] for line in lines]
        return [(commit, tuple(parents)) for commit, *parents in found]

    def signers(self, commits: Sequence[ObjectId], allowed: Iterable[str]) -> dict[ObjectId, str]:
        """Return who signed each commit, of those whose signature is valid and by one of `allowed`.

        These are lines of ssh-keygen's allowed signers (ssh-keygen(1), ALLOWED SIGNERS).
        """
        with self._environment(allowed) as environment:
            words = ("log", "--no-walk=unsorted", "--no-mailmap", "--stdin", "--format=%H %G? %GS")
            lines = self._run(words, environment, "".join(f"{one}\n" for one in commits)).splitlines()
        found = (line.split(" ", 2) for line in lines)
        return {ObjectId(words[0]): words[2] for words in found if len(words) == 3 and words[1] == "G"}

    def tag_is_valid(self, tag: ObjectId, allowed: Iterable[str]) -> bool:
        """Tell whether a tag object has a valid signature by one of `allowed` (as above)."""
        with self._environment(allowed) as environment:
            return self._finish(("verify-tag", str(tag)), environment, "").returncode == 0

    @contextmanager
    def _environment(self, allowed: Iterable[str]) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory(prefix="puppetmaster-signers-") as place:
            file = Path(place, "allowed")
            file.write_text("".join(f"{line}\n" for line in allowed), encoding="ascii")
            settings = {
                "gpg.format": "ssh",
                "gpg.ssh.program": "ssh-keygen",
                "gpg.ssh.allowedSignersFile": str(file),
                "gpg.ssh.revocationFile": "",
                "gpg.minTrustLevel": "fully",
                "log.showSignature": "false",
            }
            yield sealed(self._environ, quarantine=True, also=settings) | {"TMPDIR": place}

    def _run(self, words: Sequence[str], environment: Mapping[str, str], given: str) -> str:
        done = self._finish(words, environment, given)
        if done.returncode:
            raise RepositoryError(f"git {words[0]} failed with status {done.returncode}", where=self._path)
        return done.stdout

    def _finish(
        self, words: Sequence[str], environment: Mapping[str, str], given: str
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command(self._path, *words),
                env=dict(environment),
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                cwd=os.path.abspath(self._path),
                check=False,
            )
        except OSError as error:
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self._path) from error
        except subprocess.TimeoutExpired as error:
            raise RepositoryError(f"git {words[0]} did not end within {_SECONDS:.0f} s", where=self._path) from error
