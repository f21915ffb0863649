"""From what an admin wants to precise changes of an entry's values. Pure.

Every attribute holds *parts*: `puppetVar` one for each variable name, the
class attribute one for each class, `environment` a single one. An edit touches
parts, and a `Change` shows exactly them: the values of the touched parts as
they were and as they become. So

- what is sent to LDAP is the difference (delete-old, add-new), never a whole
  attribute, and what others wrote beside it stays;
- two edits collide only if they touch the same part;
- the reverse of a change is the change with both sides swapped, and it can be
  told whether the part has been touched since.

Values are taken apart at the first `=` only, so a value may hold more of them.
A value is refused (`UsageError`) here before anything is written if LDAP or
Puppet could not keep it as it is.

Not here: whether the person may (authorize.py), reading and writing (service/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from enc.classify import statements, values
from enc.classify.model import Value
from enc.classify.statements import DATA, OURS, PARAMETER, REGION, REMOVE, ROLE, TRIAL, VARIABLE
from enc.classify.trial import Trial
from enc.edits import differences
from enc.edits.differences import Bounds
from enc.settings import NodeSettings
from enc.terms.errors import ClassificationError, Conflict, UsageError, one_line
from enc.terms.filters import folded
from enc.terms.names import Certname, ClassName, DataKey, EnvironmentName, ParameterName, VariableName
from enc.terms.puppet_names import environment_fault, variable_fault
from enc.terms.record import Record

Do = Literal["add", "modify", "delete", "rename"]
State = Literal["made", "not made", "changed since"]

_PUPPET = frozenset({"puppetclass", "puppetvar", "parentnode", "environment"})
_OURS = frozenset(name.lower() for name in OURS)
_SPELLING = {
    name.lower(): name
    for name in (*OURS, "objectClass", "puppetClass", "puppetVar", "parentNode", "roleOccupant", "associatedDomain")
}
"""Attributes as people write them; servers and records do not tell capitals apart."""
_PAIRS = frozenset(name.lower() for name in (VARIABLE, PARAMETER))


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to the touched parts of one attribute."""

    attribute: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def remove(self) -> tuple[str, ...]:
        """The values that go."""
        return tuple(value for value in self.before if value not in self.after)

    @property
    def add(self) -> tuple[str, ...]:
        """The values that come."""
        return tuple(value for value in self.after if value not in self.before)


@dataclass(frozen=True, slots=True)
class Step:
    """One LDAP write: an entry made, changed, deleted, or given another name (its one change is of `dn`)."""

    do: Do
    dn: str
    changes: tuple[Change, ...]
    csn: str = field(default="", compare=False)
    """The entry's version that the step was thought up for; empty: any."""

    def lines(self, bounds: Bounds = differences.SHORT) -> list[str]:
        """Return the step as a small diff, within `bounds`; no value can break a line."""
        body = []
        for change in self.changes:
            told = differences.of_values(change.attribute, change.remove, change.add, bounds)
            body += [f"  {line}" for line in told]
        return [one_line(f"{self.do} {self.dn}"), *body]


class ChangedSince(Conflict):
    """What an edit changed is no longer as the edit left it."""


@dataclass(frozen=True)
class Wish:
    """What is to be so. Everything that is not named stays as it is."""

    classes: tuple[ClassName, ...] = ()
    variables: Mapping[VariableName, str] = field(default_factory=dict)
    """Plain ones, as the LDAP node terminus reads them: texts, and the words true and false."""
    typed_variables: Mapping[VariableName, Value] = field(default_factory=dict)
    parameters: Mapping[tuple[ClassName, ParameterName], Value] = field(default_factory=dict)
    data: Mapping[DataKey, Value] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    """What is not inherited: `class NAME`, `variable NAME`, `parameter CLASS::NAME`."""
    environment: EnvironmentName | None = None
    parent: Certname | None = None
    region: str | None = None
    role: str | None = None
    description: str | None = None
    trial: Trial | None = None

    @property
    def extended(self) -> bool:
        """Whether it needs more than Puppet's own schema can say."""
        single = self.region or self.role or self.trial
        return bool(self.typed_variables or self.parameters or self.data or self.without or single)


@dataclass(frozen=True)
class Withdrawal:
    """What is to be no more on this entry. A text is a name, or an exact value if it holds a '='."""

    classes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    environment: bool = False
    parent: bool = False
    region: bool = False
    role: bool = False
    description: bool = False
    trial: bool = False


