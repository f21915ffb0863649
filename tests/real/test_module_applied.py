"""The module applied on whole machines, killed on the way: a central master, its domains apart, all back.

The first is a Debian 12, as the central master with everything on it (docs/module.md); then the authority has a process
of its own there, and the machine serves the site's nodes only (docs/trust-domains.md). The second is a Debian 13 with
Puppet 8: built from our user data as an instance of the first, then the compile server of projects, on which a member
does their worst. A node of a project is with the first master, then with the second. Set MODULE_APPLIED_ON=trixie to
have the first on Debian 13, too.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator

import pytest

from tests.support import parted, worst_member
from tests.support.applied import (
    SSL,
    active,
    answer,
    apply,
    ask,
    awaited,
    documented,
    enc_admin,
    openssl,
    put_data,
)
from tests.support.central_site import CentralSite, central_site
from tests.support.machine_look import differing, look
from tests.support.machines import NEXT_SUITE, SUITE, Machine, needs_root
from tests.support.pages import Reader
from tests.support.self_master_site import done
from tests.support.toolkit import PREFIX
from tests.support.worst_member import ADDED, WAYS

FIRST, SECOND, AUTHORITY = parted.A, parted.B, parted.AUTHORITY
NODE, OTHER, SECRET, OTHERS = parted.NODE, parted.OTHER, parted.SECRET, parted.OTHERS
FIRST_SUITE = os.environ.get("MODULE_APPLIED_ON", SUITE)
CENTRAL = "include puppetmaster::enc, puppetmaster::branches, puppetmaster::instances"
WITH_AUTHORITY = f"{CENTRAL}, puppetmaster::authority"
FOLLOWED = {
    "git clone https://git.example.org/puppetmaster-toolkit ": "test -d ",
    "DATA": "/etc/puppet/data/site.yaml",
    CENTRAL: CENTRAL,
}
"""What of the page's first run is otherwise here, where module and data are already."""
ABSENT = """class { ['puppetmaster', 'puppetmaster::toolkit', 'puppetmaster::enc', 'puppetmaster::branches',
  'puppetmaster::instances']: ensure => absent }"""
UNITS = tuple(
    f"puppetmaster-{name}" for name in ("follow.service", "hooks.service", "serve.service", "collect.service")
)
SITE = """node default {
  file { '/built': content => "${trusted['certname']} of ${trusted['external']['project']} in ${environment}\\n" }
  if getvar('secret') { file { '/secret': content => $secret } }
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
STARTS = "journalctl --unit puppetserver --output cat | grep -c '^Started '"
SERVED, OWN = parted.SERVED, parted.OWN
KILLS = 3
"""On the way there, and on the way back."""
CHANGES = {CENTRAL: 75, ABSENT: 60}
"""So many changes make the way, about."""
TWICE = """
for file in passwd group shadow gshadow; do cut -d: -f1 /etc/$file | sort | uniq -d; done
sed 's/ *=.*//' /etc/puppet/puppet.conf | awk '/^\\[/ {section = $0} NF {print section, $0}' | sort | uniq -d
"""
"""Prints accounts, groups and settings that are there more than once."""
KILLED = r"""
code=$1 changes=$2 seconds=$3
systemd-run --quiet --collect --scope --unit="killed-$$" \
    puppet apply --detailed-exitcodes --color false -e "$code" >/tmp/killed.log 2>&1 &
process=$!
made() { grep -c '^Notice: /Stage' /tmp/killed.log; }
while kill -0 $process 2>/dev/null && [ "$(made)" -lt "$changes" ]; do sleep 0.05; done
sleep "$seconds"
systemctl kill --kill-whom=all --signal=KILL "killed-$$.scope"
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
    with central_site(tmp_path_factory.mktemp("site"), FIRST, SECOND, NODE) as site:
        site.addresses[AUTHORITY] = site.addresses[FIRST]
        yield site


@pytest.fixture(scope="module")
def first(site: CentralSite) -> Machine:
    return site.machine(FIRST, FIRST_SUITE, **documented(site, 0))


@pytest.fixture(scope="module")
def before(first: Machine) -> dict[str, str]:
    """How the first machine looks before the module comes."""
    parted.trusts_the_site(first)
    return look(first)


