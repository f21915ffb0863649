"""Fixtures with a real puppetserver; each start costs 10 to 15 s, so a module shares one."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from puppetmaster_quickstart.private_agent import PrivateAgent
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings

CACHE = Path(__file__).resolve().parents[2] / ".cache/puppetserver"
"""Compiled classes, kept from one test run to the next."""

MakeMaster = Callable[[Path, MasterSettings], PrivateMaster]


@pytest.fixture(scope="module")
def make_master() -> Iterator[MakeMaster]:
    """Return a function that prepares a server below a directory; `start` it yourself. All are stopped at the end."""
    made: list[PrivateMaster] = []

    def make(base: Path, settings: MasterSettings) -> PrivateMaster:
        master = PrivateMaster(base, settings, cache=CACHE)
        master.write()
        made.append(master)
        return master

    yield make
    for master in made:
        master.stop()


def request(agent: PrivateAgent, master: PrivateMaster, method: str, path: str, body: str | None = None) -> int:
    """Return the status of an HTTP request to `master` with the certificate of `agent`."""
    context = ssl.create_default_context(cafile=str(agent.ca))
    context.load_cert_chain(agent.certificate, agent.key)
    connection = http.client.HTTPSConnection("localhost", master.settings.port, context=context, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()
