"""Settings in files that are no Puppet code: `password = …` in configuration, templates, scripts and programs. Pure.

A line is read as people read it: a name, a sign, a value. What is a secret by
its name and value is told. In the languages of programs a value without quotes
is a variable or a call; in configuration it is a text. Comments are passed over.

Besides: passwords in addresses, on command lines and in headers of HTTP.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from time import thread_time
from typing import NamedTuple

from enc.terms.secret_names import OF_KEYS, Says, says, words_in
from git_hooks.puppet_code.calls import COMPUTED
from git_hooks.secrets.values import is_secret, is_unlikely

LONGEST_LINE = 4000
"""Characters of a line; longer ones are no settings of people: programs that were made small, tables."""


class Setting(NamedTuple):
    """A secret in a text."""

    line: int
    """From 1."""
    kind: str
    secret: str
    where: str = ""
    """The name of the setting."""


_KEY_LIKE = re.compile(rb"(?:%s)[ _.-]?key" % "|".join(sorted(OF_KEYS)).encode())
_HINTS: tuple[tuple[bytes, Callable[[bytes], object] | None], ...] = (
    *((word, None) for word in (b"pass", b"pw", b"psk", b"secret", b"token", b"cred", b"sensitive", b"masterauth")),
    *((word, None) for word in (b"community", b"erlang", b"authorization", b"bearer ", b"basic ", b"basic_auth")),
    *((word, None) for word in (b"http_auth", b"dec(", b"dec::", b"identified", b"str2salted")),
    (b"salt", re.compile(rb"[_-]salt").search),
    (b"pin", re.compile(rb"(?:user|so|hsm|slot|card|pkcs11|token|sim)[_-]?pin").search),
    (b"key", _KEY_LIKE.search),
    (b"://", re.compile(rb"://[^/\s]*:[^/\s]*@").search),
    (b"curl", re.compile(rb"\s(?:-u|--user)").search),
    (b"mysql", re.compile(rb"\s-p").search),
    *((word, None) for word in (b"bcrypt", b"encrypt", b"useradd", b"usermod", b"redis-cli", b"ipmitool", b"xauth")),
    (b"ldap", re.compile(rb"\s-w").search),
)
"""What is in every line that may be told, in small letters: words are found a hundred times as fast as patterns."""
_SETTING = re.compile(
    r"(?<![\w/])(?P<name>[A-Za-z_][\w:.\[\]-]{0,150}?)(?P<close>['\"]?\]?)\s*(?P<sep>=>|[:?+]=|={1,3}|(?<!:):(?!:)|::(?=\s)|,)\s*"
    r"(?P<value>[brfuBRFU]?\"(?:[^\"\\]|\\.)*\"|[brfuBRFU]?'(?:[^'\\]|\\.)*'|`[^`$]*`|[^\s,;)\]}\"'<>]+)?"
)
_SPACED = re.compile(r"^\s*(?:set\s+|--?)?(?P<name>[A-Za-z_][\w.-]*)\s+(?P<value>\"[^\"]*\"|'[^']*'|\S+?)\s*;?\s*$")
_OPTION = re.compile(
    r"(?<![\w-])--?(?P<name>[A-Za-z][\w-]*)\s+(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"'\\;|&-][^\s\"';|&]*)"
)
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z_][\w:.-]*)(?:\s[^<>]*)?>(?P<value>[^<>]+)</")
_PAIR = re.compile(
    r"\b(?:key|name)=[\"'](?P<name>[\w.:-]+)[\"']\s+(?:\w+=[\"'][^\"']*[\"']\s+){0,9}value=[\"'](?P<value>[^\"']+)[\"']"
)
_SET = re.compile(r"\bset\s+(?:\S*/)?(?P<name>[A-Za-z][\w-]*)\s+(?P<value>\"[^\"]*\"|'[^']*'|[^\s'\"\]]+)")
_NAMING = re.compile(
    r"\b(?:name|key|setting|option|variable|parameter|attribute)['\"]?\s*(?:=>|:)\s*['\"]?(?P<name>[A-Za-z][\w.:-]*)"
)
"""What says in Puppet code or data that something beside it, called `value`, is that of a name."""
_IS = re.compile(r"\b(?:password|passwd|passphrase|token)\s+is\s+['\"]?(?P<value>[^\s'\"]+)", re.IGNORECASE)
_COMMANDS = (
    (
        "mysql",
        re.compile(
            r"\bmysql(?:dump|admin|check|import|show)?\b[^|;&\n]*?\s-p(?P<value>[^\s\"'|;&]+|\"[^\"]*\"|'[^']*')"
        ),
    ),
    ("curl", re.compile(r"\bcurl\b[^|;&\n]*?\s(?:-u|--user)[ =]?[\"']?[^\s:\"']+:(?P<value>[^\s\"'@]+)")),
    ("wget", re.compile(r"\bwget\b[^|;&\n]*?--(?:http-|ftp-)?password[ =](?P<value>\S+)")),
    ("sshpass", re.compile(r"\bsshpass\s+-p\s*(?P<value>\"[^\"]*\"|'[^']*'|\S+)")),
    (
        "chpasswd",
        re.compile(r"\becho\s+(?:-[ne]+\s+)?[\"']?[\w.-]+:(?P<value>[^\s\"'|]+)[\"']?\s*\|\s*(?:sudo\s+)?chpasswd"),
    ),
    ("user", re.compile(r"\buser(?:add|mod)\b[^|;&\n]*?\s(?:-p|--password)[ =]?[\"']?(?P<value>[^\s\"']+)")),
    ("redis-cli", re.compile(r"\bredis-cli\b[^|;&\n]*?\s-a\s*[\"']?(?P<value>[^\s\"']+)")),
    (
        "ldap",
        re.compile(r"\bldap(?:search|modify|add|delete|passwd|whoami)\b[^|;&\n]*?\s-w\s*[\"']?(?P<value>[^\s\"']+)"),
    ),
    ("ipmitool", re.compile(r"\bipmitool\b[^|;&\n]*?\s-P\s*[\"']?(?P<value>[^\s\"']+)")),
    ('"', re.compile(r"\b(?:PSK|XAUTH|EAP)\s+\"(?P<value>[^\"]+)\"")),
    ("pass:", re.compile(r"-pass(?:in|out|word)?\s+[\"']?pass:(?P<value>[^\s\"']+)")),
    ("htpasswd", re.compile(r"\bhtpasswd\s+-\w*b\w*\s+\S+\s+\S+\s+(?P<value>\"[^\"]*\"|'[^']*'|\S+)")),
    (
        "identified",
        re.compile(
            r"\bIDENTIFIED\s+(?:WITH\s+\S+\s+)?BY\s+(?:PASSWORD\s+)?\\?['\"](?P<value>[^'\"\\]+)",
            re.IGNORECASE,
        ),
    ),
    ("password", re.compile(r"\b(?:ROLE|USER)\b[^;\n]*\bPASSWORD\s+\\?'(?P<value>[^'\"\\]+)", re.IGNORECASE)),
    ("machine", re.compile(r"\bmachine\s+\S+.*?\bpassword\s+(?P<value>\S+)")),
)
"""Words of command lines and of databases, each with what is in every such line, in small letters."""
_URL = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,30}://(?P<user>[^\s:/@'\"<>]*):(?P<value>[^\s@'\"<>/]+)@(?=[\w\[$%{<])", re.IGNORECASE
)
_HEADER = re.compile(r"\b(?P<how>Basic|Bearer)\s+(?P<value>[A-Za-z0-9+/_.~-]{12,}={0,2})")
_DECRYPTED = re.compile(r"\bDEC(?:\(\d+\))?::\w+\[(?P<value>.+?)\]!?")
_DEFINES = re.compile(r"\b(?:define|setenv|putenv|env|set)\s*\(\s*[\"']$")
"""What gives its second argument to the name in its first."""
_COMMENT = re.compile(r"\s*(?:#|//|;|\*|--\s|\"\s|REM\b|<!--)")
_QUOTED = re.compile(r"[brfuBRFU]?(['\"`]).*\1", re.DOTALL)
_DECLARED = re.compile(
    r"\b(?:bindpw|rootpw|rootbindpw|requirepass|masterauth|r[ow]community|\w+_pw|password|passwd|passphrase|secret|auth[_-]pass|psk)\b"
)
"""Settings whose value stands after a space."""
_WEAK = words_in("password pass passwd pw pwd passw secret token user username x pass1 credentials key")
"""What stands for a password in addresses that are examples."""


class TooLong(Exception):
    """A text takes too long: nobody has written it."""


class Bound:
    """How long a file may be looked at. The clock is asked now and then: that takes as long as to look at a line."""

    _BETWEEN = 4000
    """Characters that are looked at before the clock is asked again; the worst of them take some milliseconds."""

    def __init__(self, seconds: float) -> None:
        """`seconds` of this thread's time of the processor, from now on."""
        self._until = thread_time() + seconds
        self._left = self._BETWEEN

    def spend(self, characters: int) -> None:
        """Note that so many are looked at; raise `TooLong`."""
        self._left -= characters + 1
        if self._left < 0:
            self._left = self._BETWEEN
            if thread_time() > self._until:
                raise TooLong