@pytest.fixture(scope="module")
def node(site: CentralSite, first: Machine) -> Machine:
    """A node of a project, built from its user data once the first is the central master."""
    return enrolled(site, first, NODE, "red", "project_red", SUITE)


def enrolled(
    site: CentralSite, first: Machine, certname: str, project: str, environment: str, suite: str, **data: object
) -> Machine:
    """Create an instance at the first master; return the machine that built itself from the user data."""
    wish = ("--project", project, "--environment", environment)
    said = enc_admin(first, "instance", "create", certname, *wish, "--reason", "x", "--json")
    user_data = json.loads(said[said.index("{") : said.rindex("}") + 1])["user_data"]
    files = site.files(certname, data)
    del files["/etc/puppet/puppet.conf"]
    seed = {"user-data": user_data, "meta-data": f"instance-id: i-1\nlocal-hostname: {certname.partition('.')[0]}\n"}
    files |= {f"/var/lib/cloud/seed/nocloud/{name}": text for name, text in seed.items()}
    machine = site.boot(certname, files, suite)
    said = machine.run("cloud-init", "status", "--wait", "--long", timeout=400).stdout
    assert "status: done" in said, said + machine.read("/var/log/puppetmaster-first-run.log") + machine.console_text()
    done(machine, "sh", "-c", "tar -C / -xf /site.tar && rm /site.tar && systemctl disable --now puppet")
    assert machine.read("/built") == f"{certname} of {project} in {environment}\n"
    awaited("built", lambda: '"state": "built"' in enc_admin(first, "instance", "show", certname, "--json"))
    return machine


def agent(machine: Machine) -> None:
    done(machine, "puppet", "agent", "--test", "--color", "false", "--waitforlock", "1", timeout=180, good=(0, 2))


def test_a_central_master_and_an_instance_of_it(
    first: Machine, before: dict[str, str], request: pytest.FixtureRequest
) -> None:
    assert len(before) > 1000
    killed_on_the_way(first, CENTRAL)
    assert done(first, "sh", "-c", TWICE) == ""
    nobody_reads_keys(first)
    done(first, "bash", "-c", EARLIER, timeout=300)
    started = int(done(first, "bash", "-c", STARTS))
    reader = Reader(lambda script: done(first, "bash", "-c", script, timeout=580))
    reader.follow("module.md", "apt-get install puppet-agent git", FOLLOWED)
    assert int(done(first, "bash", "-c", STARTS)) == started + 1, "once, for both groups"
    done(first, "rm", "-r", "/root/puppetmaster")
    apply(first, CENTRAL, good=(0,))
    assert int(done(first, "bash", "-c", STARTS)) == started + 1
    assert set(active(first, "puppetserver", *UNITS, "puppetmaster-instances.timer")) == {"active"}
    nobody_reads_keys(first)

    # Confined, it still reloads; below: it asks the classifier, runs the policy, keeps reports.
    confined = "grep -x 'NoNewPrivs:.1' /proc/$(systemctl show -P MainPID puppetserver)/status"
    done(first, "sh", "-c", f"{confined} && systemctl reload puppetserver", timeout=120)

    # auth.conf: itself may flush, another may not; project, branch and a catalog from it, for an instance
    assert ask(first, FIRST, FIRST, *FLUSH) == "204"
    for project, admin in (("red", "anna"), ("blue", "olga"), ("ops", "olga"), ("compile", "olga")):
        members = ("--member", "mia") if project == "red" else ()
        enc_admin(first, "project", "add", project, "--admin", admin, *members, "--reason", "x")
    said = done(first, "bash", "-c", PUSH)
    assert re.search(r"production: live at", said) and re.search(r"project_red: live at", said)
    node = request.getfixturevalue("node")
    assert ask(node, FIRST, NODE, *FLUSH) == "403"
    assert ask(node, FIRST, NODE, "GET", "/puppet-ca/v1/certificate_statuses/any") == "403"
    # Its timer may have started it while puppetserver was on its way.
    done(first, "systemctl", "start", "puppetmaster-instances.service")
    for program in ("enc-admin", "branch-manager"):
        done(first, f"{PREFIX}/bin/{program}", "doctor")


