"""The HTTPS client against servers over TLS that are no honest puppetserver: every wait ends, no answer is too long."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from enc.programs.https import KeptConnection, Tls
from tests.support.certificates import Authority

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "


def _request(peer: ssl.SSLSocket) -> bytes:
    return peer.recv(65536)


def says_nothing(peer: ssl.SSLSocket) -> None:
    while _request(peer):
        pass


def an_octet_at_a_time(peer: ssl.SSLSocket) -> None:
    _request(peer)
    for octet in HEAD + b"500\r\n\r\n" + b"x" * 500:
        peer.sendall(bytes((octet,)))
        time.sleep(0.05)


def too_long(peer: ssl.SSLSocket) -> None:
    _request(peer)
    peer.sendall(HEAD + b"100000000\r\n\r\n")
    while True:
        peer.sendall(b"x" * 65536)


def never_ends(peer: ssl.SSLSocket) -> None:
    _request(peer)
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        peer.sendall(b"x" * 65536)


def breaks_off(peer: ssl.SSLSocket) -> None:
    _request(peer)
    peer.sendall(HEAD + b"100\r\n\r\nonly this")


def one_answer_each(peer: ssl.SSLSocket) -> None:
    """Answer one request, promise to stay, and go."""
    _request(peer)
    peer.sendall(HEAD + b"4\r\n\r\nfine")


@contextmanager
def serving(place: Path, behaviour: Callable[[ssl.SSLSocket], None]) -> Iterator[KeptConnection]:
    """Serve so, and give a client with 1 s of patience."""
    authority = Authority.make(place / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(peer, server_side=True) as secure:
                    behaviour(secure)
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    client = KeptConnection(f"https://127.0.0.1:{listening.getsockname()[1]}", Tls(authority.certificate), 1)
    try:
        yield client
    finally:
        client.close()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@pytest.mark.parametrize("behaviour", [says_nothing, an_octet_at_a_time, too_long, never_ends, breaks_off])
def test_every_wait_ends_and_no_answer_is_too_long(tmp_path: Path, behaviour: Callable[..., None]) -> None:
    with serving(tmp_path, behaviour) as client:
        began = time.monotonic()
        with pytest.raises((OSError, HTTPException)):
            client.ask("GET", "/", limit=1000)
        # The server that sends an octet at a time would take 27 s.
        assert time.monotonic() - began < 15


def test_a_kept_connection_that_was_closed_is_opened_again(tmp_path: Path) -> None:
    with serving(tmp_path, one_answer_each) as client:
        for _ in range(3):
            assert client.ask("GET", "/") == (200, b"fine")


def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, one_answer_each) as client:
        other = KeptConnection(client.url, Tls(), 1)
        with pytest.raises(ssl.SSLError):
            other.ask("GET", "/")
