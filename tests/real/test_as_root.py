"""Root obeys nobody: what an account owns does not run as root, and root gives nothing away, whatever stands there.

The repository is the account 64001's, who puts into it whatever git can be told to start. Root then runs each command.
"""

from __future__ import annotations

import http.server
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from git_hooks.commands import AS_ROOT, COMMANDS
from git_hooks.push.service import socket_path
from tests.support.bare import git
from tests.support.certificates import Authority
from tests.support.following import eventually
from tests.support.reachable import reachable
from tests.support.slapd import Slapd
from tests.support.transports import PROGRAM, Managed, S, people, wait_for_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

ACCOUNT = 64001
ABSENT = "1" * 40
PROGRAMS = (
    *("core.askPass", "core.editor", "core.fsmonitor", "core.gitProxy", "core.pager", "core.sshCommand"),
    *("core.alternateRefsCommand", "credential.helper", "diff.external", "filter.x.clean", "filter.x.smudge"),
    *("filter.x.process", "gpg.program", "gpg.ssh.program", "interactive.diffFilter", "merge.x.driver"),
    *("sequence.editor", "uploadpack.packObjectsHook", "trailer.x.command", "log.showSignature"),
    *("alias.cat-file", "alias.for-each-ref", "alias.config", "alias.fetch"),
)
"""Settings that name a program (git-config(1))."""
HOOKS = (
    *("reference-transaction", "post-index-change", "update", "post-update", "pre-auto-gc", "proc-receive"),
    *("push-to-checkout", "fsmonitor-watchman", "post-checkout", "post-merge"),
)


_PYTHON = Path(sys.executable).resolve()
_OPEN = all(place.stat().st_mode & 0o001 for place in (_PYTHON, *_PYTHON.parents))
_INSTEAD = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
READABLE = (str(PROGRAM),) if _OPEN else (_INSTEAD, str(PROGRAM))
_PLACES = [str(Path(__file__).parents[2]), *(path for path in sys.path if path.endswith("site-packages"))]
PATHS = {} if _OPEN else {"PYTHONPATH": os.pathsep.join(_PLACES)}
"""`branch-manager` with a Python that other accounts can read, wherever the one of the tests is."""


GROUP = {"objectClass": "groupOfNames", "member": f"uid=olga,ou=people,{S}"}


class Hostile(Managed):
    """A managed repository of the account's; whatever is started from it writes down as whom."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        super().__init__(base, slapd)
        assert self.branch_manager("deploy").returncode == 0
        self.spied = base / "spied"
        self.spied.mkdir()
        self.spied.chmod(0o1777)
        (base / "tokens").mkdir(mode=0o700)
        self.secret()
        for name in PROGRAMS:
            alias = "!" if name.startswith("alias.") else ""
            git(self.bare.path, "config", name, alias + str(self.spy(name)))
        for hook in HOOKS:
            shutil.copy(self.spy(hook), self.bare.path / "hooks" / hook)
        included = base / "included"
        included.write_text(f"[core]\n\tsshCommand = {self.spy('include.path')}\n")
        for name, value in (
            ("include.path", str(included)),
            ("extensions.partialClone", "evil"),
            ("remote.evil.url", "ssh://127.0.0.1:1/x"),
            ("remote.evil.promisor", "true"),
            ("remote.ext.url", f"ext::{self.spy('ext')} %s"),
            ("remote.ext.promisor", "true"),
            ("protocol.ext.allow", "always"),
            ("http.sslVerify", "false"),
        ):
            git(self.bare.path, "config", name, value)
        with (self.bare.path / "packed-refs").open("a") as refs:
            refs.write(f"{ABSENT} refs/heads/topic/red/lost\n")
        self.give(base)

    def spy(self, name: str) -> Path:
        """A program that writes down as whom it is run."""
        place = self.base / f"spy-{name}"
        place.write_text(f"#!/bin/sh\nid -u >>{self.spied}/{name}\nexit 1\n")
        place.chmod(0o755)
        return place

    def secret(self) -> None:
        """Let the account read what it needs, as one in the group puppet may."""
        theirs = self.settings.directory.bind_password_file
        assert theirs is not None
        ours = self.base / "ldap.secret"
        ours.write_text(theirs.read_text())
        ours.chmod(0o600)
        self.configure(directory={"bind_password_file": str(ours)})

    def branch_manager(self, *words: str) -> subprocess.CompletedProcess[str]:
        call = [*READABLE, "--config", str(self.configuration), *words]
        return subprocess.run(call, env=os.environ | PATHS, capture_output=True, text=True, check=False)

    def give(self, place: Path) -> None:
        subprocess.run(["chown", "-Rh", f"{ACCOUNT}:{ACCOUNT}", str(place)], check=True)

    def ran_as(self) -> dict[str, set[str]]:
        return {file.name: set(file.read_text().split()) for file in self.spied.iterdir()}


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    with reachable() as base:
        made = Slapd(base / "slapd")
        people(made)
        made.add(f"cn=blue,ou=projects,{S}", GROUP | {"cn": "blue"})
        yield made
        made.stop()


@pytest.fixture(scope="module")
def hostile(slapd: Slapd) -> Iterator[Hostile]:
    with reachable() as base:
        yield Hostile(base / "site", slapd)


WORDS: dict[str, tuple[str, ...]] = {
    "allow-secret": ("0123456789abcdef", "--path", "data/*", "--reason", "made for tests"),
    "approve": ("lib/x.rb", "--on", "test", "--reason", "read"),
    "audit-code": (),
    "audit-secrets": (),
    "authorized-keys": ("alice",),
    "classes": ("test",),
    "completion": ("bash",),
    "deploy": (),
    "diff": ("test",),
    "doctor": ("--user", "nobody"),
    "expire": (),
    "gc": (),
    "gerrit-hook": ("ref-updated", "--project", "x", "--refname", "refs/heads/test", "--newrev", ABSENT),
    "hold": ("test", "--reason", "today"),
    "hooks": (),
    "init": (),
    "list": (),
    "make-branches": (),
    "promote": ("project/red", "--to", "test", "--as", "olga"),
    "promotion": ("list",),
    "propose": ("project/red", "--to", "test", "--as", "alice"),
    "publish": ("https://127.0.0.1:9/x", "--dry-run"),
    "refusals": (),
    "release": ("test",),
    "restore": (),
    "revert": ("project/red", "--reason", "bad", "--as", "olga"),
    "rollback": ("test", ABSENT, "--reason", "bad"),
    "serve": (),
    "ssh-shell": ("alice",),
    "status": ("test",),
    "token": ("create", "ci", "--for", "alice"),
    "units": (),
    "verify": (),
    "verify-store": (),
    "wait": (ABSENT, "--timeout", "1s"),
    "uninstall": (),
}
"""How each command is called; the last one takes the hooks away."""


def test_every_command_says_as_whom_root_runs_it_and_is_tried_here() -> None:
    assert COMMANDS.keys() == AS_ROOT.keys() == WORDS.keys()


@pytest.mark.parametrize("command", WORDS)
def test_nothing_of_the_repository_runs_as_root(hostile: Hostile, command: str, tmp_path: Path) -> None:
    here = tmp_path / "clone"  # open to all, below what is closed, as in root's home
    here.mkdir(mode=0o755)
    tmp_path.chmod(0o700)
    for file in hostile.spied.iterdir():
        file.unlink()
    call = [*READABLE, "--config", str(hostile.configuration), command, *WORDS[command]]
    if command == "units":
        call.append(str(hostile.base))
    environment = os.environ | PATHS | {"SSH_ORIGINAL_COMMAND": f"git-upload-pack '{hostile.bare.path.name}'"}
    with hostile.log.open("wb") as log:
        process = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=here)
    try:
        if command == "serve":
            wait_for_port(hostile.port, process, hostile.log)
            subprocess.run(["git", "ls-remote", hostile.url("alice")], capture_output=True, timeout=120, check=False)
        elif command == "hooks":
            eventually(socket_path(hostile.settings.branches.store).exists, "the hooks' service listens")
        if command in ("hooks", "serve"):
            process.terminate()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert "this is a bug" not in hostile.log.read_text()
    assert {name: who for name, who in hostile.ran_as().items() if "0" in who} == {}


def test_what_is_run_is_run_as_the_owner(slapd: Slapd) -> None:
    """Else the test above would show nothing; and what root makes there is the owner's."""
    with reachable() as base:
        site = Hostile(base / "site", slapd)
        done = site.branch_manager("make-branches", "blue")
        assert site.ran_as()["reference-transaction"] == {str(ACCOUNT)}, done.stderr
        assert site.branch_manager("hold", "test", "--reason", "now").returncode == 0
        made = site.branch_manager("token", "create", "ci", "--for", "alice")
        assert made.returncode == 0 and len(list((base / "site/tokens").iterdir())) == 1, made.stderr
        owners = {path.lstat().st_uid for path in (base / "site").rglob("*")}
        assert owners == {ACCOUNT}


