"""`puppet generate types` in a version that is not live yet, so that environments do not share Ruby types.

puppetserver loads a type's Ruby code once for all environments, unless the
environment has a description of it in .resource_types/. That is made by
puppet's own program, which takes a second or more; so what it made is kept
under a name that says from which types, and linked into each version that has
the same ones. A push that changes no type costs some look-ups.

Owns: types/ in the store, and .resource_types/ in versions; the caller holds
the environment's lock and switches afterwards. Nothing is done where the tree
has a .resource_types of its own, or no types. Killed at any moment, the next
deploy makes it.

Failure modes: `TypesFailed` with puppet's own words: the deploy fails, the
environment stays as it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from glob import escape, glob
from typing import TYPE_CHECKING

from enc.programs.log import all_said, get
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from enc.terms.program_words import why

if TYPE_CHECKING:
    from pathlib import Path

    from git_hooks.store.layout import Layout

NAME = ".resource_types"
_KEPT = 20
"""Descriptions of so many sets of types are kept, the newest."""
_LONGEST = 120.0
"""Seconds that puppet may take."""


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
        kept = f"{self._layout.root}/types/{_fingerprint(version, types)}"
        if not os.path.isdir(kept) or not os.listdir(kept):
            self._make(environment, version, kept)
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

    def _types(self, version: str) -> list[str]:
        """Return the types' files below the version, sorted."""
        found: list[str] = []
        for directory in self._split:
            for place in glob(f"{escape(version)}/{directory}/*/lib/puppet/type", include_hidden=True):
                # Links to directories are not followed, as Ruby's ** does not: two that lead to themselves never end.
                for parent, _, names in os.walk(place):
                    found += [f"{parent}/{name}" for name in names if name.endswith(".rb")]
        return sorted(os.path.relpath(path, version) for path in found)

    def _make(self, environment: EnvironmentName, version: str, kept: str) -> None:
        """Run puppet on the version under the environment's name, in a directory where nothing else is."""
        work = f"{self._layout.work}/types-{os.getpid()}-{environment}-making"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(f"{work}/environments/{environment}")
        try:
            for name in os.listdir(version):
                os.symlink(f"{version}/{name}", f"{work}/environments/{environment}/{name}")
            self._run(environment, work)
            made = f"{work}/environments/{environment}/{NAME}"
            os.makedirs(made, exist_ok=True)
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            self._sweep(os.path.dirname(kept))
            os.sync()  # before it has its name; as rare as puppet's run, and quicker
            with suppress(OSError):  # somebody made the same meanwhile
                os.rename(made, kept)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run(self, environment: EnvironmentName, work: str) -> None:
        import subprocess

        # A configuration of its own: nothing of this machine's is read or written.
        places = [
            f"--{name}={work}/{name}" for name in ("confdir", "vardir", "codedir", "logdir", "rundir", "publicdir")
        ]
        where = [f"--environment={environment}", f"--environmentpath={work}/environments"]
        foreign = ("GIT_", "RUBY", "GEM_", "BUNDLE_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        command = [str(self._program), "generate", "types", *where, *places, "--color=false"]
        try:
            done = subprocess.run(
                command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TypesFailed(f"puppet generate types: {error}") from error
        told = (done.stderr + done.stdout).decode("utf-8", "replace")
        # It reports a type that it cannot read and ends with 0.
        errors = [line for line in told.splitlines() if line.startswith("Error:")]
        if done.returncode or errors:
            told = told.replace(f"{work}/environments/", "")
            reason = why(told, f"ended with {done.returncode}, and said nothing")
            all_said(get("deploy"), "puppet generate types", told, reason)
            raise TypesFailed(f"puppet generate types: {reason}")

    def _sweep(self, directory: str) -> None:
        names = sorted(os.listdir(directory), key=lambda name: -os.stat(f"{directory}/{name}").st_mtime)
        for name in names[_KEPT - 1 :]:
            shutil.rmtree(f"{directory}/{name}", ignore_errors=True)


def _fingerprint(version: str, types: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for path in types:
        with open(f"{version}/{path}", "rb") as stream:
            content = stream.read()
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()
