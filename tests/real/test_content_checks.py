"""Checks by content: one line of the table, whichever way a tree comes; and what reading may cost."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import (
    AnswerSettings,
    BranchSettings,
    Duration,
    MirrorSettings,
    PuppetfileSettings,
    PushSettings,
    Settings,
)
from enc.terms.environments import Place, Rules
from enc.terms.names import BranchName
from git_hooks import checks
from git_hooks.checks.look import Check, File, Problem, Tree
from git_hooks.deploy.deployer import Deployer
from git_hooks.mirror.catch_up import CatchUp
from git_hooks.push import gerrit
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, SUBMODULE, Entry
from tests.support.bare import Bare, Content
from tests.support.invented_check import MOST, POINTER, Pointers

SAID = "modules/a/files/bad: is a pointer; commit the file itself"
TREE: Content = {
    "top.txt": POINTER,
    "modules": {
        "a": {
            "files": {
                "good": "x" * MOST,
                "bad": POINTER,
                "large": POINTER + "x" * MOST,
                "link": "-> good",
                "empty": "",
            }
        }
    },
}
SEEN = {
    "modules/a/files/good": b"x" * MOST,
    "modules/a/files/bad": POINTER.encode(),
    "modules/a/files/large": None,
    "modules/a/files/link": b"good",
    "modules/a/files/empty": b"",
}
place = Rules(BranchSettings().rules).place(BranchName("test"))
assert place is not None
TEST: Place = place


@pytest.fixture(params=["sha1", "sha256"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Bare:
    """A repository that libgit2 reads, and one that git's program reads."""
    return Bare(tmp_path, request.param)


@pytest.fixture
def pointers(monkeypatch: pytest.MonkeyPatch) -> Pointers:
    """The table has one line more."""
    made = Pointers()
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, made.line))
    return made


class Noted(Incoming):
    """The repository, and what is read of it, in order."""

    def __init__(self, bare: Bare) -> None:
        super().__init__(str(bare.path), os.environ)
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        names = tuple(blobs)
        self.asked.append(("sizes", names))
        return super().sizes(names)

    def blobs(self, blobs: Iterable[str]) -> Generator[bytes]:
        names = tuple(blobs)
        if names:
            self.asked.append(("content", names))
        return super().blobs(names)


def look(bare: Bare, commit: ObjectId, old: ObjectId | None = None, **pushes: int) -> tuple[Noted, tuple[str, ...]]:
    with Noted(bare) as objects:
        settings = Settings(branches=bare.settings, pushes=PushSettings(**pushes))  # type: ignore[arg-type]
        return objects, Examination(objects, settings).problems(commit, old, TEST, {})


def test_a_check_sees_what_it_asked_for_up_to_the_size_it_asked_for(bare: Bare, pointers: Pointers) -> None:
    old = bare.commit("test", TREE)
    objects, found = look(bare, old)
    assert (found, pointers.seen) == ((SAID,), SEEN)
    read = {name for what, names in objects.asked if what == "content" for name in names}
    assert read == {bare.blob(content) for content in SEEN.values() if content is not None}
    # What is known is not looked at again.
    pointers.seen.clear()
    new = bare.commit("test", {**TREE, "modules": {**TREE["modules"], "b": {"x": "1"}}}, parent=old)  # type: ignore[dict-item]
    assert look(bare, new, old)[1] == ()
    assert pointers.seen == {"modules/b/x": b"1"}


def test_sizes_are_known_and_within_bounds_before_any_content_is_read(bare: Bare, pointers: Pointers) -> None:
    commit = bare.commit("test", {"modules": {f"f{number}": f"{number}" * 100 for number in range(10, 30)}})
    objects, found = look(bare, commit)
    assert found == ()
    assert [what for what, _ in objects.asked] == ["sizes", "sizes", "content"], (
        "the top's, the directory's, its files'"
    )
    objects, found = look(bare, commit, push_bytes=3_000)
    assert len(found) == 1 and "together have more than 3000 bytes" in found[0]
    assert "content" not in dict(objects.asked)


def test_a_file_in_many_places_is_not_read_without_end(bare: Bare, pointers: Pointers) -> None:
    entries = [Entry(FILE, f"f{number:03}", bare.blob("x" * 300)) for number in range(300)]
    top = [Entry(DIRECTORY, "modules", bare.raw_tree(entries))]
    commit = bare.commit_tree("test", bare.raw_tree(top))
    assert look(bare, commit)[1] == () and len(pointers.seen) == 300
    found = look(bare, commit, push_bytes=1000)[1]
    assert len(found) == 1 and "would have to read more than 1000 bytes each" in found[0]