@dataclass(frozen=True)
class Amendment:
    """What is to be so, and what is to be no more, in one edit: there is no state between them."""

    wish: Wish
    withdrawal: Withdrawal


Wanted = Wish | Withdrawal | Amendment


def wish_in(wanted: Wanted) -> Wish | None:
    """Return what is to be so, None if something is only to be no more."""
    if isinstance(wanted, Amendment):
        return wanted.wish
    return wanted if isinstance(wanted, Wish) else None


def part_of(attribute: str, value: str, settings: NodeSettings) -> str:
    """Return the name of the part that `value` of `attribute` belongs to."""
    name = attribute.lower()
    if name == DATA.lower():
        return _data_key(value)
    if name in _PAIRS or name in _lower(settings.variable_attributes):
        return value.partition("=")[0].strip()
    if name in _lower(settings.class_attributes):
        return value.strip().removeprefix("::").lower()
    if name in _single(settings):
        return ""
    return folded(value)


def _data_key(text: str) -> str:
    try:
        return values.split(text)[0]
    except ValueError:  # a value that somebody else wrote, or only a key
        with suppress(ValueError):
            return values.key_of(text)
        return text.partition("=")[0].strip()


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _single(settings: NodeSettings) -> frozenset[str]:
    names = (settings.environment_attribute, settings.parent_attribute, REGION, ROLE, TRIAL, "puppetmasterProject")
    return _lower((*names, "description"))


class _Sheet:
    """The values of one entry while they are being changed, and which parts were touched."""

    def __init__(self, record: Record, settings: NodeSettings) -> None:
        self._record = record
        self._settings = settings
        self._now: dict[str, list[str]] = {}
        self._touched: dict[str, tuple[str, set[str]]] = {}

    def now(self, attribute: str) -> list[str]:
        return self._now.setdefault(attribute.lower(), list(self._record.all(attribute)))

    def drop(self, attribute: str, matches: Callable[[str], bool]) -> None:
        for value in [value for value in self.now(attribute) if matches(value)]:
            self._touch(attribute, value)
            self.now(attribute).remove(value)

    def put(self, attribute: str, value: str) -> None:
        self._touch(attribute, value)
        if value not in self.now(attribute):
            self.now(attribute).append(value)

    def put_only(self, attribute: str, value: str) -> None:
        """Let `value` be the only one of its part."""
        part = part_of(attribute, value, self._settings)
        self.drop(attribute, lambda old: part_of(attribute, old, self._settings) == part and old != value)
        self.put(attribute, value)

    def _touch(self, attribute: str, value: str) -> None:
        parts = self._touched.setdefault(attribute.lower(), (attribute, set()))[1]
        parts.add(part_of(attribute, value, self._settings))

    def changes(self) -> tuple[Change, ...]:
        found = []
        for name, (attribute, parts) in self._touched.items():
            before = slice_of(self._record.all(attribute), attribute, parts, self._settings)
            after = slice_of(self._now[name], attribute, parts, self._settings)
            if set(before) != set(after):
                found.append(Change(attribute, before, after))
        return tuple(found)


def slice_of(found: Iterable[str], attribute: str, parts: set[str], settings: NodeSettings) -> tuple[str, ...]:
    """Return those of the values `found` that belong to one of `parts`."""
    return tuple(value for value in found if part_of(attribute, value, settings) in parts)


def to_set(record: Record, wish: Wish, settings: NodeSettings) -> tuple[Change, ...]:
    """Return what must change in `record` so that `wish` holds; nothing if it does already.

    Raise `UsageError` for what cannot be stored or read as it is meant.
    """
    sheet = _Sheet(record, settings)
    _set(sheet, wish, settings)
    return _complete(record, sheet.changes(), settings)


