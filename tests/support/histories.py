"""Histories of any length in bare repositories, made by `git fast-import`."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.bare import git

_WORDS = ("file", "service", "package", "ensure", "present", "require", "notify", "include", "profile", "role", "true")


class History:
    """One repository that gets commits."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._clock = 1_700_000_000

    def commit(self, branch: str, files: Mapping[str, bytes | None], message: str = "a change") -> str:
        """Make a commit on a branch, and return its name; None removes a file."""
        self._import(self._one(branch, files, message, self._has(branch)))
        return git(self._repository, "rev-parse", f"refs/heads/{branch}")

    def branch(self, name: str, commit: str) -> None:
        """Let a branch be at a commit."""
        git(self._repository, "update-ref", f"refs/heads/{name}", commit)

    def many(self, branch: str, commits: int, planted: Mapping[int, tuple[str, bytes]] | None = None) -> None:
        """Make so many commits, each of which changes one of some manifests, data files and templates.

        `planted`: number of a commit, and what it brings besides; the next one takes it away.
        """
        chance, stream, kept = random.Random(1), bytearray(), dict[str, list[str]]()
        began = self._has(branch)
        for number in range(commits):
            module = f"m{chance.randrange(40)}"
            kind = chance.choice(("manifests/{}.pp", "templates/{}.erb", "data/{}.yaml", "files/{}.conf"))
            path = f"modules/{module}/{kind.format(chance.choice(_WORDS))}"
            lines = kept.setdefault(path, [f"# {path}"])
            lines.insert(chance.randrange(len(lines) + 1), _line(path, number, chance))
            files: dict[str, bytes | None] = {path: "\n".join(lines).encode() + b"\n"}
            if planted and number in planted:
                files[planted[number][0]] = planted[number][1]
            if planted and number - 1 in planted:
                files[planted[number - 1][0]] = None
            stream += self._one(branch, files, f"change {number}", began and number == 0)
        self._import(bytes(stream))

    def _one(self, branch: str, files: Mapping[str, bytes | None], message: str, goes_on: bool) -> bytes:
        self._clock += 60
        text = message.encode()
        head = f"commit refs/heads/{branch}\ncommitter A <a@example.org> {self._clock} +0000\ndata {len(text)}\n"
        body = head.encode() + text + b"\n"
        if goes_on:
            body += f"from refs/heads/{branch}^0\n".encode()
        for path, content in files.items():
            if content is None:
                body += f"D {path}\n".encode()
            else:
                body += f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n"
        return body

    def _has(self, branch: str) -> bool:
        done = subprocess.run(
            ["git", "-C", str(self._repository), "rev-parse", "-q", "--verify", f"refs/heads/{branch}"],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _import(self, stream: bytes) -> None:
        git(self._repository, "fast-import", "--quiet", "--force", stdin=stream)


def _line(path: str, number: int, chance: random.Random) -> str:
    words = " ".join(chance.choices(_WORDS, k=6))
    if path.endswith(".yaml"):
        return f"key_{number}: {words}"
    return f"# {words} {number}"
