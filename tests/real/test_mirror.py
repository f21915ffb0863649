"""A repository at a forge: webhook, fetch by real git, deploy, status; and a forge that fails."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from enc.answers.layout import Contact, Layout
from enc.names import BranchName, EnvironmentName
from enc.settings import AnswerSettings, Duration, MirrorSettings, Settings
from git_hooks.deploy import Deployer
from git_hooks.mirror.catch_up import CatchUp
from git_hooks.mirror.jobs import Jobs
from git_hooks.mirror.report import ReportFailed, report
from git_hooks.mirror.upstream import Upstream, UpstreamFailed
from git_hooks.refs import ObjectId
from git_hooks.refstore import RefStore
from git_hooks.trees import FILE, Entry
from git_hooks.web.site import create_site
from tests.support.bare import Bare, contents, git
from tests.support.following import eventually
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
            timeout=Duration(10),
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
    assert "differs only in case" in last.detail and "environment.conf" in last.detail
    told = [said for path, _, said in forge.statuses if path.endswith(bad)]
    assert [one["state"] for one in told] == ["failure"] and "differs only in case" in told[0]["description"]
    forge.push("project/red", "# mended")
    assert look() == ["live"]
    assert forge.shows("project_red") == "# mended"


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
