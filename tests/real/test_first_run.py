"""What an image has of an earlier life is taken away, and a first run that was interrupted goes on with its key.

The programs themselves, in mounts of their own: `forget` with the real puppet, the whole of `first-run` with one that
stands in for it, so that it can be ended at each of its steps.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from enc.instances import agent_profile
from tests.support.machines import needs_root

STATE = "/var/lib/puppetmaster"
OLD = "old.red.example.org"
DEBIAN = f"""# ours
[main]
certname = {OLD}
dns_alt_names = a,b
[server]
certname = {OLD}
ssldir = {STATE}/self/master/ssl
cadir = {STATE}/self/master/ca
environmentpath = {STATE}/self/environments
node_terminus = exec
[agent]
server = localhost
ca_server=other.example.org
server_list = a.example.org,b.example.org
ssldir = {STATE}/self/master/ssl
runinterval = 20m
"""
LEFT = """# ours
[main]
dns_alt_names = a,b
[server]
node_terminus = exec
[agent]
runinterval = 20m
"""
ELSEWHERE = DEBIAN.replace(f"{STATE}/self", "/srv/own")
SECRETS = (
    *(f"/var/lib/puppet/ssl/private_keys/{OLD}.pem", f"/var/lib/puppet/ssl/certs/{OLD}.pem"),
    *(f"/var/lib/puppet/ssl/certificate_requests/{OLD}.pem", "/var/lib/puppet/ssl/private/password"),
    *("/var/lib/puppet/ssl/crl.pem", "/var/lib/puppet/ssl/certs/ca.pem", "/var/lib/puppet/ssl/ca/ca_key.pem"),
    *(f"/var/cache/puppet/client_data/catalog/{OLD}.json", f"/var/cache/puppet/client_yaml/facts/{OLD}.yaml"),
    *("/var/cache/puppet/clientbucket/a/b/contents", "/var/cache/puppet/state/transactionstore.yaml"),
    *("/var/cache/puppet/state/classes.txt", "/var/cache/puppet/public/last_run_summary.yaml"),
    *(
        "/var/cache/puppet/lib/facter/a.rb",
        "/var/cache/puppet/facts.d/secret.yaml",
        "/var/cache/puppet/devices/sw/ssl/key",
    ),
    *("/var/cache/puppet/unknown/.hidden", "/etc/puppet/csr_attributes.yaml", "/etc/puppet/puppetserver/ca/ca_key.pem"),
    *(f"{STATE}/self/master/ssl/private_keys/{OLD}.pem", f"{STATE}/self/master/ca/ca_key.pem"),
    *(f"{STATE}/self/repository.git/config", f"{STATE}/self/transaction/journal.jsonl", f"{STATE}/masters/m/ssl/key"),
    *(f"{STATE}/before/files/x", f"{STATE}/tokens/bob", f"{STATE}/first-run/renewal/private_keys/{OLD}.pem"),
    *(f"{STATE}/first-run/result", "/srv/own/master/ssl/private_keys/key.pem", "/srv/own/transaction/journal.jsonl"),
)
FIXED = (
    f"/etc/puppetlabs/puppet/ssl/private_keys/{OLD}.pem",
    *("/opt/puppetlabs/puppet/cache/client_data/catalog/old.json", "/etc/puppetlabs/puppet/csr_attributes.yaml"),
    *("/opt/puppetlabs/server/data/puppetserver/yaml/x", "/etc/puppetlabs/puppetdb/ssl/private.pem"),
    *("/etc/puppetlabs/puppetserver/ca/ca_key.pem", "/opt/puppetlabs/puppet/public/last_run_summary.yaml"),
    *(
        f"/etc/systemd/system/puppetmaster-{what}"
        for what in ("self-watch.timer", "client-watch.service", "renew.timer")
    ),
    "/etc/systemd/system/timers.target.wants/puppetmaster-self-watch.timer",
)
"""Taken away on whole machines only."""
KEPT = (
    *(f"{STATE}/first-run/values", f"{STATE}/first-run/csr_attributes.yaml", "/etc/puppet/hiera.yaml"),
    *("/etc/puppetlabs/puppet/puppet.conf", "/opt/puppetlabs/puppet/bin/puppet", "/etc/puppet/code/environments/x"),
    *("/var/cache/puppet/jruby-gems/gem", "/opt/puppetlabs/server/data/puppetserver/vendored-jruby-gems/gem"),
    *("/etc/systemd/system/other.timer", "/etc/puppetmaster/config.yaml", "/var/lib/other/file", "/srv/other/file"),
    "/etc/ssl/private/key.pem",
)
HIDDEN = (
    *("/etc/ssl", "/etc/puppet", "/etc/puppetlabs", "/etc/puppetmaster", "/etc/systemd/system", "/opt", "/srv", "/run"),
    *("/var/lib", "/var/cache", "/var/log"),
)
# The directories of this machine are nowhere to be seen, own/ stands in their place; anything else cannot be written.
ENTER = """set -eu
for place; do [ -d "$place" ] || mkdir -p "$place"; mount --bind "$OWN$place" "$place"; done
mount -o remount,bind,ro /
exec sh /var/lib/puppetmaster/first-run/$PROGRAM
"""
PUPPET = """#!/bin/sh
# Has a master who gives a certificate to the first key that comes with the token, and to no other.
step() {
    echo "$*" >>/var/lib/steps
    [ "$(wc -l </var/lib/steps)" != "$KILL_AT" ] || kill -9 0
}
value() {
    case $1 in
    ssldir) echo /var/lib/puppet/ssl ;;
    vardir) echo /var/cache/puppet ;;
    statedir) echo /var/cache/puppet/state ;;
    cadir) echo /etc/puppet/puppetserver/ca ;;
    config) echo /etc/puppet/puppet.conf ;;
    csr_attributes) echo /etc/puppet/csr_attributes.yaml ;;
    localcacert) echo /var/lib/puppet/ssl/certs/ca.pem ;;
    hostcert) echo "/var/lib/puppet/ssl/certs/$(value certname).pem" ;;
    hostprivkey) echo "/var/lib/puppet/ssl/private_keys/$(value certname).pem" ;;
    *) sed -n "s/^$1 *= *//p" /etc/puppet/puppet.conf | tail -n 1 ;;
    esac
}
step "$@"
case "$1 $2" in
"config print")
    shift 4
    [ $# -gt 1 ] || { value "$1"; exit; }
    for name; do echo "$name = $(value "$name")"; done
    ;;
"config set") printf '[%s]\\n%s = %s\\n' "$4" "$5" "$6" >>/etc/puppet/puppet.conf ;;
"ssl bootstrap")
    key=$(value hostprivkey)
    mkdir -p /var/lib/puppet/ssl/private_keys
    [ -e "$key" ] || { head -c 32 /dev/urandom | sha256sum >"$key.new"; mv "$key.new" "$key"; }
    step key
    [ -e /var/lib/asked ] || cp "$key" /var/lib/asked
    step asked
    cmp "$key" /var/lib/asked && grep -q token-of-new /etc/puppet/csr_attributes.yaml && echo cert >"$(value hostcert)"
    step signed
    ;;
