"""The module applied on whole machines: two masters as docs/module.md has them, there, back, killed, and there again.

The first is a Debian 12, as the central master with everything on it. The
second is a Debian 13 with Puppet 8: built from our user data as an instance of
the first, then a master itself, for catalogs only. Set MODULE_APPLIED_ON=trixie
to have the first on Debian 13, too.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.support.central_site import CentralSite, S, central_site
from tests.support.machine_look import differing, look
from tests.support.machines import NEXT_SUITE, SUITE, Machine, needs_root
from tests.support.puppet_module import ROOT
from tests.support.self_master_site import done
from tests.support.toolkit import PREFIX

FIRST, SECOND, REVOKED = "puppet.example.org", "web-1.red.example.org", "old.example.org"
FIRST_SUITE = os.environ.get("MODULE_APPLIED_ON", SUITE)
CENTRAL = "include puppetmaster::enc, puppetmaster::branches, puppetmaster::instances"
CATALOGS = "include puppetmaster::enc"
ABSENT = """class { ['puppetmaster', 'puppetmaster::toolkit', 'puppetmaster::enc', 'puppetmaster::branches',
  'puppetmaster::instances']: ensure => absent }"""
UNITS = tuple(
    f"puppetmaster-{name}" for name in ("follow.service", "hooks.service", "serve.service", "collect.service")
)
SITE = """node default {
  file { '/built': content => "${trusted['certname']} of ${trusted['external']['project']} in ${environment}\\n" }
}
"""
PUSH = f"""set -eux
rm -rf /tmp/seed && mkdir -p /tmp/seed/manifests && cd /tmp/seed
cat >manifests/site.pp <<'END'
{SITE}END
git init -q -b production && git add .
git -c user.name=Olga -c user.email=o@example.org commit -q -m first
git push http://olga:pw-olga@127.0.0.1:8418/repository.git production production:test
until git ls-remote --exit-code http://anna:pw-anna@127.0.0.1:8418/repository.git project/red; do sleep 1; done
echo '# red' >>manifests/site.pp
git -c user.name=Anna -c user.email=a@example.org commit -q -a -m red
git push http://anna:pw-anna@127.0.0.1:8418/repository.git HEAD:project/red
"""
ASK = """
import http.client, ssl, sys
host, name, method, path = sys.argv[1:]
context = ssl.create_default_context(cafile="/var/lib/puppet/ssl/certs/ca.pem")
context.load_cert_chain(f"/var/lib/puppet/ssl/certs/{name}.pem", f"/var/lib/puppet/ssl/private_keys/{name}.pem")
try:
    host, _, port = host.partition(":")
    connection = http.client.HTTPSConnection(host, int(port or 8140), context=context, timeout=60)
    connection.request(method, path)
    print(connection.getresponse().status)
except (ssl.SSLError, ConnectionResetError):
    print("refused")
"""
FLUSH = ("DELETE", "/puppet-admin-api/v1/environment-cache?environment=production")
READS = r"""
for file in "$@"; do
    for account in puppet git puppetmaster puppetmaster-collect nobody; do
        runuser -u $account -- head -c 1 -- "$file" >/dev/null 2>&1 && echo "$account $file"
    done
done
"""
EARLIER = r"""set -e
usermod -g puppet git
for account in git puppetmaster; do gpasswd -a $account puppet; done
for group in puppetmaster-readers puppetmaster-signer; do gpasswd -d puppet $group; done
chgrp puppet /etc/puppetmaster/*.secret /var/lib/puppetmaster/store /etc/puppet/code/environments
chmod 755 /var/lib/puppetmaster/store /etc/puppet/code/environments
cd /etc/systemd/system
names=$(echo puppetmaster-{follow,hooks,serve,collect}.service)
sed -i -e 's/^Group=.*/Group=puppet/' -e 's/^User=puppetmaster-collect/User=puppetmaster/' $names
systemctl daemon-reload
systemctl restart puppetserver $names
groups=$(runuser -u git -- id -nG)
[ "$(stat -c %G /var/lib/puppetmaster/answers)" = puppet ] && [ "$groups" = "puppet puppetmaster-readers" ]
"""
"""The groups of an installation before there were any of ours."""
AUTHORITY = "ca.example.org"
SERVED, OWN, SSL = "/etc/puppet/puppetserver/ca", "/var/lib/puppetmaster-authority", "/var/lib/puppet/ssl"
ORDERED = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/puppet/puppet.conf")
KILLS = 3
"""On the way there, and on the way back."""
KILLED = r"""
code=$1 changes=$2 seconds=$3
systemd-run --quiet --collect --scope --unit=killed \
    puppet apply --detailed-exitcodes --color false -e "$code" >/tmp/killed.log 2>&1 &
