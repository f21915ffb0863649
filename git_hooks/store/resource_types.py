"""`puppet generate types` for a version that is not live yet, so that environments do not share Ruby types.

puppetserver loads a type's Ruby code once for all environments, unless the
environment has a description of it in .resource_types/. That is made by
puppet's own program, which loads all that Ruby: so it runs in a sandbox
(enc/programs/sandbox.py), gets the `lib` directories of the tree's modules and
its environment.conf, and nothing else of this machine, and what comes back is
taken as far as it is descriptions of the tree's own types.

It takes a second or more; so what it made is kept under a name that says from
what (all that it was given, since any file may change what a type is), and
linked into each version that has the same. A push that changes no `lib` has
them read for that, and no more.

Owns: types/ in the store, and .resource_types/ in versions; the caller holds
the environment's lock and switches afterwards. Nothing is done where the tree
has a .resource_types of its own, or no types. Killed at any moment, the next
deploy makes it. Not here: whether the descriptions are to be trusted. They are
Puppet code that puppetserver evaluates, made by the tree's Ruby: as trusted as that.

Failure modes: `TypesFailed`, with puppet's own words or why there is no sandbox:
the deploy fails, the environment stays as it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import escape, glob
from typing import TYPE_CHECKING

from enc.programs.file_systems import written_through
from enc.programs.log import all_said, get
from enc.terms.errors import ToolkitError, one_line
from enc.terms.names import EnvironmentName
from enc.terms.program_words import why
from git_hooks.store.splitting import values

if TYPE_CHECKING:
    from pathlib import Path

    from git_hooks.store.layout import Layout

NAME = ".resource_types"
_CONF = "environment.conf"
_KEPT = 20
"""Descriptions of so many sets of types are kept, the newest."""
_MOST_FILES = 20_000
_MOST_BYTES = 32 << 20
"""What is given to puppet at most; all of `lib` in a large site's tree is 2 MB."""
_HEAD = 200
"""Bytes of the line before a description, at most."""
_LARGEST = 1 << 20
"""Bytes of one description."""
_IN = "types"
"""What the environment is called in the sandbox: no type can tell for which one it is described."""
_SCRIPT = """
tar -xf - && "$@" >&2 < /dev/null || exit
cd environments/types/.resource_types || exit 0
for made in *.pp; do
    [ ! -f "$made" ] || { echo "$made $(stat -c %s "$made")" && cat "$made"; } || exit
done
"""


class TypesFailed(ToolkitError):
    """puppet could not describe the types of a tree."""


