"""environment.conf as Puppet reads it: where an environment's modules and its own manifests are. Pure.

Facts from Puppet's sources (lib/puppet/settings/ini_file.rb, environment_conf.rb): of a key that is set twice the last
counts; a value may stand in quotes; a modulepath is split at ':', and its globs are resolved.
What an environment.conf may say at all is a check's matter (checks/environment_conf.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

NAME = "environment.conf"
LONGEST = 65_536
"""Bytes of it."""
BASE = "$basemodulepath"
_DEFAULT = ("modules", BASE)
_MANIFESTS = "manifests"
_LINE = r"\s*(\w+)\s*=(.*)"
_BLANKS = " \t\r\f\v"
"""What Ruby takes off the ends of a value. Not a part of the pattern: it would try each blank of a long line anew."""


def settings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield number, key and value of each line that is no comment; the key is empty where it is no setting."""
    # At line feeds only, as Ruby does: a carriage return in a value must not hide what follows it.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            # Not compiled above: few pushes bring an environment.conf, and none should wait for that.
            match = re.fullmatch(_LINE, line, re.ASCII)
            yield (number, match[1], match[2].strip(_BLANKS)) if match else (number, "", "")


def unquoted(value: str) -> str:
    """Return a value without the quotes around it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def directory(part: str) -> str:
    """Return a directory of a modulepath without the slash at its end."""
    return part.rstrip("/") or part


def modulepath(content: bytes) -> tuple[str, ...]:
    """Return the parts of the modulepath in order, each a path in the tree, an absolute one, or `BASE`."""
    value = _last(content, "modulepath")
    if not value:
        return _DEFAULT
    parts = (BASE if part == "${basemodulepath}" else part for part in value.split(":") if part)
    return tuple(part if part == BASE or part.startswith("/") else plain(part) for part in parts)


def manifest(content: bytes) -> str:
    """Return the path in the tree of the file or directory of the environment's own manifests."""
    return plain(_last(content, "manifest") or _MANIFESTS)


def plain(path: str) -> str:
    """Return a path of a tree without what says nothing; empty: the tree itself."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _last(content: bytes, wanted: str) -> str:
    found = [value for _, key, value in settings(content.decode("utf-8", "replace")) if key == wanted]
    return unquoted(found[-1]) if found else ""
