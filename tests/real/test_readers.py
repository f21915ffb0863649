"""The two readers of a repository answer alike: libgit2, and git's own program (there for sha256, too)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from git_hooks.repository import library, reading
from git_hooks.repository.git_program import sealed
from git_hooks.repository.library import ByLibrary
from git_hooks.repository.program import ByProgram
from git_hooks.repository.reading import MISSING, Reader, RepositoryError, Seen, open_reader
from tests.support.bare import Bare, git

Opener = Callable[[Path], Reader]
OPENERS: dict[str, Opener] = {
    "library": lambda path: ByLibrary(str(path), None),
    "program": lambda path: ByProgram(str(path), sealed(os.environ)),
}


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    library.prepare()


@pytest.fixture(params=[("library", "sha1"), ("program", "sha1"), ("program", "sha256")], ids="-".join)
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def bare(kind: tuple[str, str], tmp_path: Path) -> Bare:
    return Bare(tmp_path, kind[1])


@pytest.fixture
def reader(kind: tuple[str, str], bare: Bare) -> Reader:
    return OPENERS[kind[0]](bare.path)


def everything(*_: object) -> bool:
    return True


def test_revisions(bare: Bare, reader: Reader) -> None:
    commit = bare.commit("production", {"a": "1"})
    git(bare.path, "tag", "-a", "-m", "x", "v1", commit)
    tree = git(bare.path, "rev-parse", f"{commit}^{{tree}}")
    for meant in ("refs/heads/production", "production", commit, commit[:12], "v1", "production^0"):
        assert reader.resolve(meant) == commit, meant
    for none in ("nothing", "0" * len(commit), "production^5", "", "a b", "x\ny", "production\0x", tree, "\udce4"):
        assert reader.resolve(none) is None, none


def test_objects_with_and_without_their_content(bare: Bare, reader: Reader) -> None:
    commit = bare.commit("production", {"a": "12345", "d": {"b": "x" * 70_000}})
    small, large = bare.blob("12345"), bare.blob("x" * 70_000)
    tree = git(bare.path, "rev-parse", f"{commit}^{{tree}}")
    names = [small, "f" * len(commit), large, tree, commit, "no name", small]
    found = list(reader.look(names, lambda _name, _kind, size: size < 100))
    assert [seen.kind for seen in found] == ["blob", MISSING, "blob", "tree", "commit", MISSING, "blob"]
    assert [seen.size for seen in found[:3]] == [5, 0, 70_000]
    assert found[0] == found[6] == Seen("blob", 5, b"12345") and found[2].content is None
    assert next(reader.look([large], everything)).content == b"x" * 70_000
    assert reader.heads(names) == [(seen.kind, seen.size) for seen in found]
    assert reader.heads([small, large] * 300) == [("blob", 5), ("blob", 70_000)] * 300 and reader.heads([]) == []


def test_a_reading_that_is_broken_off_leaves_no_answers_behind(bare: Bare, reader: Reader) -> None:
    names = [bare.blob(f"number {number}") for number in range(500)]
    bare.commit("production", {"a": "1"})

    def refuses(name: str, kind: str, size: int) -> bool:
        raise RepositoryError("enough")

    half = reader.look(names, everything)
    assert next(half).content == b"number 0"
    half.close()
    assert next(reader.look([names[7]], everything)).content == b"number 7"
    with pytest.raises(RepositoryError, match="enough"):
        list(reader.look(names, refuses))
    assert [seen.content for seen in reader.look(names, everything)] == [b"number %d" % n for n in range(500)]


def test_a_git_that_was_killed_is_started_again(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    commit = bare.commit("production", {"a": "1"})
    reader = ByProgram(str(bare.path), sealed(os.environ))
    for ask in (lambda: reader.resolve("production"), lambda: next(reader.look([commit], everything)).kind):
        before = ask()
        for process in (reader._sizes, reader._contents):
            if process._questions is not None:
                os.kill(process._pid, signal.SIGKILL)
        assert ask() == before
    reader.close()


def test_refs_as_they_stand_now(bare: Bare, reader: Reader) -> None:
    first = bare.commit("production", {"a": "1"})
    second = bare.commit("project/red", {"a": "2"}, parent=first)
    git(bare.path, "update-ref", "refs/archive/x@1", first)
    heads = {"refs/heads/production": first, "refs/heads/project/red": second}
    assert dict(reader.refs("refs/heads/")) == heads
    assert dict(reader.refs("refs/archive/")) == {"refs/archive/x@1": first}
    git(bare.path, "pack-refs", "--all")
    git(bare.path, "update-ref", "-d", "refs/heads/project/red")
    git(bare.path, "update-ref", "refs/heads/production", second)
    assert dict(reader.refs("refs/heads/")) == {"refs/heads/production": second}
    odd = os.fsencode(bare.path) + b"/refs/heads/\xe4"
    Path(os.fsdecode(odd)).write_text(f"{first}\n")
    assert dict(reader.refs("refs/heads/"))["refs/heads/\udce4"] == first


def test_ancestors_ahead_and_behind(bare: Bare, reader: Reader) -> None:
    one = bare.commit("a", {"a": "1"})
    two = bare.commit("a", {"a": "2"}, parent=one)
    side = bare.commit("b", {"b": "1"}, parent=one)
    merge = git(bare.path, "commit-tree", bare.tree({"c": "1"}), "-m", "m", "-p", two, "-p", side)
    absent = "e" * len(one)
    assert reader.contains(merge, side) and reader.contains(two, one)
    assert not reader.contains(one, two) and not reader.contains(two, side)
    assert not reader.contains(two, absent) and not reader.contains(absent, one)
    assert reader.divergence(two, side) == (1, 1)
    assert reader.divergence(merge, one) == (3, 0)
    assert reader.divergence(one, one) == (0, 0)
    assert reader.divergence(one, absent) is None
    assert sorted(reader.fresh(merge, [one], 10)) == sorted([merge, two, side])
    assert reader.fresh(merge, [], 10)[0] == merge and len(reader.fresh(merge, [], 2)) == 2
    blob = bare.blob("a tag may be of a file")
    assert reader.fresh(two, [absent, blob, side, one], 10) == [two]
    assert reader.fresh(one, [one], 10) == reader.fresh(one, [merge], 10) == reader.fresh(absent, [], 10) == []


def test_what_others_write_and_collect_is_seen_at_once(bare: Bare, reader: Reader) -> None:
    old = bare.commit("production", {"a": "1"})
    for turn in range(4):
        commit = bare.commit("production", {"a": str(turn), "b": "x" * turn}, parent=old)
        assert reader.resolve("production") == commit
        git(bare.path, "repack", "-adq")
        git(bare.path, "prune", "--expire=now")
        assert next(reader.look([commit], everything)).kind == "commit"
        assert next(reader.look([bare.blob("never seen" * turn)], everything)).kind == "blob"


def test_packs_that_are_gone_are_not_held(bare: Bare) -> None:
    library_reader = ByLibrary(str(bare.path), None)
    if (bare.path / "config").read_text().find("sha256") > 0:
        return  # libgit2 knows none
    for turn in range(30):
        commit = bare.commit("production", {"a": str(turn)})
        git(bare.path, "repack", "-adq")
        assert next(library_reader.look([commit], everything)).content
    held = [target for handle in Path("/proc/self/fd").iterdir() if "(deleted)" in (target := _target(handle))]
    assert [target for target in held if str(bare.path) in target] == []


def _target(handle: Path) -> str:
    try:
        return str(handle.readlink())
    except OSError:
        return ""


def test_replacement_refs_show_nothing_else(bare: Bare, reader: Reader) -> None:
    good, other = bare.commit("production", {"a": "1"}), bare.commit("test", {"a": "2"})
    git(bare.path, "update-ref", f"refs/replace/{good}", other)
    assert reader.resolve("production") == good
    tree = git(bare.path, "--no-replace-objects", "rev-parse", f"{good}^{{tree}}")
    assert f"tree {tree}".encode() in (next(reader.look([good], everything)).content or b"")


def test_an_object_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    """git's program hands it out; libgit2, which services read with, does not."""
    bare = Bare(tmp_path)
    blob = bare.blob("good")
    file = bare.path / "objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.write_bytes(zlib.compress(b"blob 4\0evil"))
    with pytest.raises(RepositoryError, match="hash mismatch"):
        list(ByLibrary(str(bare.path), None).look([blob], everything))


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no such repository"):
        open_reader(str(tmp_path / "none"), {}, quarantine=False)
    with pytest.raises(RepositoryError):
        ByLibrary(str(tmp_path), None).resolve("x")


