"""What LDAP holds now under an operation's name, and whether that operation is still the last one there."""

from __future__ import annotations

from enc.instances.enrolment import Enrolment
from enc.instances.entry import enrolment_of
from enc.instances.journal import Operation
from enc.service.desk import Desk
from enc.terms.errors import ClassificationError
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname
from enc.terms.record import Record


class Superseded(Exception):
    """Another operation on the name came after this one."""


def find(certname: Certname, desk: Desk) -> Record | None:
    """Return the entry that answers to the name; raise `ClassificationError` if there are several."""
    settings = desk.settings
    found = desk.editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
    if len(found) > 1:
        places = "; ".join(record.dn for record in found)
        raise ClassificationError(f"{len(found)} entries answer to the name {certname}; remove one: {places}")
    return found[0] if found else None


def closed_by(operation: Operation, desk: Desk) -> Record:
    """Return the entry that this operation closed; raise `Superseded` if another came after it."""
    record = find(operation.certname, desk)
    if record is None or enrolment_of(record) != Enrolment("closed", operation.since):
        raise Superseded
    return record
