"""A directory as large as a big site's: written as LDIF, loaded offline, served by a real slapd."""

from __future__ import annotations

from pathlib import Path

NODES_IN_PROJECT = 1000
SUFFIX = "dc=example,dc=org"


def certname(number: int) -> str:
    return f"node{number:06d}.example.org"


def project(number: int) -> str:
    return f"project{number // NODES_IN_PROJECT:03d}"


def node_dn(number: int) -> str:
    return f"cn={certname(number)},ou={project(number)},ou=hosts,{SUFFIX}"


def project_dn(number: int) -> str:
    return f"cn={project(number)},ou=projects,{SUFFIX}"


def _entry(dn: str, *lines: str) -> str:
    return "\n".join((f"dn: {dn}", *lines, "", ""))


def write_ldif(path: Path, nodes: int) -> None:
    """Write `nodes` nodes in projects of a thousand, each with what a usual node has."""
    with path.open("w", encoding="ascii") as ldif:
        for first in range(0, nodes, NODES_IN_PROJECT):
            name = project(first)
            ldif.write(
                _entry(
                    project_dn(first),
                    "objectClass: groupOfNames",
                    "objectClass: puppetClient",
                    "objectClass: puppetmasterClassification",
                    f"cn: {name}",
                    f"member: uid=admin,ou=people,{SUFFIX}",
                    "puppetClass: profile::base",
                    f"puppetVar: project_owner={name}",
                )
            )
            ldif.write(_entry(f"ou={name},ou=hosts,{SUFFIX}", "objectClass: organizationalUnit", f"ou: {name}"))
        for number in range(nodes):
            ldif.write(
                _entry(
                    node_dn(number),
                    "objectClass: device",
                    "objectClass: puppetClient",
                    "objectClass: puppetmasterClassification",
                    f"cn: {certname(number)}",
                    "l: region1",
                    "puppetClass: role::web",
                    "puppetClass: ntp",
                    f"puppetVar: instanceproject={project(number)}",
                    f"puppetVar: instancename=node{number:06d}",
                    "puppetVar: instancecreator_email=someone@example.org",
                    "environment: production",
                )
            )
