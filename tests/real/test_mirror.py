"""A repository at a forge: webhook, fetch by real git, deploy, status; and a forge that fails."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.answers.layout import Contact, Layout
from enc.classify.model import Classification
from enc.classify.render import render_answer
from enc.directory.place import free_port
from enc.settings import AnswerSettings, Duration, MirrorSettings, Settings
from enc.settings.forges import FORGES
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.mirror.catch_up import CatchUp
from git_hooks.mirror.jobs import Jobs
from git_hooks.mirror.pace import BURST, GAP
from git_hooks.mirror.remote_git import UpstreamFailed
from git_hooks.mirror.report import ReportFailed, report
from git_hooks.mirror.tries import FORGE, read
from git_hooks.mirror.upstream import Upstream
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.repository.trees import FILE, Entry
from git_hooks.web.site import create_site
from tests.support import json_contract
from tests.support.bare import Bare, contents, git
from tests.support.following import eventually
from tests.support.invented_forge import sign
from tests.support.transports import wait_for_port
from tests.support.webhooks import github

SECRET = "s3cret"


class Forge:
    """The repository at the forge, its API, and our settings for it."""

    def __init__(self, base: Path) -> None:
        self.upstream = Bare(base / "forge")
        self.here = Bare(base / "here")
        self.statuses: list[tuple[str, str, dict[str, Any]]] = []
        self.redirect = ""
        forge = self

        class Api(BaseHTTPRequestHandler):
            """Takes commit statuses as GitHub documents them."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                forge.statuses.append((self.path, self.headers["Authorization"], body))
                self.send_response(302 if forge.redirect else 201)
                if forge.redirect:
                    self.send_header("Location", forge.redirect)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.api = HTTPServer(("127.0.0.1", 0), Api)
        self._thread = threading.Thread(target=self.api.serve_forever)
        self._thread.start()
        for name, text in (("secret", SECRET), ("token", "t0ken")):
            (base / name).write_text(text)
            (base / name).chmod(0o600)
        mirror = MirrorSettings(
            forge="github",
            url=f"file://{self.upstream.path}",
            protocols=("file",),
            secret_file=base / "secret",
            timeout=Duration(60),
            api=f"http://127.0.0.1:{self.api.server_port}",
            project="o/r",
            api_token_file=base / "token",
        )
        self.settings = Settings(
            branches=replace(self.here.settings, mirror=mirror), answers=AnswerSettings(directory=base / "answers")
        )
        self.answers = Layout(base / "answers")
        self.answers.create()
        self.follower_says(())

    def close(self) -> None:
        self.api.shutdown()
        self._thread.join()
        self.api.server_close()

    def follower_says(self, nodes: tuple[tuple[str, str], ...]) -> None:
        """Let there be answers of these nodes and environments, and no others."""
        for file in self.answers.nodes.iterdir():
            file.unlink()
        for name, environment in nodes:
            (self.answers.nodes / f"{name}.yaml").write_text(
                f'# {{}}\n---\nenvironment: "{environment}"\nclasses: {{}}\n'
            )
        now = int(time.time())
        self.answers.contact.write_text(Contact(now, now, 3600, "current").line())

    def push(self, branch: str, text: str) -> ObjectId:
        return self.upstream.commit(branch, {"manifests": {"site.pp": text}})

    def shows(self, environment: str) -> str | None:
        try:
            return (self.here.live(environment) / "manifests/site.pp").read_text()
        except FileNotFoundError:
            return None


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    made = Forge(tmp_path)
    yield made
    made.close()


@pytest.fixture
def look(forge: Forge) -> Iterator[Callable[..., list[str]]]:
    """Looks once; returns the outcomes."""
    with Deployer(forge.settings.branches) as deployer:
        catch_up = CatchUp(forge.settings, deployer)
        yield lambda *branches: [r.outcome for r in catch_up.look(map(BranchName, branches) if branches else None)]


