"""Code that a member pushes does its worst: in one puppetserver for all, and where authority and domains are apart.

Real pushes, answers, puppetservers and agents. Each puppetserver has an account of its own, which has less to part it
from the others than a machine of its own; `members_code` is `trusted`, so nothing looks at what is pushed. What the
code takes from the disk it leaves in a file; what can be done with the certificate that it finds is tried with that.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from enc.cli import main as enc_admin
from enc.terms.names import Certname
from git_hooks.cli import main as branch_manager
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.real.conftest import SlapdMaker
from tests.support.following import REPOSITORY, add_node, add_project
from tests.support.machines import needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.pushes import ManagedRepository, populate
from tests.support.reachable import reachable

RED, BLUE, DB = "web1.example.org", "shop.example.org", "db.example.org"
"""A node of the attacker's project, one of another project, and one of the site's own."""
SECRET = "only-of-the-site"
ACCOUNTS = {"authority": 64110, "site": 64111, "projects": 64112, "followers": 64113}
OWN = """
unless Puppet::Parser::Compiler.method_defined?(:as_it_was)
  class Puppet::Parser::Compiler
    alias_method :as_it_was, :compile
    def compile(&block)
      as_it_was do |catalog|
        found = block.call(catalog)
        found.add_resource(Puppet::Resource.new('Notify', "code of project red on #{@node.name}"))
        found
      end
    end
  end
end
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
    authority: PrivateMaster
    make_master: MakeMaster

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
    return Site(base, repository, make_master(base / "authority", MasterSettings()), make_master)


def as_account(name: str) -> tuple[str, ...]:
    uid = str(ACCOUNTS[name])
    return ("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs")


def given(path: Path, account: str) -> None:
    subprocess.run(["chown", "-R", f"{ACCOUNTS[account]}:{ACCOUNTS[account]}", path], check=True)


def machine(site: Site, name: str, **domains: object) -> tuple[Path, dict[str, str]]:
    """Return the configuration of a compile server, whose answers are written, and what its puppet.conf says of it."""
    place = site.base / f"etc-{name}"
    place.mkdir()
    document = yaml.safe_load(site.repository.configuration.read_text())
    document["answers"]["directory"] = str(place / "answers")
    document["branches"] |= {"store": str(place / "store"), "environments": str(place / "environments")}
    document["domains"] = domains
    (place / "ldap.secret").touch(mode=0o600)
    (place / "ldap.secret").write_text(Path(document["directory"]["bind_password_file"]).read_text())
    document["directory"]["bind_password_file"] = str(place / "ldap.secret")
    configuration = place / "config.yaml"
    configuration.write_text(yaml.safe_dump(document))
    for command, words in ((enc_admin, ("follow", "--once")), (branch_manager, ("deploy",))):
        assert command(["--config", str(configuration), *words]) == 0
    # As the units and the module have it: the follower's account owns, puppetserver's group reads the answers.
    account = ACCOUNTS[name]
    subprocess.run(["chown", "-R", f"{ACCOUNTS['followers']}:{account}", place / "answers"], check=True)
    closed = domains.get("serves") == "projects"
    os.chown(place / "ldap.secret", ACCOUNTS["followers"] if closed else 0, 0 if closed else account)
    (place / "ldap.secret").chmod(0o400 if closed else 0o440)
    programs = REPOSITORY / "enc"
    terminus = exec_terminus(programs / "enc", "--config", str(configuration))
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


def ask(ssldir: Path, certname: str, at: PrivateMaster, method: str, address: str, body: str = "") -> tuple[int, str]:
    """Return status and text of a request with a key and the certificate for it; whoever has the key can do so."""
    context = ssl.create_default_context(cafile=str(ssldir / "certs/ca.pem"))
    context.load_cert_chain(ssldir / f"certs/{certname}.pem", ssldir / f"private_keys/{certname}.pem")
    connection = http.client.HTTPSConnection("localhost", at.settings.port, context=context, timeout=60)
    try:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def catalog(site: Site, certname: str, master: PrivateMaster) -> tuple[int, str]:
    """Return what a node gets at `master`; it has its certificate from the authority."""
    ssldir = site.base / "nodes" / certname
    if not ssldir.exists():
        bootstrap(certname, ssldir, site.authority)
    address = f"/puppet/v3/catalog/{certname}?environment=production"
    return ask(ssldir, certname, master, "GET", address)


