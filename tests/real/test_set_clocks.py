"""A clock that is set, forward or back, removes and ends nothing that is young, and keeps nothing for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enc.answers.layout import Contact, Layout
from enc.programs.elapsed import Count, begun
from enc.settings import AnswerSettings, DirectorySettings, Settings
from enc.terms.names import BranchName, EnvironmentName, PersonName
from git_hooks.branches.archive import forget
from git_hooks.branches.expiry import Expiry
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.push.leaving import Leaving, note, settle
from git_hooks.repository.refstore import RefStore
from git_hooks.transport.tokens import TokenPurpose, Tokens
from tests.support.bare import Bare
from tests.support.clocks import Machine

HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0
TOPIC, ENDED = BranchName("topic/red/x"), BranchName("topic/red/ended")


class Site:
    """Something of everything that goes with time, made now, and a machine on which time passes."""

    def __init__(self, base: Path) -> None:
        self.bare = Bare(base)
        self.deployer = Deployer(self.bare.settings)
        self.refs = RefStore(str(self.bare.path))
        self.tokens = Tokens(base / "tokens")
        self.machine = Machine(time.time())
        self.count = begun(self.machine.look())
        self.tip = None
        for text in ("# 1\n", "# 2\n"):
            self.tip = self.bare.commit(TOPIC, {"manifests": {"site.pp": text}}, parent=self.tip)
            assert self.deployer.deploy(EnvironmentName("red__x"), Tip(TOPIC), "anna").good
        self.more()

    def more(self) -> None:
        """Archive something, let a token end, and note what a push is about to take away."""
        assert self.tip is not None
        self.refs.keep(ENDED, self.tip, int(self.machine.day))
        person, now = PersonName("anna"), self.machine.day
        made, _ = self.tokens.create(person, TokenPurpose("t"), 60, read_only=False, by="anna", now=now)
        self.tokens.revoke(made.id, now)

    def passes(self, seconds: float) -> None:
        """Let time pass, with a look every hour."""
        while seconds > 0:
            self.machine.passes(min(seconds, HOUR))
            self.look()
            seconds -= HOUR

    def look(self) -> Count:
        """Look at the clocks."""
        self.count = self.count.after(self.machine.look())
        return self.count

    def goes(self) -> tuple[int, int, int, int]:
        """Let go what is old: branches that would end, archived ones, versions, tokens."""
        self.look()
        now = int(time.time())
        layout = Layout(self.bare.base / "answers")
        for place in (layout.nodes, layout.refused):
            place.mkdir(parents=True, exist_ok=True)
        layout.contact.write_text(Contact(now, now, 86400, "current").line())
        answers = AnswerSettings(directory=layout.root)
        settings = Settings(
            directory=DirectorySettings(("ldap://127.0.0.1:1",)), answers=answers, branches=self.bare.settings
        )
        judged = Expiry(settings, self.deployer, self.refs).judged(self.count)
        return (
            sum(not one.reason for one in judged),
            len(forget(self.deployer, self.refs, self.bare.settings, self.count)),
            collect(self.deployer.layout, self.bare.settings.retain, self.count).versions,
            self.tokens.remove_old(self.count),
        )


def _jumps(machine: Machine, jump: float) -> None:
    machine.is_set(jump)


def _boots_wrong(machine: Machine, jump: float) -> None:
    machine.restarts(shows=machine.day + jump)


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
@pytest.mark.parametrize("how", [_jumps, _boots_wrong])
def test_nothing_young_goes_and_nothing_old_stays(
    tmp_path: Path, how: Callable[[Machine, float], None], jump: float
) -> None:
    site = Site(tmp_path)
    assert site.goes() == (0, 0, 0, 0)
    site.passes(600)
    how(site.machine, jump)
    assert site.goes()[:2] == (0, 0) == site.goes()[:2]
    assert len(site.tokens.all()) == 1
    site.passes(600)
    site.more()  # with the wrong time
    site.machine.is_set(-jump)
    assert site.goes()[:2] == (0, 0)
    site.passes(29 * DAY - HOUR)
    assert site.goes()[0] == 0 and len(site.tokens.all()) == len(site.refs.archived()) == 2
    site.passes(2 * DAY)
    assert site.goes()[0] == 1, "nobody pushed to it for 30 days"
    site.passes(61 * DAY)
    site.goes()
    assert (site.refs.archived(), site.tokens.all()) == ((), ())
    assert len(site.deployer.versions.of(EnvironmentName("red__x"))) == 1


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_version_that_was_live_just_now_stays_for_the_compiles_that_read_it(tmp_path: Path, jump: float) -> None:
    site = Site(tmp_path)
    site.machine.is_set(jump)
    assert site.goes()[2] == 0
    site.passes(2 * float(site.bare.settings.retain))
    assert site.goes()[2] == 1


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_push_that_is_under_way_keeps_its_note(tmp_path: Path, jump: float) -> None:
    site = Site(tmp_path)
    assert site.tip is not None
    note(str(site.bare.path), [Leaving(TOPIC, site.tip)])
    notes = site.bare.path / "puppetmaster/leaving"
    site.machine.is_set(jump)
    assert settle(site.deployer.repository, site.look) == () and len(list(notes.glob("[!.]*"))) == 1
    site.passes(DAY + HOUR)
    assert settle(site.deployer.repository, site.look) == () and not list(notes.glob("[!.]*"))


def test_the_last_deploy_is_the_one_that_was_written_last(tmp_path: Path) -> None:
    """What a rollback goes back to does not depend on the time of day."""
    clock = iter([2e9, 2e9 + 5, 1e9, 1e9 + 5, *(1e9 + 10 + number for number in range(50))])
    bare, name = Bare(tmp_path), EnvironmentName("red__x")
    last: list[float] = []

    def tick() -> float:
        last[:] = [next(clock, last[0] + 1 if last else 0.0)]
        return last[0]

    deployer, tips = Deployer(bare.settings, clock=tick), []
    for text in ("# 1\n", "# 2\n", "# 3\n"):
        tips.append(bare.commit(TOPIC, {"manifests": {"site.pp": text}}, parent=tips[-1] if tips else None))
        assert deployer.deploy(name, Tip(TOPIC), "anna").good
    assert [one.new for one in deployer.records.of(name)] == tips[::-1]
    assert deployer.plan_rollback(name, None).new == tips[-2]
