"""LDIF entries into the directory: each checked at our door, compared with what is there, and handed in.

For an entry that is there, the attributes that the file names become what the
file says, and others stay; object classes are only added. So importing the
same file again does nothing. Entries that are not below one of the configured
bases are skipped, not written: an import of a whole dump brings over nodes,
projects and groups, and touches neither people nor the tree itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from enc.classify import gather, statements, terminus
from enc.classify.kinds import VARIABLES, by_attribute
from enc.edits.change import Change, Step, after, making, modifying
from enc.importing.ldif import Entry
from enc.importing.outcome import Outcome, Problem
from enc.service.desk import Desk, PlannedEdit
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import ClassificationError, Conflict, DirectoryUnreachable, InvalidName, NotFound, ToolkitError
from enc.terms.filters import NodeFilter, folded
from enc.terms.names import Certname, ProjectName
from enc.terms.puppet_names import variable_fault
from enc.terms.record import Record

_OF_NAMES = frozenset({"member", "roleoccupant", "owner", "seealso", "uniquemember", "manager"})
"""Attributes that hold names of entries, which a server may write back in another form."""


def bring_in(
    desk: Desk, entries: Iterable[Entry | Problem], file: str, *, reason: str, dry_run: bool = False
) -> Outcome:
    """Import what was read from `file`; raise `DirectoryUnreachable` when LDAP goes away on the way."""
    outcome = Outcome(dry_run)
    seen: dict[str, str] = {}
    made: dict[str, Record] = {}
    for entry in entries:
        if isinstance(entry, Problem):
            outcome.problems.append(entry)
            continue
        where = f"{file}:{entry.line}"
        try:
            if not _is_ours(entry.dn, desk.settings):
                outcome.skipped.append(Problem(where, f"{entry.dn} is not below one of the configured bases"))
                continue
            _bring(desk, _usable(entry, outcome, where, desk.settings), seen, made, outcome, reason)
        except DirectoryUnreachable:
            raise
        except ToolkitError as error:
            outcome.problems.append(Problem(where, str(error)))
    return outcome


def _is_ours(place: str, settings: Settings) -> bool:
    bases = (settings.nodes_base, settings.projects_base, settings.groups_base)
    return dn.normalise(place) == dn.normalise(settings.site_dn) or any(dn.is_below(place, base) for base in bases)


def _usable(entry: Entry, outcome: Outcome, where: str, settings: Settings) -> Entry:
    """Return the entry without the variables that Puppet keeps to itself, each of which is told.

    Its other attributes stay: what a directory calls `name` or `title` is its own affair.
    """
    if settings.nodes.strict_compatibility:
        return entry
    attributes = dict(entry.attributes)
    plain = {name for name, kind in by_attribute(settings.nodes).items() if kind.part == VARIABLES.part}
    for name, values in entry.attributes.items():
        if name.lower() not in plain:
            continue
        faults = {value: variable_fault(value.partition("=")[0].strip()) for value in values}
        kept = tuple(value for value in values if faults[value] is None)
        for value in values:
            if (fault := faults[value]) is not None:
                outcome.skipped.append(Problem(where, f"{entry.dn}: {name}: {value[:80]!r}: {fault}"))
        attributes[name] = kept
    return replace(entry, attributes={name: values for name, values in attributes.items() if values})


def _bring(
    desk: Desk, entry: Entry, seen: dict[str, str], made: dict[str, Record], outcome: Outcome, reason: str
) -> None:
    """Import one entry; `made` are those that this import has made or changed, also if it only says that it would."""
    settings, place = desk.settings, dn.normalise(entry.dn)
    record = Record(entry.dn, {name.lower(): values for name, values in entry.attributes.items()})
    names = check(record, settings)
    _alone(record, names, seen, desk)
    present = made.get(place) if outcome.dry_run and place in made else desk.editor.read(entry.dn)
    step: Step | None
    if present is None:
        _below_something(entry.dn, made, desk)
        step = making(entry.dn, entry.attributes)
    else:
        changes = difference(present, entry)
        step = modifying(present, changes) if changes else None
    certname = next((Certname(name) for name in names if Certname.accepts(name)), None)
    subject = f"node {certname}" if certname else f"entry {entry.dn}"
    if step is None:
        outcome.unchanged += 1
        return
    plan = PlannedEdit("import ldif", subject, _project(record, settings), (step,), node=certname)
    receipt = desk.submit(plan, reason=reason, dry_run=outcome.dry_run)
    outcome.lines += [line for made in receipt.plan.steps for line in made.lines()]
    later = after(step, present)
    assert later is not None
    made[place] = later
    outcome.count((step,))


def _below_something(place: str, made: Mapping[str, Record], desk: Desk) -> None:
    if dn.normalise(dn.parent(place)) not in made and (missing := desk.editor.missing_above(place)) is not None:
        hint = "import that first; `enc-admin project add` creates a project with all it needs"
        raise NotFound(f"its parent entry {missing} does not exist; {hint}", where=place)


def check(record: Record, settings: Settings) -> tuple[str, ...]:
    """Return the names of nodes that the entry answers to; raise `ClassificationError` for what breaks a rule."""
    if settings.nodes.semantics == "terminus":
        statements.class_names(record, settings.nodes.class_attributes)
        statements.environment_of(record, settings.nodes.environment_attribute)
        terminus.stacked(record, settings.nodes, [])
    else:
        statements.read(record, settings.nodes)
    if len(record.all(settings.nodes.parent_attribute)) > 1:
        raise ClassificationError("a node has at most one parent", where=record.dn)
    problem = gather.members(record).problem
    if problem is not None:
        raise ClassificationError(problem)
    kinds = set(map(folded, record.all("objectClass")))
    if dn.is_below(record.dn, settings.projects_base):
        child = dn.child_towards(record.dn, settings.projects_base)
        assert child is not None
        try:
            ProjectName(child[1])
        except InvalidName as error:
            raise ClassificationError(str(error), where=record.dn) from error
        if "puppetmasterscope" in kinds:
            gather.prefix_of(record)
    if not dn.is_below(record.dn, settings.nodes_base):
        return ()
    return NodeFilter(settings.nodes.filter).names(record)


def _alone(record: Record, names: Iterable[str], seen: dict[str, str], desk: Desk) -> None:
    """Refuse a second entry for a name; the terminus itself took the last of them."""
    place = dn.normalise(record.dn)
    if desk.settings.nodes.semantics == "terminus":
        return
    for name in names:
        others = {dn.normalise(other.dn): other.dn for other in desk.source.nodes_named(name)}
        if name in seen:
            others.setdefault(dn.normalise(seen[name]), seen[name])
        others.pop(place, None)
        if others:
            raise Conflict(f"the name {name} already belongs to {'; '.join(others.values())}", where=record.dn)
    seen.update(dict.fromkeys(names, record.dn))


def difference(present: Record, entry: Entry) -> tuple[Change, ...]:
    """Return what must change so that the attributes of `entry` are as the file says."""
    found = []
    for name, values in entry.attributes.items():
        now = present.all(name)
        if name.lower() == "objectclass":
            have = set(map(folded, now))
            missing = tuple(value for value in values if folded(value) not in have)
            found += [Change(name, (), missing)] if missing else []
            continue
        if {_comparable(name, value) for value in now} != {_comparable(name, value) for value in values}:
            found.append(Change(name, now, values))
    return tuple(found)


def _comparable(attribute: str, value: str) -> str:
    if attribute.lower() in _OF_NAMES:
        try:
            return dn.normalise(value)
        except InvalidName:
            return value
    return value


def _project(record: Record, settings: Settings) -> ProjectName | None:
    try:
        if dn.is_below(record.dn, settings.nodes_base):
            return gather.project_of(record, settings)
        child = dn.child_towards(record.dn, settings.projects_base)
        return ProjectName(child[1]) if child else None
    except (ClassificationError, InvalidName):
        return None