def _set(sheet: _Sheet, wish: Wish, settings: NodeSettings) -> None:
    if wish.extended and settings.semantics == "terminus":
        raise UsageError(
            "nodes.semantics is terminus, which knows classes, plain variables, environment and parent only"
        )
    for variable in (*wish.variables, *wish.typed_variables):
        if fault := variable_fault(variable):
            raise UsageError(f"variable {variable}: {fault}")
    if wish.environment is not None and (fault := environment_fault(wish.environment)):
        raise UsageError(f"environment {wish.environment}: {fault}; choose another")
    classes = settings.class_attributes
    for name in wish.classes:
        if not any(part_of(a, value, settings) == name for a in classes for value in sheet.now(a)):
            sheet.put(classes[0], name)
    _variables(sheet, wish, settings)
    for (class_name, parameter), value in wish.parameters.items():
        _typed(sheet, PARAMETER, f"{class_name}::{parameter}", value, settings)
    for key, value in wish.data.items():
        _typed(sheet, DATA, key, value, settings)
    for text in wish.without:
        sheet.put(REMOVE, text)
    for attribute, single in (
        (settings.environment_attribute, wish.environment),
        (settings.parent_attribute, wish.parent),
        (REGION, wish.region),
        (ROLE, wish.role),
        ("description", wish.description),
        (TRIAL, wish.trial and wish.trial.text()),
    ):
        if single is not None:
            sheet.put_only(attribute, single)


def _variables(sheet: _Sheet, wish: Wish, settings: NodeSettings) -> None:
    plain_attribute = settings.variable_attributes[0]
    everywhere = (*settings.variable_attributes, VARIABLE)
    both = wish.variables.keys() & wish.typed_variables.keys()
    if both:
        raise UsageError(f"the variable {min(both)} is given twice")
    for name, text in wish.variables.items():
        if not (text.isascii() and (text.isprintable() or not text)):
            raise UsageError(
                f"variable {name}: a plain variable holds printable ASCII only; write --json-variable {name}=JSON"
            )
        value = f"{name}={text}"
        _take(sheet, everywhere, name, settings, but=(plain_attribute, value))
        for other in sheet.now(plain_attribute):
            # The attribute ignores case (IA5String, caseIgnoreIA5Match), Puppet does not.
            if other != value and folded(other) == folded(value):
                raise UsageError(
                    f"variable {name}: {one_line(other)} is there, and the attribute does not tell capitals apart; "
                    f"write --json-variable {name}=JSON"
                )
        sheet.put(plain_attribute, value)
    for name, typed in wish.typed_variables.items():
        _take(sheet, settings.variable_attributes, name, settings)
        _typed(sheet, VARIABLE, name, typed, settings)


def _take(
    sheet: _Sheet, attributes: Iterable[str], name: str, settings: NodeSettings, but: tuple[str, str] = ("", "")
) -> None:
    for attribute in attributes:
        sheet.drop(
            attribute,
            lambda old, a=attribute: part_of(a, old, settings) == name and (a, old) != but,  # type: ignore[misc]
        )


def _typed(sheet: _Sheet, attribute: str, name: str, value: Value, settings: NodeSettings) -> None:
    try:
        text = f"{values.key_text(name) if attribute == DATA else name}={values.write(value)}"
    except ValueError as error:
        raise UsageError(f"{one_line(name)}: {error}") from error
    same = [old for old in sheet.now(attribute) if part_of(attribute, old, settings) == name]
    # Written by somebody else in another form, it may say the same.
    if len(same) != 1 or _normal(attribute, same[0]) != text:
        sheet.put_only(attribute, text)


def _normal(attribute: str, text: str) -> str:
    try:
        if attribute == DATA:
            key, json_text = values.split(text)
            return f"{values.key_text(key)}={values.write(values.read(json_text))}"
        name, _, json_text = text.partition("=")
        return f"{name.strip()}={values.write(values.read(json_text))}"
    except ValueError:
        return text


def to_unset(record: Record, withdrawal: Withdrawal, settings: NodeSettings) -> tuple[Change, ...]:
    """Return what must change in `record` so that nothing of `withdrawal` is on it; nothing if so already."""
    sheet = _Sheet(record, settings)
    for attribute, matches in _unwanted(withdrawal, settings):
        sheet.drop(attribute, matches)
    return sheet.changes()


def to_have(record: Record, wanted: Wanted, settings: NodeSettings) -> tuple[Change, ...]:
    """Return what must change in `record` so that it is as wanted; nothing if it is already.

    Raise `UsageError` for what cannot be stored, and for what an amendment both sets and takes away.
    """
    if isinstance(wanted, Wish):
        return to_set(record, wanted, settings)
    if isinstance(wanted, Withdrawal):
        return to_unset(record, wanted, settings)
    sheet = _Sheet(record, settings)
    unwanted = _unwanted(wanted.withdrawal, settings)
    for attribute, matches in unwanted:
        sheet.drop(attribute, matches)
    _set(sheet, wanted.wish, settings)
    for attribute, matches in unwanted:
        for value in filter(matches, sheet.now(attribute)):
            raise UsageError(f"{attribute}: {one_line(value)} is to be set and to be taken away in one edit")
    return _complete(record, sheet.changes(), settings)


