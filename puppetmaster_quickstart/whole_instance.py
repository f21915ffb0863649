"""An instance on this machine that is a whole system: systemd, accounts, /etc, /var and network are its own.

What a private instance (private_instance.py) is in namespaces alone, this one
is with systemd-nspawn inside of them, because `puppetmaster-self` works on
units, services and packages. Its network is a cable to a second namespace, in
which what the site offers listens at the master's address; each port leads to
a unix socket. Nothing else can be reached.

Owned is one directory, which stays as the instance left it, and cgroups, which
`forget_groups` removes. All else is one process and ends with it, however that
ends. Needs root, the right to mount and to make cgroups; `ProcessFailed` says
what failed. It is no prison: root in there is root.

Not here: what its file system is made of (instance_system.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from enc.terms.names import Certname
from puppetmaster_quickstart import instance_system
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.private_instance import MASTER_ADDRESS, PrivateInstance, children, first_process
from puppetmaster_quickstart.storytelling import until

ADDRESS = "10.79.0.2"
"""Its own, in the network of its cable."""
_CGROUPS = Path("/sys/fs/cgroup")
_TARGET = "basic.target"
"""What its systemd begins with: none of what the machine's packages want to start."""
_SCRIPT = r"""set -eu
master=$1 address=$2 groups=$3; shift 3
# The machine's services have their sockets there, and ip its namespaces.
mount -t tmpfs tmpfs /run
ip link set lo up
ip netns add instance
ip link add site type veth peer name host0 netns instance
ip address add "$master/24" dev site
ip link set site up
ip -n instance address add "$address/24" dev host0
ip -n instance link set host0 up
ip -n instance link set lo up
while [ "$1" != -- ]; do
    socat "TCP-LISTEN:$1,bind=$master,fork,reuseaddr" "UNIX-CONNECT:$2" &
    shift 2
done
shift
# nspawn makes groups below the one that it is in.
for group in $groups; do mkdir -p "$group"; echo 0 >"$group/cgroup.procs"; done
exec systemd-nspawn "$@"
"""


class WholeInstance(PrivateInstance):
    """A private instance with a systemd of its own."""

    environment: Mapping[str, str] = MappingProxyType(
        {**PrivateInstance.environment, "PATH": f"{instance_system.PREFIX}/bin:{PrivateInstance.environment['PATH']}"}
    )
    """Environment of its commands."""

    def __init__(self, base: Path, certname: Certname, master: Certname, ways: Mapping[int, Path]) -> None:
        """`ways`: port at the master's address → unix socket, what is offered there."""
        super().__init__(base, certname, master, ways[8140])
        self._ways = ways

    @property
    def ruby(self) -> Mapping[str, str]:
        """Nothing: the instance cannot see that directory."""
        return {}

    def start(self) -> None:
        """Switch it on, made anew if there is nothing below `own`; raise `ProcessFailed` if that cannot be."""
        if os.geteuid() != 0:
            raise ProcessFailed("root is needed", where=self.process.name)
        # Accounts there have numbers that here are somebody else's.
        self.base.chmod(0o700)
        if not self.own.exists():
            aside = self.base / "own.new"
            shutil.rmtree(aside, ignore_errors=True)
            instance_system.lay_out(aside, self.certname, self.hosts)
            aside.rename(self.own)
        # Relative, because a socket's path must be short.
        ways = [word for port, way in self._ways.items() for word in (str(port), os.path.relpath(way, self.base))]
        boot = [
            *("--quiet", "--boot", f"--machine={self.certname.short}", f"--directory={self.own}"),
            *(f"--bind-ro={here}:{there}" for there, here in instance_system.shown().items()),
            *("--register=no", "--keep-unit", "--network-namespace-path=/run/netns/instance"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", f"systemd.unit={_TARGET}"),
        ]
        words = (MASTER_ADDRESS, ADDRESS, " ".join(map(str, groups(self.base))), *ways, "--", *boot)
        namespaces = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
        log = self.base / "instance.log"
        # What is put below its /tmp stays seen.
        environment = {**os.environ, "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}
        self.process.start(
            [*namespaces, "sh", "-c", _SCRIPT, "sh", *words], output=log, directory=self.base, environment=environment
        )
        try:
            until(self._is_up, "the instance does not start", alive=lambda: self.process.pid is not None, log=log)
        except BaseException:
            self.stop()
            forget_groups(self.base)
            raise

    def entering(self) -> tuple[str, ...]:
        """Return what must stand before a command that is to run in it; raise `ProcessFailed` if it does not run."""
        leader = self._leader()
        if leader is None:
            raise ProcessFailed("does not run", where=self.process.name)
        kinds = ("mount", "net", "uts", "ipc", "pid", "cgroup", "root", "wd")
        return ("nsenter", "--target", str(leader), *(f"--{kind}" for kind in kinds))

    def put(self, path: str, text: str, *, mode: int = 0o644, group: str | None = None) -> None:
        """Write a file into it."""
        place = self._place(path)
        place.touch(mode=0o600)
        place.write_text(text, encoding="utf-8")
        if group is not None:
            lines = (self.own / "etc/group").read_text(encoding="utf-8").splitlines()
            os.chown(place, 0, next(int(line.split(":")[2]) for line in lines if line.startswith(f"{group}:")))
        place.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link in it that all its accounts reach.

        Its /root is closed as Debian's is, and so is the home of whoever has this checkout below it.
        """
        place = self._place(path)
        place.symlink_to(target)
        for above in place.relative_to(self.own).parents:
            directory = self.own / above
            directory.chmod(directory.stat().st_mode | 0o011)

    def _place(self, path: str) -> Path:
        place = self.own / path.lstrip("/")
        with instance_system.readable():
            place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _is_up(self) -> bool:
        if self._leader() is None:
            return False
        return self.run("systemctl", "is-system-running").output.strip() in {"running", "degraded"}

    def _leader(self) -> int | None:
        """Return the pid, outside, of its first process: the one child of nspawn with a PID namespace of its own."""
        with contextlib.suppress(OSError, IndexError):
            return first_process(children(self.process.pid or 0)[0])
        return None


def forget_groups(base: Path, *, timeout: float = 10.0) -> None:
    """Remove the cgroups of an instance that has ended, whoever started it; `base` is its directory."""
    deadline = time.monotonic() + timeout
    for group in groups(base):
        while group.exists() and time.monotonic() < deadline:
            for inner, _, _ in os.walk(group, topdown=False):
                # Its last processes are still ending.
                with contextlib.suppress(OSError):
                    Path(inner).rmdir()
            time.sleep(0.01)


def groups(base: Path) -> list[Path]:
    """Return the cgroups that the instance at `base` gets: always the same, so that they are found again."""
    digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:8]
    name = f"puppetmaster-instance-{digest}"
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / name]
    return [_CGROUPS / kind / name for kind in ("systemd", "unified") if (_CGROUPS / kind).exists()]
