"""Modules of a Puppetfile in environments: real r10k and g10k, real git over loopback, kills, outages."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import git_hooks
from enc.settings import AnswerSettings, BranchSettings, Duration, MirrorSettings, PuppetfileSettings, Settings
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.branches.arrival import look
from git_hooks.cli import BRANCH_MANAGER
from git_hooks.deploy.collect import collect
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Exact, Tip
from git_hooks.deploy.verify import verify_store
from git_hooks.mirror.catch_up import CatchUp
from git_hooks.mirror.remote_git import UpstreamFailed
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.store import code_programs
from git_hooks.store.steps import nothing
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.bare import Bare, Content, contents, git
from tests.support.clocks import even
from tests.support.pushes import ManagedRepository, populate

PROGRAMS = {"r10k": Path("/usr/bin/r10k"), "g10k": Path("/usr/bin/g10k")}
OWN: Content = {"own": {"manifests": {"init.pp": "class own {}"}}}
THING = {"thing/manifests/init.pp": "class thing {}", "thing/files/a": "1", "thing/files/same": "1"}


class GitServer:
    """Repositories of modules behind `git daemon`, on an address of its own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._modules: dict[str, Bare] = {}
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"git://127.0.0.1:{self.port}/"

    def module(self, name: str, content: Content, tag: str = "v1") -> ObjectId:
        """Let the branch `main` of a module, and a tag, show `content`."""
        if name not in self._modules:
            (self.base / name).mkdir(parents=True)
            self._modules[name] = Bare(self.base / name)
        bare = self._modules[name]
        commit = bare.commit("main", content)
        git(bare.path, "update-ref", f"refs/tags/{tag}", commit)
        return commit

    def start(self) -> None:
        """Answer; returns when it does."""
        command = ["git", "daemon", "--listen=127.0.0.1", f"--port={self.port}", "--reuseaddr", "--export-all"]
        self._process = subprocess.Popen(
            [*command, f"--base-path={self.base}"], stderr=subprocess.DEVNULL, start_new_session=True
        )
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)

    def stop(self) -> None:
        """Answer no more."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Site:
    """A repository whose Puppetfiles are followed."""

    def __init__(self, base: Path, server: GitServer, program: str, **settings: object) -> None:
        base.mkdir(exist_ok=True)
        self.bare = Bare(base)
        self.server = server
        self.settings = replace(
            self.bare.settings,
            puppetfile=replace(
                PuppetfileSettings(program=PROGRAMS[program], sources=(server.url,), timeout=Duration(60)),
                **settings,  # type: ignore[arg-type]
            ),
        )

    def mod(self, name: str, revision: str = ":tag => 'v1'", repository: str = "") -> str:
        return f"mod '{name}', :git => '{self.server.url}{repository or name}/repository.git', {revision}\n"

    def commit(self, puppetfile: str, branch: str = "test", **more: Content | str) -> ObjectId:
        return self.bare.commit(branch, {"Puppetfile": puppetfile, "manifests": {"site.pp": "#"}, **more})

    def deploy(
        self,
        branch: str = "test",
        *,
        settings: BranchSettings | None = None,
        at: Callable[[str], None] = nothing,
        now: float = 0.0,
        exact: ObjectId | None = None,
    ) -> Record:
        with Deployer(settings or self.settings, at=at, clock=lambda: time.time() + now) as deployer:
            target = Exact(exact) if exact else Tip(BranchName(branch))
            return deployer.deploy(EnvironmentName(branch), target, "me")

    def shown(self, environment: str = "test", directory: str = "modules") -> dict[str, str]:
        return contents(self.bare.live(environment) / directory)

    def sets(self) -> list[str]:
        place = self.settings.store / "puppetfiles"
        return sorted(path.name for path in place.iterdir()) if place.exists() else []

    def faults(self) -> list[str]:
        with Deployer(self.settings) as deployer:
            return [f"{fault.path}: {fault.problem}" for fault in verify_store(deployer.layout, deployer.repository)]

    def gc(self) -> int:
        with Deployer(self.settings) as deployer:
            return collect(deployer.layout, 0, even(9e9)).puppetfiles


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    made = GitServer(tmp_path_factory.mktemp("modules"))
    made.module("thing", {"manifests": {"init.pp": "class thing {}"}, "files": {"a": "1", "same": "-> a"}})
    made.module("other", {"manifests": {"init.pp": "class other {}"}, "files": {"run": "#!/bin/sh\n"}})
    made.module("leaving", {"files": {"a": "-> ../../../../../etc/passwd"}})
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=PROGRAMS)
def site(request: pytest.FixtureRequest, tmp_path: Path, modules: GitServer) -> Site:
    return Site(tmp_path / "site", modules, request.param)


def test_modules_stand_beside_the_trees_own_and_are_fetched_once(site: Site) -> None:
    site.commit(site.mod("thing"), modules=OWN)
    record = site.deploy()
    assert record.outcome == "live" and record.milliseconds["modules"] > 0, record
    assert "fetched the module of its Puppetfile in" in record.note and "exact versions" in record.note
    assert site.shown() == {**THING, "own/manifests/init.pp": "class own {}"}
    # Another commit, another branch, other comments: the same modules, and nobody is asked.
    inode = (site.bare.live("test") / "modules/thing/files/a").stat().st_ino
    site.commit("# said differently\n" + site.mod("thing"), branch="production", modules=OWN)
    record = site.deploy("production", now=9e6)
    assert record.outcome == "live" and record.note == "", record
    assert (site.bare.live("production") / "modules/thing/files/a").stat().st_ino == inode
    assert len(site.sets()) == 1 and site.faults() == []
    assert (site.bare.live("test") / "modules/thing/files/a").stat().st_mode & 0o777 == 0o444


def test_a_directory_of_their_own(site: Site) -> None:
    site.commit("moduledir 'thirdparty'\n" + site.mod("thing") + site.mod("other"), modules=OWN)
    assert site.deploy().outcome == "live"
    assert site.shown() == {"own/manifests/init.pp": "class own {}"}
    other = {"other/manifests/init.pp": "class other {}", "other/files/run": "#!/bin/sh\n"}
    assert site.shown(directory="thirdparty") == {**THING, **other}
    assert os.access(site.bare.live("test") / "thirdparty/other/files/run", os.X_OK)
    assert site.faults() == []


def test_what_moves_on_comes_with_a_later_commit_and_versions_stay_as_they_are(site: Site, tmp_path: Path) -> None:
    site.server.module("moving", {"files": {"a": "old"}})
    puppetfile = site.mod("moving", ":branch => 'main'")
    first = site.commit(puppetfile)
    record = site.deploy()
    assert "fetched again from time to time" in record.note
    site.server.module("moving", {"files": {"a": "new"}})
    assert site.deploy(now=9e6).outcome == "unchanged"
    site.commit(puppetfile, modules=OWN)
    assert site.deploy().outcome == "live"
    assert site.shown()["moving/files/a"] == "old", "within branches.puppetfile.reuse"
    site.commit(puppetfile, modules={**OWN, "more": {"files": {"x": "x"}}})
    assert site.deploy(now=9e6).note
    assert site.shown()["moving/files/a"] == "new"
    assert site.deploy(exact=first, now=9e6).outcome == "live"
    assert site.shown() == {"moving/files/a": "old"}, "a version never changes"
    assert len(site.sets()) == 2 and site.faults() == []


def test_links_between_the_trees_own_modules_lead_where_they_lead(site: Site) -> None:
    own: Content = {"a": {"files": {"x": "-> ../../b/files/y"}}, "b": {"files": {"y": "1"}}, "l": "-> ../top"}
    site.commit(site.mod("thing"), modules=own, top={"t": "2"})
    assert site.deploy().outcome == "live"
    assert site.shown() == {**THING, "a/files/x": "1", "b/files/y": "1", "l/t": "2"}
    assert site.gc() == 0 and site.faults() == []
    assert site.shown()["a/files/x"] == "1"


@pytest.mark.parametrize("lost", ["puppetfiles", "a module", "its links"])
def test_modules_that_are_lost_are_fetched_again(site: Site, lost: str) -> None:
    site.commit(site.mod("thing"), modules=OWN)
    site.deploy()
    shown, store = site.shown(), site.settings.store
    place = {"puppetfiles": store / "puppetfiles", "a module": store / "puppetfiles" / site.sets()[0] / "thing"}
    shutil.rmtree(place.get(lost, site.bare.live("test").resolve() / ".puppetfile-modules"))
    record = site.deploy()
    assert (record.outcome, "restored" in record.note) == ("live", True), record
    assert site.shown() == shown
    assert site.deploy().outcome == "unchanged"
    site.gc()
    assert site.faults() == [] and site.shown() == shown


def test_gc_removes_modules_that_nobody_uses(site: Site) -> None:
    site.commit(site.mod("thing"), modules=OWN)
    site.deploy()
    assert site.gc() == 0
    site.commit(site.mod("other"), modules=OWN)
    site.deploy()
    assert len(site.sets()) == 2
    assert site.gc() == 1 and len(site.sets()) == 1
    assert site.shown()["own/manifests/init.pp"] == "class own {}"
    assert site.shown()["other/files/run"] and site.faults() == []
    site.bare.commit("test", {"manifests": {"site.pp": "# no Puppetfile"}})
    assert site.deploy().outcome == "live"
    assert site.gc() == 1 and site.sets() == []


def test_gc_leaves_modules_that_come_while_it_looks(tmp_path: Path, modules: GitServer) -> None:
    site = Site(tmp_path / "site", modules, "g10k")
    for text in "12":
        site.bare.commit("production", {"manifests": {"site.pp": text}})
        site.deploy("production")
    site.commit(site.mod("thing"))
    fetching = threading.Event()

    def slowly(step: str) -> None:
        if step == "fetch modules":
            fetching.set()
            time.sleep(1)  # gc has looked at the version meanwhile, and waits for the lock

    deploying = threading.Thread(target=site.deploy, kwargs={"at": slowly})

    def collecting(step: str) -> None:
        if step == "take away" and not deploying.ident:
            deploying.start()
            assert fetching.wait(60)

    with Deployer(site.settings) as deployer:
        collect(deployer.layout, 0, even(9e9), collecting)
    deploying.join()
    assert site.shown() == THING and len(site.sets()) == 1 and site.faults() == []


def test_verify_store_sees_what_was_changed_afterwards(site: Site) -> None:
    site.commit(site.mod("thing"))
    site.deploy()
    file = (site.bare.live("test") / "modules/thing/files/a").resolve()
    file.chmod(0o644)
    file.write_text("2")
    (fault,) = site.faults()
    assert "from what was fetched for its Puppetfile" in fault
    file.unlink()
    assert len(site.faults()) == 1


@pytest.mark.parametrize(
    ("puppetfile", "more", "says"),
    [
        ("system('touch PWNED')\n", {}, "Puppetfile line 1: only moduledir"),
        ("mod 'b', :git => 'file:///etc', :tag => 'v1'\n", {}, "branches.puppetfile.sources"),
        ("THING", {"thing": {"files": {"a": "mine"}}}, "module thing is also in the tree (modules/thing)"),
        ("mod 'thing', :git => 'THE_URLthing/repository.git', :tag => 'nosuch'\n", OWN, "nosuch"),
        ("mod 'none', :git => 'THE_URLnone/repository.git', :tag => 'v1'\n", OWN, "none"),
        ("mod 'leaving', :git => 'THE_URLleaving/repository.git', :tag => 'v1'\n", OWN, "is a link that leaves"),
    ],
    ids=["code", "source", "collision", "revision", "repository", "link"],
)
def test_what_is_refused_leaves_the_environment_as_it_was(
    site: Site, puppetfile: str, more: Content, says: str
) -> None:
    good = site.commit(site.mod("thing"), modules=OWN)
    site.deploy()
    text = puppetfile.replace("THE_URL", site.server.url).replace("THING", site.mod("thing"))
    bad = site.commit(text, modules=more)
    for _ in range(2):
        record = site.deploy()
        assert record.outcome == "failed" and says in record.detail, record
        assert site.bare.live("test").readlink().name == good
        assert site.shown() == {**THING, "own/manifests/init.pp": "class own {}"}
    with Deployer(site.settings) as deployer:
        waits = look(bad, None, deployer, RefStore(str(site.settings.repository)), lambda _: "")
    assert waits.live == () and says in waits.over, "who waits for it is told at once"
    assert not list(site.settings.store.rglob("PWNED"))
    assert list((site.settings.store / "work").iterdir()) == []
    site.commit(site.mod("thing") + "# mended\n", modules=OWN)
    assert site.deploy().outcome == "live" and site.faults() == []


def test_an_outage_fails_the_deploy_and_the_next_makes_up_for_it(tmp_path: Path, modules: GitServer) -> None:
    server = GitServer(tmp_path / "modules")
    server.module("thing", {"files": {"a": "1"}})
    server.module("other", {"files": {"a": "1"}})
    site = Site(tmp_path / "site", server, "g10k")
    server.start()
    try:
        site.commit(site.mod("thing"))
        assert site.deploy().outcome == "live"
        server.stop()
        site.commit(site.mod("thing"), more={"x": "1"})
        assert site.deploy().outcome == "live", "what is here needs no network"
        site.commit(site.mod("thing") + site.mod("other"))
        record = site.deploy()
        assert record.outcome == "failed" and record.detail.startswith("g10k: "), record
        assert site.shown() == {"thing/files/a": "1"}
        server.start()
        assert site.deploy().outcome == "live"
        assert set(site.shown()) == {"thing/files/a", "other/files/a"}
    finally:
        server.stop()


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_said(tmp_path: Path, modules: GitServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/"
        site = Site(tmp_path / "site", modules, "g10k", timeout=Duration(0.5), sources=(url,))
        site.commit(f"mod 'thing', :git => '{url}x', :tag => 'v1'\n")
        record = site.deploy()
        assert record.outcome == "failed" and "branches.puppetfile.timeout" in record.detail, record
    assert list((site.settings.store / "work").iterdir()) == []


def test_more_bytes_than_allowed(tmp_path: Path, modules: GitServer) -> None:
    site = Site(tmp_path / "site", modules, "g10k", bytes=20)
    site.commit(site.mod("thing"))
    assert site.deploy().outcome == "live"
    site.commit(site.mod("thing") + site.mod("other"))
    record = site.deploy()
    assert record.outcome == "failed" and "branches.puppetfile.bytes" in record.detail, record


def test_killed_at_every_step_the_next_deploy_finishes_and_gc_removes_the_rest(
    tmp_path: Path, modules: GitServer
) -> None:
    own = {"own/manifests/init.pp": "class own {}"}
    killed_at: list[str] = []
    for number in range(1000):
        site = Site(tmp_path / str(number), modules, "g10k")
        site.commit("# before\n", modules=OWN)
        assert site.deploy().outcome == "live"
        site.commit(site.mod("thing"), modules=OWN)
        step = _killed(site, number)
        if step is None:
            break
        killed_at.append(step)
        assert site.shown() in (own, {**THING, **own}), step
        assert site.deploy().outcome in ("live", "unchanged"), step
        assert site.shown() == {**THING, **own}, step
        site.gc()
        assert list((site.settings.store / "work").iterdir()) == [], step
        assert len(site.sets()) == 1 and site.faults() == [], step
    ours = [step for step in killed_at if "modules" in step or "cache" in step]
    assert len(ours) == 7, killed_at


def _killed(site: Site, number: int) -> str | None:
    """Deploy in a process that is killed at a step; return the step's name, None if there are not so many."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        left = iter(range(number, -1, -1))

        def at(name: str) -> None:
            if next(left, None) == 0:
                os.write(writing, name.encode())
                os.kill(os.getpid(), signal.SIGKILL)

        site.deploy(at=at)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as told:
        name = told.read().decode()
    os.waitpid(child, 0)
    return name or None


