"""An instance on this machine: a network, a host name, a /var and a Puppet configuration that only it has.

It is the machine's own system otherwise, so it is there in a moment and needs
no image. Its network has one way out: to its master's port, through a unix
socket. What the user data of an instance brings is really carried out in it:
the files are written and the commands run, at the paths that they name.

Owned is one directory; nothing else of the machine is written, and what the
system shows of its services (/run) and its console are hidden. All of it is one
process and ends with it, however that ends: nothing is left to be removed.
Needs unshare, nsenter, ip, hostname and socat, and a kernel that gives namespaces,
to root or to anybody (`refusal` says why not). It is no prison: it keeps a
demonstration from the machine, not an enemy.

Not here: what stands in user data (enc/instances/user_data.py); an instance that
has a systemd of its own, too (whole_instance.py).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import yaml

from enc.terms.names import Certname
from enc.terms.program_words import why
from puppetmaster_quickstart import compiled_ruby
from puppetmaster_quickstart.owned_process import OwnedProcess, ProcessFailed, start_time
from puppetmaster_quickstart.private_agent import AgentRun
from puppetmaster_quickstart.puppetserver_files import check_base
from puppetmaster_quickstart.storytelling import until

MASTER_ADDRESS = "10.79.0.1"
"""Where instances find their master, and what else the site offers."""
_ENDING = 60.0
"""Seconds that the kernel may take to end what is inside."""
_SCRIPT = r"""set -eu
name=$1 address=$2 port=$3 wire=$4
hostname "$name"
ip link set lo up
ip address add "$address/32" dev lo
mount --bind own/etc/puppet /etc/puppet
# What a new instance forgets of an image it must not find here: an agent of the machine's own, in another packaging.
for place in /etc/puppetlabs /opt/puppetlabs/puppet/cache /opt/puppetlabs/puppet/public /opt/puppetlabs/server/data; do
    [ ! -d "$place" ] || mount -t tmpfs tmpfs "$place"
done
# Facter reads all of them to tell Augeas's version, a quarter of what a run of the agent costs.
[ ! -d /usr/share/augeas/lenses ] || mount -t tmpfs tmpfs /usr/share/augeas/lenses
mount --bind own/etc/hosts /etc/hosts
# Where only root is known, Puppet cannot give its files to the account that puppetserver's package made.
for file in passwd group; do
    grep -v ^puppet: "/etc/$file" >"own/etc/$file"
    mount --bind "own/etc/$file" "/etc/$file"
done
mount --bind own/var /var
mount -t tmpfs tmpfs /run
[ ! -e /dev/console ] || mount --bind /dev/null /dev/console
: >up
exec socat "TCP-LISTEN:$port,bind=$address,fork,reuseaddr" "UNIX-CONNECT:$wire"
"""
_PROBE = "ip link set lo up && mount -t tmpfs tmpfs /run"
_OWN = ("var/lib", "var/cache", "var/log", "var/tmp", "etc/puppet")
"""Directories that the system's programs expect to be there."""


