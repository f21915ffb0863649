"""Reads a Puppetfile without running it, and writes the one that r10k or g10k is given. Pure.

For r10k a Puppetfile is a Ruby program, and whoever may push would run it as
the user who deploys. So no program ever sees the pushed file: what is accepted
is the small language below, and what r10k and g10k get is written anew from
what was understood, in characters that mean the same to both.

    moduledir 'NAME'                              once, before the modules
    forge 'URL'                                   the configured Forge, or Puppet's
    mod 'AUTHOR/NAME'[, 'VERSION' | :latest]      from the Forge
    mod '[AUTHOR/]NAME', :git => 'URL', :branch | :tag | :commit | :ref => 'REVISION'
    mod 'NAME', :local => true                    the tree has it; nothing is fetched

Values are quoted texts without interpolation or backslash; `git: 'URL'` and
brackets are taken too, and so are `:type`, `:source` and `:version`. Everything
else is refused with its line. Not here: whether two trees may share modules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from enc.terms.errors import ToolkitError
from enc.terms.puppet_names import RESERVED_MODULES
from git_hooks.puppetfile import LONGEST, NAME, Sources

MOST = 1_000
"""Modules of a Puppetfile."""

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|\#[^\n]*)|(?P<end>\n)|(?P<text>'[^'\\\n]*'|"[^"\\\#\n]*")
    |(?P<label>[a-z_][a-z_0-9]*:(?!:))|(?P<symbol>:[a-z_][a-z_0-9]*)|(?P<word>[a-z_][a-z_0-9]*)
    |(?P<sign>=>|[,()])""",
    re.VERBOSE | re.ASCII,
)
_MODULE = re.compile(r"(?:([A-Za-z0-9_]{1,100})[/-])?([a-z][a-z0-9_]{0,99})", re.ASCII)
_DIRECTORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[A-Za-z0-9.-]{1,100})?", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_+-]|[./](?![./])){0,199}(?<![./])", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_~](?:[A-Za-z0-9_~+-]|[./](?![./])){0,500}", re.ASCII)
_FORGES = re.compile(r"(?:https?://)?forge(?:api)?\.puppet(?:labs)?\.com/?", re.ASCII)

Revision = Literal["branch", "tag", "commit", "ref"]
_REVISIONS: tuple[Revision, ...] = ("branch", "tag", "commit", "ref")
_LEFT_OUT = ("exclude_spec",)
"""Options without a meaning here, which real files have."""


class UnsoundPuppetfile(ToolkitError):
    """A Puppetfile that is not followed."""


class ForgeModule(NamedTuple):
    """A module of the Forge; `version` None: the latest."""

    author: str
    name: str
    version: str | None

    @property
    def pinned(self) -> bool:
        """Whether it is the same at any time."""
        return self.version is not None

    def line(self) -> str:
        """Return the statement that fetches it."""
        return f"mod '{self.author}/{self.name}', " + (f"'{self.version}'" if self.version else ":latest")


class GitModule(NamedTuple):
    """A module in a git repository of its own."""

    name: str
    url: str
    kind: Revision
    revision: str

    @property
    def pinned(self) -> bool:
        """Whether it is the same at any time; a tag counts as that, too."""
        return self.kind in ("tag", "commit") or re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.revision) is not None

    def line(self) -> str:
        """Return the statement that fetches it."""
        return f"mod '{self.name}', :git => '{self.url}', :{self.kind} => '{self.revision}'"


class Puppetfile(NamedTuple):
    """What a Puppetfile asks for."""

    directory: str
    """Where its modules are shown: a directory at the top of the tree."""
    modules: tuple[ForgeModule | GitModule, ...]

    @property
    def pinned(self) -> bool:
        """Whether its modules are the same at any time."""
        return all(module.pinned for module in self.modules)

    def text(self) -> str:
        """Return the Puppetfile for r10k or g10k; equal ones fetch the same."""
        return "".join(f"{line}\n" for line in sorted(module.line() for module in self.modules))


