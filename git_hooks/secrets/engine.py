"""All rules together, on one file: Puppet's syntax tree, data, settings in text, blocks, and the scanner's tokens.

What cannot be parsed is looked at as text, and what one of the parts cannot look
at is told as unchecked; the others go on. Findings hold keyed hashes only. The
secrets themselves stay in this process for as long as a file is looked at; who
has to keep them out of words about the file asks `Look.masked`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock
from time import thread_time
from typing import NamedTuple

from enc.terms.secret_names import Says, says, words_in
from git_hooks.puppet_code.calls import Kind, ParserMissing, Read, Reading, Text
from git_hooks.secrets.blocks import blocks
from git_hooks.secrets.encodings import as_utf8
from git_hooks.secrets.findings import SHOWN, Examined, Finding
from git_hooks.secrets.kept import key, place
from git_hooks.secrets.scanner import Scanner, ScannerMissing
from git_hooks.secrets.settings_lines import (
    Bound,
    Hints,
    Setting,
    TooLong,
    computed,
    hints,
    kind_of,
    may_name,
    settings,
    tags,
)
from git_hooks.secrets.values import is_secret, looks_random

VERSION = 2
"""Of our own rules: raised whenever one of them finds something else."""
_CODE = 1 << 20
"""Octets of a file up to which Puppet's parser is asked; larger ones are looked at as text."""
_LONGEST = 5.0
"""Seconds of the processor for our own rules and one file; those that people write take milliseconds."""
_TOO_LONG = f"a file in which secrets are looked for more than {_LONGEST:.0f} s"
_BEGINNING = 8000
"""Octets without a zero by which git, too, knows a text."""
_MOST = 200
"""Findings that are told of one file."""
_KINDS = {
    "pp": Kind.TEXTS_OF_MANIFEST,
    "epp": Kind.TEXTS_OF_EPP,
    **dict.fromkeys(("yaml", "yml", "eyaml", "json"), Kind.TEXTS_OF_YAML),
}
_PROGRAMS = words_in(
    """py rb js mjs ts jsx tsx go c h cc cpp hpp java kt scala pl pm t php lua vcl rs cs vim el groovy md rst txt
    html htm adoc patch diff tcl rake po css svg sql xml xsl pp epp yaml yml json r jl swift erl ex hs ml pot man
    tex feature"""
)
"""Ends of names of files in which a value without quotes is no text: programs, and what people write for people."""
_DOCS = words_in("md rst adoc html htm txt")
_EXAMPLES = words_in("spec test tests testing fixtures examples testdata acceptance beaker")
"""Directories, and ends of names of files, in which people write passwords that are none."""
_LOADED = words_in("data hieradata manifests environments templates files")
_TEMPLATES = frozenset(("erb", "epp", "j2", "tmpl", "tpl", "template"))


class _Found(NamedTuple):
    line: int
    kind: str
    secret: bytes
    where: str = ""
    spans: int = 0
    """How many more lines it has."""


class Look(NamedTuple):
    """What was found in a file, with what must not be said."""

    examined: Examined
    secrets: tuple[str, ...]

    def masked(self, words: str) -> str:
        """Return `words` without any secret of the file."""
        return masked(words, self.secrets)


def masked(words: str, secrets: Iterable[str]) -> str:
    """Return `words` with each of `secrets` in them replaced."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        words = words.replace(secret, "(a secret)")
    return words


_loading = Lock()
_loaded: list[Scanner] = []
"""One for the process, whichever repositories it serves: its rules are the same."""


def scanner(repository: Path) -> Scanner:
    """Return the scanner of this process, which is loaded once; raise `ToolkitError`.

    With the rules compiled already, by whichever process came first, that takes half a second, else some.
    """
    with _loading:
        if not _loaded:
            _loaded.append(Scanner(place(repository) / "rules"))
        return _loaded[0]


def engine(repository: Path, read: Read) -> RuleEngine:
    """Return an engine with the key of a repository; `read` asks Puppet's parser. Raise `ToolkitError`."""
    try:
        found, missing = scanner(repository), ""
    except ScannerMissing as error:
        found, missing = None, str(error)
    return RuleEngine(key(repository), read, found, missing)