def test_which_reader_is_taken(tmp_path: Path) -> None:
    """A cold hook never loads libgit2; sha256 is read by git's program whatever was loaded."""
    one, other = Bare(tmp_path / "one"), Bare(tmp_path / "other", "sha256")
    assert isinstance(open_reader(str(one.path), {}, quarantine=False), ByProgram) == (reading._library is None)
    code = (
        "import sys\nfrom git_hooks.repository.reading import open_reader, use_library\n"
        f"print(type(open_reader({str(one.path)!r}, {{}}, quarantine=False)).__name__, 'pygit2' in sys.modules)\n"
        f"use_library()\nprint(type(open_reader({str(one.path)!r}, {{}}, quarantine=False)).__name__)\n"
        f"print(type(open_reader({str(other.path)!r}, {{}}, quarantine=False)).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ByProgram", "False", "ByLibrary", "ByProgram"]
    without = "import sys\nsys.modules['pygit2'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ByProgram", "True", "ByProgram", "ByProgram"], "not installed"


def test_foreign_configuration_and_owners_do_not_matter(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    commit = bare.commit("production", {"a": "1"})
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").mkdir()  # what cannot be read, whoever looks
    if os.geteuid() == 0:
        for path in (bare.path, *bare.path.rglob("*")):
            os.chown(path, 12345, 12345)
    code = (
        "from git_hooks.repository.reading import open_reader, use_library\nuse_library()\n"
        f"print(open_reader({str(bare.path)!r}, {{}}, quarantine=False).resolve('production'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == commit


def test_a_size_is_told_of_what_is_not_unpacked(tmp_path: Path) -> None:
    """Of an object whose content breaks off, so that who unpacks it cannot answer."""
    bare = Bare(tmp_path)
    size = 64 << 20
    packer = zlib.compressobj(1)
    begins = packer.compress(b"blob %d\0" % size + bytes(1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    name = "12" * 20
    (bare.path / "objects/12").mkdir()
    (bare.path / "objects/12" / name[2:]).write_bytes(begins)
    for opener in OPENERS.values():
        reader = opener(bare.path)
        assert list(reader.look([name] * 60, lambda *_: False)) == [Seen("blob", size)] * 60
        assert reader.heads([name] * 60) == [("blob", size)] * 60
        reader.close()
