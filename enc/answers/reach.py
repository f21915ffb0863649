"""Puts changes of the directory into the copy and marks every node that each change can affect.

What a change reaches:

- a node: the names it answers to and those it answered to before; and, since
  classes and variables come from parents by name, every node below one of
  these names, also when the parent just appeared or went;
- a project: its nodes, and those of projects that are its guests now or were
  before; one that appeared or went: all, since any node may have an environment
  that is its own now (enc/classify/entitled.py); a prefix: those nodes of its
  project whose name begins with it; and the hiera data of the project;
- a group: the nodes that it matched before or matches now;
- the site: all.

While a feed is read for the first time nothing is marked: everything is, once
all feeds are complete.

One entry's fault is that entry's. Everything that looks at what an entry says
is asked through `_alone`: if it fails, for whatever reason, the entry is found
by what it was found by before, a node counts as reached, the fault is kept for
`status`, and the next entry follows.

Runs inside a transaction of the copy. Not here: when that is, and cookies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from enc.answers.copy import Copy
from enc.answers.plans import Feed
from enc.classify.entitled import guests
from enc.classify.gather import MemberUrl, members, names_of, project_of
from enc.settings import Settings
from enc.terms import dn as names_of_entries
from enc.terms.errors import ClassificationError, one_line
from enc.terms.filters import NodeFilter, folded
from enc.terms.record import Record


class _Keys(NamedTuple):
    """By what a node is found."""

    names: tuple[str, ...]
    parents: tuple[str, ...]
    project: str | None


_NO_KEYS = _Keys((), (), None)
_T = TypeVar("_T")


class Reach:
    """The rules above, for one copy."""

    def __init__(self, copy: Copy, settings: Settings) -> None:
        self._copy = copy
        self._settings = settings
        self._filter = NodeFilter(settings.nodes.filter)
        self._extended = settings.nodes.semantics == "extended"
        self._by_parent: dict[str, str | None] = {}
        self.faults: dict[str, str] = {}
        """By DN: why an entry could not be looked at; for who reports it to empty."""
        self.seen: list[tuple[Feed, Record | None, Record | None]] = []
        """What changed in feeds that are known whole, (feed, before, after); for who notes it to empty."""

    def _alone(self, record: Record, look: Callable[[], _T], otherwise: _T) -> _T:
        """Return what `look` does, or `otherwise` if it fails: whatever is wrong is wrong with `record` alone."""
        try:
            return look()
        except Exception as fault:  # one entry of many
            self.faults[record.dn] = one_line(f"cannot be examined: {type(fault).__name__}: {fault}")
            return otherwise

    def upsert(self, feed: Feed, record: Record, *, mark: bool) -> bool:
        """Store an entry; return whether it says something new."""
        stored = self._copy.records.put(feed, record)
        if stored is None:
            return False
        number, before = stored
        if mark:
            self.seen.append((feed, before, record))
        if before and before.dn != record.dn:
            self._copy.worklist.note_entry(before.dn, None, 0)
        if record.unread:
            self.faults[record.dn] = f"cannot be read: {record.unread} (entryUUID {record.uuid})"
        if feed == "nodes":
            old = self._keys(number, before) if before else _NO_KEYS
            new = self._alone(record, lambda: self._read_keys(record), old)
            if record.unread and not self._filter.names(record):
                # Its names may be what was left out; then it is still what it was, and cannot be classified.
                new = new._replace(names=old.names or new.names)
            if old != new:
                if before:
                    self._copy.index.remove(number, *old)
                self._copy.index.add(number, *new)
            if mark:
                self._mark_names({*old.names, *new.names})
        elif mark:
            self._mark_shared(feed, [r for r in (before, record) if r is not None])
        return True

    def delete(self, feed: Feed, uuid: str, *, mark: bool) -> bool:
        """Remove an entry; return whether the copy had it."""
        found = self._copy.records.get(feed, uuid)
        if found is None:
            return False
        number, before = found
        self._copy.records.drop(feed, number)
        if mark:
            self.seen.append((feed, before, None))
        self._copy.worklist.note_entry(before.dn, None, 0)
        if feed == "nodes":
            keys = self._keys(number, before)
            self._copy.index.remove(number, *keys)
            if mark:
                self._mark_names(set(keys.names))
        elif mark:
            self._mark_shared(feed, [before])
        return True

    def _keys(self, number: int, record: Record) -> _Keys:
        """Return by what the copy finds a node that it holds."""
        if record.unread:
            return _Keys(*self._copy.index.keys_of(number))
        try:
            return self._read_keys(record)
        except Exception:  # then it could not be looked at when it came, either
            return _Keys(tuple(self._copy.index.names_of(number)), (), None)

    def _read_keys(self, record: Record) -> _Keys:
        parents = record.attributes.get(self._settings.nodes.parent_attribute.lower(), ())
        return _Keys(
            names_of(record, self._filter),
            tuple(dict.fromkeys(map(folded, parents))),
            self._project(record) if self._extended else None,
        )

    def _project(self, record: Record) -> str | None:
        """Return the node's project; remembered by container, since most nodes share theirs with many."""
        above = ""
        if self._settings.nodes.project == "container" and "\\" not in record.dn:
            above = record.dn.partition(",")[2]
            if above in self._by_parent:
                return self._by_parent[above]
        try:
            project = project_of(record, self._settings)
        except ClassificationError:
            project = None
        if above:
            if len(self._by_parent) > 10_000:
                self._by_parent.clear()
            self._by_parent[above] = project
        return project

    def _mark_names(self, names: set[str]) -> None:
        """Mark `names` and every node below one of them."""
        reached = set(names)
        waiting = list(names)
        while waiting:
            for number in self._copy.index.children_of(waiting.pop()):
                for name in self._copy.index.names_of(number):
                    if name not in reached:
                        reached.add(name)
                        waiting.append(name)
        self._copy.worklist.mark(reached)

    def _mark_shared(self, feed: Feed, records: list[Record]) -> None:
        if feed == "site":
            if any(map(self._copy.places.is_site, records)):
                self._copy.worklist.mark_all(self._copy.source.project_names())
        elif feed == "groups":
            self._copy.worklist.mark(self._matched(records))
        else:
            self._mark_entitled(records)
            for record in records:
                project, is_prefix = self._copy.places.in_projects(record)
                if project is None:
                    continue
                names: Iterable[str] = self._copy.index.names_in(project)
                if is_prefix:
                    prefix = names_of_entries.rdn(record.dn)[1]
                    names = [name for name in names if name.startswith(prefix)]
                self._copy.worklist.mark(names)
                self._copy.worklist.mark_projects([project])

    def _mark_entitled(self, records: list[Record]) -> None:
        """Mark the nodes for which it changed what they may have: an entry below projects, as it was and as it is."""
        found = map(self._copy.places.in_projects, records)
        projects = [None if is_prefix else project for project, is_prefix in found]
        if not any(projects):
            return
        if len(records) == 1 or len(set(projects)) > 1:
            self._copy.worklist.mark_all(())
            return
        invited = [guests(record) for record in records]
        for project in frozenset.union(*invited) - frozenset.intersection(*invited):
            self._copy.worklist.mark(self._copy.index.names_in(project))

    def _matched(self, groups: list[Record]) -> set[str]:
        urls = [url for group in groups for url in members(group).urls]
        found: set[str] = set()
        if urls:
            for number, node in self._copy.records.nodes():
                if self._is_in_one(node, urls):
                    found.update(self._copy.index.names_of(number))
        return found

    def _is_in_one(self, node: Record, urls: list[MemberUrl]) -> bool:
        return self._alone(node, lambda: any(url.matches(node) for url in urls), True)
