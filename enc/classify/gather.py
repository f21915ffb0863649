"""Collects the records that affect a certname's classification. Pure apart from asking the `Source`.

The node itself is sought under the certname and then, in terminus semantics,
under the part before the first dot and under `default`. Extended semantics
does not fall back: a certname of one project must not find the node of another
because their hosts share a short name.

Parents are followed through the same filter, without the fall-back, until a
node has none. A node that appears twice is a loop; a parent that is not there
is an error; both stop this node only. The messages are those of the original
terminus, because operators search for them.

Where several entries answer to one name, the last that the server returned
is used in terminus semantics, as it always was, with a note; in extended
semantics that is an error, since which of two projects' entries wins must not
depend on the order of a database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from enc.classify.model import Lineage, Source
from enc.rights import domains
from enc.rights.reserved import stands_wrongly
from enc.settings import Settings
from enc.terms import dn as names_of_entries
from enc.terms.errors import ClassificationError, ConfigurationError, InvalidName, NotFound, one_line
from enc.terms.filters import NodeFilter, folded, parse
from enc.terms.names import Certname, PrefixName, ProjectName
from enc.terms.record import Record

DEFAULT_NODE = "default"
LONGEST_CHAIN = 100
"""So many parents one above the other at most: what one person writes must not make everybody wait."""
_OWN_NAME = re.compile(r"cn\s*=\s*([^,\s]+)", re.IGNORECASE)


def names_tried(certname: Certname, semantics: str) -> tuple[str, ...]:
    """Return the names under which a node's own entry is sought, in order."""
    if semantics != "terminus":
        return (certname,)
    return tuple(dict.fromkeys((str(certname), certname.short, DEFAULT_NODE)))


def gather(certname: Certname, source: Source, settings: Settings) -> Lineage:
    """Collect the records for `certname`.

    Raise `NotFound` if the directory has no such node, `ClassificationError`
    for loops, missing parents and doubled entries, and what `source` raises.
    """
    notes: list[str] = []
    for name in names_tried(certname, settings.nodes.semantics):
        node = _one(source, name, settings, notes)
        if node is not None:
            break
    else:
        raise NotFound(f"no node {certname} in LDAP (below {settings.nodes_base}); create its entry first")
    parents = _parents(node, source, settings, notes)
    if settings.nodes.semantics == "terminus":
        return Lineage(certname, name, node, parents, notes=tuple(notes))
    project = project_of(node, settings)
    if stands_wrongly(certname, project, settings):
        raise ClassificationError(
            f"{certname} is reserved for the site's own servers, but this entry is of project {project or 'none'}; "
            f"an operator must move it to {settings.instances.reserved_project} (instances.reserved_project) or "
            "remove it",
            where=node.dn,
        )
    project_record = source.project(project) if project else None
    if project and project_record is None:
        notes.append(f"{node.dn}: no project {project} below {settings.projects_base}")
    return Lineage(
        certname,
        name,
        node,
        parents,
        project_name=project,
        project=project_record,
        prefixes=_prefixes(certname, project, source) if project else (),
        groups=_groups(node, source),
        site=source.site(),
        notes=tuple(notes),
    )


def _one(source: Source, name: str, settings: Settings, notes: list[str]) -> Record | None:
    found = source.nodes_named(name)
    if not found:
        return None
    if len(found) > 1 and settings.nodes.semantics != "terminus":
        # A prefix has whatever names its project's admin gave it. Moved among the nodes, it takes none from them.
        found = [record for record in found if not is_scope(record)] or found
    if len(found) > 1:
        dns = "; ".join(record.dn for record in found)
        if settings.nodes.semantics != "terminus":
            raise ClassificationError(f"{len(found)} entries have the name {one_line(name)}: {dns}", where=name)
        notes.append(f"{len(found)} entries have the name {one_line(name)}, the last is used: {dns}")
    return found[-1]


def _parents(node: Record, source: Source, settings: Settings, notes: list[str]) -> tuple[Record, ...]:
    chain: list[Record] = []
    current = node
    # As the terminus did: the names as they are written, and for the node itself the
    # cn in its DN. Names that differ in case only are noticed one round later.
    own = _OWN_NAME.search(node.dn)
    seen = {own[1]} if own else set()
    while True:
        wanted = current.all(settings.nodes.parent_attribute)
        if not wanted:
            return tuple(chain)
        if len(wanted) > 1:
            raise ClassificationError(
                f"more than one parent: {', '.join(map(one_line, wanted))}; a node has at most one", where=current.dn
            )
        name = wanted[0]
        if name in seen:
            raise ClassificationError(
                f"Found loop in LDAP node parents; {one_line(name)} appears twice", where=current.dn
            )
        seen.add(name)
        if len(chain) == LONGEST_CHAIN:
            raise ClassificationError(f"more than {LONGEST_CHAIN} parents, one above the other", where=node.dn)
        parent = _one(source, name, settings, notes)
        if parent is None:
            raise ClassificationError(f"Could not find parent node '{one_line(name)}'", where=current.dn)
        if (why := foreign(one_line(name), (parent,), settings)) is not None:
            raise ClassificationError(f"its parent belongs to another domain: {why}", where=current.dn)
        chain.append(parent)
        current = parent


def is_scope(record: Record) -> bool:
    """Tell whether an entry stands for several nodes, and so is none's."""
    return "puppetmasterscope" in map(folded, record.all("objectClass"))


def is_called(record: Record, certname: Certname) -> bool:
    """Tell whether `certname` is the entry's own name, and no further one that its project's admins gave it."""
    try:
        return names_of_entries.rdn(record.dn)[1].lower() == certname
    except InvalidName:
        return False