class _Forge(http.server.BaseHTTPRequestHandler):
    """Wants a password."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()
        self.server.asked.append(self.path)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _forge(authority: Authority) -> Iterator[http.server.HTTPServer]:
    certificate, key = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forge)
    server.asked = []  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_forge_is_asked_as_the_configuration_of_ours_says_and_nobody_elses(slapd: Slapd, tmp_path: Path) -> None:
    with reachable() as base, _forge(Authority.make(tmp_path / "authority")) as forge:
        site = Hostile(base / "site", slapd)
        credentials = base / "credentials"
        credentials.write_text("https://us:secret@forge.invalid\n")
        credentials.chmod(0o600)
        mirror = {"forge": "gitea", "url": "https://forge.invalid/x.git", "credentials_file": str(credentials)}
        site.configure(branches={"mirror": mirror})
        elsewhere = f"url.https://us@localhost:{forge.server_port}/.insteadOf"
        git(base, "config", "--file", str(site.bare.path / "config"), elsewhere, "https://forge.invalid/")
        site.give(base)
        for place in (base, site.base, site.configuration):  # root obeys no other
            os.chown(place, 0, 0)
        found = site.branch_manager("doctor", "--user", "nobody").stdout
        assert "mirror-url" in found and "forge.invalid" in found
        assert forge.asked == []  # type: ignore[attr-defined]
        assert site.ran_as() == {}


def test_a_token_that_root_makes_gives_nothing_away(slapd: Slapd) -> None:
    """The account replaces each file that comes into its directory by a link to one of root's."""
    with reachable() as base:
        site = Hostile(base / "site", slapd)
        victim = base / "victim"
        victim.write_text("root's")
        victim.chmod(0o600)
        os.chown(victim, 0, 0)
        tokens = base / "site/tokens"
        over = threading.Event()
        tries = [0]

        def replace() -> None:
            while not over.is_set():
                for place in tokens.iterdir():
                    aside = tokens / secrets.token_hex(4)
                    with suppress(OSError):
                        if not place.is_symlink():
                            aside.symlink_to(victim)
                            aside.rename(place)
                            tries[0] += 1

        thread = threading.Thread(target=replace)
        thread.start()
        try:
            for number in range(3):
                site.branch_manager("token", "create", f"ci{number}", "--for", "alice")
            eventually(lambda: tries[0], "the account has its turn, too")
        finally:
            over.set()
            thread.join()
        status = victim.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777, victim.read_text()) == (0, 0, 0o600, "root's")