def test_reviewed_code_lets_none_of_it_in(site: Site) -> None:
    """The default: the push is refused, with file and line."""
    document = yaml.safe_load(site.repository.configuration.read_text())
    trusted = site.repository.configuration.read_text()
    del document["branches"]["members_code"]
    site.repository.configuration.write_text(yaml.safe_dump(document))
    try:
        with pytest.raises(AssertionError, match="puppetserver loads what is below lib/ as Ruby"):
            attack(site, site.repository.configuration, [])
    finally:
        site.repository.configuration.write_text(trusted)


def test_in_one_process_members_have_the_authority_and_everybodys_catalogs(site: Site) -> None:
    configuration, server = machine(site, "authority", site_projects=["ops"])
    master = site.authority
    master.settings = replace(master.settings, server=server, launcher=as_account("authority"))
    master.write()
    given(master.base, "authority")
    master.start()
    for name in (RED, BLUE, DB):
        status, text = catalog(site, name, master)
        assert status == 200 and "code of project red" not in text
    key = master.base / "puppet/ca/ca_key.pem"
    data = configuration.parent / "answers/hiera/nodes"
    attack(site, configuration, [key, data / f"{DB}.yaml", data / f"{BLUE}.yaml"])
    catalog(site, RED, master)
    found = json.loads(site.loot.read_text())
    assert found["who"] == str(ACCOUNTS["authority"])
    assert "PRIVATE KEY" in found[str(key)]
    assert SECRET in found[str(data / f"{DB}.yaml")] and f"{SECRET}-blue" in found[str(data / f"{BLUE}.yaml")]
    for name in (BLUE, DB):
        assert f"code of project red on {name}" in catalog(site, name, master)[1]