Hints = tuple[tuple[bytes, Callable[[bytes], object] | None], ...]
"""What is in every line that may be told, in small letters, and what else is then in that line."""


def hints(content: bytes) -> Hints:
    """Return those that a text has: no others need be looked for in its parts."""
    small = content.lower()
    return tuple(hint for hint in _HINTS if hint[0] in small)


def settings(
    content: bytes, *, program: bool, named: bool = True, bound: Bound | None = None, among: Hints | None = None
) -> Iterator[Setting]:
    """Yield the secrets in a text.

    `program`: it is one, so that a value without quotes is no text. Not `named`: only what is a secret wherever it
    stands, as a password in an address is. `among`: the hints of what it is a part of. Raise `TooLong`.
    """
    for line, one in _lines(content, among):
        if bound is not None:
            bound.spend(len(one))
        for kind, secret, where in _anywhere(one):
            yield Setting(line, kind, secret, where)
        comment = _COMMENT.match(one) is not None
        if named or comment:
            for secret, where in _named(one, program and not comment):
                if not comment or (is_unlikely(secret) and ":" not in secret):  # people explain settings there, too
                    yield Setting(line, kind_of(says([where])), secret, where)


def kind_of(said: Says) -> str:
    """Return the words for a value by what its name says."""
    return {Says.PASSWORD: "a password", Says.HASH: "a hash of a password"}.get(said, "a secret")


