"""Lets the certificate authorities forget a name: certificate revoked and removed, pending request deleted.

Owns which authorities are asked, and that only what an instance had is taken
away. What each has done stands in the journal, so it is not asked twice.

Failure modes: an authority that cannot be asked, or says no, is the operation's
`trouble`; the others are asked all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from enc.authority import origin
from enc.authority.client import Authority
from enc.classify.gather import is_called
from enc.instances import standing
from enc.instances.entry import enrolment_of
from enc.instances.journal import Journal, Operation
from enc.instances.standing import Superseded
from enc.rights.reserved import is_reserved
from enc.service.desk import Desk
from enc.service.survey import project_if_told
from enc.terms.errors import ToolkitError, bounded
from enc.terms.names import Certname, ProjectName


class NotAnInstances(ToolkitError):
    """An authority holds a certificate under the name that was never an instance's, so it is not ours to revoke."""


def check_instances(certname: Certname, authority: Authority) -> None:
    """Raise `NotAnInstances` if the certificate under a name is a server's, say: one that no instance ever had.

    Who may make a node of any name must not thereby end somebody else's certificate.
    """
    status = authority.status(certname)
    if status is None or status.state != "signed":
        return
    pem = authority.certificate(certname)
    try:
        ours = not status.authorized and (pem is None or origin.project_in(pem) is not None)
    except ValueError:
        ours = False
    if not ours:
        raise NotAnInstances(
            f"holds a certificate of {certname} that no instance was given; if it is not needed, revoke it there as "
            f"an operator (puppetserver ca clean --certname {certname})",
            where=authority.name,
        )


class Forgetting:
    """The authorities of one configuration, as operations on instances need them."""

    def __init__(
        self, desk: Desk, authorities: Sequence[Authority], journal: Journal, told: Callable[[str], None]
    ) -> None:
        """`told` hears of each authority that has forgotten a name."""
        self._desk = desk
        self._authorities = {authority.name: authority for authority in authorities}
        self._journal = journal
        self._told = told

    def asked(self, projects: Iterable[ProjectName]) -> tuple[str, ...]:
        """Return the authorities that sign for any of `projects`."""
        known = self._authorities.values()
        return tuple(one.name for one in known if any(one.signs_for(project) for project in projects))

    def forget(self, operation: Operation) -> Operation:
        """Let each authority forget the name; return the operation with those that have not, and why."""
        troubles = []
        for name in operation.authorities:
            try:
                self._clean(operation, name)
            except ToolkitError as error:
                troubles.append(str(error))
                continue
            left = tuple(other for other in operation.authorities if other != name)
            operation = replace(operation, authorities=left)
            self._journal.write(operation)
            self._told(f"{operation.certname}: removed at {name}")
        if troubles:
            operation = replace(operation, trouble=bounded("; ".join(troubles)))
            self._journal.write(operation)
        return operation

    def _clean(self, operation: Operation, name: str) -> None:
        authority = self._authorities.get(name)
        if authority is None:
            raise ToolkitError(
                f"authority {name} is no longer configured; name it in authorities.servers again, or remove the "
                f"journal's file {operation.id}.json"
            )
        with self._journal.authority_lock(name):
            if self._may_clean(operation, authority):
                check_instances(operation.certname, authority)
                authority.remove(operation.certname)

    def _may_clean(self, operation: Operation, authority: Authority) -> bool:
        """Tell whether what the authority holds under the name is the predecessor's. Asked right before it goes."""
        if is_reserved(operation.certname, self._desk.settings):
            return False
        if operation.kind != "delete":
            standing.closed_by(operation, self._desk)
            return True
        record = standing.find(operation.certname, self._desk)
        if record is None or enrolment_of(record) is None or not is_called(record, operation.certname):
            return True
        if record.uuid == operation.uuid:
            raise Superseded
        # There is a new instance of this name. Where it is signed, its own creation has cleaned up.
        return not authority.signs_for(project_if_told(record, self._desk.settings))


def words(asked: Iterable[str]) -> tuple[str, ...]:
    """Return what `Forgetting.forget` will do, for people."""
    return tuple(f"{name}: certificate revoked and removed, pending request deleted" for name in asked)
