"""What pushes take away from branches is kept, whoever is killed when, and comes back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enc.terms.names import BranchName
from git_hooks.cli import main
from git_hooks.push.leaving import Leaving, note, settle
from git_hooks.push.service import Service
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.upkeep.chores import collection
from tests.real.conftest import SlapdMaker
from tests.support.bare import Bare, git
from tests.support.clocks import counted_since_1970, even
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd

FORK = multiprocessing.get_context("fork")
DELETE = [{"ref": "topic/red/idle", "delete": True}]
REWRITE = [{"ref": "project/red", "to": "test"}]
IDLE, RED = BranchName("topic/red/idle"), BranchName("project/red")


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


@pytest.fixture
def site(slapd: Slapd, tmp_path: Path) -> ManagedRepository:
    return ManagedRepository(tmp_path / "site", slapd)


def branch_manager(site: ManagedRepository, *words: str) -> int:
    return main(["--config", str(site.configuration), *words])


def notes(site: ManagedRepository) -> list[Path]:
    return [path for path in (site.bare.path / "puppetmaster/leaving").glob("*") if not path.name.startswith(".")]


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_branch_that_a_push_deletes_is_kept_and_comes_back(slapd: Slapd, tmp_path: Path, warm: bool) -> None:
    site = ManagedRepository(tmp_path / "site", slapd)
    old = site.refs()[IDLE.ref]
    if warm:
        with site.serving():
            pushed = site.push(DELETE, who="anna")
    else:
        pushed = site.push(DELETE, who="anna")
    assert pushed.kept == {IDLE: old} and notes(site) == []
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 90 * 86400))
    assert f"it is kept until {until}; an operator can restore it with: branch-manager restore {IDLE}" in pushed.output
    assert branch_manager(site, "restore", IDLE) == 0
    assert (site.refs()[IDLE.ref], site.shown("project_red__idle", "manifests/site.pp")) == (old, "idle")
    assert RefStore(str(site.bare.path)).archived() == ()


def test_what_a_forced_push_threw_away_comes_back_as_another_branch(
    site: ManagedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    old = site.refs()[RED.ref]
    pushed = site.push(REWRITE, who="anna")
    assert pushed.kept == {RED: old}
    (kept,) = RefStore(str(site.bare.path)).archived()
    assert f"what it had before ({old[:10]}) is kept until" in pushed.output
    assert f"branch-manager restore {kept.name} --as BRANCH" in pushed.output
    assert branch_manager(site, "restore", RED) == 1
    assert "--as restores it under another" in capsys.readouterr().err
    assert branch_manager(site, "restore", kept.name, "--as", "topic/red/old") == 0
    assert (site.refs()["refs/heads/topic/red/old"], site.refs()[RED.ref]) == (old, pushed.moved[RED.ref])
    assert site.shown("project_red__old", "manifests/site.pp") == "red"
    assert branch_manager(site, "restore", f"{RED}@x") == 2


@pytest.mark.parametrize("who_settles", ["push", "gc", "expire", "deploy", "restore"])
def test_a_push_that_is_killed_before_its_end_loses_nothing(site: ManagedRepository, who_settles: str) -> None:
    old = site.refs()
    after = site.bare.path / "hooks/post-receive"
    after.chmod(0o644)  # git has moved the refs, and nobody comes to say so
    assert site.push([*DELETE, *REWRITE], who="anna").kept == {}
    after.chmod(0o755)
    if who_settles == "push":
        again = site.push([{"ref": "topic/red/new", "files": {"a": "b"}}])
        assert "project/red: the commits that an interrupted push removed are kept as project/red@" in again.output
    else:
        branch_manager(site, who_settles)
    archived = {one.branch: one.commit for one in RefStore(str(site.bare.path)).archived()}
    assert archived == {IDLE: old[IDLE.ref], RED: old[RED.ref]}
    assert notes(site) == []


def test_a_push_that_git_refuses_in_the_end_takes_nothing_away(site: ManagedRepository) -> None:
    legacy = site.bare.path / "hooks/pre-receive.legacy"
    legacy.write_text("#!/bin/sh\nexit 1\n")
    legacy.chmod(0o755)
    assert site.push(DELETE, who="anna").status != 0
    legacy.unlink()
    repository = Repository(str(site.bare.path))
    assert settle(repository, lambda: even(time.time())) == () and len(notes(site)) == 1
    assert settle(repository, lambda: even(time.time() + 2 * 86400)) == () and notes(site) == []
    repository.close()
    assert IDLE.ref in site.refs()


def test_a_branch_that_came_back_by_a_push_is_kept_as_long_when_it_goes_again(site: ManagedRepository) -> None:
    commit = site.refs()[IDLE.ref]
    site.push(DELETE, who="anna")
    (first,) = RefStore(str(site.bare.path)).archived()
    long_ago = f"refs/archive/{IDLE}@{first.at - 80 * 86400}"
    git(site.bare.path, "update-ref", "--stdin", stdin=f"create {long_ago} {commit}\ndelete {first.ref}\n".encode())
    assert site.push([{"ref": IDLE, "to": commit}], who="anna").status == 0
    assert "an operator can restore it with" in site.push(DELETE, who="anna").output
    refs = RefStore(str(site.bare.path))
    refs.forget([one for one in refs.archived() if one.at < time.time() - 70 * 86400])
    assert [one.commit for one in RefStore(str(site.bare.path)).archived()] == [commit]


@pytest.mark.parametrize("by", ["gc", "upkeep"])
def test_rewriting_without_end_crowds_out_itself_and_nothing_that_is_needed(site: ManagedRepository, by: str) -> None:
    refs, now = RefStore(str(site.bare.path)), int(time.time())
    tip, others = ObjectId(site.refs()[RED.ref]), ObjectId(site.refs()["refs/heads/test"])
    held = site.bare.commit("scratch", {"manifests": {"site.pp": "held"}})
    git(site.bare.path, "update-ref", "-d", "refs/heads/scratch")
    lines = [f"create refs/archive/{RED}@{now - 5000 + number} {tip}" for number in range(1500)]
    lines += [f"create refs/archive/{RED}@{now - days * 86400} {others}" for days in (1, 2, 3, 80)]
    git(site.bare.path, "update-ref", "--stdin", stdin="\n".join([*lines, ""]).encode())
    counted_since_1970(site.settings.branches.store / "elapsed")
    ours = [refs.keep(RED, held, at) for at in (now - 95 * 86400, now - 100 * 86400)]
    assert branch_manager(site, "rollback", "project_red", held, "--reason", "it worked then") == 0
    if by == "gc":
        assert branch_manager(site, "gc") == 0
    else:
        with Service(site.configuration).workplace() as place:
            (told,) = [one.text for one in collection(place) if "archive_most" in one.text]
        assert f"{RED}: 14" in told
    kept = refs.archived()
    assert len(kept) in (100, 101) and {one.at for one in kept} > {now - days * 86400 for days in (1, 2, 3, 80)}
    assert min(one.at for one in kept if one.commit == tip) < now - 4990, "the flood is thinned, not cut off"
    assert [one for one in kept if one.commit == held] == ours[:1], "what is held, once, though it is in no branch"
    git(site.bare.path, "gc", "-q", "--prune=now")
    assert site.shown("project_red", "manifests/site.pp") == "held"
    git(site.bare.path, "cat-file", "-e", f"{held}^{{tree}}")
    branch_manager(site, "release", "project_red")
    assert branch_manager(site, "deploy") == 0
    assert branch_manager(site, "rollback", "project_red", "--reason", "again") == 0, "a rollback goes back there"


@pytest.mark.parametrize("claimed", ["1" * 40, "0" * 40])
def test_a_branch_is_not_deleted_by_who_says_that_it_was_elsewhere(site: ManagedRepository, claimed: str) -> None:
    # git deletes without a look at the branch if it does not have the commit that the client says it saw.
    told = site.send([f"{claimed} {'0' * 40} {IDLE.ref}"], who="anna")
    assert IDLE.ref in site.refs()
    assert f"{IDLE}: the branch has moved since you fetched" in told


def test_what_cannot_be_noted_is_not_taken_away(site: ManagedRepository) -> None:
    (site.bare.path / "puppetmaster/leaving").write_text("in the way")
    refused = site.push(DELETE, who="anna")
    assert refused.moved == {} and "cannot be recorded" in refused.output


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    """With notes about two branches: one went away, the other forgot its commit."""
    bare = Bare(tmp_path)
    (bare.path / "puppetmaster").mkdir()
    gone, old = bare.commit("topic/red/idle", {"a": "1"}), bare.commit("project/red", {"a": "2"})
    note(str(bare.path), [Leaving(IDLE, gone), Leaving(RED, old)])
    git(bare.path, "update-ref", "-d", IDLE.ref)
    bare.commit("project/red", {"a": "3"})
    return bare


def killed(work: Callable[[Callable[[str], None]], object], step: int) -> bool:
    def run() -> None:
        steps = iter(range(1000))

        def at(_: str) -> None:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        work(at)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    return process.exitcode != 0


def test_killed_at_every_step_each_commit_is_kept_once(bare: Bare) -> None:
    with Repository(str(bare.path)) as repository:
        step = 0
        while killed(lambda at: settle(Repository(str(bare.path)), lambda: even(time.time()), at), step):
            step += 1
        assert settle(repository, lambda: even(time.time())) == ()
    assert step > 0
    assert sorted(one.branch for one in RefStore(str(bare.path)).archived()) == [RED, IDLE]


def test_of_one_branch_two_commits_are_kept_in_one_second(bare: Bare) -> None:
    refs = RefStore(str(bare.path))
    first, second = bare.commit("test", {"a": "1"}), bare.commit("test", {"a": "2"})
    kept = [refs.keep(IDLE, commit, 1_700_000_000) for commit in (first, second)]
    assert [one.at for one in kept] == [1_700_000_000, 1_700_000_001]
    assert [one.commit for one in refs.archived()] == [second, first]


@pytest.mark.parametrize("by", ["gc", "upkeep"])
def test_gc_forgets_what_was_archived_long_ago(site: ManagedRepository, by: str) -> None:
    refs = RefStore(str(site.bare.path))
    commit = ObjectId(site.refs()[RED.ref])
    counted_since_1970(site.settings.branches.store / "elapsed")
    refs.keep(IDLE, commit, int(time.time()) - 91 * 86400)
    young = refs.keep(IDLE, commit, int(time.time()) - 89 * 86400)
    note(str(site.bare.path), [Leaving(BranchName("topic/red/gone"), commit)])  # by a push that was killed
    if by == "gc":
        assert branch_manager(site, "gc") == 0
    else:
        with Service(site.configuration).workplace() as place:
            list(collection(place))
    assert [one.branch for one in refs.archived()] == ["topic/red/gone", young.branch]