def may_name(content: bytes, among: Hints | None = None) -> bool:
    """Tell whether some line of Puppet code or data gives a value, that may be a secret, to a name that says one."""
    return any(_gives(line) for _, line in _lines(content, among) if not line.lstrip().startswith("#"))


def _lines(content: bytes, among: Hints | None) -> Iterator[tuple[int, str]]:
    """Yield the lines that can have a secret in them, with their numbers."""
    small = content.lower()
    starts: dict[int, int] = {}
    for word, besides in _HINTS if among is None else among:
        at = small.find(word)
        while at >= 0:
            start = small.rfind(b"\n", 0, at) + 1
            end = small.find(b"\n", at)
            end = len(small) if end < 0 else end
            if start not in starts and (besides is None or besides(small[start : min(end, start + LONGEST_LINE)])):
                starts[start] = end
            at = small.find(word, end)
    number, last = 1, 0
    for start in sorted(starts):
        number += content.count(b"\n", last, start)
        last = start
        if starts[start] - start <= LONGEST_LINE:
            yield number, content[start : starts[start]].decode("utf-8", "replace")


def _anywhere(line: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, secret, name) of what is a secret in comments, too."""
    if "://" in line:
        for found in _URL.finditer(line):
            value = found["value"]
            named = value.replace("_", "").replace("-", "").isalpha() and says([value]) is not Says.NOTHING
            if value.lower() not in _WEAK and value != found["user"] and not named and is_secret(Says.PASSWORD, value):
                yield "a password in an address", value, ""
    for found in _IS.finditer(line):
        if is_unlikely(found["value"]):
            yield "a password", found["value"], ""
    for found in _DECRYPTED.finditer(line):
        yield "a decrypted value of eyaml", found["value"], ""
    for found in _HEADER.finditer(line):
        value = found["value"]
        known = found["how"] == "Bearer" or _is_basic(value)
        if known and is_secret(Says.TOKEN, value) and any(map(str.isdigit, value)):
            yield "credentials of HTTP", value, ""


_WORDS = re.compile(r"\s+[A-Za-z]{2,}")


def _is_basic(value: str) -> bool:
    try:
        return b":" in base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False


def _named(line: str, program: bool) -> Iterator[tuple[str, str]]:
    for found in _SETTING.finditer(line):
        value = found["value"] or ""
        quoted = _QUOTED.fullmatch(value) is not None
        if not value or (program and not quoted) or found["sep"] in ("==", "==="):
            continue
        if found["sep"] == "," and not (found["close"] and quoted and _DEFINES.search(line, 0, found.start())):
            continue
        if not quoted and (value.startswith(("[", "{", "$", "`", "&", "*")) or "(" in value or "[" in value):
            continue
        if not quoted and found["sep"] == ":" and _WORDS.match(line, found.end()) and not is_unlikely(value):
            continue  # a sentence
        said = says([found["name"]])
        inner = value[value.index(value[-1]) + 1 : -1] if quoted else value
        if value.endswith("`") and not is_unlikely(inner):
            continue  # how people mark code in texts
        if said in (Says.PASSWORD, Says.TOKEN, Says.HASH) and is_secret(said, inner):
            yield inner, found["name"]
    for pattern in (_ELEMENT, _PAIR, _OPTION, _SET) if not program else (_ELEMENT, _PAIR):
        for found in pattern.finditer(line):
            said, inner = says([found["name"]]), found["value"].strip("'\"")
            if pattern is _SET and not is_unlikely(inner):
                continue  # a variable of a program
            if said in (Says.PASSWORD, Says.TOKEN) and not re.match(r"[A-Z]+(?:=|$)", inner) and is_secret(said, inner):
                yield inner, found["name"]
    if not program and _DECLARED.search(line) and (spaced := _SPACED.match(line)) and "(" not in spaced["value"]:
        said, inner = says([spaced["name"]]), spaced["value"].strip("'\"")
        if said in (Says.PASSWORD, Says.TOKEN) and is_secret(said, inner):
            yield inner, spaced["name"]
    for found in _commands(line):
        value = found["value"]
        if not value.startswith(("$", '"$', "`")) and is_secret(Says.PASSWORD, value.strip("'\"")):
            yield value.strip("'\""), ""


def _commands(line: str) -> Iterator[re.Match[str]]:
    small = line.lower()
    for word, pattern in _COMMANDS:
        if word in small:
            yield from pattern.finditer(line)


_HARMLESS_START = re.compile(
    r"undef\b|\$[\w:]+(?:\[[^\]'\"]*\]|\['[^']*'\])*\s*(?:[,;)\]}]|$)|(?:''|\"\"|\{\s*\}|\[\s*\]|true\b|false\b)\s*(?:[,;)\]}]|$)"
    r"|-?\d+\s*(?:[,;)\]}]|$)|(?:lookup|hiera)\(\s*['\"][^'\"]*['\"]\s*\)|ENC\[|[\"']?%\{[^}]*\}[\"']?\s*$|\"\$\{[^}]*\}\""
    r"|'/[\w./-]*'\s*(?:[,;)\]}]|$)|\$\{\{[^}]*\}\}\s*$|[A-Z][\w:]*\["
)
"""What Puppet's parser need not be asked about."""
_GIVEN = re.compile(r"(?<!\w)(?P<name>[A-Za-z_][\w:.-]{0,150})['\"]?\s*(?:=>|[+:]?=(?!=)|(?<!:):(?!:))\s*")
_CALLS = re.compile(
    r"Sensitive\[.*\]\.new|convert_to\(\s*Sensitive|Sensitive(?:\.new)?\s*\((?!\s*\$[\w:]+\s*\))|\b(?:pw_hash|mysql_password|mysql::password|postgresql_password|bcrypt"
    r"|htpasswd|str2salted\w+|node_encrypt)(?:\(|$)"
)
_LOOKUP = re.compile(
    r"\b(?:lookup|hiera)\(\s*['\"](?P<name>[\w:.-]+)['\"]\s*,"
    r"(?!\s*\{\s*['\"]?default_value['\"]?\s*=>\s*(?:undef|\{\s*\}|\[\s*\]|''|true|false|\d+)\s*\})"
)
"""A look-up that may have a value of its own for where there is none."""


