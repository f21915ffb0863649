"""Compiles the nodes of one environment at two commits, and says what differs.

The commit that is live is compiled in the environment itself, the other one in
a preview (git_hooks/store/previews.py). In catalogs and messages the preview's name and
path are replaced by those of the environment, so neither shows as a
difference. Code may still do something else for the name alone (data in
`environments/%{environment}.yaml`). So where a node differs, the live commit is
compiled in a preview as well: if that differs from the environment itself, both
sides are those of previews, and the node is told as one that depends on the name.

Only nodes of the branch's own project are compiled for a project's branch.
Compiles run a few at once, so that agents are served meanwhile, and end when
the time is over or somebody pushes again; what was not compiled then is said so.

Failure modes: none that stop it: whatever cannot be told of a node is told
with the reason. `NothingToCompare` if a version is not there.

Not here: when that is done, and what follows (running.py, git_hooks/push).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from enc.answers.layout import Layout as Answers
from enc.answers.reader import look_up
from enc.catalogs import compare
from enc.catalogs.catalog import Catalog
from enc.catalogs.compiler import CompileFailed, Compiler, NotCompiled, Where
from enc.catalogs.effect import Effect, NodeEffect
from enc.catalogs.masking import Mask
from enc.catalogs.reach import Reach
from enc.programs.https import Tls
from enc.programs.log import get
from enc.programs.machine_trouble import told
from enc.terms.environments import Place
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname, EnvironmentName
from git_hooks.branches.usage import Usage
from git_hooks.deploy.puppetserver import FlushFailed, Puppetservers
from git_hooks.effects.trees import Differing, VersionTree
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.previews import preview, sweep
from git_hooks.store.versions import Versions

if TYPE_CHECKING:
    from enc.settings import Settings

_LONGEST = 60.0
"""Seconds of one compile; the first one after puppetserver's start takes long."""
_IN_A_ROW = 3
"""After so many failures of puppetserver itself one after the other, no more is asked of it."""
OVER = "the time for it is over"
PUSHED_AGAIN = "somebody pushed again"


class NothingToCompare(ToolkitError):
    """A version that should be compiled is not on disk."""


class Node(NamedTuple):
    """A node that uses the environment."""

    certname: Certname
    project: str | None
    external: Mapping[str, Any]
    """What `$trusted['external']` has."""


class Change(NamedTuple):
    """What is to be compared."""

    environment: EnvironmentName
    before: ObjectId
    after: ObjectId
    differing: Differing | None = None
    """How their trees differ; None: not known, so every node may be affected."""


class Halt:
    """When it is to end: at a time, or when somebody says so."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._why = ""
        self._lock = threading.Lock()

    def now(self, why: str) -> None:
        """End it, for this reason if there was none before."""
        with self._lock:
            self._why = self._why or why

    @property
    def why(self) -> str:
        """Why it is to end; empty: it is not."""
        return self._why or (OVER if time.monotonic() > self._deadline else "")


def nodes(settings: Settings, usage: Usage, place: Place) -> tuple[Node, ...]:
    """Return the nodes that are compiled for a branch; raise `UsageUnknown`.

    For a branch of a project, only the project's own.
    """
    found = []
    answers = Answers(settings.answers.directory)
    for certname in usage.nodes(place.environment):
        external = _external(answers, certname)
        project = external.get("project")
        if place.project is None or project == place.project:
            found.append(Node(certname, project if isinstance(project, str) else None, external))
    return tuple(found)


def _external(answers: Answers, certname: Certname) -> Mapping[str, Any]:
    said = look_up(answers, certname, time.time()).trusted
    with suppress(ValueError):
        document = json.loads(said)
        if isinstance(document, dict):
            return document
    return {}


class _Turns:
    """At most so many compiles at once in this process, whatever number of pushes asks for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = 0

    @contextmanager
    def one(self, most: int) -> Iterator[None]:
        """Wait for a turn, and have it while the block lasts."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy < most)
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()


_turns = _Turns()


class Comparison:
    """Compares in one store, with one puppetserver's catalogs."""

    def __init__(self, settings: Settings, mask: Mask) -> None:
        """Ask nothing yet."""
        branches = settings.branches
        server = branches.puppetserver
        tls = Tls(server.ca_file, server.certificate_file, server.key_file)
        self._layout = Layout(str(branches.store), str(branches.environments))
        self._versions = Versions(self._layout)
        self._compiler = Compiler(server.urls, tls, _LONGEST)
        self._servers = Puppetservers(server)
        self._parallel = settings.pushes.compile_parallel
        self._mask = mask

    def close(self) -> None:
        """Close the connections."""
        self._compiler.close()
        self._servers.close()

    def effect(self, change: Change, wanted: Iterable[Node], halt: Halt) -> Effect:
        """Return what the change does to these nodes; raise `NothingToCompare` or OSError."""
        asked = tuple(wanted)
        if not asked:
            return Effect((), {})
        self._forget(sweep(self._layout))
        for commit in (change.before, change.after):
            if not os.path.isdir(self._layout.version(change.environment, commit)):
                raise NothingToCompare(f"{change.environment} at {commit.abbreviated} is not on disk any more")
        with ExitStack() as open_ones:
            run = _Run(self._layout, self._compiler, self._mask, change, halt, self._parallel)
            live = self._versions.live(change.environment)
            shown: list[EnvironmentName] = []
            for commit in dict.fromkeys((change.before, change.after)):
                name = open_ones.enter_context(preview(self._layout, self._layout.version(change.environment, commit)))
                shown.append(name)
                run.previews[commit] = run.where(name, commit)
                run.sides[commit] = run.where(change.environment, commit) if commit == live else run.previews[commit]
            try:
                with ThreadPoolExecutor(self._parallel, thread_name_prefix="catalogs") as threads:
                    results = list(threads.map(run.node, asked))
            finally:
                self._forget(shown)
            if self._versions.live(change.environment) != live:
                # Some were compiled from what is live now; nobody can tell which.
                halt.now(PUSHED_AGAIN)
                return Effect((), {str(node.certname): PUSHED_AGAIN for node in asked})
        found = tuple(sorted(one for one in results if isinstance(one, NodeEffect)))
        unchecked = {str(node.certname): one for node, one in zip(asked, results, strict=True) if isinstance(one, str)}
        return Effect(found, unchecked)

    def _forget(self, names: Iterable[EnvironmentName]) -> None:
        for name in names:
            try:
                self._servers.flush(name)
            except FlushFailed as failure:
                get("effects").warning("%s: puppetserver keeps it in memory until it is restarted: %s", name, failure)


