"""Under a real puppetserver: every catalog during switches is one commit's, and pushes say what they do to nodes."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import git_hooks
from enc.settings import PuppetserverSettings, Settings
from enc.terms.environments import Place
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.doctor import catalogs
from git_hooks.effects.comparing import Change, Comparison, Halt, nodes
from git_hooks.effects.kept import KeptEffects
from git_hooks.effects.remembered import RememberedEffects
from git_hooks.effects.running import Effects
from git_hooks.promotion.catalogs import CompiledCatalogs
from git_hooks.promotion.desk import Desk, Wish
from git_hooks.push.membership import Membership
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store import code_programs
from git_hooks.store.layout import Layout
from puppetmaster_quickstart.auth_conf import AuthRule
from puppetmaster_quickstart.private_agent import PrivateAgent
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support.bare import Bare, Content, git
from tests.support.effects import NODES, TREE, EffectSite
from tests.support.following import eventually
from tests.support.puppetserver import MakeMaster
from tests.support.pushes import populate

PROGRAMS = Path(git_hooks.__file__).parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
TEST, ENVIRONMENT = BranchName("test"), EnvironmentName("test")
WEB = Certname("web1.example.org")
SWITCHES, FILES, CATALOGS = 200, 500, 50


def program(name: str, configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PUPPETMASTER_CONFIG": str(configuration)}
    return subprocess.run([PROGRAMS / name, *arguments], env=environment, capture_output=True, text=True, timeout=120)


def told_when_it_is_over(site: Site, pending: Path) -> str:
    """Return what code-id says if the switch is over while it waits for that.

    It waits for a second: where we come too late, because the machine is busy, it is asked again.
    """
    environment = os.environ | {"PUPPETMASTER_CONFIG": str(site.configuration)}
    command = (str(PROGRAMS / "puppetmaster-code-id"), "test")
    for _ in range(10):
        pending.touch()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            eventually(lambda: process.poll() is not None or naps(process.pid), "it waits")
            waits = process.poll() is None
            pending.unlink()
            said = process.communicate(timeout=60)[0]
        if waits and said != "live\n":
            return said
    return said


def naps(pid: int) -> bool:
    """Tell whether a program has opened the pipe on which it naps between two looks."""
    with suppress(OSError):
        opened = {file.name: str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
        return any(int(name) > 2 and target.startswith("pipe:") for name, target in opened.items())
    return False


def content(word: str, result: Path) -> Content:
    """An environment of which manifest, templates, function and files all say `word`, some through links."""
    wait = f"touch {result}.began; while ! test -e {result}.go; do sleep 0.1; done"
    many = {f"f{number}.txt": f"{word} {number}\n" for number in range(FILES)}
    many["linked.txt"] = "-> ../../other/files/word.txt"
    return {
        "environment.conf": f"config_version = {PROGRAMS}/puppetmaster-config-version $environment\n",
        "manifests": {"site.pp": f"notify {{ 'site': message => '{word}' }}\ninclude demo\ninclude other\n"},
        "modules": {
            "demo": {
                "manifests": {
                    "init.pp": (
                        "class demo {\n"
                        f"  notify {{ 'class': message => '{word}' }}\n"
                        "  notify { 'template': message => epp('demo/word.epp') }\n"
                        "  notify { 'function': message => other::word() }\n"
                        "  notify { 'linked template': message => epp('demo/linked.epp') }\n"
                        "  notify { 'linked file': message => file('demo/linked.txt') }\n"
                        f"  exec {{ '/bin/sh -c \"{wait}\"':\n"
                        f"    onlyif => '/usr/bin/test -e {result}.wait' }}\n"
                        f"  -> file {{ '{result}': source => 'puppet:///modules/demo/f1.txt' }}\n"
                        "}\n"
                    )
                },
                "templates": {"word.epp": word, "linked.epp": "-> ../../other/templates/word.epp"},
                "files": many,
            },
            "other": {
                "manifests": {"init.pp": f"class other {{ notify {{ 'other': message => '{word}' }} }}\n"},
                "functions": {"word.pp": f"function other::word() {{ '{word}' }}\n"},
                "templates": {"word.epp": word},
                "files": {"word.txt": word},
            },
        },
    }


class Site:
    """A puppetserver, an agent that may flush and compile, and two commits to switch between."""

    def __init__(self, base: Path, make_master: MakeMaster) -> None:
        self.result = base / "result"
        self.configuration = base / "config.yaml"
        self.bare = Bare(base / "git")
        settings = MasterSettings(
            server={"versioned_environment_dirs": "true", "environment_timeout": "unlimited"},
            rules=(
                AuthRule("flush", "/puppet-admin-api/v1/environment-cache", ("delete",), (str(WEB),)),
                AuthRule("compile", "^/puppet/v4/catalog/?$", ("post",), (str(WEB),)),
            ),
            environment={"PUPPETMASTER_CONFIG": str(self.configuration)},
            code_commands=(PROGRAMS / "puppetmaster-code-id", PROGRAMS / "puppetmaster-code-content"),
        )
        self.master: PrivateMaster = make_master(base / "m", settings)
        servers = PuppetserverSettings()
        self.settings = replace(self.bare.settings, environments=self.master.environments, puppetserver=servers)
        code_programs.link(self.configuration, self.settings)
        self.commits = {word: self.bare.commit("test", content(word, self.result)) for word in ("old", "new")}
        with Deployer(self.settings) as deployer:
            self.show(deployer, "old")
        self.master.start()
        self.agent: PrivateAgent = self.master.agent(WEB)
        first = self.agent.run("--environment", "test")
        assert first.status == 2, first.output
        assert self.result.read_text() == "old 1\n"
        servers = PuppetserverSettings(
            urls=(f"https://localhost:{self.master.settings.port}",),
            ca_file=self.agent.ca,
            certificate_file=self.agent.certificate,
            key_file=self.agent.key,
        )
        self.settings = replace(self.settings, puppetserver=servers)

    def show(self, deployer: Deployer, word: str) -> None:
        """Deploy; fail unless all went well."""
        git(self.bare.path, "update-ref", TEST.ref, self.commits[word])
        record = deployer.deploy(ENVIRONMENT, Tip(TEST), "somebody")
        assert record.good, record

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.agent.ca))
        context.load_cert_chain(self.agent.certificate, self.agent.key)
        return http.client.HTTPSConnection("localhost", self.master.settings.port, context=context, timeout=60)

    def compile(self, connection: http.client.HTTPSConnection) -> dict[str, str]:
        """What each part of a fresh catalog says."""
        asked = {
            "certname": WEB,
            "persistence": {"facts": False, "catalog": False},
            "environment": "test",
            "facts": {"values": {}},
            "trusted_facts": {"values": {}},
            "options": {"prefer_requested_environment": True},
        }
        connection.request("POST", "/puppet/v4/catalog", json.dumps(asked), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        resources = json.loads(body)["catalog"]["resources"]
        return {r["title"]: r["parameters"]["message"] for r in resources if r["type"] == "Notify"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    yield Site(tmp_path_factory.mktemp("switches"), make_master)


def test_a_catalog_gets_the_files_of_its_own_version_after_a_switch(site: Site) -> None:
    wait, began, go = (site.result.with_name(f"result.{name}") for name in ("wait", "began", "go"))
    site.result.unlink()
    wait.touch()
    with ThreadPoolExecutor(1) as threads, Deployer(site.settings) as deployer:
        run = threads.submit(site.agent.run, "--environment", "test")
        try:
            eventually(began.exists, "the agent applies its catalog")
            site.show(deployer, "new")
        finally:
            go.touch()
        output = run.result().output
    assert site.result.read_text() == "old 1\n", output
    wait.unlink()
    run_after = site.agent.run("--environment", "test")
    assert site.result.read_text() == "new 1\n", run_after.output
    hostname = subprocess.check_output(["hostname"], text=True).strip()
    assert f"{hostname} test {site.commits['new'][:12]}" in run_after.output


def test_every_catalog_during_many_switches_is_one_commits(site: Site) -> None:
    seen: Counter[str] = Counter()
    mixed: list[dict[str, str]] = []
    ended = threading.Event()

    def compile_in_a_loop() -> None:
        connection = site.connect()
        while not ended.is_set():
            said = site.compile(connection)
            if len(said) != 7 or len(set(said.values())) != 1:
                mixed.append(said)
            seen[said["site"]] += 1

    with ThreadPoolExecutor(1) as threads, Deployer(site.settings) as deployer:
        loop = threads.submit(compile_in_a_loop)
        try:
            number = 0
            while number < SWITCHES or seen.total() < CATALOGS or min(seen["old"], seen["new"]) <= 5:
                number += 1
                site.show(deployer, ("old", "new")[number % 2])
                assert not loop.done(), loop.exception()
        finally:
            ended.set()
        loop.result()
    assert mixed == []


def test_the_programs(site: Site, tmp_path: Path) -> None:
    with Deployer(site.settings) as deployer:
        for word in ("new", "old"):
            site.show(deployer, word)
    commit = site.commits["old"]

    def told(name: str, *arguments: str) -> tuple[int, str]:
        done = program(f"puppetmaster-{name}", site.configuration, *arguments)
        return done.returncode, done.stdout

    assert told("code-id", "test") == (0, f"{commit}\n")
    assert told("code-id", "production") == (0, "live\n"), "no environment of ours"
    assert told("code-id", "../test")[0] == 1
    path = "modules/demo/files/f2.txt"
    assert told("code-content", "test", commit, path) == (0, "old 2\n")
    assert told("code-content", "test", site.commits["new"], path) == (0, "new 2\n")
    assert told("code-content", "test", "live", path) == (0, "old 2\n")
    assert told("code-content", "test", commit, "modules/demo/files/linked.txt") == (0, "old")
    for hostile in (
        "modules/demo/files/../../../environment.conf",
        "manifests/site.pp",
        "/etc/passwd",
        "modules/demo/files/\n",
        "modules/demo/files",
        "modules/demo/manifests/init.pp",
    ):
        assert told("code-content", "test", commit, hostile) == (1, ""), hostile
    assert told("code-content", "test", ObjectId("0" * 40), path) == (1, "")
    assert told("code-content", "test", "../x", path) == (1, "")
    pending = site.settings.store / "pending/test"
    pending.touch()
    began = time.monotonic()
    assert told("code-id", "test") == (0, "live\n"), "the server may have either version"
    assert 0.5 < time.monotonic() - began < 60
    assert told_when_it_is_over(site, pending) == f"{commit}\n"


def test_the_links_follow_the_settings(tmp_path: Path) -> None:
    settings = Bare(tmp_path).settings
    assert code_programs.link(tmp_path / "c.yaml", settings)
    assert not code_programs.link(tmp_path / "c.yaml", settings)
    assert code_programs.link(tmp_path / "c.yaml", replace(settings, store=tmp_path / "other"))
    assert (tmp_path / "c.yaml.store").readlink() == tmp_path / "other"


@pytest.fixture(scope="module")
def pushes(
    site: Site, tmp_path_factory: pytest.TempPathFactory, make_module_slapd: SlapdMaker
) -> Iterator[EffectSite]:
    slapd = make_module_slapd()
    populate(slapd)
    made = EffectSite(tmp_path_factory.mktemp("effects") / "site", slapd, site.master, site.agent)
    with made.managed.serving():
        yield made


BASE = "modules/base/manifests/init.pp"


def diff(pushes: EffectSite, *words: str) -> tuple[int, dict[str, Any]]:
    command = [str(SCRIPTS / "branch-manager"), "--config", str(pushes.configuration), "diff", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def test_a_push_says_what_it_does_to_nodes(pushes: EffectSite) -> None:
    secret = "file { '/nonexistent/s': content => Sensitive('hunter2'), mode => '0600' }"
    text = TREE[BASE].replace("'one'", "'two'").replace("class base {", f"class base {{ {secret}")
    taken, output = pushes.push("test", {BASE: text, "modules/base/files/fx": "two"}, "olga")
    assert taken and "effect: 3 nodes differ" in output, output
    told = "File[/nonexistent/fx] (content of its source), + File[/nonexistent/s], Notify[base] (message)"
    assert f"3 nodes (db1.example.org, web1.example.org, web2.example.org): {told}" in output, output
    status, found = diff(pushes, "test")
    assert status == 0 and found["complete"] and len(found["digest"]) == 64 and found["unchecked"] == []
    assert {(node["certname"], node["project"], node["state"]) for node in found["nodes"]} == {
        (name, "red", "differs") for name in NODES
    }
    changes = {change["title"]: change for change in found["nodes"][0]["changes"]}
    assert changes["base"]["file"] == BASE and changes["base"]["line"] == 2
    (message,) = changes["base"]["changed_parameters"]
    assert (message["before"], message["after"]) == ("one", "two")
    assert "hunter2" not in output + json.dumps(found)
    kept = pushes.managed.settings.branches.store / "effects/fx_test.json"
    assert b"hunter2" not in kept.read_bytes()
    assert not list((pushes.managed.settings.branches.store / "locks").glob("*preview*"))


def test_only_what_a_node_depends_on_is_compiled_again(pushes: EffectSite) -> None:
    taken, output = pushes.push("test", {"modules/db/templates/x.epp": "three"}, "olga")
    assert taken and "effect: 1 node differs, 2 nodes stay as they are" in output, output
    _, found = diff(pushes, "test")
    assert [node["unaffected"] for node in found["nodes"]] == [False, True, True]
    # That is true: compiled all the same, they are the same.
    settings = pushes.managed.settings
    change = Change(EnvironmentName("fx_test"), ObjectId(found["from"]), ObjectId(found["to"]))
    users = nodes(pushes.settings, Usage(pushes.settings), Place(TEST, EnvironmentName("fx_test")))
    comparison = Comparison(pushes.settings, KeptEffects(Layout(str(settings.branches.store), "")).mask())
    whole = comparison.effect(change, users, Halt(300))
    comparison.close()
    assert [node.state for node in whole.nodes] == ["differs", "same", "same"]
    assert not any(node.skipped for node in whole.nodes)
    assert whole.digest == found["digest"]


def test_what_breaks_nodes_does_not_reach_test(pushes: EffectSite) -> None:
    environment = pushes.settings.branches.environments / "fx_test"
    live = environment.readlink()
    broken = TREE[BASE].replace("notify", "nosuch::thing")
    taken, output = pushes.push("test", {BASE: broken}, "olga")
    assert not taken and "3 nodes (db1.example.org, web1.example.org, web2.example.org) would not compile" in output
    assert "Unknown resource type: 'nosuch::thing' (file: modules/base/manifests/init.pp, line: 2, column: 3)" in output
    assert environment.readlink() == live
    # What was broken before refuses nothing, and a project's branch may break its own.
    pushes.use("fx_red", NODES)
    taken, output = pushes.push("project/red", {BASE: broken}, "anna")
    assert taken and "effect: 3 nodes no longer compile" in output, output
    assert diff(pushes, "project/red")[0] == 4
    taken, output = pushes.push("project/red", {BASE: TREE[BASE]}, "anna")
    assert taken and "effect: 3 nodes did not compile before" in output and "compile now; before: " in output, output
    # Nodes of other projects are none of its business.
    pushes.use("fx_red", NODES, project="blue")
    taken, output = pushes.push("project/red", {BASE: broken}, "anna")
    assert taken and "effect:" not in output, output
    pushes.use("fx_test", NODES)


def test_what_hangs_on_the_environments_name_is_said(pushes: EffectSite) -> None:
    by_name = "notify { 'n': message => $environment ? { 'fx_test' => 'here', default => 'elsewhere' } }"
    files = {BASE: f"class base {{ {by_name} }}"}
    assert pushes.push("test", files, "olga")[0]
    _, found = diff(pushes, "test")
    assert all(node["by_environment_name"] for node in found["nodes"])
    pushes.push("test", {BASE: files[BASE].replace("class base {", "class base { notify { 'm': } ")}, "olga")
    _, found = diff(pushes, "test")
    assert {change["title"] for node in found["nodes"] for change in node["changes"]} == {"m"}
    # A value that only tells the name is the same.
    tells = "notify { 'n': message => \"${environment} ${server_facts['environment']} ${settings::environment}\" }"
    pushes.push("test", {BASE: f"class base {{ {tells} }}"}, "olga")
    pushes.push("test", {BASE: f"class base {{ {tells} notify {{ 'o': }} }}"}, "olga")
    _, found = diff(pushes, "test")
    assert {change["title"] for node in found["nodes"] for change in node["changes"]} == {"o"}
    assert not any(node["by_environment_name"] for node in found["nodes"])
    assert pushes.push("test", {BASE: TREE[BASE]}, "olga")[0]


def test_a_newer_push_ends_the_older_ones_compiles(pushes: EffectSite) -> None:
    many = {f"many{number}.example.org": "web" for number in range(200)}
    pushes.use("fx_test", many)
    settings = pushes.settings
    place = Place(TEST, EnvironmentName("fx_test"))
    repository = Repository(str(settings.branches.repository))
    before, after = (repository.commit_of(name) for name in ("test~1", "test"))
    change = Change(place.environment, before, after)
    users = nodes(settings, Usage(settings), place)
    effects = Effects()
    older = effects.start(settings, place, change, users)
    newer = effects.start(settings, place, change, users[:1])
    assert newer.over.wait(120) and older.over.wait(120)
    assert older.effect is not None and set(older.effect.unchecked.values()) == {"somebody pushed again"}
    assert newer.effect is not None and newer.effect.unchecked == {}
    effects.close()
    pushes.use("fx_test", NODES)


@contextmanager
def desk(pushes: EffectSite, settings: Settings) -> Iterator[Desk]:
    """Give the desk for promotions, which compiles."""
    pushes.follow()
    usage, membership = Usage(settings), Membership(settings, time.time)
    catalogs = CompiledCatalogs(settings, usage, RememberedEffects())
    with Deployer(settings.branches, domains=settings.domains) as deployer:
        yield Desk(settings, deployer, membership, usage, catalogs=catalogs)
    membership.close()


def test_an_approved_promotion_is_void_if_nodes_change_though_the_code_does_not(pushes: EffectSite) -> None:
    asked, settings = Wish(BranchName("project/red"), "test", "anna", "for a test"), pushes.settings
    pushes.push("project/red", {BASE: TREE[BASE].replace("notify", "nosuch::thing")}, "anna")
    with desk(pushes, settings) as people:
        broken = people.propose(asked)
        assert broken.outcome == "refuse" and "3 nodes" in broken.facts.problems[0], broken.facts
        assert "would not compile any more: Evaluation Error" in broken.facts.problems[0]
    more = "class db {\n  notify { 'db': message => epp('db/x.epp') }\n  notify { 'more': }\n}\n"
    pushes.push("project/red", {BASE: TREE[BASE], "modules/db/manifests/init.pp": more}, "anna")
    server = replace(settings.branches.puppetserver, urls=("https://localhost:1",))
    with desk(pushes, replace(settings, branches=replace(settings.branches, puppetserver=server))) as people:
        seen = people.preview(asked).promotion.effect
        assert seen is not None and seen.catalogs == ""
        assert seen.summary.startswith("what it does to nodes is not known: effect on 3 nodes (https://localhost:1")
    with desk(pushes, settings) as people:
        id = people.propose(asked).promotion.id
        seen = people.looked(id).promotion.effect
        assert seen is not None and seen.summary.startswith("1 node differs, 2 nodes stay as they are"), seen
        assert "db1.example.org: + Notify[more]" in seen.summary
        list(people.approve(id, "olga", seen.digest))
        pushes.use("fx_test", {**NODES, "web2.example.org": "data"})
        pushes.follow()
        list(people.promote(id, "anna"))
        why = people.kept.get(id).why[0]
        assert people.kept.get(id).state == "proposed", why
        assert "that of olga is void" in why and "does something else to the nodes: 2 nodes differ" in why
        seen = people.looked(id).promotion.effect
        assert seen is not None
        pushes.follow()
        list(people.approve(id, "olga", seen.digest))
        assert people.kept.get(id).state == "done", people.kept.get(id)
    live = pushes.settings.branches.environments / "fx_test/modules/db/manifests/init.pp"
    assert live.read_text() == more
    pushes.use("fx_test", NODES)


def test_without_puppetserver_the_rest_is_checked(pushes: EffectSite) -> None:
    document = pushes.document
    try:
        changed = pushes.document
        changed["branches"]["puppetserver"]["urls"] = ["https://localhost:1"]
        pushes.write(changed)
        taken, output = pushes.push("test", {"modules/base/files/fx": "no server"}, "olga")
        assert taken and "not checked: effect on 3 nodes (https://localhost:1: " in output, output
        changed["pushes"]["require_checks"] = ["test"]
        pushes.write(changed)
        taken, output = pushes.push("test", {"modules/base/files/fx": "still none"}, "olga")
        assert not taken and "cannot be checked: effect on 3 nodes" in output, output
        # The one that is there does not let us: that is no fault of the code either.
        changed["branches"]["puppetserver"] = document["branches"]["puppetserver"]
        for key in ("certificate_file", "key_file"):
            changed["branches"]["puppetserver"] = {**changed["branches"]["puppetserver"], key: None}
        pushes.write(changed)
        taken, output = pushes.push("test", {"modules/base/files/fx": "not allowed"}, "olga")
        assert not taken and "its auth.conf must allow our certificate /puppet/v4/catalog" in output, output
        (finding,) = catalogs.check(pushes.settings)
        assert "its auth.conf must allow" in finding.found
    finally:
        pushes.write(document)
    (finding,) = catalogs.check(pushes.settings)
    assert "pushes are compiled" in finding.found
