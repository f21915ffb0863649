"""environment.conf: an environment may say how it is laid out, and reach nothing outside of itself.

Facts from Puppet's sources (lib/puppet/settings/environment_conf.rb,
ini_file.rb, config_file.rb): keys are those of VALID_SETTINGS, others are
ignored with a warning; sections are too. A modulepath is split at ':', each
part is expanded below the environment, '~' included, and globs are resolved
after that. Values are interpolated (`$codedir`), and `{...}` is cut out of
them. So paths are held to plain characters; what might be read in another way
is refused rather than guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from git_hooks.checks.look import File, Problem
from git_hooks.index.conf import LONGEST, NAME, directory, settings, unquoted
from git_hooks.repository.trees import FILE, PROGRAM

KNOWN = (
    "modulepath",
    "manifest",
    "config_version",
    "environment_timeout",
    "environment_data_provider",
    "static_catalogs",
    "rich_data",
)
OUR_PROGRAMS = ("/usr/bin/puppetmaster-config-version", "/usr/local/bin/puppetmaster-config-version")
"""Programs of the toolkit that a config_version may name; any other outside the tree is refused."""

_PATH = r"(?:\./)?[A-Za-z0-9_+-][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*/?|\./?"
_GLOB = r"(?:\./)?[A-Za-z0-9_*+-][A-Za-z0-9_.*+-]*(?:/[A-Za-z0-9_*+-][A-Za-z0-9_.*+-]*)*/?|\./?"
_WORD = r"\$environment(?:path)?|-{0,2}[A-Za-z0-9_][A-Za-z0-9_.,:=+-]*"
_PLAIN = r"[A-Za-z0-9_.]*"
_BASE = "$basemodulepath"


def _is(pattern: str, text: str) -> re.Match[str] | None:
    # Not compiled above: few pushes bring an environment.conf, and none should wait for that.
    return re.fullmatch(pattern, text, re.ASCII)


def reads(file: File) -> int | None:
    """Return how much of it is read: of the one at the top, in whatever case, as some file system has it."""
    return LONGEST if file.path.lower() == NAME else None


def check(conf: File) -> Iterator[Problem]:
    """Yield what is wrong with a new environment.conf at the top."""
    if not conf.is_file:
        yield Problem(NAME, "must be a file")
        return
    if conf.content is None:
        yield Problem(NAME, f"is larger than {LONGEST} bytes")
        return
    allowed = frozenset(directory.rstrip("/") for directory in conf.settings.pushes.modulepath)
    if allowed and not conf.site.own:
        # Somebody of a project may only name what operators name themselves.
        theirs = [entry for entry in conf.site.at(NAME) if entry.mode in (FILE, PROGRAM)]
        allowed = allowed & frozenset().union(*(modulepath(conf.site.content(entry)) for entry in theirs))
    for what in problems(conf.content, allowed):
        yield Problem(NAME, what)


def problems(content: bytes, allowed: Collection[str] = ()) -> Iterator[str]:
    """Yield what is wrong with the content of an environment.conf; `allowed` are directories outside of the tree."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield "is not UTF-8"
        return
    for number, key, value in settings(text):
        what = _wrong(key, value, allowed) if key else "is neither KEY = VALUE nor a comment (sections are not allowed)"
        if what:
            yield f"line {number} {what}"


def server_code(content: bytes) -> Iterator[str]:
    """Yield what of a sound environment.conf lets the tree decide what runs on the master."""
    for number, key, value in settings(content.decode("utf-8", "replace")):
        if key == "config_version" and (unquoted(value).split() or [""])[0] not in OUR_PROGRAMS:
            yield f"line {number}: a config_version is a program that puppetserver runs; use {OUR_PROGRAMS[0]}"
        elif key == "manifest" and _odd(value):
            yield f"line {number}: a manifest is a directory, or a file whose name ends in .pp"


def config_version(content: bytes) -> str:
    """Return the program that an environment.conf names as config_version, without its arguments; empty if none."""
    found = [value for _, key, value in settings(content.decode("utf-8", "replace")) if key == "config_version"]
    words = unquoted(found[-1]).split() if found else []
    return words[0] if words else ""


def modulepath(content: bytes) -> frozenset[str]:
    """Return the directories of an environment.conf's modulepath."""
    found = [value for _, key, value in settings(content.decode("utf-8", "replace")) if key == "modulepath"]
    return frozenset(directory(part) for value in found for part in value.split(":"))


def manifests(content: bytes) -> tuple[str, ...]:
    """Return the paths in the tree that an environment.conf names as manifest; `manifests` if it names none."""
    found = [value for _, key, value in settings(content.decode("utf-8", "replace")) if key == "manifest"]
    return tuple("/".join(part for part in one.split("/") if part not in ("", ".")) for one in found) or ("manifests",)


def _odd(value: str) -> bool:
    last = directory(unquoted(value)).rsplit("/", 1)[-1]
    return "." in last.removeprefix(".") and not last.endswith(".pp")


def _wrong(key: str, value: str, allowed: Collection[str]) -> str:
    if key not in KNOWN:
        return f"sets {key[:50]}, which is not a setting of environment.conf (known: {', '.join(KNOWN)})"
    if key == "modulepath":
        parts = value.split(":")
        sound = all(part == _BASE or directory(part) in allowed or _is(_GLOB, part) for part in parts)
        rule = (
            f"a modulepath may have directories of this tree, {_BASE}, and what the setting pushes.modulepath "
            "allows on operators' branches, joined by ':'"
        )
    elif key == "manifest":
        sound = _is(_PATH, value) is not None
        rule = "a manifest must be a file or directory of this tree"
    elif key == "config_version":
        program, *words = unquoted(value).split() or [""]
        known = program in OUR_PROGRAMS or _is(_PATH, program) is not None
        sound = known and all(_is(_WORD, word) for word in words)
        rule = (
            f"a config_version must be a program of this tree or {OUR_PROGRAMS[0]}; plain words, $environment and "
            "$environmentpath may follow"
        )
    else:
        sound = _is(_PLAIN, value) is not None
        rule = "write a plain word or number"
    return "" if sound else f"sets {key} to {value[:80]!r}: {rule}, without '..' or '~', and no absolute path"
