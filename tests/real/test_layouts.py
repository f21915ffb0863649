"""Whatever a version is laid out as, each of its paths shows what it shows in git's own checkout."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.deploy.verify import verify_store
from git_hooks.store.splitting import LARGE
from tests.support.bare import Bare, git
from tests.support.clocks import even

Tree = dict[str, str]
"""Path → text, or `-> TARGET`."""

_DIRECTORIES = ("modules", "modules/a", "modules/b", "modules/c", "modules/a/files", "modules/a/files/deep",
    "modules/b/files", "modules/b/d", "modules/c/x/y", "site", "site/p", "site/q/files", "extra", "extra/e", "data",
    "data/r", "data/r/s", "data/t", "top")  # fmt: skip
_DEEPEST = 7
"""Names of the longest path that is compared: links upward make them endless."""


def commit(bare: Bare, branch: str, tree: Tree) -> str:
    """Let `branch` show `tree`; one process however large it is."""
    stream = [f"commit refs/heads/{branch}\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nx\ndeleteall\n"]
    for path, text in tree.items():
        mode, body = ("120000", text[3:]) if text.startswith("-> ") else ("100644", text)
        stream.append(f"M {mode} inline {path}\ndata {len(body.encode())}\n{body}\n")
    git(bare.path, "fast-import", "--quiet", "--force", stdin="".join(stream).encode())
    return git(bare.path, "rev-parse", f"refs/heads/{branch}")


def deploy(bare: Bare, branch: str) -> None:
    with Deployer(bare.settings) as deployer:
        record = deployer.deploy(EnvironmentName(branch), Tip(BranchName(branch)), "me")
        assert record.outcome in ("live", "unchanged"), record


def checkout(bare: Bare, branch: str, goal: Path) -> Path:
    goal.mkdir(parents=True)
    command = ["git", f"--git-dir={bare.path}", f"--work-tree={goal}", "checkout", "-q", "-f", branch, "--", "."]
    subprocess.run(command, check=True)
    return goal


def differences(ours: Path, theirs: Path, path: str = "") -> Iterator[str]:
    """Yield the paths that do not show the same to whoever follows links, or are another link."""
    one, other = ours / path, theirs / path
    if other.is_symlink() and path and (not one.is_symlink() or one.readlink() != other.readlink()):
        yield f"{path}: is another link"
    elif other.is_dir():
        names = {place.name for place in other.iterdir()}
        if not one.is_dir() or names != {place.name for place in one.iterdir()}:
            yield f"{path}: has other names"
        elif path.count("/") < _DEEPEST:
            for name in sorted(names):
                yield from differences(ours, theirs, f"{path}/{name}" if path else name)
        return
    if one.is_file() != other.is_file() or one.is_dir() != other.is_dir():
        yield f"{path}: is there or not"
    elif one.is_file() and one.read_bytes() != other.read_bytes():
        yield f"{path}: has another content"


def linked_inside(ours: Path, theirs: Path) -> list[str]:
    """Return the directories of a checkout that are links here though somebody may walk through them with `**`."""
    found = []
    for parent, directories, _ in os.walk(theirs):
        for name in directories:
            path = Path(parent, name).relative_to(theirs)
            walked = path.parts[0] in ("modules", "site") and len(path.parts) > 2
            if walked and not (theirs / path).is_symlink() and (ours / path).is_symlink():
                found.append(str(path))
    return found


def _random_tree(chance: random.Random) -> Tree:
    tree: Tree = {"top.txt": "top", "modules/a/init": "a", "modules/b/init": "b", "modules/c/x/y/z": "z", "data/k": "k"}
    for number in range(chance.randint(5, 25)):
        tree[f"{chance.choice(_DIRECTORIES)}/f{number}"] = str(chance.randint(0, 3))
    for number in range(chance.randint(1, 9)):
        directory = chance.choice([*_DIRECTORIES, ""])
        up = chance.randint(0, directory.count("/") + 1 if directory else 0)
        down = chance.choice([*_DIRECTORIES, *tree, "nothing", ".", ""])
        cut = down.split("/")[min(up and directory.count("/") + 1 - up, 2) :] if chance.random() < 0.9 else [down]
        target = "/".join([*[".."] * up, *(part for part in cut if part)]) or "."
        place = f"{directory}/l{number}" if directory else f"l{number}"
        tree[place] = f"-> {target}"
    return tree


def _changed(tree: Tree, chance: random.Random) -> Tree:
    changed = dict(tree)
    for path in chance.sample(sorted(tree), min(3, len(tree))):
        if not tree[path].startswith("-> "):
            changed[path] = str(chance.randint(4, 9))
        elif chance.random() < 0.5:
            del changed[path]
    return changed


def _same(bare: Bare, branch: str, goal: Path) -> None:
    plain = checkout(bare, branch, goal)
    shown = bare.live(branch).resolve()
    assert list(differences(shown, plain)) == []
    assert linked_inside(shown, plain) == []
    assert list(differences(bare.live(branch), plain)) == []


def _sound(bare: Bare) -> None:
    with Deployer(bare.settings) as deployer:
        assert list(verify_store(deployer.layout, deployer.repository)) == []


@pytest.mark.parametrize("seed", range(8))
def test_links_between_directories_lead_where_they_lead_in_a_checkout(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    bare = Bare(tmp_path)
    tree = _random_tree(chance)
    if seed % 4 == 0:
        tree |= {f"data/r/n{number}": "" for number in range(LARGE)}
    for step in range(4):
        branch = ("test", "production")[step % 2]
        tree = _changed(tree, chance)
        commit(bare, branch, tree)
        deploy(bare, branch)
        _same(bare, branch, tmp_path / f"{branch}{step}")
    _sound(bare)
    with Deployer(bare.settings) as deployer:
        collect(deployer.layout, 0, even(9e9))
    _same(bare, "test", tmp_path / "test-after")
    _same(bare, "production", tmp_path / "production-after")
    _sound(bare)
