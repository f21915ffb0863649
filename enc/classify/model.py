"""What goes into a classification and what comes out. Frozen values, no behaviour.

In go `Record`s (enc/terms/record.py): what LDAP stores about a node, a project,
a prefix, a group or the site; the directory adapter and the follower's copy both
produce them. A `Classification` is the finished answer about one node, with the origin of each
part. How one becomes the other is in `gather`, `terminus` and `extended`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from enc.classify.trial import Trial
from enc.terms.names import Certname, DataKey, EnvironmentName, PrefixName, ProjectName
from enc.terms.record import Record

Scalar = str | int | float | bool | None
Key = str | int | float
"""A key of a mapping: hiera's data knows texts and numbers."""
Value = Scalar | Sequence["Value"] | Mapping[str, "Value"] | Mapping[Key, "Value"]
"""A value as YAML knows it, and JSON but for the number keys."""


class Source(Protocol):
    """Where the records of one classification come from: LDAP itself, or the follower's copy.

    Every method raises `DirectoryUnreachable` when nothing can be said; an
    empty answer means that the directory was asked and has no such entry.
    """

    def nodes_named(self, name: str) -> Sequence[Record]:
        """Return the entries that the node filter finds for `name`, in the server's order."""

    def project(self, name: ProjectName) -> Record | None:
        """Return the entry of a project."""

    def projects_like(self, folded: str) -> Sequence[ProjectName]:
        """Return the projects whose name is `folded` once '_' stands for every '-', in no particular order."""

    def prefixes(self, project: ProjectName) -> Sequence[Record]:
        """Return all prefix entries of a project, in no particular order."""

    def groups(self) -> Sequence[Record]:
        """Return all group entries, in no particular order."""

    def site(self) -> Record | None:
        """Return the entry with the site's default."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """All records that bear on one node, each with its place in the order."""

    certname: Certname
    matched: str
    """The name that the node was found under: the certname, its short form, or `default`."""
    node: Record
    parents: tuple[Record, ...] = ()
    """Nearest first."""
    project_name: ProjectName | None = None
    project: Record | None = None
    prefixes: tuple[tuple[PrefixName, Record], ...] = ()
    """Those that the certname starts with; longer later."""
    groups: tuple[tuple[str, Record], ...] = ()
    """(name, record) of those the node is in; by name."""
    site: Record | None = None
    notes: tuple[str, ...] = ()
    """What was odd on the way and did not stop it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one part of an answer was said: a layer's name and the entry."""

    layer: str
    """`site`, `project alpha`, `group web`, `prefix web-`, `parent base`, `node`, or `configuration`."""
    dn: str = ""

    def __str__(self) -> str:
        return f"{self.layer} ({self.dn})" if self.dn else self.layer


@dataclass(frozen=True, slots=True)
class Event:
    """One step in the history of one part of an answer, for `explain`."""

    part: str
    """`class apache`, `parameter apache::port`, `variable site`, `data key`, `environment`."""
    origin: Origin
    did: str
    """`set`, `replaced`, `removed`, `kept` (the value was said, but a nearer one holds), `ignored`."""
    value: Value = None


@dataclass(frozen=True, slots=True)
class Classification:
    """What one node is: the content of an ENC answer, of its hiera data and trusted data."""

    certname: Certname
    environment: EnvironmentName | None
    classes: Mapping[str, Mapping[str, Value]]
    """Class name to parameters. Plain text keys: in strict compatibility they stand as in LDAP."""
    variables: Mapping[str, Value]
    data: Mapping[DataKey, Value] = field(default_factory=dict)
    """The node's own hiera data (projects and prefixes have files of their own)."""
    shared_data: tuple[Mapping[DataKey, Value], ...] = ()
    """Hiera data of the project and of the prefixes that apply, nearer ones later; without empty ones."""
    project: ProjectName | None = None
    said: Mapping[str, Value] = field(default_factory=dict)
    """What was said of all other kinds (kinds.OTHERS), by the part's name."""
    prefixes: tuple[PrefixName, ...] = ()
    """Those that apply, longer later."""
    trial: Trial | None = None
    """What the node's entry says about trying another environment. It does not count before `at` was asked."""
    otherwise: EnvironmentName | None = None
    """While a trial is in force: the environment that the node has without it."""
    version: str = ""
    """The newest entryCSN of all records that took part."""
    events: tuple[Event, ...] = ()
    """In order; the last event of a part tells where its final value comes from. Only filled when asked for."""
    notes: tuple[str, ...] = ()
    """What an admin should look at, though it does not stop the answer."""

    @property
    def region(self) -> Value:
        """The region that the node is in."""
        return self.said.get("region")

    @property
    def role(self) -> Value:
        """The node's role."""
        return self.said.get("role")

    def at(self, now: float) -> Classification:
        """Return what holds at `now` (seconds since 1970): with the trial in force, or without one that is over.

        Every door that gives an answer asks this with its own clock.
        """
        if self.trial is None or self.otherwise is not None:
            return self
        if not self.trial.in_force(now):
            return replace(self, trial=None)
        return replace(self, environment=self.trial.environment, otherwise=self.environment)
