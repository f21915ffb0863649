"""Pushes without end at one `branch-manager hooks`, while git collects and packs: what does the service come to hold?

Most pushes do here what git-receive-pack does, without its processes: objects
into a quarantine, the service's pre-receive, objects into the repository, the
ref, the service's post-receive. One pusher of three is git itself. The hooks'
work without a service is spoilt, so that a push which the service does not
serve fails.

Beside them `git repack -ad` and `git gc` run one after the other. `git gc
--prune=now` runs, too, but not in the middle of a push: git itself warns that
it takes away what a push has just brought (git-gc(1), NOTES).
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from enc.settings import config
from git_hooks.push.install import KINDS, install
from git_hooks.push.service import socket_path
from git_hooks.repository.trees import DIRECTORY, FILE, Entry, render_tree
from tests.support.bare import Bare, git, write
from tests.support.slapd import Slapd
from tests.support.transports import hooks_served

MODULES = 40
BRANCHES = 8
"""Of each pusher."""
WHO = "olga"


class Held(NamedTuple):
    """What the service holds at a moment."""

    pushes: int
    memory: int
    """Bytes of it that are its own: the mapped files are the page cache's."""
    resident: int
    """Bytes in memory, mapped files and all."""
    descriptors: int
    packs: int
    """Pack files and indexes that it has mapped or open."""
    gone: int
    """Those of them that do not exist any more."""


class Soak:
    """A managed repository with a service, and the pushes at it; `failures` is what went wrong, in words."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        base.mkdir(exist_ok=True)
        self.bare = Bare(base)
        self.configuration = base / "config.yaml"
        paths = {name: str(getattr(self.bare.settings, name)) for name in ("repository", "store", "environments")}
        self.configuration.write_text(slapd.configuration(pushes={"identity": "gitolite"}, branches=paths))
        self.first = self.bare.commit("test", _files())
        install(config.load(self.configuration), self.configuration)
        for kind in KINDS:
            hook = self.bare.path / "hooks" / kind
            hook.write_text(hook.read_text().replace("git_hooks.hook", "git_hooks.nowhere"))
        self.client = base / "client.git"
        git(base, "clone", "-q", "--bare", str(self.bare.path), str(self.client))
        self.failures: list[str] = []
        self.collections = 0
        self.met = 0
        """How often two programs of git met, and one of them gave up for now."""
        self._numbers = itertools.count(1)
        self._pushing = _Several()
        self._shown: dict[str, str] = {}

    @contextmanager
    def service(self) -> Iterator[int]:
        """Within: the service runs; its pid."""
        with hooks_served(self.configuration, self.bare.settings.store, self.bare.base / "service.log") as process:
            yield process.pid

    def run(self, pid: int, marks: list[int], pause: float) -> Iterator[Held]:
        """Push until each of `marks` is reached, and yield what the service holds then; git rests for `pause` s."""
        lines = [_Line(self, f"line{number}", Receiving(self)) for number in range(2)]
        lines.append(_Line(self, "git", Git(self)))
        done, ended = 0, threading.Event()
        collecting = threading.Thread(target=self._collect, args=(ended, pause))
        collecting.start()
        try:
            for mark in marks:
                self._left = threading.Semaphore(mark - done)
                with ThreadPoolExecutor(len(lines)) as pool:
                    list(pool.map(_Line.push_all, lines))
                done = mark
                yield held(pid, mark)
        finally:
            ended.set()
            collecting.join()

    def another(self) -> int | None:
        """Return the number of the next push, None if there are enough for now."""
        return next(self._numbers) if self._left.acquire(blocking=False) else None

    def pushed(self, branch: str, body: str, said: str, good: bool) -> None:
        """Note how a push ended."""
        self._shown[branch] = body
        if not good or "live at" not in said:
            self.failures.append(f"{branch}: {said}")

    @contextmanager
    def push(self) -> Iterator[None]:
        """Within: no `git gc --prune=now` runs."""
        with self._pushing.one():
            yield

    def wrong(self) -> list[str]:
        """Return what is not as it was pushed, in the environments and in the repository."""
        unlike = []
        for branch, body in self._shown.items():
            environment = self.bare.live("project_" + branch.removeprefix("topic/").replace("/", "__"))
            shown = (environment / f"modules/m0/manifests/{branch.replace('/', '_')}.pp").read_text()
            if shown != body:
                unlike.append(f"{branch} shows {shown!r} instead of {body!r}")
        said = subprocess.run(
            ["git", f"--git-dir={self.bare.path}", "fsck", "--connectivity-only", "--no-dangling", "--no-progress"],
            capture_output=True,
            text=True,
            check=False,
        )
        return unlike + ([said.stderr] if said.returncode else [])

    def _collect(self, ended: threading.Event, pause: float) -> None:
        works = itertools.cycle([("repack", "-adq"), ("gc", "-q"), ("gc", "-q", "--prune=now")])
        while not ended.wait(pause):
            words = next(works)
            with self._pushing.none() if "--prune=now" in words else nullcontext():
                done = subprocess.run(["git", "-C", self.bare.path, *words], capture_output=True, check=False)
            if done.returncode:
                # It met git's own automatic gc after a push. Whether anything was lost, `wrong` says.
                self.met += 1
            else:
                self.collections += 1


class Receiving:
    """Receives pushes as git-receive-pack does."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self._objects = soak.bare.path / "objects"
        self._socket = socket_path(soak.bare.settings.store)

    def push(self, branch: str, old: str | None, parent: str, body: str) -> str:
        """Push one changed file; return the new commit."""
        quarantine = Path(tempfile.mkdtemp(prefix="tmp_objdir-incoming-", dir=self._objects))
        commit = changed(quarantine, branch, parent, body)
        update = f"{old or '0' * 40} {commit} refs/heads/{branch}\n"
        seen = {
            "GIT_OBJECT_DIRECTORY": str(quarantine),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._objects),
            "GIT_QUARANTINE_PATH": str(quarantine),
        }
        said = self._ask("pre-receive", update, seen)
        if said.endswith("=0\n"):
            for file in quarantine.glob("??/*"):
                _let_in(file, self._objects / file.parent.name / file.name)
            git(self._soak.bare.path, "update-ref", f"refs/heads/{branch}", commit, old or "0" * 40)
            said = self._ask("post-receive", update, {})
        shutil.rmtree(quarantine)
        self._soak.pushed(branch, body, said, said.endswith("=0\n"))
        return commit

    def _ask(self, kind: str, update: str, variables: dict[str, str]) -> str:
        lines = [kind, *(f"{name}={value}" for name, value in {"GL_USER": WHO, **variables}.items()), "", update]
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as service:
            service.connect(str(self._socket))
            service.sendall("\n".join(lines).encode())
            service.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: service.recv(65536), b"")).decode()