process=$!
made() { grep -c '^Notice: /Stage' /tmp/killed.log; }
while kill -0 $process 2>/dev/null && [ "$(made)" -lt "$changes" ]; do sleep 0.05; done
sleep "$seconds"
systemctl kill --kill-whom=all --signal=KILL killed.scope
wait $process; status=$?
echo "$(made) changes, then $status: $(tail -n 1 /tmp/killed.log)"
"""
"""As the power goes: with all that it has started, apt, dpkg and pip, too."""
STAYS = (
    # docs/module.md: certificates and keys, and what puppetserver and Puppet wrote.
    *("/etc/puppet/puppetserver", "/etc/puppet/devices", "/var/lib/puppet/ssl", "/var/lib/puppetserver"),
    *("overrides: puppet puppet 750 /etc/puppet/puppetserver", "/etc/ca-certificates", "/etc/default/cacerts"),
)
KEPT = ("/etc/puppetmaster", "/var/lib/puppetmaster")
"""Looked at one by one."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralSite]:
    needs_root()
    with central_site(tmp_path_factory.mktemp("site"), FIRST, SECOND) as site:
        yield site


def example(page: str, number: int) -> dict[str, Any]:
    """Return one of the examples on a page of docs/."""
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(examples[number])
    return found


def documented(site: CentralSite, number: int) -> dict[str, Any]:
    """Return one of the examples in docs/module.md, with the secrets and addresses of this site."""
    data = example("module.md", number)
    secrets = {
        "puppetmaster::toolkit::ldap_secret": site.password("reader"),
        "puppetmaster::instances::signer_secret": site.password("signer"),
        "puppetmaster::instances::writer_secret": "pw-olga",
    }
    assert data["puppetmaster::toolkit::source"].startswith("git+https://")
    data["puppetmaster::toolkit::source"] = "/srv/wheels/puppetmaster_toolkit-0.1.0-py3-none-any.whl"
    data |= {name: secret for name, secret in secrets.items() if name in data}
    directory = data["puppetmaster::toolkit::config"]["directory"]
    directory["uris"] = ["ldap://ldap.example.org"]
    directory["tls"] = {"start": True, "ca_file": "/etc/ssl/ldap-ca.pem"}
    # Small, and quick to start
    data["puppetmaster::heap"] = "512m"
    data["puppetmaster::java_args"] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    data["puppetmaster::settings"] = {"main/keylength": 2048}
    if "write_bind_dn" in directory:
        directory["write_bind_dn"] = f"uid=olga,ou=people,{S}"
    return data


def apply(machine: Machine, code: str, *, good: tuple[int, ...]) -> str:
    command = ("puppet", "apply", "--detailed-exitcodes", "--color", "false", "-e", code)
    return done(machine, *command, timeout=580, good=good)


def enc_admin(machine: Machine, *words: str) -> str:
    return done(machine, f"{PREFIX}/bin/enc-admin", *words)


def ask(machine: Machine, host: str, name: str, method: str, path: str) -> str:
    """Return the status of a request to a puppetserver with the certificate of `name`."""
    return done(machine, "python3", "-c", ASK, host, name, method, path).split()[-1]


