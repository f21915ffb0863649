"""The first step of an operation on an instance: the journal notes it, then LDAP is changed for the first time.

Owns whether there is an operation at all. It stands in the journal before its
first act; if LDAP says no, or the entry shows that nothing was done, it is
taken out again. Where nobody knows, it stays, and whoever resumes it finds out
from the entry.

Failure modes: what the desk raises. `Conflict` if somebody else made the same
node in the meantime.

Not here: which change that is (lifecycle.py), the other steps (finishing.py).
"""

from __future__ import annotations

from collections.abc import Callable

from enc.edits.audit import check_reason
from enc.instances import entry, standing
from enc.instances.enrolment import Enrolment
from enc.instances.journal import Journal, Kind, Operation, new_id
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.terms.errors import (
    ClassificationError,
    Conflict,
    DirectoryRefused,
    NotAllowed,
    NotFound,
    ToolkitError,
    UsageError,
)
from enc.terms.names import Certname, ProjectName

_SAYS_NO = (Conflict, NotFound, ClassificationError, UsageError, NotAllowed, DirectoryRefused)
"""After these, nothing was written."""


class Beginning:
    """Begins operations for one person (the desk's)."""

    def __init__(self, desk: Desk, journal: Journal, told: Callable[[str], None]) -> None:
        self._desk = desk
        self._journal = journal
        self._told = told

    def operation(
        self, kind: Kind, certname: Certname, project: ProjectName, now: int, why: str, asked: tuple[str, ...]
    ) -> Operation:
        """Return a new operation; `asked` are the authorities that have to forget the name, `now` is epoch seconds."""
        return Operation(new_id(now), kind, certname, project, now, self._desk.person.name, check_reason(why), asked)

    def begin(self, operation: Operation, plan: PlannedEdit) -> Receipt:
        """Note the operation and make its first change in LDAP; forget it if LDAP says no."""
        self._journal.write(operation)
        self._told(f"{operation.certname}: noted")
        try:
            receipt = self._desk.submit(plan, reason=operation.why)
        except _SAYS_NO as error:
            self._journal.remove(operation)
            if operation.kind == "create" and standing.find(operation.certname, self._desk) is not None:
                raise Conflict(f"node {operation.certname} already exists; it was created in the meantime") from error
            raise
        except ToolkitError:
            # Nobody knows whether it was made: the entry tells, now or when somebody resumes.
            if not self._has_begun(operation):
                self._journal.remove(operation)
            raise
        self._told(
            f"{operation.certname}: {'the entry is removed' if operation.kind == 'delete' else 'nothing can be signed'}"
        )
        return receipt

    def _has_begun(self, operation: Operation) -> bool:
        try:
            record = standing.find(operation.certname, self._desk)
        except ToolkitError:
            return True
        if operation.kind == "delete":
            return record is None or record.uuid != operation.uuid
        return record is not None and entry.enrolment_of(record) == Enrolment("closed", operation.since)
