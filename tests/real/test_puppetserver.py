"""A real puppetserver and agent: what stands in LDAP arrives in a catalog, and why it does not, at the agent."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.terms.names import Certname, EnvironmentName
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.private_agent import AgentRun, AgentSettings
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.real.conftest import SlapdMaker
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import REPLACE, Slapd

SCRIPTS = Path(sysconfig.get_path("scripts"))
DOCUMENTED_HIERA = re.search(
    r"```yaml\n(version: 5\n.*?)```", (Path(__file__).parents[2] / "docs/hiera.md").read_text(), re.DOTALL
)
WEB = Certname("web-1.example.org")
PLAIN = Certname("plain.example.org")
SCOPE = ("puppetClient", "puppetmasterClassification")
S = "dc=example,dc=org"

SHOW = r"""
class show (
  Integer $port = 0, Array[String] $names = [], Hash[String, Boolean] $flags = {},
  String $by_node = '-', String $by_long = '-', String $by_short = '-', String $by_project = '-',
) {
  $note = note()
  $seen = {
    environment => $server_facts['environment'],
    port => $port, names => $names, flags => $flags,
    data => [$by_node, $by_long, $by_short, $by_project],
    motd => getvar('motd'), rack => getvar('rack'), on => getvar('on'),
    answer => getvar('puppetmaster_answer'), external => $trusted['external'],
  }
  file { "${facts['place']}/seen.json":
    content => inline_template("<%= require 'json'; JSON.generate(@seen) %>\n"),
  }
}
class other { file { "${facts['place']}/other": content => 'there' } }
"""


NOTE = """\
File.write("%(base)s/loaded.%(what)s.#{Process.pid}".sub("/lenses", "").sub("/functions", ""), "")
Facter.add(:note) { setcode { "note" } } if "%(what)s" == "facter"
Puppet::Functions.create_function(:note) { def note; 1; end } if "%(what)s" == "puppet/functions"
"""
"""Leaves a file named after what was loaded, and by which process."""


class Site:
    """slapd, follower and puppetserver of one site."""

    def __init__(self, base: Path, slapd: Slapd, make_master: MakeMaster) -> None:
        self.base, self.slapd = base, slapd
        self.answers = base / "answers"
        config = base / "config.yaml"
        document = {**yaml.safe_load(slapd.configuration()), "answers": {"directory": str(self.answers)}}
        config.write_text(yaml.safe_dump(document))
        self.environment = {"PUPPETMASTER_CONFIG": str(config)}
        self.log = (base / "follower.log").open("w")
        self.follower = subprocess.Popen(
            [SCRIPTS / "enc-admin", "follow"], env={**os.environ, **self.environment}, stderr=self.log
        )
        terminus = exec_terminus(SCRIPTS / "enc", trusted=SCRIPTS / "enc-trusted")
        # Data and classes must arrive although nothing flushes the environment.
        settings = MasterSettings(server={**terminus, "environment_timeout": "unlimited"}, environment=self.environment)
        self.master: PrivateMaster = make_master(base / "master", settings)
        assert DOCUMENTED_HIERA is not None
        hiera = DOCUMENTED_HIERA[1].replace("/var/lib/puppetmaster/answers", str(self.answers))
        for name in ("production", "staging"):
            files = {"hiera.yaml": hiera, "modules/show/manifests/init.pp": SHOW.partition("class other")[0]}
            files["modules/other/manifests/init.pp"] = SHOW[SHOW.index("class other") :]
            for place in ("facter", "augeas/lenses", "puppet/functions"):
                files[f"modules/show/lib/{place}/note.rb"] = NOTE % {"what": place, "base": base}
            self.master.add_environment(EnvironmentName(name), files)
        self.until(lambda: (self.answers / f"nodes/{WEB}.yaml").exists())
        self.master.start()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            late = time.monotonic() > deadline or self.follower.poll() is not None
            assert not late, (self.base / "follower.log").read_text()
            time.sleep(0.02)

    def run(self, certname: Certname, *, noop: bool = False) -> AgentRun:
        """Run the node's agent, which believes to be in production."""
        place = self.base / certname
        place.mkdir(exist_ok=True)
        settings = AgentSettings(certname, "localhost", self.master.settings.port, facts={"place": str(place)})
        return self.master.agent(certname, settings).run("--environment", "production", noop=noop)

    def seen(self, certname: Certname) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.base / certname / "seen.json").read_text())
        return found


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, make_module_slapd: SlapdMaker, make_master: MakeMaster
) -> Iterator[Site]:
    slapd: Slapd = make_module_slapd()
    project = f"cn=alpha,ou=projects,{S}"
    slapd.add(f"ou=alpha,ou=hosts,{S}", {"objectClass": "organizationalUnit"})
    slapd.add(
        project,
        {
            "objectClass": ["groupOfNames", *SCOPE],
            "member": f"cn=manager,{S}",
            "puppetClass": "show",
            "puppetVar": ["motd=one=two", "on=true"],
            "environment": "staging",
            "puppetmasterRegion": "eu",
            "puppetmasterData": [f'show::{key}="project"' for key in ("by_node", "by_long", "by_short", "by_project")],
        },
    )
    for prefix, keys in (("web-", ("by_node", "by_long", "by_short")), ("web-1", ("by_node", "by_long"))):
        slapd.add(
            f"cn={prefix},{project}",
            {
                "objectClass": ["puppetmasterScope", *SCOPE],
                "puppetmasterData": [f'show::{key}="{prefix}"' for key in keys],
            },
        )
    slapd.add(
        f"cn={WEB},ou=alpha,ou=hosts,{S}",
        {
            "objectClass": ["device", *SCOPE],
            "puppetmasterParameter": [
                "show::port=8080", 'show::names=["a","b: c"]', 'show::flags={"x":true,"y":false}',
            ],
            "puppetmasterVariable": 'rack={"row":3,"name":"no"}',
            "puppetmasterData": 'show::by_node="node"',
            "puppetmasterRole": "frontend",
        },
    )  # fmt: skip
    slapd.add(f"cn={PLAIN},ou=alpha,ou=hosts,{S}", {"objectClass": ["device", *SCOPE], "environment": "production"})
    site = Site(tmp_path_factory.mktemp("site"), slapd, make_master)
    yield site
    site.follower.terminate()
    site.follower.wait(60)
    site.log.close()


