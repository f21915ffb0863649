"""Trees that pass every check of a push, and try to get at what other projects' environments share."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import Settings
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.deploy.verify import verify_store
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.repository.trees import DIRECTORY, Entry
from tests.support.bare import Bare, Content, contents, git
from tests.support.clocks import even

ALPHA, BETA = "project/alpha", "project/beta"


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def deploy(bare: Bare, branch: str) -> None:
    with Deployer(bare.settings) as deployer:
        environment = EnvironmentName(branch.replace("/", "_"))
        record = deployer.deploy(environment, Tip(BranchName(branch)), "mallory")
        assert record.outcome == "live", record.detail


def faults(bare: Bare) -> list[str]:
    with Deployer(bare.settings) as deployer:
        return [fault.path for fault in verify_store(deployer.layout, deployer.repository)]


def test_a_link_that_is_called_like_a_unit_does_not_choose_what_others_share(bare: Bare) -> None:
    """Who knows a tree that will come (a merge) must not be able to give its unit another content beforehand."""
    conf: Content = {"environment.conf": "modulepath = hieradata\n"}  # so what is in it is shared one by one
    coming: Content = {"hieradata": {"common.yaml": "good: true\n", "later.yaml": "2\n"}, **conf}
    unit = bare.tree({"common.yaml": "good: true\n"}) + ".s"
    bare.commit(ALPHA, {"hieradata": f"-> {unit}", unit: {"common.yaml": "good: false\n"}, **conf})
    deploy(bare, ALPHA)
    bare.commit(ALPHA, {**coming, "more": "1"})
    deploy(bare, ALPHA)
    bare.commit(BETA, coming)
    deploy(bare, BETA)
    assert contents(bare.live("project_beta"))["hieradata/common.yaml"] == "good: true\n"
    assert faults(bare) == []


def test_a_link_that_is_called_like_a_unit_hides_no_link_that_leaves_its_module(bare: Bare) -> None:
    module: Content = {"files": {"shared": "-> ../../b/secret"}}
    bare.commit(ALPHA, {"modules": {"a": f"-> {bare.tree(module)}", "b": {"secret": "1"}}})
    deploy(bare, ALPHA)
    bare.commit(ALPHA, {"modules": {"a": module, "b": {"secret": "1"}}})
    deploy(bare, ALPHA)
    assert contents(bare.live("project_alpha"))["modules/a/files/shared"] == "1"


@pytest.mark.parametrize("place", ["", "modules"])
@pytest.mark.parametrize("entry", ["a file\n", {"x": "1"}, "-> manifests/site.pp"])
def test_no_name_in_a_tree_stops_gc_and_verify_for_everybody(bare: Bare, place: str, entry: str | Content) -> None:
    content: Content = {".puppetfile-modules": entry, ".resource_types": entry, "manifests": {"site.pp": ""}}
    bare.commit(ALPHA, {place: content} if place else content)
    deploy(bare, ALPHA)
    with Deployer(bare.settings) as deployer:
        collected = collect(deployer.layout, 0.0, even(9e9))
    assert (collected.versions, collected.units) == (0, 0)
    assert faults(bare) == []
    assert contents(bare.live("project_alpha"))


@pytest.mark.parametrize("kind", ["tree", "blob"])
def test_a_directory_of_any_size_is_refused_before_it_is_read(bare: Bare, kind: str) -> None:
    """A few MB in a pack can be gigabytes in memory, in the process that serves everybody's pushes."""
    entry = b"100644 %06d\0" + bytes.fromhex(bare.blob("x"))
    content = b"".join(entry % number for number in range(600_000))
    large = git(bare.path, "hash-object", "-w", "-t", kind, "--literally", "--stdin", stdin=content)
    sound = bare.commit(BETA, {"manifests": {"site.pp": ""}})
    unsound = bare.commit_tree(ALPHA, bare.raw_tree([Entry(DIRECTORY, "many", large)]), parent=sound)
    with Incoming(str(bare.path), os.environ) as objects:
        examination = Examination(objects, Settings(branches=bare.settings))
        (problem,) = examination.problems(unsound, sound, None, {})
        assert f"the {kind} {large} has {len(content)} bytes; at most 16777216 are read" in problem
        assert examination.problems(sound, None, None, {}) == ()


def test_links_that_lead_to_themselves_keep_no_deploy(bare: Bare) -> None:
    loops = {f"loop{number}": "-> ." for number in range(3)}
    bare.commit(ALPHA, {"modules": {"a": {"lib": {"puppet": {"type": {**loops, "notes": "no type is here"}}}}}})
    bare.settings = replace(bare.settings, types_program=Path("/bin/false"))
    deploy(bare, ALPHA)