def refusal() -> str | None:
    """Return why this machine gives no namespaces, in a few words; None if it does."""
    try:
        done = subprocess.run(
            [*_unshare(), "sh", "-c", _PROBE], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else why(done.stderr, f"status {done.returncode}")


def wire(base: Path, what: str = "puppetserver") -> OwnedProcess:
    """Return the process that brings instances to `what`; `start_wire` starts it."""
    return OwnedProcess(base / f"wire-{what}.pid", f"way to {what}")


def start_wire(process: OwnedProcess, port: int) -> Path:
    """Start it towards the loopback's `port`; return the socket that leads there."""
    socket, log = process.pid_file.with_suffix(""), process.pid_file.with_suffix(".log")
    command = ["socat", f"UNIX-LISTEN:{socket.name},fork,mode=600,unlink-early", f"TCP4:127.0.0.1:{port}"]
    process.start(command, output=log, directory=socket.parent, environment=os.environ)
    until(socket.exists, f"there is no {process.name}", alive=lambda: process.pid is not None, log=log)
    return socket


def end(process: OwnedProcess) -> bool:
    """End an instance, or the way to the master, and wait until all of it is gone; tell whether it ran."""
    pid = process.pid
    if pid is None:
        return process.stop()
    inside = first_process(pid) or 0
    began = start_time(inside)
    # unshare waits for its child and takes no other signal; the kernel ends all that is inside, a moment later.
    process.signal(signal.SIGKILL)
    process.stop()
    deadline = time.monotonic() + _ENDING
    while began is not None and start_time(inside) == began:
        if time.monotonic() > deadline:
            raise ProcessFailed("cannot be ended", where=process.name)
        time.sleep(0.01)
    return True


def first_process(starter: int) -> int | None:
    """Return the pid, seen from here, of the first process in the PID namespace that `starter` made; None before that.

    The kernel ends all others in there with it. While systemd-nspawn sets a machine up, it has another child, which is
    on this machine still: who entered that one would change this machine, root as they are.
    """
    with contextlib.suppress(OSError):
        around = _pid_namespace(starter)
        return next((child for child in children(starter) if _pid_namespace(child) != around), None)
    return None


def children(pid: int) -> list[int]:
    """Return the pids of a process's children; raise `OSError` if it has ended."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


class PrivateInstance:
    """One instance: `start` (switch it on), `carry_out` its user data, `run` commands in it, `stop`."""

    environment: Mapping[str, str] = MappingProxyType(
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    )
    """Environment of its commands."""

    def __init__(self, base: Path, certname: Certname, master: Certname, wire: Path, *, port: int = 8140) -> None:
        """Keep everything below `base`. It knows the `master` by name, and reaches it through the socket `wire`."""
        check_base(base)
        self.base = base
        self.certname = certname
        self.process = OwnedProcess(base / "pid", f"instance {certname.short}")
        self._master = master
        self._wire = wire
        self._port = port

    @property
    def own(self) -> Path:
        """Where, outside, its own /var and /etc/puppet are."""
        return self.base / "own"

    @property
    def ruby(self) -> Mapping[str, str]:
        """The environment variables with which its Ruby finds the compiled packages."""
        return compiled_ruby.environment("/var", "/run", "/etc")

    @property
    def hosts(self) -> str:
        """The names that it knows."""
        own = f"127.0.1.1 {self.certname} {self.certname.short}"
        return f"127.0.0.1 localhost\n{own}\n{MASTER_ADDRESS} {self._master}\n"

    def start(self) -> None:
        """Switch it on, with what is below `own`, if anything; raise `ProcessFailed` if that cannot be."""
        for name in _OWN:
            (self.own / name).mkdir(parents=True, exist_ok=True)
        (self.own / "etc/hosts").write_text(self.hosts, encoding="ascii")
        up, log = self.base / "up", self.base / "instance.log"
        up.unlink(missing_ok=True)
        # Relative, because a socket's path must be short.
        words = (self.certname.short, MASTER_ADDRESS, str(self._port), os.path.relpath(self._wire, self.base))
        self.process.start(
            [*_unshare(), "sh", "-c", _SCRIPT, "sh", *words], output=log, directory=self.base, environment=os.environ
        )
        until(up.exists, "the instance does not start", alive=lambda: self.process.pid is not None, log=log)
        listens = ("sh", "-c", f"grep -q ':{self._port:04X} 00000000:0000 0A' /proc/net/tcp")
        until(
            lambda: self.run(*listens).status == 0,
            "the instance has no way to its master",
            alive=lambda: self.process.pid is not None,
            log=log,
        )

    def stop(self) -> bool:
        """Switch it off, as a power cut would; tell whether it ran."""
        return end(self.process)

    def run(self, *words: str, environment: Mapping[str, str] | None = None, timeout: float = 180.0) -> AgentRun:
        """Run a command in it; how it ended is a value. Raises `ProcessFailed` if it takes longer than `timeout` s."""
        try:
            done = subprocess.run(
                [*self.entering(), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**self.environment, **self.ruby, **(environment or {})},
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProcessFailed(f"{words[0]} failed: {error}", where=self.process.name) from error
        return AgentRun(done.returncode, done.stdout.decode("utf-8", errors="replace"))

    def entering(self) -> tuple[str, ...]:
        """Return what must stand before a command that is to run in it; raise `ProcessFailed` if it does not run."""
        pid = self.process.pid
        if pid is None:
            raise ProcessFailed("does not run", where=self.process.name)
        kinds = {"mount": "mnt", "net": "net", "uts": "uts", "pid": "pid_for_children"}
        words = ["nsenter", *(f"--{kind}=/proc/{pid}/ns/{name}" for kind, name in kinds.items())]
        if os.geteuid() != 0:
            words += [f"--user=/proc/{pid}/ns/user", "--preserve-credentials"]
        return tuple(words)

    def carry_out(
        self, user_data: str, *, environment: Mapping[str, str] | None = None, timeout: float = 300.0
    ) -> AgentRun:
        """Do what cloud-init would do with `user_data`: write its files, run its commands until one fails."""
        files, commands = read(user_data)
        for path, mode, text in files:
            place = self.own / path.lstrip("/")
            if not path.startswith(("/var/", "/etc/puppet/")) or ".." in Path(path).parts:
                raise ProcessFailed(f"the instance has no {path} of its own", where=self.process.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(mode=0o600)
            place.write_text(text, encoding="utf-8")
            place.chmod(mode)
        output = ""
        for words in commands:
            done = self.run(*words, environment=environment, timeout=timeout)
            output += done.output
            if done.status != 0:
                return AgentRun(done.status, output)
        return AgentRun(0, output)

    def agent(self, *, environment: Mapping[str, str] | None = None, timeout: float = 180.0) -> AgentRun:
        """Let its agent run once."""
        return self.run("puppet", "agent", "--test", "--color", "false", environment=environment, timeout=timeout)


def read(user_data: str) -> tuple[list[tuple[str, int, str]], list[Sequence[str]]]:
    """Return the files (path, mode, text) and the commands of a `#cloud-config`."""
    document = yaml.safe_load(user_data)
    files = [(file["path"], int(file["permissions"], 8), _content(file)) for file in document["write_files"]]
    return files, list(document["runcmd"])


def _content(file: Mapping[str, str]) -> str:
    if file.get("encoding") != "gz+b64":
        return file["content"]
    return gzip.decompress(base64.b64decode(file["content"])).decode()


def _unshare() -> tuple[str, ...]:
    """Return the command that makes the namespaces; who is not root is root in there only."""
    mapped = () if os.geteuid() == 0 else ("--map-root-user",)
    return ("unshare", *mapped, "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child")


def _pid_namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