def test_a_member_does_their_worst_on_the_projects_server(site: CentralSite, first: Machine, node: Machine) -> None:
    """The authority apart, a server of the site's and one of projects', which trusts members with code."""
    fingerprint = openssl(first, f"{SERVED}/ca_crt.pem", "-fingerprint")
    authority_apart(site, first)
    assert openssl(first, f"{OWN}/ca/ca_crt.pem", "-fingerprint") == fingerprint
    second = enrolled(site, first, SECOND, "compile", "production", NEXT_SUITE, **parted.as_projects(site))
    parted.trusts_the_site(second)
    plain = look(second)
    token = domains_apart(site, first, second, node)
    for secret, name, project in ((SECRET, FIRST, "ops"), (OTHERS, OTHER, "blue")):
        # The site's server shows no project's environment, also not that of one whose nodes it serves.
        wish = ("--project", project, "--environment", "production", "--variable", f"secret={secret}")
        wish += ("--data", f'key="{secret}"')
        enc_admin(first, "node", "add", name, *wish, "--reason", "x")
    parted.issue(first, second, OTHER)
    awaited("what LDAP says", lambda: OTHERS in second.run(f"{PREFIX}/bin/enc", OTHER).stdout)
    awaited("what LDAP says", lambda: SECRET in first.run(f"{PREFIX}/bin/enc", FIRST).stdout)
    agent(first)
    agent(node)
    assert first.read("/secret") == SECRET
    # Who goes to the wrong server gets nothing there.
    for machine, server in ((first, SECOND), (node, FIRST)):
        asked = f"class {{ 'puppetmaster::agent': server => '{server}', ca_server => '{AUTHORITY}', ca_port => 8141 }}"
        assert "was answered with 500" in apply(machine, asked, good=(4, 6))

    wanted = parted.wanted()
    said = parted.push(site, first, worst_member.branch(wanted))
    assert "a server of another domain deploys it" in said
    place = "/etc/puppet/code/environments/project_red/worst"
    awaited("the member's branch", lambda: second.run("test", "-e", place).returncode == 0)
    agent(node)
    secrets = (SECRET, token, site.password("reader"), site.password("signer"), "PRIVATE KEY")
    for way in WAYS:
        parted.judge(worst_member.found(second, way), wanted, secrets)
    got = ("GET", f"/puppet/v3/catalog/{OTHER}?environment=production")
    status, text = answer(second, SECOND, OTHER, *got)
    assert status == "200" and f"{ADDED} {OTHER}" in text, "projects are no domains of their own"

    # What the site has is as it was.
    for name in ("evil.example.org", OTHER):
        assert (first.run("test", "-e", f"{OWN}/ca/signed/{name}.pem").returncode == 0) == (name == OTHER)
    agent(first)
    own = first.read(f"/var/cache/puppet/client_data/catalog/{FIRST}.json")
    assert SECRET in own and ADDED not in own
    done(first, "systemctl", "start", "puppetmaster-crl.service")
    said = done(first, f"{PREFIX}/bin/enc-admin", "doctor")
    assert re.search("ok +trust-authority +the authority is a separate server", said), said
    assert "project_red" not in said, "what a server of another domain has is no matter of this one"

    revoked(first, second)
    apply(second, ABSENT, good=(2,))
    gone(plain, second)
    apply(second, ABSENT, good=(0,))

    back = documented(site, 0)
    absent = {"puppetmaster::authority::ensure": "absent", "puppetmaster::authority::certname": AUTHORITY}
    put_data(first, back | absent)
    apply(first, WITH_AUTHORITY, good=(2,))
    apply(first, WITH_AUTHORITY, good=(0,))
    assert openssl(first, f"{SERVED}/ca_crt.pem", "-fingerprint") == fingerprint
    assert first.run("test", "-e", OWN).returncode != 0
    put_data(first, back)
    apply(first, CENTRAL, good=(0,))
    done(first, "sh", "-c", "rm /etc/puppetmaster/serve.*")
    agent(second)


def test_all_back(first: Machine, before: dict[str, str]) -> None:
    killed_on_the_way(first, ABSENT)
    apply(first, ABSENT, good=(0,))
    gone(before, first)
    left = first.run("sh", "-c", "cd /var/lib/puppetmaster && echo * && find . ! -user root").stdout.split()
    assert left[: left.index("./signing")] == ["audit", "instances", "repository.git", "signing"]
    assert first.run("ls", "/etc/puppetmaster").stdout.split() == ["token.key"]


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