def test_all_that_ldap_says_arrives_in_the_catalog(site: Site) -> None:
    run = site.run(WEB)
    assert run.status == 2, run.output
    seen = site.seen(WEB)
    answer = seen["answer"]
    assert answer["source"] == "copy" and 0 <= answer["age"] < 30 and answer["version"].endswith("000000")
    assert {key: seen[key] for key in seen if key != "answer"} == {
        "environment": "staging",
        "port": 8080,
        "names": ["a", "b: c"],
        "flags": {"x": True, "y": False},
        "data": ["node", "web-1", "web-", "project"],
        "motd": "one=two",
        "rack": {"row": 3, "name": "no"},
        "on": True,
        "external": {"project": "alpha", "region": "eu", "role": "frontend", "prefixes": ["web-1", "web-"]},
    }


def test_a_node_with_little_gets_its_projects_share(site: Site) -> None:
    run = site.run(PLAIN)
    assert run.status == 2, run.output
    seen = site.seen(PLAIN)
    assert (seen["environment"], seen["port"], seen["rack"]) == ("production", 0, None)
    assert seen["data"] == ["project"] * 4
    assert seen["external"] == {"project": "alpha", "region": "eu", "role": None, "prefixes": []}


def test_an_edit_arrives_with_the_next_run_also_when_ldap_is_away(site: Site) -> None:
    answer = site.answers / f"nodes/{WEB}.yaml"
    edit = {"puppetClass": [(REPLACE, ["other"])], "puppetmasterData": [(REPLACE, ['show::by_node="new"'])]}
    site.slapd.modify(f"cn={WEB},ou=alpha,ou=hosts,{S}", edit)
    site.until(lambda: '"other"' in answer.read_text())
    site.slapd.stop()
    try:
        run = site.run(WEB)
    finally:
        site.slapd.start()
    assert run.status == 2, run.output
    assert (site.base / WEB / "other").read_text() == "there"
    assert site.seen(WEB)["data"][0] == "new"


def test_why_a_deleted_node_gets_no_catalog_arrives_at_its_agent(site: Site) -> None:
    site.slapd.delete(f"cn={PLAIN},ou=alpha,ou=hosts,{S}")
    site.until(lambda: not (site.answers / f"nodes/{PLAIN}.yaml").exists())
    run = site.run(PLAIN)
    assert run.status == 1
    assert f"enc: no node {PLAIN} in LDAP" in run.output


def test_the_server_loads_no_ruby_that_is_for_agents(site: Site) -> None:
    """What members may push without review (git_hooks/server_code/places.py), beside a function, which it does load."""
    site.run(WEB)
    loaded = {tuple(path.name.split(".")[1:]) for path in site.base.glob("loaded.*")}
    server = str(site.master.process.pid)
    assert {what for what, pid in loaded if pid == server} == {"puppet"}
    assert "facter" in {what for what, pid in loaded if pid != server}, "the agent has loaded its fact"


def test_noop_changes_nothing(site: Site) -> None:
    file = site.base / WEB / "other"
    file.write_text("mine")
    run = site.run(WEB, noop=True)
    assert "(noop)" in run.output and file.read_text() == "mine"


def test_nothing_is_written_to_the_machines_own_puppet(site: Site) -> None:
    ours = (site.base / "config.yaml").stat().st_mtime
    for top in ("/etc/puppet", "/var/lib/puppet", "/var/lib/puppetserver", "/var/log/puppet"):
        for directory, _, names in os.walk(top):
            newer = [name for name in names if (Path(directory) / name).lstat().st_ctime > ours]
            assert newer == [], directory


def test_stop_ends_it_and_only_it(site: Site) -> None:
    pid = site.master.process.pid
    assert pid is not None
    assert (site.master.stop(), site.master.stop()) == (True, False)
    assert not Path(f"/proc/{pid}").exists() and site.follower.poll() is None


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path, make_master: MakeMaster) -> None:
    master = make_master(tmp_path, MasterSettings(jvm=("-XX:+NoSuchOption",)))
    with pytest.raises(ProcessFailed) as failure:
        master.start()
    assert "NoSuchOption" in "\n".join(failure.value.__notes__)
    assert master.process.pid is None
