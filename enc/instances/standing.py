"""What LDAP holds now under an operation's name, and whether that operation is still the last one there.

Owns how an instance's entry is found and what is asked of it before anything
is done to it. Reads, changes nothing.

Failure modes: `NotFound`, `UsageError` for another of a node's names,
`ClassificationError` for an entry that does not tell enough, or is not the
only one; `Superseded` is no fault, but tells that nothing is left to do.
"""

from __future__ import annotations

from enc.classify.gather import is_called
from enc.instances.enrolment import Enrolment
from enc.instances.entry import enrolment_of
from enc.instances.journal import Operation
from enc.service.desk import Desk
from enc.service.survey import project_if_told
from enc.terms import dn
from enc.terms.errors import ClassificationError, NotFound, UsageError
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname, ProjectName
from enc.terms.record import Record


class Superseded(Exception):
    """Another operation on the name came after this one."""


def find(certname: Certname, desk: Desk) -> Record | None:
    """Return the entry that answers to the name; raise `ClassificationError` if there are several."""
    settings = desk.settings
    found = desk.editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
    if len(found) > 1:
        places = "; ".join(record.dn for record in found)
        raise ClassificationError(f"{len(found)} entries have the name {certname}; remove all but one: {places}")
    return found[0] if found else None


def named(certname: Certname, desk: Desk) -> Record:
    """Return the entry whose own name this is; raise `NotFound`, or `UsageError` if it is only another of its names."""
    record = find(certname, desk)
    if record is None:
        raise NotFound(f"no instance {certname} in LDAP (below {desk.settings.nodes_base})")
    if not is_called(record, certname):
        # Its certificate, its reports and its token are under its own name.
        raise UsageError(f"{certname} is another name of the node {dn.rdn(record.dn)[1]}; use that one")
    return record


def project_of(record: Record, desk: Desk) -> ProjectName:
    """Return the project that an entry belongs to; raise `ClassificationError` if it does not tell."""
    project = project_if_told(record, desk.settings)
    if project is None:
        raise ClassificationError("the entry does not name its project", where=record.dn)
    return project


def closed_by(operation: Operation, desk: Desk) -> Record:
    """Return the entry that this operation closed; raise `Superseded` if another came after it."""
    record = find(operation.certname, desk)
    if record is None or enrolment_of(record) != Enrolment("closed", operation.since):
        raise Superseded
    return record
