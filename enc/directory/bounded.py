"""A socket strategy for ldap3 in which every wait has a limit.

ldap3 makes requests, binds and reads answers; here they go over a socket. Each
of its strategies waits for ever for somebody: for a server that sends an octet
a second, one that announces 2 GB, a name server. This one keeps to `deadline`
for the *whole* of what is asked of it, takes no message larger than `LARGEST`,
reads past what is large of an entry larger than the connection's limit
(skimming.py), so that one entry stops no others, and lets answers of several
operations come in any order.

One thread uses it. It keeps no request: ldap3's own strategies remember each
until its answer is fetched through them, which a stream for months never does.

Failures: `DirectoryUnreachable` with the server's address. ldap3's own
exceptions do not leave this package.
"""

from __future__ import annotations

import contextlib
import ipaddress
from time import monotonic
from typing import Any

import ldap3
from ldap3.core.results import RESULT_CODES
from ldap3.protocol.convert import build_controls_list
from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
from ldap3.strategy.base import RESPONSE_COMPLETE, BaseStrategy
from ldap3.strategy.sync import SyncStrategy

from enc.directory import messages
from enc.directory.address import Address, connect
from enc.directory.messages import Malformed, Message
from enc.directory.skimming import ENTRY_TAG, HEAD, Skimmed, Skimmer, operation
from enc.directory.tls import TlsFailed, protect
from enc.settings import TlsSettings
from enc.terms.errors import DirectoryUnreachable

LARGEST = 16 * 1024 * 1024
"""Octets of one message that are accepted: what slapd takes itself; a hostile length must not fill the memory."""
LARGEST_ENTRY = 2 * 1024 * 1024
"""Octets of an entry that is read whole, where the settings say nothing else."""
_PACE = 1024 * 1024
"""Octets a second, from which on what is read past is not too slow."""
_CHUNK = 256 * 1024
_SEQUENCE = 0x30
_NOTICE_OF_DISCONNECTION = 0
"""The number of the message in which a server says that it hangs up (RFC 4511, section 4.4)."""


