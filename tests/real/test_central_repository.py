"""The central repository as it should not be: shallow, or asking for a password. For `enable`, `sync` and `send`."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from enc.terms.errors import ToolkitError
from puppetmaster_self.instance.machine import Machine, Places
from puppetmaster_self.sync.git import GitFailed
from puppetmaster_self.transaction import departure, facts
from puppetmaster_self.transaction.journal import alone
from puppetmaster_self.transaction.steps.repository import Repository
from puppetmaster_self.transaction.transaction import disable, enable
from tests.support.patch_queues import BRANCH, LOCAL, Scene, git, make_template
from tests.support.scripted_machine import DEMO, ScriptedMachine, answering, run, self_signed
from tests.support.transports import free_port, wait_for_port


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene", make_template(tmp_path / "template"))


# Shallow


def cut_off(scene: Scene) -> Path:
    """Return a copy of the central repository in which only the newest commit is."""
    shallow = scene.base / "shallow.git"
    if not shallow.exists():
        run("git", "clone", "-q", "--bare", "--depth=1", f"file://{scene.central}", str(shallow))
    git(shallow, "fetch", "-q", "--depth=1", "origin", f"+{BRANCH.ref}:{BRANCH.ref}")
    assert git(shallow, "rev-list", "--count", BRANCH.ref) == "1"
    return shallow


def test_patches_are_carried_onto_a_shallow_branch_that_moves(scene: Scene) -> None:
    scene.local({"edit": "manifests/site.pp 3 mine", "subject": "mine"})
    for number in (1, 2):
        scene.commit(scene.central, BRANCH, {"edit": f"manifests/site.pp {number + 20} theirs {number}"})
        git(scene.own, "config", "remote.upstream.url", str(cut_off(scene)))
        result = scene.sync().run()
        assert (result.outcome, [fate.fortune for fate in result.replayed.fates if result.replayed]) == (
            "synced",
            ["moved"],
        ), result
        live = scene.live("manifests/site.pp") or ""
        assert "\nmine\n" in live and f"\ntheirs {number}\n" in live
        assert scene.sync().run().outcome == "current"
    scene.commit(scene.central, BRANCH, {"edit": "manifests/site.pp 3 theirs"})
    cut_off(scene)
    result = scene.sync().run()
    assert result.outcome == "conflict" and "manifests/site.pp" in result.message
    git(scene.central, "update-ref", BRANCH.ref, f"{BRANCH.ref}~1")
    # A whole repository again: its history comes along.
    git(scene.own, "config", "remote.upstream.url", str(scene.central))
    assert scene.sync().run().outcome == "current"
    assert git(scene.own, "rev-parse", "--is-shallow-repository") == "false"
    assert git(scene.own, "rev-list", "--count", LOCAL.ref) == "4"


def test_a_patch_is_sent_to_a_shallow_repository(scene: Scene) -> None:
    scene.local({"edit": "manifests/site.pp 3 mine", "subject": "mine"})
    scene.commit(scene.central, BRANCH, {"edit": "manifests/site.pp 20 theirs"})
    shallow = cut_off(scene)
    git(scene.own, "config", "remote.upstream.url", str(shallow))
    scene.sync().send(1, BRANCH.ref)
    assert "\nmine\n" in git(shallow, "show", f"{BRANCH}:manifests/site.pp")
    assert scene.sync().run().outcome == "synced"


def test_there_and_back_with_a_shallow_repository(tmp_path: Path) -> None:
    with answering(self_signed(tmp_path)) as port:
        scripted = ScriptedMachine(tmp_path / "m", port)
        scripted.make()
        whole = scripted.upstream.rename(tmp_path / "whole.git")
        seed = tmp_path / "seed"
        run("git", "clone", "-q", f"--branch={DEMO}", str(whole), str(seed))
        run("git", "-C", str(seed), "-c", "user.name=U", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m2")
        run("git", "-C", str(seed), "push", "-q")
        run("git", "clone", "-q", "--bare", "--depth=1", f"file://{whole}", str(scripted.upstream))
        before = scripted.look()

        def keep() -> None:
            departure.keep_commits(journal, machine, scripted.settings)

        with alone(scripted.places.lock) as handle:
            scripted.machine.lock_handle = handle
            journal, machine = scripted.journal, scripted.machine
            enable(journal, machine, scripted.steps(), print, scripted.opening)
            scripted.commit("# changed here\n")
            tip = run("git", "-C", str(scripted.places.repository), "rev-parse", "local")
            disable(journal, machine, keep, lambda: None, print)
            assert (journal.state, scripted.look()) == ("client", before)
            assert run("git", "-C", str(scripted.upstream), "branch", "--contains", tip).startswith("topic/demo/")
            (bundle,) = scripted.places.kept.glob("*/local.bundle")
            assert tip in run("git", "-C", str(scripted.upstream), "bundle", "list-heads", str(bundle))
            # The next self-master has them at hand.
            enable(journal, machine, scripted.steps(), print, scripted.opening)
            assert run("git", "-C", str(scripted.places.repository), "for-each-ref", "--contains", tip, "refs/kept")
            disable(journal, machine, keep, lambda: None, print)


# Asking


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which every program that could be asked for a password leaves a file."""
    home, mark = tmp_path / "home", tmp_path / "asked"
    home.mkdir()
    program = home / "askpass"
    program.write_text(f'#!/bin/sh\necho "$*" >>{mark}\nsleep 600\n')
    program.chmod(0o755)
    ssh = "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no"
    (home / ".gitconfig").write_text(f"[core]\n\taskPass = {program}\n\tsshCommand = {ssh}\n")
    for name in ("SSH_ASKPASS", "GIT_ASKPASS"):
        monkeypatch.setenv(name, str(program))
    for name, value in (("HOME", str(home)), ("DISPLAY", ":9"), ("SSH_ASKPASS_REQUIRE", "force")):
        monkeypatch.setenv(name, value)
    return mark


