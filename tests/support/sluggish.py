"""A unix socket in front of slapd behind which some connections and some look-ups take longer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.support.relay import Relay


class Sluggish(Relay):
    """Hands everything on; holds the first `times` connections for `connect` s, and so many look-ups for `ask` s.

    Only look-ups of names that no entry has (`none-…`) are held: those that doctor times.
    """

    def __init__(self, path: Path, slapd: Path, *, times: int, connect: float = 0.0, ask: float = 0.0) -> None:
        self._connect, self._ask = connect, ask
        self._connections, self._questions = times, times
        super().__init__(path, slapd)

    def serve(self, client: socket.socket, server: socket.socket) -> None:
        slow, self._connections = self._connections > 0, self._connections - 1
        for ends, held in (((client, server), slow), ((server, client), False)):
            threading.Thread(target=self._hand_on, args=(*ends, held), daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket, held: bool) -> None:
        with suppress(OSError), source, target:
            if held:
                time.sleep(self._connect)
            while octets := source.recv(1 << 20):
                if b"none-" in octets and self._questions > 0:
                    self._questions -= 1
                    time.sleep(self._ask)
                target.sendall(octets)