def to_equal(
    record: Record,
    classes: Iterable[ClassName] | None,
    data: Mapping[DataKey, Value] | None,
    settings: NodeSettings,
    *,
    leave: Iterable[str] = (),
) -> tuple[Change, ...]:
    """Return what must change so that these are all the classes and all the hiera data of `record`.

    None: they stay as they are. Keys of hiera data that `leave` names stay, too.
    """
    wish = Wish(classes=tuple(classes or ()), data=data or {})
    sheet = _Sheet(record, settings)
    for attribute in settings.class_attributes if classes is not None else ():
        sheet.drop(attribute, lambda value, a=attribute: part_of(a, value, settings) not in wish.classes)  # type: ignore[misc]
    if data is not None:
        kept = {*data, *leave}
        sheet.drop(DATA, lambda value: part_of(DATA, value, settings) not in kept)
    _set(sheet, wish, settings)
    return _complete(record, sheet.changes(), settings)


def _unwanted(withdrawal: Withdrawal, settings: NodeSettings) -> list[tuple[str, Callable[[str], bool]]]:
    """Return which values of which attributes `withdrawal` is about."""
    found = [
        (attribute, _named(attribute, text, settings))
        for attributes, wanted in (
            (settings.class_attributes, withdrawal.classes),
            ((*settings.variable_attributes, VARIABLE), withdrawal.variables),
            ((PARAMETER,), withdrawal.parameters),
            ((DATA,), withdrawal.data),
            ((REMOVE,), withdrawal.without),
        )
        for attribute in attributes
        for text in wanted
    ]
    flags = (
        (settings.environment_attribute, withdrawal.environment),
        (settings.parent_attribute, withdrawal.parent),
        (REGION, withdrawal.region),
        (ROLE, withdrawal.role),
        ("description", withdrawal.description),
        (TRIAL, withdrawal.trial),
    )
    return found + [(attribute, lambda _: True) for attribute, flag in flags if flag]


def _named(attribute: str, text: str, settings: NodeSettings) -> Callable[[str], bool]:
    if attribute == DATA and _is_key(text):
        return lambda value: value == text or part_of(attribute, value, settings) == values.key_of(text)
    if "=" in text:
        return lambda value: value == text
    return lambda value: part_of(attribute, value, settings) == part_of(attribute, text, settings)


def _is_key(text: str) -> bool:
    """Tell whether `text` can be nothing but a key of hiera data: without a '=', or all of it in double quotes."""
    try:
        return "=" not in text or values.split(f"{text}=0")[1] == "0"
    except ValueError:
        return False


def to_hold(record: Record, attribute: str, wanted: Iterable[str], unwanted: Iterable[str] = ()) -> tuple[Change, ...]:
    """Return what must change so that `attribute` holds all of `wanted` and none of `unwanted` (names of entries)."""
    settings = NodeSettings()
    sheet = _Sheet(record, settings)
    gone = {folded(value) for value in unwanted}
    sheet.drop(attribute, lambda value: folded(value) in gone)
    have = {folded(value) for value in sheet.now(attribute)}
    for value in wanted:
        if folded(value) not in have:
            sheet.put(attribute, value)
    return sheet.changes()


def _complete(record: Record, changes: tuple[Change, ...], settings: NodeSettings) -> tuple[Change, ...]:
    """Check what is added as whoever reads it later will, and add the object classes that it needs."""
    added = {change.attribute.lower(): change.add for change in changes if change.add}
    try:
        statements.read(Record(record.dn, added), settings)
    except ClassificationError as error:
        raise UsageError(error.message) from error
    have = {folded(value) for value in record.all("objectClass")}
    needed = []
    if added.keys() & _PUPPET and "puppetclient" not in have:
        needed.append("puppetClient")
    if added.keys() & _OURS and "puppetmasterclassification" not in have:
        needed.append("puppetmasterClassification")
    return changes + ((Change("objectClass", (), tuple(needed)),) if needed else ())