def test_a_webhook_makes_the_commit_live_and_the_forge_is_told(forge: Forge) -> None:
    jobs = Jobs(forge.settings)
    client = create_site(forge.settings, jobs.add).test_client()
    forge.push("test", "# 1")
    jobs.start()
    try:
        eventually(lambda: forge.shows("test") == "# 1", "the look at the start")
        commit = forge.push("test", "# 2")
        body = json.dumps({"ref": "refs/heads/test", "after": "0" * 40}).encode()
        answer = client.post("/webhook", data=body, environ_overrides=github(SECRET, body, "1"))
        assert answer.json is not None and answer.json["job"]
        eventually(lambda: forge.shows("test") == "# 2", "the webhook's look")
        eventually(lambda: len(forge.statuses) == 2, "both reported")
    finally:
        jobs.stop()
    path, token, said = forge.statuses[-1]
    assert (path, token) == (f"/repos/o/r/statuses/{commit}", "Bearer t0ken")
    assert said == {"state": "success", "context": "puppetmaster", "description": "test: live"}


def test_a_forge_that_is_added_to_the_table_is_followed_like_the_others(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module and its line are all that is new; the webhook, the look, the deploy and the status are as they are."""
    monkeypatch.setitem(FORGES, "hut", "tests.support.invented_forge")
    mirror = replace(forge.settings.branches.mirror, forge="hut")
    settings = replace(forge.settings, branches=replace(forge.settings.branches, mirror=mirror))
    jobs = Jobs(settings)
    client = create_site(settings, jobs.add).test_client()
    jobs.start()
    try:
        eventually(lambda: read(settings.branches.store).answered is not None, "the look at the start")
        commit = forge.push("test", "# 1")
        body = b'{"what": "grown", "line": "test"}'
        for proof, status in ((sign("another", body), 403), (sign(SECRET, body), 202)):
            assert client.post("/webhook", data=body, headers={"X-Hut-Proof": proof}).status_code == status
        eventually(lambda: forge.shows("test") == "# 1", "the webhook's look")
        eventually(lambda: len(forge.statuses) == 1, "reported")
    finally:
        jobs.stop()
    assert forge.statuses == [
        (f"/huts/o/r/{commit}", "Hut t0ken", {"weather": "sunny", "note": "test: live"}),
    ]


def test_a_lost_webhook_is_made_up_for(forge: Forge) -> None:
    forge.push("test", "# 1")
    branches = replace(forge.settings.branches, mirror=replace(forge.settings.branches.mirror, poll=Duration(0.2)))
    jobs = Jobs(replace(forge.settings, branches=branches))
    jobs.start()
    try:
        eventually(lambda: forge.shows("test") == "# 1", "at the start")
        forge.push("test", "# 2")
        eventually(lambda: forge.shows("test") == "# 2", "polled")
    finally:
        jobs.stop()


def test_many_webhooks_for_one_branch_are_one_job(forge: Forge) -> None:
    jobs = Jobs(forge.settings)
    numbers = {jobs.add(BranchName("test")) for _ in range(50)}
    assert len(numbers) == 1
    assert jobs.add(BranchName("production")) not in numbers


def test_branches_come_are_rewritten_and_go(forge: Forge, look: Callable[..., list[str]]) -> None:
    forge.push("test", "# 1")
    first = forge.push("project/alpha", "# a")
    forge.push("feature/none", "# no environment")
    assert look() == ["live", "live"]
    forge.push("project/alpha", "# b")  # no child of the first
    assert look("project/alpha") == ["live"]
    assert forge.shows("project_alpha") == "# b"
    second = git(forge.here.path, "rev-parse", "refs/heads/project/alpha")
    git(forge.upstream.path, "update-ref", "-d", "refs/heads/project/alpha")
    forge.follower_says((("web1", "project_alpha"),))
    assert look() == [], "a node uses it"
    forge.answers.contact.unlink()
    assert look() == [], "nobody can tell who uses it"
    forge.follower_says(())
    assert look() == ["removed"]
    assert forge.shows("project_alpha") is None
    archived = RefStore(str(forge.here.path)).archived()
    assert {(one.branch, one.commit) for one in archived} == {("project/alpha", first), ("project/alpha", second)}
    assert "feature" not in git(forge.here.path, "for-each-ref")


def test_one_bad_branch_stops_no_other(forge: Forge, look: Callable[..., list[str]]) -> None:
    forge.push("test", "# 1")
    bad = forge.upstream.commit("project/bad", {"leads": "-> ../../../etc/passwd"})
    forge.push("project/a-b", "# 1")
    second = forge.push("project/a_b", "# 2")
    assert sorted(look()) == ["failed", "live"]
    forge.push("production", "# p")
    assert look() == ["live"], "it is not tried for ever"
    assert look("project/bad") == ["failed"], "but if the forge sends its webhook again"
    assert "refs/heads/project/bad" not in git(forge.here.path, "for-each-ref")
    told = {path.rsplit("/", 1)[1]: said["state"] for path, _, said in forge.statuses}
    assert told[bad] == told[second] == "failure"


@pytest.mark.parametrize("end", ["\u2028", "\x85"])
def test_a_branch_is_not_taken_for_the_beginning_of_its_name(
    forge: Forge, look: Callable[..., list[str]], end: str
) -> None:
    forge.push("production", "# production")
    assert look() == ["live"]
    # Whoever may make branches at the forge, and not push to this one, makes one with a character that ends lines.
    mine = forge.push("project/red", "# mine")
    git(forge.upstream.path, "update-ref", f"refs/heads/production{end}x", mine)
    assert look() == ["live"] and look() == []
    assert forge.shows("production") == "# production"


def test_what_was_not_read_of_a_damaged_tree_does_not_judge_the_next_branch(
    forge: Forge, look: Callable[..., list[str]]
) -> None:
    good = {f"f{number}": f"# {number}" for number in range(9)}
    entries = [Entry(FILE, name, forge.upstream.blob(text)) for name, text in good.items()]
    directory = forge.upstream.tree({"x": "a directory"})
    forge.upstream.commit_tree("project/bad", forge.upstream.raw_tree([Entry(FILE, "a", directory), *entries]))
    forge.upstream.commit("project/good", good)
    assert look() == ["failed", "live"]
    assert contents(forge.here.live("project_good")) == good


def test_a_fetched_tree_passes_the_checks_of_a_push_or_does_not_go_live(
    forge: Forge, look: Callable[..., list[str]]
) -> None:
    forge.push("test", "# 1")
    good = forge.push("project/red", "# red")
    assert look() == ["live", "live"]
    bad = forge.upstream.commit("project/red", {"environment.conf": "modulepath = /etc\n", "A": "1", "a": "2"})
    forge.push("test", "# 2")
    assert sorted(look()) == ["failed", "live"]
    assert (forge.shows("project_red"), forge.shows("test")) == ("# red", "# 2")
    assert git(forge.here.path, "rev-parse", "refs/heads/project/red") == good
    with Deployer(forge.settings.branches) as deployer:
        last = deployer.records.of(EnvironmentName("project_red"))[0]
    assert (last.outcome, last.old, last.new, last.who) == ("failed", good, bad, "mirror")
    assert "only in upper/lower case" in last.detail and "environment.conf" in last.detail
    told = [said for path, _, said in forge.statuses if path.endswith(bad)]
    assert [one["state"] for one in told] == ["failure"] and "only in upper/lower case" in told[0]["description"]
    forge.push("project/red", "# mended")
    assert look() == ["live"]
    assert forge.shows("project_red") == "# mended"


def test_what_could_not_be_checked_goes_live_and_the_log_says_so(
    forge: Forge, look: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    commit = forge.push("test", "$x = " + "[" * 20_000 + "]" * 20_000)
    assert look() == ["live"]
    assert f"test at {commit[:10]}: not checked: 1 file (is nested too deeply to be read)" in caplog.text
    caplog.set_level("INFO")
    commit = forge.push("test", '$x = "y"\n')
    assert look() == ["live"]
    assert f"test at {commit[:10]}: puppet-lint: manifests/site.pp: line 1: double quoted" in caplog.text
    forge.push("test", "$x = = 1")
    assert look() == ["failed"]
    assert "manifests/site.pp: line 1, column 6: Syntax error" in failing(forge)["test"]


def test_a_class_that_a_node_has_does_not_go_at_the_forge_either(
    forge: Forge, look: Callable[..., list[str]]
) -> None:
    forge.push("test", "class roles { }")
    assert look() == ["live"]
    node = Classification(Certname("web1.example.org"), EnvironmentName("test"), {"roles": {}}, {})
    answer = forge.answers.nodes / f"{node.certname}.yaml"
    answer.write_text(render_answer(node, None, "copy"))
    forge.push("test", "# none")
    assert look() == ["failed"]
    assert "class roles is not found any more" in failing(forge)["test"]
    answer.unlink()
    assert look("test") == ["live"]


def test_a_fetch_without_its_deploy_is_finished(forge: Forge, look: Callable[..., list[str]]) -> None:
    forge.push("test", "# 1")
    Upstream(forge.settings.branches).fetch([BranchName("test")])  # and killed here
    assert look() == ["live"]
    assert look() == []


def test_the_token_goes_nowhere_else(forge: Forge, look: Callable[..., list[str]]) -> None:
    other = Forge(forge.here.base.parent / "other")
    try:
        forge.redirect = f"http://127.0.0.1:{other.api.server_port}/stolen"
        forge.push("test", "# 1")
        assert look() == ["live"], "the deploy stands, whatever the forge says to its status"
        assert forge.statuses and not other.statuses
    finally:
        other.close()


@pytest.mark.parametrize("head", [b"HTTP/1.1 201 Created\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 999\r\n\r\n"])
def test_a_status_that_is_answered_an_octet_at_a_time_keeps_nobody(forge: Forge, head: bytes) -> None:
    """Whether it is the head that never ends or the body, which nobody needs."""
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def answer() -> None:
            peer, _ = slow.accept()
            with peer, suppress(OSError):
                peer.sendall(head)
                for _ in range(300):
                    peer.sendall(b"x")
                    time.sleep(0.1)

        thread = threading.Thread(target=answer)
        thread.start()
        mirror = replace(forge.settings.branches.mirror, api=f"http://127.0.0.1:{slow.getsockname()[1]}")
        with suppress(ReportFailed):
            report(mirror, ObjectId("1" * 40), "success", "live", patience=1)
        thread.join(15)
        assert not thread.is_alive(), "it is still listened to after 15 s"


def test_a_forge_that_hangs_or_is_away_changes_nothing(forge: Forge, look: Callable[..., list[str]]) -> None:
    forge.push("test", "# 1")
    look()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = replace(
            forge.settings.branches.mirror,
            url=f"git://127.0.0.1:{silent.getsockname()[1]}/r.git",
            protocols=("git",),
            timeout=Duration(1),
        )
        with pytest.raises(UpstreamFailed, match="within 1 s"):
            Upstream(replace(forge.settings.branches, mirror=mirror)).branches()
    forge.upstream.path.rename(forge.upstream.path.with_name("away"))
    with pytest.raises(UpstreamFailed):
        look()
    assert forge.shows("test") == "# 1"


def test_only_the_allowed_protocols_and_no_inherited_git_variables(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.push("test", "# 1")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ssh")
    assert list(Upstream(forge.settings.branches).branches()) == ["test"]
    shell = replace(forge.settings.branches.mirror, url=f"ext::sh -c touch% {forge.here.base}/run")
    with pytest.raises(UpstreamFailed, match="not allowed"):
        Upstream(replace(forge.settings.branches, mirror=shell)).branches()
    assert not (forge.here.base / "run").exists()


def failing(forge: Forge) -> dict[str, str]:
    return {one.subject: one.reason for one in read(forge.settings.branches.store).tries}


def without_pauses(forge: Forge) -> Settings:
    mirror = replace(forge.settings.branches.mirror, retry=Duration(0))
    return replace(forge.settings, branches=replace(forge.settings.branches, mirror=mirror))


def test_a_deploy_that_fails_is_tried_for_as_long_as_it_is_wanted_and_a_restart_forgets_nothing(forge: Forge) -> None:
    commit = forge.push("test", "# 1")
    obstacle = forge.here.live("test") / "somebody's"
    obstacle.mkdir(parents=True)
    for _ in range(2):  # processes
        with Deployer(forge.settings.branches) as deployer:
            catch_up = CatchUp(without_pauses(forge), deployer)
            for _ in range(6):
                assert [one.outcome for one in catch_up.look()] == ["failed"]
    kept = read(forge.settings.branches.store).tries[0]
    assert (kept.subject, kept.commit, kept.failures) == ("test", commit, 12) and "move it away" in kept.reason
    with Deployer(forge.settings.branches) as deployer:
        catch_up = CatchUp(forge.settings, deployer)
        assert len(catch_up.look()) == 1, "a new process tries at once"
        assert catch_up.look() == [], "and then in its time"
        assert len(catch_up.look(urgent=[BranchName("test")])) == 1, "or if somebody asks"
        obstacle.rmdir()
        obstacle.parent.rmdir()
        assert [one.outcome for one in catch_up.look([BranchName("test")])] == ["live"]
    assert failing(forge) == {} and forge.shows("test") == "# 1"
    states = [said["state"] for path, _, said in forge.statuses if path.endswith(commit)]
    assert states == ["failure"] * 3 + ["success"], "once by each process, not at each try"


def test_githubs_redeliver_makes_live_what_could_not_go_live(forge: Forge) -> None:
    jobs = Jobs(forge.settings)
    client = create_site(forge.settings, jobs.add).test_client()
    obstacle = forge.here.live("test") / "somebody's"
    obstacle.mkdir(parents=True)
    forge.push("test", "# 1")
    body = json.dumps({"ref": "refs/heads/test"}).encode()

    def deliver() -> None:
        answer = client.post("/webhook", data=body, environ_overrides=github(SECRET, body, "the same"))
        assert answer.json is not None and answer.json["job"]

    jobs.start()
    try:
        deliver()
        eventually(lambda: "test" in failing(forge), "it fails")
        obstacle.rmdir()
        obstacle.parent.rmdir()
        deliver()
        eventually(lambda: forge.shows("test") == "# 1", "the same delivery again")
    finally:
        jobs.stop()


def test_a_captured_webhook_sent_without_end_costs_some_looks_and_stops_nobody(forge: Forge) -> None:
    forge.push("test", "# 1")
    jobs = Jobs(forge.settings)
    jobs.start()
    try:
        eventually(lambda: forge.shows("test") == "# 1", "the look at the start")
        began = time.monotonic()
        numbers = set()
        while time.monotonic() - began < 2:
            numbers.add(jobs.add(BranchName("test")))
            time.sleep(0.001)
        assert len(numbers) <= BURST + (time.monotonic() - began) / GAP + 2
        forge.push("production", "# p")
        jobs.add(BranchName("production"))
        eventually(lambda: forge.shows("production") == "# p", "another branch")
    finally:
        jobs.stop()


def test_a_removal_that_is_killed_is_finished(forge: Forge) -> None:
    forge.push("test", "# 1")
    forge.push("project/alpha", "# a")
    with Deployer(forge.settings.branches) as deployer:
        CatchUp(forge.settings, deployer).look()
    git(forge.upstream.path, "update-ref", "-d", "refs/heads/project/alpha")

    def work() -> None:
        def kill(step: str) -> None:
            if step == "owe flush":
                os.kill(os.getpid(), signal.SIGKILL)

        with Deployer(forge.settings.branches, at=kill) as deployer:
            CatchUp(forge.settings, deployer).look()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and forge.shows("project_alpha") == "# a"
    assert "project/alpha" not in git(forge.here.path, "for-each-ref", "refs/heads")
    assert "has yet to be removed" in failing(forge)["project/alpha"]
    with Deployer(forge.settings.branches) as deployer:
        catch_up = CatchUp(forge.settings, deployer)
        forge.follower_says((("web1", "project_alpha"),))
        assert catch_up.look() == [], "a node has come to use it meanwhile"
        forge.follower_says(())
        assert [one.outcome for one in catch_up.look([BranchName("project/alpha")])] == ["removed"]
        assert catch_up.look() == []
    assert failing(forge) == {} and forge.shows("project_alpha") is None


def test_branches_go_back_and_come_again_in_whatever_order_one_hears_of_it(
    forge: Forge, look: Callable[..., list[str]]
) -> None:
    first = forge.push("test", "# 1")
    forge.push("project/red", "# red")
    assert look() == ["live", "live"]
    forge.upstream.commit("test", {"leads": "-> ../../../etc/passwd"}, parent=first)
    assert look("test") == ["failed"] and "test" in failing(forge)
    git(forge.upstream.path, "update-ref", "refs/heads/test", first)  # forced back
    assert look() == [] and failing(forge) == {}, "what is wanted now is live"
    git(forge.upstream.path, "update-ref", "-d", "refs/heads/project/red")
    again = forge.push("project/red", "# red again")
    assert look("project/red", "test", "project/red") == ["live", "unchanged"], "its creation, then its end is told"
    assert forge.shows("project_red") == "# red again"
    assert git(forge.here.path, "rev-parse", "refs/heads/project/red") == again
    git(forge.upstream.path, "update-ref", "-d", "refs/heads/project/red")
    bad = forge.upstream.commit("project/bad", {"leads": "-> ../../../etc/passwd"})
    assert look() == ["failed", "removed"] and list(failing(forge)) == ["project/bad"]
    git(forge.upstream.path, "update-ref", "-d", "refs/heads/project/bad", bad)
    assert look() == [] and failing(forge) == {}, "nobody wants it any more"


def test_a_webhook_about_what_becomes_no_environment_stops_nothing(
    forge: Forge, look: Callable[..., list[str]]
) -> None:
    forge.push("test", "# 1")
    commit = forge.push("main", "# no environment")
    forge.upstream.commit("project/UPPER", {"a": "b"})
    for branch in ("main", "project/UPPER", "project/-"):
        git(forge.here.path, "fetch", "-q", f"file://{forge.upstream.path}", commit)
        if BranchName.accepts(branch):
            git(forge.here.path, "update-ref", f"refs/heads/{branch}", commit)
    assert look("main", "project/UPPER", "never/heard/of") == []
    assert look() == ["live"]
    assert FORGE not in failing(forge)


def test_a_forge_that_comes_back_after_days_is_as_if_it_had_never_been_away(
    forge: Forge, look: Callable[..., list[str]]
) -> None:
    forge.push("test", "# 1")
    look()
    away = forge.upstream.path.rename(forge.upstream.path.with_name("away"))
    for number in range(1, 5):
        with pytest.raises(UpstreamFailed):
            look()
        assert read(forge.settings.branches.store).tries[0].failures == number
    assert "does not appear to be a git repository" in failing(forge)[FORGE]
    away.rename(forge.upstream.path)
    forge.push("test", "# 2")
    assert look() == ["live"] and failing(forge) == {}
    git(forge.upstream.path, "update-ref", "-d", "refs/heads/test")
    assert look() == [] and "no branches at all" in failing(forge)[FORGE]


def test_a_status_that_the_forge_did_not_take_is_told_later(forge: Forge, look: Callable[..., list[str]]) -> None:
    forge.redirect = "http://127.0.0.1:1/"
    forge.push("test", "# 1")
    assert look() == ["live"]
    forge.redirect = ""
    forge.statuses.clear()
    assert look() == []
    assert [said["state"] for _, _, said in forge.statuses] == ["success"]
    look()
    look("test")
    assert len(forge.statuses) == 1, "and not again"


def test_what_an_operator_made_live_is_reported_too(forge: Forge, look: Callable[..., list[str]]) -> None:
    test = EnvironmentName("test")
    obstacle = forge.here.live("test")
    (obstacle / "somebody's").mkdir(parents=True)
    forge.push("test", "# 1")
    assert look() == ["failed"]
    obstacle.joinpath("somebody's").rmdir()
    obstacle.rmdir()
    with Deployer(forge.settings.branches) as deployer:
        assert deployer.deploy(test, Tip(BranchName("test")), "olga").good
        assert look() == [] and failing(forge) == {}
        deployer.hold(test, "olga", "a look first")
        forge.push("test", "# 2")
        assert look() == ["held"]
        assert look() == []
        deployer.release(test)
        assert deployer.deploy(test, Tip(BranchName("test")), "olga").good
    assert look() == [] and look() == []
    assert [said["state"] for _, _, said in forge.statuses] == ["failure", "success", "pending", "success"]


def test_what_git_itself_does_not_take_is_told_and_can_be_allowed(
    forge: Forge, look: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    forge.push("test", "# 1")
    tree = b"0100644 old\0" + bytes.fromhex(forge.upstream.blob("# old"))
    old = git(forge.upstream.path, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=tree)
    commit = forge.upstream.commit_tree("project/old", old)
    assert sorted(look()) == ["failed", "live"]
    assert "zeroPaddedFilemode" in failing(forge)["project/old"] and "docs/mirror.md" in failing(forge)["project/old"]
    told = [said["description"] for path, _, said in forge.statuses if path.endswith(commit)]
    assert len(told) == 1 and "zeroPaddedFilemode" in told[0], told
    git(forge.here.path, "config", "fetch.fsck.zeroPaddedFilemode", "ignore")
    assert look("project/old") == ["live"]
    assert (forge.here.live("project_old") / "old").read_text() == "# old"


def test_a_shallow_forge_and_a_lock_that_somebody_left_are_told(forge: Forge, look: Callable[..., list[str]]) -> None:
    first = forge.push("test", "# 1")
    forge.upstream.commit("test", {"manifests": {"site.pp": "# 2"}}, parent=first)
    (forge.upstream.path / "shallow").write_text(git(forge.upstream.path, "rev-parse", "test") + "\n")
    assert look() == ["failed"]
    assert "shallow" in failing(forge)["test"] and "--unshallow" in failing(forge)["test"]
    (forge.upstream.path / "shallow").unlink()
    lock = forge.here.path / "refs/heads/test.lock"
    lock.touch()
    assert look("test") == ["failed"]
    assert "test.lock': File exists" in failing(forge)["test"]
    lock.unlink()
    assert look("test") == ["live"]
    assert git(forge.here.path, "rev-list", "--count", "test") == "2"


def test_redirects_are_not_followed(forge: Forge) -> None:
    asked: list[str] = []

    class Web(BaseHTTPRequestHandler):
        """The old place leads to the new one, which must not hear of us."""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(301 if self.path.startswith("/old") else 404)
            self.send_header("Location", f"http://127.0.0.1:{web.server_port}/new/info/refs?service=git-upload-pack")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    web = HTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{web.server_port}/old"
        mirror = replace(forge.settings.branches.mirror, url=url, protocols=("http",))
        git(forge.here.path, "config", "http.followRedirects", "true")
        with pytest.raises(UpstreamFailed, match=r"301; .*branches\.mirror\.url"):
            Upstream(replace(forge.settings.branches, mirror=mirror)).branches()
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
    assert len(asked) == 1


def test_a_forge_that_sends_too_much_is_told_and_leaves_nothing(forge: Forge) -> None:
    large = forge.upstream.commit("large", {"noise": os.urandom(2 << 20).hex()})
    branches = forge.settings.branches
    small = replace(branches, mirror=replace(branches.mirror, fetch_bytes=1 << 20))
    objects, over = branches.repository / "objects", threading.Event()
    (objects / "tmp_objdir-fetch-killed/pack").mkdir(parents=True)

    def another_git() -> None:
        """Writes into the repository all the while, as `git gc` does."""
        for number in range(10_000):
            (objects / f"pack/tmp_pack_{number}").touch()
            if over.wait(0.005):
                return

    before = {path for path in objects.rglob("*") if path.is_file()}
    thread = threading.Thread(target=another_git)
    thread.start()
    try:
        with pytest.raises(UpstreamFailed, match=r"branches\.mirror\.fetch_bytes"):
            Upstream(small).fetch([BranchName("large")])
    finally:
        over.set()
        thread.join()
    others = {int(path.name.rpartition("_")[2]) for path in (objects / "pack").glob("tmp_pack_*")}
    assert len(others) > 3 and others == set(range(len(others))), "what another git is writing stays"
    after = {path for path in objects.rglob("*") if path.is_file()}
    assert [path for path in after - before if not path.name.startswith("tmp_pack_")] == []
    assert list(objects.glob("tmp_objdir-*")) == [], "nor what was left by a kill"
    Upstream(branches).fetch([BranchName("large")])
    assert list(objects.glob("tmp_objdir-*")) == []
    git(forge.here.path, "fsck", "--strict", "--full")
    assert git(forge.here.path, "cat-file", "-t", large) == "commit"


def test_what_is_fetched_is_there_whole_or_not_whatever_ends_the_fetch(forge: Forge) -> None:
    """Loose objects and packs, from a repository of a thousand files; killed a number of times, then done."""
    content = {f"{name:02x}": {f"{file}.pp": os.urandom(40).hex() for file in range(50)} for name in range(20)}
    commit = forge.upstream.commit("large", content)
    few = forge.upstream.commit("few", {"one": "two"})
    code = (
        "import sys, pickle\nfrom enc.terms.names import BranchName\nfrom git_hooks.mirror.upstream import Upstream\n"
        "Upstream(pickle.load(sys.stdin.buffer)).fetch([BranchName('few'), BranchName('large')])"
    )
    settings = pickle.dumps(forge.settings.branches)
    for wait in (0.15, 0.25, 0.3, 0.35, 0.4, None):
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, process_group=0)
        try:
            child.communicate(settings, timeout=wait)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    assert child.returncode == 0
    Upstream(forge.settings.branches).fetch([BranchName("few")])
    objects = forge.settings.branches.repository / "objects"
    assert list(objects.glob("tmp_objdir-*")) == []
    git(forge.here.path, "fsck", "--strict", "--full", commit, few)
    assert len(git(forge.here.path, "ls-tree", "-r", "--name-only", commit).splitlines()) == 1000


def test_over_ssh_the_reason_is_told(forge: Forge) -> None:
    base = forge.here.base
    port = free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / "host")], check=True)
    lines = (f"ListenAddress 127.0.0.1:{port}", f"HostKey {base / 'host'}", "PidFile none", "UsePAM no")
    (base / "sshd_config").write_text("\n".join(lines) + "\n")

    def reason(port: int, host: str = "127.0.0.1") -> str:
        mirror = replace(forge.settings.branches.mirror, url=f"ssh://git@{host}:{port}/r.git", protocols=("ssh",))
        with pytest.raises(UpstreamFailed) as failure:
            Upstream(replace(forge.settings.branches, mirror=mirror)).branches()
        return str(failure.value)

    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = base / "sshd.log"
    with log.open("wb") as stream:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(base / "sshd_config")]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(port, process, log)
        unknown = reason(port)
    finally:
        process.terminate()
        process.wait(60)
    assert "Host key verification failed" in unknown and "ssh_known_hosts" in unknown
    assert "Connection refused" in reason(1)
    assert "Could not resolve hostname" in reason(22, "nowhere.invalid")


def test_status_tells_of_what_fails_when_it_is_tried_next_and_why(forge: Forge) -> None:
    bad = forge.upstream.commit("project/bad", {"leads": "-> ../../../etc/passwd"})
    with Deployer(forge.settings.branches) as deployer:
        CatchUp(forge.settings, deployer).look()
    branches = forge.settings.branches
    document = {
        "branches": {
            **{name: str(getattr(branches, name)) for name in ("repository", "store", "environments")},
            "mirror": {"forge": "github", "url": branches.mirror.url, "protocols": ["file"]},
        },
        "answers": {"directory": str(forge.settings.answers.directory)},
    }
    configuration = forge.here.base / "config.yaml"
    configuration.write_text(yaml.safe_dump(document))

    def status(*words: str) -> subprocess.CompletedProcess[str]:
        command = [
            str(Path(sys.executable).parent / "branch-manager"),
            "--config",
            str(configuration),
            "status",
            *words,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for words in ((), ("project/bad",)):
        told = status(*words)
        assert told.returncode == 4, told.stderr
        assert f"project/bad as at the forge ({bad[:10]}): failed once since" in told.stdout
        assert "link that leaves the tree" in told.stdout and "next try: 20" in told.stdout
    none = status("project/none")
    assert none.returncode == 1 and "no branch or environment project/none" in none.stderr
    found = json_contract.held("branch-manager", ["status"], status("--json").stdout)
    assert [(one["branch"], one["failures"]) for one in found["tries"]] == [("project/bad", 1)]
    assert "refused" in status("project/bad").stdout
    forge.push("project/bad", "# mended, and by an operator before the mirror looks again")
    git(forge.here.path, "fetch", "-q", f"file://{forge.upstream.path}", "project/bad:project/bad")
    kept = read(branches.store)
    tip = git(forge.here.path, "rev-parse", "refs/heads/project/bad")
    document_of_tries = {"answered": 1.0, "tries": [kept.tries[0]._replace(commit=tip)._asdict()]}
    (branches.store / "mirror/tries.json").write_text(json.dumps(document_of_tries))
    assert status().returncode == 4
    with Deployer(branches) as deployer:
        assert deployer.deploy(EnvironmentName("project_bad"), Tip(BranchName("project/bad")), "olga").good
    told = status()
    assert told.returncode == 0 and "as at the forge" not in told.stdout, "what is live by now does not fail"
