"""A unix socket in front of slapd; what becomes of a connection is its subclasses'."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


class Relay(ABC):
    """Connects each client with slapd; clients are told to come to `uri`."""

    def __init__(self, path: Path, slapd: Path) -> None:
        """Listen at `path` for clients of the slapd at the socket `slapd`."""
        self.uri = f"ldapi://{quote(str(path), safe='')}"
        self._slapd = slapd
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take nobody any more."""
        self._listening.close()

    @abstractmethod
    def serve(self, client: socket.socket, server: socket.socket) -> None:
        """Begin to hand on, and return."""

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._slapd))
                self.serve(client, server)