esac
"""
NEW = "new.red.example.org"
VALUES = f"CERTNAME={NEW}\nSERVER=puppet.example.org\nPORT=8140\nCA_SERVER=\nCA_PORT=\nPACKAGES=\nINSTALL_SECONDS=9\n"
VALUES += "SIGNED_SECONDS=9\nRUN_SECONDS=9\nRUNS=1\nSERVICE=yes\nRENEW_SECONDS=0\n"


class Image:
    """The files of a machine that has none of its own."""

    def __init__(self, own: Path, conf: str = DEBIAN, *, whole: bool = False) -> None:
        needs_root()
        self.own = own
        for place in HIDDEN:
            (own / place[1:]).mkdir(parents=True, exist_ok=True)
        for path in (*SECRETS, *FIXED, *KEPT):
            self.at(path).parent.mkdir(parents=True, exist_ok=True)
            self.at(path).write_text("secret\n")
        self.at("/etc/puppet/puppet.conf").write_text(conf)
        self.at(f"{STATE}/first-run/forget").write_text(agent_profile.lean("forget.sh"))
        if whole:
            self.at("/run/systemd/system").mkdir(parents=True)

    def at(self, path: str) -> Path:
        return self.own / path[1:]

    def start(self, program: str = "forget", kill_at: int = 0) -> subprocess.Popen[str]:
        command = ["unshare", "--mount", "--kill-child", "sh", "-c", ENTER, "sh", *HIDDEN]
        environment = {**os.environ, "OWN": str(self.own), "PROGRAM": program, "KILL_AT": str(kill_at)}
        out = subprocess.PIPE
        return subprocess.Popen(
            command, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def forget(self) -> tuple[int, str]:
        return self.run("forget")

    def run(self, program: str, kill_at: int = 0) -> tuple[int, str]:
        process = self.start(program, kill_at)
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def give(self) -> None:
        """Write what user data writes, again at each boot if need be."""
        place = self.at(f"{STATE}/first-run")
        files = {"values": VALUES, "csr_attributes.yaml": "token-of-new", "ca.pem": "ca\n"}
        for name, text in {**files, "first-run": agent_profile.lean("first-run.sh")}.items():
            (place / name).write_text(text)

    def fresh(self) -> None:
        """Stand-in for an image that was built as another, which has an agent already."""
        self.at(f"{STATE}/first-run/begun").write_text(f"{OLD} abc  -\n")
        self.at(f"{STATE}/first-run/result").write_text("built 1 took 1\n")
        self.at("/opt/puppetlabs/bin").mkdir(parents=True)
        self.at("/opt/puppetlabs/bin/puppet").write_text(PUPPET)
        self.at("/opt/puppetlabs/bin/puppet").chmod(0o755)
        self.give()

    def key(self) -> str:
        return self.at(f"/var/lib/puppet/ssl/private_keys/{NEW}.pem").read_text()

    def there(self, paths: tuple[str, ...]) -> set[str]:
        return {path for path in paths if self.at(path).exists()}


def test_nothing_of_an_earlier_life_is_left_and_nothing_else_is_touched(tmp_path: Path) -> None:
    image = Image(tmp_path, ELSEWHERE)
    image.at("/etc/puppet/puppet.conf").chmod(0o640)
    assert image.forget()[0] == 0
    assert image.there(SECRETS) == set()
    assert image.there(FIXED) == set(FIXED), "they may be somebody else's, where there is no systemd"
    assert image.there(KEPT) == set(KEPT)
    assert image.at("/etc/puppet/puppet.conf").read_text() == LEFT
    assert image.at("/etc/puppet/puppet.conf").stat().st_mode & 0o777 == 0o640
    assert not list(image.at(f"{STATE}/first-run").glob("forget.*")) and not list(image.own.rglob("*.new"))
    assert image.at("/var/lib/puppet/ssl").is_dir()


def test_on_a_whole_machine_other_packagings_are_looked_at_too(tmp_path: Path) -> None:
    image = Image(tmp_path, whole=True)
    image.at("/srv/puppet/.git").mkdir(parents=True)
    image.at("/srv/puppet/.git/config").write_text(f"[remote]\n\turl = {STATE}/self/repository.git\n")
    status, said = image.forget()
    assert status == 0, said
    assert image.there((*SECRETS, *FIXED)) == {path for path in SECRETS if path.startswith("/srv/own")}
    assert image.there(KEPT) == set(KEPT)
    assert list(image.at("/srv/puppet").iterdir()) == []


def test_killed_at_any_moment_the_next_one_takes_away_the_rest(tmp_path: Path) -> None:
    chance, image = random.Random(15), Image(tmp_path, ELSEWHERE)
    for _ in range(3):
        process = image.start()
        time.sleep(chance.uniform(0.5, 4))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert image.there(KEPT) == set(KEPT)
    status, said = image.forget()
    assert (status, image.there(SECRETS)) == (0, set()), said
    assert image.at("/etc/puppet/puppet.conf").read_text() == LEFT


@pytest.mark.parametrize(
    "line",
    [
        *("ssldir = /etc/ssl", "vardir = /", "ssldir = /srv/way/../../etc", "plugindest = /usr/lib/ruby"),
        "privatekeydir = /srv/link",
    ],
)
def test_a_directory_that_is_not_puppets_alone_is_never_emptied(tmp_path: Path, line: str) -> None:
    image = Image(tmp_path, f"[main]\n{line}\n")
    image.at("/srv/link").symlink_to("/etc/ssl")
    image.at("/srv/way").mkdir()
    status, said = image.forget()
    assert status == 1
    assert "is not Puppet's alone: see puppet.conf" in said.splitlines()[-1] and said.splitlines()[-1].startswith(
        "Error: "
    )
    assert image.there(KEPT) == set(KEPT)


CLEAN = "[main]\nserver = other\n"


def test_killed_at_each_step_the_first_run_goes_on_with_the_key_that_was_asked_for(tmp_path: Path) -> None:
    steps = 1
    while True:
        image = Image(tmp_path / str(steps), CLEAN)
        image.fresh()
        killed, _ = image.run("first-run", steps)
        if not killed:
            break
        # As cloud-init does, or by hand.
        if steps % 2:
            image.give()
        status, said = image.run("first-run")
        assert status == 0, (steps, said)
        assert image.at(f"{STATE}/first-run/result").read_text().startswith("built "), steps
        assert image.key() == image.at("/var/lib/asked").read_text(), steps
        assert not {
            path for path in image.there(SECRETS) if "/srv/own" not in path and not path.endswith(("result", "ca.pem"))
        }
        steps += 1
    assert steps > 9


def test_how_long_it_took_is_right_though_the_clock_is_set_meanwhile(tmp_path: Path) -> None:
    image = Image(tmp_path, CLEAN)
    image.fresh()
    # Each time that anybody asks, it is a week later.
    date = image.at("/opt/puppetlabs/bin/date")
    date.write_text('#!/bin/sh\necho x >>/var/lib/asked-for-the-time\n')
    with date.open("a") as script:
        script.write('exec /bin/date -d "now + $(wc -l </var/lib/asked-for-the-time) weeks" "$@"\n')
    date.chmod(0o755)
    status, said = image.run("first-run")
    built, at, took, seconds = image.at(f"{STATE}/first-run/result").read_text().split()
    assert (status, built, took) == (0, "built", "took") and int(seconds) < 300, said
    assert int(at) > time.time() + 600_000


def test_the_same_user_data_again_keeps_the_key_and_another_certname_does_not(tmp_path: Path) -> None:
    image = Image(tmp_path, CLEAN)
    image.fresh()
    assert image.run("first-run")[0] == 0
    key = image.key()
    assert image.run("first-run")[0] == 0, "built already"
    cache = image.at("/var/cache/puppet/client_data/catalog/new.json")
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("{}")
    image.give()
    status, said = image.run("first-run")
    assert (status, image.key(), cache.exists()) == (0, key, True), said
    image.give()
    image.at(f"{STATE}/first-run/values").write_text(VALUES.replace(NEW, "third.red.example.org"))
    image.at("/var/lib/asked").unlink()
    status, said = image.run("first-run")
    keys = image.at("/var/lib/puppet/ssl/private_keys").iterdir()
    assert (status, cache.exists(), [key.name for key in keys]) == (0, False, ["third.red.example.org.pem"]), said