def test_without_a_program_a_puppetfile_is_not_followed_and_that_is_said(tmp_path: Path, modules: GitServer) -> None:
    site = Site(tmp_path / "site", modules, "g10k")
    site.commit("system('touch PWNED')\n", modules=OWN)
    record = site.deploy(settings=site.bare.settings)
    assert record.outcome == "live" and "its Puppetfile is ignored" in record.note, record
    assert site.shown() == {"own/manifests/init.pp": "class own {}"}


class Forge:
    """As much of the Forge's API as r10k and g10k ask for, with one module in two releases."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.archives = {version: _archive(version) for version in ("1.0.0", "1.1.0")}
        forge = self

        class Api(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forge.asked.append(self.path)
                body = forge.answer(self.path.partition("?")[0])
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                kind = "application/gzip" if self.path.endswith(".gz") else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def answer(self, path: str) -> bytes | None:
        """Return what stands at a path."""
        if path == "/v3/modules/acme-tool":
            releases = [self.release(version) for version in sorted(self.archives, reverse=True)]
            module = {"slug": "acme-tool", "name": "tool", "owner": {"slug": "acme", "username": "acme"}}
            return json.dumps(module | {"current_release": releases[0], "releases": releases}).encode()
        name = path.rpartition("/")[2].removesuffix(".tar.gz").removeprefix("acme-tool-")
        if name not in self.archives:
            return None
        return json.dumps(self.release(name)).encode() if "releases" in path else self.archives[name]

    def release(self, version: str) -> dict[str, object]:
        """Return what is said about a release."""
        archive = self.archives[version]
        sums = {"file_md5": hashlib.md5(archive).hexdigest(), "file_sha256": hashlib.sha256(archive).hexdigest()}
        place = {"uri": f"/v3/releases/acme-tool-{version}", "file_uri": f"/v3/files/acme-tool-{version}.tar.gz"}
        metadata = {"name": "acme-tool", "version": version, "dependencies": []}
        names = {"slug": f"acme-tool-{version}", "version": version, "deleted_at": None}
        return {**names, **place, **sums, "file_size": len(archive), "metadata": metadata}

    def stop(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def _archive(version: str) -> bytes:
    written = io.BytesIO()
    files = {
        "metadata.json": json.dumps({"name": "acme-tool", "version": version, "author": "acme", "dependencies": []}),
        "files/version": version,
    }
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for directory in ("", "/files"):
            member = tarfile.TarInfo(f"acme-tool-{version}{directory}")
            member.type, member.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(f"acme-tool-{version}/{name}")
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content.encode()))
    return written.getvalue()


@pytest.mark.parametrize("program", PROGRAMS)
def test_modules_of_a_forge(tmp_path: Path, modules: GitServer, program: str) -> None:
    forge = Forge()
    try:
        site = Site(tmp_path / "site", modules, program, forge=forge.url)
        for version, shown in (("'1.0.0'", "1.0.0"), (":latest", "1.1.0")):
            site.commit(f"forge 'https://forge.puppet.com'\nmod 'acme/tool', {version}\n" + site.mod("thing"))
            record = site.deploy()
            assert record.outcome == "live", (record.detail, forge.asked)
            assert site.shown()["tool/files/version"] == shown
        file = site.bare.live("test") / "modules/tool/files/version"
        assert file.stat().st_mode & 0o777 == 0o444 and file.stat().st_nlink == 1
        assert site.faults() == [] and len(site.sets()) == 2
        site.commit("mod 'acme/tool', '9.9.9'\n")
        assert site.deploy().outcome == "failed"
    finally:
        forge.stop()


def test_a_catalog_gets_a_modules_files_of_its_own_version_after_a_switch(tmp_path: Path, modules: GitServer) -> None:
    site = Site(tmp_path / "site", modules, "g10k")
    old = site.commit(site.mod("thing") + site.mod("other"))
    site.deploy()
    new = site.commit(site.mod("thing"))
    site.deploy()
    code_programs.link(tmp_path / "config.yaml", site.settings)

    def told(commit: str, path: str) -> str:
        program = Path(git_hooks.__file__).parent / "puppetmaster-code-content"
        environment = os.environ | {"PUPPETMASTER_CONFIG": str(tmp_path / "config.yaml")}
        done = subprocess.run([program, "test", commit, path], env=environment, capture_output=True, text=True)
        return done.stdout

    assert told(old, "modules/other/files/run") == "#!/bin/sh\n"
    assert told(new, "modules/other/files/run") == ""
    assert told(new, "modules/thing/files/a") == "1"


def test_a_push_is_told_what_was_fetched_and_refused_if_the_puppetfile_is_not_sound(
    tmp_path: Path, modules: GitServer, make_slapd: SlapdMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    slapd = make_slapd()
    populate(slapd)
    managed = ManagedRepository(tmp_path / "managed", slapd)
    puppetfile = f"mod 'thing', :git => '{modules.url}thing/repository.git', :tag => 'v1'\n"
    pushed = managed.push([{"ref": "project/red", "files": {"Puppetfile": puppetfile}}])
    assert pushed.status == 0 and "its Puppetfile is ignored" in pushed.output, pushed.output
    document = yaml.safe_load(managed.configuration.read_text())
    document["branches"]["puppetfile"] = {"program": "/usr/bin/g10k", "sources": [modules.url]}
    managed.configuration.write_text(yaml.safe_dump(document))
    managed.reset()
    refused = managed.push([{"ref": "project/red", "files": {"Puppetfile": "system('touch PWNED')\n"}}])
    assert refused.status != 0 and "Puppetfile line 1: only moduledir, forge and mod" in refused.output
    own = f"mod 'a', :git => '{modules.url}thing/repository.git', :tag => 'v1'\n"
    refused = managed.push([{"ref": "project/blue", "files": {"Puppetfile": own}}], "bert")
    assert "Puppetfile: module a is also in the tree (modules/a); remove one of the two" in refused.output
    pushed = managed.push([{"ref": "project/blue", "files": {"Puppetfile": puppetfile}}], "bert")
    assert pushed.status == 0 and "g10k fetched the module of its Puppetfile in" in pushed.output, pushed.output
    assert managed.shown("project_blue", "modules/thing/files/a") == "1"
    assert managed.shown("project_blue", "modules/a/files/data") == "data"

    def told(*words: str) -> str:
        assert BRANCH_MANAGER.main(["--config", str(managed.configuration), *words]) == 0
        out = capsys.readouterr().out
        json_contract.watch("branch-manager", words, out)
        return out

    module = {"name": "thing", "version": "v1", "kind": "tag", "source": f"{modules.url}thing/repository.git"}
    rows = {one["environment"]: one["modules"] for one in json.loads(told("list", "--json"))["environments"]}
    assert rows["project_blue"] == [module] and rows["production"] == []
    assert f"project_blue  thing   v1       tag of {module['source']}" in told("list", "--modules").splitlines()[-2:]
    assert f"modules       thing v1 (tag of {module['source']})\n" in told("status", "project_blue")
    assert json.loads(told("status", "project/blue", "--json"))["modules"] == [module]


def test_a_mirror_without_network_keeps_what_is_live_and_catches_up(tmp_path: Path) -> None:
    server = GitServer(tmp_path / "modules")
    server.module("thing", {"files": {"a": "1"}})
    server.module("other", {"files": {"a": "1"}})
    site = Site(tmp_path / "site", server, "g10k")
    (tmp_path / "forge").mkdir()
    upstream = Bare(tmp_path / "forge")
    mirror = MirrorSettings(
        forge="github", url=f"file://{upstream.path}", protocols=("file",), timeout=Duration(30), retry=Duration(0)
    )
    settings = Settings(branches=replace(site.settings, mirror=mirror), answers=AnswerSettings(tmp_path / "answers"))
    with Deployer(settings.branches) as deployer:
        catch_up = CatchUp(settings, deployer)
        server.start()
        try:
            upstream.commit("test", {"Puppetfile": site.mod("thing"), "manifests": {"site.pp": "# 1"}})
            assert [record.outcome for record in catch_up.look()] == ["live"]
            server.stop()
            upstream.commit("test", {"Puppetfile": site.mod("thing"), "manifests": {"site.pp": "# 2"}})
            assert [record.outcome for record in catch_up.look()] == ["live"], "what is here needs no network"
            upstream.commit("test", {"Puppetfile": site.mod("other"), "manifests": {"site.pp": "# 3"}})
            for _ in range(2):
                assert [record.outcome for record in catch_up.look()] == ["failed"]
                assert site.shown() == {"thing/files/a": "1"}
            upstream.path.rename(upstream.path.with_suffix(".away"))
            with pytest.raises(UpstreamFailed):
                catch_up.look()
            upstream.path.with_suffix(".away").rename(upstream.path)
            assert site.shown() == {"thing/files/a": "1"}
            server.start()
            assert [record.outcome for record in catch_up.look()] == ["live"]
            assert site.shown() == {"other/files/a": "1"}
        finally:
            server.stop()