def test_apart_they_have_neither_the_authority_nor_what_is_the_sites(site: Site) -> None:
    authority = site.authority
    # The same authority, and nothing is compiled there any more.
    authority.settings = replace(authority.settings, server={})
    authority.reload()
    servers, places = {}, {}
    for name in ("site", "projects"):
        places[name], settings = machine(site, name, serves=name, site_projects=["ops"])
        certname = Certname(f"{name}.example.org")
        chosen = MasterSettings(certname, authority=False, server=settings, launcher=as_account(name))
        servers[name] = site.make_master(site.base / name, chosen)
        names = servers[name].settings.alternative_names
        bootstrap(certname, servers[name].base / "puppet/ssl", authority, *names)
        given(servers[name].base, name)
        servers[name].start()
    own, theirs = servers["site"], servers["projects"]
    assert catalog(site, DB, own)[0] == catalog(site, BLUE, theirs)[0] == 200

    sites, here = places["site"].parent, places["projects"].parent
    wanted = [
        *(authority.base / "puppet" / part for part in ("ca/ca_key.pem", "ca/*", "ssl/private_keys/*")),
        *(own.base / "puppet/ssl/private_keys" / part for part in ("*", "site.example.org.pem")),
        *(sites / part for part in ("answers/nodes/*", f"answers/nodes/{DB}.yaml", "answers/copy.sqlite")),
        *(sites / part for part in ("ldap.secret", "answers/hiera/nodes/*", f"answers/hiera/nodes/{DB}.yaml")),
        *(here / part for part in ("ldap.secret", "answers/copy.sqlite*", "answers/*/*", "answers/hiera/*/*")),
    ]
    attack(site, places["projects"], wanted)
    catalog(site, RED, theirs)
    found = json.loads(site.loot.read_text())
    assert found["who"] == str(ACCOUNTS["projects"])
    assert f"code of project red on {BLUE}" in catalog(site, BLUE, theirs)[1], "projects are no domains of their own"
    said = json.dumps(found)
    assert f"{SECRET}-blue" in said, "what the domain has is read"
    assert SECRET not in said.replace(f"{SECRET}-blue", "") and "PRIVATE KEY" not in said
    assert DB not in json.dumps({path: what for path, what in found.items() if not path.startswith(str(sites))})
    for path in (authority.base / "puppet/ca/ca_key.pem", own.base / "puppet/ssl/private_keys/site.example.org.pem"):
        assert found[str(path)] == "Errno::EACCES"
    for path in (here / "ldap.secret", here / "answers/copy.sqlite"):
        assert found[str(path)] == "Errno::EACCES"
    status, text = catalog(site, DB, own)
    assert status == 200 and "code of project red" not in text

    # With the key of the server whose account it has
    stolen = theirs.base / "puppet/ssl", "projects.example.org"
    sign = json.dumps({"desired_state": "signed"})
    for method, address, body in (
        ("GET", "/puppet-ca/v1/certificate_statuses/any", ""),
        ("PUT", "/puppet-ca/v1/certificate_status/new.example.org", sign),
        ("PUT", "/puppet-ca/v1/clean", json.dumps({"certnames": [DB]})),
    ):
        assert ask(*stolen, authority, method, address, body)[0] == 403, address
    asked = json.dumps({"certname": DB, "persistence": {"facts": False, "catalog": False}, "environment": "production"})
    for method, address, body in (
        ("GET", f"/puppet/v3/catalog/{DB}?environment=production", ""),
        ("GET", f"/puppet/v3/node/{DB}?environment=production", ""),
        ("POST", "/puppet/v4/catalog", asked),
        ("DELETE", "/puppet-admin-api/v1/environment-cache", ""),
        ("GET", "/puppet/v3/environment_classes?environment=production", ""),
    ):
        assert ask(*stolen, own, method, address, body)[0] == 403, address

    # Who goes to the wrong server gets nothing there, whichever environment is asked for.
    status, text = catalog(site, DB, theirs)
    assert status == 500 and SECRET not in text
    status, text = catalog(site, RED, own)
    assert status == 500 and "serves the domain site only" in text
    assert {path.name for path in (sites / "environments").iterdir()} == {"production", "test"}

    # puppetmaster::agent changes an agent's settings only where that says yes.
    assert served(site, BLUE, theirs) == served(site, DB, own) == ""
    assert "is answered" in served(site, DB, theirs) and "is answered" in served(site, RED, own)


def served(site: Site, certname: str, master: PrivateMaster) -> str:
    """Return why `master` does not serve a node's agent, as the class puppetmaster::agent asks; empty if it does."""
    puppet = site.base / "puppet"
    puppet.write_text(f"#!/bin/sh\necho {site.base / 'nodes' / certname}\n")
    puppet.chmod(0o755)
    watch = (REPOSITORY / "files/client-watch.rb").read_text()
    words = (puppet, "ruby", watch, "localhost", str(master.settings.port), certname)
    done = subprocess.run(["sh", REPOSITORY / "files/served.sh", *words], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (done.stderr == ""), done
    return done.stderr


def bootstrap(certname: str, ssldir: Path, authority: PrivateMaster, *names: str) -> None:
    """Get a key, and a certificate from the authority."""
    place = ssldir.parent / f"{certname}.bootstrap"
    port = str(authority.settings.port)
    command = ["puppet", "ssl", "bootstrap", "--confdir", str(place), "--vardir", str(place), "--ssldir", str(ssldir)]
    command += ["--server", "localhost", "--serverport", port, "--ca_server", "localhost", "--ca_port", port]
    command += ["--certname", certname, "--keylength", "2048", "--waitforcert", "0", "--http_keepalive_timeout", "0"]
    command += ["--dns_alt_names", ",".join(names)] if names else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
