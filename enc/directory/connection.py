"""A connection to the directory: the first server that answers, and who we are there.

Owns fail-over, StartTLS, the bind, and the numbering of operations. Several
operations may be under way at once (`start`, `receive`); most callers want the
plain `ask`, `search` and `read_all`. One thread uses a connection.

`timeout` bounds, for each server, the whole way from the name look-up to the
end of the bind; then each answer. A connection on which an answer did not come
in time is closed: what comes late must not be taken for the next answer.

Failures: `DirectoryUnreachable` (nobody answered; nothing follows about what
LDAP holds), `DirectoryRefused` (somebody answered no), `ConfigurationError`.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from types import TracebackType
from typing import Self

from enc.classify.model import Record
from enc.config import read_secret
from enc.directory import ber, entries, messages, results
from enc.directory.messages import Control, Message, Scope
from enc.directory.wire import Address, Wire
from enc.errors import ConfigurationError, DirectoryRefused, DirectoryUnreachable
from enc.settings import DirectorySettings

PAGE = 1000
"""Entries in one page of a paged reading."""
_EMPTY_PAGES = 100
"""So many pages without an entry may follow one another (RFC 2696 allows them) before we call it a fault."""

_NOTICE_OF_DISCONNECTION = 0
"""The number of the message in which a server says that it hangs up (RFC 4511, section 4.4)."""

Person = tuple[str, str]
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

    def __init__(self, wire: Wire, timeout: float) -> None:
        """Use `wire`; `timeout` seconds for each answer."""
        self.timeout = timeout
        self._wire = wire
        self._last = 0
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
        with contextlib.suppress(DirectoryUnreachable):  # it may be gone already, which is what we want
            self._wire.send(messages.message(self._last + 1, messages.unbind()), 0.1)
        self._wire.close()

    def is_usable(self) -> bool:
        """Tell whether the server has not hung up; call it only while no operation is under way."""
        return self._wire.is_quiet()

    def start(self, operation: bytes, controls: Iterable[Control] = ()) -> int:
        """Send a request; return its number, which its answers carry."""
        self._last += 1
        self._wire.send(messages.message(self._last, operation, controls), self.timeout)
        return self._last

    def receive(self, seconds: float) -> Message | None:
        """Return the next message, None if there is none within `seconds`."""
        data = self._wire.receive(seconds)
        if data is None:
            return None
        try:
            message = messages.read(data)
            if message.id != _NOTICE_OF_DISCONNECTION:
                return message
            raise self._wire.lost(f"the server hangs up: {message.result().diagnostic or 'no reason given'}")
        except ber.Malformed as error:
            raise self._wire.lost(error) from error

    def ask(self, operation: bytes, controls: Iterable[Control] = ()) -> Message:
        """Send a request that has one answer; return it."""
        return next(self.answers(operation, controls))

    def answers(self, operation: bytes, controls: Iterable[Control] = ()) -> Iterator[Message]:
        """Send a request; yield its answers, which must all come within the time-out."""
        self.used = True
        number = self.start(operation, controls)
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
        except ber.Malformed as error:
            raise self._wire.lost(error) from error
        if result.code != results.SUCCESS:
            raise results.failure(result, f"{self.uri}: {base}")
        return found, cookie

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
    settings: DirectorySettings, *, for_writing: bool = False, as_person: Person | None = None
) -> Connection:
    """Return a connection to the first of `settings.uris` that takes us.

    `for_writing` binds as the writing account, `as_person` as somebody else.
    If no server takes us: `DirectoryRefused` if one said no, else
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
    error = kind("no server takes us: " + "; ".join(str(error) for error in failures))
    error.__cause__ = failures[0]
    return error


def _open(address: Address, settings: DirectorySettings, for_writing: bool, person: Person | None) -> Connection:
    timeout = float(settings.timeout)
    deadline = monotonic() + timeout
    bind = _credentials(address, settings, for_writing, person)
    wire = Wire(address, timeout)
    connection = Connection(wire, timeout)
    try:
        if address.scheme == "ldaps":
            wire.start_tls(settings.tls, _left(deadline))
        elif address.scheme == "ldap" and settings.tls.start:
            connection.timeout = _left(deadline)
            _succeed(connection, messages.extended(messages.START_TLS), "StartTLS")
            wire.start_tls(settings.tls, _left(deadline))
        connection.timeout = _left(deadline)
        if bind is True:
            _succeed(connection, messages.bind_external(), "sign in by the socket's owner (EXTERNAL)")
        elif bind is False:
            # A connection is anonymous anyway; but a server that takes it and hangs must not keep us from the next.
            connection.ask(messages.bind_simple("", ""))
        else:
            _refuse_clear_text(wire)
            _succeed(connection, messages.bind_simple(*bind), f"sign in as {bind[0]}")
    except BaseException:
        wire.close()
        raise
    connection.timeout = timeout
    connection.used = False
    return connection


def _succeed(connection: Connection, request: bytes, what: str) -> None:
    try:
        result = connection.ask(request).result()
    except ber.Malformed as error:
        raise DirectoryUnreachable(str(error), where=connection.uri) from error
    if result.code != results.SUCCESS:
        raise results.failure(result, f"{connection.uri}: {what}")


def _refuse_clear_text(wire: Wire) -> None:
    if not (wire.secure or wire.is_local()):
        raise ConfigurationError(
            "a password would cross the network in clear; set directory.tls.start, or use ldaps://",
            where=wire.address.uri,
        )


def _left(deadline: float) -> float:
    return max(deadline - monotonic(), 0.001)


def _credentials(
    address: Address, settings: DirectorySettings, for_writing: bool, person: Person | None
) -> Person | bool:
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
