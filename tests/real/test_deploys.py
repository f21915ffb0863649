"""Deploys with real processes: killed at every step, many at once, held, rolled back, flushed."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import signal
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from enc.settings import BranchSettings, PuppetserverSettings
from enc.terms.environments import Rules
from enc.terms.errors import NotFound
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.branches.reconcile import look, reconcile
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Exact, Tip
from git_hooks.repository.objects import RememberedTrees, Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.repository.trees import FILE, Entry
from git_hooks.store.steps import nothing
from tests.support.bare import Bare, Content, clean, contents, git
from tests.support.certificates import Authority
from tests.support.clocks import even

TEST = EnvironmentName("test")
BRANCH = BranchName("test")
FORK = multiprocessing.get_context("fork")


def tree(body: str) -> Content:
    modules: Content = {
        "a": {"x": body, "same": "1", "d": {"y": "-> ../x", "deep": {"z": "2"}}},
        "b": {"x": "unchanged"},
    }
    return {"environment.conf": "", "top": body, "modules": modules, "data": {"k": body}}


def shown(body: str) -> dict[str, str]:
    return {
        "environment.conf": "", "top": body, "data/k": body, "modules/a/x": body, "modules/a/same": "1",
        "modules/a/d/y": body, "modules/a/d/deep/z": "2", "modules/b/x": "unchanged",
    }  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def deploy(bare: Bare, *, settings: BranchSettings | None = None, at: Callable[[str], None] = nothing) -> Record:
    with Deployer(settings or bare.settings, at=at, sleep=lambda seconds: None) as deployer:
        return deployer.deploy(TEST, Tip(BRANCH), "me")


def inventory(bare: Bare) -> set[str]:
    store = bare.settings.store
    return {
        str(path.relative_to(store)) for part in ("units", "links", "versions") for path in (store / part).rglob("*")
    }


def killed_at(bare: Bare, work: Callable[[Callable[[str], None]], object], step: int | str) -> bool:
    """Run `work` in a process that is killed at a step (by number or name); tell whether it got that far."""

    def run() -> None:
        steps = iter(range(1_000_000))

        def at(name: str) -> None:
            if step in (next(steps), name):
                os.kill(os.getpid(), signal.SIGKILL)

        work(at)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("first", [True, False], ids=["new environment", "switch"])
def test_killed_at_every_step_the_environment_is_whole_and_the_next_deploy_finishes(
    tmp_path: Path, first: bool
) -> None:
    expected: set[str] = set()
    for step in range(1000):
        base = tmp_path / str(step)
        base.mkdir()
        bare = Bare(base)
        old = None
        if not first:
            old = bare.commit("test", tree("old"))
            deploy(bare)
        new = bare.commit("test", tree("new"))
        killed = killed_at(bare, lambda at: deploy(bare, at=at), step)  # noqa: B023
        live = contents(bare.live("test")) if bare.live("test").exists() else None
        assert live in ([None, shown("new")] if first else [shown("old"), shown("new")]), step
        record = deploy(bare)
        assert record.outcome in ("live", "unchanged"), (step, record)
        assert contents(bare.live("test")) == shown("new")
        assert bare.live("test").readlink().name == new
        assert clean(bare) == []
        found = {name.replace(str(old), "OLD") for name in inventory(bare)}
        expected = expected or found
        assert found == expected, step
        if not killed:
            break
    assert step > 20


def test_gc_killed_at_every_step_harms_nothing_and_the_next_finishes(tmp_path: Path) -> None:
    for step in range(1000):
        base = tmp_path / str(step)
        base.mkdir()
        bare = Bare(base)
        for body in ("old", "new"):
            bare.commit("test", tree(body))
            deploy(bare)
        layout = Deployer(bare.settings).layout
        killed = killed_at(bare, lambda at: collect(layout, 0, even(9e9), at), step)  # noqa: B023
        assert contents(bare.live("test")) == shown("new")
        assert clean(bare) == []
        assert "old" not in {path.read_text() for path in bare.settings.store.rglob("x") if path.is_file()}
        if not killed:
            break
    assert step > 3


def test_a_flush_that_a_kill_prevented_is_made_up_for(bare: Bare) -> None:
    bare.commit("test", tree("new"))
    deploy(bare)
    bare.commit("test", tree("newer"))
    assert killed_at(bare, lambda at: deploy(bare, at=at), "flush")
    with Deployer(bare.settings) as deployer:
        assert deployer.records.owing() == (TEST,)
        assert [record.outcome for record in deployer.records.of(TEST)] == ["begun", "live"]
        assert deployer.plan(TEST, Tip(BRANCH)).decision == "flush"
        assert deployer.deploy(TEST, Tip(BRANCH), "me").outcome == "live"
        assert deployer.records.owing() == ()


def test_many_pushers_of_one_branch_are_all_told_the_truth(bare: Bare) -> None:
    results = FORK.Queue()
    gate = FORK.Event()

    def push(number: int) -> None:
        gate.wait()
        mine = bare.commit("test", tree(str(number)))
        with Deployer(bare.settings) as deployer:
            record = deployer.deploy(TEST, Tip(BRANCH), "me")
            results.put((mine, record.outcome, record.new))

    processes = [FORK.Process(target=push, args=(number,)) for number in range(20)]
    for process in processes:
        process.start()
    gate.set()
    told = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    assert {outcome for _, outcome, _ in told} <= {"live", "unchanged"}
    tip = Deployer(bare.settings).repository.tip(BRANCH)
    assert bare.live("test").readlink().name == tip
    assert tip in {new for _, _, new in told}
    assert clean(bare) == []


def test_many_branches_at_once_while_gc_runs(bare: Bare) -> None:
    bare.commit("test", tree("0"))
    deploy(bare)
    rules = Rules(bare.settings.rules)

    def push(number: int) -> None:
        branch = BranchName(f"project/p{number}")
        place = rules.place(branch)
        assert place is not None
        with Deployer(bare.settings) as deployer:
            for body in range(3):
                bare.commit(branch, tree(f"{number} {body}"))
                assert deployer.deploy(place.environment, Tip(branch), "me").outcome == "live"

    processes = [FORK.Process(target=push, args=(number,)) for number in range(12)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        collect(Deployer(bare.settings).layout, 0, even(9e9))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for number in range(12):
        assert contents(bare.live(f"project_p{number}")) == shown(f"{number} 2")
    assert clean(bare) == []


FILES = 150
"""Reading so many takes long enough that every switch comes in the middle of a reading."""


def _read(live: Path, stop: Event, told: Connection) -> None:
    """Read the files of what is live until `stop`; tell whether they were of one version each time, and of how many."""
    mixes: list[set[str]] = []
    seen: set[str] = set()
    while not stop.is_set():
        version = live.resolve()
        found = {(version / f"m/f{n}").read_text() for n in range(FILES)}
        seen |= found
        if len(found) != 1:
            mixes.append(found)
    told.send((mixes, len(seen)))


def test_a_reader_that_resolves_the_link_once_never_sees_a_mix(bare: Bare) -> None:
    """200 switches."""
    bodies = [f"{number:03d}" for number in range(201)]
    commits = [bare.commit("test", {"m": {f"f{n}": body for n in range(FILES)}}) for body in bodies]
    stop, (here, there) = FORK.Event(), FORK.Pipe()
    with Deployer(bare.settings) as deployer:
        deployer.deploy(TEST, Exact(commits[0]), "me")
        # In a process of its own, so that neither waits for the other's turn in one interpreter.
        reader = FORK.Process(target=_read, args=(bare.live("test"), stop, there))
        reader.start()
        for commit in commits[1:]:
            deployer.deploy(TEST, Exact(commit), "me")
        stop.set()
        mixes, seen = here.recv()
        reader.join()
    assert mixes == []
    assert seen > 2


def test_many_versions_are_built_ahead_and_one_that_is_unsound_hinders_none(bare: Bare) -> None:
    targets = []
    for number in range(60):
        bare.commit(f"b{number}", tree(str(number // 2)))
        if number == 7:
            bare.commit_tree("b7", bare.write("tree", b"100644 a"))
        targets.append((EnvironmentName(f"b{number}"), Tip(BranchName(f"b{number}"))))
    with Deployer(bare.settings) as deployer:
        deployer.build_ahead(targets)
        assert not list(bare.settings.environments.iterdir())
        made = inventory(bare)
        outcomes = [deployer.deploy(*target, "me").outcome for target in targets]
    assert outcomes == ["live"] * 7 + ["failed"] + ["live"] * 52
    assert inventory(bare) == made
    assert contents(bare.live("b59")) == shown("29")
    assert clean(bare) == []


def test_an_empty_store_is_filled_again_from_the_repository(bare: Bare) -> None:
    for branch in ("test", "production", "project/a", "project/b", "scratch"):
        bare.commit(branch, tree(branch))
    rules = Rules(bare.settings.rules)
    with Deployer(bare.settings) as deployer:
        records = list(reconcile(deployer, look(deployer, rules), "op"))
        assert {record.environment: record.outcome for record in records} == dict.fromkeys(
            ["test", "production", "project_a", "project_b"], "live"
        )
        assert look(deployer, rules).deploy == ()
    assert contents(bare.live("project_b")) == shown("project/b")


def test_a_branch_that_is_gone_takes_its_environment_along(bare: Bare) -> None:
    commit = bare.commit("test", tree("1"))
    deploy(bare)
    (bare.path / "refs/heads/test").unlink()
    assert deploy(bare).outcome == "removed"
    assert not bare.live("test").is_symlink()
    assert (bare.settings.store / "versions/test" / commit).is_dir(), "a compile may still read it"
    assert deploy(bare).outcome == "unchanged"


def test_a_damaged_repository_is_no_deleted_branch(bare: Bare) -> None:
    commit = bare.commit("test", tree("1"))
    deploy(bare)
    (bare.path / "objects" / commit[:2] / commit[2:]).unlink()
    record = deploy(bare)
    assert (record.outcome, "git fsck" in record.detail) == ("failed", True)
    assert contents(bare.live("test")) == shown("1")


def test_a_full_disk_in_the_middle_of_a_build_spoils_no_later_deploy(bare: Bare) -> None:
    def fill(step: str) -> None:
        written.append(step)
        if full and step == "write file" and written.count(step) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    written: list[str] = []
    full = True
    commits = {name: bare.commit(name, {"d": {f"f{n}": f"{name} {n}" for n in range(9)}}) for name in ("a", "b")}
    targets = [(EnvironmentName(name), Tip(BranchName(name))) for name in commits]
    with Deployer(bare.settings, at=fill) as deployer:
        assert "No space left" in deployer.deploy(*targets[0], "me").detail
        full = False
        # What git had been asked for must not pass for the answers to what is asked next.
        records = [deployer.deploy(*target, "me") for target in targets * 8]
    assert [(record.outcome, record.new) for record in records[:2]] == [("live", commit) for commit in commits.values()]
    assert {record.outcome for record in records[2:]} == {"unchanged"}
    assert contents(bare.live("b")) == {f"d/f{n}": f"b {n}" for n in range(9)}


def test_a_file_that_is_missing_in_the_repository_spoils_no_later_deploy(bare: Bare) -> None:
    bare.commit("a", {"d": {f"f{n}": f"a {n}" for n in range(9)}})
    bare.commit("b", {"d": {f"f{n}": f"b {n}" for n in range(9)}})
    lost = bare.blob("a 2")
    (bare.path / "objects" / lost[:2] / lost[2:]).unlink()
    with Deployer(bare.settings) as deployer:
        outcomes = [deployer.deploy(EnvironmentName(name), Tip(BranchName(name)), "me").outcome for name in "abab"]
    assert outcomes == ["failed", "live", "failed", "unchanged"]
    assert contents(bare.live("b")) == {f"d/f{n}": f"b {n}" for n in range(9)}


def test_pushes_to_a_large_directory_are_not_all_remembered(bare: Bare) -> None:
    one, other = bare.blob("1"), bare.blob("2")
    trees = []
    for changed in range(30):
        entries = [Entry(FILE, f"node{number}.yaml", other if number == changed else one) for number in range(10_000)]
        trees.append(bare.raw_tree(entries))
    with Repository(str(bare.path)) as repository:
        tracemalloc.start()
        for tree in trees:
            assert len(repository.tree(tree)) == 10_000
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert kept < 60 << 20


def test_trees_that_every_push_asks_for_stay_and_others_go() -> None:
    trees, entries = RememberedTrees(), (Entry(FILE, "x", "0" * 40),) * 1000
    trees.add("always", entries)
    for number in range(1000):
        trees.add(f"t{number}", entries)
        assert trees.get("always") is entries
    assert trees.get("t999") is entries
    assert sum(trees.get(f"t{number}") is not None for number in range(1000)) <= 200


def test_a_branch_with_a_name_of_several_lines_is_left_out(bare: Bare) -> None:
    commit = bare.commit("test", tree("1"))
    git(bare.path, "update-ref", "refs/heads/production\u2028x", commit)
    with Deployer(bare.settings) as deployer:
        assert deployer.repository.branches() == {BRANCH: commit}
    refs = RefStore(str(bare.path))
    assert (refs.containing(commit), [*refs.dates()]) == ((BRANCH,), [BRANCH])


def test_a_hold_keeps_what_is_live_until_it_is_released(bare: Bare) -> None:
    bare.commit("test", tree("1"))
    deploy(bare)
    with Deployer(bare.settings) as deployer:
        deployer.hold(TEST, "op", "an experiment")
        bare.commit("test", tree("2"))
        assert deployer.deploy(TEST, Tip(BRANCH), "me").outcome == "held"
        held = deployer.records.held(TEST)
        assert held is not None
        assert (held.who, held.reason) == ("op", "an experiment")
        assert contents(bare.live("test")) == shown("1")
        assert deployer.release(TEST)
        assert not deployer.release(TEST)
        assert deployer.deploy(TEST, Tip(BRANCH), "me").outcome == "live"


def test_a_rollback_goes_to_what_was_live_before_and_stays_there(bare: Bare) -> None:
    first = bare.commit("test", tree("1"))
    deploy(bare)
    bare.commit("test", tree("2"))
    deploy(bare)
    with Deployer(bare.settings) as deployer:
        record = deployer.rollback(TEST, None, "op", "it broke")
        assert (record.outcome, record.new, record.why) == ("live", first, "rollback: it broke")
        assert contents(bare.live("test")) == shown("1")
        assert deployer.deploy(TEST, Tip(BRANCH), "me").outcome == "held"
        newest = deployer.records.of(TEST)[0]
        assert (newest.who, newest.environment, set(newest.milliseconds)) == (
            "op", TEST, {"look", "build", "switch", "flush"},
        )  # fmt: skip


def test_a_rollback_finds_what_was_before_a_kill_and_a_flush_that_was_made_up_for(bare: Bare) -> None:
    first = bare.commit("test", tree("1"))
    deploy(bare)
    bare.commit("test", tree("2"))
    assert killed_at(bare, lambda at: deploy(bare, at=at), "flush")
    assert deploy(bare).outcome == "live"
    with Deployer(bare.settings) as deployer:
        assert deployer.rollback(TEST, None, "op", "it broke").new == first
    assert contents(bare.live("test")) == shown("1")


def test_a_rollback_that_was_killed_at_any_step_is_not_undone_by_the_next_push(tmp_path: Path) -> None:
    for step in range(1000):
        base = tmp_path / str(step)
        base.mkdir()
        bare = Bare(base)
        for body in ("1", "2"):
            bare.commit("test", tree(body))
            deploy(bare)

        def roll_back(at: Callable[[str], None], settings: BranchSettings = bare.settings) -> None:
            with Deployer(settings, at=at) as deployer:
                deployer.rollback(TEST, None, "op", "it broke")

        killed = killed_at(bare, roll_back, step)
        before = contents(bare.live("test"))
        assert before in (shown("1"), shown("2"))
        deploy(bare)
        assert contents(bare.live("test")) == before
        if before == shown("2"):
            roll_back(nothing)
        assert contents(bare.live("test")) == shown("1")
        if not killed:
            break
    assert step > 3


def test_a_second_rollback_goes_further_back_and_not_to_what_the_first_one_left(bare: Bare) -> None:
    for body in ("1", "2", "3"):
        bare.commit("test", tree(body))
        deploy(bare)
    with Deployer(bare.settings) as deployer:
        for body in ("2", "1"):
            assert deployer.rollback(TEST, None, "op", "it broke").outcome == "live"
            assert contents(bare.live("test")) == shown(body)
        with pytest.raises(NotFound):
            deployer.rollback(TEST, None, "op", "it broke")
        assert deployer.release(TEST)
        deployer.deploy(TEST, Tip(BRANCH), "me")
        deployer.rollback(TEST, None, "op", "it broke")
    assert contents(bare.live("test")) == shown("1")


def test_a_rollback_that_fails_leaves_the_hold_that_was_there(bare: Bare) -> None:
    bare.commit("test", tree("1"))
    deploy(bare)
    unsound = bare.commit_tree("test", bare.write("tree", b"100644 a"))
    with Deployer(bare.settings) as deployer:
        assert deployer.rollback(TEST, unsound, "op", "a try").outcome == "failed"
        assert deployer.records.held(TEST) is None
        deployer.hold(TEST, "eve", "an incident")
        assert deployer.rollback(TEST, unsound, "op", "a try").outcome == "failed"
        held = deployer.records.held(TEST)
        assert held is not None
        assert (held.who, held.reason) == ("eve", "an incident")


def test_an_exact_commit_is_deployed_wherever_the_branch_is(bare: Bare) -> None:
    first = bare.commit("test", tree("1"))
    bare.commit("test", tree("2"))
    with Deployer(bare.settings) as deployer:
        assert deployer.deploy(TEST, Exact(first), "me").outcome == "live"
        assert deployer.deploy(TEST, Exact(ObjectId("1" * 40)), "me").outcome == "failed"
    assert contents(bare.live("test")) == shown("1")


def test_a_record_that_was_cut_off_spoils_no_other(bare: Bare) -> None:
    bare.commit("test", tree("1"))
    deploy(bare)
    path = bare.settings.store / "records/test.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    bare.commit("test", tree("2"))
    deploy(bare)
    with Deployer(bare.settings) as deployer:
        assert [record.outcome for record in deployer.records.of(TEST)] == ["live", "begun"]


class _Server(HTTPServer):
    """Answers like the address of the flush, over TLS; only who has a certificate may talk to it."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
        context.load_cert_chain(*authority.issue("127.0.0.1"))
        context.verify_mode = ssl.CERT_REQUIRED
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.statuses: list[int] = []
        self.asked: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    server: _Server

    def do_DELETE(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ca")


@pytest.fixture
def server(authority: Authority) -> Iterator[_Server]:
    server = _Server(authority)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def flushing(bare: Bare, server: _Server, authority: Authority) -> BranchSettings:
    certificate, key = authority.issue("localhost")
    url = f"https://127.0.0.1:{server.server_port}"
    servers = PuppetserverSettings((url,), authority.certificate, certificate, key)
    return dataclasses.replace(bare.settings, puppetserver=servers)


FLUSH = "/puppet-admin-api/v1/environment-cache?environment=test"


def test_each_deploy_flushes_once(bare: Bare, server: _Server, authority: Authority) -> None:
    settings = flushing(bare, server, authority)
    for body in ("1", "2"):
        bare.commit("test", tree(body))
        assert deploy(bare, settings=settings).outcome == "live"
    assert deploy(bare, settings=settings).outcome == "unchanged"
    assert server.asked == [FLUSH, FLUSH]


def test_a_flush_that_fails_is_tried_again(bare: Bare, server: _Server, authority: Authority) -> None:
    bare.commit("test", tree("1"))
    server.statuses = [503, 503]
    assert deploy(bare, settings=flushing(bare, server, authority)).outcome == "live"
    assert len(server.asked) == 3


def test_a_failed_flush_is_a_failed_deploy_and_made_up_for(bare: Bare, server: _Server, authority: Authority) -> None:
    settings = flushing(bare, server, authority)
    bare.commit("test", tree("1"))
    server.statuses = [403] * 3
    record = deploy(bare, settings=settings)
    assert (record.outcome, record.good, "auth.conf must allow" in record.detail) == ("not flushed", False, True)
    assert deploy(bare, settings=settings).outcome == "live"
    assert deploy(bare, settings=settings).outcome == "unchanged"
    assert len(server.asked) == 4


def test_a_server_that_is_not_ours_is_told_nothing(
    bare: Bare, server: _Server, authority: Authority, tmp_path: Path
) -> None:
    settings = flushing(bare, server, authority)
    stranger = Authority.make(tmp_path / "stranger")
    servers = dataclasses.replace(settings.puppetserver, ca_file=stranger.certificate)
    bare.commit("test", tree("1"))
    record = deploy(bare, settings=dataclasses.replace(settings, puppetserver=servers))
    assert (record.outcome, server.asked) == ("not flushed", [])
    assert "CERTIFICATE_VERIFY_FAILED" in record.detail
