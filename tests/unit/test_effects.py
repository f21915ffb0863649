"""Effects on nodes: previews of versions, what is kept, who may read it, what files a version has."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from enc.catalogs import catalog
from enc.catalogs.compare import compare
from enc.catalogs.effect import Effect, NodeEffect
from enc.catalogs.masking import Mask
from enc.rights.roles import Holding, Person
from enc.settings import BranchSettings, PuppetserverSettings, PushSettings, Settings
from enc.terms.environments import Place, Rules
from enc.terms.errors import InvalidName, NotFound
from enc.terms.names import BranchName, EnvironmentName, ProjectName
from enc.terms.puppet_names import PREVIEW, environment_fault
from git_hooks.effects import trees
from git_hooks.effects.kept import Kept, KeptEffects, readable
from git_hooks.push.compiles import Compiled, judged
from git_hooks.push.policy import must_compile
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.previews import preview, sweep
from git_hooks.store.versions import Versions
from tests.support.bare import Bare
from tests.support.catalogs import document

COMMIT = ObjectId("0123456789abcdef0123456789abcdef01234567")
TEST = EnvironmentName("test")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path / "store"), str(tmp_path / "environments"))
    for directory in made.directories:
        Path(directory).mkdir(parents=True)
    return made


def nothing_in(*directories: str) -> bool:
    return not any(True for directory in directories for _ in Path(directory).iterdir())


def test_a_preview_is_there_for_a_while_and_no_environment_of_ours(layout: Layout) -> None:
    version = layout.version(TEST, COMMIT)
    Path(version).mkdir(parents=True)
    with preview(layout, version) as name, preview(layout, version) as other:
        assert name != other and environment_fault(name)
        assert os.path.realpath(layout.live(name)) == os.path.realpath(version)
        assert Versions(layout).environments() == ()
        assert sweep(layout) == ()
        assert Path(layout.live(name)).is_symlink()
    assert nothing_in(layout.environments, f"{layout.root}/locks")


def test_what_a_kill_left_is_taken_away(layout: Layout) -> None:
    program = (
        "import sys, time\nfrom git_hooks.store.layout import Layout\nfrom git_hooks.store.previews import preview\n"
        "with preview(Layout(*sys.argv[1:3]), '/x') as name:\n    print(name, flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, layout.root, layout.environments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = EnvironmentName(process.stdout.readline().strip())
        assert sweep(layout) == ()
        process.send_signal(signal.SIGKILL)
    assert sweep(layout) == (name,)
    assert nothing_in(layout.environments, f"{layout.root}/locks")


def test_no_branch_becomes_a_preview() -> None:
    rules = Rules(["env/<topic> = <topic>"])
    with pytest.raises(InvalidName):
        rules.place(BranchName(f"env/{PREVIEW}0123456789abcdef"))
    with pytest.raises(InvalidName):
        rules.place(BranchName(f"env/{PREVIEW.upper()}x"))
    assert rules.place(BranchName("env/preview")) is not None


def kept(**projects: str | None) -> Kept:
    changes = compare(catalog.of(document({})), catalog.of(document({"A[b]": {"x": 1}})), Mask(b"0" * 32))
    nodes = tuple(NodeEffect(name, "differs", changes) for name in sorted(projects))
    effect = Effect(nodes, {"late": "the time for it is over"})
    branch = BranchName("test")
    every = {**projects, "late": "red"}
    return Kept(TEST, branch, COMMIT, COMMIT, 1.0, False, effect.digest, every, effect)


def test_it_is_kept_for_the_account_only_and_read_again(layout: Layout) -> None:
    store = KeptEffects(layout)
    with pytest.raises(NotFound):
        store.of(TEST)
    one = kept(web1="red", web2=None)
    store.keep(one)
    assert store.of(TEST) == one
    assert store.of(TEST).effect.digest == one.digest
    place = Path(layout.root, "effects/test.json")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600 and stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    key = store.mask().hidden("x")
    assert KeptEffects(layout).mask().hidden("x") == key
    for text in ("", "{", "[]", '{"nodes": 1}', "[" * 100_000):
        place.write_text(text)
        with pytest.raises(NotFound):
            store.of(TEST)
    assert store.sweep() == 1 and not place.exists(), "there is no version of it"
    assert KeptEffects(layout).mask().hidden("x") == key


def test_the_largest_that_is_kept(layout: Layout) -> None:
    store = KeptEffects(layout)
    resources = {f"File[/a{number}]": {f"p{n}": "x" * 1900 for n in range(6)} for number in range(100)}
    changes = compare(catalog.of(document({})), catalog.of(document(resources)), Mask(b"0" * 32))
    nodes = tuple(NodeEffect(f"n{number:03}", "differs", changes) for number in range(300))
    effect = Effect(nodes, {})
    store.keep(kept()._replace(effect=effect, digest=effect.digest))
    assert Path(layout.root, "effects/test.json").stat().st_size <= 16 << 20
    back = store.of(TEST)
    assert back.digest == effect.digest and len(back.effect.nodes) == 300


def test_a_person_reads_what_happens_to_nodes_of_their_projects() -> None:
    one = kept(web1="red", web2="blue", web3=None)
    member = Person("mia", holds=frozenset({Holding("member", ProjectName("red"))}))
    operator = Person("olga", holds=frozenset({Holding("operator")}))
    assert readable(one, operator) == one
    seen = readable(one, member)
    assert [node.certname for node in seen.effect.nodes] == ["web1"] and seen.projects == {"web1": "red", "late": "red"}
    stranger = readable(one, Person("zoe"))
    assert stranger.effect == Effect((), {}) and stranger.projects == {}


def test_what_refuses_a_push() -> None:
    asked = PushSettings(require_checks=("prod*",), compile=("test", "prod*"))
    servers = PuppetserverSettings(urls=("https://localhost:8140",))
    settings = Settings(pushes=asked, branches=BranchSettings(puppetserver=servers))
    test, production = (Place(BranchName(name), EnvironmentName(name)) for name in ("test", "production"))
    assert must_compile(settings, test.branch) and must_compile(settings, production.branch)
    assert not must_compile(settings, BranchName("project/red"))
    assert not must_compile(replace(settings, branches=BranchSettings()), test.branch)
    assert not must_compile(replace(settings, pushes=replace(asked, effects="off")), test.branch)
    broken, ill = NodeEffect("a", "error after", error="no x"), NodeEffect("b", "error before", error="no y")
    assert judged(settings, test, Effect((ill,), {})) == Compiled()
    refused = judged(settings, test, Effect((broken, ill), {"c": "late"}))
    assert refused == Compiled(("a would not compile any more: no x",))
    late = Effect((ill,), {"c": "late", "d": "later"})
    assert judged(settings, test, late) == Compiled((), ("not checked: effect on 2 nodes (late; later)",))
    (problem,) = judged(settings, production, late).problems
    assert problem.startswith("cannot be checked: effect on 2 nodes (late; later); ")


def test_how_trees_differ(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    old = bare.commit("test", {"a": "1", "modules": {"m": {"files": {"f": "1", "g": "1"}}, "gone": {"x": "1"}}})
    new = bare.commit("test", {"a": "1", "modules": {"m": {"files": {"f": "2", "h": "1"}}, "new": {"x": "1"}}})
    with Repository(str(bare.path)) as repository:
        found = trees.differing(repository, old, new)
    assert set(found.paths) == {f"modules/{one}" for one in ("m/files/f", "m/files/g", "m/files/h", "gone/x", "new/x")}
    assert set(found.directories) == {"modules/gone", "modules/new"}


def test_files_of_a_source(tmp_path: Path) -> None:
    store = tmp_path / "store"
    version = store / "versions/test/1"
    files = version / "site/m/files"
    (files / "d/e").mkdir(parents=True)
    (files / "f").write_text("one")
    (files / "d/e/x").write_text("two")
    (files / "out").symlink_to("/etc/passwd")
    (files / "d/out").symlink_to(tmp_path)
    (version / "environment.conf").write_text("modulepath = site:modules:$basemodulepath\n")
    of = trees.VersionTree(str(store), str(version)).contents().of
    assert of("puppet:///modules/m/f") == of("puppet://server/modules/m/f") != of("puppet:///modules/m/d")
    assert list((of("puppet:///modules/m/f") or {}).keys()) == [""]
    assert list((of("puppet:///modules/m/d") or {}).keys()) == ["e/x"]
    nothing = ("modules/m/out", "modules/m/nosuch", "modules/x/f", "private/f", "modules/m/../f", "modules", "")
    assert [of(f"puppet:///{path}") for path in nothing] == [None] * len(nothing)
    assert of("/etc/passwd") is None and of("http://x/modules/m/f") is None
    assert json.dumps(of("puppet:///modules/m/f")).count("sha256") == 1
