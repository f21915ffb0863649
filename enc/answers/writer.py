"""Write finished answers so that no reader ever sees half of one.

Every file is written aside in tmp/ and renamed into its place. A process that
is killed leaves at most one file in tmp/, which the next start removes. The
files are not synced: after a crash of the whole machine the follower writes
all of them again (it notices by the kernel's boot id), and `enc` takes an
answer that is not whole for none.

Directories are kept open and files named relative to them: of the time that a
hundred thousand answers take, resolving their paths would be a good part.

Not here: what an answer says (enc.classify.render), and which to write
(session.py). OSError goes to the caller: a full disk stops the writing, and
what was there before stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from enc.answers.layout import Contact, Layout
from enc.programs import whole_file
from enc.terms.errors import one_line
from enc.terms.names import Certname, PrefixName, ProjectName

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_STATE = 32
"""Octets that the state of an enrolment has at most, with the end of its line."""


class AnswerWriter:
    """The one hand that changes an answers directory; a context manager."""

    def __init__(self, layout: Layout) -> None:
        """Open the directories of `layout`, which must exist (`Layout.create`)."""
        self._layout = layout
        self._open: list[int] = []
        try:
            self._root, self._tmp, self._nodes, self._refused, self._data, self._merged, self._enrolments = (
                self._directory(path)
                for path in (
                    *(layout.root, layout.tmp, layout.nodes),
                    *(layout.refused, layout.node_data, layout.merged_data, layout.enrolments),
                )
            )
            self.look()
        except OSError:
            self.close()
            raise

    def look(self) -> None:
        """Note which nodes have what few have; again after another process has written."""
        self._have_data = set(os.listdir(self._data))  # noqa: PTH208 - by descriptor, as everything here
        self._have_merged = set(os.listdir(self._merged))  # noqa: PTH208
        self._have_refusal = set(os.listdir(self._refused))  # noqa: PTH208
        self._states: dict[str, str | None] = dict.fromkeys(os.listdir(self._enrolments))  # noqa: PTH208 - None: not read

    def _directory(self, path: Path) -> int:
        descriptor = os.open(path, _DIRECTORY)
        self._open.append(descriptor)
        return descriptor

    def close(self) -> None:
        """Let go of the directories."""
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> AnswerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def clean(self) -> None:
        """Remove what a killed process left in tmp/; only for the holder of the lock."""
        for name in os.listdir(self._tmp):  # noqa: PTH208
            os.unlink(name, dir_fd=self._tmp)

    def _put(self, directory: int, name: str, text: str) -> None:
        whole_file.write_at(directory, name, text.encode(), mode=0o644, aside=self._tmp)

    def _put_or_drop(self, directory: int, present: set[str], name: str, text: str | None) -> None:
        if text is not None:
            self._put(directory, name, text)
            present.add(name)
        elif name in present:
            self._drop(directory, name)
            present.discard(name)

    @staticmethod
    def _drop(directory: int, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)

    def answer(self, certname: Certname, text: str, data: str | None, merged: str | None = None) -> None:
        """Make `text` the answer of a node, `data` its own hiera data and `merged` all of it (None: it has none)."""
        # Data first: an answer whose classes look up a key must not come before the key.
        name = f"{certname}.yaml"
        self._put_or_drop(self._data, self._have_data, name, data)
        self._put_or_drop(self._merged, self._have_merged, name, merged)
        self._put(self._nodes, name, text)
        if certname in self._have_refusal:
            self._drop(self._refused, certname)
            self._have_refusal.discard(certname)

    def refuse(self, certname: Certname, why: str, *, keep_answer: bool, uses: str = "") -> bool:
        """Say why a node gets no answer; return whether its last good answer goes on.

        With `keep_answer` the last good answer stays if there is one. `uses`, a line of an answer, tells which
        environment the node uses elsewhere; no reader takes more than the first line for the reason.
        """
        if keep_answer:
            with suppress(FileNotFoundError):
                os.stat(f"{certname}.yaml", dir_fd=self._nodes)
                return True
        self._put(self._refused, certname, one_line(why) + "\n" + (f"{uses}\n" if uses else ""))
        self._have_refusal.add(certname)
        for directory in (self._nodes, self._data, self._merged):
            self._drop(directory, f"{certname}.yaml")
        return False

    def enrolment(self, certname: Certname, state: str | None) -> None:
        """Say the state of an instance's enrolment, one word; None: the node is no instance."""
        known = self._states.get(certname, "")
        if known is None:  # reading takes a fifteenth of writing it again, and new processes do a mass of names
            known = self._states[certname] = self._enrolled(certname)
        if known == (state or ""):
            return
        if state:
            self._put(self._enrolments, certname, state + "\n")
            self._states[certname] = state
        else:
            self._drop(self._enrolments, certname)
            self._states.pop(certname, None)

    def _enrolled(self, certname: Certname) -> str | None:
        """Return the state that stands on disk; None if it is not whole."""
        try:
            file = os.open(certname, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._enrolments)
        except OSError:
            return None
        try:
            word, end, _ = os.read(file, _STATE).partition(b"\n")
        finally:
            os.close(file)
        return word.decode("ascii", "replace") if word and end else None

    def remove(self, certname: str) -> None:
        """Forget a node: nothing of it answers any more."""
        self._drop(self._enrolments, certname)
        self._states.pop(certname, None)
        self._drop(self._nodes, f"{certname}.yaml")
        self._drop(self._refused, certname)
        self._drop(self._data, f"{certname}.yaml")
        self._drop(self._merged, f"{certname}.yaml")

    def scope_data(self, project: ProjectName, own: str | None, prefixes: Mapping[PrefixName, str]) -> None:
        """Make `own` and `prefixes` all the hiera data of one project; what else it had goes away."""
        data = self._layout.project_data / f"{project}.yaml"
        self._replace(data, own)
        below = self._layout.prefix_data / project
        if prefixes and not below.is_dir():
            below.mkdir()
        for prefix, text in prefixes.items():
            self._replace(below / f"{prefix}.yaml", text)
        if below.is_dir():
            wanted = {f"{prefix}.yaml" for prefix in prefixes}
            for path in below.iterdir():
                if path.name not in wanted:
                    path.unlink()
            if not prefixes:
                below.rmdir()

    def _replace(self, path: Path, text: str | None) -> None:
        if text is None:
            path.unlink(missing_ok=True)
            return
        directory = os.open(path.parent, _DIRECTORY)
        try:
            self._put(directory, path.name, text)
        finally:
            os.close(directory)

    def retain(self, certnames: Iterable[str], projects: Iterable[str]) -> int:
        """Remove what belongs to none of `certnames` and `projects`; return how many nodes went.

        For nodes that were deleted while nobody followed.
        """
        known = set(certnames)
        stale: set[str] = set()
        places = (
            *((self._nodes, ".yaml"), (self._data, ".yaml"), (self._merged, ".yaml")),
            *((self._refused, ""), (self._enrolments, "")),
        )
        for directory, ending in places:
            present = os.listdir(directory)  # noqa: PTH208
            stale.update(name.removesuffix(ending) for name in present if name.removesuffix(ending) not in known)
        for name in stale:
            self.remove(name)
        kept = set(projects)
        for path in (*self._layout.project_data.iterdir(), *self._layout.prefix_data.iterdir()):
            name = path.name.removesuffix(".yaml")
            if name not in kept and ProjectName.accepts(name):
                self.scope_data(ProjectName(name), None, {})
        return len(stale)

    def on_disk(self) -> set[str]:
        """Return the names of all nodes that have an answer, or a line why they have none."""
        return {name.removesuffix(".yaml") for name in os.listdir(self._nodes)} | set(os.listdir(self._refused))  # noqa: PTH208

    def fallback(self, wanted: bool) -> None:
        """Let a short name and `default` answer for names without entry, or not."""
        place = self._layout.fallback
        if not wanted:
            place.unlink(missing_ok=True)
        elif not place.is_symlink():
            place.symlink_to("nodes")

    def signing(self, judges: int, journals: Path) -> None:
        """Say how many certificate requests are judged at once, and in which directory the journals of that are."""
        self._put(self._root, "signing", f"{judges} {journals}\n")

    def membership(self, at: float) -> None:
        """Say when a project, a role or a group was last seen to change (epoch seconds)."""
        self._put(self._root, self._layout.membership.name, f"{at:.6f}\n")

    def contact(self, contact: Contact) -> None:
        """Say how the copy is doing."""
        self._put(self._root, "contact", contact.line())
