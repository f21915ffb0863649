"""Wikimedia's ENC as its git mirror holds it: what stands on disk, read into scopes.

The layout (contracts: Wikimedia's ENC API): `PROJECT/PREFIX.roles` is a YAML
list of classes, `PROJECT/PREFIX.yaml` a YAML mapping of hiera data, and the
prefix `_` is the whole project. Roles become classes of the project or prefix,
hiera data becomes `puppetmasterData` there; both mean for a node what they
meant: the classes of all prefixes that its name starts with, and of data the
longest prefix's.

What cannot be used is a `Problem` with its line, and everything beside it goes
on: a class, a key, or at worst a file. What is told apart all the way is a file
that is not there (it says: nothing) and one that cannot be read (it says
nothing about what it says).

Not here: LDAP, and what is to change there (mirroring.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from enc.classify.model import Value
from enc.importing import yaml_files
from enc.importing.outcome import Problem
from enc.importing.safely import Unreadable, text_of
from enc.terms.errors import InvalidName, UsageError, one_line
from enc.terms.names import ClassName, DataKey, PrefixName, ProjectName

WHOLE_PROJECT = "_"


@dataclass(slots=True)
class Scope:
    """What the files say about one project or prefix."""

    where: Path
    prefix: PrefixName | None
    classes: dict[ClassName, None] | None = field(default_factory=dict)
    """None: there is a file, and it cannot be read."""
    data: dict[DataKey, Value] | None = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Keys that the file has and whose values cannot be taken."""


@dataclass(slots=True)
class Project:
    """What stands in one directory."""

    where: Path
    name: ProjectName
    scopes: dict[PrefixName | None, Scope] = field(default_factory=dict)
    """The whole project (None) first, and always there."""
    whole: bool = True
    """Whether all of it could be read; else nothing follows from what is not there."""


@dataclass(slots=True)
class Tree:
    """All of it."""

    projects: dict[ProjectName, Project] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """What could not be used."""
    notes: list[Problem] = field(default_factory=list)
    """What was used, but perhaps not as somebody meant it."""
    unread: set[str] = field(default_factory=set)
    """Names of directories that cannot be used at all."""


def read(directory: Path) -> Tree:
    """Return what stands below `directory`; raise `UsageError` if it is none, or cannot be listed."""
    tree = Tree()
    if not directory.is_dir():
        raise UsageError("is not a directory", where=str(directory))
    for place in _listed(directory):
        if place.name.startswith(".") or (place.is_file() and not place.is_symlink()):
            continue  # .git, README
        if place.is_symlink() or not place.is_dir():
            tree.problems.append(Problem(str(place), "is neither a directory nor a file; links are not followed"))
            tree.unread.add(place.name)
            continue
        try:
            project = Project(place, ProjectName(place.name))
        except InvalidName as error:
            tree.problems.append(Problem(str(place), error.message))
            continue
        tree.projects[project.name] = project
        project.scopes[None] = Scope(place / WHOLE_PROJECT, None)
        _read_project(project, tree)
    return tree


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(f"cannot be listed: {error.strerror}", where=str(directory)) from error


def _read_project(project: Project, tree: Tree) -> None:
    try:
        files = _listed(project.where)
    except UsageError as error:
        tree.problems.append(Problem(str(project.where), error.message))
        project.whole = False
        return
    # Lower-case names last: where both are there, what they say wins.
    for file in sorted(files, key=lambda file: (file.name.lower(), file.name)):
        if file.suffix not in (".roles", ".yaml"):
            if not file.name.startswith("."):
                tree.problems.append(Problem(str(file), "is neither PREFIX.roles nor PREFIX.yaml"))
            continue
        stem = file.name.removesuffix(file.suffix)
        if stem == WHOLE_PROJECT:
            scope = project.scopes[None]
        else:
            found = _prefix(stem, file, tree)
            if found is None:
                continue
            scope = project.scopes.setdefault(found, Scope(project.where / stem, found))
        try:
            _read_file(file, scope, tree)
        except Unreadable as error:
            tree.problems.append(Problem(error.where or str(file), error.message))
            if file.suffix == ".roles":
                scope.classes = None
            else:
                scope.data = None


def _prefix(stem: str, file: Path, tree: Tree) -> PrefixName | None:
    """Return the prefix that a file is named after."""
    try:
        prefix = PrefixName(stem.lower())
    except InvalidName as error:
        tree.problems.append(Problem(str(file), error.message))
        return None
    if prefix != stem:
        tree.notes.append(
            Problem(
                str(file), f"is read as {prefix}: certnames have no capitals, and Wikimedia's database ignores case"
            )
        )
    if "_" in prefix:
        tree.notes.append(
            Problem(str(file), "Wikimedia's database matches any character with _; here it is an ordinary character")
        )
    return prefix


def _read_file(file: Path, scope: Scope, tree: Tree) -> None:
    text = text_of(file)
    if file.suffix == ".roles":
        listed = yaml_files.classes(text, file)
        tree.problems += listed.problems
        if scope.classes is not None:
            scope.classes |= listed.found
        return
    said = yaml_files.data(text, file)
    tree.problems += said.problems
    tree.notes += said.notes
    scope.refused |= said.refused
    if scope.data is not None:
        for key in scope.data.keys() & said.found.keys():
            words = f"{one_line(key)}: another file of this prefix sets it too; this one counts"
            tree.notes.append(Problem(str(file), words))
        scope.data |= said.found
