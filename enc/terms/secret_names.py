"""What the name of a parameter, attribute, variable or key says about its value: that it is a secret, or is none. Pure.

A name consists of words, and the noun among them decides: `db_password` is a
password, `password_file`, `token_ttl` and `secret_name` say something about
one. So a name says a secret if it has a word for one and no word after it for
something else. What stands before does not count: it says whose, or what for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache


class Says(Enum):
    """What a value is, by its name."""

    NOTHING = auto()
    """It may be anything."""
    ELSE = auto()
    """It is something about a secret, such as its length or its file."""
    PASSWORD = auto()
    """It is chosen by people: whatever text it is, it is a secret."""
    TOKEN = auto()
    """It is a token, a key or any secret: the name of one may stand there as well."""
    HASH = auto()
    """It is the hash of a password."""
    SENSITIVE = auto()
    """The code itself says that nobody should read it."""


SECRETS = frozenset((Says.PASSWORD, Says.TOKEN, Says.HASH, Says.SENSITIVE))
"""What says that the value is for nobody's eyes."""


def words_in(text: str) -> frozenset[str]:
    """Return the words of a text, as a set."""
    return frozenset(text.split())


_PASSWORDS = words_in(
    """password passwords passwd passwds passphrase passphrases passcode passwort pass pw pws pwd pswd psw psk psks
    rootpw bindpw adminpw ldappw userpw requirepass masterauth"""
)
_GLUED_PASSWORD = re.compile(r"[a-z]*(?:password|passwd|passphrase|passwort)s?|[a-z]{2,}(?:pass|pwd|pw)")
_HASH_OF = re.compile(r"(?:password|passwd|passphrase|pass|pw)(?:hash|hashes|crypt)")
_NOT_GLUED = words_in(
    """compass bypass surpass trespass encompass overpass underpass impass nopass nopassword nopasswd kpasswd
    chpasswd"""
)
"""Words that only end like one."""
_TOKENS = words_in(
    """secret secrets token tokens credential credentials cred creds apikey apikeys privatekey privkey secretkey
    accesskey authkey sharedkey masterkey enckey encryptionkey signingkey fernetkey hmackey"""
)
_GLUED_TOKEN = re.compile(r"[a-z]*(?:secret|token)s?|[a-z]*(?:apikey|secretkey|privatekey|accesskey)s?")
OF_KEYS = words_in(
    """private priv secret api access auth authentication authorization encryption encrypt decryption decrypt
    signing sign shared preshared master account storage hmac crypt crypto cipher session cookie fernet app
    application write integration service wpa wep tsig rndc omapi webhook root admin stream license jwt vapid"""
)
"""What stands before `key` if it is to be kept secret; others are those of a table, of ssh's users, of packages."""
_HAVE_KEYS = words_in("private secret api encryption signing hmac crypto cipher cookie fernet tsig jwt vapid")
"""In what of these names `key` is one of those."""
_PINS = words_in("user so hsm pkcs11 token slot card sim")
_SALTS = words_in("password auth secret cookie session hash key logged nonce login")
_BEFORE = {
    **dict.fromkeys(("key", "keys"), OF_KEYS),
    **dict.fromkeys(("salt", "salts"), _SALTS),
    "pin": _PINS,
    "community": words_in("snmp ro rw read write"),
    "cookie": words_in("erlang rabbitmq magic"),
    "auth": words_in("basic http"),
}
"""Words that are a secret after certain others."""
_ELSEWHERE = words_in("proxy fastcgi uwsgi scgi grpc memcached max single first two multi tls no allow deny")
"""What stands before `pass` if it is no password: `proxy_pass` is where nginx passes requests to."""
_NEUTRAL = words_in(
    """value values default content contents plain plaintext cleartext clear text data string str raw literal
    current old new previous primary secondary production prod staging dev test sensitive unsafe a b"""
)
"""Words that say nothing of their own: what they stand after, or in, says it."""
_HASHED = words_in(
    """hash hashes hashed crypt crypted digest md5 sha sha1 sha256 sha512 ntlm bcrypt pbkdf2 scram ssha shadow"""
)
_ELSE = words_in(
    """regexes exp hasher hashers safelist whitelist blacklist allowlist denylist blocklist algorithm algorithms
    algo alg type types kind kinds method methods mode modes scheme format formats encoding cipher ciphers ttl
    expiry expire expires expired expiration life lifetime age maxage days hours minutes seconds duration timeout
    interval period time date path paths file files filename filenames filepath dir dirs directory directories
    folder location place url urls uri uris endpoint endpoints host hosts hostname server servers domain port
    ports address name names named id ids identifier uuid guid user users username usernames account accounts
    owner group groups role roles length len min minimum max maximum size bits count limit limits number num
    retries tries attempts rounds cost policy policies rule rules regex regexp pattern patterns prompt label
    labels description desc title help hint message messages msg error errors warning field fields column
    attribute attributes attr param params parameter parameters variable var vars env environment header headers
    prefix suffix separator source sources src provider providers backend backends store storage keystore
    truststore plugin plugins module modules class classes script command commands cmd program helper manager
    generator validator checker checks check change changed changes reset resets rotation rotate rotated update
    updated updates require required requires enable enabled enabling disable disabled allow allowed auth
    authentication login complexity strength quality history lockout lock locked ensure present exists set status
    state states version versions protected protection service services issuer audience scope scopes realm claim
    claims mount mounts engine map mapping lookup ref refs reference references template templates perms
    permissions permission acl checksum checksums fingerprint fingerprints sum sha256sum md5sum comment note
    notes docs doc documentation example examples list index table query sql schema database db action actions
    handler hook hooks callback redirect cache caching support feature features option options opts config
    configuration setting settings item items entry entries kdf curve usage purpose parser extractor bucket topic
    queue channel exchange vault safe agent daemon socket bind encrypted encryption authority authorities ca cert
    certs certificate certificates seed crt pem pub public csr crl signer signers request requests response
    expression char chars characters iterations position offset order sort weight priority level rate symbol"""
)
"""Words for something that is about a secret, and none."""
_WORD = re.compile(r"(?i:md5|sha[0-9]+|pbkdf2|base64|pkcs[0-9]+|x509)|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def says(names: Sequence[str]) -> Says:
    """Return what the value is that has these names, the nearest last."""
    sensitive = bool(names) and names[-1] == "Sensitive"
    if sensitive:
        names = names[:-1]
    found = Says.NOTHING
    if names:
        found = _one(names[-1])
        if found is Says.NOTHING and len(names) > 1:
            found = _in(names[-2], _words(names[-1]))
    return Says.SENSITIVE if sensitive and found in (Says.NOTHING, Says.ELSE) else found


def _in(above: str, words: tuple[str, ...]) -> Says:
    """Return what a value is by the name of what it is in, as its own says nothing."""
    neutral = all(word in _NEUTRAL or word.isdigit() for word in words)
    if words == ("key",) and _words(above)[-1:] and _words(above)[-1] in _HAVE_KEYS:
        return Says.TOKEN
    if not neutral and not _several(_words(above)):
        return Says.NOTHING
    return Says.NOTHING if any(word in _ELSE for word in words) else _one(above)


def _several(words: tuple[str, ...]) -> bool:
    return bool(words) and words[-1].endswith("s") and words[-1] not in ("pass", "rootpass")


@lru_cache(maxsize=4096)
def _one(name: str) -> Says:
    if name in ("PWD", "OLDPWD"):
        return Says.NOTHING  # the directory that a shell is in
    words = _words(name)
    while len(words) > 1 and (words[-1] in _NEUTRAL or words[-1].isdigit()):
        words = words[:-1]
    for at in range(len(words) - 1, -1, -1):
        kind = _noun(words, at)
        if kind is None:
            continue
        after = words[at + 1 :]
        if after == ("id",) and words[at] == "secret":
            return Says.TOKEN  # Vault's AppRole
        if kind is Says.PASSWORD and any(word in _HASHED for word in after):
            return Says.ELSE if any(word in _ELSE for word in after) else Says.HASH
        return Says.ELSE if any(word in _ELSE for word in after) else kind
    return Says.NOTHING


def _noun(words: tuple[str, ...], at: int) -> Says | None:
    """Return what the word at a place is a word for, if it is a secret."""
    word = words[at]
    before = words[at - 1] if at else ""
    if _HASH_OF.fullmatch(word):
        return Says.HASH
    if word == "pass" and before in _ELSEWHERE:
        return None
    if word in _PASSWORDS or (word not in _NOT_GLUED and _GLUED_PASSWORD.fullmatch(word)):
        return Says.PASSWORD
    if word in _TOKENS or _GLUED_TOKEN.fullmatch(word):
        return Says.TOKEN
    if before in _BEFORE.get(word, ()):
        return Says.PASSWORD if word == "pin" else Says.TOKEN
    return Says.TOKEN if word in ("rocommunity", "rwcommunity", "userpwd") else None


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    last = name.rsplit("::", 1)[-1]
    return tuple(word.lower() for word in _WORD.findall(last))
