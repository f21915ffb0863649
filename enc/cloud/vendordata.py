"""Nova's dynamic vendordata: Nova posts what it starts, and gets what the instance shall do first.

Nova's token is looked at before the body is: Keystone must know it, and its
user must have `openstack.caller_role`. The answer is a text, which cloud-init
takes as vendor data if Nova knows us under the name `cloud-init`
(docs/openstack.md), or an empty object: nothing is to be done, because the
instance has its certificate. Nova asks at every boot and more often, so asking
twice changes nothing.

Not here: HTTP (enc/web/vendordata.py), making instances (`Allotment`), the
connection to OpenStack (client.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from enc.cloud import nova
from enc.cloud.client import Caller
from enc.cloud.nova import NameInCloud
from enc.programs import log
from enc.settings import OpenStackSettings
from enc.terms.errors import NotAllowed, ToolkitError
from enc.terms.names import ProjectName

_TOKEN = 8192
"""Characters of a token that are shown to Keystone."""


class NotSignedIn(ToolkitError):
    """No token came, or none that Keystone knows."""


class Keystone(Protocol):
    """What is asked of Keystone (`client.Cloud`)."""

    def caller(self, token: str) -> Caller | None:
        """Return whose token this is, None if it is no (longer a) token."""

    def project_name(self, project_id: str) -> NameInCloud:
        """Return the name of a project, and its domain; raise `NotFound`."""


class Server(NamedTuple):
    """A server that starts, in our words."""

    instance_id: str
    name: str
    """Short, as in instances.name."""
    project: ProjectName


Allotment = Callable[[Server], str | None]
"""Makes the instance if there is none, and returns its vendor data while it waits for its certificate, else None.

Raises `Conflict` if the name is another server's.
"""


class Vendordata:
    """Answers Nova; several threads may use it."""

    def __init__(self, settings: OpenStackSettings, keystone: Keystone, allot: Allotment) -> None:
        """Take what to ask; nothing is asked yet."""
        self._settings = settings
        self._keystone = keystone
        self._allot = allot
        self._log = log.get("vendordata")

    def caller(self, token: str) -> Caller:
        """Return who shows `token`, if they may ask.

        Raise `NotSignedIn`, `NotAllowed`, and what Keystone's client raises.
        """
        if not token:
            raise NotSignedIn("a Keystone token is needed (X-Auth-Token)")
        if len(token) > _TOKEN or not (token.isascii() and token.isprintable()):
            raise NotSignedIn("this is not a Keystone token")
        caller = self._keystone.caller(token)
        if caller is None:
            raise NotSignedIn("Keystone does not know this token, or no longer knows it")
        users, role = self._settings.caller_users, self._settings.caller_role
        if role not in caller.roles:
            raise NotAllowed(f"{caller.user_name} has no role {role} (openstack.caller_role)")
        named = caller.user_name in users and caller.domain_id == self._settings.domain
        if users and not named and caller.user_id not in users:
            raise NotAllowed(
                f"{caller.user_name} ({caller.user_id}, of domain {caller.domain_id}) is not in "
                "openstack.caller_users, where names count only in openstack.domain"
            )
        return caller

    def answer(self, caller: Caller, body: bytes, address: str) -> object:
        """Return what is said to a request of `caller`'s from `address`, as a value that JSON can hold.

        Raise `BadRequest` (nova.py), `NotAllowed` or `NotFound` (the project), `Conflict`, and what LDAP, the
        authorities and Keystone raise.
        """
        starting = nova.read(body)
        given = self._settings
        project = nova.project_of(starting.project_id, given.projects, given.domain, self._keystone.project_name)
        answer = self._allot(Server(starting.instance_id, starting.name, project))
        what = "nothing to do" if answer is None else "vendor data with its token"
        self._log.info(
            "%s: %s (%s of %s, for %s): %s",
            address,
            starting.instance_id,
            starting.name,
            project,
            caller.user_name,
            what,
        )
        return {} if answer is None else answer
