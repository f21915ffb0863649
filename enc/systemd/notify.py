"""What the follower says to systemd: that it is ready, and that it still lives (sd_notify(3)).

Written by hand: the protocol is one datagram to the socket in $NOTIFY_SOCKET.
Without that variable nothing is sent. Nothing here can stop the follower.

Ready is a follower that holds its lock: LDAP may be away for hours, and the
boot must not wait for it. The sign of life is the follower's own beat in
`contact`, not that of this thread: a follower whose loop hangs stops beating,
and systemd starts it anew. Whether it beats is seen by `contact` changing, and
measured by a clock that nobody sets: whatever the time of day does, a follower
that works is not killed for it. Before the first beat (LDAP was never reached, or a
large directory is being read) there is nothing to judge by, and it counts as alive.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from types import TracebackType
from typing import Self

from enc.answers.layout import Layout
from enc.answers.reader import read_contact

_PATIENCE = 60.0
"""Seconds without a beat after which the sign of life stops; a large commit may hold the loop for a while."""

_UNTIL_READY = 0.1
"""Seconds between two looks before the follower is ready, for which a boot may wait."""


def send(text: str) -> None:
    """Send one state to systemd, if it listens; a failure is of no consequence."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(text.encode())
        except OSError:
            return


class Notifier:
    """Tells systemd how the follower of one answers directory does, while the `with` block runs."""

    def __init__(self, layout: Layout, beat: float) -> None:
        """Look every `beat` seconds at what the follower of `layout` wrote."""
        self._layout = layout
        self._beat = max(beat, 0.05)
        self._end = threading.Event()
        self._ready = False
        self._seen = read_contact(layout)
        """What was there last; at first what another process left."""
        self._changed: float | None = None
        """When it was seen to change, by the monotonic clock."""
        self._thread = threading.Thread(target=self._run, name="systemd", daemon=True)

    def __enter__(self) -> Self:
        """Begin, if systemd listens."""
        if "NOTIFY_SOCKET" in os.environ:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that the end has come."""
        self._end.set()
        send("STOPPING=1")

    def _run(self) -> None:
        while not self._end.wait(self._beat if self._ready else min(self._beat, _UNTIL_READY)):
            if text := self.state(time.monotonic()):
                send(text)

    def state(self, now: float) -> str:
        """Return what is to be said at the time `now` (seconds of the monotonic clock); empty: nothing."""
        if not self._ready:
            self._ready = self._holds_lock()
            return "READY=1" if self._ready else ""
        contact = read_contact(self._layout)
        if contact is not None and contact != self._seen:
            self._seen, self._changed = contact, now
        if self._changed is None:
            return "WATCHDOG=1\nSTATUS=LDAP has not been read completely yet"
        if contact is None or now - self._changed > _PATIENCE:
            return ""
        return f"WATCHDOG=1\nSTATUS=LDAP {contact.state}; answers {max(0, int(time.time()) - contact.contact)} s old"

    def _holds_lock(self) -> bool:
        try:
            return self._layout.lock.read_text(encoding="ascii").strip() == str(os.getpid())
        except (OSError, UnicodeDecodeError):
            return False
