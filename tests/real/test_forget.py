"""What an image has of an earlier life is taken away: the program and the real puppet, in mounts of their own."""

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
    *("/var/lib", "/var/cache"),
)
# The directories of this machine are nowhere to be seen, own/ stands in their place; anything else cannot be written.
ENTER = """set -eu
for place; do [ -d "$place" ] || mkdir -p "$place"; mount --bind "$OWN$place" "$place"; done
mount -o remount,bind,ro /
exec sh /var/lib/puppetmaster/first-run/forget
"""


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

    def start(self) -> subprocess.Popen[str]:
        command = ["unshare", "--mount", "--kill-child", "sh", "-c", ENTER, "sh", *HIDDEN]
        return subprocess.Popen(
            command, env={**os.environ, "OWN": str(self.own)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def forget(self) -> tuple[int, str]:
        process = self.start()
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

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
    for _ in range(5):
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
        *("ssldir = /etc/ssl", "ssldir = /var/lib", "privatekeydir = /etc/ssl/private", "vardir = /etc/puppet"),
        *(
            "ssldir = /srv/way/../../etc",
            "statedir = /run",
            "plugindest = /usr/lib/ruby",
            "vardir = /",
            "ssldir = /srv/link",
        ),
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
