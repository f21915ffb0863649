"""`puppet generate types` in new versions, by the real program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.deploy.verify import verify_store
from tests.support.bare import Bare, Content

PUPPET = Path("/usr/bin/puppet")
TYPE = "Puppet::Type.newtype(:%s) do\n  newparam(:name, namevar: true)\n  newproperty(:%s)\nend\n"


def content(property_: str, site: str = "# 1") -> Content:
    kind = {"lib": {"puppet": {"type": {"thing.rb": TYPE % ("thing", property_)}}}}
    return {"modules": {"demo": kind, "plain": {"files": {"a": "a"}}}, "manifests": {"site.pp": site}}


class Site:
    """A repository with puppet in its settings."""

    def __init__(self, base: Path) -> None:
        self.bare = Bare(base)
        self.deployer = Deployer(replace(self.bare.settings, types_program=PUPPET))

    def deploy(self, branch: str, what: Content) -> Record:
        self.bare.commit(branch, what)
        return self.deployer.deploy(EnvironmentName(branch), Tip(BranchName(branch)), "somebody")

    def described(self, environment: str) -> Path:
        return self.bare.live(environment) / ".resource_types/thing.pp"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.deployer:
        yield made


def test_types_are_described_once_for_equal_ones(site: Site) -> None:
    first = site.deploy("test", content("colour"))
    assert first.good, first
    assert "colour" in site.described("test").read_text()
    for branch, what in (("test", content("colour", "# 2")), ("production", content("colour", "# 3"))):
        record = site.deploy(branch, what)
        assert record.good, record
        assert record.milliseconds["build"] < first.milliseconds["build"] / 3, "puppet was not run again"
        assert "colour" in site.described(branch).read_text()
    assert site.deploy("test", content("size")).good
    assert "size" in site.described("test").read_text()
    assert "colour" in site.described("production").read_text()
    assert list(verify_store(site.deployer.layout, site.deployer.repository)) == []


def test_a_type_that_puppet_cannot_read_leaves_the_environment_as_it_was(site: Site) -> None:
    assert site.deploy("test", content("colour")).good
    record = site.deploy("test", content("colour do end end"))
    assert record.outcome == "failed" and "generate types" in record.detail, record
    assert (site.bare.live("test") / "modules/demo/lib/puppet/type/thing.rb").read_text() == TYPE % ("thing", "colour")
    assert site.deploy("test", content("size")).good


def test_a_tree_without_types_or_with_its_own_description_is_left_alone(site: Site) -> None:
    assert site.deploy("test", {"manifests": {"site.pp": "#"}}).good
    assert not site.described("test").parent.exists()
    assert site.deploy("test", {**content("colour"), ".resource_types": {"thing.pp": "mine"}}).good
    assert site.described("test").read_text() == "mine"