def names_of(node: Record, finds: NodeFilter) -> tuple[str, ...]:
    """Return the names, folded, that a node's entry answers to.

    One that is too large to be read has at least the name in its DN, so that it can be told.
    """
    names = finds.names(node)
    if node.unread and not names:
        try:
            return (folded(names_of_entries.rdn(node.dn)[1]),)
        except InvalidName:
            return ()
    return names


def project_of(node: Record, settings: Settings) -> ProjectName | None:
    """Return the project that a node's record belongs to, None if it has none; raise for a bad name."""
    how, _, name = settings.nodes.project.partition(" ")
    found: str | None = None
    if how == "container":
        try:
            found = _container(names_of_entries.parent(node.dn), settings.nodes_base)
        except InvalidName as error:
            raise ClassificationError(str(error), where=node.dn) from error
    elif how == "attribute":
        found = node.first(name)
    else:
        for attribute in settings.nodes.variable_attributes:
            for text in node.all(attribute):
                variable, _, value = text.partition("=")
                if variable == name:
                    found = value
    if not found:
        return None
    try:
        return ProjectName(found)
    except InvalidName as error:
        raise ClassificationError(str(error), where=node.dn) from error


def foreign(certname: str, nodes: Iterable[Record], settings: Settings) -> str | None:
    """Return why this server does not serve the node with these entries (enc/rights/domains.py); None if it does.

    Asked before anything else of the entries is looked at: what is wrong with one lets no other domain's node in.
    """
    if settings.domains.serves is None:
        return None
    for node in nodes:
        try:
            project = project_of(node, settings)
        except ClassificationError as error:
            return str(error)
        if not domains.serves(project, settings):
            return domains.refusal(certname, project, settings)
    return None


@lru_cache(maxsize=10_000)
def _container(place: str, base: str) -> str | None:
    """Return the value of the relative name directly below `base` on the way to `place`."""
    step = names_of_entries.child_towards(place, base)
    return None if step is None else step[1]


def prefix_of(record: Record) -> PrefixName:
    """Return the prefix that an entry below a project defines; raise `ClassificationError` for a bad one."""
    value = names_of_entries.rdn(record.dn)[1]
    try:
        return PrefixName(value)
    except InvalidName as error:
        raise ClassificationError(str(error), where=record.dn) from error


def _prefixes(certname: Certname, project: ProjectName, source: Source) -> tuple[tuple[PrefixName, Record], ...]:
    found = []
    for record in source.prefixes(project):
        text = names_of_entries.rdn(record.dn)[1]
        # A bad prefix cannot be the beginning of a certname, so it bears on no
        # node; the follower reports it on its own.
        if certname.startswith(text) and PrefixName.accepts(text):
            found.append((PrefixName(text), record))
    return tuple(sorted(found, key=lambda item: (len(item[0]), item[0])))


def _groups(node: Record, source: Source) -> tuple[tuple[str, Record], ...]:
    found = []
    for record in source.groups():
        if any(url.matches(node) for url in members(record).urls):
            found.append((_group_name(record), record))
    return tuple(sorted(found, key=lambda item: item[0]))


def _group_name(record: Record) -> str:
    try:
        return names_of_entries.rdn(record.dn)[1]
    except InvalidName:
        return record.dn


class MemberUrl:
    """One memberURL of a group: the nodes below a base that satisfy a filter (RFC 4516)."""

    def __init__(self, text: str, where: str) -> None:
        """Read `ldap:///BASE??SCOPE?FILTER`; raise `ClassificationError` with the rule."""
        rule = "a memberURL is ldap:///BASE??sub?(FILTER)"
        if not text.lower().startswith("ldap:///"):
            raise ClassificationError(f"{one_line(repr(text))}: {rule}", where=where)
        base, _attributes, scope, query, *rest = [*text[8:].split("?"), "", "", ""]
        if any(rest):
            raise ClassificationError(f"{one_line(repr(text))}: extensions are not supported: {rule}", where=where)
        self._scope = (scope or "base").lower()
        if self._scope not in ("base", "one", "sub"):
            raise ClassificationError(f"{one_line(repr(text))}: unknown scope: {rule}", where=where)
        try:
            self._base = names_of_entries.normalise(unquote(base))
        except InvalidName as error:
            raise ClassificationError(f"memberURL: {error}", where=where) from error
        try:
            self._filter = parse(unquote(query) or "(objectClass=*)", where="memberURL")
        except ConfigurationError as error:
            raise ClassificationError(str(error), where=where) from error

    def matches(self, record: Record) -> bool:
        """Tell whether a node is in the group."""
        place = names_of_entries.normalise(record.dn)
        if place == self._base:
            below = self._scope in ("base", "sub")
        elif self._scope == "sub":
            below = not self._base or place.endswith("," + self._base)
        else:
            below = self._scope == "one" and names_of_entries.parent(place) == self._base
        return below and self._filter.matches(record)


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a group, or why that cannot be told."""

    urls: tuple[MemberUrl, ...]
    problem: str | None = None


@lru_cache(maxsize=10_000)
def members(record: Record) -> Members:
    """Read a group's memberURLs.

    A group with a bad one has no members: which nodes it was meant for cannot
    be known, and stopping all of them would let one typing error stop the site.
    The follower reports the problem. So it is with a group that is too large to be read, if its memberURLs are what
    makes it so; else its nodes are known, and cannot be classified.
    """
    if record.unread and not record.all("memberURL"):
        return Members((), record.unread)
    try:
        return Members(tuple(MemberUrl(text, record.dn) for text in record.all("memberURL")))
    except ClassificationError as error:
        return Members((), str(error))
