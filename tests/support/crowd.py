"""Clients that do their worst to a service, from this machine: silent ones, slow ones, packs that grow."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from tests.support.slapd import Slapd
from tests.support.transports import Managed, S, password


def basic(name: str, secret: str) -> dict[str, str]:
    """The header with which somebody signs in."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def health(port: int, timeout: float = 30.0) -> float | None:
    """Seconds until a stranger's question was answered; None: it was not."""
    began = time.monotonic()
    probe = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        probe.request("GET", "/healthz")
        return time.monotonic() - began if probe.getresponse().status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        probe.close()


def head(managed: Managed, service: str, person: str | None, secret: str | None = None, *more: str) -> bytes:
    """The head of a request of git's."""
    signed = basic(person, secret or password(person)) if person else {}
    lines = [
        f"POST /{managed.bare.path.name}/git-{service} HTTP/1.1",
        "Host: x",
        f"Content-Type: application/x-git-{service}-request",
        *(f"{name}: {value}" for name, value in signed.items()),
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _Wish(NamedTuple):
    begins: bytes
    trickles: bytes
    number: int


class Crowd:
    """Connections that are made, say something, go on a byte at a time, and come again when they are closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._stack = ExitStack()
        self.ended = 0
        """Connections that the service closed."""

    def add(self, number: int, begins: bytes = b"", trickles: bytes = b"", pause: float = 0.5) -> None:
        """Let `number` more clients be there, each sending `begins` and then `trickles` after each pause."""
        wish = _Wish(begins, trickles, number)
        began = threading.Event()
        thread = threading.Thread(target=self._be_there, args=(wish, pause, began), daemon=True)
        thread.start()
        assert began.wait(60)
        self._stack.callback(thread.join, 30)

    def close(self) -> None:
        """Let all go."""
        self._stop.set()
        self._stack.close()

    def _be_there(self, wish: _Wish, pause: float, began: threading.Event) -> None:
        there: list[socket.socket] = []
        try:
            while not self._stop.is_set():
                with suppress(OSError):
                    while len(there) < wish.number and not self._stop.is_set():
                        one = socket.create_connection(("127.0.0.1", self._port), timeout=5)
                        there.append(one)
                        if wish.begins:
                            one.sendall(wish.begins)
                        one.setblocking(False)
                began.set()
                self._stop.wait(pause)
                there = [one for one in there if self._goes_on(one, wish.trickles)]
        finally:
            for one in there:
                one.close()

    def _goes_on(self, one: socket.socket, trickles: bytes) -> bool:
        try:
            if trickles:
                one.send(trickles)
            if one.recv(65_536):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        self.ended += 1
        one.close()
        return False


@contextmanager
def crowd(port: int) -> Iterator[Crowd]:
    """Within: a crowd can be gathered before `port`."""
    made = Crowd(port)
    try:
        yield made
    finally:
        made.close()


def bomb(copies: int, piece: int = (16 << 20) - 1) -> tuple[bytes, str]:
    """A pack of some KB: a blob of `piece` zeros, and one that is that `copies` times over; and the name of the second.

    git-format: gitformat-pack(5).
    """
    blob = bytes(piece)
    first = hashlib.sha1(b"blob %d\0" % piece + blob).digest()
    whole = hashlib.sha1(b"blob %d\0" % (piece * copies))
    for _ in range(copies):
        whole.update(blob)
    # A copy of `piece` bytes from the beginning; three octets tell its size.
    instruction = b"\xf0" + piece.to_bytes(3, "little")
    delta = _number(piece) + _number(piece * copies) + instruction * copies
    content = b"PACK" + (2).to_bytes(4, "big") + (2).to_bytes(4, "big")
    content += _object(3, piece) + zlib.compress(blob, 9)
    content += _object(7, len(delta)) + first + zlib.compress(delta, 9)
    return content + hashlib.sha1(content).digest(), whole.hexdigest()


def _number(value: int) -> bytes:
    """A size in a delta: seven bits an octet, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _object(kind: int, size: int) -> bytes:
    """The head of an object in a pack."""
    found = bytearray([kind << 4 | size & 0x0F])
    size >>= 4
    while size:
        found[-1] |= 0x80
        found.append(size & 0x7F)
        size >>= 7
    return bytes(found)


def push_request(ref: str, new: str, pack: bytes) -> bytes:
    """The body that makes `ref` at `new`."""
    line = f"{'0' * 40} {new} {ref}\0 report-status side-band-64k\n".encode()
    return f"{len(line) + 4:04x}".encode() + line + b"0000" + pack


def post(managed: Managed, service: str, body: bytes, person: str, timeout: float = 120) -> tuple[int, bytes]:
    """Send a request of git's as `person`; return status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", managed.port, timeout=timeout)
    kind = {"Content-Type": f"application/x-git-{service}-request", **basic(person, password(person))}
    try:
        connection.request("POST", f"/{managed.bare.path.name}/git-{service}", body, kind)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def strangers(slapd: Slapd, number: int) -> list[str]:
    """Add so many people who are in no project, each with a password as in `transports.password`."""
    names = [f"stranger{index}" for index in range(number)]
    for name in names:
        entry = {"objectClass": "inetOrgPerson", "uid": name, "cn": name, "sn": name, "userPassword": password(name)}
        slapd.add(f"uid={name},ou=people,{S}", entry)
    return names


@contextmanager
def siege(managed: Managed, silent: int, slow: Sequence[str], copies: int) -> Iterator[Crowd]:
    """Within: `silent` connections say nothing, each of `slow` sends a body byte by byte, a member pushes bombs.

    One bomb becomes more than git may take; another, of `copies` pieces, does not, and costs the most it can.
    """
    stop = threading.Event()
    bombs = [push_request("refs/heads/topic/red/bomb", name, pack) for pack, name in (bomb(64), bomb(copies))]

    def push_bombs() -> None:
        while not stop.is_set():
            for body in bombs:
                with suppress(OSError, http.client.HTTPException):
                    post(managed, "receive-pack", body, "alice")

    bombing = threading.Thread(target=push_bombs, daemon=True)
    with crowd(managed.port) as clients:
        clients.add(silent)
        for name in slow:
            clients.add(1, head(managed, "upload-pack", name, None, "Content-Length: 400000"), b"x")
        bombing.start()
        try:
            yield clients
        finally:
            stop.set()
            bombing.join(120)
