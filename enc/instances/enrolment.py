"""Whether an instance may get a certificate, and for which key it got one. Pure.

It stands on the node's own entry in LDAP, in one attribute with one value
(`puppetmasterEnrolment`), so every master and every CA sees the same, and the
change from *waiting* to *signed* is one LDAP modify that takes the old value
away by name: of two requests with one token, the second finds it gone.

    closed since T                                           nobody is signed
    waiting since T until T token DIGEST [nonce NONCE]       whoever brings the token, in time
    signed since T until T token DIGEST key DIGEST from T    that key has it; nobody else is signed

A node without the attribute is no instance: nobody is signed for it. T is in
whole seconds since 1970. DIGEST is the SHA-256 of the token, or of the public
key (DER, SubjectPublicKeyInfo), in hex. What a token is, see tokens.py.

A token is used once, also by its own key: puppetserver 7 revokes only the last
of several certificates of a name. If puppetserver crashes between our "yes" and
the certificate, `instance reconcile` sees that there is none and lets the
instance wait again (`waiting_again`).

Not here: clocks, LDAP, certificate requests (enc/signing).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

ATTRIBUTE = "puppetmasterEnrolment"
BUILT_ATTRIBUTE = "puppetmasterBuilt"

EnrolmentState = Literal["closed", "waiting", "signed"]

_FORM = re.compile(
    r"(?:(?P<closed>closed) since (?P<at0>\d{1,11})"
    r"|(?P<waiting>waiting) since (?P<at1>\d{1,11}) until (?P<end1>\d{1,11}) token (?P<token1>[0-9a-f]{64})"
    r"(?: nonce (?P<nonce>[0-9a-f]{1,64}))?"
    r"|(?P<signed>signed) since (?P<at2>\d{1,11}) until (?P<end2>\d{1,11}) token (?P<token2>[0-9a-f]{64})"
    r" key (?P<key>[0-9a-f]{64})(?: from (?P<began>\d{1,11}))?)",
    re.ASCII,
)
RULE = (
    "write `closed since T`, `waiting since T until T token DIGEST [nonce NONCE]` "
    "or `signed since T until T token DIGEST key DIGEST [from T]`"
)


class Enrolment(NamedTuple):
    """Where an instance stands between its creation and its certificate."""

    state: EnrolmentState
    since: int
    """When this state began, in seconds since 1970."""
    until: int = 0
    """The first second in which the token counts no more; 0 with `closed`."""
    token: str = ""
    """Digest of the token; empty with `closed`."""
    nonce: str = ""
    """What the token can be made again from; empty: it cannot."""
    key: str = ""
    """Digest of the public key that was signed; only with `signed`."""
    began: int = 0
    """When the token was given, if that is known; only with `signed`."""

    @classmethod
    def read(cls, text: str) -> Enrolment:
        """Read the attribute's value; raise ValueError with the rule."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(RULE)
        if match["closed"]:
            return cls("closed", int(match["at0"]))
        if match["waiting"]:
            return cls("waiting", int(match["at1"]), int(match["end1"]), match["token1"], match["nonce"] or "")
        began = int(match["began"] or 0)
        return cls("signed", int(match["at2"]), int(match["end2"]), match["token2"], key=match["key"], began=began)

    def text(self) -> str:
        """Return the attribute's value."""
        if self.state == "closed":
            return f"closed since {self.since}"
        said = f"{self.state} since {self.since} until {self.until} token {self.token}"
        if self.state == "signed":
            return f"{said} key {self.key}" + (f" from {self.began}" if self.began else "")
        return f"{said} nonce {self.nonce}" if self.nonce else said

    def in_time(self, now: float) -> bool:
        """Tell whether the token counts at `now` (seconds since 1970)."""
        return now < self.until

    def signed_for(self, key: str, now: int) -> Enrolment:
        """Return what it becomes when the public key with digest `key` is signed; raise ValueError unless it waits."""
        if self.state != "waiting":
            raise ValueError(f"an enrolment in state {self.state} signs nothing")
        return Enrolment("signed", now, self.until, self.token, key=key, began=self.since)

    def waiting_again(self, now: int) -> Enrolment:
        """Return what it becomes when no certificate came of the signing: the same token, to the same end.

        Raise ValueError unless it was signed.
        """
        if self.state != "signed":
            raise ValueError(f"an enrolment in state {self.state} has signed nothing")
        return Enrolment("waiting", now, self.until, self.token)


class Built(NamedTuple):
    """When an instance's first run succeeded, and how long it took from its creation or rebuild."""

    at: int
    """Seconds since 1970."""
    took: int
    """Seconds."""

    @classmethod
    def read(cls, text: str) -> Built:
        """Read the value of `puppetmasterBuilt`; raise ValueError with the rule."""
        match = re.fullmatch(r"(\d{1,11}) took (\d{1,11})", text, re.ASCII)
        if match is None:
            raise ValueError("write SECONDS-SINCE-1970 took SECONDS")
        return cls(int(match[1]), int(match[2]))

    def text(self) -> str:
        """Return the value of `puppetmasterBuilt`."""
        return f"{self.at} took {self.took}"
