"""Runs a branch's own checks (`.puppetmaster.yaml`) on the tree that a push brings, in a sandbox.

What counts is the file as the branch had it before the push: whoever pushes cannot switch a check
off with the push that it would refuse. The commands themselves come from the pushed tree, as far as they are in
it. They are members' code, run with nothing of this machine in sight (enc/programs/sandbox.py): the pushed
tree, read-only; /usr; a directory of their own in memory. No network, no other process, no environment.

Bounded: time, memory and processes of each, as the file says and the settings allow; all of one push
together (`pushes.own_checks_time`); how many run on this machine at once, and of one project one at a time, so
that no project's checks keep another's waiting for long. Who waits too long is not checked.

Owns: which checks concern a push, the order, and the words. Not here: the file's
form (checks/own_checks.py), what becomes of what was not checked (examine.py).
Failure modes are values: `Found`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from enc.programs import sandbox
from enc.programs.machine_trouble import told
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError, bounded, one_line
from enc.terms.names import ProjectName
from git_hooks.checks.own_checks import LONGEST, NAME, OwnCheck, OwnChecks, Unreadable, parse
from git_hooks.puppet_code.worker import RUBIES
from git_hooks.push.changes import TooManyChanges, changes
from git_hooks.push.checkout import checkout
from git_hooks.push.found import Found
from git_hooks.push.incoming import Incoming
from git_hooks.repository.trees import Entry
from git_hooks.store.locks import Busy, any_locked

if TYPE_CHECKING:
    from enc.settings import PushSettings, Settings

_TREE = "/tree"
"""Where a command finds the pushed tree, and is started."""
_WAIT = 60.0
"""Seconds that a push waits at most until its checks may begin."""
_LINES = 15
_WIDTH = 300
"""So much of what a command said is told: its last lines."""
_SUITES = 20
"""Modules whose suites are run in one push."""
_PROCESSES = 48
_SITE = "-"
"""Instead of a project's name, for the site's own branches; no project is called so."""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ALL_SAID = 'exec "$@" >&2 </dev/null'
"""What a command writes is read by people only, in one stream."""
_RSPEC = """
require 'rspec/core'
require 'rspec-puppet'
RSpec.configure { |c| c.module_path = ARGV.shift; c.setup_fixtures = false if c.respond_to?(:setup_fixtures=) }
exit RSpec::Core::Runner.run(ARGV)
"""
_HAS_RSPEC = "require 'rspec/core'; require 'rspec-puppet'"


class OwnChecking:
    """Runs the own checks of all branches of one push, which have their time together."""

    def __init__(self, objects: Incoming, settings: Settings) -> None:
        """Run nothing yet."""
        self._objects = objects
        self._settings = settings
        self._left = float(settings.pushes.own_checks_time)
        self._patience = _WAIT

    def look(self, before: str | None, after: str, project: ProjectName | None) -> Found:
        """Return what the checks say to tree `after`, of a branch of `project` that had tree `before`.

        None: nothing was before; the branch belongs to no project.
        """
        objects, pushes = self._objects, self._settings.pushes
        if pushes.own_checks == "off":
            return Found()
        old, new = (_entry(objects, tree) for tree in (before, after))
        if old is None:
            late = f"{NAME} counts from the next push on: the branch did not have it before this one"
            return Found(advice=(late,) if new is not None else ())
        notes = [] if old == new else [f"{NAME} changed; this push was checked as the branch had it before"]
        try:
            wanted = parse(objects.content(old, LONGEST) or b"a link")
        except Unreadable as error:
            return Found(unchecked=f"the branch's own checks: its {NAME} {error.message}")
        try:
            paths: list[str] | None = [one.path for one in changes(objects, before, after, pushes.files)]
        except TooManyChanges:
            paths = None
        commands = list(_commands(objects, wanted, paths, after))
        found = self._run(commands, after, project) if commands else Found()
        return found._replace(advice=(*notes, *found.advice))

    def _run(self, commands: Sequence[OwnCheck | _Suite], tree: str, project: ProjectName | None) -> Found:
        if self._left <= 0:
            return Found(unchecked=f"the branch's own checks: {_no_time(self._settings.pushes)}")
        began = monotonic()
        try:
            with _turn(self._settings, project, began + self._patience):
                self._patience -= monotonic() - began
                began = monotonic()
                with checkout(self._objects, tree) as place:
                    return _run_all(commands, self._settings.pushes, place, self._left)
        except Busy:
            self._patience = 0.0
            busy = f"others were running on this server for {_WAIT:.0f} s; push again later"
            return Found(unchecked=f"the branch's own checks: {busy}")
        except (ToolkitError, OSError) as error:
            return Found(unchecked=f"the branch's own checks: {told(error)}")
        finally:
            self._left -= monotonic() - began


def _no_time(pushes: PushSettings) -> str:
    return f"there was no more time (pushes.own_checks_time: {pushes.own_checks_time:.0f} s)"


def _entry(objects: Incoming, tree: str | None) -> Entry | None:
    entries = objects.raw_tree(tree) if tree is not None else ()
    return next((entry for entry in entries if entry.name == NAME), None)


class _Suite(NamedTuple):
    """A module's own tests."""

    module: str
    """Its path in the tree."""


