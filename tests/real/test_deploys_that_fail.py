"""A deploy whose disk fails, fills up or writes short at any step, or whose clock is set: old or new, then healed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from enc.terms.names import BranchName, EnvironmentName
from git_hooks import cli
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from tests.support.bare import Bare, Content, clean, contents
from tests.support.failures import MODES, UNHEARD, clock_jumps, failing, muted, unheard

TEST, BRANCH = EnvironmentName("test"), BranchName("test")
STEP = int(os.environ.get("EVERY", "4"))
"""Of the modes that last, each so many-th change is tried; which, goes by the mode. EVERY=1 tries all."""


def tree(body: str) -> Content:
    return {"top": body, "modules": {"a": {"x": body, "same": "1", "y": "-> x"}, "b": {"x": "unchanged"}}}


def shown(body: str) -> dict[str, str]:
    return {"top": body, "modules/a/x": body, "modules/a/same": "1", "modules/a/y": body, "modules/b/x": "unchanged"}


def deploy(bare: Bare) -> Record:
    with Deployer(bare.settings, sleep=lambda seconds: None) as deployer:
        return deployer.deploy(TEST, Tip(BRANCH), "me")


def _make_prefixes(bare: Bare) -> None:
    """Let every deploy take as many changes, whatever its trees are called."""
    for part in ("units", "links"):
        for number in range(256):
            (bare.settings.store / part / f"{number:02x}").mkdir(exist_ok=True)


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    made = Bare(tmp_path)
    made.commit("test", tree("0"))
    assert deploy(made).outcome == "live"
    return made


@pytest.mark.parametrize("mode", MODES)
def test_what_fails_at_any_step_leaves_old_or_new_and_the_next_deploy_heals(bare: Bare, mode: str) -> None:
    step = {"eio once": 1, "short": 1000}.get(mode, STEP)
    first, body, unreached = 1 + MODES.index(mode) % step, 0, 0
    while unreached < 3:
        body += 1
        commit = bare.commit("test", tree(str(body)))
        _make_prefixes(bare)
        with failing(mode, first) as changes:
            record = deploy(bare)
        now = contents(bare.live("test"))
        assert now in (shown(str(body - 1)), shown(str(body))), (first, record)
        # What people are told is so.
        assert (record.outcome in ("live", "not flushed")) == (now == shown(str(body))), (first, record)
        if mode == "short":
            assert record.outcome == "live", record
        healed = deploy(bare)
        assert healed.outcome in ("live", "unchanged"), (first, healed)
        assert contents(bare.live("test")) == shown(str(body)), first
        assert bare.live("test").readlink().name == commit
        if body % 8 == 0:
            assert clean(bare) == [], first
        unreached, first = (0 if changes.number >= first else unreached + 1), first + step
    assert clean(bare) == []
    assert body > (10 if mode != "short" else 0)


@pytest.mark.parametrize("seconds", [-86400.0, 86400.0])
def test_a_clock_that_is_set_meanwhile_is_nothing_to_a_deploy_and_its_rollback(bare: Bare, seconds: float) -> None:
    for body in range(1, 6):
        bare.commit("test", tree(str(body)))
        with clock_jumps(seconds, body):
            assert deploy(bare).outcome == "live"
            assert deploy(bare).outcome == "unchanged"
        with Deployer(bare.settings) as deployer, clock_jumps(-seconds, body):
            assert deployer.rollback(TEST, None, "me", "for a test").outcome == "live"
            assert contents(bare.live("test")) == shown(str(body - 1))
            deployer.release(TEST)
        assert deploy(bare).outcome == "live"
        assert contents(bare.live("test")) == shown(str(body))
    assert clean(bare) == []


@pytest.mark.parametrize("how", UNHEARD)
def test_whom_nobody_hears_deploys_all_of_it(bare: Bare, how: str) -> None:
    bare.commit("test", tree("1"))
    bare.commit("production", tree("1"))
    configuration = bare.base / "config.yaml"
    places = {"repository": bare.path, "store": bare.settings.store, "environments": bare.settings.environments}
    configuration.write_text(yaml.safe_dump({"branches": {name: str(path) for name, path in places.items()}}))
    with unheard(how) as descriptor:
        assert muted(descriptor, lambda: cli.main(["--config", str(configuration), "deploy"])) in (0, 1)
    for environment in ("test", "production"):
        assert contents(bare.live(environment)) == shown("1")
    assert clean(bare) == []