class ResourceTypes:
    """Makes descriptions of types for the versions of one store."""

    def __init__(self, layout: Layout, split: Iterable[str], program: Path | None) -> None:
        """`split`: the directories of modules; `program`: puppet, None: nothing is ever made."""
        self._layout = layout
        self._split = tuple(split)
        self._program = program

    def prepare(self, environment: EnvironmentName, version: str) -> None:
        """Let the version have its description, if it is to have one; raise `TypesFailed`."""
        goal = f"{version}/{NAME}"
        if self._program is None or (os.path.lexists(goal) and not self.missing(version)):
            return
        types = self._types(version)
        if not types:
            return
        given = dict(self._given(version))
        kept = f"{self._layout.root}/types/{_fingerprint(given)}"
        if not os.path.isdir(kept) or not os.listdir(kept):
            self._make(environment, given, types, kept)
        with suppress(FileNotFoundError):
            os.utime(kept)
        aside = f"{self._layout.work}/types-{os.getpid()}-{environment}"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(kept, aside, copy_function=os.link)
        os.rename(aside, goal)

    def missing(self, version: str) -> str:
        """Return what is missing of a version that should have its description; empty if nothing is."""
        goal = f"{version}/{NAME}"
        if self._program is None or os.path.islink(goal):
            return ""
        if os.path.isdir(goal):
            return "" if os.listdir(goal) or not self._types(version) else f"{goal} is empty"
        return f"{goal} is missing" if not os.path.lexists(goal) and self._types(version) else ""

    def _modules(self, version: str) -> Iterator[str]:
        """Yield the paths of `lib` directories of modules below the version, each real one once."""
        named = []
        with suppress(OSError), open(f"{version}/{_CONF}", "rb") as stream:
            named = [part.strip() for value in values(stream.read(65_536), "modulepath") for part in value.split(":")]
        inside = [os.path.normpath(part) for part in named if part and not part.startswith(("/", "~", "$"))]
        inside = [part for part in inside if part.split("/")[0] not in ("..", ".")]
        store, seen = os.path.realpath(self._layout.root), set()
        for directory in dict.fromkeys((*inside, *self._split)):
            for place in sorted(glob(f"{escape(version)}/{directory}/*/lib", include_hidden=True)):
                real = os.path.realpath(place)
                if real not in seen and real.startswith(f"{store}/"):
                    seen.add(real)
                    yield os.path.relpath(place, version)

    def _types(self, version: str) -> frozenset[str]:
        """Return the names of the types below the version."""
        found: set[str] = set()
        for module in self._modules(version):
            # Links to directories are not followed, as Ruby's ** does not: two that lead to themselves never end.
            for _, _, names in os.walk(f"{version}/{module}/puppet/type"):
                found.update(name.removesuffix(".rb") for name in names if name.endswith(".rb"))
        return frozenset(found)

    def _given(self, version: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of all that puppet gets; raise `TypesFailed` if that is too much."""
        files = size = 0
        for path in (_CONF, *(found for module in self._modules(version) for found in _below(version, module))):
            try:
                with open(f"{version}/{path}", "rb") as stream:
                    files, size = files + 1, size + os.fstat(stream.fileno()).st_size
                    if files > _MOST_FILES or size > _MOST_BYTES:
                        most = f"{_MOST_FILES} files or {_MOST_BYTES} bytes"
                        raise TypesFailed(f"the modules' lib directories hold more than {most}; no types are described")
                    content = stream.read()
            except OSError:
                continue  # not there, or no file
            yield path, content

    def _make(self, environment: EnvironmentName, given: dict[str, bytes], types: frozenset[str], kept: str) -> None:
        made = f"{self._layout.work}/types-{os.getpid()}-{environment}-making"
        shutil.rmtree(made, ignore_errors=True)
        os.makedirs(made)
        try:
            described = list(self._run(given, types))
            with written_through(made) as through:
                for name, content in described:
                    with open(f"{made}/{name}", "xb") as stream:
                        stream.write(content)
                through()  # before it has its name; as rare as puppet's run, and quicker
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            self._sweep(os.path.dirname(kept))
            with suppress(OSError):  # somebody made the same meanwhile
                os.rename(made, kept)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _run(self, given: dict[str, bytes], types: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of each description that puppet makes; raise `TypesFailed`."""
        from enc.programs import sandbox

        # A configuration of its own: nothing of this machine's is there to be read.
        names = ("confdir", "vardir", "codedir", "logdir", "rundir", "publicdir")
        where = [f"--environment={_IN}", f"--environmentpath={sandbox.WORK}/environments"]
        places = [f"--{name}={sandbox.WORK}/puppet" for name in names]
        command = [str(self._program), "generate", "types", *where, *places, "--color=false"]
        try:
            done = sandbox.run(["/bin/sh", "-c", _SCRIPT, "sh", *command], _packed(given))
        except sandbox.NoSandbox as error:
            raise TypesFailed(f"puppet generate types: {error}; branch-manager doctor tries it") from error
        except sandbox.OutOfBounds as error:
            raise TypesFailed(f"puppet generate types: it {error}") from None
        told = done.said.decode("utf-8", "replace")
        # It reports a type that it cannot read and ends with 0.
        errors = [line for line in told.splitlines() if line.startswith("Error:")]
        if done.status or errors:
            told = told.replace(f"{sandbox.WORK}/environments/{_IN}/", "")
            reason = why(told, f"ended with {done.status}, and said nothing")
            all_said(get("deploy"), "puppet generate types", told, reason)
            raise TypesFailed(f"puppet generate types: {reason}")
        yield from _descriptions(done.answer, types)

    def _sweep(self, directory: str) -> None:
        names = sorted(os.listdir(directory), key=lambda name: -os.stat(f"{directory}/{name}").st_mtime)
        for name in names[_KEPT - 1 :]:
            shutil.rmtree(f"{directory}/{name}", ignore_errors=True)


def _below(version: str, directory: str) -> Iterator[str]:
    for parent, directories, names in os.walk(f"{version}/{directory}"):
        directories.sort()
        yield from (f"{parent}/{name}".removeprefix(f"{version}/") for name in sorted(names))


def _fingerprint(given: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in given.items():
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def _packed(given: dict[str, bytes]) -> bytes:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        top = tarfile.TarInfo(f"environments/{_IN}")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(top)
        for path, content in given.items():
            item = tarfile.TarInfo(f"environments/{_IN}/{path}")
            item.size, item.mode = len(content), 0o644
            archive.addfile(item, io.BytesIO(content))
    return packed.getvalue()


def _descriptions(answer: bytes, types: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what the sandbox answered; raise `TypesFailed` for what is no description of a type of the tree.

    Hostile code can have made all of it; so the form is one that can be held to: NAME LENGTH LF, LENGTH octets.
    """
    found: set[str] = set()
    left = memoryview(answer)
    while left:
        head = bytes(left[:_HEAD]).partition(b"\n")[0]
        match = re.fullmatch(rb"([a-z][a-z0-9_]{0,99})\.pp ([0-9]{1,7})", head)
        kind, size = (match[1].decode(), int(match[2])) if match else ("", 0)
        start = len(head) + 1
        if kind not in types or kind in found or size > _LARGEST or len(left) < start + size:
            what = one_line(head.decode("utf-8", "replace"))
            raise TypesFailed(f"puppet generate types: made {what!r}, which describes no type of the tree")
        found.add(kind)
        yield f"{kind}.pp", bytes(left[start : start + size])
        left = left[start + size :]
