"""What is on this machine, read once and changed never: Puppet's settings, memory, disk, clock, ports, packages.

Judging it is preflight.py's, deciding what to do plan.py's. Nothing about
where Puppet keeps its files is known here: Debian's layout, upstream's and
OpenVox's are asked for with `puppet config print`.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from enc.settings import SelfMasterSettings, Settings
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, Certname
from enc.terms.program_words import why
from puppetmaster_self.instance import keep
from puppetmaster_self.instance.machine import Machine, ProgramFailed
from puppetmaster_self.transaction import readable
from puppetmaster_self.transaction.steps import accounts, agent, packages

_PUPPET = 60.0
_ASKED = {
    "agent": (
        *("certname", "confdir", "config", "ssldir", "hostcert", "localcacert", "server", "serverport"),
        *("environment", "agent_disabled_lockfile", "lastrunfile", "basemodulepath"),
    ),
    "server": ("ssldir", "cadir", "confdir", "codedir", "environmentpath", "vardir", "basemodulepath"),
}


@dataclass(frozen=True)
class Facts:
    """The instance, as it is before anything is done."""

    certname: Certname
    agent: Mapping[str, str]
    """Puppet's settings as the agent sees them."""
    server: Mapping[str, str]
    """Puppet's settings as a puppetserver would see them."""
    systemd: bool
    root: bool
    tool: str | None
    """The package program: apt, dnf."""
    new_packages: int | None
    """How many packages would be installed; None: they cannot be had."""
    packages_said: str
    memory: int
    """Bytes that are available."""
    disk: int
    """Bytes that are free where the base will be."""
    now: float
    port_taken: bool
    master_runs: bool
    """A puppetserver runs here already."""
    agent_runs: bool
    agent_disabled: bool
    certificate: float | None
    """When the agent's certificate was written, in seconds since 1970; None: there is none."""
    last_run: tuple[float, int] | None
    """The agent's last run: when, and how many resources failed."""
    upstream_said: str
    """Why the central repository cannot be read; empty: it can, or git is not here yet."""
    own_name_is_local: bool
    """Whether the certname leads to this machine."""
    occupied: tuple[str, ...]
    """Paths where something is that the self-master would need."""
    hidden: tuple[str, ...]
    """Work in the present environments that nobody else has, in words."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """What puppetserver's account could not read: words, and what to do."""
    upstream_named: bool = True
    """Whether there is a word of the central repository and its branch."""
    hiera_known: bool = True
    """Whether hiera.yaml of the central branch could be looked at."""


def gather(
    machine: Machine, site: Settings, config: Path, upstream: str | None, branch: BranchName | None
) -> Facts:
    """Look at the machine; `config` is the configuration file. Raise `ToolkitError` if Puppet cannot be asked."""
    settings = site.self_master
    asked = {section: _puppet(machine, section) for section in _ASKED}
    tool = _tool(machine)
    new, said = _packages(machine, tool, settings.packages)
    name = Certname(asked["agent"]["certname"])
    upstream_said = unreadable(machine, upstream, branch)
    hiera = None
    if upstream is not None and branch is not None and not upstream_said:
        hiera = readable.central_hiera(machine, upstream, branch)
    needed = [*readable.of_configuration(site, config), *readable.of_hiera(hiera or "", f"branch {branch}")]
    hidden = readable.unseen(settings, tool, asked["server"]["confdir"])
    needed += readable.of_environment(Path(asked["server"]["confdir"]))  # hiera's global layer
    return Facts(
        certname=name,
        agent=asked["agent"],
        server=asked["server"],
        systemd=machine.has("systemctl")
        and machine.ask("systemctl", "is-system-running", timeout=30).output.strip() not in ("offline", "unknown", ""),
        root=os.geteuid() == 0,
        tool=tool,
        new_packages=new,
        packages_said=said,
        memory=_memory(),
        disk=_disk(machine.places.base),
        now=machine.now(),
        port_taken=_port_taken(settings.port),
        master_runs=machine.ask("systemctl", "is-active", "puppetserver", timeout=30).output.strip() == "active",
        agent_runs=agent.is_active(machine),
        agent_disabled=Path(asked["agent"]["agent_disabled_lockfile"]).exists(),
        certificate=_written(Path(asked["agent"]["hostcert"])),
        last_run=_last_run(Path(asked["agent"]["lastrunfile"])),
        upstream_said=upstream_said,
        own_name_is_local=_is_local(name),
        occupied=_occupied(machine, settings),
        hidden=tuple(_hidden(machine, asked["server"]["environmentpath"])),
        unreadable=tuple((one.words, one.cure) for one in readable.in_the_way(needed, hidden)),
        upstream_named=upstream is not None and branch is not None,
        hiera_known=hiera is not None,
    )


