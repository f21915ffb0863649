"""Servers that no honest slapd is: each takes connections on 127.0.0.1 and then misbehaves in one way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket], None]


def says_nothing(peer: socket.socket) -> None:
    """Read what comes and never answer."""
    while peer.recv(4096):
        pass


def answers_an_octet_at_a_time(peer: socket.socket) -> None:
    """Begin a message of 200 octets and send one of them every 0.1 s."""
    peer.recv(4096)
    for octet in b"\x30\x81\xc8" + bytes(197):
        peer.sendall(bytes((octet,)))
        time.sleep(0.1)


def speaks_http(peer: socket.socket) -> None:
    """Answer in another protocol."""
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def announces_4_gb(peer: socket.socket) -> None:
    """Begin a message that is too large to be taken, and hide what it is behind a number of 127 octets."""
    peer.recv(4096)
    peer.sendall(b"\x30\x84\xff\xff\xff\xff\x02\x7f")
    while True:
        peer.sendall(bytes(1 << 20))


def never_stops(peer: socket.socket) -> None:
    """Let everybody in, and answer every search with the same entry for ever."""
    number = peer.recv(4096)[4]
    peer.sendall(bytes((0x30, 12, 2, 1, number, 0x61, 7, 10, 1, 0, 4, 0, 4, 0)))
    number = peer.recv(4096)[4]
    entry = bytes((0x30, 9, 2, 1, number, 0x64, 4, 4, 0, 0x30, 0))
    while True:
        peer.sendall(entry * 1000)


def _asked(request: bytes) -> tuple[int, int]:
    """Return a request's number, which is small, and its kind; its length has one form or the other (X.690, 8.1.3)."""
    begin = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
    return request[begin + 2], request[begin + 3]


def synchronizes_nothing(peer: socket.socket) -> None:
    """Let everybody in, and answer a search that is to synchronize as if it were any other."""
    while request := peer.recv(4096):
        number, kind = _asked(request)
        done = bytes((10, 1, 0, 4, 0, 4, 0))
        if kind == 0x63:
            peer.sendall(bytes((0x30, 9, 2, 1, number, 0x64, 4, 4, 0, 0x30, 0)))
        peer.sendall(bytes((0x30, 12, 2, 1, number, 0x65 if kind == 0x63 else 0x61, 7)) + done)


def has_no_last_page(peer: socket.socket) -> None:
    """Let everybody in, and answer every search with an empty page after which there is another."""
    while request := peer.recv(4096):
        number, kind = _asked(request)
        done = bytes((10, 1, 0, 4, 0, 4, 0))
        if kind == 0x60:
            peer.sendall(bytes((0x30, 12, 2, 1, number, 0x61, 7)) + done)
            continue
        value = bytes((0x30, 6, 2, 1, 0, 4, 1, 99))
        control = b"\x04\x161.2.840.113556.1.4.319" + bytes((4, len(value))) + value
        controls = bytes((0xA0, len(control) + 2, 0x30, len(control))) + control
        content = bytes((2, 1, number, 0x65, 7)) + done + controls
        peer.sendall(bytes((0x30, len(content))) + content)


@contextmanager
def server(behaviour: Behaviour, host: str = "127.0.0.1") -> Iterator[str]:
    """Within: a server at the yielded address, host:port, that treats every client to `behaviour`."""
    listener = socket.create_server((host, 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_treat, args=(peer, behaviour), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"{host}:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _treat(peer: socket.socket, behaviour: Behaviour) -> None:
    with peer:
        try:
            behaviour(peer)
        except OSError:
            return
