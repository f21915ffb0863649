"""A unix socket in front of slapd behind which some connections and some look-ups take longer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


class Sluggish:
    """Hands everything on; holds the first `times` connections for `connect` s, and so many look-ups for `ask` s.

    Only look-ups of names that no entry has (`none-…`) are held: those that doctor times.
    """

    def __init__(self, path: Path, slapd: Path, *, times: int, connect: float = 0.0, ask: float = 0.0) -> None:
        self.uri = f"ldapi://{quote(str(path), safe='')}"
        self._slapd, self._connect, self._ask = slapd, connect, ask
        self._connections, self._questions = times, times
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take nobody any more."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._slapd))
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
