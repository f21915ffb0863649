"""Whole machines for tests: Debian with real systemd and cloud-init, in a network that no other machine is in.

`base_root` makes the root file system of a release once and keeps it below .cache; a
`Machine` boots on an overlay of it (systemd-nspawn), so it is up in seconds and
leaves nothing. `Network` is a bridge in a network namespace of its own, with a
namespace for each host: addresses there cannot be mistaken for real ones.

Needs root. Mounts are private to the machine's process, which dies with the
test's; namespaces carry the test's pid and are removed when that is gone.

Not here: what the machines are for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from puppetmaster_quickstart.private_instance import first_process
from puppetmaster_quickstart.puppetserver_files import QUICK_JAVA
from tests.support.ruby import COMPILED

CACHE = Path(__file__).resolve().parents[2] / ".cache/machines"
SUITE, NEXT_SUITE = "bookworm", "trixie"
"""Debian 12, which we promise, and 13, whose Puppet is 8."""
PACKAGES = ("systemd-sysv", "dbus", "iproute2", "ca-certificates", "procps", "cloud-init")
OFFERED = (
    *("puppet-agent", "puppetserver", "git", "python3", "python3-venv"),
    *("python3-cryptography", "python3-ldap3", "python3-yaml"),
)
"""What the machine's own apt can install, without a network."""
REPOSITORY = "/srv/debs"
SEED = "/var/lib/cloud/seed/nocloud"
"""Where a machine has its user data; one with nothing there boots without cloud-init."""
_CGROUPS = Path("/sys/fs/cgroup")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_IN_CHROOT = r"""set -eu
root=$1 debs=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"; chmod 755 "$root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive
cp /etc/resolv.conf "$root/etc/resolv.conf"
# As mmdebstrap had it: this machine's certificates and proxy, too
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null || :
cp -a /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
# By the lists that mmdebstrap has left
chroot "$root" apt-get -q -y install --no-install-recommends --download-only "$@"
mkdir -p "$debs"
cp "$root"/var/cache/apt/archives/*.deb "$debs/"
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root/usr/sbin/policy-rc.d" "$root"/etc/apt/sources.list.d/*
"""

# The network stands before the machine boots, and there are neither locales nor an ssh server in it.
_CLOUD_INIT = """datasource_list: [NoCloud]
network: {config: disabled}
locale: C.UTF-8
cloud_init_modules: [migrator, seed_random, bootcmd, write-files, set_hostname, users-groups]
cloud_config_modules: [runcmd]
"""

_FACTER = 'facts : { blocklist : [ "augeas", "augeasversion" ] }\n'
"""Without the version of Augeas, a quarter of what a run of Puppet's agent costs: it reads all lenses for that."""

_RUBY, _RUBY_BEGINS = "/usr/local/lib/compiled-ruby", "/usr/local/lib/site_ruby/rubygems/defaults/operating_system.rb"
_FIRST_RUBY = f"""require '{_RUBY}/compiled_ruby'
own = $LOAD_PATH.map {{ |place| "#{{place}}/rubygems/defaults/operating_system.rb" }} - [__FILE__]
load own.find {{ |file| File.exist?(file) }}
"""
"""What each Ruby in a machine reads first: one that keeps what packages were compiled to, then Debian's own.

All machines write to that directory, so it is where no look (machine_look.py) goes.
"""

_BOOT = r"""set -eu
work=$1 lower=$2 seed=$3 cgroups=$4; shift 4
if [ ! -e "$work/root" ]; then
    mount -t tmpfs -o mode=755 tmpfs "$work"
    mkdir "$work/up" "$work/work" "$work/root"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/up,workdir=$work/work" "$work/root"
    cp -a "$seed/." "$work/root/"
fi
# systemd-nspawn --keep-unit puts "payload" below our own group, so two machines cannot share one.
for group in $cgroups; do mkdir -p "$group"; echo $$ >"$group/cgroup.procs"; done
exec setpriv --pdeathsig KILL "$@"
"""


def needs_root() -> None:
    """End the test where it cannot work; with CI=true that counts as a failure."""
    if os.geteuid() != 0:
        pytest.skip("whole machines need root")


