"""What somebody should know about an edit that is taken all the same: said at the edit, and again by doctor.

A name that would stop every catalog is refused (enc/terms/puppet_names.py). Here is
what works and surprises: a variable that hides a fact, an environment or a class
that is not on this machine, which a later push may still bring, and hiera's own
marks in a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from enc.classify.extended import template_environment
from enc.classify.kinds import CLASSES, DATA, ENVIRONMENT, VARIABLES
from enc.classify.model import Value
from enc.edits.wish import Wish
from enc.puppet.deployed import Environments
from enc.service.effect import Effect
from enc.settings import Settings
from enc.terms.errors import one_line
from enc.terms.names import ClassName, EnvironmentName, ProjectName
from enc.terms.nearest import meant
from enc.terms.puppet_names import environment_fault, hidden_by, unreadable
from enc.terms.record import Record


def on_plan(
    wish: Wish | None, environment: EnvironmentName | None, effects: Sequence[Effect], settings: Settings
) -> tuple[str, ...]:
    """Return what to say about an edit.

    Classes are looked for in the environment that the edit leaves a node with
    (`effects`), else in `environment`; if the node changes its environment, all
    of its classes are.
    """
    places = Environments.of(settings)
    alike = {_bearing(effect): effect for effect in effects}
    told = (line for effect in (*alike.values(),) or (None,) for line in _on_one(wish, environment, effect, places))
    return tuple(dict.fromkeys(told))


def _bearing(effect: Effect) -> tuple[object, ...]:
    """Return all of an effect that advice depends on: nodes with the same are looked at once."""
    sides = (side and (side.environment, tuple(side.classes)) for side in (effect.before, effect.after))
    return tuple(sides)


def _on_one(
    wish: Wish | None, environment: EnvironmentName | None, effect: Effect | None, places: Environments
) -> tuple[str, ...]:
    found: list[str] = []
    names, later = tuple(wish[CLASSES]) if wish else (), effect.after if effect else None
    if effect is not None and later is not None:
        environment = later.environment
        before = effect.before if effect.before and effect.before.environment == environment else None
        names = tuple(ClassName(name) for name in later.classes if ClassName.accepts(name))
        names = tuple(name for name in names if before is None or name not in before.classes)
        if later.environment is not None and before is None:
            found += on_environment(later.environment, places)
    elif wish is not None:
        for name in wish[ENVIRONMENT].values():
            found += on_environment(name, places)
    if environment is not None:
        found += on_classes(names, environment, places)
    if wish is not None:
        for kind, said in wish:
            if kind.part == VARIABLES.part:
                found += _variables(said)
            elif kind.part == DATA.part:
                found += [f"data {key}: {_INTERPOLATED}" for key, value in said.items() if _interpolated(value)]
    return tuple(map(one_line, found))


_INTERPOLATED = "hiera replaces %{…} in it at each lookup; for a literal percent sign write %{literal('%')}"


def _variables(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if advice := hidden_by(name) or unreadable(name):
            yield f"variable {name}: {advice}"


def on_environment(name: EnvironmentName, places: Environments) -> Iterator[str]:
    """Yield what is odd about an environment that a node is to have."""
    if fault := environment_fault(name):
        yield f"environment {name}: {fault}; no branch can become it"
    elif places.served and places.shown(name) and places[name] is None:
        yield f"environment {name}: is not deployed on this machine; its nodes get no catalog until it is"


def on_classes(names: Sequence[ClassName], environment: EnvironmentName, places: Environments) -> Iterator[str]:
    """Yield the classes for which the environment, as it is deployed here, has no file."""
    where = places[environment]
    if where is None:
        return
    for name in names:
        if where.has(name) is False:
            yield (
                f"class {name}: no file found for it in environment {environment} (neither in its modules nor in "
                "its own manifests); nodes with this class get no catalog until a push adds it"
                f"{meant(name, where.alike(name))}"
            )


def shared_environment(
    wish: Wish, project: ProjectName | None, records: Iterable[Record | None], settings: Settings
) -> EnvironmentName:
    """Return the environment in which the classes of an entry that nodes share are looked for.

    It is the first that is named by the wish, by one of `records` (nearest
    first), by projects.environment, or by the configuration. A node may have
    another; that is told where the node is edited, and by doctor.
    """
    named = [record.first(settings.nodes.environment_attribute) for record in records if record is not None]
    told = (name for name in named if name is not None and EnvironmentName.accepts(name))
    if (wished := wish[ENVIRONMENT].get("")) is not None:
        return wished
    if (name := next(told, None)) is not None:
        return EnvironmentName(name)
    if project is not None and settings.projects.environment is not None:
        return template_environment(settings.projects.environment, project)
    return settings.nodes.default_environment


def _interpolated(value: Value) -> bool:
    if isinstance(value, str):
        return "%{" in value
    if isinstance(value, Mapping):
        return any(_interpolated(key) or _interpolated(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(map(_interpolated, value))
