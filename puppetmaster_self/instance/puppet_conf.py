"""Sets and takes back single settings of puppet.conf; everything else in the file stays byte for byte. Pure.

`changed` with the lines that `lines_of` found before takes a change back. A
section that was not there stays as an empty one. Writing the file is the
caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from enc.terms.errors import ToolkitError

_HEAD = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_SETTING = re.compile(r"\s*(\w+)\s*=")

Lines = Mapping[str, str | None]
"""Setting to its whole line without the end; None: it does not stand there."""


def lines_of(section: str, text: str, names: frozenset[str]) -> dict[str, str | None]:
    """Return the lines that hold the settings `names` in `section`."""
    found: dict[str, str | None] = dict.fromkeys(sorted(names))
    inside = False
    for line in text.splitlines():
        if head := _HEAD.match(line):
            inside = head[1] == section
        elif inside and (setting := _SETTING.match(line)) and setting[1] in names:
            found[setting[1]] = line
    return found


def setting_line(name: str, value: str) -> str:
    """Return the line that gives `name` its value; raise `ToolkitError` for what cannot stay on its line."""
    if not value.isprintable() or not name.isidentifier() or value != value.strip():
        raise ToolkitError(f"puppet.conf cannot hold {name} = {value!r}")
    return f"{name} = {value}"


def changed(section: str, text: str, wanted: Lines) -> str:
    """Return `text` with each setting of `wanted` on exactly its line in `section`, or gone."""
    out: list[str] = []
    inside, seen, open_end = False, False, 0
    left = dict(wanted)
    for line in text.splitlines(keepends=True):
        if head := _HEAD.match(line):
            inside = head[1] == section
            seen = seen or inside
        setting = _SETTING.match(line) if inside else None
        if setting and setting[1] in wanted:
            new = left.pop(setting[1], None)
            if new is not None:
                out.append(new + ("\n" if line.endswith("\n") else ""))
        else:
            out.append(line)
        if inside and line.strip():
            open_end = len(out)
    missing = [line + "\n" for line in left.values() if line is not None]
    if not missing:
        return "".join(out)
    if not seen:
        if out and not out[-1].endswith("\n"):
            out[-1] += "\n"
        return "".join((*out, f"[{section}]\n", *missing))
    if open_end and not out[open_end - 1].endswith("\n"):
        out[open_end - 1] += "\n"
    return "".join((*out[:open_end], *missing, *out[open_end:]))