class Bounded(SyncStrategy):
    """Sends and receives for one `ldap3.Connection`."""

    def __init__(
        self, connection: ldap3.Connection, address: Address, timeout: float, largest_entry: int = LARGEST_ENTRY
    ) -> None:
        """Take the place of the strategy that `connection` was made with.

        An entry of more than `largest_entry` octets is read past; it may keep us waiting for `timeout` seconds, and
        for as many more as a slow line needs.
        """
        super().__init__(connection)
        self.address = address
        self._timeout = timeout
        self._largest_entry = min(largest_entry, LARGEST)
        self._skimmer: Skimmer | None = None
        self._waited = 0.0
        """Seconds that the entry that is read past has kept us waiting."""
        self.deadline = 0.0
        """Until when (monotonic clock) what ldap3 is asked for next must be done."""
        self.heard = monotonic()
        """When the server last sent anything."""
        self.secure = address.scheme == "ldapi"
        self._last = 0
        self._buffer = bytearray()
        self._at = 0
        connection.strategy = self
        connection.send, connection.open, connection.get_response = self.send, self.open, self.get_response
        connection.post_send_single_response = self.post_send_single_response
        connection.post_send_search = self.post_send_search

    def lost(self, error: Exception | str) -> DirectoryUnreachable:
        """Return the error that says what went wrong with this server."""
        text = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.strerror} ({self.address.host})" if self.address.scheme == "ldapi" else error.strerror
        if isinstance(error, TimeoutError):
            text = "no answer in time"
        return DirectoryUnreachable(text, where=self.address.uri)

    # What ldap3 calls

    def open(self, reset_usage: bool = True, read_server_info: bool = True) -> None:
        """Connect."""
        self._outstanding: dict[int, dict[str, str]] = {}
        try:
            self.connection.socket = connect(self.address, self.deadline)
        except OSError as error:
            raise self.lost(error) from error
        self.connection.closed = False
        self.connection.listening = True

    def send(self, message_type: str, request: Any, controls: Any = None) -> int:
        """Send a request; return its number. Numbers are this connection's own."""
        self._last += 1
        message = LDAPMessage()
        message["messageID"] = MessageID(self._last)
        message["protocolOp"] = ProtocolOp().setComponentByName(message_type, request)
        if controls:
            message["controls"] = build_controls_list(controls)
        self._outstanding = {self._last: {"type": message_type}}
        self.sending(message)
        return self._last

    def sending(self, ldap_message: Any) -> None:
        """Send the whole of a message."""
        view = memoryview(messages.encode(ldap_message))
        try:
            while view:
                self._open_socket_within(self.deadline)
                view = view[self.connection.socket.send(view) :]
        except OSError as error:
            raise self.lost(error) from error

    def _get_response(self, message_id: int, timeout: float) -> list[Any]:
        """Return the one answer to a bind or an extended request, as ldap3 has it."""
        del timeout  # ours is the deadline
        while True:
            message = self.message(self.deadline)
            if message is None:
                self.close()
                raise self.lost("no answer in time")
            if message.id == message_id:
                return [_as_ldap3_has_it(message), RESPONSE_COMPLETE]

    # What `connection` calls

    def message(self, deadline: float) -> Message | None:
        """Return the next message, None if it is not there at `deadline`."""
        data = self._receive(deadline)
        if data is None:
            return None
        try:
            message = messages.read(data) if isinstance(data, bytes) else messages.read(*data)
            if message.id != _NOTICE_OF_DISCONNECTION:
                return message
            raise self.lost(f"the server hung up: {message.result().diagnostic or 'no reason given'}")
        except Malformed as error:
            raise self.lost(error) from error

    def start_tls(self, settings: TlsSettings) -> None:
        """Protect the connection from here on; verify the server's certificate and name."""
        if len(self._buffer) > self._at:
            # What came before the handshake is not protected by it and may be anybody's.
            raise self.lost("octets arrived before TLS began")
        try:
            left = max(self.deadline - monotonic(), 0.001)
            self.connection.socket = protect(self.connection.socket, self.address.host, settings, left)
        except TlsFailed as error:
            raise self.lost(error) from error
        self.connection.tls_started = self.secure = True

    def is_local(self) -> bool:
        """Tell whether the other end is this machine."""
        if self.address.scheme == "ldapi":
            return True
        return ipaddress.ip_address(self.connection.socket.getpeername()[0].partition("%")[0]).is_loopback

    def is_quiet(self) -> bool:
        """Tell whether nothing lies unread; a server that has hung up in the meantime is not quiet."""
        if self._skimmer is not None or len(self._buffer) > self._at:
            return False
        try:
            return not self._fill(0.0)
        except DirectoryUnreachable:
            return False

    def say_good_bye(self, seconds: float) -> None:
        """Unbind, if that can be said within `seconds`, and close the socket."""
        self.deadline = monotonic() + seconds
        with contextlib.suppress(DirectoryUnreachable):  # it may be gone already, which is what we want
            self.connection.unbind()
        self.close()

    # The socket

    def _open_socket_within(self, deadline: float) -> None:
        if self.connection.socket is None:
            raise self.lost("the connection is closed")
        self.connection.socket.settimeout(max(deadline - monotonic(), 0.001))

    def _receive(self, deadline: float) -> bytes | Skimmed | None:
        """Return the next whole message, or what is kept of it; None if it is not there at `deadline`."""
        while True:
            if self._skimmer is not None:
                if skimmed := self._skimmed(self._skimmer):
                    return skimmed
            else:
                size = self._size()
                if size is not None and len(self._buffer) - self._at >= size:
                    data = bytes(memoryview(self._buffer)[self._at : self._at + size])
                    self._at += size
                    return data
                if self._skimmer is not None:
                    continue
            if not self._fill(deadline):
                return None

    def _skimmed(self, skimmer: Skimmer) -> Skimmed | None:
        """Walk on through the entry that is read past; return what is kept of it, once it has come to its end."""
        try:
            self._at = skimmer.take(self._buffer, self._at)
        except Malformed as error:
            raise self.lost(error) from error
        if skimmer.result is not None:
            self._skimmer = None
        elif self._waited > self._timeout + skimmer.size / _PACE:
            raise self.lost(f"an entry of {skimmer.size} octets is incomplete")
        return skimmer.result

    def _size(self) -> int | None:
        """Return how many octets the message at the front has, None if too few are there to tell."""
        head = bytes(self._buffer[self._at : self._at + 6])
        if head[:1] and head[0] != _SEQUENCE:
            raise self.lost("what arrived is not an LDAP message")
        if len(head) > 1 and head[1] > 127 and not 0 < head[1] - 128 < 5:
            raise self.lost("a length that LDAP does not allow")
        size: int = BaseStrategy.compute_ldap_message_size(head)
        if size <= self._largest_entry:
            return size if size >= 0 else None
        head = bytes(self._buffer[self._at : self._at + HEAD])
        kind = operation(head)
        if kind == ENTRY_TAG:
            self._skimmer, self._waited = Skimmer(size), 0.0
            return None
        if size > LARGEST and (kind is not None or len(head) == HEAD):
            raise self.lost(f"a message of {size} octets (at most {LARGEST} are accepted)")
        return size

    def _fill(self, deadline: float) -> bool:
        """Receive some octets; False if there are none until `deadline`."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        if self._buffer and deadline <= monotonic():
            return False
        before = monotonic()
        try:
            self._open_socket_within(deadline)
            chunk = self.connection.socket.recv(_CHUNK)
        except TimeoutError:
            self._waited += monotonic() - before
            return False
        except OSError as error:
            raise self.lost(error) from error
        if not chunk:
            raise self.lost("the server closed the connection")
        self._buffer += chunk
        self.heard = monotonic()
        self._waited += self.heard - before
        return True


def _as_ldap3_has_it(message: Message) -> dict[str, Any]:
    """Return the answer to a bind or an extended request, also with a result code that ldap3 has no name for."""
    result = message.result()
    return {
        "type": "bindResponse" if message.operation == messages.BIND_RESPONSE else "extendedResp",
        "result": result.code,
        "description": RESULT_CODES.get(result.code, str(result.code)),
        "dn": result.matched_dn,
        "message": result.diagnostic,
        "referrals": list(result.referrals) or None,
    }
