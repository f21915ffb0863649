"""`branch-manager token`: tokens for git over HTTPS."""

from __future__ import annotations

import argparse
import time

from enc.commands.call import Call, json_option, verbs
from enc.directory.ldap_store import LdapSource
from enc.edits import audit
from enc.programs.times import day
from enc.service.people import entry_of
from enc.settings import Duration
from enc.terms.errors import UsageError
from enc.terms.names import PersonName
from git_hooks.commands import views
from git_hooks.transport.tokens import Token, TokenId, TokenPurpose, Tokens

SUMMARY = "create, list and revoke tokens, which programs use instead of a person's password"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `token`."""
    verb = verbs(parser)
    creating = verb("create", "create a token and print it, once", _create)
    creating.add_argument("purpose", metavar="NAME", help="what it is for, in free text")
    creating.add_argument("--for", dest="person", metavar="UID", required=True, help="the person whose token it is")
    creating.add_argument("--expires", metavar="DURATION", default="90d", help="how long it is valid; default: 90d")
    creating.add_argument("--read-only", action="store_true", help="it may fetch but not push")
    listing = verb("list", "list tokens, the newest first; no secrets", _list)
    listing.add_argument("--for", dest="person", metavar="UID", help="only this person's")
    revoking = verb("revoke", "revoke a token", _revoke)
    revoking.add_argument("token", metavar="ID", help="as shown by the list")
    for each in (creating, listing, revoking):
        json_option(each)


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _create(call: Call) -> int:
    arguments, transport = call.arguments, call.settings.branches.transport
    person, purpose = PersonName(arguments.person), TokenPurpose(arguments.purpose)
    try:
        life = Duration.parse(arguments.expires)
    except ValueError as error:
        raise UsageError(f"--expires: {arguments.expires!r} is not {error}") from error
    if not 60 <= life <= transport.token_life:
        raise UsageError(f"--expires: from 60s to {int(transport.token_life)}s (branches.transport.token_life)")
    with LdapSource(call.settings) as source:
        entry = entry_of(person, source, call.settings).uuid
    tokens = Tokens(transport.tokens)
    user, behind = audit.local_user()
    made, word = tokens.create(
        person, purpose, life, read_only=arguments.read_only, by=behind or user, now=time.time(), entry=entry
    )
    call.say(f"token {made.id} for {person} is valid until {day(made.expires)}; it is shown only this once")
    call.show(views.token(made, word), word)
    return 0


def _list(call: Call) -> int:
    wanted = call.arguments.person
    found = [
        token
        for token in Tokens(call.settings.branches.transport.tokens).all()
        if wanted is None or token.person == PersonName(wanted)
    ]
    now = time.time()
    rows = [
        (token.id, token.person, token.purpose, "read" if token.read_only else "push", _state(token, now), token.by)
        for token in found
    ]
    document = {"tokens": [views.token(token) for token in found]}
    call.show_rows(document, ("ID", "PERSON", "NAME", "MAY", "STATE", "MADE BY"), rows, "no tokens")
    return 0


def _revoke(call: Call) -> int:
    token = Tokens(call.settings.branches.transport.tokens).revoke(TokenId(call.arguments.token), time.time())
    call.show(views.token(token), f"token {token.id} ({token.purpose}) of {token.person} is revoked")
    return 0


def _state(token: Token, now: float) -> str:
    if token.revoked:
        return f"revoked {day(token.revoked)}"
    return f"until {day(token.expires)}" if token.valid(now) else f"expired {day(token.expires)}"
