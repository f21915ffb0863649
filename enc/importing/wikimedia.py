"""Wikimedia's ENC as its git mirror holds it, into projects and prefixes.

The layout (contracts: Wikimedia's ENC API): `PROJECT/PREFIX.roles` is a YAML
list of classes, `PROJECT/PREFIX.yaml` a YAML mapping of hiera data, and the
prefix `_` is the whole project. Roles become classes of the project or prefix,
hiera data becomes `puppetmasterData` there; both mean for a node what they
meant: the classes of all prefixes that its name starts with, and of data the
longest prefix's.

Nothing that is in LDAP already is taken away. A file that cannot be used is a
`Problem` with its line, its counterpart and all others go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from enc.changes import Wish
from enc.classify import values
from enc.classify.model import Value
from enc.errors import DirectoryUnreachable, InvalidName, NotFound, ToolkitError, UsageError, one_line
from enc.importing.outcome import Outcome, Problem
from enc.importing.safely import Unreadable, line_of, text_of, yaml_of
from enc.names import ClassName, DataKey, PersonName, PrefixName, ProjectName
from enc.service import projects
from enc.service.desk import Desk, Receipt

WHOLE_PROJECT = "_"


@dataclass(frozen=True)
class Scope:
    """What the files say about one project or prefix."""

    where: Path
    project: ProjectName
    prefix: PrefixName | None
    wish: Wish


def read(directory: Path) -> Iterator[Scope | Problem]:
    """Yield what stands below `directory`, projects before their prefixes; raise `UsageError` if it is none."""
    if not directory.is_dir():
        raise UsageError("is not a directory", where=str(directory))
    for place in sorted(directory.iterdir()):
        if place.name.startswith(".") or (place.is_file() and not place.is_symlink()):
            continue  # .git, README
        if place.is_symlink() or not place.is_dir():
            yield Problem(str(place), "is neither a directory nor a file; links are not followed")
            continue
        try:
            project = ProjectName(place.name)
        except InvalidName as error:
            yield Problem(str(place), error.message)
            continue
        yield from _project(place, project)


def _project(place: Path, project: ProjectName) -> Iterator[Scope | Problem]:
    stems: dict[str, list[Path]] = {}
    for file in sorted(place.iterdir()):
        if file.suffix in (".roles", ".yaml"):
            stems.setdefault(file.name.removesuffix(file.suffix), []).append(file)
        elif not file.name.startswith("."):
            yield Problem(str(file), "is neither PREFIX.roles nor PREFIX.yaml")
    for stem in sorted(stems, key=lambda stem: (stem != WHOLE_PROJECT, stem)):
        try:
            prefix = None if stem == WHOLE_PROJECT else PrefixName(stem)
        except InvalidName as error:
            yield Problem(str(stems[stem][0]), error.message)
            continue
        classes: tuple[ClassName, ...] = ()
        data: dict[DataKey, Value] = {}
        for file in stems[stem]:
            try:
                if file.suffix == ".roles":
                    classes = roles(text_of(file), file)
                else:
                    data = hiera(text_of(file), file)
            except Unreadable as error:
                yield Problem(error.where or str(file), error.message)
        if classes or data:
            yield Scope(place / stem, project, prefix, Wish(classes=classes, data=data))


def roles(text: str, file: Path) -> tuple[ClassName, ...]:
    """Return the classes that a `.roles` file lists; raise `Unreadable` with the line."""
    value, node = yaml_of(text, file)
    if value is None:
        return ()
    if not isinstance(value, list) or not isinstance(node, yaml.SequenceNode):
        raise Unreadable("a list of classes is expected", where=line_of(file, node))
    found: dict[ClassName, None] = {}
    for item, place in zip(value, node.value, strict=True):
        if not isinstance(item, str):
            raise Unreadable(f"{one_line(repr(item))[:60]} is not a class name", where=line_of(file, place))
        try:
            found[ClassName.from_directory(item)] = None
        except InvalidName as error:
            raise Unreadable(error.message, where=line_of(file, place)) from error
    return tuple(found)


def hiera(text: str, file: Path) -> dict[DataKey, Value]:
    """Return the data of a `.yaml` file; raise `Unreadable` with the line."""
    value, node = yaml_of(text, file)
    if value is None:
        return {}
    if not isinstance(value, dict) or not isinstance(node, yaml.MappingNode):
        raise Unreadable("a mapping of hiera keys is expected", where=line_of(file, node))
    lines: dict[str, yaml.Node] = {}
    for key_node, _ in node.value:
        if key_node.value in lines:
            raise Unreadable(f"the key {one_line(key_node.value)} stands twice", where=line_of(file, key_node))
        lines[key_node.value] = key_node
    found: dict[DataKey, Value] = {}
    for key, item in value.items():
        where = line_of(file, lines.get(str(key), node))
        try:
            found[DataKey(str(key))] = item
            values.check(item)
        except InvalidName as error:
            raise Unreadable(error.message, where=where) from error
        except ValueError as error:
            raise Unreadable(f"{key}: {error}", where=where) from error
    return found


def bring_in(
    desk: Desk, directory: Path, *, admins: tuple[PersonName, ...] = (), reason: str, dry_run: bool = False
) -> Outcome:
    """Import all of `directory`. Projects that LDAP does not have are made with `admins`, if there are any."""
    outcome = Outcome(dry_run)
    made: dict[ProjectName, bool] = {}
    for scope in read(directory):
        if isinstance(scope, Problem):
            outcome.problems.append(scope)
            continue
        try:
            if scope.project not in made:
                made[scope.project] = _ensure(desk, scope.project, admins, outcome, reason)
            if made[scope.project] and dry_run:
                # Its entry is not there to be compared with; what would be put on it is told as it is read.
                outcome.lines.append(f"then set on {scope.where.relative_to(directory)}: {_told(scope.wish)}")
                outcome.added += scope.prefix is not None
                continue
            target = projects.Target(project=scope.project, prefix=scope.prefix)
            receipt = projects.change(desk, target, scope.wish, reason=reason, dry_run=dry_run)
            _count(receipt, outcome)
        except DirectoryUnreachable:
            raise
        except ToolkitError as error:
            outcome.problems.append(Problem(str(scope.where), str(error)))
    return outcome


def _ensure(
    desk: Desk, project: ProjectName, admins: tuple[PersonName, ...], outcome: Outcome, reason: str
) -> bool:
    """Make the project if it is missing and return True; raise `NotFound` if nobody is to administer it."""
    if desk.editor.read(projects.place_of(project, desk)) is not None:
        return False
    if not admins:
        raise NotFound(f"there is no project {project}; make it first, or say with --admin who administers new ones")
    _count(projects.add(desk, project, admins, (), Wish(), reason=reason, dry_run=outcome.dry_run), outcome)
    return True


def _count(receipt: Receipt, outcome: Outcome) -> None:
    steps = receipt.plan.steps
    outcome.lines += [line for step in steps for line in step.lines()]
    outcome.lines += [f"note: {remark}" for remark in receipt.plan.remarks]
    if not steps:
        outcome.unchanged += 1
    elif steps[0].do == "add":
        outcome.added += 1
    else:
        outcome.changed += 1


def _told(wish: Wish) -> str:
    classes = f"classes {', '.join(wish.classes)}" if wish.classes else ""
    data = f"data {', '.join(wish.data)}" if wish.data else ""
    return "; ".join(part for part in (classes, data) if part)