def authority_apart(site: CentralSite, first: Machine) -> None:
    """Let the authority have a process and an account of its own."""
    key = first.read(f"{SSL}/private_keys/{FIRST}.pem")
    parted.served_by_tls(site, first)
    put_data(first, parted.as_authority(site))
    apply(first, WITH_AUTHORITY, good=(2,))
    assert set(active(first, "puppetserver", "puppetmaster-authority")) == {"active"}
    assert first.run("test", "-e", SERVED).returncode != 0
    done(first, "runuser", "-u", "puppet", "--", "sh", "-c", f"! cat {OWN}/ca/ca_key.pem", good=(0,))
    done(first, "runuser", "-u", "puppet", "--", "sh", "-c", "! cat /etc/puppetmaster*/signer.secret", good=(0,))
    assert first.read(f"{SSL}/private_keys/{FIRST}.pem") != key
    assert "DNS:puppet" in openssl(first, f"{SSL}/certs/{FIRST}.pem", "-text")
    done(first, "puppetserver", "ca", "list", *parted.AUTHORITYS, "--all")
    # With the key of the process that compiles
    for method, path in (("GET", "certificate_statuses/any"), ("PUT", f"certificate_status/{FIRST}")):
        assert ask(first, f"{AUTHORITY}:8141", FIRST, method, f"/puppet-ca/v1/{path}") == "403"


def domains_apart(site: CentralSite, first: Machine, second: Machine, node: Machine) -> str:
    """Let the second serve projects, its nodes go there, and the first serve the site's; return the second's token."""
    apply(second, CENTRAL, good=(2,))
    token = parted.by_hand(first, second)
    apply(second, CENTRAL, good=(0,))
    moving = {"server": f'"{SECOND}"', "ca_server": f'"{AUTHORITY}"', "ca_port": "8141"}
    words = [word for name, value in moving.items() for word in ("--parameter", f"puppetmaster::agent::{name}={value}")]
    enc_admin(first, "node", "set", NODE, "--class", "puppetmaster::agent", *words, "--reason", "x")
    production, branch = (f"/etc/puppet/code/environments/{name}/manifests" for name in ("production", "project_red"))
    awaited("environments", lambda: second.run("ls", production, branch).returncode == 0)
    awaited("what LDAP says", lambda: "puppetmaster::agent" in first.run(f"{PREFIX}/bin/enc", NODE).stdout)
    awaited("what LDAP says", lambda: second.run(f"{PREFIX}/bin/enc", NODE).returncode == 0)
    agent(node)
    assert node.run("puppet", "config", "print", "--section", "agent", "server").stdout == f"{SECOND}\n"
    put_data(first, parted.as_site(site))
    apply(first, WITH_AUTHORITY, good=(2,))
    apply(first, WITH_AUTHORITY, good=(0,))
    return token


def revoked(first: Machine, second: Machine) -> None:
    """Prove that a revocation reaches the second machine."""
    anybody = ("GET", "/puppet/v3/environments")
    assert ask(second, SECOND, OTHER, *anybody) == "200"
    done(first, "puppetserver", "ca", "clean", *parted.AUTHORITYS, "--certname", OTHER)
    done(second, "systemctl", "start", "puppetmaster-crl.service")
    awaited("the revocation", lambda: ask(second, SECOND, OTHER, *anybody) == "refused")
    assert ask(second, SECOND, SECOND, *anybody) == "200"
    done(second, "sh", "-c", f"rm {SSL}/*/{OTHER}.pem")


def killed_on_the_way(machine: Machine, code: str) -> None:
    """Kill runs after some changes, again and again; the next whole one goes on to the end."""
    made = 0
    for changed, seconds in moments(CHANGES[code]):
        said = done(machine, "bash", "-c", KILLED, "bash", code, str(changed), f"{seconds:.2f}", timeout=300)
        made += int(said.split()[0])
    made += len(re.findall(r"^Notice: /Stage", apply(machine, code, good=(0, 2)), re.MULTILINE))
    # What a kill met is done twice.
    assert CHANGES[code] * 0.6 < made < CHANGES[code] * 2, made


def moments(changes: int) -> Iterator[tuple[int, float]]:
    """Give moments for kills: so many changes, and some seconds more; each run goes on where the last one ended."""
    left = changes
    for _ in range(KILLS):
        changed = random.randint(0, left // 2)
        yield changed, random.uniform(0, 2)
        left -= changed
