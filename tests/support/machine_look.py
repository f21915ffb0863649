"""How a whole machine looks: every file that counts, units, packages, accounts; and what differs between two looks.

Not here: which differences are right.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.machines import Machine

_LOOK = r"""
import hashlib, os, sys
roots = ["/etc", "/opt", "/root", "/srv", "/usr/lib/systemd", "/var/lib"]
for root in roots:
    for directory, names, files in os.walk(root):
        names[:] = [n for n in names if not any((directory + "/" + n).startswith(w) for w in sys.argv[1:])]
        for name in (*names, *files):
            path = directory + "/" + name
            if any(path.startswith(without) for without in sys.argv[1:]):
                continue
            status = os.lstat(path)
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            else:
                content = ""
            print(path, oct(status.st_mode), status.st_uid, status.st_gid, content, sep="\t")
"""
REMEMBERED = (
    # What package programs and systemd keep of what was.
    *("/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd", "/etc/passwd-", "/etc/group-", "/etc/shadow-"),
    *("/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/ld.so.cache", "/etc/.pwd.lock", "/var/lib/private"),
)
SELF_MASTER = (*REMEMBERED, "/var/lib/puppetmaster/self")
"""And what docs/self-master.md says stays on purpose."""


def look(machine: Machine, without: Iterable[str] = REMEMBERED) -> dict[str, str]:
    """Return every file that counts (no path that begins with one of `without`), packages, units and overrides."""
    lines = machine.run("python3", "-c", _LOOK, *without, timeout=120).stdout.splitlines()
    found = dict(line.split("\t", 1) for line in lines)
    for kind, command in {
        "packages": ("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package} ${Version}\n"),
        "overrides": ("dpkg-statoverride", "--list"),
        "units": ("systemctl", "list-unit-files", "--no-legend", "--no-pager"),
    }.items():
        found |= {f"{kind}: {' '.join(line.split())}": "" for line in machine.run(*command).stdout.splitlines()}
    return found


def differing(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    return {
        key: (before.get(key), after.get(key)) for key in sorted({*before, *after}) if before.get(key) != after.get(key)
    }
