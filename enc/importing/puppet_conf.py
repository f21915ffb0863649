"""A puppet.conf that used the LDAP node terminus, as a configuration of ours. Pure.

The settings are those of Puppet 5 (`ldapserver` and so on, removed in Puppet 6)
with its defaults, from [server], [master] and [main], the first that has one.
The result is the text of our configuration with `semantics: terminus`, and
remarks on what could not be carried over as it was. A password never stands in
it: it belongs in a file of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from enc.importing.safely import Unreadable
from enc.settings import config
from enc.terms import dn
from enc.terms.errors import InvalidName, one_line
from enc.terms.names import EnvironmentName
from enc.terms.puppet_names import environment_fault

SECTIONS = ("server", "master", "main")
"""Where a puppetserver looks, in this order."""

DEFAULTS = {
    "ldapserver": "ldap",
    "ldapport": "389",
    "ldapbase": "",
    "ldapstring": "(&(objectclass=puppetClient)(cn=%s))",
    "ldapclassattrs": "puppetclass",
    "ldapparentattr": "parentnode",
    "ldapstackedattrs": "puppetvar",
    "ldapattrs": "all",
    "ldaptls": "false",
    "ldapssl": "false",
    "ldapuser": "",
    "ldappassword": "",
    "environment": "production",
}
"""Puppet 5.5's own defaults (lib/puppet/defaults.rb)."""

_SPELLING = {name.lower(): name for name in ("puppetClass", "puppetVar", "parentNode", "environment")}
_NO_PARENT = "x-no-parent"
"""An attribute that no entry has: a terminus without a parent attribute follows no parents."""


@dataclass(frozen=True)
class Translation:
    """A configuration of ours that stands for a puppet.conf."""

    document: dict[str, Any]
    password: str | None = field(repr=False, default=None)
    """What belongs in the password file; None: there is none."""
    remarks: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the configuration file."""
        body = yaml.safe_dump(self.document, sort_keys=False, allow_unicode=False, width=120)
        return "# From the LDAP node terminus settings of a puppet.conf.\n" + body


def settings_of(text: str, file: str) -> dict[str, str]:
    """Return the LDAP settings in puppet.conf `text`, with defaults; raise `Unreadable` with the line."""
    sections: dict[str, dict[str, str]] = {"main": {}}
    current = "main"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        head = re.fullmatch(r"\[([\w:]+)\]", line, re.ASCII)
        if head:
            current = head[1]
            sections.setdefault(current, {})
            continue
        name, found, value = line.partition("=")
        if not found:
            raise Unreadable(f"not a section and not NAME = VALUE: {one_line(line[:60])}", where=f"{file}:{number}")
        sections[current][name.strip()] = _unquoted(value.strip())
    merged = dict(DEFAULTS)
    for section in reversed(SECTIONS):
        merged.update({name: value for name, value in sections.get(section, {}).items() if name in DEFAULTS})
    return merged


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def translate(text: str, file: str, password_file: Path) -> Translation:
    """Return our configuration for puppet.conf `text`; raise `Unreadable` for what cannot be one."""
    said = settings_of(text, file)
    remarks: list[str] = []
    # Where both are set, the terminus took StartTLS.
    secure = "tls" if _flag(said, "ldaptls", file) else "ssl" if _flag(said, "ldapssl", file) else ""
    directory: dict[str, Any] = {"uris": _uris(said, "ldaps" if secure == "ssl" else "ldap", file)}
    if said["ldapuser"]:
        directory["bind_dn"] = said["ldapuser"]
        directory["bind_password_file"] = str(password_file)
        if not said["ldappassword"]:
            remarks.append(f"ldapuser has no ldappassword; write it into {password_file}")
        if not secure:
            remarks.append(
                "the password crossed the network unencrypted, which is refused here: set directory.tls.start, or "
                "ldaps:// in directory.uris"
            )
    if secure == "tls":
        directory["tls"] = {"start": True}
    if secure:
        remarks.append("the server's certificate is verified here; directory.tls.ca_file names its authority")
    base = said["ldapbase"]
    if not base:
        raise Unreadable("ldapbase is not set; set it to the DN below which the nodes are", where=file)
    directory["suffix"] = _suffix(base, file)
    nodes: dict[str, Any] = {
        "base": base,
        "filter": said["ldapstring"],
        "class_attributes": _names(said["ldapclassattrs"]),
        "variable_attributes": _names(said["ldapstackedattrs"]),
        "parent_attribute": _spelled(said["ldapparentattr"].strip()) or _NO_PARENT,
        "attributes": "all" if said["ldapattrs"] == "all" else _names(said["ldapattrs"]),
        "semantics": "terminus",
        "default_environment": said["environment"],
    }
    if nodes["parent_attribute"] == _NO_PARENT:
        remarks.append(f"ldapparentattr is empty: {_NO_PARENT} is used, an attribute that no entry has")
    if not EnvironmentName.accepts(said["environment"]):
        nodes["default_environment"] = "production"
        remarks.append(f"environment {one_line(repr(said['environment']))} is not an environment; production is used")
    elif fault := environment_fault(said["environment"]):
        remarks.append(f"environment {said['environment']}: {fault}; branch-manager makes none with that name")
    missing = [n for n in (*nodes["variable_attributes"], "environment") if not _is_read(n, nodes["attributes"])]
    if missing:
        remarks.append(f"ldapattrs lists neither of {', '.join(missing)}, so the terminus ignored them and so do we")
    document = {"directory": directory, "nodes": {k: v for k, v in nodes.items() if v != []}}
    translation = Translation(document, said["ldappassword"] if said["ldapuser"] else None, tuple(remarks))
    config.parse(translation.text(), where=f"made from {file}")
    return translation


def _flag(said: dict[str, str], name: str, file: str) -> bool:
    value = said[name].lower()
    if value not in ("true", "false"):
        raise Unreadable(f"{name} is neither true nor false", where=file)
    return value == "true"


def _uris(said: dict[str, str], scheme: str, file: str) -> list[str]:
    port = said["ldapport"]
    if not re.fullmatch(r"[0-9]{1,5}", port):
        raise Unreadable(f"ldapport {one_line(repr(port))} is not a port", where=file)
    usual = {"ldap": "389", "ldaps": "636"}[scheme]
    servers = re.split(r"[\s,]+", said["ldapserver"].strip())
    return [f"{scheme}://{server}" + ("" if port == usual else f":{port}") for server in servers]


def _suffix(base: str, file: str) -> str:
    """Return the top of the tree: the trailing dc parts of the base, else its last part."""
    try:
        parts = dn.split(base)
    except InvalidName as error:
        raise Unreadable(f"ldapbase: {error}", where=file) from error
    tail: list[str] = []
    for part in reversed(parts):
        if not part.strip().lower().startswith("dc="):
            break
        tail.insert(0, part.strip())
    return ",".join(tail or [parts[-1].strip()])


def _names(text: str) -> list[str]:
    return [_spelled(name) for name in re.split(r"\s*,\s*", text.strip()) if name]


def _spelled(name: str) -> str:
    return _SPELLING.get(name.lower(), name)


def _is_read(name: str, attributes: str | list[str]) -> bool:
    return attributes == "all" or name.lower() in [listed.lower() for listed in attributes]
