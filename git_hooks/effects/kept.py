"""The last effect of each environment, kept below the store: effects/ENV.json, and the key that hides secrets.

Nothing secret is in it (enc/catalogs/masking.py), but much about nodes that is
nobody else's business: so only the account reads it, and whoever shows it asks
`readable` first: the members of a node's project, and operators, see what
happens to the node.

One environment has one file, of a bounded size: where there is more, resources
stay and values go. It goes with its environment (`sweep`).

Failure modes: `NotFound` where nothing is kept; a damaged file counts as none.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from enc.catalogs import effect
from enc.catalogs.effect import Effect
from enc.catalogs.masking import Mask
from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.rights.roles import OTHER, Person
from enc.terms.errors import NotFound
from enc.terms.names import BranchName, EnvironmentName, ProjectName
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout

_LARGEST = 16 << 20
"""Bytes of one environment's file."""
_KEY = ".key"
_KEY_BYTES = 32


class Kept(NamedTuple):
    """One effect, and what it is of."""

    environment: EnvironmentName
    branch: BranchName
    before: ObjectId
    after: ObjectId
    at: float
    """When it was complete, seconds since 1970."""
    complete: bool
    """Whether all nodes were looked at; else it goes on, or was ended."""
    digest: str
    projects: Mapping[str, str | None]
    """Node to its project."""
    effect: Effect

    def document(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {
            "environment": self.environment,
            "branch": self.branch,
            "before": self.before,
            "after": self.after,
            "at": self.at,
            "complete": self.complete,
            "digest": self.digest,
            "projects": dict(self.projects),
            "nodes": [effect.document(one) for one in self.effect.nodes],
            "unchecked": dict(self.effect.unchecked),
        }


def readable(kept: Kept, person: Person) -> Kept:
    """Return what of an effect a person may see: the nodes of their projects; an operator all."""
    if person.role(None) is not OTHER:
        return kept

    def own(certname: str) -> bool:
        project = kept.projects.get(certname)
        return project is not None and ProjectName.accepts(project) and person.belongs_to(ProjectName(project))

    nodes = tuple(one for one in kept.effect.nodes if own(one.certname))
    unchecked = {name: why for name, why in kept.effect.unchecked.items() if own(name)}
    projects = {name: project for name, project in kept.projects.items() if own(name)}
    return kept._replace(effect=Effect(nodes, unchecked), projects=projects)


class KeptEffects:
    """What is kept in one store."""

    def __init__(self, layout: Layout) -> None:
        """Touch nothing yet."""
        self._layout = layout
        self._directory = f"{layout.root}/effects"

    def mask(self) -> Mask:
        """Return what hides secrets here; its key is made when it is first needed."""
        place = f"{self._directory}/{_KEY}"
        with suppress(FileNotFoundError), open(place, "rb") as file:
            key = file.read(_KEY_BYTES)
            if len(key) == _KEY_BYTES:
                return Mask(key)
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        key = secrets.token_bytes(_KEY_BYTES)
        whole_file.write(place, key, mode=0o600, survives=Strength.POWER_CUT)
        return Mask(key)

    def keep(self, kept: Kept) -> None:
        """Keep it instead of what was there; raise OSError."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        text = json.dumps(kept.document())
        if len(text) > _LARGEST:
            document = kept.document()
            for node in document["nodes"]:
                for change in node["changes"]:
                    change["changed_parameters"] = [
                        {**one, "before": "(too much to keep)", "after": "(too much to keep)"}
                        for one in change["changed_parameters"]
                    ]
            text = json.dumps(document)
        if len(text) > _LARGEST:
            document["nodes"] = [{**node, "changes": []} for node in document["nodes"]]
            text = json.dumps(document)
        whole_file.write(self._place(kept.environment), text, mode=0o600, survives=Strength.KILL)

    def of(self, environment: EnvironmentName) -> Kept:
        """Return what is kept of an environment; raise `NotFound`."""
        try:
            with open(self._place(environment), encoding="utf-8") as file:
                one = json.load(file)
            return Kept(
                EnvironmentName(one["environment"]),
                BranchName(one["branch"]),
                ObjectId(one["before"]),
                ObjectId(one["after"]),
                one["at"],
                one["complete"],
                one["digest"],
                one["projects"],
                effect.read(one["nodes"], one["unchecked"]),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotFound("no effect on nodes is kept; the next push has one", where=environment) from error

    def sweep(self) -> int:
        """Remove what is kept of environments that there are no versions of; return how many."""
        removed = 0
        with suppress(FileNotFoundError):
            for file in os.listdir(self._directory):
                name = file.removesuffix(".json")
                if name != file and not os.path.isdir(f"{self._layout.versions}/{name}"):
                    with suppress(FileNotFoundError):
                        os.unlink(f"{self._directory}/{file}")
                        removed += 1
        return removed

    def _place(self, environment: EnvironmentName) -> str:
        return f"{self._directory}/{environment}.json"