def check_beside(puppetfile: Puppetfile, own: Collection[str]) -> None:
    """Raise `UnsoundPuppetfile` if the tree's own module directory, with the names `own`, has one of its modules."""
    for module in puppetfile.modules:
        if module.name in own:
            text = (
                f"module {module.name} is also in the tree ({puppetfile.directory}/{module.name}); remove one of "
                "the two"
            )
            raise UnsoundPuppetfile(text, where=NAME)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def read(content: bytes, sources: Sources) -> Puppetfile:
    """Return what a Puppetfile asks for; raise `UnsoundPuppetfile` if it says anything else than it may."""
    if len(content) > LONGEST:
        raise UnsoundPuppetfile(f"is larger than {LONGEST} bytes", where=NAME)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnsoundPuppetfile("is not UTF-8", where=NAME) from error
    directory = None
    modules: dict[str, ForgeModule | GitModule | None] = {}
    for word, values, options in _Statements(text):
        if word.text == "mod":
            name, module = _module(word, values, options, sources)
            if name in modules:
                raise _wrong(word, f"module {name} appears here for the second time")
            modules[name] = module
            if len(modules) > MOST:
                raise _wrong(word, f"there are more than {MOST} modules")
            continue
        if len(values) != 1 or values[0].kind != "text" or options or word.text not in ("forge", "moduledir"):
            raise _wrong(word, "only moduledir, forge and mod are supported, with one quoted text or, for mod, options")
        if word.text == "forge":
            _check_forge(values[0], sources)
        elif directory is not None or modules:
            raise _wrong(word, "moduledir may appear once, before the modules")
        elif not _DIRECTORY.fullmatch(values[0].text):
            raise _wrong(word, "moduledir must be the name of one directory at the top of the tree")
        else:
            directory = values[0].text
    fetched = tuple(module for module in modules.values() if module is not None)
    return Puppetfile(directory or "modules", fetched)


Statement = tuple[_Token, list[_Token], dict[str, _Token]]