def awaited(what: str, ask_again: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ask_again():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(2)


def active(machine: Machine, *units: str) -> list[str]:
    return machine.run("systemctl", "is-active", *units).stdout.split()


@pytest.fixture(scope="module")
def first(site: CentralSite) -> Machine:
    return site.machine(FIRST, FIRST_SUITE, **documented(site, 0))


def enrolled(site: CentralSite, first: Machine) -> Machine:
    """Create an instance at the first master; return the machine that built itself from the user data."""
    wish = ("--project", "red", "--environment", "project_red")
    said = enc_admin(first, "instance", "create", SECOND, *wish, "--reason", "x", "--json")
    user_data = json.loads(said[said.index("{") : said.rindex("}") + 1])["user_data"]
    files = site.files(SECOND, documented(site, 1))
    del files["/etc/puppet/puppet.conf"]
    seed = {"user-data": user_data, "meta-data": f"instance-id: i-1\nlocal-hostname: {SECOND.partition('.')[0]}\n"}
    files |= {f"/var/lib/cloud/seed/nocloud/{name}": text for name, text in seed.items()}
    machine = site.boot(SECOND, files, NEXT_SUITE)
    said = machine.run("cloud-init", "status", "--wait", "--long", timeout=400).stdout
    assert "status: done" in said, said + machine.read("/var/log/puppetmaster-first-run.log") + machine.console_text()
    done(machine, "sh", "-c", "tar -C / -xf /site.tar && rm /site.tar && systemctl disable --now puppet")
    return machine


def test_masters_there_and_back_and_killed_anywhere(site: CentralSite, first: Machine) -> None:
    before = look(first)
    assert len(before) > 1000
    apply(first, CENTRAL, good=(2,))
    nobody_reads_keys(first)
    done(first, "bash", "-c", EARLIER, timeout=300)
    apply(first, CENTRAL, good=(2,))
    apply(first, CENTRAL, good=(0,))
    assert set(active(first, "puppetserver", *UNITS, "puppetmaster-instances.timer")) == {"active"}
    nobody_reads_keys(first)

    # Confined, it still reloads; below: it asks the classifier, runs the policy, keeps reports.
    confined = "grep -x 'NoNewPrivs:.1' /proc/$(systemctl show -P MainPID puppetserver)/status"
    done(first, "sh", "-c", f"{confined} && systemctl reload puppetserver", timeout=120)

    # auth.conf: itself may flush, another may not; project, branch and a catalog from it, for an instance
    assert ask(first, FIRST, FIRST, *FLUSH) == "204"
    enc_admin(first, "project", "add", "red", "--admin", "anna", "--reason", "x")
    said = done(first, "bash", "-c", PUSH)
    assert re.search(r"production: live at", said) and re.search(r"project_red: live at", said)
    second = enrolled(site, first)
    assert second.read("/built") == f"{SECOND} of red in project_red\n"
    assert ask(second, FIRST, SECOND, *FLUSH) == "403"
    assert ask(second, FIRST, SECOND, "GET", "/puppet-ca/v1/certificate_statuses/any") == "403"
    awaited("built", lambda: '"built"' in enc_admin(first, "instance", "list", "--json"))
    for program in ("enc-admin", "branch-manager"):
        done(first, f"{PREFIX}/bin/{program}", "doctor")

    for_catalogs_only(first, second)
    authority_apart(site, first)

    there = standing(first)
    changes = len(re.findall(r"^Notice: /Stage", apply(first, ABSENT, good=(2,)), re.MULTILINE))
    gone(before, first)
    left = first.run("sh", "-c", "cd /var/lib/puppetmaster && echo * && find . ! -user root").stdout.split()
    assert left[: left.index("./signing")] == ["audit", "instances", "repository.git", "signing"]
    assert first.run("ls", "/etc/puppetmaster").stdout.split() == ["token.key"]
    apply(first, ABSENT, good=(0,))
    back = standing(first)

    killed_on_the_way(first, CENTRAL, changes, there)
    done(second, "puppet", "agent", "--test", "--waitforlock", "1", timeout=120)
    killed_on_the_way(first, ABSENT, changes, back)
    gone(before, first)


def nobody_reads_keys(machine: Machine) -> None:
    """Of our accounts, none reads a key of puppetserver's; what puppetserver shares with them it reads, as do they.

    The repository is git's alone, and somebody else's account reads nothing of all that.
    """
    find = "find /etc /var -name '*.pem' -path '*private*' -o -name ca_key.pem"
    keys = machine.run("sh", "-c", find).stdout.split()
    assert len(keys) >= 2 and any(key.endswith("/ca_key.pem") for key in keys), keys
    signer, ldap = "/etc/puppetmaster/signer.secret", "/etc/puppetmaster/ldap.secret"
    deploy = f"/etc/puppetmaster/deploy/{FIRST}-deploy.key"
    contact = "/var/lib/puppetmaster/answers/contact"
    head = "/var/lib/puppetmaster/repository.git/HEAD"
    paths = (*keys, signer, ldap, deploy, contact, head)
    found = set(machine.run("bash", "-c", READS, "bash", *paths).stdout.splitlines())
    wanted = {f"puppet {key}" for key in keys}
    wanted |= {f"{who} {it}" for who in ("puppet", "git", "puppetmaster") for it in (ldap, contact)}
    assert found == wanted | {f"puppet {signer}", f"puppetmaster-collect {signer}", f"git {deploy}", f"git {head}"}
    # The collector's process has puppetserver's group, and no keys.
    closed = 'nsenter -m -t "$(systemctl show -P MainPID puppetmaster-collect)" ls -- "$@" 2>/dev/null'
    assert machine.run("sh", "-c", f"test -e $1 && ! {closed}", "sh", *keys).stdout == ""
    answers = ("stat", "-c", "%U:%G %a", "/var/lib/puppetmaster/answers")
    assert done(machine, *answers) == "puppetmaster:puppetmaster-readers 750\n"


def gone(before: dict[str, str], machine: Machine) -> None:
    """Everything is as before, but for what docs/module.md says."""
    left = differing(before, look(machine))
    assert not {key for key in left if not key.startswith((*STAYS, *KEPT))}, left


def for_catalogs_only(first: Machine, second: Machine) -> None:
    """Let the second machine be a master, too; prove that revocations reach it; take it back."""
    before = look(second)
    done(first, "puppetserver", "ca", "generate", "--certname", REVOKED)
    for kind in ("certs", "private_keys"):
        path = f"/var/lib/puppet/ssl/{kind}/{REVOKED}.pem"
        done(second, "sh", "-c", 'printf %s "$2" >"$1"', "sh", path, first.read(path))
    apply(second, CATALOGS, good=(2,))
    apply(second, CATALOGS, good=(0,))
    timer = "puppetmaster-crl.timer"
    assert set(active(second, "puppetserver", "puppetmaster-follow", timer)) == {"active"}
    status = (f"{PREFIX}/bin/enc-admin", "status")
    awaited("what LDAP says", lambda: second.run(*status).returncode == 0)
    assert 'environment: "project_red"' in done(second, f"{PREFIX}/bin/enc", SECOND)
    anybody = ("GET", "/puppet/v3/environments")
    assert ask(second, SECOND, REVOKED, *anybody) == "200"
    done(first, "puppetserver", "ca", "clean", "--certname", REVOKED)
    done(second, "systemctl", "start", timer.replace("timer", "service"))
    awaited("the revocation", lambda: ask(second, SECOND, REVOKED, *anybody) == "refused")
    assert ask(second, SECOND, SECOND, *anybody) == "200"
    done(second, "sh", "-c", f"rm /var/lib/puppet/ssl/*/{REVOKED}.pem")
    apply(second, ABSENT, good=(2,))
    gone(before, second)
    apply(second, ABSENT, good=(0,))


def authority_apart(site: CentralSite, first: Machine) -> None:
    """Let the authority have a process and an account of its own, as docs/trust-domains.md says; take it back."""
    before = yaml.safe_load(first.read("/etc/puppet/data/site.yaml"))
    done(first, "sh", "-c", f"echo '{site.addresses[FIRST]} {AUTHORITY}' >>/etc/hosts")
    authority = _openssl(first, f"{SERVED}/ca_crt.pem", "-fingerprint")
    key = first.read(f"{SSL}/private_keys/{FIRST}.pem")
    apart = before | example("trust-domains.md", 0) | {"puppetmaster::authority::heap": "512m"}
    apart["puppetmaster::authority::signer_secret"] = site.password("signer")
    directory = before["puppetmaster::toolkit::config"]["directory"]
    apart["puppetmaster::authority::config"]["directory"] = {
        name: value for name, value in directory.items() if name in ("uris", "suffix", "tls")
    }
    apart["puppetmaster::authority::java_args"] = before["puppetmaster::java_args"]
    apart["puppetmaster::toolkit::config"] = before["puppetmaster::toolkit::config"] | example("trust-domains.md", 1)
    with_authority = f"{CENTRAL}, puppetmaster::authority"

    _data(first, apart)
    apply(first, with_authority, good=(2,))
    apply(first, with_authority, good=(0,))
    assert set(active(first, "puppetserver", "puppetmaster-authority")) == {"active"}
    assert _openssl(first, f"{OWN}/ca/ca_crt.pem", "-fingerprint") == authority
    assert first.run("test", "-e", SERVED).returncode != 0
    done(first, "runuser", "-u", "puppet", "--", "sh", "-c", f"! cat {OWN}/ca/ca_key.pem", good=(0,))
    done(first, "runuser", "-u", "puppet", "--", "sh", "-c", "! cat /etc/puppetmaster*/signer.secret", good=(0,))
    assert first.read(f"{SSL}/private_keys/{FIRST}.pem") != key
    assert "DNS:puppet" in _openssl(first, f"{SSL}/certs/{FIRST}.pem", "-text")
    done(first, "puppetserver", "ca", "list", "--config", "/etc/puppetmaster-authority/puppet.conf", "--all")
    said = done(first, f"{PREFIX}/bin/enc-admin", "doctor")
    assert re.search("ok +trust-authority +the authority is a separate server", said), said
    # With the key of the process that compiles
    for method, path in (("GET", "certificate_statuses/any"), ("PUT", f"certificate_status/{FIRST}")):
        assert ask(first, f"{AUTHORITY}:8141", FIRST, method, f"/puppet-ca/v1/{path}") == "403"
    done(first, "puppet", "agent", "--test", "--waitforlock", "1", timeout=120, good=(0, 1, 2))

    _data(first, before | {"puppetmaster::authority::ensure": "absent", "puppetmaster::authority::certname": AUTHORITY})
    apply(first, with_authority, good=(2,))
    apply(first, with_authority, good=(0,))
    assert _openssl(first, f"{SERVED}/ca_crt.pem", "-fingerprint") == authority
    assert first.run("test", "-e", OWN).returncode != 0
    _data(first, before)
    apply(first, CENTRAL, good=(0,))
    done(first, "sed", "-i", f"/{AUTHORITY}/d", "/etc/hosts")


def _data(machine: Machine, data: dict[str, Any]) -> None:
    done(machine, "sh", "-c", 'printf %s "$1" >/etc/puppet/data/site.yaml', "sh", yaml.safe_dump(data))


def _openssl(machine: Machine, certificate: str, what: str) -> str:
    return done(machine, "openssl", "x509", "-in", certificate, "-noout", what)


def killed_on_the_way(machine: Machine, code: str, changes: int, wanted: dict[str, str]) -> None:
    """Kill runs of so many changes again and again; the next whole one goes on, and all is as wanted."""
    for changed, seconds in moments(changes):
        done(machine, "bash", "-c", KILLED, "bash", code, str(changed), f"{seconds:.2f}", timeout=300)
    apply(machine, code, good=(0, 2))
    apply(machine, code, good=(0,))
    found = standing(machine)
    assert found["lines of files"].splitlines() == wanted["lines of files"].splitlines()
    left = differing(wanted, found)
    counted = {key for key in left if key.startswith(("/etc/", "/opt/", "units: ", "packages: "))}
    # Python's compiled files hold the time of their source; the authority counts what it signs, git's certificate too.
    known = (*ORDERED, SERVED, "/etc/puppetmaster/deploy/")
    assert not {key for key in counted if not key.endswith(".pyc") and not key.startswith(known)}, left


def standing(machine: Machine) -> dict[str, str]:
    """Look at the machine; of files in which the order of lines and ids may differ, at what must not."""
    members = "awk -F: '{n = split($4, m, \",\"); for (i = 1; i <= n; i++) print $1 \" has \" m[i]}' /etc/group"
    names = "cut -d: -f1,6,7 /etc/passwd; cut -d: -f1 /etc/group /etc/shadow /etc/gshadow"
    lines = done(machine, "sh", "-c", f"({names}; {members}; cat /etc/puppet/puppet.conf) | sort")
    return look(machine) | {"lines of files": lines}


def moments(changes: int) -> Iterator[tuple[int, float]]:
    """Give moments for kills: so many changes, and some seconds more; each run goes on where the last one ended."""
    left = changes
    for _ in range(KILLS):
        changed = random.randint(0, left // 2)
        yield changed, random.uniform(0, 2)
        left -= changed