_ENDS = re.compile(r"[A-Za-z_][\w:.-]{0,150}$")
"""A name whose value may stand in the next line."""


def _last(line: str) -> str:
    """Return the name that ends a line; only the end is looked at, because a line has many words."""
    line = line.rstrip()
    found = _ENDS.search((line[:-1] if line.endswith(("'", '"')) else line)[-151:])
    return found[0] if found is not None else ""


def _gives(line: str) -> bool:
    if _CALLS.search(line) or any(True for _ in _commands(line)):
        return True
    if says([_last(line)]) not in (Says.NOTHING, Says.ELSE):
        return True
    for pattern in (_OPTION, _LOOKUP, _NAMING, _SET):
        if any(says([found["name"]]) not in (Says.NOTHING, Says.ELSE) for found in pattern.finditer(line)):
            return True
    return any(
        says([found["name"]]) not in (Says.NOTHING, Says.ELSE) and not _HARMLESS_START.match(line, found.end())
        for found in _GIVEN.finditer(line)
    )


def computed(content: bytes) -> bytes:
    """Return a template with what it computes as one character each, and all its lines."""
    parts, at = [], 0
    for start, end in _tags(content):
        parts += [content[at:start], COMPUTED.encode(), b"\n" * content.count(b"\n", start, end)]
        at = end
    return b"".join([*parts, content[at:]])


def tags(content: bytes) -> bytes:
    """Return the code of a template, at its lines."""
    parts, at = [], 0
    for start, end in _tags(content):
        parts += [b"\n" * content.count(b"\n", at, start), content[start:end]]
        at = end
    return b"".join(parts)


def _tags(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each tag begins and ends; in proportion to the size, also where tags begin and never end."""
    start = content.find(b"<%")
    while start >= 0 and (end := content.find(b"%>", start + 2)) >= 0:
        yield start, end + 2
        start = content.find(b"<%", end + 2)