class _Run:
    """One comparison of many nodes."""

    def __init__(
        self, layout: Layout, compiler: Compiler, mask: Mask, change: Change, halt: Halt, parallel: int
    ) -> None:
        self._layout = layout
        self._parallel = parallel
        self._compiler = compiler
        self._mask = mask
        self._change = change
        self._halt = halt
        old, new = (
            VersionTree(layout.root, layout.version(change.environment, commit))
            for commit in (change.before, change.after)
        )
        self._files = old.contents(), new.contents()
        self._reach = None if change.differing is None else _reach(old, change.differing)
        self.sides: dict[ObjectId, Where] = {}
        self.previews: dict[ObjectId, Where] = {}
        self._failures = 0

    def where(self, name: EnvironmentName, commit: ObjectId) -> Where:
        """Return how a commit is compiled in the environment `name`."""
        environment = self._change.environment
        version = self._layout.version(environment, commit)
        return Where(name, version, environment, self._layout.live(environment))

    def node(self, node: Node) -> NodeEffect | str:
        """Return what happens to a node, or why that is not known."""
        try:
            with _turns.one(self._parallel):
                if self._halt.why:
                    return self._halt.why
                found = self._effect(node)
        except NotCompiled as error:
            self._failures += 1
            if self._failures >= _IN_A_ROW:
                self._halt.now(str(error))
            return str(error)
        except (ToolkitError, OSError) as error:
            return told(error)
        self._failures = 0
        return found

    def _effect(self, node: Node) -> NodeEffect | str:
        change = self._change
        before = self._compiled(node, self.sides[change.before])
        if isinstance(before, Catalog) and self._reach is not None and not self._reach.affects(before):
            return NodeEffect(node.certname, "same", skipped=True)
        if self._halt.why:
            return self._halt.why
        after = self._compiled(node, self.sides[change.after])
        by_name = False
        if self._differ(before, after) and self.sides[change.before] != self.previews[change.before]:
            twin = self._compiled(node, self.previews[change.before])
            by_name = self._differ(before, twin)
            before = twin if by_name else before
        elif self._differ(before, after) and self.sides[change.after] != self.previews[change.after]:
            twin = self._compiled(node, self.previews[change.after])
            by_name = self._differ(after, twin)
            after = twin if by_name else after
        if isinstance(before, str):
            return NodeEffect(
                node.certname,
                "error before",
                error=before,
                error_after=after if isinstance(after, str) else "",
                by_name=by_name,
            )
        if isinstance(after, str):
            return NodeEffect(node.certname, "error after", error=after, by_name=by_name)
        changes = compare.compare(before, after, self._mask, *self._files)
        return NodeEffect(node.certname, "differs" if changes else "same", changes, by_name=by_name)

    def _compiled(self, node: Node, where: Where) -> Catalog | str:
        """Return the catalog, or the words of the error."""
        try:
            return self._compiler.catalog(node.certname, where, node.external)
        except CompileFailed as error:
            return self._mask.text(error.message)

    def _differ(self, one: Catalog | str, other: Catalog | str) -> bool:
        if isinstance(one, str) or isinstance(other, str):
            return one != other
        return bool(compare.compare(one, other, self._mask))


def _reach(tree: VersionTree, differing: Differing) -> Reach:
    arrived = [path for path in differing.directories if path.rpartition("/")[0] in tree.modules]
    return Reach(tree.tree(), differing.paths, arrived)