def _puppet(machine: Machine, section: str) -> dict[str, str]:
    words = ("puppet", "config", "print", "--section", section, *_ASKED[section])
    lines = machine.run(*words, timeout=_PUPPET).output.splitlines()
    found = {name.strip(): value.strip() for name, sign, value in (line.partition("=") for line in lines) if sign}
    if missing := [name for name in _ASKED[section] if name not in found]:
        raise ToolkitError(f"did not report {', '.join(missing)}", where="puppet config print")
    return found


def _tool(machine: Machine) -> str | None:
    try:
        return accounts.tool_of(machine)
    except ToolkitError:
        return None


_TRIED: Mapping[str, tuple[str, ...]] = {
    # Its caches are made in memory: a look leaves none behind (apt.conf(5)).
    "apt": (
        *("apt-get", "-q", "--simulate", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
        *("--no-install-recommends", "install"),
    ),
    "dnf": (*packages.INSTALL["dnf"], "--setopt=tsflags=test"),
}


def _packages(machine: Machine, tool: str | None, names: tuple[str, ...]) -> tuple[int | None, str]:
    if not names:
        return 0, ""
    if tool is None:
        return None, "neither apt-get nor dnf is installed"
    done = machine.ask(*_TRIED[tool], *names, timeout=300)
    if done.status != 0:
        return None, why(done.output)
    return sum(line.startswith("Inst ") for line in done.output.splitlines()), ""


def _memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _disk(base: Path) -> int:
    place = base
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _port_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - nobody is listened to
        except OSError:
            return True
    return False


def _is_local(name: str) -> bool:
    """Tell whether a name leads to an address of this machine: only such a one can be bound."""
    try:
        places = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in places:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind(address)
            except OSError:
                return False
    return bool(places)


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _last_run(path: Path) -> tuple[float, int] | None:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        return float(said["time"]["last_run"]), int(said["resources"]["failed"]) if "resources" in said else 1
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return None


def unreadable(machine: Machine, upstream: str | None, branch: BranchName | None) -> str:
    """Return why a central repository cannot be read; empty: it can, or that cannot be told yet."""
    if upstream is None or branch is None or not machine.has("git"):
        return ""
    words = ("git", "ls-remote", "--exit-code", upstream, branch.ref)
    try:
        done = machine.ask(*words, timeout=60, environment=keep.WITHOUT_QUESTIONS)
    except ProgramFailed as error:
        return str(error)
    if done.status == 2:
        return f"{keep.shown(upstream)} has no branch {branch}"
    return "" if done.status == 0 else keep.reason(done.output)


def _occupied(machine: Machine, settings: SelfMasterSettings) -> tuple[str, ...]:
    places = machine.places
    paths = [settings.working_copy]
    if places.base.exists():
        ours = (places.transaction, places.kept)
        paths += [path for path in sorted(places.base.iterdir()) if path not in ours]
    return tuple(str(path) for path in paths if path.exists() and not path.name.endswith(".gone"))


def _hidden(machine: Machine, environmentpath: str) -> list[str]:
    """Return what would be out of sight with other environments: work in git that no remote has."""
    found: list[str] = []
    directories = [Path(part) for part in environmentpath.split(":") if part and Path(part).is_dir()]
    if not machine.has("git"):
        return found
    for environment in sorted(path for place in directories for path in place.iterdir()):
        if not (environment / ".git").exists():
            continue
        try:
            if keep.git(machine, environment, "status", "--porcelain").output.strip():
                found.append(f"{environment} holds changes that are not committed")
            ahead = keep.git(machine, environment, "rev-list", "--count", "HEAD", "--not", "--remotes").output.strip()
            if ahead != "0":
                commits = counted(int(ahead), "commit that was", "commits that were")
                found.append(f"{environment} holds {commits} not pushed")
        except ProgramFailed as error:
            found.append(f"{environment} cannot be checked: {error}")
    return found
