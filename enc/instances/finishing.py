"""The steps of an operation on an instance after its first, each of which may be done again.

    create, rebuild         every authority forgets the name → `waiting`, a new token
    move                    the entry goes to its new place → the same
    delete                  every authority forgets the name → facts and reports go

Owns their order, and that an operation leaves the journal only when all is
done. If the entry says that another operation came after this one, nothing is
left to do.

Failure modes: `Unfinished` while an authority cannot be asked: what is on this
master is done all the same, nobody is let in, and whoever resumes goes on. What
the desk raises leaves the operation in the journal, too.

Not here: the first step (beginning.py), the authorities (forgetting.py), what a
move changes (moving.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from enc.instances import entry, moving, standing, tickets, traces
from enc.instances.forgetting import Forgetting
from enc.instances.journal import Journal, Operation
from enc.instances.runs import RunRecords
from enc.instances.standing import Superseded
from enc.instances.tickets import Ticket
from enc.service.desk import Desk, PlannedEdit
from enc.terms.errors import ToolkitError


class Unfinished(ToolkitError):
    """The operation began, and stands in the journal until it is finished."""


class Finishing:
    """Finishes operations for one person (the desk's)."""

    def __init__(
        self,
        desk: Desk,
        forgetting: Forgetting,
        journal: Journal,
        told: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._desk = desk
        self._settings = desk.settings
        self._forgetting = forgetting
        self._journal = journal
        self._told = told
        self._clock = clock

    def finish(self, operation: Operation) -> Ticket | None:
        """Do what is left; return the instance's ticket if it waits now. Raise `Unfinished`."""
        try:
            self._move(operation)
            operation = self._forgetting.forget(operation)
            if operation.authorities:
                self._leave(operation)
            if operation.kind == "delete":
                operation = self._remove_traces(operation)
                ticket = None
            else:
                ticket = self._open(operation)
        except Superseded:
            self._told(f"{operation.certname}: changed by a later operation; nothing is left to do")
            ticket = None
        self._journal.remove(operation)
        self._told(f"{operation.certname}: done")
        return ticket

    def _move(self, operation: Operation) -> None:
        if operation.kind == "move":
            plan = moving.plan(operation, standing.closed_by(operation, self._desk), self._desk)
            if plan.steps:
                self._desk.submit(plan, reason=operation.why)
                self._told(f"{operation.certname}: moved")

    def _leave(self, operation: Operation) -> NoReturn:
        """Tell that an authority is still to be asked; what is on this master goes all the same."""
        deleting = operation.kind == "delete"
        if deleting:
            self._remove_traces(operation)
        so_far = "is not deleted everywhere yet" if deleting else "exists, but its certificate is not signed yet"
        raise Unfinished(
            f"{operation.certname} {so_far}: {operation.trouble}; continue with `enc-admin instance resume`"
        )

    def _remove_traces(self, operation: Operation) -> Operation:
        if operation.traces and standing.find(operation.certname, self._desk) is None:
            where = traces.places(self._settings)
            if where is not None:
                traces.remove(operation.certname, where)
            RunRecords(self._settings.instances.runs).forget(operation.certname)
            self._told(f"{operation.certname}: facts and reports removed")
        operation = replace(operation, traces=False)
        self._journal.write(operation)
        return operation

    def _open(self, operation: Operation) -> Ticket:
        record = standing.closed_by(operation, self._desk)
        found = entry.instance_of(operation.certname, record, self._settings)
        if found is None:
            raise Superseded
        waiting, ticket = tickets.issue(found, int(self._clock()), self._settings)
        steps = (entry.opening(record, waiting),)
        plan = PlannedEdit(f"instance {operation.kind}", f"node {ticket.certname}", ticket.project, steps)
        self._desk.submit(plan, reason=operation.why)
        self._told(f"{ticket.certname}: waiting for its certificate request")
        return ticket
