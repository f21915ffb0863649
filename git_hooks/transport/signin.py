"""Finds out who signs in with a name and a password or token (HTTP Basic, RFC 7617).

A password is tried by binding to LDAP as the person; nothing of it is kept, and
none is sent anywhere if it has the form of a token. A token is looked up
(tokens.py). Either way the person must have an entry in LDAP now (for tokens:
or had it moments ago, see membership.py).

The outcome is a value, not an error, because refusing is normal. What went
wrong inside is for the log; the person learns only what they must know, and
neither a name that does not exist nor a password ever gets into the log.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import NamedTuple

from enc.directory.connection import open_connection
from enc.directory.ldap_store import LdapSource
from enc.programs.log import get
from enc.rights.roles import Person
from enc.service import people
from enc.settings import Settings
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable, NotFound, ToolkitError
from enc.terms.filters import folded
from enc.terms.names import PersonName
from git_hooks.push.membership import KnownGroups, Membership
from git_hooks.transport.even_time import EvenTime
from git_hooks.transport.throttle import Source, Throttle
from git_hooks.transport.tokens import Tokens, looks_like_one

_LONGEST = 4096
"""Characters of an Authorization header; longer ones are not looked at."""


class SignedIn(NamedTuple):
    """Somebody known."""

    person: Person
    name: PersonName
    may_push: bool
    by: str
    """`password`, or `token ID`."""


class NotSignedIn(NamedTuple):
    """Nobody known, and the HTTP status and line that say why."""

    status: int
    reason: str
    wait: float = 0.0
    """Seconds after which another attempt is looked at."""


WRONG = NotSignedIn(401, "the name, password or token is wrong, or the token has expired")
ASKED = NotSignedIn(401, "sign in with a password or a token")
_AWAY = NotSignedIn(503, "LDAP cannot be reached, so nobody can sign in; try again in a moment")


class SignIn:
    """Signs people in; several threads may use it."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, throttle: Throttle | None = None
    ) -> None:
        """Connect to nothing yet. `clock` is the time of day, by which tokens begin and end."""
        self._settings = settings
        self._transport = settings.branches.transport
        self._clock = clock
        self._throttle = throttle or Throttle()
        self._tokens = Tokens(self._transport.tokens)
        self._even = EvenTime()
        self._groups = KnownGroups()
        self._log = get("transport")

    def check(self, header: str, address: str) -> SignedIn | NotSignedIn:
        """Return who sent `header` (the value of Authorization) from `address`."""
        parsed = parse_basic(header)
        if parsed is None:
            return WRONG
        name, secret = parsed
        if not secret:  # git does so by itself, before it asks, where the address has a name
            return ASKED
        try:
            if looks_like_one(secret):
                return self._by_token(name, secret)
            if not self._transport.passwords:
                return NotSignedIn(401, "passwords are not accepted here; use a token")
            return self._by_password(name, secret, address)
        except DirectoryUnreachable as error:
            self._log.error("nobody can sign in: %s", error)
            return _AWAY
        except ToolkitError as error:
            self._log.error("nobody can sign in: %s", error)
            return NotSignedIn(503, "signing in does not work at the moment; an operator finds the reason in the log")

    def _by_token(self, name: PersonName, word: str) -> SignedIn | NotSignedIn:
        token = self._tokens.check(name, word, self._clock())
        person = self._person(name) if token is not None else None
        if token is None or person is None:
            return WRONG
        if token.entry and person.uuid and token.entry != person.uuid:
            self._log.warning("token %s of %s refused: made for an earlier entry with that uid", token.id, name)
            return WRONG
        return SignedIn(person, name, not token.read_only, f"token {token.id}")

    def _by_password(self, name: PersonName, password: str, address: str) -> SignedIn | NotSignedIn:
        keys = Source.of(name, address)
        wait = self._throttle.begin(keys)
        if wait:
            return NotSignedIn(429, "too many wrong passwords; wait a little, or use a token", wait)
        with LdapSource(self._settings) as source:
            try:
                entry = people.entry_of(name, source, self._settings)
            except NotFound:
                self._throttle.bad(keys)
                entry = None
        began = self._even.begin()
        if entry is None:
            self._even.wait(began)
            return WRONG
        try:
            open_connection(self._settings.directory, as_person=(entry.dn, password)).close()
        except DirectoryRefused:
            self._even.failed(began)
            self._throttle.bad(keys)
            self._log.warning("a wrong password for %s", name)
            return WRONG
        self._throttle.good(keys)
        # LDAP compares uids without case: what counts from here on is the name in the entry.
        name = next((PersonName(uid) for uid in entry.all("uid") if folded(uid) == folded(name)), name)
        person = self._person(name)
        return SignedIn(person, name, True, "password") if person is not None else WRONG

    def _person(self, name: PersonName) -> Person | None:
        membership = Membership(self._settings, self._clock, known=self._groups)
        try:
            return membership.person(name)
        except NotFound:
            return None
        finally:
            membership.close()


def parse_basic(header: str) -> tuple[PersonName, str] | None:
    """Return name and secret (which may be empty) of an Authorization header, None if it holds no sound pair."""
    scheme, _, word = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _LONGEST:
        return None
    try:
        name, colon, secret = base64.b64decode(word.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    if not colon or "\0" in secret or not PersonName.accepts(name):
        return None
    return PersonName(name), secret
