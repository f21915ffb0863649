"""What a literal text says about itself: whether it can be the secret that its name says it is. Pure.

Harmless are: what is encrypted or looked up elsewhere, what is only computed,
paths and addresses, words that mean that there is none, and words that are to be
replaced. Of a password anything else is one. Of tokens and keys the name may
stand there as well (`my-app-token`), so these must look like something that
nobody would choose as a name.
"""

from __future__ import annotations

import re
from collections import Counter
from math import log2

from enc.terms.secret_names import Says, words_in
from git_hooks.puppet_code.calls import COMPUTED

_INSERTED = re.compile(
    rf"{COMPUTED}|[%$#]\{{[^}}]*\}}|\$\([^)]*\)|\{{\{{.*?\}}\}}|\{{%.*?%\}}|<%.*?%>|%\([\w.]+\)s"
    r"|\$[A-Z_]{3,}[A-Z0-9_]*|\{[a-z_][\w.()\[\]'\":!]*\}",
    re.DOTALL,
)
"""What is put in when the text is used: of Puppet, hiera, ERB, shells, Jinja and others."""
_VARIABLE = re.compile(
    r"\$[A-Za-z_][\w:]*|@@?\w+@@?|__\w+__|%\w+%|%[sd]|\{\w*\}|:[a-z_]\w*|\$\$?[\w.]+\$\$?|\$\d|`[^`]*`"
)
"""The same, where it is the whole text; `pa$$word` is none."""
_ENCRYPTED = re.compile(
    r"(?:ENC\[[A-Za-z0-9_]+,\s*[A-Za-z0-9+/=\s-]+\]|!vault\b|\$ANSIBLE_VAULT;|-----BEGIN (?:PGP MESSAGE|PKCS7)-----)"
)
_PUBLIC = re.compile(
    r"(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-\S+@openssh\.com) AAAA|AAAA[BCE][23]Nz|age1[a-z0-9]{50,}$"
    r"|-----BEGIN (?!.*PRIVATE)[A-Z0-9 ]+-----"
)
_NOTHING = words_in(
    """true false yes no on off none null nil undef undefined unset default defaults empty blank disabled disable
    enabled enable required optional absent present latest auto automatic random randomly generate generated
    prompt ask askpass stdin env environment vault keyring keychain hidden unknown any all n/a na tbd todo fixme
    invalid locked nologin noaccess unused notset notused notneeded basic plain plaintext cleartext clear text
    string str file http https ldap oauth oauth2 oidc saml jwt bearer kerberos gssapi pam sasl external internal
    local system same inherit managed protected sensitive public private readonly exported deferred manual static
    dynamic write read pass ignore ignored skip files compat sss nis varchar sha seed"""
)
_ALGORITHM = re.compile(
    r"(?:hmac[-_]?)?(?:scram[-_]?)?(?:sha[-_]?(?:1|2|3|224|256|384|512)|md5|bcrypt|scrypt|argon2(?:id?|d)?|pbkdf2|yescrypt|crypt|ssha\d*"
    r"|des|3des|aes[-_]?\d*(?:[-_](?:cbc|gcm|ctr))?|rsa[-_]?\d*|dsa|ecdsa|ec|ed25519|ed448|x25519|[hrpe]s(?:256|384|512)"
    r"|chacha20(?:[-_]poly1305)?|blowfish|md4|ntlm(?:v2)?|otp|totp|hotp|uuid4?|base64|hex)(?:[-_](?:plus|raw))?",
    re.IGNORECASE,
)
_REPLACED = re.compile(
    r"change[-_ .]?(?:me|this|it|password|secret|in|before)|(?:to[-_ ]?be[-_ ]?)?(?:replace|redact|remov|overrid)|"
    r"place[-_ ]?holder|dummy|fake|bogus|example|sample|your|(?:my|insert|put|enter|some)[-_ ]|to[-_ ]?do|"
    r"not[-_ ]?(?:a|the|really|in|set|used|so)[-_ ]?|no[-_ ]?(?:password|secret|token|key|pass)\b|x{3,}|snake[-_ ]?oil|"
    r"(?:set|see|stored|defined|comes|taken|overridden)[-_ ]|(?:in|from)[-_ ](?:private|vault|hiera|labs)",
    re.IGNORECASE,
)
"""Beginnings of words that are to be replaced, or say that the secret is elsewhere."""
_REPLACED_END = re.compile(
    r"(?:[-_ ]here|goes[-_ ]?here|change[-_ ]?me|place[-_ ]?holder|[-_ ]example)[.!]*$", re.IGNORECASE
)
_BRACKETED = re.compile(r"<[^<>]+>|\[[A-Za-z][A-Za-z _-]+\]|\.{3}|…")
_PATH = re.compile(r"(?:~|\.{1,2})?/[\w.@%+:,~=-]*(?:/[\w.@%+:,~=*-]*)*")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]\S*")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*|(?:puppet|file|vault|secret|arn|env|ref|sops|op|hiera|urn|data|pkcs11|rule):\S+")
_CALL = re.compile(r"[A-Za-z_][\w.]*(?:::\w+)*\(.*\)(?:[.\[].*)?|--?[a-z][a-z-]*")
"""Code, or an option."""
_SCOPED = re.compile(r"(?:::)?[a-z]\w*(?:::[a-zA-Z_]\w*)+")
"""A name of Puppet's: a class, a variable, a key of hiera."""
_FILE = re.compile(
    r"[\w./ -]*\.(?:pem|key|crt|cer|txt|conf|cfg|cnf|ya?ml|json|erb|epp|gpg|asc|p12|pfx|jks|pub|sh|py|rb|pp|ini|env|"
    r"php|properties|keytab|secret|passwd|password|htpasswd|token|xml|local|service|der|keys?)"
)
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:[a-z]{2,})(?::\d+)?")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_VERSION = re.compile(r"v?\d+(?:\.\d+)+(?:[-+~]\S*)?")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_TYPE = re.compile(r"(?:[A-Z]\w*(?:::[A-Z]\w*)*)\[.*\]|Sensitive|String|Undef")
# Each text can be read by these in one way only: two ways for each word would be hours for a long one.
_WORD = r"[a-z]+(?:\d{1,2}[a-z]*)?"
_IDENTIFIER = re.compile(rf"{_WORD}(?:[-_./: #]+(?:{_WORD}|\d{{1,3}}))+")
_CAMEL = re.compile(r"(?:[A-Z]?[a-z]{2,}){1,2}(?:[A-Z][a-z]{2,})+|[A-Z][a-z]{2,}")
_CAMEL_NUMBER = re.compile(r"(?:[A-Z]?[a-z])+\d{1,4}|[A-Z]+\d+(?:[-_.][A-Za-z0-9]+)*")
_PROSE = words_in(
    """the a an is are of for to your you this that please must not in with be will should if as by or and"""
)
_TELLING = re.compile(r"secret|pass|token|key|hunter|letmein|qwerty|admin|root", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_HASH = re.compile(
    r"\*?[0-9A-Fa-f]{32,128}|md5[0-9a-f]{32}|\{[A-Z0-9-]{3,}\}[A-Za-z0-9+/=$.]{16,}|[A-Za-z0-9+/]{22,}={0,2}|[./0-9A-Za-z]{13}"
)
_KEY_ID = re.compile(r"(?:0x)?(?:[0-9A-F]{8}|[0-9A-F]{16}|[0-9A-F]{40})")
"""A key's name for GnuPG."""
_LONGEST = 2048
"""Characters of a text that are looked at."""
_SHORTEST = 3


def is_secret(says: Says, text: str) -> bool:
    """Tell whether `text` is a secret, as the value of what `says` is said of."""
    if says in (Says.NOTHING, Says.ELSE):
        return False
    text = text[:_LONGEST].strip().strip("'\"").strip()
    if not text or _ENCRYPTED.search(text) or _PUBLIC.match(text):
        return False
    if _VARIABLE.fullmatch(text) or _CALL.fullmatch(text):
        return False
    if _INSERTED.search(text):
        text = _INSERTED.sub(" ", text).strip()
        # What is left beside it is a separator, or part of a name or sentence, unless nobody would write it so.
        return any(_is_written_in(word) and not _is_place(word, says) for word in text.split())
    if is_nothing(text) or _is_place(text, says):
        return False
    if says is Says.HASH:
        return _HASH.fullmatch(text) is not None and not _ALGORITHM.fullmatch(text)
    if says is Says.PASSWORD:
        return not _is_prose(text)
    if says is Says.SENSITIVE:
        return not _is_prose(text) and "\n" not in text
    return _is_token(text)


def _is_written_in(word: str) -> bool:
    return is_unlikely(word) or (len(word) >= 12 and looks_random(word))


def is_unlikely(text: str) -> bool:
    """Tell whether nobody would write `text` who does not mean a secret: letters of both sizes mixed with digits."""
    return looks_random(text) and not text.islower() and not text.isupper() and not _CAMEL_NUMBER.fullmatch(text)


def is_nothing(text: str) -> bool:
    """Tell whether `text` stands for no secret at all, or for one that is still to be put there."""
    lower = text.lower()
    return (
        lower in _NOTHING
        or len(text) < _SHORTEST
        or len(set(text)) == 1
        or ".*" in text
        or not any(character.isalnum() for character in text)
        or _ALGORITHM.fullmatch(text) is not None
        or _REPLACED.match(text) is not None
        or _REPLACED_END.search(text) is not None
        or _BRACKETED.fullmatch(text) is not None
        or _TYPE.fullmatch(text) is not None
    )


def _is_place(text: str, says: Says) -> bool:
    """Tell whether `text` says where something is, or what it is called."""
    if _PATH.fullmatch(text):
        # The beginning of a secret in base64 can look like a directory.
        return not (text.startswith("/") and any(map(_is_base64, text.split("/"))))
    if _ADDRESS.fullmatch(text) or _DRIVE.fullmatch(text) or _SCOPED.fullmatch(text) or _CONSTANT.fullmatch(text):
        return True
    if _FILE.fullmatch(text) or _VERSION.fullmatch(text):
        return True
    return says is not Says.PASSWORD and bool(_HOST.fullmatch(text) or _MAIL.fullmatch(text))


def _is_base64(part: str) -> bool:
    mixed = not part.islower() and not part.isupper()
    return len(part) >= 20 and "." not in part and mixed and looks_random(part)


def _is_prose(text: str) -> bool:
    words = text.lower().split()
    return len(words) > 1 and (
        not _PROSE.isdisjoint(words) or text.endswith((".", ":", "?", "...", "…")) or len(words) > 12
    )


def _is_token(text: str) -> bool:
    """Tell whether `text` is more likely a secret than the name of one, or a word for how it is used."""
    if "\n" in text or _is_prose(text):
        return False
    if " " in text:
        return not _IDENTIFIER.fullmatch(text.lower()) or _random_words(text)
    if text.isdigit():
        return len(text) >= 8
    if _UUID.fullmatch(text):
        return True
    if _KEY_ID.fullmatch(text) and not text.isdigit():
        return False
    if _IDENTIFIER.fullmatch(text):
        return _random_words(text)
    if _CAMEL.fullmatch(text):
        return False
    if text.isalpha():
        telling = not (text.islower() or text.isupper()) or _TELLING.search(text) is not None
        return len(text) >= 16 or (len(text) >= 6 and telling and not _is_noun(text))
    return len(text) >= 6


def _is_noun(text: str) -> bool:
    return text.lower() in ("secret", "secrets", "password", "token", "tokens", "apikey", "private_key", "credentials")


def _random_words(text: str) -> bool:
    """Tell whether a part of what looks like a name is none."""
    return any(len(part) >= 16 and looks_random(part) for part in re.split(r"[-_./: #]+", text))


def looks_random(text: str) -> bool:
    """Tell whether letters and digits are mixed as no word mixes them."""
    if len(text) < 8 or not any(character.isdigit() for character in text):
        return False
    if not any(character.isalpha() for character in text):
        return False
    return entropy(text) >= (3.0 if len(text) < 20 or _HEX.fullmatch(text) else 3.5)


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters, in bits each."""
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values()) if text else 0.0