def _commands(
    objects: Incoming, wanted: OwnChecks, paths: Sequence[str] | None, tree: str
) -> Iterator[OwnCheck | _Suite]:
    """Yield what is to be run; `paths` are those that changed, None: more than anybody lists."""
    for check in wanted.checks:
        if paths is None or check.concerns(paths):
            yield check
    if wanted.rspec:
        modules = {"/".join(parts[:2]) for parts in (path.split("/") for path in paths or ()) if len(parts) > 2}
        suites = sorted(one for one in modules if one.partition("/")[0].endswith("modules"))
        for module in suites[:_SUITES]:
            if _has_suite(objects, tree, module):
                yield _Suite(module)


def _has_suite(objects: Incoming, tree: str, module: str) -> bool:
    for name in (*module.split("/"), "spec"):
        found = next((one for one in objects.raw_tree(tree) if one.name == name and one.is_directory), None)
        if found is None:
            return False
        tree = found.id
    return True


@contextmanager
def _turn(settings: Settings, project: ProjectName | None, until: float) -> Iterator[None]:
    """Wait until nobody runs checks of the project, and there is room on the machine; raise `Busy`."""
    locks = settings.branches.store / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    rooms = [f"{locks}/own-checks.room-{number}" for number in range(settings.pushes.own_checks_at_once)]
    with any_locked([f"{locks}/own-checks.of-{project or _SITE}"], until), any_locked(rooms, until):
        yield


def _run_all(commands: Sequence[OwnCheck | _Suite], settings: PushSettings, tree: Path, together: float) -> Found:
    """Run one after the other up to the first that fails, within `together` seconds."""
    began, ruby = monotonic(), None
    passed: list[str] = []
    for command in commands:
        left = together - (monotonic() - began)
        if isinstance(command, _Suite):
            ruby = ruby or _ruby_with_rspec(tree)
            if ruby is None:
                return Found(unchecked=f"the suite of {command.module}: rspec-puppet is not installed on this server")
            place, _, _ = command.module.rpartition("/")
            script = f'cd "{_TREE}/$1" && shift && {_ALL_SAID}'
            words = ["/bin/sh", "-c", script, "sh", command.module, ruby, "-e", _RSPEC, f"{_TREE}/{place}", "spec"]
            name, seconds, memory = f"the suite of {command.module}", float(settings.own_checks_time), 1 << 30
        else:
            words = ["/bin/sh", "-c", _ALL_SAID, "sh", *command.command]
            name, seconds, memory = f"its own check {command.name}", command.seconds, command.memory
        late = f"{name}: {_no_time(settings)}"
        if left <= 0:
            return Found(unchecked=late, advice=tuple(_passed(passed)))
        most = min(memory, settings.own_checks_memory)
        try:
            done = sandbox.run(words, b"", _bounds(min(seconds, left), most), shown=sandbox.Shown(tree, _TREE))
        except sandbox.OutOfBounds as error:
            if left < seconds and monotonic() - began >= together:
                return Found(unchecked=late, advice=tuple(_passed(passed)))
            return Found(refused=tuple(_failed(f"{name} {error}", error.said)))
        if done.status:
            return Found(refused=tuple(_failed(f"{name} failed with status {done.status}", done.said)))
        passed.append(name)
    return Found(advice=tuple(_passed(passed)))


def _bounds(seconds: float, memory: int) -> sandbox.Bounds:
    return sandbox.Bounds(
        seconds=seconds,
        processes=_PROCESSES,
        # Address space is not memory: a Ruby or a Go program maps much more than it uses.
        process_bytes=max(1 << 30, 2 * memory),
        memory=memory,
        answer=1024,
        said=64 << 10,
        end=True,
    )


def _ruby_with_rspec(tree: Path) -> str | None:
    for ruby in RUBIES:
        if Path(ruby).exists():
            done = sandbox.run([ruby, "-e", _HAS_RSPEC], b"", shown=sandbox.Shown(tree, _TREE))
            if done.status == 0:
                return ruby
    return None


def _passed(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"{counted(len(names), 'check')} of the branch's own passed: {', '.join(names)}"


def _failed(what: str, said: bytes) -> Iterator[str]:
    """Yield what is told of a check that failed, a line each: nothing that it said can pass for a line of ours."""
    text = _COLOURS.sub("", said.decode("utf-8", "replace")).replace("\r", "\n")
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    last = lines[-_LINES:]
    yield what + (", and said at the end:" if last else ", and said nothing")
    for line in last:
        yield f"  | {bounded(one_line(line), _WIDTH)}"
