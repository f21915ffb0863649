"""Real bare repositories for tests, with commits of any content, hostile ones too."""

from __future__ import annotations

import os
import subprocess
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

from enc.settings import BranchSettings
from enc.terms.names import BranchName
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.verify import verify_store
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, Entry, object_id, render_tree
from tests.support.clocks import even

Content = Mapping[str, "str | bytes | Content"]
"""Name → text, `-> target` for a link, `#!...` for a program, or a directory."""

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"), ("DATE", "1700000000 +0000"))
}


def git(repository: Path | str, *arguments: str, stdin: bytes | None = None) -> str:
    """Run git on a repository and return what it says, without the final line break."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env=environment | _IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout.decode().rstrip("\n")


def write(objects: Path, kind: str, content: bytes, name_bytes: int = 20) -> str:
    """Write an object into a directory of objects, unless it is there, and return its name."""
    name = object_id(kind, content, name_bytes)
    place = objects / name[:2] / name[2:]
    place.parent.mkdir(exist_ok=True)
    if not place.exists():
        aside = place.with_name(f"tmp_obj_{os.getpid()}_{threading.get_ident()}")
        aside.write_bytes(zlib.compress(f"{kind} {len(content)}\0".encode() + content))
        aside.rename(place)  # others may write the same one, or read it
    return name


def commit_text(tree: str, *parents: str) -> bytes:
    """Return the commit that `git commit-tree -m "a change"` would make here."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"{who} A <a@example.org> 1700000000 +0000" for who in ("author", "committer")]
    return "\n".join((*lines, "", "a change", "")).encode()


class Bare:
    """One bare repository, and the store and environments that belong to it."""

    def __init__(self, base: Path, object_format: str = "sha1") -> None:
        self.base = base
        self._name_bytes = 32 if object_format == "sha256" else 20
        self.path = base / "repository.git"
        self.settings = BranchSettings(repository=self.path, store=base / "store", environments=base / "environments")
        arguments = ["git", "init", "-q", "--bare", f"--object-format={object_format}", str(self.path)]
        subprocess.run(arguments, check=True)

    def live(self, environment: str) -> Path:
        """The directory that puppetserver reads."""
        return self.settings.environments / environment

    def blob(self, content: str | bytes) -> str:
        """Write a file."""
        return self.write("blob", content.encode() if isinstance(content, str) else content)

    def tree(self, content: Content) -> str:
        """Write a directory."""
        entries = []
        for name, value in content.items():
            if isinstance(value, Mapping):
                entries.append(Entry(DIRECTORY, name, self.tree(value)))
            elif isinstance(value, str) and value.startswith("-> "):
                entries.append(Entry(LINK, name, self.blob(value[3:])))
            else:
                program = isinstance(value, str) and value.startswith("#!")
                entries.append(Entry(PROGRAM if program else FILE, name, self.blob(value)))
        return self.raw_tree(entries)

    def raw_tree(self, entries: list[Entry]) -> str:
        """Write a directory of which git itself would say that it is none."""
        return self.write("tree", render_tree(entries))

    def write(self, kind: str, content: bytes) -> str:
        """Write an object of any content as git keeps it, without git, which costs a process each time."""
        return write(self.path / "objects", kind, content, self._name_bytes)

    def commit_tree(self, branch: str, tree: str, *, parent: str | None = None) -> ObjectId:
        """Let `branch` show `tree`."""
        commit = ObjectId(self.write("commit", commit_text(tree, *([parent] if parent else []))))
        git(self.path, "update-ref", BranchName(branch).ref, commit)
        return commit

    def commit(self, branch: str, content: Content, *, parent: str | None = None) -> ObjectId:
        """Let `branch` show `content`."""
        return self.commit_tree(branch, self.tree(content), parent=parent)


def contents(directory: Path) -> dict[str, str]:
    """Return path → content below a directory as a program that follows links sees it; programs with '#!' kept."""
    found = {}
    for parent, _, names in os.walk(directory, followlinks=True):
        for name in names:
            path = Path(parent) / name
            found[str(path.relative_to(directory))] = path.read_bytes().decode("utf-8", "surrogateescape")
    return found


def clean(bare: Bare) -> list[str]:
    """Return what is wrong or left over after a gc."""
    with Deployer(bare.settings) as deployer:
        collect(deployer.layout, 0, even(9e9))
        wrong = [fault.path for fault in verify_store(deployer.layout, deployer.repository)]
    extra = [*(bare.settings.store / "work").iterdir(), *(bare.settings.store / "pending").iterdir()]
    return [*wrong, *map(str, extra), *map(str, bare.settings.environments.glob(".*"))]
