"""A managed repository with people in a real slapd, reached by real git over HTTP(S) and ssh."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from enc.directory.place import free_port
from enc.settings import config
from git_hooks.push.service import socket_path
from tests.support.bare import Bare
from tests.support.slapd import ADD, Slapd

S = "dc=example,dc=org"
PROGRAM = Path(sys.executable).parent / "branch-manager"
PEOPLE = ("alice", "bob", "carol", "olga")
"""Admin of red; member of red; in no project; operator. Each one's password is `secret-of-NAME`."""


def password(person: str) -> str:
    return f"secret-of-{person}"


def people(slapd: Slapd) -> None:
    """Add PEOPLE and the project red."""
    for uid in PEOPLE:
        entry = {"objectClass": ["inetOrgPerson", "ldapPublicKey"], "uid": uid, "cn": uid, "sn": uid}
        slapd.add(f"uid={uid},ou=people,{S}", {**entry, "userPassword": password(uid)})
    slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})
    members = [f"uid={uid},ou=people,{S}" for uid in ("alice", "bob")]
    slapd.add(f"cn=red,ou=projects,{S}", {"objectClass": "groupOfNames", "cn": "red", "member": members})
    role = {"objectClass": "organizationalRole", "cn": "projectadmin", "roleOccupant": members[0]}
    slapd.add(f"cn=projectadmin,cn=red,ou=projects,{S}", role)


class Managed:
    """The repository with hooks, its configuration, and clones of it."""

    def __init__(self, base: Path, slapd: Slapd, **transport: object) -> None:
        base.mkdir(exist_ok=True)
        self.base = base
        self.bare = Bare(base)
        self.configuration = base / "config.yaml"
        self.port = free_port()
        document = yaml.safe_load(slapd.configuration())
        document["answers"] = {"directory": str(base / "answers")}
        document["pushes"] = {"roles_kept": 0}
        document["branches"] = {
            "repository": str(self.bare.path),
            "store": str(base / "store"),
            "environments": str(base / "environments"),
            "members_code": "trusted",
            "opening": {"state": str(base / "opening")},
            "rules": ["test = test", "project/<name> = project_<name>", "topic/<name>/<topic> = <name>__<topic>"],
            "transport": {"listen": f"127.0.0.1:{self.port}", "tokens": str(base / "tokens"), **transport},
        }
        self.configuration.write_text(yaml.safe_dump(document))
        self.settings = config.load(self.configuration)
        self.log = base / "serve.log"
        first = self.bare.commit("test", {"manifests": {"site.pp": "# first\n"}})
        self.bare.commit_tree("project/red", self.bare.tree({"manifests": {"site.pp": "# red\n"}}), parent=first)
        done = self.branch_manager("init")
        assert done.returncode == 0, done.stderr

    def url(self, person: str | None = None, secret: str | None = None, scheme: str = "http") -> str:
        who = f"{person}:{secret or password(person)}@" if person else ""
        return f"{scheme}://{who}127.0.0.1:{self.port}/{self.bare.path.name}"

    def configure(self, **sections: dict[str, object]) -> None:
        """Say more in the configuration file, for what reads it from now on: section → settings."""
        document = yaml.safe_load(self.configuration.read_text())
        for name, more in sections.items():
            document[name] = {**document.get(name, {}), **more}
        self.configuration.write_text(yaml.safe_dump(document))

    def tip(self, branch: str) -> str | None:
        """The commit of a branch in the repository."""
        found = subprocess.run(
            ["git", f"--git-dir={self.bare.path}", "rev-parse", "-q", "--verify", f"refs/heads/{branch}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() or None

    def branch_manager(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(PROGRAM), "--config", str(self.configuration), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """Within: `branch-manager serve` runs, and listens."""
        with self.log.open("ab") as log:
            command = [str(PROGRAM), "--config", str(self.configuration), "serve"]
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_for_port(self.port, process, self.log)
            yield process
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def hooks_served(configuration: Path, store: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Within: `branch-manager hooks` runs, and listens."""
    socket = socket_path(store)
    with log.open("ab") as stream:
        command = [str(PROGRAM), "--config", str(configuration), "hooks"]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def working_in(directory: Path) -> list[str]:
    """The processes that work in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == directory:
                found.append(process.name)
    return found


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import socket

    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens: {log.read_text()}")


class Clone:
    """A developer's working copy."""

    def __init__(self, place: Path, **environment: str) -> None:
        self.place = place
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_"))}
        identity = {
            f"GIT_{who}_{what}": "dev@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "HOME": str(place.parent)}
        self.environment = {**kept, **identity, **quiet, **environment}

    def git(self, *words: str, inside: bool = True) -> subprocess.CompletedProcess[str]:
        """Run git; look at the outcome yourself."""
        command = ["git", *(["-C", str(self.place)] if inside else []), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    def clone(self, url: str, branch: str = "project/red") -> subprocess.CompletedProcess[str]:
        return self.git("clone", "-q", "-b", branch, url, str(self.place), inside=False)

    def push(self, text: str, *words: str, size: int = 0) -> subprocess.CompletedProcess[str]:
        """Commit a change of `text` and push it."""
        (self.place / "manifests" / "site.pp").write_text(f"# {text}\n")
        if size:
            (self.place / "large.bin").write_bytes(os.urandom(size))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)
        return self.git("push", *(words or ("origin", "HEAD")))


@contextmanager
def sshd(base: Path, managed: Managed) -> Iterator[int]:
    """Within: an sshd with a configuration of its own asks branch-manager for keys. Give its port."""
    base.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / "host")], check=True)
    port = free_port()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    # sshd takes a command only from directories that nobody else writes, which a test's are not; env's are.
    keys = f"/usr/bin/env {PROGRAM} --config {managed.configuration} authorized-keys %t %k"
    lines = (
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {base / 'host'}",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "AuthorizedKeysFile none",
        f"AuthorizedKeysCommand {keys}",
        f"AuthorizedKeysCommandUser {getpass.getuser()}",
        "PermitRootLogin yes",
        "AcceptEnv GIT_PROTOCOL",
        "LogLevel VERBOSE",
    )
    (base / "sshd_config").write_text("\n".join(lines) + "\n")
    log = base / "sshd.log"
    with log.open("wb") as stream:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(base / "sshd_config")]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def ssh_key(base: Path, name: str) -> Path:
    """Make a key; the public one is beside it."""
    key = base / f"key-{name}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@laptop", "-f", str(key)], check=True)
    return key
