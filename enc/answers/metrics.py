"""The follower's counters, and the HTTP endpoint from which Prometheus reads them.

Not here: the format (prometheus.py), the meaning of the numbers (docs/operation.md lists them).
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, fields
from dataclasses import field as declared
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from enc.programs import prometheus
from enc.programs.https import ended_after
from enc.programs.machine_trouble import said
from enc.terms.errors import ConfigurationError

_AT_ONCE = 16
"""Clients; those beyond are sent away."""
_PREFIX = "puppetmaster_follower_"


def _metric(kind: prometheus.Kind, help_text: str) -> float:
    return declared(default=0.0, metadata={"kind": kind, "help": help_text})


@dataclass(slots=True)
class Metrics:
    """The numbers. Counters begin at 0 with the process; gauges say how things are now."""

    up: float = _metric("gauge", "1 while the copy is kept equal to LDAP, else 0")
    age_seconds: float = _metric("gauge", "Time since the answers were last known to match LDAP")
    lag_seconds: float = _metric("gauge", "Time from the last change's time stamp in LDAP to its answer on disk")
    nodes: float = _metric("gauge", "Node entries in the copy")
    pending: float = _metric("gauge", "Names whose answers have yet to be rewritten")
    problems: float = _metric("gauge", "Entries that cannot be classified")
    unread: float = _metric("gauge", "Entries that cannot be read, for example because they are too large")
    answers_written_total: float = _metric("counter", "Answers written to disk")
    answers_removed_total: float = _metric("counter", "Answers removed from disk")
    changes_total: float = _metric("counter", "Changes received from LDAP that changed something")
    connections_total: float = _metric("counter", "Connections to LDAP that were accepted")
    connection_errors_total: float = _metric("counter", "Connections to LDAP that failed or were lost")
    refreshes_total: float = _metric("counter", "Refreshes completed, from a cookie or from nothing")
    full_refreshes_total: float = _metric("counter", "Refreshes that had to start from nothing")
    comparisons_total: float = _metric("counter", "Comparisons of the copy with a listing of all versions")
    differences_total: float = _metric(
        "counter", "Entries that a comparison found to differ from what LDAP had reported"
    )
    errors_total: float = _metric("counter", "Failures of the follower itself, after which it started again")

    def text(self) -> str:
        """Return all numbers in Prometheus's text format 0.0.4."""
        numbers = (
            prometheus.single(field.name, field.metadata["help"], getattr(self, field.name), field.metadata["kind"])
            for field in fields(self)
        )
        return prometheus.text(_PREFIX, numbers)


class _Server(ThreadingHTTPServer):
    """Takes so many clients at once, each for so long: what they could use up else, the follower needs for LDAP."""

    daemon_threads = True
    request_queue_size = 4 * _AT_ONCE

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], patience: float) -> None:
        self._patience = patience
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            with ended_after(self._patience, lambda: request):
                super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # else a client has gone, or was sent away
            super().handle_error(request, client_address)


def listen(address: str, metrics: Metrics, patience: float = 5.0) -> ThreadingHTTPServer:
    """Serve /metrics at `ADDRESS:PORT` in a thread; `shutdown()` ends it. Raise `ConfigurationError`.

    A client has `patience` seconds, from its connection to the last byte of the answer.
    """
    host, _, port = address.rpartition(":")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == "/metrics"
            body = metrics.text().encode() if found else b"see /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a scrape every few seconds is no event."""

    try:
        server = _Server((host.strip("[]"), int(port)), Handler, patience)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"follow.metrics_listen: cannot listen at {address!r}: {said(error)}") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
