"""A unix socket between a client and slapd that ends the client at a write of its choice, as a power cut would."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support.relay import Relay

_WRITES = {0x66: "modify", 0x68: "add", 0x4A: "delete", 0x6C: "rename"}
"""Tags of LDAP's requests that write (RFC 4511, section 4)."""


class Between(Relay):
    """Hands requests on; at the write number `at` (from 1) it kills `victim()`, before or after slapd gets it."""

    def __init__(self, path: Path, slapd: Path, *, at: int, after: bool, victim: Callable[[], int]) -> None:
        self.writes: list[str] = []
        self._silent, self._answered = threading.Event(), threading.Event()
        self._at, self._after, self._victim = at, after, victim
        super().__init__(path, slapd)

    def serve(self, client: socket.socket, server: socket.socket) -> None:
        threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
        threading.Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(1 << 20):
                kind = _WRITES.get(_tag(request))
                self.writes += [kind] if kind else []
                if kind and len(self.writes) == self._at:
                    self._silent.set()
                    if self._after:
                        server.sendall(request)
                        # slapd's answer, which nobody gets any more, says that the write was made.
                        self._answered.wait(60)
                    os.kill(self._victim(), signal.SIGKILL)
                    return
                server.sendall(request)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(1 << 20):
                if self._silent.is_set():
                    self._answered.set()
                else:
                    client.sendall(answer)


def _tag(request: bytes) -> int:
    """Return the tag of the operation: behind the sequence's head and the message's number."""
    at = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
    return request[at + 2 + request[at + 1]]
