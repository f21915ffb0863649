"""Makes one instance of each server that Nova starts, and gives its vendor data while the instance is waiting.

Nova asks at every boot, and often twice at once (metadata service and config
drive), so everything here may be asked again. The server's id, which stands on
the entry as `serialNumber`, says whose instance it is: another server of the
same name gets nothing.

Failure modes: `Conflict` (the name is another's, the token's time is up, or
somebody closed it), and what LDAP and the authorities say.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from enc.authority.client import close_all, open_all
from enc.cloud.vendordata import Server
from enc.edits.wish import Wish
from enc.instances import agent_profile, listing, naming, user_data
from enc.instances.entry import Instance
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.tickets import Ticket, ticket_of
from enc.instances.user_data import UserData
from enc.service.desk import Desk, open_desk
from enc.settings import Settings
from enc.terms.errors import Conflict, NotFound
from enc.terms.names import Certname


class Allotter:
    """Gives each server its vendor data; several threads may call it (`vendordata.Allotment`)."""

    def __init__(self, settings: Settings) -> None:
        """Read what all instances are told; raise `ConfigurationError`."""
        self._settings = settings
        self._profile = agent_profile.load(settings.instances.agent)

    def __call__(self, server: Server) -> str | None:
        """Return the vendor data of `server`, None if it has its certificate."""
        certname = Certname(naming.certname(server.name, server.project, self._settings.instances.name))
        with self._work() as (desk, work, journal):
            instance = self._found(certname, desk)
            if instance is None:
                ticket = self._created(server, certname, desk, work)
            else:
                ticket = self._again(server, instance, work, journal)
        if ticket is None:
            return None
        told = UserData(
            agent_profile.for_project(self._profile, ticket.project, self._settings),
            ticket.certname,
            ticket.project,
            ticket.token,
            ticket.region,
            server.instance_id,
            ticket.role,
        )
        return user_data.render_vendor_data(told)

    @contextmanager
    def _work(self) -> Iterator[tuple[Desk, Lifecycle, Journal]]:
        authorities = open_all(self._settings.authorities)
        journal = Journal(self._settings.instances.journal)
        try:
            with open_desk(self._settings) as desk:
                yield desk, Lifecycle(desk, authorities, journal), journal
        finally:
            close_all(authorities)

    def _found(self, certname: Certname, desk: Desk) -> Instance | None:
        try:
            return listing.one(certname, desk.source, self._settings, time.time()).instance
        except NotFound:
            return None

    def _created(self, server: Server, certname: Certname, desk: Desk, work: Lifecycle) -> Ticket | None:
        wish = Wish(region=self._settings.openstack.region) if self._settings.openstack.region else Wish()
        reason = f"OpenStack starts server {server.instance_id}"
        try:
            outcome = work.create(certname, server.project, wish, serial=server.instance_id, reason=reason)
        except Conflict:
            # Nova's other request for the same server may have been faster.
            instance = self._found(certname, desk)
            if instance is None:
                raise
            return self._waiting(server, instance)
        return outcome.ticket

    def _again(self, server: Server, instance: Instance, work: Lifecycle, journal: Journal) -> Ticket | None:
        if instance.enrolment.state == "closed" and instance.serial == server.instance_id:
            # What could not be finished when Nova asked before: an authority that did not answer, say.
            begun = [one for one in journal.read()[0] if one.certname == instance.certname and one.kind == "create"]
            for operation in begun:
                outcome = work.resume(operation)
                if outcome.ticket is not None:
                    return outcome.ticket
        return self._waiting(server, instance)

    def _waiting(self, server: Server, instance: Instance) -> Ticket | None:
        certname, enrolment = instance.certname, instance.enrolment
        if instance.serial != server.instance_id:
            raise Conflict(f"{certname} belongs to {instance.serial or 'no OpenStack server'}")
        if instance.project != server.project:
            raise Conflict(f"{certname} is in project {instance.project}, not in {server.project}")
        if enrolment.state == "signed":
            return None
        if enrolment.state == "closed":
            raise Conflict(f"{certname} has no pending certificate; `enc-admin instance rebuild` makes it enrol again")
        if not enrolment.in_time(time.time()):
            raise Conflict(f"the token of {certname} has expired; `enc-admin instance rebuild` makes a new one")
        return ticket_of(instance, self._settings)