def test_contents_are_not_in_memory_all_at_once(
    tmp_path: Path, pointers: Pointers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some MB of a pack can hold a hundred times as much, and this process serves everybody."""
    bare = Bare(tmp_path)
    many = [Entry(FILE, f"f{n:03}", bare.write("blob", b"%03d" % n + bytes(1_000_000))) for n in range(60)]
    links = [Entry(LINK, f"l{n:03}", bare.write("blob", b"%03d/" % n + b"x" * 60_000)) for n in range(600)]
    top = [Entry(DIRECTORY, "many", bare.raw_tree(many)), Entry(DIRECTORY, "links", bare.raw_tree(links))]
    commit = bare.commit_tree("test", bare.raw_tree(top))
    read: list[int] = []

    def check(file: File) -> Iterator[Problem]:
        read.append(len(file.content or b""))
        yield from ()

    whole = Check(file=check, reads=lambda file: 2_000_000 if file.directory == "many" else None)
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, whole))
    with traced() as peak:
        found = look(bare, commit)[1]
    assert len(found) == 600 and "is a link whose target is longer than 1000 bytes" in found[0]
    assert read == [1_000_003] * 60
    assert peak() < 20_000_000


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_whatever_stands_at_a_path_is_shown_to_who_asked_for_it(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory, a submodule and a link in the place of a file; nothing of the first two is read."""
    seen: dict[str, tuple[int, bytes | None, bool]] = {}

    def check(file: File) -> Iterator[Problem]:
        seen[file.path] = (file.size, file.content, file.is_file)
        yield from ()

    line = Check(file=check, reads=lambda file: None if file.directory else 5)
    monkeypatch.setattr(checks, "CHECKS", (line,))
    blob, ids = bare.blob("12345"), bare.raw_tree([])
    kinds = {"directory": (DIRECTORY, ids), "file": (FILE, blob), "link": (LINK, blob), "sub": (SUBMODULE, blob)}
    commit = bare.commit_tree("test", bare.raw_tree([Entry(mode, name, one) for name, (mode, one) in kinds.items()]))
    assert look(bare, commit)[1] == ()
    assert seen == {
        "directory": (0, None, False),
        "file": (5, b"12345", True),
        "link": (5, b"12345", False),
        "sub": (0, None, False),
    }


def test_a_check_may_ask_for_paths_that_are_not_new(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    pointers = Pointers()
    line = pointers.line._replace(also=("modules/a/known",))
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, line))
    known = {"known": POINTER, "other": POINTER}
    old = bare.commit("test", {"modules": {"a": known}})
    new = bare.commit("test", {"modules": {"a": {**known, "new": "x"}}}, parent=old)
    found = look(bare, new, old)[1]
    assert found == ("modules/a/known: is a pointer; commit the file itself",)
    assert pointers.seen == {"modules/a/known": POINTER.encode(), "modules/a/new": b"x"}


def test_a_check_of_the_whole_tree_is_a_line_too(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(tree: Tree) -> Iterator[Problem]:
        for entry in tree.at("modules/a/metadata.json"):
            if (tree.content(entry, 10), tree.content(entry, 9)) == (b"1234567890", None):
                names = [one.name for directory in tree.at("modules") for one in tree.entries(directory)]
                yield Problem("modules", f"{names} are not in the list")

    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, Check(tree=check)))
    commit = bare.commit("test", {"modules": {"a": {"metadata.json": "1234567890"}, "b": {"x": ""}}})
    assert look(bare, commit)[1] == ("modules: ['a', 'b'] are not in the list",)


@pytest.mark.parametrize("kind", ["directory", "link", "large"])
@pytest.mark.parametrize("elsewhere", ["same", "other"])
def test_a_puppetfile_that_was_there_is_refused_for_what_it_is(tmp_path: Path, kind: str, elsewhere: str) -> None:
    """Also where the trees are the same to the last bit, and so no directory of them is looked at."""
    bare = Bare(tmp_path)
    kinds: Content = {"directory": {"x": ""}, "link": "-> x", "large": "#" * (17 << 20)}
    puppetfile = kinds[kind]
    old = bare.commit("test", {"Puppetfile": puppetfile, "x": ""})
    new = bare.commit("test", {"Puppetfile": puppetfile, "x": "" if elsewhere == "same" else "1"}, parent=old)
    followed = PuppetfileSettings(program=Path("/usr/bin/g10k"), sources=("https://example.org/",))
    with Incoming(str(bare.path), os.environ) as objects:
        settings = Settings(branches=replace(bare.settings, puppetfile=followed))
        (found,) = Examination(objects, settings).problems(new, old, TEST, {})
        assert found == f"Puppetfile: {'is larger than 65536 bytes' if kind == 'large' else 'must be a file'}"
        assert Examination(objects, Settings(branches=bare.settings)).problems(new, old, TEST, {}) == ()


def test_a_review_and_a_forge_are_held_to_the_same_line(tmp_path: Path, pointers: Pointers) -> None:
    """A push is, too: tests/real/test_pushes.py."""
    here, upstream = Bare(tmp_path), Bare(tmp_path / "forge")
    commit = here.commit("elsewhere", TREE)
    words = ("--refname", "refs/heads/test", "--oldrev", "0" * 40, "--newrev", commit)
    assert SAID in gerrit.received(Settings(branches=here.settings), gerrit.read(words), os.environ).refs[0].problems
    pointers.seen.clear()
    upstream.commit("test", TREE)
    mirror = MirrorSettings(forge="github", url=f"file://{upstream.path}", protocols=("file",), timeout=Duration(60))
    settings = Settings(
        branches=replace(here.settings, mirror=mirror), answers=AnswerSettings(directory=tmp_path / "answers")
    )
    with Deployer(settings.branches) as deployer:
        (record,) = CatchUp(settings, deployer).look()
    assert SAID in record.detail and pointers.seen == SEEN
    assert not here.live("test").exists()
