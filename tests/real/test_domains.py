"""Servers of one trust domain on real parts: whom they answer, which environments they show, what is on their disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from enc.answers.direct import answer
from enc.directory.embedded_config import StartOptions
from enc.settings import AnswerSettings, DomainSettings, MirrorSettings, Settings, config
from enc.terms.errors import ExitStatus
from enc.terms.names import Certname, EnvironmentName
from git_hooks.branches.usage import Usage
from git_hooks.cli import main
from git_hooks.deploy.deployer import Deployer
from git_hooks.mirror.catch_up import CatchUp
from tests.real.conftest import SlapdMaker
from tests.support.bare import Bare
from tests.support.following import HOSTS, KIND, Following, add_node, add_project, eventually, node_dn
from tests.support.pushes import RULES, ManagedRepository, populate
from tests.support.slapd import REPLACE, Slapd

DB, WEB = "db.example.org", "web1.example.org"
SECRET = "only-of-the-site"
DATA = f'key="{SECRET}"'


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    slapd = make_module_slapd(options=StartOptions(site_projects=("ops",)))
    populate(slapd)
    add_project(slapd, "ops", puppetmasterData=DATA)
    classes = ["device", "puppetClient", "puppetmasterClassification"]
    for name, project in (("new.red", "red"), ("new.ops", "ops")):
        slapd.add(node_dn(name, project), {"objectClass": classes, "cn": name, "puppetmasterEnrolment": "closed"})
    add_node(slapd, DB, "ops", puppetVar=f"password={SECRET}", puppetmasterData=DATA)
    slapd.add(f"cn=bare.example.org,{HOSTS}", {"objectClass": KIND, "puppetVar": f"password={SECRET}"})
    return slapd


@pytest.fixture
def following(slapd: Slapd, tmp_path: Path) -> Iterator[dict[str, Following]]:
    """Followers of both domains."""
    made = {
        serves: Following(
            tmp_path / serves,
            slapd,
            domains={"serves": serves, "site_projects": ["ops"], "servers": ["projects = p.example.org"]},
            answers={"merged_data": True},
        )
        for serves in ("site", "projects")
    }
    for one in made.values():
        one.start(forked=True)
    yield made
    for one in made.values():
        one.end()


def held(root: Path) -> bytes:
    """Return all that others than the follower's account may read below an answers directory."""
    found = b""
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):  # a follower is at work in there
            if path.is_file() and path.stat().st_mode & 0o077:
                found += path.name.encode() + path.read_bytes()
    return found


def test_each_server_answers_its_domain_and_has_nothing_of_the_other(
    slapd: Slapd, following: dict[str, Following]
) -> None:
    site, projects = following["site"], following["projects"]
    assert site.enc(DB)[0] == projects.enc(WEB)[0] == 0
    assert SECRET in site.enc(DB)[1]

    status, line = site.enc(WEB)
    assert status == 1
    said = f"{WEB} belongs to the domain projects, which p.example.org serves; this server serves the domain site only"
    assert line == f"enc: {said} (domains.serves)\n"
    assert answer(Certname(WEB), site.settings) == (ExitStatus.FAILED, line.removeprefix("enc: "))
    for name in (DB, "bare.example.org", "nobody.example.org"):
        status, line = projects.enc(name)
        assert status == 1 and line.startswith(f"enc: {name} has no answer here: this server serves nodes of the")
        assert projects.enc(name, program="enc-trusted") == (0, "{}\n")
    found = held(projects.layout.root)
    assert WEB.encode() in found and SECRET.encode() not in found and DB.encode() not in found
    assert (projects.layout.copy.stat().st_mode & 0o777) == 0o600
    assert SECRET.encode() in projects.layout.copy.read_bytes() + _log_of(projects), "the test looks at the right place"

    # What a door knows of some instances only would keep the others out.
    assert sorted(path.name for path in site.layout.enrolments.iterdir()) == ["new.ops", "new.red"]
    assert not list(projects.layout.enrolments.iterdir())

    # Where the branches are, who uses which environment is known all the same.
    usage = Usage(site.settings)
    assert usage.nodes(EnvironmentName("project_red")) == (WEB,)
    refusal = site.layout.refused / WEB
    before = refusal.stat().st_mtime_ns
    add_project(slapd, "later")  # all nodes are looked at once more
    site.current()
    assert refusal.stat().st_mtime_ns == before, "what says the same is not written again"
    slapd.modify(node_dn(WEB, "red"), {"environment": [(REPLACE, ["project_red__used"])]})
    eventually(lambda: usage.nodes(EnvironmentName("project_red")) == (), "the other environment")
    slapd.modify(node_dn(WEB, "red"), {"environment": [(REPLACE, ["project_red"])]})


