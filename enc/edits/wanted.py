"""From what an admin wants to precise changes of an entry's values, by the table of kinds. Pure.

A value is refused (`UsageError`) here before anything is written if LDAP or Puppet could not keep it as it is; what
is added is read once as whoever reads it later will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from enc.classify import statements
from enc.classify.kind import Kind
from enc.classify.kinds import CLASSES, DATA, KINDS, PARTS
from enc.classify.model import Value
from enc.edits.change import Change
from enc.edits.sheet import Sheet
from enc.edits.wish import Wanted, Wish, Withdrawal
from enc.settings import NodeSettings
from enc.terms.errors import ClassificationError, UsageError, one_line
from enc.terms.filters import folded
from enc.terms.names import ClassName, DataKey
from enc.terms.record import Record

_OBJECT_CLASSES = {
    **{name.lower(): "puppetmasterClassification" for name in statements.OURS},
    **{kind.attribute.lower(): kind.object_class for kind in KINDS if kind.object_class},
}
"""Which object class allows an attribute, if it is not allowed anyway."""


def to_set(record: Record, wish: Wish, settings: NodeSettings) -> tuple[Change, ...]:
    """Return what must change in `record` so that `wish` holds; nothing if it does already.

    Raise `UsageError` for what cannot be stored or read as it is meant.
    """
    sheet = Sheet(record, settings)
    _set(sheet, wish, settings)
    return _complete(record, sheet.changes(), settings)


def to_unset(record: Record, withdrawal: Withdrawal, settings: NodeSettings) -> tuple[Change, ...]:
    """Return what must change in `record` so that nothing of `withdrawal` is on it; nothing if so already."""
    sheet = Sheet(record, settings)
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
    sheet = Sheet(record, settings)
    unwanted = _unwanted(wanted.withdrawal, settings)
    for attribute, matches in unwanted:
        sheet.drop(attribute, matches)
    _set(sheet, wanted.wish, settings)
    for attribute, matches in unwanted:
        for value in filter(matches, sheet.now(attribute)):
            raise UsageError(f"{attribute}: the same edit sets and removes {one_line(value)}")
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
    sheet = Sheet(record, settings)
    if classes is not None:
        _drop_but(sheet, CLASSES, {*wish[CLASSES]}, settings)
    if data is not None:
        _drop_but(sheet, DATA, {*data, *leave}, settings)
    _set(sheet, wish, settings)
    return _complete(record, sheet.changes(), settings)


def to_hold(record: Record, attribute: str, wanted: Iterable[str], unwanted: Iterable[str] = ()) -> tuple[Change, ...]:
    """Return what must change so that `attribute` holds all of `wanted` and none of `unwanted` (names of entries)."""
    sheet = Sheet(record, NodeSettings())
    gone = {folded(value) for value in unwanted}
    sheet.drop(attribute, lambda value: folded(value) in gone)
    have = {folded(value) for value in sheet.now(attribute)}
    for value in wanted:
        if folded(value) not in have:
            sheet.put(attribute, value)
    return sheet.changes()


def _drop_but(sheet: Sheet, kind: Kind[Any, Any], kept: set[str], settings: NodeSettings) -> None:
    for attribute in kind.attributes(settings):
        sheet.drop(attribute, lambda value: kind.label(value) not in kept)


def _set(sheet: Sheet, wish: Wish, settings: NodeSettings) -> None:
    if wish.extended and settings.semantics == "terminus":
        raise UsageError(
            "nodes.semantics is terminus, which knows classes, plain variables, environment and parent only"
        )
    seen: set[tuple[str, str]] = set()
    for kind, said in wish:
        for key, value in said.items():
            if (refusal := kind.refusal(key, value)) is not None:
                raise UsageError(f"{kind.told(key)}: {refusal}")
            if (kind.part, kind.name(key)) in seen:
                raise UsageError(f"the {kind.told(key)} is given twice")
            seen.add((kind.part, kind.name(key)))
    for kind, said in wish:
        for key, value in said.items():
            _put(sheet, kind, key, value, settings)


def _put(sheet: Sheet, kind: Kind[Any, Any], key: Any, value: Any, settings: NodeSettings) -> None:
    try:
        text = kind.spell(key, value)
    except ValueError as error:
        raise UsageError(f"{kind.told(key)}: {error}") from error
    name, own = kind.label(text), kind.attributes(settings)[0]
    everywhere = [(each, attribute) for each in PARTS[kind.part] for attribute in each.attributes(settings)]
    if kind.shape == "names":
        if not any(each.label(old) == name for each, attribute in everywhere for old in sheet.now(attribute)):
            sheet.put(own, text)
        return
    for each, attribute in everywhere:
        if attribute != own:
            sheet.drop(attribute, lambda old, each=each: each.label(old) == name)  # type: ignore[misc]
    same = [old for old in sheet.now(own) if kind.label(old) == name]
    # Written by somebody else in another form, it may say the same.
    if len(same) == 1 and kind.normal(same[0]) == text:
        return
    sheet.drop(own, lambda old: kind.label(old) == name and old != text)
    for other in sheet.now(own) if kind.folded else ():
        if other != text and folded(other) == folded(text):
            raise UsageError(
                f"{kind.told(key)}: {one_line(other)} is there, and the attribute does not distinguish "
                "upper and lower case; "
                f"{kind.folded.format(name=kind.name(key))}"
            )
    sheet.put(own, text)


def _unwanted(withdrawal: Withdrawal, settings: NodeSettings) -> list[tuple[str, Callable[[str], bool]]]:
    """Return which values of which attributes `withdrawal` is about."""
    return [
        (attribute, matches)
        for first, said in withdrawal
        for kind in PARTS[first.part]
        for attribute in kind.attributes(settings)
        for matches in ([_any] if isinstance(said, bool) else [_named(kind, text) for text in said])
    ]


def _any(_value: str) -> bool:
    return True


def _named(kind: Kind[Any, Any], text: str) -> Callable[[str], bool]:
    if not kind.names_key(text):
        return lambda value: value == text
    return lambda value: kind.label(value) == kind.label(text)


def _complete(record: Record, changes: tuple[Change, ...], settings: NodeSettings) -> tuple[Change, ...]:
    """Check what is added as whoever reads it later will, and add the object classes that it needs."""
    added = {change.attribute.lower(): change.add for change in changes if change.add}
    try:
        statements.read(Record(record.dn, added), settings)
    except ClassificationError as error:
        raise UsageError(error.message) from error
    have = {folded(value) for value in record.all("objectClass")}
    needed = sorted({_OBJECT_CLASSES[name] for name in added if name in _OBJECT_CLASSES})
    missing = tuple(name for name in needed if name.lower() not in have)
    return changes + ((Change("objectClass", (), missing),) if missing else ())
