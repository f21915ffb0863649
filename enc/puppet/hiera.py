"""Where a hiera.yaml says that data are, outside of the tree that it stands in. Pure.

Facts from Puppet's sources (pops/lookup/hiera_config.rb, data_dig/yaml_data):
a relative `datadir` is joined to the environment; an absolute one is taken as it
is, and so is an absolute path of a level. What is not there, or cannot be
reached, is passed over without a word: no error, no value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

_LONGEST = 65_536
_FILLED = "%{"


def data_places(text: str) -> list[str]:
    """Return the absolute places, sorted, each up to what Puppet fills in (`%{…}`); none of what is no hiera.yaml."""
    if len(text) > _LONGEST:
        return []
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    return sorted({place for place in map(_fixed, _named(found)) if place not in ("", "/")})


def _named(found: Any) -> Iterator[str]:
    if not isinstance(found, dict):
        return
    levels = [found.get("defaults")]
    for key in ("hierarchy", "default_hierarchy"):
        levels += value if isinstance(value := found.get(key), list) else []
    for level in levels:
        if isinstance(level, dict):
            several = level.get("paths")
            values = [level.get("datadir"), level.get("path"), *(several if isinstance(several, list) else ())]
            yield from (value for value in values if isinstance(value, str) and "\0" not in value)


def _fixed(path: str) -> str:
    if not path.startswith("/"):
        return ""
    return path if _FILLED not in path else path.partition(_FILLED)[0].rpartition("/")[0]
