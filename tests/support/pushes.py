"""Pushes as data (tests/cases/pushes): a managed repository with people in LDAP, and real git pushing into it.

A file is a list of cases. A case:

    name:   what it shows
    who:    who pushes (GL_USER); see PEOPLE
    push:   refs, each with `ref` (a branch, or refs/…) and one of
              delete: true
              to: BRANCH               an existing commit as it is
              files: {PATH: CONTENT}   a new commit on `from` (default: the ref itself, or test);
                                       null removes; `-> X` is a link, `#!…` a program, {bytes: N} is N bytes
              raw: {DIRECTORY: [{mode, name or hex, content or tree: same}]}   entries that git would not make
            also: orphan: true (no parent), first: {files, raw} (a commit before it), tag: true (annotated),
          claims: BRANCH (a line of the commit says, in the wrong place, that this is its parent)
    fsck:   true leaves git's own checks on; otherwise they are off, so that it is ours that answer
    also:   [cold, sha256]: where else it runs
    taken:  whether all refs move; if not, none may
    says:   what stands in git's output
    shows:  {ENVIRONMENT: {PATH: CONTENT or null}} afterwards
    gone:   [ENVIRONMENT] not there afterwards
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from enc.settings import config
from git_hooks.push.install import install
from git_hooks.push.service import Service, socket_path
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, Entry, parse_tree, render_tree
from tests.support.bare import Bare, commit_text, git, write
from tests.support.slapd import ADD, Slapd

CASES = Path(__file__).parent.parent / "cases" / "pushes"
S = "dc=example,dc=org"
PEOPLE = ("anna", "bert", "mia", "olga", "zoe")
"""Admin of red and gone; admin of blue; member of red; operator; in no project."""
RULES = [
    *("production = production", "test = test"),
    *("project/<name> = project_<name>", "topic/<name>/<topic> = project_<name>__<topic>"),
]
LIMITS = {"file_bytes": 50_000, "push_bytes": 120_000, "files": 150}
ALLOWED = {"links": ["home/*/.my.cnf"], "modulepath": ["/etc/puppet/private/modules"]}
BRANCHES: dict[str, dict[str, str]] = {
    "production": {},
    "test": {"manifests/site.pp": "test"},
    "project/red": {"manifests/site.pp": "red"},
    "project/blue": {"manifests/site.pp": "blue"},
    "project/gone": {"manifests/site.pp": "its project is not in LDAP"},
    "topic/red/idle": {"manifests/site.pp": "idle"},
    "topic/red/used": {"manifests/site.pp": "used"},
    "scratch": {"manifests/site.pp": "was here before the rules"},
}
COMMON = {
    "manifests/site.pp": "production",
    "environment.conf": "modulepath = modules:$basemodulepath\n",
    "modules/a/manifests/init.pp": "class a {}",
    "modules/a/files/data": "data",
    "modules/b/manifests/init.pp": "class b {}",
    "docs/Readme.md": "read me",
}


def cases() -> list[dict[str, Any]]:
    """Return all cases, each with its file in `file`."""
    found = []
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            found.append({"file": path.stem, **case})
    return found


def populate(slapd: Slapd) -> None:
    """Add PEOPLE, the projects red, blue and green, and two nodes on branches."""
    for uid in PEOPLE:
        slapd.add(f"uid={uid},ou=people,{S}", {"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid})
    slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [_dn("olga")])]})
    projects = {"red": ("anna", ["anna", "mia"]), "blue": ("bert", ["bert"]), "green": ("bert", ["bert"])}
    for project, (admin, members) in projects.items():
        place = f"cn={project},ou=projects,{S}"
        slapd.add(place, {"objectClass": "groupOfNames", "cn": project, "member": [_dn(uid) for uid in members]})
        role = {"objectClass": "organizationalRole", "cn": "projectadmin", "roleOccupant": _dn(admin)}
        slapd.add(f"cn=projectadmin,{place}", role)
    slapd.add(f"ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit", "ou": "red"})
    for name, environment in (("web1.example.org", "project_red"), ("web2.example.org", "project_red__used")):
        entry = {"objectClass": ["device", "puppetClient"], "cn": name, "environment": environment}
        slapd.add(f"cn={name},ou=red,ou=hosts,{S}", entry)


def _dn(uid: str) -> str:
    return f"uid={uid},ou=people,{S}"


@dataclass
class Pushed:
    """What became of a push."""

    status: int
    output: str
    moved: dict[str, str | None] = field(default_factory=dict)
    """Refs that are not as they were, with what they are now; not those below refs/archive/."""
    kept: dict[str, str] = field(default_factory=dict)
    """What came into refs/archive/: branch and commit."""


class ManagedRepository:
    """One bare repository with hooks, and a client that makes commits of any kind."""

    def __init__(self, base: Path, slapd: Slapd, object_format: str = "sha1", **pushes: object) -> None:
        base.mkdir()
        self.base = base
        self.bare = Bare(base, object_format)
        self.configuration = base / "config.yaml"
        document = yaml.safe_load(slapd.configuration())
        document["directory"]["timeout"] = "30s"
        document["answers"] = {"directory": str(base / "answers")}
        document["branches"] = {
            "repository": str(self.bare.path),
            "store": str(base / "store"),
            "environments": str(base / "environments"),
            "rules": RULES,
            "transport": {"tokens": str(base / "tokens")},
            "opening": {"state": str(base / "opening")},
            "members_code": "trusted",  # what runs on the master has tests of its own, and a parser to start
        }
        # What Puppet's parser says has tests of its own, too.
        off = {"syntax": "off", "assigned": "off", "secrets": "off", "lint": "off"}
        document["pushes"] = {"identity": "gitolite", **off, **LIMITS, **ALLOWED, **pushes}
        self.configuration.write_text(yaml.safe_dump(document))
        self.settings = config.load(self.configuration)
        first = None
        for branch, files in BRANCHES.items():
            commit = self.bare.commit_tree(branch, self.bare.tree(_nested({**COMMON, **files})), parent=first)
            first = first or commit
        git(self.bare.path, "update-ref", "refs/archive/project/red/old", f"{first}")
        git(self.bare.path, "update-ref", "refs/tags/v1", f"{first}")
        install(self.settings, self.configuration)
        self._client = base / "client.git"
        git(base, "clone", "-q", "--mirror", "--shared", str(self.bare.path), str(self._client))
        self._before = self.refs()
        self.first = dict(self._before)
        """The refs as they were made."""
        self._fsck = True
        self._writer = _Objects(self._client, len(self._before["refs/heads/test"]) // 2)
        self._read_before: dict[str, bytes] = {}

    @contextmanager
    def serving(self) -> Iterator[Service]:
        """Within: a warm service answers the hooks."""
        service = Service(self.configuration)
        thread = threading.Thread(target=service.run)
        thread.start()
        while not socket_path(service.settings.store).exists():
            time.sleep(0.01)
        yield service
        service.stop()
        thread.join()

    def configure(self, **pushes: object) -> None:
        """Change settings of the section `pushes`."""
        document = yaml.safe_load(self.configuration.read_text())
        document["pushes"].update(pushes)
        self.configuration.write_text(yaml.safe_dump(document))

    def refs(self) -> dict[str, str]:
        """Return all refs of the repository."""
        lines = git(self.bare.path, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def reset(self) -> None:
        """Put all refs back to where they began."""
        now = self.refs()
        lines = [f"delete {ref}" for ref in now if ref not in self._before]
        lines += [f"update {ref} {commit}" for ref, commit in self._before.items() if now.get(ref) != commit]
        if lines:
            git(self.bare.path, "update-ref", "--stdin", stdin="".join(f"{line}\n" for line in lines).encode())

    def put(self, branch: str, files: Mapping[str, Any]) -> None:
        """Let a branch have `files` beside the usual ones, without a push; until the next call."""
        ref = self.full(branch)
        content = _nested({**COMMON, **{path: text for path, text in files.items() if text is not None}})
        self._before[ref] = self.bare.commit_tree(branch, self.bare.tree(content), parent=self.first[ref])

    def push(
        self,
        refs: list[dict[str, Any]],
        who: str = "mia",
        *,
        fsck: bool = False,
        through: Sequence[str] = (),
        **environ: str,
    ) -> Pushed:
        """Push as `who`, and tell what became of it; `through`: a program that starts git."""
        if fsck != self._fsck:
            git(self.bare.path, "config", "receive.fsckObjects", "true" if fsck else "false")
            self._fsck = fsck
        specs = [self._refspec(wanted) for wanted in refs]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            [*through, "git", "-C", str(self._client), "push", "-q", str(self.bare.path), *specs],
            env=environment | {"GL_USER": who, "GIT_CONFIG_GLOBAL": "/dev/null"} | environ,
            capture_output=True,
            check=False,
        )
        now = self.refs()
        moved = {ref: now.get(ref) for ref in {*now, *self._before} if now.get(ref) != self._before.get(ref)}
        new = {ref: moved.pop(ref) for ref in sorted(moved) if ref.startswith("refs/archive/")}
        kept = {ref.removeprefix("refs/archive/").partition("@")[0]: commit for ref, commit in new.items() if commit}
        return Pushed(done.returncode, done.stderr.decode("utf-8", "replace"), moved, kept)

    def send(self, lines: list[str], who: str = "mia") -> str:
        """Push by hand, without commits: `OLD NEW REF` each, in this order, whatever git's own client would say."""
        packets = []
        for number, line in enumerate(lines):
            text = line.encode() + (b"" if number else b"\0report-status")
            packets.append(b"%04x" % (len(text) + 4) + text)
        empty = b"PACK\0\0\0\2\0\0\0\0"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", "receive-pack", str(self.bare.path)],
            env=environment | {"GL_USER": who, "GIT_CONFIG_GLOBAL": "/dev/null"},
            input=b"".join(packets) + b"0000" + empty + hashlib.sha1(empty).digest(),
            capture_output=True,
            check=False,
        )
        return done.stderr.decode("utf-8", "replace")

    def shown(self, environment: str, path: str) -> str | None:
        """Return what a file of an environment says; None if it is not there."""
        try:
            return (self.base / "environments" / environment / path).read_text()
        except FileNotFoundError:
            return None

    def left(self, moved: Mapping[str, str | None]) -> dict[str, str]:
        """Return branch and old commit of those that do not have it any more."""
        found = {}
        for ref, new in moved.items():
            old = self._before.get(ref)
            if old and ref.startswith("refs/heads/"):
                only = git(self.bare.path, "rev-list", "-1", old, *([f"^{new}"] if new else []))
                if only:
                    found[ref.removeprefix("refs/heads/")] = old
        return found

    def full(self, ref: str) -> str:
        """Return the whole name of a branch or ref."""
        return ref if ref.startswith("refs/") else f"refs/heads/{ref}"

    def _refspec(self, wanted: Mapping[str, Any]) -> str:
        ref = self.full(wanted["ref"])
        if wanted.get("delete"):
            return f":{ref}"
        if "to" in wanted:
            source = self._before.get(self.full(wanted["to"]), wanted["to"])
        else:
            source = self._commit(ref, wanted)
        return f"+{source}:{ref}"

    def _commit(self, ref: str, wanted: Mapping[str, Any]) -> str:
        start = self.full(wanted.get("from") or (ref if ref in self._before else "test"))
        parent: str | None = self._before[start]
        if "first" in wanted:
            parent = self._one_commit(parent, wanted["first"])
        if wanted.get("orphan"):
            parent = None
        base = {} if wanted.get("orphan") else self._read(self._tree_of(parent))
        commit = self._one_commit(parent, wanted, base)
        if "claims" in wanted:
            head, _, message = self._object("commit", commit).decode().partition("\n\n")
            text = f"{head}\nparent {self._before[self.full(wanted['claims'])]}\n\n{message}"
            commit = self._writer.write("commit", text.encode())
        if not wanted.get("tag"):
            return commit
        text = f"object {commit}\ntype commit\ntag t\ntagger A <a@example.org> 1700000000 +0000\n\nt\n"
        return self._writer.write("tag", text.encode())

    def _one_commit(self, parent: str | None, wanted: Mapping[str, Any], base: dict[str, Any] | None = None) -> str:
        content = self._read(self._tree_of(parent)) if base is None else base
        for path, value in wanted.get("files", {}).items():
            _put(content, path.split("/"), value)
        raw: dict[str, list[Entry]] = {}
        for directory, entries in wanted.get("raw", {}).items():
            raw[directory] = [self._raw(entry) for entry in entries]
            if directory:
                _put(content, directory.split("/"), {}, keep=True)
        tree = self._writer.tree(content, raw, "")
        return self._writer.write("commit", commit_text(tree, *([parent] if parent else [])))

    def _raw(self, wanted: Mapping[str, Any]) -> Entry:
        writer = self._writer
        name = bytes.fromhex(wanted["hex"]) if "hex" in wanted else wanted["name"].encode()
        mode = int(str(wanted.get("mode", "100644")), 8)
        if "id" in wanted:
            target = (wanted["id"] * 64)[: len(self._before["refs/heads/test"])]
        elif mode == DIRECTORY:
            content = wanted.get("tree", {"f": "x"})
            target = self._bomb(wanted["bomb"]) if "bomb" in wanted else writer.tree(content, {}, "")
        else:
            target = writer.blob(wanted.get("content", "x"))
        return Entry(mode, name.decode("utf-8", "surrogateescape"), target)

    def _bomb(self, depth: int) -> str:
        """Make a tree that holds ten times itself, and that `depth` times."""
        writer = self._writer
        tree = writer.tree({"f": "x"}, {}, "")
        for _ in range(depth):
            tree = writer.raw_tree([Entry(DIRECTORY, f"d{n}", tree) for n in range(10)])
        return tree

    def _read(self, tree: str) -> dict[str, Any]:
        entries = parse_tree(self._object("tree", tree), len(tree) // 2)
        return {entry.name: self._read(entry.id) if entry.is_directory else entry for entry in entries}

    def _tree_of(self, commit: str | None) -> str:
        assert commit is not None
        return self._object("commit", commit).split(b"\n", 1)[0].decode().removeprefix("tree ")

    def _object(self, kind: str, name: str) -> bytes:
        """Return an object's content, which is always the same: git is asked once."""
        if name not in self._read_before:
            command = ["git", "-C", str(self._client), "cat-file", kind, name]
            self._read_before[name] = subprocess.check_output(command)
        return self._read_before[name]


class _Objects:
    """Writes objects into the client's repository, without git, which costs a process each time."""

    def __init__(self, client: Path, name_bytes: int) -> None:
        self._objects, self._name_bytes = client / "objects", name_bytes

    def write(self, kind: str, content: bytes) -> str:
        return write(self._objects, kind, content, self._name_bytes)

    def blob(self, content: object) -> str:
        if isinstance(content, Mapping):
            data = b"" if "bytes" not in content else os.urandom(content["bytes"] // 2).hex().encode()
        else:
            data = str(content).encode()
        return self.write("blob", data)

    def raw_tree(self, entries: list[Entry]) -> str:
        return self.write("tree", render_tree(entries))

    def tree(self, content: Mapping[str, Any], raw: Mapping[str, list[Entry]], path: str) -> str:
        entries = []
        for name, value in content.items():
            if isinstance(value, Entry):
                entries.append(value)
            elif isinstance(value, Mapping) and "bytes" not in value:
                entries.append(Entry(DIRECTORY, name, self.tree(value, raw, f"{path}/{name}".strip("/"))))
            elif isinstance(value, str) and value.startswith("-> "):
                entries.append(Entry(LINK, name, self.blob(value[3:])))
            else:
                program = isinstance(value, str) and value.startswith("#!")
                entries.append(Entry(PROGRAM if program else FILE, name, self.blob(value)))
        return self.raw_tree([*entries, *raw.get(path, [])])


def _nested(files: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for path, value in files.items():
        _put(content, path.split("/"), value)
    return content


def _put(content: dict[str, Any], parts: list[str], value: object, *, keep: bool = False) -> None:
    head, *rest = parts
    if rest:
        below = content.get(head)
        if not isinstance(below, dict):
            below = content[head] = {}
        _put(below, rest, value, keep=keep)
    elif value is None:
        del content[head]
    elif not (keep and isinstance(content.get(head), dict)):
        content[head] = value
