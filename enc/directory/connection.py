"""Connects to the first LDAP server that answers and signs in.

Owns fail-over, and who signs in how. Connecting, StartTLS, binding and every
request are ldap3's, whose socket side is `bounded`. Several operations may be
under way at once (`start`, `receive`); most callers want the plain `ask`,
`search` and `read_all`. One thread uses a connection.

`timeout` bounds, for each server, the whole way from the name look-up to the
end of the bind; then each answer. A connection on which an answer did not come
in time is closed: what comes late must not be taken for the next answer.

Failures: `DirectoryUnreachable` (nobody answered; nothing follows about what
LDAP holds), `DirectoryRefused` (somebody answered no), `ConfigurationError`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from types import TracebackType
from typing import Self

import ldap3
from ldap3.core.exceptions import LDAPException
from pyasn1.error import PyAsn1Error

from enc.directory import entries, messages, results
from enc.directory.address import Address
from enc.directory.bounded import Bounded
from enc.directory.messages import Control, Malformed, Message, Request, Result, Scope
from enc.settings import DirectorySettings
from enc.settings.config import read_secret
from enc.terms.errors import ConfigurationError, DirectoryRefused, DirectoryUnreachable
from enc.terms.record import Record

PAGE = 1000
"""Entries in one page of a paged reading."""
_EMPTY_PAGES = 100
"""So many pages without an entry may follow one another (RFC 2696 allows them) before we call it a fault."""
_GOOD_BYE = 0.1
"""Seconds for telling a server that we go."""

Credentials = tuple[str, str]
"""DN and password of somebody who signs in as themselves."""


class Closing(ABC):
    """What is closed at the end of a `with`."""

    def __enter__(self) -> Self:
        """Return the thing itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""


class Connection(Closing):
    """An open, bound connection to one server."""

    def __init__(self, wire: Bounded, timeout: float) -> None:
        """Use `wire`; `timeout` seconds for each answer."""
        self.timeout = timeout
        self._wire = wire
        self.used = False
        """Whether anything was asked since it was opened."""

    @property
    def uri(self) -> str:
        """The server's address."""
        return self._wire.address.uri

    @property
    def heard(self) -> float:
        """When (monotonic clock) the server last sent anything."""
        return self._wire.heard

    def close(self) -> None:
        """Say good-bye and close the socket."""
        self._wire.say_good_bye(_GOOD_BYE)

    def is_usable(self) -> bool:
        """Tell whether the server has not hung up; call it only while no operation is under way."""
        return self._wire.is_quiet()

    def start(self, request: Request, controls: Iterable[Control] = ()) -> int:
        """Send a request; return its number, which its answers carry."""
        kind, operation = request
        self._wire.deadline = monotonic() + self.timeout
        return self._wire.send(kind, operation, [(it.oid, it.critical, it.value) for it in controls])

    def receive(self, seconds: float) -> Message | None:
        """Return the next message, None if there is none within `seconds`."""
        return self._wire.message(monotonic() + seconds)

    def ask(self, request: Request, controls: Iterable[Control] = ()) -> Message:
        """Send a request that has one answer; return it."""
        return next(self.answers(request, controls))

    def answers(self, request: Request, controls: Iterable[Control] = ()) -> Iterator[Message]:
        """Send a request; yield its answers, which must all come within the time-out."""
        self.used = True
        number = self.start(request, controls)
        deadline = monotonic() + self.timeout
        while True:
            message = self.receive(max(deadline - monotonic(), 0.0))
            # A server that never stops sending is as late as one that sends nothing.
            if message is None or monotonic() > deadline:
                self._wire.close()
                raise self._wire.lost(f"no answer within {self.timeout:g} seconds")
            if message.id == number:
                yield message

    def search(
        self,
        base: str,
        filter_text: str = "(objectClass=*)",
        scope: Scope = Scope.SUBTREE,
        attributes: Sequence[str] = entries.ALL,
        *,
        controls: Iterable[Control] = (),
    ) -> list[Record]:
        """Return what a search finds, in the server's order, within the time-out as a whole.

        A base that does not exist is `NotFound`; see `read_all` for large sets.
        """
        return self._search(base, filter_text, scope, attributes, controls)[0]

    def _search(
        self, base: str, filter_text: str, scope: Scope, attributes: Sequence[str], controls: Iterable[Control]
    ) -> tuple[list[Record], bytes]:
        """Return what is found and what the next page is asked with."""
        seconds = math.ceil(self.timeout)
        request = messages.search(base, scope, filter_text, attributes, seconds=seconds)
        found = []
        try:
            for message in self.answers(request, controls):
                if message.operation == messages.ENTRY:
                    found.append(entries.record(message))
                elif message.operation == messages.SEARCH_DONE:
                    result, cookie = message.result(), messages.page_cookie(message)
                    break
        except Malformed as error:
            raise self._wire.lost(error) from error
        if result.code != results.SUCCESS:
            raise results.failure(result, f"{self.uri}: {base}")
        return found, cookie

    def finds_any(self, base: str, filter_text: str) -> bool:
        """Tell whether the filter finds anything below `base`; raise as `search` does."""
        request = messages.search(base, Scope.SUBTREE, filter_text, ("1.1",), size=1, seconds=math.ceil(self.timeout))
        found = False
        for message in self.answers(request):
            found = found or message.operation == messages.ENTRY
            if message.operation == messages.SEARCH_DONE:
                break
        try:
            result = message.result()
        except Malformed as error:
            raise self._wire.lost(error) from error
        if result.code not in (results.SUCCESS, results.SIZE_LIMIT):
            raise results.failure(result, f"{self.uri}: {base}")
        return found

    def read_all(
        self,
        base: str,
        filter_text: str = "(objectClass=*)",
        scope: Scope = Scope.SUBTREE,
        attributes: Sequence[str] = entries.ALL,
    ) -> Iterator[Record]:
        """Yield what a search finds, page by page; each page must come within the time-out.

        Only a reading that ends without an error is complete.
        """
        cookie, empty = b"", 0
        while True:
            page = (messages.paged(PAGE, cookie),)
            records, cookie = self._search(base, filter_text, scope, attributes, page)
            yield from records
            empty = 0 if records else empty + 1
            if empty > _EMPTY_PAGES:
                raise self._wire.lost(f"{_EMPTY_PAGES} pages without an entry, and still no end")
            if not cookie:
                return