def base_root(suite: str = SUITE) -> Path:
    """Return the directory with `root` (a Debian) and `debs` (a repository for it); make it the first time (1 min)."""
    sources = apt_sources(suite)
    words = " ".join((suite, *PACKAGES, "/", *OFFERED, _IN_CHROOT, _CLOUD_INIT, *sources))
    release = CACHE / suite
    place = release / hashlib.sha256(words.encode()).hexdigest()[:16]
    release.mkdir(parents=True, exist_ok=True)
    with (release / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for old in release.glob("*/root"):
                shutil.rmtree(old.parent)
            made = Path(tempfile.mkdtemp(dir=release, prefix="new-"))
            made.chmod(0o755)
            _make_root(suite, made, sources)
            made.rename(place)
    return place


def _make_root(suite: str, made: Path, sources: Sequence[str]) -> None:
    root, debs = made / "root", made / "debs"
    how = ("--quiet", "--variant=minbase", "--skip=cleanup/apt/lists", f"--include={','.join(PACKAGES)}")
    checked(["mmdebstrap", *how, suite, str(root), "-"], "\n".join(sources) + "\n")
    (root / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
    checked(["unshare", "--mount", "sh", "-c", _IN_CHROOT, "sh", str(root), str(debs), *OFFERED])
    index(debs)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{REPOSITORY} ./\n")
    for name in ("etc/machine-id", "etc/resolv.conf", "etc/hostname"):
        (root / name).write_text("")
    (root / "etc/cloud/cloud.cfg.d/90-tests.cfg").write_text(_CLOUD_INIT)


def apt_sources(suite: str) -> list[str]:
    """Return this machine's own Debian sources as one-line entries, for `suite` in the place of this machine's."""
    found = []
    for file in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))):
        lines = file.read_text().splitlines() if file.exists() else []
        found += [line for line in lines if line.startswith("deb ") and f" {SUITE}" in line and "signed-by" not in line]
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for stanza in file.read_text().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != "#")
            suites = [it for it in fields.get("Suites", "").split() if it.startswith(SUITE)]
            found += [f"deb {fields['URIs']} {it} {fields.get('Components', '')}".strip() for it in suites]
    assert found, f"apt's sources have no {SUITE}; whole machines are made from it"
    return [line.replace(f" {SUITE}", f" {suite}") for line in found]


def index(debs: Path) -> None:
    """Make a directory of packages one that apt installs from."""
    (debs / "Packages").write_text("\n".join(_control(deb) for deb in sorted(debs.glob("*.deb"))))


def _control(deb: Path) -> str:
    """Return the stanza of a package for a repository's Packages file."""
    fields = checked(["dpkg-deb", "--field", str(deb)])
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    return f"{fields.rstrip()}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"


def checked(command: Sequence[str], words: str = "") -> str:
    """Run a command that must succeed, with `words` as its input; return its output."""
    done = subprocess.run(command, input=words, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[:3]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


class Network:
    """A bridge in a namespace of its own; `host` adds a namespace with an address on it."""

    def __init__(self, prefix: str = "pmt") -> None:
        self._prefix = f"{prefix}{os.getpid()}"
        self._made: list[str] = []
        _forget_the_dead(prefix)
        self._switch = self._namespace("sw")
        self._ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        self._ip("-n", self._switch, "link", "set", "br0", "up")

    def host(self, name: str, address: str) -> str:
        """Return the namespace of a new host with `address` (10.x.y.z, the network is its /24)."""
        namespace = self._namespace(name)
        peer = f"p{len(self._made)}"
        self._ip("-n", self._switch, "link", "add", peer, "type", "veth", "peer", "name", "host0", "netns", namespace)
        self._ip("-n", self._switch, "link", "set", peer, "master", "br0", "up")
        self._ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "host0")
        for link in ("host0", "lo"):
            self._ip("-n", namespace, "link", "set", link, "up")
        return namespace

    def close(self) -> None:
        """Remove all namespaces."""
        for name in reversed(self._made):
            subprocess.run(["ip", "netns", "del", name], check=False)
        self._made.clear()

    def _namespace(self, name: str) -> str:
        namespace = f"{self._prefix}-{name}"
        self._ip("netns", "add", namespace)
        self._made.append(namespace)
        return namespace

    def _ip(self, *arguments: str) -> None:
        checked(["ip", *arguments])


def _forget_the_dead(prefix: str) -> None:
    """Remove namespaces of test runs that were killed."""
    place = Path("/run/netns")
    for entry in place.glob(f"{prefix}*-*") if place.exists() else ():
        pid = entry.name[len(prefix) :].partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", entry.name], check=False)


class Prepared(NamedTuple):
    """What a machine has beside the plain root of its release (tests/support/layers.py)."""

    layer: Path
    """Put over the root."""
    debs: Path
    """Repository in the place of the root's own."""


