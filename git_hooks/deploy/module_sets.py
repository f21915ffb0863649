"""The modules of Puppetfiles in the store, and how a version comes to show them.

A *set* is the modules that one Puppetfile asked for, fetched once and never
changed: puppetfiles/KEY.TIME.TREE. KEY says what was asked for and of which
program, so that comments and order make no difference; TIME when, because
branches move on; TREE what came, for `verify-store`. Versions with the same
Puppetfile share a set. A version never changes its set: modules that moved on
come with the next commit.

A version shows them through links: JOINED is a directory of links to the set's
modules and, beside them, to the tree's own; the module directory's name is a
link to it. Both are made before the switch. The caller holds the environment's
lock, and the store's shared one, so gc removes no set between fetch and link.

Everything is made in work/ and gets its name by one rename. The program's
cache is moved into work/ for the run and comes back only after a good one: a
cache that a kill or an outage left half written is thrown away with work/.

Failure modes: `UnsoundPuppetfile`, `UnsoundModules`, `FetchFailed`: the
deploy fails, the environment stays as it was, and the next deploy tries again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from enc.programs.file_systems import written_through
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks.deploy.module_program import CACHE, MODULES, fetch
from git_hooks.deploy.verify import tree_of_files
from git_hooks.puppetfile import JOINED, NAME, sources
from git_hooks.puppetfile.asked import asked
from git_hooks.puppetfile.language import Puppetfile, UnsoundPuppetfile, check_beside
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import UnsoundTree, climb
from git_hooks.store.attributes import LONGEST_POINTER, is_pointer
from git_hooks.store.layout import Layout, is_part, is_split
from git_hooks.store.locks import locked
from git_hooks.store.steps import DiskStep
from git_hooks.store.survey import some

if TYPE_CHECKING:
    from enc.settings import PuppetfileSettings
    from git_hooks.repository.objects import Repository

_THEIR_OWN = (".git", ".latest_commit", ".r10k-deploy.json")
"""What r10k and g10k leave in a module."""


class UnsoundModules(ToolkitError):
    """Modules that were fetched and must not be served, or cannot be shown."""


class Sets:
    """The sets of one store; for one deploy at a time."""

    def __init__(
        self,
        layout: Layout,
        settings: PuppetfileSettings,
        repository: Repository,
        at: DiskStep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._program = settings.program or Path("/nonexistent/r10k")
        self._repository = repository
        self._at = at
        self._clock = clock
        self._pointers: list[str] = []
        """Files of modules that are only pointers of Git LFS."""

    def show(self, environment: EnvironmentName, commit: ObjectId) -> str:
        """Let the version show the modules of its Puppetfile; return what the pusher should know."""
        version = self._layout.version(environment, commit)
        puppetfile = asked(self._repository, commit, sources(self._settings))
        if puppetfile is None or not puppetfile.modules:
            return ""
        note = ""
        work = f"{self._layout.work}/puppetfile-{os.getpid()}-{environment}"
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        try:
            if not os.path.isdir(f"{version}/{JOINED}"):
                own = self._own(f"{version}/{puppetfile.directory}", puppetfile)
                chosen, note = self._set(puppetfile, work)
                self._join(own, chosen, puppetfile, work)
                self._at("name joined modules")
                os.rename(f"{work}/{JOINED}", f"{version}/{JOINED}")
            shown = f"{version}/{puppetfile.directory}"
            if not os.path.islink(shown) or os.readlink(shown) != JOINED:
                os.symlink(JOINED, f"{work}/shown")
                self._at("show joined modules")
                os.rename(f"{work}/shown", shown)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return note

    def _own(self, directory: str, puppetfile: Puppetfile) -> Mapping[str, str]:
        """Return name → path of what the tree itself has in the module directory."""
        if not os.path.lexists(directory):
            return {}
        target = os.readlink(directory) if os.path.islink(directory) else ""
        unit = self._layout.unit_of(target)
        if unit is None or not (is_split(unit) or is_part(unit)):
            text = (
                f"the modules cannot be put into the tree's own {puppetfile.directory}/: it is neither modules, "
                "site or site-modules nor in the modulepath of environment.conf; set another moduledir"
            )
            raise UnsoundPuppetfile(text, where=NAME)
        own = {name: f"{target}/{name}" for name in os.listdir(target)}
        check_beside(puppetfile, own)
        return own

    def _set(self, puppetfile: Puppetfile, work: str) -> tuple[str, str]:
        """Return the set for a Puppetfile, and what there is to tell if it was fetched now."""
        key = hashlib.sha256(f"{self._program.name}\n{puppetfile.text()}".encode("ascii")).hexdigest()[:40]
        found = self._known(key, puppetfile)
        if found is not None:
            return found, ""
        with locked(self._layout.puppetfile_lock):
            found = self._known(key, puppetfile)  # somebody else's push fetched it while this one waited
            if found is not None:
                return found, ""
            began = time.perf_counter()
            made = self._fetch(key, puppetfile, work)
            spent = (time.perf_counter() - began) * 1000
        count = "the module" if len(puppetfile.modules) == 1 else f"the {len(puppetfile.modules)} modules"
        which = (
            "exact versions: fetched once"
            if puppetfile.pinned
            else "not all are exact versions: fetched again from time to time"
        )
        note = f"{self._program.name} fetched {count} of its Puppetfile in {spent:.0f} ms ({which})"
        if self._pointers:
            note += f"\nGit LFS holds the content of {some(self._pointers)}: only a pointer to it was fetched"
        return made, note

    def _known(self, key: str, puppetfile: Puppetfile) -> str | None:
        """Return the newest set for `key` that may still be used."""
        with suppress(FileNotFoundError):
            fetched = {}
            for name in os.listdir(self._layout.puppetfiles):
                if name.startswith(f"{key}.") and self._is_whole(f"{self._layout.puppetfiles}/{name}", puppetfile):
                    fetched[int(name.split(".")[1])] = name
            if fetched and (puppetfile.pinned or self._clock() - max(fetched) < self._settings.reuse):
                return f"{self._layout.puppetfiles}/{fetched[max(fetched)]}"
        return None

    def _is_whole(self, path: str, puppetfile: Puppetfile) -> bool:
        return all(os.path.isdir(f"{path}/{module.name}") for module in puppetfile.modules)

    def _fetch(self, key: str, puppetfile: Puppetfile, work: str) -> str:
        cache = f"{self._layout.puppetfile_cache}/{self._program.name}"
        self._at("take cache")
        try:
            os.rename(cache, f"{work}/{CACHE}")
        except FileNotFoundError:
            os.mkdir(f"{work}/{CACHE}")
        os.mkdir(f"{work}/{MODULES}")
        ready = f"{work}/ready"
        with written_through(work) as through:
            self._at("fetch modules")
            fetch(puppetfile, self._settings, self._program, work)
            os.mkdir(ready)
            left, most = self._settings.bytes, self._settings.bytes
            for module in puppetfile.modules:
                left -= _clean(f"{work}/{MODULES}/{module.name}", module.name, left, most, self._pointers)
                os.rename(f"{work}/{MODULES}/{module.name}", f"{ready}/{module.name}")
            through()  # before it has its name; as rare as the program's run, and quicker
        tree = tree_of_files(self._layout, self._repository, ready)
        goal = f"{self._layout.puppetfiles}/{key}.{self._clock():.0f}.{tree}"
        os.makedirs(self._layout.puppetfiles, exist_ok=True)
        os.makedirs(self._layout.puppetfile_cache, exist_ok=True)
        self._at("name modules")
        try:
            os.rename(ready, goal)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # the very same, in the same second
                raise
            if not self._is_whole(goal, puppetfile):
                os.rename(goal, f"{work}/not-whole")
                os.rename(ready, goal)
        self._at("keep cache")
        os.rename(f"{work}/{CACHE}", cache)
        return goal

    def _join(self, own: Mapping[str, str], chosen: str, puppetfile: Puppetfile, work: str) -> None:
        self._at("join modules")
        joined = f"{work}/{JOINED}"
        os.mkdir(joined)
        for name, path in own.items():
            if os.path.isdir(path) and not os.path.islink(path):
                if os.listdir(path):
                    os.symlink(path, f"{joined}/{name}")  # real, since its links lead to others beside it (arrange.py)
                else:
                    os.mkdir(f"{joined}/{name}")  # a submodule
                continue
            try:
                os.link(path, f"{joined}/{name}", follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.EMLINK:
                    raise
                shutil.copy2(path, f"{joined}/{name}", follow_symlinks=False)
        for module in puppetfile.modules:
            os.symlink(f"{chosen}/{module.name}", f"{joined}/{module.name}")


def _clean(directory: str, name: str, left: int, limit: int, pointers: list[str]) -> int:
    """Make a fetched module fit to be served, and return its bytes; raise `UnsoundModules` if it cannot be.

    Files that are pointers of Git LFS are added to `pointers`.
    """
    if os.path.islink(directory) or not os.path.isdir(directory):
        raise UnsoundModules("was not fetched, although the program reports success", where=f"module {name}")
    for own in _THEIR_OWN:
        path = f"{directory}/{own}"
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)
    size = 0
    for parent, directories, files in os.walk(directory):
        os.chmod(parent, 0o755)  # noqa: S103 - archives of a Forge may say less, and puppetserver must read it
        for entry in (*directories, *files):
            path = f"{parent}/{entry}"
            status = os.lstat(path)
            where = f"module {name}: {os.path.relpath(path, directory)}"
            if stat.S_ISLNK(status.st_mode):
                _check_link(path, directory, where)
            elif stat.S_ISREG(status.st_mode):
                size += status.st_size
                if status.st_size <= LONGEST_POINTER and is_pointer(Path(path).read_bytes()):
                    pointers.append(where)
                os.chmod(path, 0o555 if status.st_mode & stat.S_IXUSR else 0o444)
            elif not stat.S_ISDIR(status.st_mode):
                raise UnsoundModules("is neither a file nor a directory nor a link", where=where)
            if size > left:
                raise UnsoundModules(
                    f"the modules hold more than {limit} bytes (branches.puppetfile.bytes)", where=where
                )
    return size


def _check_link(path: str, directory: str, where: str) -> None:
    depth = os.path.relpath(path, directory).count("/")
    try:
        outside = climb(os.fsencode(os.readlink(path)), depth, where)
    except UnsoundTree as error:
        raise UnsoundModules(error.message, where=where) from error
    if outside:
        raise UnsoundModules("is a link that leaves the module", where=where)