def open_connection(
    settings: DirectorySettings, *, for_writing: bool = False, as_person: Credentials | None = None
) -> Connection:
    """Return a connection to the first of `settings.uris` that takes us.

    `for_writing` binds as the writing account, `as_person` as somebody else.
    If no LDAP server accepted the connection: `DirectoryRefused` if one said no, else
    `DirectoryUnreachable`, with the reason of each.
    """
    # An empty password is an anonymous bind that looks like a success (RFC 4513, section 5.1.2).
    if as_person is not None and not (as_person[0] and as_person[1]):
        raise DirectoryRefused("a name and a password are needed", where="sign in")
    failures: list[DirectoryUnreachable | DirectoryRefused] = []
    for uri in settings.uris:
        address = Address.parse(uri)
        try:
            return _open(address, settings, for_writing, as_person)
        except (DirectoryUnreachable, DirectoryRefused) as error:
            failures.append(error)
    raise nobody(failures)


def nobody(failures: Sequence[DirectoryUnreachable | DirectoryRefused]) -> DirectoryUnreachable | DirectoryRefused:
    """Return the error for the case that no server takes us, from the reason of each (one at least)."""
    if len(failures) == 1:
        return failures[0]
    refused = any(isinstance(error, DirectoryRefused) for error in failures)
    kind = DirectoryRefused if refused else DirectoryUnreachable
    error = kind("no LDAP server accepted the connection: " + "; ".join(str(error) for error in failures))
    error.__cause__ = failures[0]
    return error


def _open(address: Address, settings: DirectorySettings, for_writing: bool, person: Credentials | None) -> Connection:
    timeout = float(settings.timeout)
    who = _credentials(address, settings, for_writing, person)
    wire = _wire(address, who, settings)
    wire.deadline = monotonic() + timeout
    session = wire.connection
    try:
        session.open(read_server_info=False)
        if address.scheme == "ldaps":
            wire.start_tls(settings.tls)
        elif address.scheme == "ldap" and settings.tls.start:
            session.extended(messages.START_TLS)
            _succeeded(wire, "StartTLS")
            wire.start_tls(settings.tls)
        if isinstance(who, tuple):
            _refuse_clear_text(wire)
        # A connection is anonymous anyway; but a server that takes it and hangs must not keep us from the next.
        session.bind(read_server_info=False)
        if who is not False:
            what = "sign in by the socket's owner (EXTERNAL)" if who is True else f"sign in as {who[0]}"
            _succeeded(wire, what)
    except (LDAPException, PyAsn1Error, Malformed) as error:
        wire.close()
        raise DirectoryUnreachable(str(error), where=address.uri) from error
    except BaseException:
        wire.close()
        raise
    return Connection(wire, timeout)


def _wire(address: Address, who: Credentials | bool, settings: DirectorySettings) -> Bounded:
    """Return what speaks for `who` (see `_credentials`), not yet connected."""
    # Where the server is and whether it speaks TLS is known to `address` alone; ldap3 wants a name to show.
    server = ldap3.Server("ldapi:///" if address.scheme == "ldapi" else "ldap://host", get_info=ldap3.NONE)
    session = ldap3.Connection(server, auto_referrals=False, auto_range=False, sasl_credentials="")
    if isinstance(who, tuple):
        # Octets: ldap3 prepares texts by SASLprep, which refuses passwords that servers take.
        session.authentication, session.user, session.password = ldap3.SIMPLE, who[0], messages.octets(who[1])
    elif who:
        session.authentication, session.sasl_mechanism = ldap3.SASL, ldap3.EXTERNAL
    return Bounded(session, address, float(settings.timeout), settings.largest_entry)


def _succeeded(wire: Bounded, what: str) -> None:
    result = wire.connection.result
    if result["result"] != results.SUCCESS:
        said = Result(result["result"], result["dn"], result["message"], tuple(result["referrals"] or ()))
        raise results.failure(said, f"{wire.address.uri}: {what}")


def _refuse_clear_text(wire: Bounded) -> None:
    if not (wire.secure or wire.is_local()):
        raise ConfigurationError(
            "a password would cross the network unencrypted; set directory.tls.start, or use ldaps://",
            where=wire.address.uri,
        )


def _credentials(
    address: Address, settings: DirectorySettings, for_writing: bool, person: Credentials | None
) -> Credentials | bool:
    """Return (DN, password), or True for EXTERNAL, or False for anonymous."""
    if person is not None:
        return person
    dn, file, key = settings.bind_dn, settings.bind_password_file, "bind_password_file"
    if for_writing and settings.write_bind_dn is not None:
        dn, file, key = settings.write_bind_dn, settings.write_bind_password_file, "write_bind_password_file"
    elif for_writing and address.scheme == "ldapi":
        dn = None
    if dn is None:
        return address.scheme == "ldapi"
    if file is None:
        raise ConfigurationError(f"is needed for the password of {dn}", where=f"directory.{key}")
    return dn, read_secret(file)
