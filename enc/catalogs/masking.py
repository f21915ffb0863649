"""Hides what is secret, or looks so, before anything of a catalog is kept or shown. Pure.

A hidden value becomes `(hidden 3f1c…)`: a digest of it with the site's own key.
So a change of it shows as a change, equal ones are equal, and nobody without
the key can try out what it might be.

Hidden are: Sensitive values, wherever they stand; parameters and keys that are
named like a secret; crypt hashes; private keys; and in texts what follows such
a name or stands as a password in an address. A name that says that the value is only
where a secret lies (`…_file`, `…_path`) hides nothing.

Not here: what pushes may bring (git_hooks/checks); this is about what a
compiled catalog holds, also from data that is in no repository.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from enc.terms.secret_names import SECRETS, says

SENSITIVE = "Sensitive"
_DEEPEST = 60
"""So deep a value is looked at; what is below is hidden whole."""

_WORD = (
    r"pass(?:word|wd|phrase|wort)?|pwd|secret|token|credentials?|private[_-]?key|api[_-]?key|access[_-]?key"
    r"|secret[_-]?key|shared[_-]?key|encryption[_-]?key|auth[_-]?key|psk|community|keytab|htpasswd"
)
"""After which a text may hold a secret; whether it does, the whole name says."""
_ALSO = re.compile(
    rf"(?i)(?:^|[^a-z])(?:{_WORD}|[a-z]+(?:password|passwd|secret|token))"
    r"(?:s|[_-]?(?:hash|value|data|content|text))?$"
)
"""Names that may say too little for a push to be refused, but enough to hide what they hold."""
_HARMLESS = frozenset({"", "absent", "present", "undef", "true", "false", "*", "!", "!!", "x"})
"""Values that are no secret, whatever their name: nothing is lost when they are shown."""
_CRYPT = re.compile(
    r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2\w{0,4}|scrypt|pbkdf2[\w-]{0,20})\$[^\s:\"'}]{8,}"
    r"|\{(?:CRYPT|S?SHA\d{0,4}|S?MD5|PBKDF2[\w-]{0,20})\}[^\s:\"']{8,}"
)
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10})-----")
_IN_TEXT = re.compile(
    rf"(?i)((?:{_WORD})(?:s|_hash)?[\"']?[ \t]{{0,20}}(?:=>|[:=]|[ \t])[ \t]{{0,20}})"
    r"(\"[^\"\n]{1,400}\"|'[^'\n]{1,400}'|[^\s\"',;#{}]{3,400})"
)
_BEFORE = re.compile(r"[\w.-]*\Z")
_NAME_BEFORE = 60
"""So many characters before such a word belong to the name that it ends."""
_IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]{0,100}:)([^\s/@]{1,200})(?=@)")
_BEARER = re.compile(r"(?i)((?:bearer|basic)[ \t]+)([A-Za-z0-9+/=._~-]{12,})")


class Mask:
    """Hides with one key."""

    def __init__(self, key: bytes) -> None:
        """`key`: the site's own, at least 16 random bytes."""
        self._key = key

    def hidden(self, value: object) -> str:
        """Return what stands for a value that nobody may see."""
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        digest = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"(hidden {digest.hexdigest()[:16]})"

    def value(self, name: str, value: Any, *, sensitive: bool = False) -> Any:
        """Return the value of the parameter `name` with everything hidden that is secret or looks so."""
        if sensitive:
            return self.hidden(value)
        return self._value(value, secret_name(name), 0)

    def _value(self, value: Any, secret: bool, depth: int) -> Any:
        """`secret`: something around it, or itself, is named like a secret."""
        if isinstance(value, Mapping):
            if str(value.get("__ptype", "")) == SENSITIVE:
                return self.hidden(value.get("__pvalue"))
            if depth > _DEEPEST:
                return self.hidden(value)
            return {
                self.text(str(key)): self._value(item, secret or secret_name(str(key)), depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return self.hidden(value) if depth > _DEEPEST else [self._value(item, secret, depth + 1) for item in value]
        if value is None or isinstance(value, bool):
            return value
        if secret and str(value).lower() not in _HARMLESS:
            return self.hidden(value)
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return a text with the parts hidden that look like secrets."""
        if len(text) < 6:
            return text
        text = self._without_keys(text)
        text = _CRYPT.sub(lambda found: self.hidden(found[0]), text)
        text = _IN_ADDRESS.sub(lambda found: f"{found[1]}{self.hidden(found[2])}", text)
        text = _BEARER.sub(lambda found: f"{found[1]}{self.hidden(found[2])}", text)
        return _IN_TEXT.sub(self._follows_a_name, text)

    def _without_keys(self, text: str) -> str:
        """Hide private keys; one without an end goes on to the end of the text."""
        done, parts = 0, []
        while (found := _PEM.search(text, done)) is not None:
            ending = f"-----END {found[1]}-----"
            end = text.find(ending, found.end())
            end = len(text) if end < 0 else end + len(ending)
            parts += [text[done : found.start()], self.hidden(text[found.start() : end])]
            done = end
        return "".join([*parts, text[done:]])

    def _follows_a_name(self, found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        bare = value.strip("\"'")
        word = name.rstrip("\"' \t:=>")
        said = name[len(word) :].strip(" \t\"'")
        before = _BEFORE.search(found.string[max(0, found.start() - _NAME_BEFORE) : found.start()])
        plain = (before[0] if before else "") + word
        if bare.lower() in _HARMLESS or not secret_name(plain) or _is_hidden(bare) or bare.startswith(("(hidden", "/")):
            return found[0]
        if not said and not (re.search(r"\d", bare) or len(bare) >= 12):
            return found[0]  # words after a word: "the password is kept elsewhere"
        quote = value[0] if value[0] in "\"'" else ""
        return f"{name}{quote}{self.hidden(bare)}{quote}"


def secret_name(name: str) -> bool:
    """Tell whether a parameter, key or setting of that name holds a secret."""
    return says((name.strip(),)) in SECRETS or _ALSO.search(name.strip()) is not None


def _is_hidden(value: object) -> bool:
    return isinstance(value, str) and value.startswith("(hidden ") and value.endswith(")")
