"""The check: Puppet will be able to parse each file, so no environment gets code that cannot be compiled.

Puppet's own parser and validator read manifests, plans and EPP; Ruby's compiler
reads ERB and what is below lib/; Psych reads data as Puppet loads it, and
metadata is JSON. Only what Puppet loads is checked: a module's own tests and
examples may contain anything. A file's path decides.

Facts from Puppet's sources (7.23 and 8.10): `plan` is a word of the language
for Bolt alone (`tasks` in pops/parser/lexer2.rb); data is loaded with values of
no class but Symbol, so a bare date makes the whole file unreadable
(util/yaml.rb, functions/yaml_data.rb).

Failure modes: if a file cannot be checked (no Puppet on this machine, code that
takes too long or too much memory, a file that is too large), the push is
accepted and its output says so. On branches that `pushes.require_checks` names,
it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import NoReturn

from enc.terms.errors import bounded, one_line
from git_hooks.checks.look import File, Problem
from git_hooks.puppet_code.calls import Kind, ParserMissing, Reading

JSON = "json"
"""Parsed here, because Ruby does not say where the errors are."""
_CODE = 1 << 20
"""Bytes of one file that are read: some thirty times as many as the largest manifest that people write."""
_SHOWN = 80
"""Characters of a line that are shown."""
_OWN = frozenset(("acceptance", "examples", "fixtures", "spec", "test", "tests", "vendor"))
"""Directories of modules that Puppet does not load."""
_DATA = ("data", "hieradata")
_LOADED: dict[str, dict[str, str]] = {
    "pp": {
        "manifests": Kind.SOUND_MANIFEST,
        "functions": Kind.SOUND_MANIFEST,
        "types": Kind.SOUND_MANIFEST,
        "plans": Kind.SOUND_PLAN,
    },
    "epp": {"templates": Kind.SOUND_EPP},
    "erb": {"templates": Kind.SOUND_ERB},
    "rb": {"lib": Kind.SOUND_RUBY},
    **{end: dict.fromkeys(_DATA, Kind.SOUND_YAML) for end in ("yaml", "yml", "eyaml")},
    "json": dict.fromkeys((*_DATA, "tasks"), JSON),
}
"""By the end of a name: the directories out of which Puppet loads such a file, and as what."""
_CODE_OF_PUPPET = (Kind.SOUND_MANIFEST, Kind.SOUND_PLAN, Kind.SOUND_EPP)
_NAMED = {"hiera.yaml": Kind.SOUND_YAML, "metadata.json": JSON}


def kind(path: str) -> str | None:
    """Return as what Puppet will read the file at `path` of a tree: a `Kind`, or JSON; None: as none of these."""
    *directories, name = path.split("/")
    loaded = _LOADED.get(name.rpartition(".")[2], {})
    for at, directory in enumerate(directories):
        if directory in loaded:
            return None if _own(directories[:at]) else loaded[directory]
    if _own(directories):
        return None
    # A manifest may also lie where environment.conf says.
    return Kind.SOUND_MANIFEST if name.endswith(".pp") else _NAMED.get(name)


def _own(directories: list[str]) -> bool:
    """Tell whether what is below these directories is a module's own matter; a module may be called `test`, too."""
    for at, name in enumerate(directories):
        is_module = at == len(directories) - 1 and at > 0 and directories[at - 1].endswith("modules")
        if name in _OWN and not is_module:
            return True
    return False


def reads(file: File) -> int | None:
    """Return how much is read of a file that Puppet loads."""
    if file.settings.pushes.syntax == "off" or not file.is_file or kind(file.path) is None:
        return None
    return _CODE


def check(file: File) -> Iterator[Problem]:
    """Yield the first thing that makes a file unreadable, with its place."""
    path, of_kind, content = file.path, kind(file.path), file.content
    if of_kind is None:
        return
    if content is None:
        found = Reading((), f"a file larger than {_CODE} bytes")
    elif of_kind == JSON:
        found = _json(content)
    else:
        try:
            found = file.site.read(file.entry.id, Kind(of_kind), partial(bytes, content))
        except ParserMissing as missing:
            found = Reading((), str(missing))
    if found.syntax and content is not None:
        yield Problem(path, told(found, content))
    elif found.fault and (words := file.site.unchecked(found.fault)):
        yield Problem(path, words)


def unreadable(file: File) -> str:
    """Return what this check says of Puppet code that cannot be parsed; empty if it can, or is no matter of it."""
    of_kind, content = kind(file.path), file.content
    if reads(file) is None or content is None or of_kind not in _CODE_OF_PUPPET:
        return ""
    found = file.site.read(file.entry.id, Kind(of_kind), partial(bytes, content))
    return told(found, content) if found.syntax else ""


def told(found: Reading, content: bytes) -> str:
    """Return the words for what is wrong: where, what, and the line itself."""
    lines = content.decode("utf-8", "replace").rstrip("\n").split("\n")
    at_end = not 0 < found.line <= len(lines)
    number = len(lines) if at_end else found.line
    column = f", column {found.column}" if found.column and not at_end else ""
    line = lines[number - 1].strip()
    shown = bounded(one_line(line), _SHOWN) if line else ""
    return f"line {number}{column}: {one_line(found.fault)}" + (f" (the line is: {shown})" if shown else "")


def _json(content: bytes) -> Reading:
    try:
        json.loads(content.decode("utf-8-sig"), parse_constant=_no_json, parse_int=str)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        column = len(before) - (before.rfind("\n") + 1) + 1
        return Reading((), "is not UTF-8", before.count("\n") + 1, syntax=True, column=column)
    except json.JSONDecodeError as error:
        return Reading((), error.msg, error.lineno, syntax=True, column=error.colno)
    except (ValueError, RecursionError) as error:
        words = str(error) if isinstance(error, ValueError) else "is nested too deeply to be read"
        return Reading((), words, 1, syntax=True)
    return Reading()


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is not valid JSON")
