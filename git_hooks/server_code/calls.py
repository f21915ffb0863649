"""Which calls of Puppet code run something on the master, or read its files. Pure.

The list is that of Puppet 7.23 and 8.10 (lib/puppet/functions,
lib/puppet/parser/functions), gone through one by one. Functions of modules are
Ruby that the site has reviewed; what of them members may not call is the setting
`branches.limited_functions`.

A name that is computed may be any, and so may a path: both are refused. What
`Deferred` names is called by the agent, unless `call` is given it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from git_hooks.puppet_code.calls import Call

_RUNS = {
    "generate": "runs a program on the master; let the agent do it, in a fact or a Deferred function",
    "inline_template": "evaluates Ruby on the master; use inline_epp() with a text, or an EPP template",
    "extlookup": "reads files of the master; use lookup()",
    "cached_file_data": "reads files of the master; name the data in hiera.yaml",
    "yaml_data": "reads files of the master; name it in hiera.yaml",
    "json_data": "reads files of the master; name it in hiera.yaml",
    "hocon_data": "reads files of the master; name it in hiera.yaml",
    "eyaml_lookup_key": "reads files of the master; name it in hiera.yaml",
    "import": "reads manifests by their path; put classes where Puppet finds them",
}
"""Never allowed: name of the function, and what to do instead."""

_FILES = ("file", "find_file", "find_template", "binary_file", "template")
"""Each of their arguments is a path."""
_TEMPLATES = ("epp", "deferrable_epp", "stdlib::deferrable_epp")
"""The first of their arguments is the path of a template, which is evaluated."""
_HIERA = ("hiera", "hiera_array", "hiera_hash", "hiera_include")
"""The last of theirs, the third or the one before a block, is a path that a hiera.yaml of version 3 reads first."""
_LEVEL = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*", re.ASCII)
_IN_MODULE = re.compile(r"[a-z][a-z0-9_]*(?:/(?!\.\.?(?:/|$))[^/\0]+)+", re.ASCII)
"""MODULE/PATH, and no way out of it."""


def harm(call: Call, limited: Iterable[str]) -> str:
    """Return why members' code may not have this call, and what to do; empty if it may.

    `limited` are names of functions, or patterns of them, that the site keeps to itself. What `inline_epp` is given
    is EPP, to be asked about as such by the caller.
    """
    name = call.name
    if name is None:
        return "calls a function whose name is computed; write the name"
    if name == "Runtime":  # the reader's word for it
        return "a Runtime type makes Puppet load the Ruby file that it names; remove it"
    if name in _RUNS:
        return f"{name}() {_RUNS[name]}"
    if name == "call":
        if not call.arguments or call.arguments[0] is None:
            return "call() of something computed can call any function; call it by its name"
        first = call.arguments[0].removeprefix("::")
        inner = harm(Call(call.line, first, call.arguments[1:]), limited)
        return inner or ("call() hides the template; call inline_epp() itself" if first == "inline_epp" else "")
    if name == "inline_epp" and (not call.arguments or call.arguments[0] is None):
        return "inline_epp() of something computed can call any function; give it a text in single quotes"
    if name in _HIERA and any(level is None or not _LEVEL.fullmatch(level) for level in call.arguments[2:]):
        return f"{name}() with its own level can read files of the master; name the level in hiera.yaml"
    if name in _FILES or name in _TEMPLATES:
        paths = call.arguments[:1] if name in _TEMPLATES else call.arguments
        return next((found for path in paths if (found := _path(name, path))), "")
    if any(fnmatchcase(name, pattern) for pattern in limited):
        return f"{name}() is for reviewed code only here (branches.limited_functions)"
    return ""


_OF_SCOPE = ("inline_template", "inline_epp", "template", *_TEMPLATES)
"""What they do depends on variables, which come from anywhere."""


def carried(call: Call) -> bool:
    """Tell whether a call that stands in a reviewed file may stand in a changed one, if all before it is as it was.

    All that it does must be said by itself: its arguments are literal. (What is before it can be a condition for it,
    and its own statement is what becomes of its value.)
    """
    names = {call.name, *(call.arguments[:1] if call.name == "call" else ())}
    return bool(call.before) and None not in (call.name, *call.arguments) and not names & set(_OF_SCOPE)


def _path(name: str, path: str | None) -> str:
    if path is None:
        return f"{name}() of a computed path can read any file of the master; write MODULE/FILE"
    if not _IN_MODULE.fullmatch(path):
        return f"{name}() of {path[:80]!r} reads a file of the master; write MODULE/FILE, without '..'"
    if name == "template" and path.endswith(".epp"):
        return "template() evaluates an EPP file as ERB, which is Ruby; use epp()"
    return ""
