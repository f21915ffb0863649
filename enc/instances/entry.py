"""An instance's entry, read as one value; and the steps that change its enrolment. Pure."""

from __future__ import annotations

from typing import NamedTuple

from enc.classify.gather import project_of
from enc.classify.statements import REGION, ROLE
from enc.edits.change import Change, Step, modifying
from enc.instances.enrolment import ATTRIBUTE, BUILT_ATTRIBUTE, Built, Enrolment
from enc.settings import Settings
from enc.terms.errors import ClassificationError
from enc.terms.filters import folded
from enc.terms.names import Certname, ProjectName
from enc.terms.record import Record


class Instance(NamedTuple):
    """A node whose entry has an enrolment."""

    certname: Certname
    project: ProjectName | None
    region: str
    role: str
    enrolment: Enrolment
    built: Built | None
    serial: str
    """The cloud's id of the server, if it is known."""
    record: Record


def enrolment_of(record: Record) -> Enrolment | None:
    """Return the enrolment of a node's entry, None if it is no instance; a bad value counts as closed since 1970."""
    text = record.first(ATTRIBUTE)
    if text is None:
        return None
    try:
        return Enrolment.read(text)
    except ValueError:
        return Enrolment("closed", 0)


def instance_of(certname: Certname, record: Record, settings: Settings) -> Instance | None:
    """Return the instance that a node's entry is, None if it is none."""
    enrolment = enrolment_of(record)
    if enrolment is None:
        return None
    try:
        built = Built.read(record.first(BUILT_ATTRIBUTE) or "")
    except ValueError:
        built = None
    try:
        project = project_of(record, settings)
    except ClassificationError:
        project = None
    region, role, serial = (record.first(name) or "" for name in (REGION, ROLE, "serialNumber"))
    return Instance(certname, project, region, role, enrolment, built, serial, record)


def closing(record: Record, now: int) -> tuple[Step, int]:
    """Return the step that lets nobody be signed from now on, and its `since`, which no other such step has."""
    old = record.all(ATTRIBUTE)
    before = enrolment_of(record)
    since = max(now, before.since + 1) if before is not None else now
    classes = set(map(folded, record.all("objectClass")))
    needed = [name for name in ("puppetClient", "puppetmasterClassification") if name.lower() not in classes]
    changes = [Change(ATTRIBUTE, old, (Enrolment("closed", since).text(),))]
    changes += [Change("objectClass", (), tuple(needed))] if needed else []
    return modifying(record, tuple(changes)), since


def opening(record: Record, waiting: Enrolment) -> Step:
    """Return the step from closed to waiting; what was built before counts no more."""
    built = record.all(BUILT_ATTRIBUTE)
    changes = [Change(ATTRIBUTE, record.all(ATTRIBUTE), (waiting.text(),))]
    changes += [Change(BUILT_ATTRIBUTE, built, ())] if built else []
    return modifying(record, tuple(changes))