def test_with_its_own_account_it_has_nothing_of_the_site_at_all(
    slapd: Slapd, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Not even the follower's account, which the others on that machine are kept from."""
    home = slapd.directory.home
    one = Following(
        tmp_path / "one",
        slapd,
        domains={"serves": "projects", "site_projects": ["ops"]},
        directory={
            "bind_dn": f"cn=enc-projects,ou=services,{home.suffix}",
            "bind_password_file": str(home.projects_password_file),
        },
    )
    request.addfinalizer(one.end)
    one.start(forked=True)
    assert one.enc(WEB)[0] == 0
    copied = one.layout.copy.read_bytes() + _log_of(one)
    assert WEB.encode() in copied
    assert not [what for what in (SECRET, DB, "bare.example.org", "ou=ops", "cn=ops") if what.encode() in copied]
    # What becomes the site's goes, and what it is from then on does not come.
    add_node(slapd, "moves.example.org", "red", puppetClass="base")
    eventually(lambda: one.text("moves.example.org"), "an answer")
    with slapd.connect() as mover:
        mover.modify_dn(node_dn("moves.example.org", "red"), "cn=moves.example.org", new_superior=f"ou=ops,{HOSTS}")
    slapd.modify(node_dn("moves.example.org", "ops"), {"description": [(REPLACE, [f"says {SECRET}"])]})
    eventually(lambda: one.text("moves.example.org") is None, "no answer any more")
    slapd.delete(node_dn("moves.example.org", "ops"))
    one.current()
    assert SECRET.encode() not in one.layout.copy.read_bytes() + _log_of(one)


def _log_of(one: Following) -> bytes:
    log = one.layout.copy.with_name("copy.sqlite-wal")
    return log.read_bytes() if log.exists() else b""


def test_nothing_is_inherited_across_domains(slapd: Slapd, following: dict[str, Following]) -> None:
    """An admin names a server of the site as parent, or an operator a node of a project as a server's."""
    slapd.modify(node_dn(WEB, "red"), {"parentNode": [(REPLACE, [DB])]})
    slapd.modify(node_dn(DB, "ops"), {"parentNode": [(REPLACE, ["web2.example.org"])]})
    site, projects = following["site"], following["projects"]
    eventually(lambda: "parent belongs to another domain" in projects.log.read_text(), "the project's node is told")
    eventually(lambda: "parent belongs to another domain" in site.log.read_text(), "the site's node is told")
    assert SECRET.encode() not in held(projects.layout.root)
    for node, project in ((WEB, "red"), (DB, "ops")):
        slapd.modify(node_dn(node, project), {"parentNode": [(REPLACE, [])]})


def test_a_node_that_changes_sides_leaves_nothing_behind(slapd: Slapd, following: dict[str, Following]) -> None:
    site, projects = following["site"], following["projects"]
    add_node(slapd, "moves.example.org", "red", puppetmasterData='own="x"')
    eventually(lambda: projects.text("moves.example.org"), "an answer")
    mover = slapd.connect()
    mover.modify_dn(node_dn("moves.example.org", "red"), "cn=moves.example.org", new_superior=f"ou=ops,{HOSTS}")
    eventually(lambda: site.text("moves.example.org"), "the site's answer")
    # A node's answer goes first and its data after it: data that an answer still names must be there.
    eventually(lambda: b"moves.example.org" not in held(projects.layout.root), "nothing of it any more")
    slapd.delete(node_dn("moves.example.org", "ops"))


def test_a_server_that_changes_sides_throws_away_what_it_had(
    slapd: Slapd, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also what cannot be classified any more, which otherwise would keep its last good answer."""
    one = Following(tmp_path / "one", slapd)
    request.addfinalizer(one.end)
    one.start(forked=True)
    assert one.text(DB) and one.text(WEB)
    changes = {"parentNode": [(REPLACE, ["nobody.example.org"])], "description": [(REPLACE, [f"says {SECRET}"])]}
    slapd.modify(node_dn(DB, "ops"), changes)
    eventually(lambda: "nobody.example.org" in one.log.read_text(), "the bad entry is seen")
    assert SECRET in "".join(file.read_text() for file in (one.layout.root / "seen").iterdir())
    one.end()
    document = yaml.safe_load(one.configuration.read_text())
    document["domains"] = {"serves": "projects", "site_projects": ["ops"]}
    one.configuration.write_text(yaml.safe_dump(document))
    one.start(forked=True)
    eventually(lambda: SECRET.encode() not in held(one.layout.root), "nothing of the site any more")
    assert one.text(DB) is None and one.text(WEB)
    slapd.modify(node_dn(DB, "ops"), {"parentNode": [(REPLACE, [])], "description": [(REPLACE, [])]})


@pytest.fixture
def repository(slapd: Slapd, tmp_path: Path) -> ManagedRepository:
    made = ManagedRepository(tmp_path / "managed", slapd)
    branch_manager(made, "deploy")
    assert made.shown("project_red", "manifests/site.pp") == "red"
    return made


def branch_manager(made: ManagedRepository, *words: str) -> int:
    return main(["--config", str(made.configuration), *words])


def serve(made: ManagedRepository, **domains: object) -> None:
    document = yaml.safe_load(made.configuration.read_text())
    document["domains"] = domains
    made.configuration.write_text(yaml.safe_dump(document))
    made.settings = config.load(made.configuration)


def environments(made: ManagedRepository) -> set[str]:
    return {path.name for path in (made.base / "environments").iterdir()}


def test_a_site_server_shows_no_environment_of_a_project(
    repository: ManagedRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(repository, serves="site")
    assert branch_manager(repository, "deploy") == 0
    assert environments(repository) == {"production", "test"}
    done = repository.push([{"ref": "project/red", "files": {"manifests/site.pp": "new"}}])
    assert done.status == 0 and "project_red: stored; a server of another domain deploys it" in done.output
    done = repository.push([{"ref": "topic/red/new", "files": {"x": "new"}}])
    assert done.status == 0 and environments(repository) == {"production", "test"}
    capsys.readouterr()
    assert branch_manager(repository, "list") == 0
    assert "elsewhere" in capsys.readouterr().out
    commit = subprocess.check_output(
        ["git", "-C", str(repository.bare.path), "rev-parse", "project/red"], text=True
    ).strip()
    branch_manager(repository, "rollback", "project_red", commit, "--reason", "x")
    assert environments(repository) == {"production", "test"}

    serve(repository)
    assert branch_manager(repository, "release", "project_red") == 0
    assert branch_manager(repository, "deploy") == 0
    assert repository.shown("project_red", "manifests/site.pp") == "new"


def test_a_projects_server_shows_of_the_site_what_is_named(repository: ManagedRepository) -> None:
    serve(repository, serves="projects")
    assert branch_manager(repository, "deploy") == 0
    assert "test" not in environments(repository) and {"production", "project_red"} <= environments(repository)
    serve(repository, serves="projects", reviewed=None)
    assert branch_manager(repository, "deploy") == 0
    assert "production" not in environments(repository) and "project_red" in environments(repository)


def test_a_projects_server_follows_the_sites_repository(repository: ManagedRepository, tmp_path: Path) -> None:
    """As docs/trust-domains.md has it: it asks, and shows what is its own; what is not is no reason to try again."""
    here = Bare(tmp_path / "here")
    mirror = MirrorSettings(forge="gitea", url=f"file://{repository.bare.path}", protocols=("file",))
    settings = Settings(
        branches=replace(here.settings, rules=tuple(RULES), members_code="trusted", mirror=mirror),
        domains=DomainSettings(serves="projects"),
        answers=AnswerSettings(directory=tmp_path / "answers"),
    )
    with Deployer(settings.branches, domains=settings.domains) as deployer:
        follow = CatchUp(settings, deployer)
        follow.look(None)
        shown = {path.name for path in settings.branches.environments.iterdir()}
        assert {"production", "project_red", "project_blue"} <= shown and "test" not in shown
        assert follow.look(None) == []
        repository.push([{"ref": "project/red", "files": {"manifests/site.pp": "newer"}}])
        assert [record.outcome for record in follow.look(None)] == ["live"]
        assert (settings.branches.environments / "project_red/manifests/site.pp").read_text() == "newer"
