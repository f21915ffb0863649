"""What a kind of statement is: one row of the table in kinds.py. Pure.

A node's, a project's or any other entry says things of several kinds: classes, variables, hiera data, an
environment. Every value of an attribute says one thing, which has a key (a class's name, a variable's name; nothing
where an entry can say only one) and, but for bare names, a value. A `Kind` tells

- where it is written: the attribute, and what the schema says of it;
- how a text is read (`split`, `key`, `value`, `fault`) and written (`spell`), and which texts are about the same
  thing, which has to be told also of one that cannot be read (`label`);
- what becomes of it when entries are laid on each other (`merge`), and where the answer shows it;
- with which option people set it and take it away.

Two kinds may be about the same `part` of an answer: a variable is written plain or typed. They share its name, take
each other's place in an entry, and are one to whoever reads the answer.

Whoever works with statements goes through the table and knows shapes, not kinds: statements.py reads, extended.py
merges, render.py and service/ show, edits/ changes entries, commands/ offers the options, directory/ makes the schema
and slapd's rules of it.

Not here: which kinds there are (kinds.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

from enc.classify.model import Value
from enc.settings import NodeSettings
from enc.terms.errors import one_line

K = TypeVar("K")
V = TypeVar("V")


class LeftOut(str):
    """A note on what an entry says and no answer has, because Puppet keeps it to itself; a text like every note."""

    __slots__ = ()

    @classmethod
    def because(cls, fault: str, what: str = "") -> Self:
        """Return the note on `what` (none: for whoever puts it in front)."""
        return cls(f"{what}is left out of the answer: {fault}")


class AttributeLeftOut(LeftOut):
    """That of an attribute which would be a variable, and which nobody may have meant as one."""

    __slots__ = ()


class Option(NamedTuple):
    """How people say it."""

    name: str
    """Without the dashes: `class` makes `--class` and `--unset-class`."""
    metavar: str
    words: str | Callable[[], str]
    """Of the option that sets it, in the help; called, if they depend on the whole table."""
    unset: str
    """Of the one that takes it away: `a class`."""


class Schema(NamedTuple):
    """The attribute in the schema that is ours (directory/schema/definitions.py)."""

    number: int
    """Below the arc of our attributes; never given twice, and never changed."""
    description: str


class Removable(NamedTuple):
    """How an entry says that it does not inherit one: `class NAME`, the part's name and the key."""

    metavar: str
    key: Callable[[str], Any]
    """Strictly: returns the key as `Kind.key` does, and raises ValueError for any other spelling."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Kind(Generic[K, V]):
    """One kind of thing that an entry can say: keys of the type K with values of the type V."""

    part: str
    """What it is about, as people and programs read it: `class`, `variable`. In `explain`, notes and JSON."""
    field: str
    """Its keyword in `Wish`; that of its part's first kind in `Withdrawal`: `classes`."""
    shape: Literal["names", "pairs", "single"]
    """Many bare names; many keys, each with a value; one value, whose key is the empty text."""
    attribute: str
    """Where it is written; by default, if the configuration can name another."""
    configured: Callable[[NodeSettings], tuple[str, ...]] | None = None
    """The attributes that the configuration names: all are read, the first is written. None: it names none."""
    object_class: Literal["puppetClient", "puppetmasterClassification", ""] = "puppetmasterClassification"
    """Which object class allows the attribute; empty: every one."""
    schema: Schema | None = None
    """None: the attribute is not ours."""
    indexed: bool = False
    """Whether the embedded directory finds entries by it."""

    split: Callable[[str], tuple[str, str | None]]
    """Takes a value of the attribute apart: name, and text behind it, if there is one. ValueError: the rule."""
    key: Callable[[str], K]
    """Makes the key of the name. ValueError: the rule."""
    value: Callable[[str | None], V]
    """Makes the value of the text. ValueError: the rule."""
    fault: Callable[[K, V], str | None] | None = None
    """Why nobody can use it: an entry that says so is refused."""
    passed_over: Callable[[str, NodeSettings], str | None] | None = None
    """What is said of a name that counts as if nobody had written it. None, also of what it returns: it counts."""
    several: str = ""
    """Why an entry may not have several values of a single one. Empty: the first counts."""

    spell: Callable[[K, V], str]
    """The text that stands in the attribute. ValueError: what cannot be stored."""
    name: Callable[[K], str] = str
    """The key as people read it."""
    label: Callable[[str], str]
    """The same of any text in the attribute, also a bad one, and of what people write to take it away."""
    names_key: Callable[[str], bool] = lambda text: "=" not in text
    """Whether what people want to be taken away is a key, and not an exact value."""
    refusal: Callable[[K, V], str | None] = lambda _key, _value: None
    """Why no edit writes it, though entries may have it."""
    folded: str = ""
    """What to do if another value is there that differs in capitals only, which the attribute cannot keep apart;
    {name} is the key. Empty: it can, or such two are the same."""

    merge: Literal["nearer", "levels", "own", "no"]
    """Of entries that say the same key, the nearer wins; each level stands for itself, and hiera looks them up;
    only the node's own entry counts; it is no part of an answer."""
    removable: Removable | None = None
    """None: what was inherited cannot be taken away."""
    trusted: bool = False
    """Whether it stands in trusted external data, under the part's name: a list, a mapping, or a text or null."""
    terminus: bool = False
    """Whether Puppet's LDAP node terminus knows it, too."""

    option: Option | None = None
    """None: no option says it."""
    asked: Callable[[str], str] = lambda text: text
    """Brings what people wrote into the form in which `split` takes it. ValueError: the rule."""
    nodes_only: bool = False
    """Whether only a node can say it."""
    projects_only: bool = False
    """Whether only a project's own entry can say it."""
    delegated: bool = True
    """Whether slapd lets whoever may edit an entry's classification write it. False: access.py has a rule for it."""

    def __post_init__(self) -> None:
        """Refuse a row that contradicts itself."""
        if self.merge != "nearer" and self.removable is not None:
            raise ValueError(f"{self.part}: only what is inherited can be removed")
        if self.merge not in ("nearer", "own") and self.trusted:
            raise ValueError(f"{self.part}: trusted external data has one value per node")

    def attributes(self, settings: NodeSettings) -> tuple[str, ...]:
        """Return the attributes in which it may stand; the first is written."""
        return (self.attribute,) if self.configured is None else self.configured(settings)

    def told(self, key: K) -> str:
        """Return the one thing for people, on one line: `class apache`, `environment`."""
        return one_line(f"{self.part} {self.name(key)}") if self.shape != "single" else self.part

    def read(self, text: str) -> tuple[K, V]:
        """Return what a value of the attribute says; raise ValueError with the rule that it breaks."""
        name, rest = self.split(text)
        key, value = self.key(name), self.value(rest)
        if self.fault is not None and (fault := self.fault(key, value)):
            raise ValueError(fault)
        return key, value

    def normal(self, text: str) -> str:
        """Return a value of the attribute as an edit would write it, or as it is, if it cannot be read."""
        try:
            return self.spell(*self.read(text))
        except ValueError:
            return text

    def shown(self, found: Mapping[K, Any]) -> Value:
        """Return what is said in an answer as programs read it."""
        if self.shape == "single":
            value: Value = next(iter(found.values()), None)
            return value
        if self.shape == "names":
            return [self.name(key) for key in found]
        return {self.name(key): value for key, value in found.items()}