class RuleEngine:
    """See findings.Engine."""

    def __init__(self, key: bytes, read: Read, scanner: Scanner | None, missing: str = "") -> None:
        """`key` makes fingerprints; `read` asks Puppet's parser; `missing`: why there is no scanner."""
        self._key = key
        self._read = read
        self._scanner = scanner
        self.missing = missing
        """Why there is no scanner; empty: there is one."""

    @property
    def version(self) -> str:
        """See findings.Engine."""
        return f"rules {VERSION}; {self._scanner.version if self._scanner is not None else 'no scanner'}"

    def examine(self, path: str, content: bytes) -> list[Finding]:
        """See findings.Engine."""
        return list(self.look(path, content).findings)

    def look(self, path: str, content: bytes, name: str = "") -> Examined:
        """See findings.Engine."""
        return self.closely(path, content, name).examined

    def fingerprint(self, secret: bytes) -> str:
        """Return what stands for a secret."""
        return hmac.new(self._key, secret, hashlib.sha256).hexdigest()[:SHOWN]

    def closely(self, path: str, content: bytes, name: str = "") -> Look:
        """Return what is in a file, and what of it is secret."""
        content, unchecked = as_utf8(content), list[str]()
        found = list[_Found]()
        for one in self._all(path, content, name, unchecked):
            if not any(_same(one, other) for other in found):
                found.append(one)
            if len(found) >= _MOST:
                unchecked.append(f"a file with more than {_MOST} secrets")
                break
        secrets = tuple(one.secret.decode("utf-8", "replace") for one in found if len(one.secret) < 5000)
        findings = (
            Finding(path, one.line, one.kind, self.fingerprint(one.secret), _shown(one.where, secrets))
            for one in sorted(found, key=lambda one: one.line)
        )
        return Look(Examined(tuple(findings), tuple(unchecked)), secrets)

    def _all(self, path: str, content: bytes, name: str, unchecked: list[str]) -> Iterator[_Found]:
        """Yield what each rule finds, the most telling first; the same secret may come again."""
        example = _is_example(path)
        until = thread_time() + _LONGEST
        line, counted = 1, 0
        for block in blocks(content):
            if thread_time() > until:
                unchecked.append(_TOO_LONG)
                break
            if example and block.kind.startswith("a hash"):
                continue
            if block.start < counted:
                line, counted = 1, 0
            line += content.count(b"\n", counted, block.start)
            counted = block.start
            yield _Found(line, block.kind, block.secret, "", content.count(b"\n", block.start, block.end))
        if b"\0" not in content[:_BEGINNING]:
            try:
                for one in self._texts(path, content, name, unchecked):
                    if not example or looks_random(one.secret.decode("utf-8", "replace")):
                        yield one
            except TooLong:
                unchecked.append(_TOO_LONG)
        if self._scanner is None:
            unchecked.append(self.missing)
            return
        try:
            for token in self._scanner.scan(content):
                yield _Found(token.line, f"a token ({token.rule})", _bytes(token.secret))
        except TimeoutError:
            unchecked.append("a file that takes the scanner too long")

    def _texts(self, path: str, content: bytes, name: str, unchecked: list[str]) -> Iterator[_Found]:
        bound = Bound(_LONGEST)
        ends = path.rpartition("/")[2].lower().split(".")[1:]
        template = bool(ends) and ends[-1] in _TEMPLATES
        kind = _KINDS.get(ends[-1]) if ends else None
        if kind is Kind.TEXTS_OF_MANIFEST and "plans" in path.split("/"):
            kind = Kind.TEXTS_OF_PLAN
        has = hints(content)
        if kind is not None and len(content) <= _CODE:
            reading = self._parsed(name, kind, content) if may_name(content, has) else Reading()
            # Code may write in another way what its texts say (`\\u`), so these are asked, all of them at once.
            among = hints(_bytes("\n".join(text.text for text in reading.texts)))
            for text in reading.texts:
                bound.spend(len(text.text))
                yield from _of_text(text, bound, among)
            if reading.fault and not reading.syntax:
                unchecked.append(reading.fault)
            if not reading.fault and kind is not Kind.TEXTS_OF_EPP:
                # What stands outside of texts, as in comments, is looked at for what is a secret by its own form.
                yield from _found(settings(content, program=True, named=False, bound=bound, among=has))
                return
        if template:
            yield from _found(settings(tags(content), program=True, bound=bound, among=has))
            content, ends = computed(content), ends[:-1]
        program = bool(ends) and ends[-1] in _PROGRAMS and ends[-1] not in ("yaml", "yml", "eyaml", *_DOCS)
        yield from _found(settings(content, program=program, bound=bound, among=None if template else has))

    def _parsed(self, name: str, kind: Kind, content: bytes) -> Reading:
        try:
            return self._read(name or hashlib.sha256(content).hexdigest(), kind, partial(bytes, content))
        except ParserMissing as error:
            return Reading(fault=str(error))


def _is_example(path: str) -> bool:
    """Tell whether a file is a test or a text for people; data may be of an environment that is called test."""
    *directories, name = path.lower().split("/")
    stem, _, end = name.rpartition(".")
    if end in _DOCS or (end not in _KINDS and (stem.startswith("test_") or stem.endswith(("_test", "_spec")))):
        return True
    for above, directory in zip(("", *directories), directories, strict=False):
        if directory in _LOADED:
            return False
        if directory in _EXAMPLES and not above.endswith("modules"):
            return True
    return False


def _of_text(text: Text, bound: Bound, among: Hints) -> Iterator[_Found]:
    said = says(text.names)
    if "PRIVATE KEY-----" in text.text or text.text.startswith("LS0tL"):
        return  # told as what it is
    if is_secret(said, text.text):
        kind = "a value in Sensitive" if said is Says.SENSITIVE else kind_of(said)
        yield _Found(text.line, kind, _bytes(text.text.strip()), text.names[-1])
    elif "=" in text.text or ":" in text.text or " " in text.text:
        inside = settings(_bytes(text.text), program=False, bound=bound, among=among)
        yield from _found(one._replace(line=text.line + (one.line - 1 if text.spread else 0)) for one in inside)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _found(several: Iterable[Setting]) -> Iterator[_Found]:
    for one in several:
        yield _Found(one.line, one.kind, _bytes(one.secret), one.where)


def _same(one: _Found, other: _Found) -> bool:
    """Tell whether two rules have found the same: one is in the other, at the same place."""
    if not other.line <= one.line <= other.line + other.spans and one.line != other.line:
        return False
    return one.secret in other.secret or other.secret in one.secret or other.spans > 0


def _shown(where: str, secrets: Iterable[str]) -> str:
    """Return the name of a setting, if it is one and tells nothing."""
    plain = where.replace("::", "").replace("-", "").replace("_", "").replace(".", "")
    if not plain.isalnum() or not where.isascii() or len(where) > 80:
        return ""
    return "" if any(secret in where for secret in secrets) else where