@contextmanager
def https_that_asks() -> Iterator[str]:
    class Asking(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Asking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/central.git"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def ssh_that_asks(base: Path) -> Iterator[str]:
    """A real sshd that takes passwords and nothing else."""
    base.mkdir()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / "host"))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    lines = (
        *(f"ListenAddress 127.0.0.1:{port}", f"HostKey {base / 'host'}", "PidFile none", "UsePAM no"),
        *("PasswordAuthentication yes", "KbdInteractiveAuthentication no", "PubkeyAuthentication no"),
        *("PermitRootLogin yes", "AuthorizedKeysFile none"),
    )
    (base / "sshd_config").write_text("\n".join(lines) + "\n")
    log = base / "sshd.log"
    with log.open("wb") as stream:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(base / "sshd_config")]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(port, process, log)
        yield f"ssh://root@127.0.0.1:{port}/central.git"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("https", "terminal prompts disabled"),
        ("https with a name", "terminal prompts disabled"),
        ("https with a wrong password", "Authentication failed"),
        ("ssh", "Permission denied (password)"),
        ("ssh, unknown host", "Host key verification failed"),
    ],
)
def test_who_asks_for_a_password_gets_none(kind: str, words: str, scene: Scene, asked: Path, tmp_path: Path) -> None:
    with ssh_that_asks(tmp_path / "sshd") if kind.startswith("ssh") else https_that_asks() as url:
        if "name" in kind:
            url = url.replace("//", "//olga@")
        if "wrong" in kind:
            url = url.replace("//", "//olga:secret-olga@")
        if "unknown" in kind:
            config = asked.parent / "home/.gitconfig"
            config.write_text(config.read_text().replace("StrictHostKeyChecking=no", "StrictHostKeyChecking=ask"))
        began = time.monotonic()
        machine = Machine(Places(tmp_path / "self"))
        told = [facts.unreadable(machine, url, BRANCH)]

        git(scene.own, "config", "remote.upstream.url", url)
        before = git(scene.own, "for-each-ref")
        result = scene.sync().run()
        assert (result.outcome, git(scene.own, "for-each-ref")) == ("failed", before)
        told.append(result.message)
        with pytest.raises(GitFailed) as refused:
            repository = scene.sync().repository
            repository.central.push(repository.queueing.queue(LOCAL, BRANCH).local, BRANCH.ref)
        told.append(str(refused.value))
        step = Repository(url, BRANCH, BRANCH, LOCAL, tmp_path / "copy", ("true",), 60)
        (tmp_path / "self").mkdir()
        with pytest.raises(ToolkitError, match=r"cannot be fetched") as failed:
            step.act(machine, step.remember(machine))
        told.append(str(failed.value))
        print("\n".join(told))
        for line in told:
            assert words in line and "git cannot ask for a password here" in line
            assert "\n" not in line and "secret-olga" not in line
        assert time.monotonic() - began < 300, "somebody waited"
    assert not asked.exists(), asked.read_text()