def apply(record: Record, changes: Iterable[Change]) -> Record:
    """Return the record as it is after `changes`."""
    attributes = dict(record.attributes)
    for change in changes:
        name = change.attribute.lower()
        gone = set(change.remove)
        left = tuple(value for value in attributes.pop(name, ()) if value not in gone) + change.add
        if left:
            attributes[name] = left
    return replace(record, attributes=attributes)


def after(step: Step, record: Record | None) -> Record | None:
    """Return the entry of `step` as it is when the step is done; None: there is none."""
    if step.do == "delete":
        return None
    if step.do == "rename":
        return replace(record or Record(step.dn, {}), dn=step.changes[0].after[0])
    return apply(record or Record(step.dn, {}), step.changes)


def making(dn: str, attributes: Mapping[str, Iterable[str]]) -> Step:
    """Return the step that makes an entry."""
    changes = (Change(_SPELLING.get(name.lower(), name), (), tuple(held)) for name, held in attributes.items())
    return Step("add", dn, tuple(change for change in changes if change.after))


def deleting(record: Record) -> Step:
    """Return the step that deletes an entry."""
    changes = tuple(Change(_SPELLING.get(name, name), held, ()) for name, held in record.attributes.items())
    return Step("delete", record.dn, changes, record.csn)


def modifying(record: Record, changes: tuple[Change, ...]) -> Step:
    """Return the step that changes an entry."""
    return Step("modify", record.dn, changes, record.csn)


def renaming(record: Record, new_dn: str) -> Step:
    """Return the step that gives an entry the name `new_dn`. Whatever its version is: do it after other steps."""
    return Step("rename", record.dn, (Change("dn", (record.dn,), (new_dn,)),))


def state(step: Step, record: Record | None, settings: NodeSettings) -> State:
    """Tell from the entry as it is now whether `step` is in effect. Other parts of the entry do not count."""
    if record is None:
        return {"add": "not made", "delete": "made", "rename": "made"}.get(step.do, "changed since")  # type: ignore[return-value]
    if step.do == "rename":
        return "not made"
    if step.do == "delete":
        return "not made" if _same_entry(record, {c.attribute: c.before for c in step.changes}) else "changed since"
    if step.do == "add":
        return "made" if _same_entry(record, {c.attribute: c.after for c in step.changes}) else "changed since"
    sides = set()
    for change in step.changes:
        if change.attribute.lower() == "objectclass":
            continue
        parts = {part_of(change.attribute, value, settings) for value in (*change.before, *change.after)}
        now = set(slice_of(record.all(change.attribute), change.attribute, parts, settings))
        sides.add("made" if now == set(change.after) else "not made" if now == set(change.before) else "changed since")
    if len(sides) == 1:
        return sides.pop()  # type: ignore[return-value]
    return "changed since" if sides else "made"


def touched(step: Step, settings: NodeSettings) -> frozenset[tuple[str, str]]:
    """Return the parts that a change of an entry touches, by attribute; empty if the step is about the whole entry."""
    if step.do != "modify":
        return frozenset()
    return frozenset(
        (change.attribute.lower(), part_of(change.attribute, value, settings))
        for change in step.changes
        if change.attribute.lower() != "objectclass"
        for value in (*change.before, *change.after)
    )


def _same_entry(record: Record, attributes: Mapping[str, Iterable[str]]) -> bool:
    wanted = {name.lower(): set(map(folded, held)) for name, held in attributes.items()}
    # Servers add what the schema implies (`top`, superior classes).
    wanted.pop("objectclass", None)
    have = {name: set(map(folded, held)) for name, held in record.attributes.items() if name != "objectclass"}
    return wanted == have


def reverse(step: Step, record: Record | None, settings: NodeSettings) -> Step | None:
    """Return the step that takes `step` back, None if it is not in effect; `ChangedSince` if its parts changed.

    Object classes stay: something else may need them by now.
    """
    how = state(step, record, settings)
    if how == "not made":
        return None
    if how == "changed since":
        raise ChangedSince("what this edit changed has been changed again since", where=step.dn)
    if step.do == "rename":
        raise Conflict("a move has more to it than the entry; use `enc-admin instance move` again", where=step.dn)
    if step.do == "delete":
        return Step("add", step.dn, tuple(Change(c.attribute, (), c.before) for c in step.changes))
    assert record is not None
    if step.do == "add":
        return deleting(record)
    swapped = (Change(c.attribute, c.after, c.before) for c in step.changes if c.attribute.lower() != "objectclass")
    return modifying(record, tuple(swapped))