class Machine:
    """One machine: `boot`, `run` commands in it, `stop`. Everything that it wrote is gone then.

    After `power_cut` its disk is as it was left, and `boot` starts it again.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        namespace: str,
        files: Mapping[str, str | bytes],
        suite: str = SUITE,
        prepared: Prepared | None = None,
    ) -> None:
        """`files`: path → content, put over the base, such as the NoCloud seed or /etc/hosts."""
        self.name = name
        self.directory = directory
        """Outside, for what belongs to it."""
        self._namespace = namespace
        self._base = base_root(suite)
        self._debs = prepared.debs if prepared else self._base / "debs"
        self._lower = [*([prepared.layer] if prepared else []), self._base / "root"]
        self._process: subprocess.Popen[bytes] | None = None
        self._disk: int | None = None
        """Handle of the mounts that a power cut has left: an open one keeps them."""
        self.console = directory / "console.log"
        self._ruby = COMPILED
        seed = directory / "seed"
        ours = {"etc/hostname": f"{name}\n", "etc/facter/facter.conf": _FACTER, _RUBY_BEGINS: _FIRST_RUBY}
        ours["etc/systemd/system.conf.d/java.conf"] = QUICK_JAVA
        if not any(path.startswith(SEED) for path in files):
            ours["/etc/cloud/cloud-init.disabled"] = ""  # else it spends two seconds of the processor on nothing
        for path, content in {**ours, **files}.items():
            file = seed / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    def boot(self, *, timeout: float = 120) -> None:
        """Start it; return when its systemd takes commands."""
        work = self.directory / "work"
        work.mkdir(exist_ok=True)
        where = ["unshare", "--mount"] if self._disk is None else ["nsenter", f"--mount=/proc/self/fd/{self._disk}"]
        groups = " ".join(str(group) for group in self._cgroups())
        command = [
            *(*where, "sh", "-c", _BOOT, "sh", str(work), ":".join(map(str, self._lower))),
            *(str(self.directory / "seed"), groups),
            *("systemd-nspawn", "--quiet", "--boot", f"--machine={self.name}", "-D", str(work / "root")),
            *("--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{self._namespace}"),
            *(f"--bind-ro={self._debs}:{REPOSITORY}", f"--bind={self._ruby}:{_RUBY}"),
            *("--resolv-conf=off", "--timezone=off"),
            *("--link-journal=no", "--console=read-only"),
            # systemd 256 and later wants a word for it that the machine below still has control groups of version 1.
            "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
        ]
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=() if self._disk is None else (self._disk,),
            )
        deadline = time.monotonic() + timeout
        while not self._answers():
            assert self._process.poll() is None, f"ended: {self.console_text()}"
            assert time.monotonic() < deadline, f"not up after {timeout} s: {self.console_text()}"
            time.sleep(0.1)

    def run(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root; the result is a value, whatever the exit status."""
        return subprocess.run([*self._entering(), *command], capture_output=True, text=True, timeout=timeout)

    def _entering(self) -> list[str]:
        entering = ["nsenter", "-t", str(self._leader()), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        return [*entering, "env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]

    def put(self, file: Path, path: str) -> None:
        """Copy a file into it."""
        with file.open("rb") as stream:
            done = subprocess.run([*self._entering(), "sh", "-c", 'cat >"$0"', path], stdin=stream, capture_output=True)
        assert done.returncode == 0, done.stderr

    def read(self, path: str) -> str:
        """Return a file's text; empty if there is none."""
        return self.run("cat", path).stdout

    def console_text(self) -> str:
        """Return the end of what it printed on its console."""
        return self.console.read_text(errors="replace")[-4000:]

    def power_cut(self) -> None:
        """End all its processes at once, and keep its disk for the next `boot`."""
        assert self._process is not None, "it is not booted"
        if self._disk is None:
            self._disk = os.open(f"/proc/{self._process.pid}/ns/mnt", os.O_RDONLY)
        os.kill(self._leader(), signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """Let it shut down, and end it if it does not."""
        if self._disk is not None:
            os.close(self._disk)
            self._disk = None
        if self._process is None:
            return
        with contextlib.suppress(AssertionError, ProcessLookupError):
            os.kill(self._leader(), signal.SIGRTMIN + 4)  # systemd: power off
        self._ended()

    def _ended(self) -> None:
        """Wait for its end, which must come, and forget it."""
        assert self._process is not None
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        for group in self._cgroups():
            for inner, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(inner).rmdir()

    def _cgroups(self) -> Iterator[Path]:
        name = f"{self._namespace}-{self.name}"
        if (_CGROUPS / "cgroup.controllers").exists():
            yield _CGROUPS / name
        else:
            yield from (_CGROUPS / kind / name for kind in ("systemd", "unified") if (_CGROUPS / kind).exists())

    def _leader(self) -> int:
        """Return the pid, outside, of the machine's first process."""
        assert self._process is not None, "it is not booted"
        leader = first_process(self._process.pid)
        assert leader is not None, f"{self.name} does not run"
        return leader

    def _answers(self) -> bool:
        try:
            said = self.run("systemctl", "is-system-running", timeout=60).stdout.strip()
        except (AssertionError, subprocess.TimeoutExpired):
            return False
        return said in {"running", "degraded", "starting"}