class _Statements(Iterator[Statement]):
    """The statements of a text: their first word, their values, and their options by name."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def __next__(self) -> Statement:
        self._skip_lines()
        if self._next.kind == "stop":
            raise StopIteration
        word = self._take()
        if word.kind != "word":
            raise _wrong(word, f"{word.text[:40]!r} does not begin a statement")
        bracket = self._is("(")
        values: list[_Token] = []
        options: dict[str, _Token] = {}
        while True:
            name, value = self._argument()
            if name is None and options:
                raise _wrong(value, "a value follows an option")
            if name is None:
                values.append(value)
            elif name.text in options:
                raise _wrong(name, f"the option {name.text} appears twice")
            else:
                options[name.text] = value
            if bracket:
                self._skip_lines()
            if not self._is(","):
                break
        if bracket and not self._is(")"):
            raise _wrong(self._next, "a closing bracket is missing")
        if self._next.kind not in ("end", "stop"):
            raise _wrong(self._next, f"{self._next.text[:40]!r} does not belong here")
        return word, values, options

    def _argument(self) -> tuple[_Token | None, _Token]:
        """Take `VALUE`, `:NAME => VALUE` or `NAME: VALUE`."""
        first = self._take()
        if first.kind == "label":
            self._skip_lines()
            return first, self._value(self._take())
        if first.kind == "symbol" and self._is("=>"):
            return first, self._value(self._take())
        return None, self._value(first)

    def _value(self, token: _Token) -> _Token:
        if token.kind in ("text", "symbol") or (token.kind == "word" and token.text in ("true", "false")):
            return token
        raise _wrong(token, f"{token.text[:40]!r} is not a quoted text without interpolation and backslash")

    def _is(self, sign: str) -> bool:
        """Take the next token if it is `sign`; lines may end behind one."""
        if self._next.kind != "sign" or self._next.text != sign:
            return False
        self._take()
        if sign != ")":
            self._skip_lines()
        return True

    def _skip_lines(self) -> None:
        while self._next.kind == "end":
            self._take()

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "stop":
            self._next = next(self._tokens)
        return token


def _tokens(text: str) -> Iterator[_Token]:
    line, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position : position + 20].partition("\n")[0]
            raise _wrong(_Token("", "", line), f"cannot be read from {rest!r} on; values are literal texts in quotes")
        kind = str(match.lastgroup)
        if kind == "text":
            yield _Token(kind, match[0][1:-1], line)
        elif kind in ("label", "symbol"):
            yield _Token(kind, match[0].strip(":"), line)
        elif kind != "blank":
            yield _Token(kind, match[0], line)
        line += match[0].count("\n")
        position = match.end()
    yield _Token("stop", "the end of the file", line)


def _module(
    word: _Token, values: list[_Token], options: Mapping[str, _Token], sources: Sources
) -> tuple[str, ForgeModule | GitModule | None]:
    match = _MODULE.fullmatch(values[0].text) if values and values[0].kind == "text" else None
    if match is None or len(values) > 2:
        raise _wrong(word, "mod takes 'AUTHOR/NAME' or 'NAME' (a-z, 0-9 and _) and at most a version")
    author, name = match.groups()
    if name in RESERVED_MODULES:
        raise _wrong(word, f"Puppet reserves the name {name}: no catalog compiles with a module called this")
    wanted = {key: value for key, value in options.items() if key not in _LEFT_OUT}
    kind = wanted.pop("type", None)
    if kind is not None and kind.text in ("git", "forge"):
        for long, short in (("source", "git"), ("version", "ref")):
            if kind.text == "git" and long in wanted and short not in wanted:
                wanted[short] = wanted.pop(long)
    elif kind is not None:
        raise _wrong(kind, f"modules of type {kind.text[:40]!r} are not fetched, only git and forge")
    if "local" in wanted and wanted["local"].text == "true" and len(wanted) == 1 and len(values) == 1:
        return name, None
    if "git" in wanted:
        return name, _git_module(word, name, values, wanted, sources)
    version = values[1] if len(values) == 2 else wanted.pop("version", None)
    if wanted:
        raise _wrong(word, f"the option {min(wanted)} is not supported")
    return name, _forge_module(word, author, name, version, sources)


def _forge_module(word: _Token, author: str | None, name: str, version: _Token | None, sources: Sources) -> ForgeModule:
    if sources.forge is None:
        raise _wrong(word, "modules of a Forge are not fetched here (branches.puppetfile.forge)")
    if author is None or not author.isalnum():
        raise _wrong(word, "a Forge module must be written 'AUTHOR/NAME'")
    if version is None or (version.kind, version.text) == ("symbol", "latest") or version.text == "latest":
        return ForgeModule(author, name, None)
    if version.kind != "text" or not _VERSION.fullmatch(version.text):
        raise _wrong(version, "a version must be '1.2.3' or :latest")
    return ForgeModule(author, name, version.text)


def _git_module(
    word: _Token, name: str, values: list[_Token], wanted: dict[str, _Token], sources: Sources
) -> GitModule:
    url = wanted.pop("git")
    named = [kind for kind in _REVISIONS if kind in wanted]
    if len(values) > 1 or len(named) != 1:
        raise _wrong(word, "a module from git needs one of :branch, :tag, :commit and :ref")
    kind = named[0]
    revision = wanted.pop(kind)
    if wanted:
        raise _wrong(word, f"the option {min(wanted)} is not supported")
    if url.kind != "text" or not _allowed(url.text, sources):
        raise _wrong(
            url, f"{url.text[:200]!r} does not begin with one of branches.puppetfile.sources, or is not an address"
        )
    sound = _COMMIT if kind == "commit" else _REVISION
    if revision.kind != "text" or not sound.fullmatch(revision.text) or revision.text.endswith(".lock"):
        raise _wrong(revision, f"{revision.text[:200]!r} is not the name of a {kind} as a quoted text")
    return GitModule(name, url.text, kind, revision.text)


def _allowed(url: str, sources: Sources) -> bool:
    return any(url.startswith(source) and _PATH.fullmatch(url[len(source) :]) for source in sources.git)


def _check_forge(value: _Token, sources: Sources) -> None:
    own = sources.forge is not None and value.text.rstrip("/") == sources.forge.rstrip("/")
    if not own and not _FORGES.fullmatch(value.text):
        raise _wrong(value, f"{value.text[:200]!r} is not this site's Forge (branches.puppetfile.forge)")


def _wrong(token: _Token, what: str) -> UnsoundPuppetfile:
    return UnsoundPuppetfile(what, where=f"{NAME} line {token.line}")
