"""The other instances of the project that this master serves: how one becomes its client, and which ones it has.

A client is told of its master by LDAP (class `puppetmaster::client`), and holds
a certificate of the own authority. Both are looked at, so that nobody is
counted who never came, or who has left; without LDAP, whoever holds a
certificate counts.
"""

from __future__ import annotations

import json
from pathlib import Path

from enc.classify.model import Classification
from enc.settings import Settings
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.names import Certname
from puppetmaster_self.standing.classified import classification

CLASS = "puppetmaster::client"
_PORT = 8140
"""The port that the class takes without being told."""


def joining(node: Certname, server: Certname, port: int, authority: str) -> list[str]:
    """Return the command that makes `node` a client of `server`, whose authority's certificates are given. Pure."""
    parameters: dict[str, str | int] = {"server": str(server), "ca_certificate": authority}
    if port != _PORT:
        parameters["port"] = port
    words = [word for name, value in parameters.items() for word in ("--parameter", _parameter(name, value))]
    return ["enc-admin", "node", "set", str(node), "--class", CLASS, *words, "--reason", f"client of {server}"]


def leaving(node: Certname) -> list[str]:
    """Return the command that brings `node` back to the central master. Pure."""
    word = _parameter("ensure", "absent")
    return ["enc-admin", "node", "set", str(node), "--parameter", word, "--reason", "back to the central master"]


def is_client(said: Classification, server: Certname) -> bool:
    """Tell whether LDAP says that a node is a client of `server`. Pure."""
    parameters = said.classes.get(CLASS)
    return parameters is not None and parameters.get("server") == server and parameters.get("ensure") != "absent"


def certified(authority: Path, server: Certname) -> list[Certname]:
    """Return who holds a certificate of the own authority, but for the master itself."""
    names = [file.stem for file in sorted((authority / "signed").glob("*.pem"))]
    return [Certname(name) for name in names if Certname.accepts(name) and name != server]


def clients(settings: Settings, authority: Path, server: Certname) -> list[str]:
    """Return the clients, in words."""
    found = []
    for node in certified(authority, server):
        try:
            if is_client(classification(settings, node), server):
                found.append(str(node))
        except NotFound:
            continue  # it is deleted
        except ToolkitError as error:
            found.append(f"{node} (perhaps; LDAP could not be asked: {error})")
    return found


def _parameter(name: str, value: str | int) -> str:
    return f"{CLASS}::{name}={json.dumps(value)}"
