"""puppetserver's auth.conf for private servers: the module's template, filled in without Puppet. Pure but for the file.

The rules are the ones that sites get, so that what is tried on a private
server is true of theirs. A test holds what Puppet makes of the template
against this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TEMPLATE = Path(__file__).resolve().parent.parent / "templates/auth.conf.epp"

Who = tuple[str, ...] | Literal["anybody"]
"""Certnames (`*`: every signed one, `$1`: the pattern's first group), or also without a certificate."""

_HEAD = re.compile(r"\A<%-.*?-%>\n<%.*?-%>\n", re.DOTALL)
_FOR_COMPILING = re.compile(r"^<% (?:if \$compiles \{|\}) -%>\n", re.MULTILINE)
"""Around rules that one of our masters, which compile all, has."""
_AUTHORIZED = '{ extensions: { pp_cli_auth: "true" } }'


@dataclass(frozen=True)
class AuthRule:
    """One rule besides those of the template. The lowest `order` that matches decides."""

    name: str
    path: str
    """A prefix of the request's path; a regular expression if it begins with '^'."""
    methods: tuple[str, ...]
    who: Who
    order: int = 300
    """Those of the template have 400 and more."""

    def text(self) -> str:
        """Return the rule as puppetserver reads it."""
        kind = "regex" if self.path.startswith("^") else "path"
        match: dict[str, object] = {"path": self.path, "type": kind}
        if self.methods:
            match["method"] = list(self.methods)
        allow = {"allow-unauthenticated": True} if self.who == "anybody" else {"allow": list(self.who)}
        return json.dumps({"match-request": match, **allow, "sort-order": self.order, "name": self.name})


@dataclass(frozen=True)
class AuthSettings:
    """The template's parameters; manifests/init.pp tells what they mean."""

    flush_clients: tuple[str, ...] = ()
    catalog_clients: tuple[str, ...] = ()
    ca_clients: tuple[str, ...] = ()
    status_clients: tuple[str, ...] = ()
    file_bucket: bool = False


def auth_conf(settings: AuthSettings, rules: Sequence[AuthRule] = ()) -> str:
    """Return the file's text, with `rules` before the template's."""
    names = {
        "flush": _clients(settings.flush_clients),
        "catalog": _clients(settings.catalog_clients),
        "status": _clients(settings.status_clients),
        "ca": f"allow: [{', '.join((*map(_quoted, settings.ca_clients), _AUTHORIZED))}]",
        "bucket": 'allow: "*"' if settings.file_bucket else 'deny: "*"',
    }
    body, count = _HEAD.subn("", TEMPLATE.read_text("utf-8"))
    assert count == 1, "the template begins with its parameters and one block of code"
    body = _FOR_COMPILING.sub("", body)
    text = re.sub(r"<%= \$(\w+) %>", lambda found: names[found[1]], body)
    own = "".join(f"\n        {rule.text()}," for rule in rules)
    return text.replace("    rules: [", f"    rules: [{own}", 1)


def _clients(names: tuple[str, ...]) -> str:
    return f"allow: [{', '.join(map(_quoted, names))}]" if names else 'deny: "*"'


def _quoted(name: str) -> str:
    return f'"{name}"'
