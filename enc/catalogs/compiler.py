"""Asks puppetserver for the catalog of a node in an environment, and keeps nothing there.

`POST /puppet/v4/catalog` (puppetserver 6.3 and later), with the node's own classes
from its ENC, the facts that puppetserver last had of it (its own store, or
PuppetDB where that is the facts' terminus), and neither facts nor catalog
persisted. The environment is the one asked for, whatever the ENC says
(`prefer_requested_environment`). What `$trusted` has is given: the certname,
and the external part that `enc-trusted` prints; extensions of the node's
certificate are not known here, so code that reads them sees none, before as after.

auth.conf must allow our certificate (docs/branches.md); the rule must be an anchored regular
expression, since a plain path is a prefix.

Failure modes: `CompileFailed`, the code's own fault, with Puppet's words and
the place in the tree; `NotCompiled`, anything else: the server is down,
refuses, or takes too long. The difference decides whether a push is refused.

Not here: comparing (compare.py), for which nodes (git_hooks).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any, NamedTuple

from enc.catalogs import catalog
from enc.catalogs.catalog import BadCatalog, Catalog
from enc.programs.https import Answer, KeptConnection, Tls
from enc.programs.machine_trouble import said
from enc.terms.errors import ToolkitError, bounded, one_line
from enc.terms.names import Certname, EnvironmentName

PATH = "/puppet/v4/catalog"
_LARGEST = 64 << 20
"""Bytes of one catalog; a node with ten thousand resources has some 10 MB."""
_LONGEST = 2_000
"""Characters of an error."""
_WRAPPED = re.compile(r"^(?:Internal Server Error: )?(?:org\.jruby\.exceptions\.\w+: )?(?:\((\w+)\) )?")
"""What puppetserver puts before Puppet's own words: its Java class, and the Ruby class of the error."""
_NO_ENVIRONMENT = re.compile(r"Could not find a directory environment|Could not find environment")
_NO_NODE = re.compile(r"Failed when searching for node|Failed to find \S+ via|Could not find node ")
"""Errors of the ENC, and of what it says."""


class Where(NamedTuple):
    """The environment that is compiled, and what it is to be taken for."""

    environment: EnvironmentName
    """As puppetserver is asked for it."""
    directory: str
    """Its tree on disk, as Puppet's messages and values have it."""
    shown_as: EnvironmentName
    """The environment's name as catalogs should have it."""
    shown_at: str
    """The path that nodes' catalogs have for its tree."""


class CompileFailed(ToolkitError):
    """The node's catalog does not compile: what Puppet says."""


class NotCompiled(ToolkitError):
    """Whether the node's catalog compiles is not known."""


class NoEnvironment(NotCompiled):
    """puppetserver has no such environment."""


class Compiler:
    """Compiles at the first of several puppetservers that answers. Threads may share it; each has its connection."""

    def __init__(self, urls: Sequence[str], tls: Tls, timeout: float) -> None:
        """Connect to nothing yet. `timeout`: seconds for one catalog."""
        self._urls = urls
        self._tls = tls
        self._timeout = timeout
        self._own = threading.local()
        self._all: list[KeptConnection] = []

    def catalog(self, certname: Certname, where: Where, external: Mapping[str, Any]) -> Catalog:
        """Return the node's catalog as the environment gives it; raise `CompileFailed` or `NotCompiled`.

        `external`: what `$trusted['external']` has. Names and paths are those that `where` says they should be.
        """
        answer = self._ask(json.dumps(request(certname, where.environment, external)).encode("ascii"))
        body = answer.body.replace(f"{where.directory}/".encode(), f"{where.shown_at}/".encode())
        body = body.replace(where.environment.encode(), where.shown_as.encode())
        if answer.status == 200:
            try:
                return catalog.read(body, where.shown_at)
            except BadCatalog as error:
                raise NotCompiled(error.message) from error
        text = message(body, certname, where.shown_at)
        if answer.status in (404, 500) and _NO_ENVIRONMENT.search(text):
            raise NoEnvironment(text)
        if answer.status == 500 and text and not _NO_NODE.search(text):
            raise CompileFailed(text)
        if answer.status in (401, 403):
            raise NotCompiled(f"puppetserver answered {answer.status}: its auth.conf must allow our certificate {PATH}")
        raise NotCompiled(f"puppetserver answered {answer.status}{f': {text}' if text else ''}")

    def close(self) -> None:
        """Close all connections. What is being asked ends with an error."""
        for connection in self._all:
            connection.close()

    def _ask(self, body: bytes) -> Answer:
        failures = []
        for connection in self._connections():
            try:
                return connection.ask("POST", PATH, body, limit=_LARGEST)
            except (OSError, HTTPException) as error:
                failures.append(f"{connection.url}: {said(error)}")
        raise NotCompiled("; ".join(failures) or "no puppetserver is configured (branches.puppetserver.urls)")

    def _connections(self) -> Sequence[KeptConnection]:
        found: list[KeptConnection] | None = getattr(self._own, "found", None)
        if found is None:
            found = self._own.found = [KeptConnection(url, self._tls, self._timeout) for url in self._urls]
            self._all += found
        return found


def request(certname: Certname, environment: EnvironmentName, external: Mapping[str, Any]) -> dict[str, Any]:
    """Return what puppetserver is asked. Pure."""
    trusted = {
        "authenticated": "remote",
        "certname": certname,
        "extensions": {},
        "hostname": certname.partition(".")[0],
        "domain": certname.partition(".")[2] or None,
        "external": external,
    }
    return {
        "certname": certname,
        "environment": environment,
        "persistence": {"facts": False, "catalog": False},
        "trusted_facts": {"values": trusted},
        "options": {"prefer_requested_environment": True},
    }


def message(body: bytes, certname: str, tree: str) -> str:
    """Return what Puppet says in an error's body, in one line; empty if nothing. Pure.

    Without the node's name, so that many nodes' one error is the same, and with paths below `tree` as they are in it.
    """
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        text = next((value for key in ("msg", "message") if isinstance(value := document.get(key), str)), "")
    elif text.lstrip().startswith("<"):
        return ""  # a page of the web server's
    text = _WRAPPED.sub("", " ".join(text.split()), count=1).replace(f"{tree}/", "")
    for words in (f" on node {certname}", f" for {certname}"):
        text = text.replace(words, "")
    return bounded(one_line(text), _LONGEST)
