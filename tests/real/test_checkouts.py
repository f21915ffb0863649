"""What is live against what a checkout of the commit has: the same, or it is said what is not.

Nothing that is in a repository keeps an environment from going live, and
nothing that a push was told to be sound is left out.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import PuppetfileSettings, PushSettings, Settings
from enc.terms.environments import Rules
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.deploy.verify import verify_store
from git_hooks.doctor import cost
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, SUBMODULE
from git_hooks.store.attributes import change
from tests.support.bare import Bare, Content, git
from tests.support.clocks import even

TEST = EnvironmentName("test")
PLACE = Rules(["test = test"]).place(BranchName("test"))
AWAY = "is a link that leaves the tree: its target must be a relative path"


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


@pytest.fixture
def deployer(bare: Bare) -> Iterator[Deployer]:
    with Deployer(bare.settings) as made:
        yield made


def show(deployer: Deployer, branch: str = "test") -> Record:
    record = deployer.deploy(EnvironmentName(branch.replace("/", "_")), Tip(BranchName(branch)), "me")
    assert record.outcome == "live", record.detail
    return record


def left_out(deployer: Deployer, record: Record) -> dict[str, str]:
    assert record.new is not None
    found = deployer.inspection.remarks(record.environment, record.new)
    return {one.path: one.what for one in found if one.kind == "left out"}


def faults(deployer: Deployer) -> list[str]:
    return [fault.path for fault in verify_store(deployer.layout, deployer.repository)]


def on_disk(directory: Path, inside: str = "") -> dict[str, tuple[str, object]]:
    """Return path → kind and content, as lstat sees it, but with units for the directories that they show."""
    found: dict[str, tuple[str, object]] = {}
    for path in directory.iterdir():
        where = f"{inside}/{path.name}" if inside else path.name
        target = str(path.readlink()) if path.is_symlink() else ""
        assert not target.startswith("/") or "/store/units/" in target
        if target and not target.startswith("/"):
            found[where] = ("link", path.readlink().parts)
        elif path.is_dir():
            found |= on_disk(path, where) or {where: ("empty", None)}
        else:
            found[where] = ("program" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
    return found


def in_git(
    objects: Deployer, tree: str, without: set[tuple[str, str]], path: str = ""
) -> dict[str, tuple[str, object]]:
    """Return the same of a tree, but for what is left out."""
    found: dict[str, tuple[str, object]] = {}
    for entry in objects.repository.tree(tree):
        where = f"{path}/{entry.name}" if path else entry.name
        if (where, entry.id) in without:
            continue
        if entry.mode == DIRECTORY:
            found |= in_git(objects, entry.id, without, where) or {where: ("empty", None)}
        elif entry.mode == SUBMODULE:
            found[where] = ("empty", None)
        else:
            kind = {FILE: "file", PROGRAM: "program", LINK: "link"}[entry.mode]
            content = objects.repository.blob(entry.id)
            shown = Path(os.fsdecode(content)).parts if kind == "link" else content
            found.setdefault(where, (kind, shown))
    return found


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ({"modules": {"a": {"files": {".my.cnf": "-> /root/.my.cnf", "x": "1"}}}}, {"modules/a/files/.my.cnf": AWAY}),
        ({"modules": {"a": {"x": "-> ../../../out", "y": "1"}}}, {"modules/a/x": "is a link that leaves the tree"}),
        ({"x": "-> /etc/passwd"}, {"x": AWAY}),
        ({"x": "-> a/../../y", "a": {"f": ""}}, {"x": "'..' in the middle"}),
        (
            {"modules": {".git": {"config": ""}, "a": {"f": ""}}},
            {"modules/.git": "has a name that is not laid out"},
        ),
        ({"d": {"only": "-> /x"}}, {"d/only": AWAY}),
    ],
)
def test_what_may_not_become_a_file_is_left_out_and_all_else_is_live(
    bare: Bare, deployer: Deployer, content: Content, left: dict[str, str]
) -> None:
    for body in ("one", "two"):  # the second is made from the first
        bare.commit("test", {**content, "manifests": {"site.pp": body}})
        record = show(deployer)
        found = left_out(deployer, record)
        assert found.keys() == left.keys()
        for path, what in left.items():
            assert what in found[path]
            assert not os.path.lexists(bare.live("test") / path)
            assert (path in record.note) == (body == "one"), "it is said once, and again if it changes"
        assert (bare.live("test") / "manifests/site.pp").read_text() == body
        assert faults(deployer) == []
    with_link = bare.live("test").resolve()
    collect(deployer.layout, 0.0, even(9e9))
    assert faults(deployer) == []
    assert with_link.is_dir()
    bare.commit("production", {**content, "manifests": {"site.pp": "two"}})
    assert next(iter(left)) in show(deployer, "production").note, "who first deploys an environment is told all"


def test_the_same_directory_deeper_down_keeps_the_link_that_stays_inside_there(bare: Bare, deployer: Deployer) -> None:
    """What is left out depends on where a directory stands, and equal trees are shared."""
    part: Content = {"x": "-> ../../top", "y": "1"}
    bare.commit("test", {"a": part, "modules": {"m": {"part": part}, "n": part}, "top": "t"})
    record = show(deployer)
    assert left_out(deployer, record).keys() == {"a/x"}
    assert (bare.live("test") / "modules/n/x").readlink() == Path("../../top")
    assert (bare.live("test") / "modules/n/x").read_text() == "t"
    assert not os.path.lexists(bare.live("test") / "a/x")
    assert faults(deployer) == []


def test_what_is_expensive_is_told_of_a_tree_from_which_something_is_left_out(bare: Bare) -> None:
    bare.commit("test", {"x": "-> /etc/passwd", "modules": {"m": {"a": "-> ../n/f"}, "n": {"f": "1"}}})
    (found,) = cost.check(bare.settings)
    assert found.found.startswith("modules/m: links lead out of it (modules/m/a)")


def test_a_change_beside_a_link_that_is_left_out_shares_all_files(bare: Bare, deployer: Deployer) -> None:
    files: Content = {"link": "-> /x", "deep": {"same": "1" * 9}}
    for body in ("one", "two"):
        bare.commit("test", {"modules": {"a": {**files, "f": body}}})
        show(deployer)
    versions = sorted((bare.settings.store / "versions/test").iterdir())
    first, second = ((version / "modules/a/deep/same").stat().st_ino for version in versions)
    assert first == second


def test_modes_and_orders_of_old_repositories_are_live_and_verified(bare: Bare, deployer: Deployer) -> None:
    blob = bytes.fromhex(bare.blob("x"))
    odd = bare.write("tree", b"100664 b\0" + blob + b"100775 a\0" + blob)
    top = bare.write("tree", b"040000 modules\0" + bytes.fromhex(odd) + b"100664 f\0" + blob)
    bare.commit_tree("test", top)
    record = show(deployer)
    assert (record.note, faults(deployer)) == ("", [])
    assert os.access(bare.live("test") / "modules/a", os.X_OK)


NAMES = [
    *("a", "b", "lib", "files", "x.pp", "modules", "A", ".git", "GIT~1", "..", "n\nl", "e\u0301", "\udcff", "é"),
    *("l" * 240, "m" * 255, "n" * 256, " s", "t.", ".gitmodules", ".gitattributes", "Puppetfile.vendor"),
]
TARGETS = [
    *(
        b"a",
        b"../a",
        b"../../b",
        b"../../../c",
        b"/etc/passwd",
        b"a/../..",
        b"a/../b",
        b"",
        b"a\0b",
        b"loop",
        b".",
        b"..",
    ),
    *(
        b"./a",
        b"lib/files",
        b"x" * 1000,
        b"x" * 1001,
        b"../" * 9 + b"y",
        b"a\nb",
        b"\xff",
        b"//",
        b".git/config",
        b"x" * 5000,
    ),
]
MODES = ["100644"] * 4 + [
    "100755",
    "100664",
    "120000",
    "120000",
    "40000",
    "40000",
    "40000",
    "040000",
    "160000",
    "170000",
]


def grown(bare: Bare, chance: random.Random, depth: int = 0) -> str:
    """Return a tree of anything that git can keep."""
    lines = []
    for name in chance.sample(NAMES, chance.randrange(1, 6)):
        mode = chance.choice(MODES if depth < 4 else MODES[:8])
        if mode in ("40000", "040000"):
            below = grown(bare, chance, depth + 1)
        elif mode == "160000":
            below = "1" * 40
        elif mode == "120000":
            below = bare.write("blob", chance.choice(TARGETS))
        else:
            below = bare.write("blob", bytes([chance.randrange(97, 100)]))
        lines.append(mode.encode() + b" " + os.fsencode(name) + b"\0" + bytes.fromhex(below))
        if chance.random() < 0.02:
            lines.append(lines[-1])
    return bare.write("tree", b"".join(lines))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_in_a_repository_goes_live_and_what_checks_call_sound_goes_live_whole(
    bare: Bare, deployer: Deployer, seed: int
) -> None:
    chance = random.Random(seed)
    sound = partly = 0
    with Incoming(str(bare.path), os.environ) as objects:
        for number in range(40):
            root = grown(bare, chance)
            if number % 2:  # as a repository has it, with modules
                module = bytes.fromhex(grown(bare, chance, 2))
                modules = bare.write("tree", b"40000 a\0" + module + b"40000 b\0" + module)
                root = bare.write(
                    "tree", b"40000 data\0" + bytes.fromhex(root) + b"40000 modules\0" + bytes.fromhex(modules)
                )
            text = f"tree {root}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n{number}\n"
            commit = ObjectId(bare.write("commit", text.encode()))
            place = bare.path / "refs/heads/test"
            place.write_text(commit + "\n")
            problems = Examination(objects, Settings(branches=bare.settings)).problems(
                commit, None, Rules(["test = test"]).place(BranchName("test")), {}
            )
            record = show(deployer)
            remarks = deployer.inspection.remarks(TEST, commit)
            without = {(one.path, one.id) for one in remarks if one.kind == "left out"}
            assert on_disk(bare.live("test")) == in_git(deployer, root, without)
            assert deployer.inspection.missing(TEST) == "", "what is left out is not missing"
            assert "left out" in record.note or not without or number, "a first deploy tells all"
            if not problems:
                sound += 1
                assert without == set()
            partly += bool(without)
            for path, (kind, _) in on_disk(bare.live("test")).items():
                if kind == "link":
                    end = os.path.realpath(bare.live("test") / path)
                    assert end.startswith(str(bare.settings.store)), (path, end)
    assert sound + partly > 30
    assert faults(deployer) == []
    collect(deployer.layout, 0.0, even(9e9))
    assert faults(deployer) == []
    assert len(list((bare.settings.store / "surveys/test").iterdir())) == 1


def test_a_push_onto_an_imported_tree_is_told_to_be_sound_and_is_live(bare: Bare, deployer: Deployer) -> None:
    odd: Content = {"modules": {"a": {"files": {".my.cnf": "-> /root/.my.cnf"}}}}
    old = bare.commit("test", odd)
    new = bare.commit("test", {**odd, "README": "new"}, parent=old)
    with Incoming(str(bare.path), os.environ) as objects:
        assert Examination(objects, Settings(branches=bare.settings)).problems(new, old, PLACE, {}) == ()
        refused = Examination(objects, Settings(branches=bare.settings)).problems(new, None, PLACE, {})
        assert "setting pushes.links" in refused[0]
        allowing = Settings(branches=bare.settings, pushes=PushSettings(links=("modules/*/files/.my.cnf",)))
        assert Examination(objects, allowing).problems(new, None, PLACE, {}) == ()
    assert show(deployer).new == new


def test_a_push_onto_a_puppetfile_that_keeps_the_tree_from_going_live_is_refused(bare: Bare) -> None:
    settings = PuppetfileSettings(program=Path("/usr/bin/g10k"), sources=("https://example.org/",))
    following = Settings(branches=replace(bare.settings, puppetfile=settings))
    good = "mod 'a', :git => 'https://example.org/a', :tag => '1'\n"
    for puppetfile, said in (
        ("system('x')\n", "Puppetfile line 1: only moduledir"),
        (good, "Puppetfile: module a is also in the tree (modules/a); remove one of the two"),
        ("moduledir 'other'\n" + good, None),
    ):
        tree: Content = {"Puppetfile": puppetfile, "modules": {"a": {"x": ""}}}
        old = bare.commit("test", tree)
        new = bare.commit("test", {**tree, "README": "new"}, parent=old)
        with Incoming(str(bare.path), os.environ) as objects:
            found = Examination(objects, following).problems(new, old, PLACE, {})
            assert (said is None) == (found == ())
            assert said is None or said in found[0]
            assert Examination(objects, Settings(branches=bare.settings)).problems(new, old, PLACE, {}) == ()


RULES = {
    "lines.txt": (b"a\nb\n", "eol=crlf"),
    "mixed.txt": (b"a\r\nb\n", "eol=crlf"),
    "already.txt": (b"a\r\n", ""),
    "one-line.txt": (b"a", ""),
    "auto": (b"a\nb\n", "eol=crlf"),
    "auto-cr": (b"a\rb\n", ""),
    "auto-binary": (b"a\0b\n", ""),
    "bare.lf": (b"a\nb\n", ""),
    "no.bin": (b"a\nb\n", ""),
    "legacy.old": (b"a\nb\n", "eol=crlf"),
    "wide.utf": ("ü\n".encode(), "working-tree-encoding=UTF-16LE"),
    "latin.iso": ("ü\n".encode(), "working-tree-encoding=ISO-8859-1"),
    "plain.iso": (b"u\n", ""),
    "stamp.id": (b"x $Id$ y\n", "ident"),
    "stamp-old.id": (b"x $Id: 1234 $ y\n", "ident"),
    "none.id": (b"x Id\n", ""),
    "deep/nested": (b"a\n", "eol=crlf"),
    "deep/lines.txt": (b"a\n", ""),
    "macro.win": (b"a\n", "eol=crlf"),
}
ATTRIBUTES = {
    ".gitattributes": (
        b"[attr]windows text eol=crlf\n*.txt text eol=crlf\nauto* text=auto eol=crlf\n*.lf text eol=lf\n"
        b"*.bin eol=crlf binary\n*.old crlf eol=crlf\n*.utf working-tree-encoding=UTF-16LE\n"
        b"*.iso working-tree-encoding=ISO-8859-1\n*.id ident\n*.win windows\n*.rb export-subst\n"
    ),
    "deep/.gitattributes": b"nested eol=crlf\nlines.txt -text\n",
}


def test_what_attributes_change_in_a_checkout_is_said_and_nothing_else(bare: Bare, deployer: Deployer) -> None:
    """Held against what git really checks out."""
    files = {path: content for path, (content, _) in RULES.items()} | ATTRIBUTES
    tree: dict[str, object] = {}
    for path, content in files.items():
        *above, name = path.split("/")
        directory = tree
        for part in above:
            below = directory.setdefault(part, {})
            assert isinstance(below, dict)
            directory = below
        directory[name] = content
    commit = bare.commit("test", tree)  # type: ignore[arg-type]
    show(deployer)
    checkout = bare.base / "checkout"
    git(bare.base, "clone", "-q", "-b", "test", str(bare.path), str(checkout))
    really = {path for path in files if (checkout / path).read_bytes() != (bare.live("test") / path).read_bytes()}
    said = {one.path: one.what for one in deployer.inspection.remarks(TEST, commit)}
    assert said == {path: what for path, (_, what) in RULES.items() if what}
    assert said.keys() == really


def test_a_push_tells_of_the_files_that_it_changes_and_of_all_if_it_changes_the_attributes(
    bare: Bare, deployer: Deployer
) -> None:
    def pushed(attributes: str, **files: str) -> str:
        bare.commit("test", {"d": {".gitattributes": attributes, "one.txt": "1\n", "two.txt": "2\n", **files}})
        return show(deployer).note

    assert pushed("") == ""
    note = pushed("*.txt eol=crlf")
    assert note == (
        "2 files are as in the commit, but different in a checkout: d/one.txt (eol=crlf), d/two.txt (eol=crlf)"
    )
    assert "1 file is" in pushed("*.txt eol=crlf", three="x", **{"four.txt": "4\n"})
    assert pushed("*.txt eol=crlf", three="y", **{"four.txt": "4\n"}) == ""
    assert len(deployer.inspection.remarks(TEST, deployer.repository.commit_of("refs/heads/test"))) == 3
    assert pushed("*.txt eol=lf", three="y") == ""
    assert deployer.inspection.remarks(TEST, deployer.repository.commit_of("refs/heads/test")) == ()


def test_attributes_are_told_also_where_the_machine_is_busy(
    bare: Bare, deployer: Deployer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = tmp_path / "programs/git"
    late.parent.mkdir()
    late.write_text(f'#!/bin/sh\ncase "$*" in *check-attr*) sleep 4;; esac\nexec {shutil.which("git")} "$@"\n')
    late.chmod(0o755)
    bare.commit("test", {".gitattributes": "*.txt eol=crlf", "one.txt": "1\n"})
    monkeypatch.setenv("PATH", f"{late.parent}:{os.environ['PATH']}")
    assert "one.txt (eol=crlf)" in show(deployer).note


def test_a_pointer_of_git_lfs_is_named(bare: Bare, deployer: Deployer) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    bare.commit(
        "test", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "files": {"big.bin": pointer}}
    )
    assert "files/big.bin (filter=lfs: a pointer to it is in the commit)" in show(deployer).note


def test_an_attribute_that_keeps_git_busy_keeps_no_deploy(bare: Bare, deployer: Deployer) -> None:
    names: Content = {"a" * 200 + f"{number}": "x" for number in range(200)}
    bare.commit("test", {".gitattributes": ("*a" * 60 + "*b ident\n") * 200, **names})
    show(deployer)


@pytest.mark.parametrize(
    ("conf", "script", "said"),
    [
        ("scripts/v.sh $environment", "#!/bin/sh\nexec git rev-parse HEAD\n", "needs git: its .git is not in an"),
        ("'scripts/v.sh'", "#!/bin/sh\ncat .git/HEAD\n", "needs git"),
        (
            "scripts/v.sh",
            "#!/usr/bin/ruby\nputs File.read('.r10k-deploy.json')\n",
            "that file is not in an environment",
        ),
        ("scripts/v.sh", "exec date\n", "is not executable: git update-index --chmod=+x scripts/v.sh"),
        ("scripts/other.sh", "#!/bin/sh\n", "which is not in this tree"),
        ("scripts", "#!/bin/sh\n", "is not a program"),
        ("scripts/v.sh", "#!/bin/sh\n# git would say more\ndate\n", ""),
        ("/usr/bin/puppetmaster-config-version $environment", "#!/bin/sh\n", ""),
    ],
)
def test_a_config_version_that_cannot_run_is_told_when_it_comes(
    bare: Bare, deployer: Deployer, conf: str, script: str, said: str
) -> None:
    content: Content = {"environment.conf": f"config_version = {conf}\n", "scripts": {"v.sh": script}}
    bare.commit("test", content)
    note = show(deployer).note
    assert said in note
    assert bool(said) == note.startswith("environment.conf sets config_version to ")
    bare.commit("test", {**content, "x": ""})
    assert show(deployer).note == ""


def test_a_puppetfile_that_is_not_followed_is_told_when_it_comes_or_changes(bare: Bare, deployer: Deployer) -> None:
    notes = []
    for text, other in (("a", "1"), ("a", "2"), ("b", "2"), (None, "2"), ("b", "3")):
        own: Content = {"Puppetfile": text} if text is not None else {}
        bare.commit("test", {**own, "x": other})
        notes.append("its Puppetfile is ignored" in show(deployer).note)
    assert notes == [True, False, True, False, True]


def test_a_binary_and_a_short_file_are_judged_as_git_does() -> None:
    crlf = {"text": "auto", "eol": "crlf"}
    assert change(b"\x01" * 2 + b"\n" + b"a" * 200, crlf) == ""
    assert change(b"\x01" + b"\n" + b"a" * 200, crlf) == "eol=crlf"


def test_who_can_mend_a_failed_deploy_is_told(bare: Bare) -> None:
    damaged = bare.write("tree", b"100644 a")
    bare.commit_tree("test", damaged)
    with Deployer(bare.settings) as deployer:
        record = deployer.deploy(TEST, Tip(BranchName("test")), "me")
    assert record.outcome == "failed"
    assert record.remedy == (
        "no push helps until an operator has repaired the repository (git fsck) and run: branch-manager deploy test"
    )
    bare.live("test").mkdir()
    (bare.live("test") / "x").touch()
    bare.commit("test", {"x": ""})
    with Deployer(bare.settings) as deployer:
        record = deployer.deploy(TEST, Tip(BranchName("test")), "me")
    assert "moved that away" in record.remedy
