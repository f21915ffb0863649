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
from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.trees import FILE, PROGRAM

NAME = "environment.conf"
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
_LONGEST = 65_536

_LINE = r"\s*(\w+)\s*=(.*)"
_BLANKS = " \t\r\f\v"
"""What Ruby takes off the ends of a value. Not a part of the pattern: it would try each blank of a long line anew."""

_PATH = r"(?:\./)?[A-Za-z0-9_+-][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*/?|\./?"
_GLOB = r"(?:\./)?[A-Za-z0-9_*+-][A-Za-z0-9_.*+-]*(?:/[A-Za-z0-9_*+-][A-Za-z0-9_.*+-]*)*/?|\./?"
_WORD = r"\$environment(?:path)?|-{0,2}[A-Za-z0-9_][A-Za-z0-9_.,:=+-]*"
_PLAIN = r"[A-Za-z0-9_.]*"
_BASE = "$basemodulepath"


def _is(pattern: str, text: str) -> re.Match[str] | None:
    # Not compiled above: few pushes bring an environment.conf, and none should wait for that.
    return re.fullmatch(pattern, text, re.ASCII)


def check(look: Look) -> Iterator[Problem]:
    """Yield what is wrong with a new environment.conf at the top."""
    if look.path:
        return
    for entry in look.new:
        if entry.name.lower() != NAME:
            continue
        if entry.mode not in (FILE, PROGRAM):
            yield Problem(NAME, "must be a file")
            return
        content = look.blobs(entry.id).content
        if content is None or len(content) > _LONGEST:
            yield Problem(NAME, f"is larger than {_LONGEST} bytes")
            return
        for what in problems(content):
            yield Problem(NAME, what)


def problems(content: bytes) -> Iterator[str]:
    """Yield what is wrong with the content of an environment.conf."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield "is not UTF-8"
        return
    # At line feeds only, as Ruby does: a carriage return in a value must not hide what follows it.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _is(_LINE, line)
        what = (
            _wrong(match[1], match[2].strip(_BLANKS))
            if match
            else "is neither KEY = VALUE nor a comment (there are no sections)"
        )
        if what:
            yield f"line {number} {what}"


def _wrong(key: str, value: str) -> str:
    if key not in KNOWN:
        return f"sets {key[:50]}, which is no setting of environment.conf (known: {', '.join(KNOWN)})"
    if key == "modulepath":
        parts = value.split(":")
        sound = all(part == _BASE or _is(_GLOB, part) for part in parts)
        rule = f"a modulepath has directories of this tree and {_BASE}, joined by ':'"
    elif key == "manifest":
        sound = _is(_PATH, value) is not None
        rule = "a manifest is a file or directory of this tree"
    elif key == "config_version":
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        program, *words = value.split() or [""]
        known = program in OUR_PROGRAMS or _is(_PATH, program) is not None
        sound = known and all(_is(_WORD, word) for word in words)
        rule = (
            f"a config_version is a program of this tree or {OUR_PROGRAMS[0]}; "
            "plain words, $environment and $environmentpath may follow"
        )
    else:
        sound = _is(_PLAIN, value) is not None
        rule = "a plain word or number is wanted"
    return "" if sound else f"sets {key} to {value[:80]!r}: {rule}, without '..' or '~', and no absolute path"