class Git:
    """Pushes with git."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak

    def push(self, branch: str, old: str | None, parent: str, body: str) -> str:
        """Push one changed file; return the new commit."""
        del old
        client = self._soak.client
        commit = changed(client / "objects", branch, parent, body)
        command = ["git", f"--git-dir={client}", "push", str(self._soak.bare.path), f"{commit}:refs/heads/{branch}"]
        environment = os.environ | {"GL_USER": WHO}
        while True:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if "unable to migrate objects" not in done.stderr:
                break
            # git's own two programs met: gc took away a directory that receive-pack had just found. People push again.
            self._soak.met += 1
        self._soak.pushed(branch, body, done.stderr, done.returncode == 0)
        return commit


class _Line:
    """One pusher with branches of its own: one push after the other, each upon the last one of its branch."""

    def __init__(self, soak: Soak, name: str, way: Receiving | Git) -> None:
        self._soak = soak
        self._way = way
        self._tips: dict[str, str | None] = {f"topic/red/{name}n{number}": None for number in range(BRANCHES)}

    def push_all(self) -> None:
        while (number := self._soak.another()) is not None:
            branch = list(self._tips)[number % BRANCHES]
            tip = self._tips[branch]
            with self._soak.push():
                self._tips[branch] = self._way.push(branch, tip, tip or self._soak.first, f"# push {number}\n")


def changed(objects: Path, branch: str, parent: str, body: str) -> str:
    """Write a commit upon `parent` that has one file more, or another content of it; return its name."""
    files = {"init.pp": "class m0 { }\n", f"{branch.replace('/', '_')}.pp": body}
    manifests = [Entry(FILE, name, write(objects, "blob", text.encode())) for name, text in files.items()]
    module = [Entry(DIRECTORY, "manifests", _tree(objects, manifests))]
    modules = [Entry(DIRECTORY, "m0", _tree(objects, module))]
    modules += [Entry(DIRECTORY, f"m{number}", _module(objects, number)) for number in range(1, MODULES)]
    top = [Entry(DIRECTORY, "modules", _tree(objects, modules))]
    who = f"{WHO} <{WHO}@example.org> {int(time.time())} +0000"
    text = f"tree {_tree(objects, top)}\nparent {parent}\nauthor {who}\ncommitter {who}\n\na change\n"
    return write(objects, "commit", text.encode())


def held(pid: int, pushes: int) -> Held:
    """Look at what the process holds now."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    sizes = {name: int(status[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS")}
    mapped = {line.split(None, 5)[5] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/pack/" in line}
    opened = [target for handle in Path(f"/proc/{pid}/fd").iterdir() if (target := _target(handle))]
    packs = {*mapped, *(target for target in opened if "/pack/" in target)}
    gone = [name for name in packs if name.endswith("(deleted)")]
    return Held(pushes, sizes["RssAnon"], sizes["VmRSS"], len(opened), len(packs), len(gone))


class _Several:
    """Either some that push, or one that wants nobody to."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._changed = threading.Condition()
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._door, self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    @contextmanager
    def none(self) -> Iterator[None]:
        with self._door, self._changed:
            self._changed.wait_for(lambda: self._count == 0)
            yield


def _let_in(file: Path, goal: Path) -> None:
    """Move an object to its place, whose directory a gc may take away while it is empty."""
    while True:
        with suppress(FileNotFoundError, FileExistsError):
            goal.parent.mkdir(exist_ok=True)
            file.replace(goal)
            return


def _files() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    return {"modules": {f"m{n}": {"manifests": {"init.pp": f"class m{n} {{ }}\n"}} for n in range(MODULES)}}


def _module(objects: Path, number: int) -> str:
    blob = write(objects, "blob", f"class m{number} {{ }}\n".encode())
    return _tree(objects, [Entry(DIRECTORY, "manifests", _tree(objects, [Entry(FILE, "init.pp", blob)]))])


def _tree(objects: Path, entries: list[Entry]) -> str:
    return write(objects, "tree", render_tree(entries))


def _target(handle: Path) -> str:
    try:
        return str(handle.readlink())
    except OSError:
        return ""
