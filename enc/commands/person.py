"""`enc-admin person`: people and their accounts on machines."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, edit_options, full_option, json_option, verbs, whole_number
from enc.commands.wishes import desk_of, edit_result
from enc.service import accounts
from enc.service.accounts import Account
from enc.terms.errors import UsageError
from enc.terms.names import PersonName
from enc.terms.posix_names import HomeDirectory, LoginName, LoginShell

SUMMARY = "create people, and give them accounts on machines"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `person`."""
    verb = verbs(parser)
    adding = verb("add", "create a person, with an account if the directory gives out numbers", _add)
    setting = verb("set", "change a person's name or account, or give the person one", _set)
    for changing in (adding, setting):
        changing.add_argument("uid", metavar="UID")
        changing.add_argument("--name", required=changing is adding, help="the person's full name")
        changing.add_argument("--uid-number", metavar="NUMBER", help="uidNumber of the account; default: a free one")
        changing.add_argument("--home", metavar="PATH", help="home directory; default: as posix.home says")
        changing.add_argument("--shell", metavar="PATH", help="login shell; default: posix.shell")
    setting.add_argument("--account", action="store_true", help="give the person an account, if there is none")
    for changing in (adding, setting):
        edit_options(changing)
        full_option(changing)
        json_option(changing)


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _account(call: Call) -> Account:
    said = call.arguments
    return Account(
        wanted=getattr(said, "account", False),
        number=None if said.uid_number is None else whole_number("--uid-number", said.uid_number),
        home=None if said.home is None else HomeDirectory(said.home),
        shell=None if said.shell is None else LoginShell(said.shell),
    )


def _add(call: Call) -> int:
    said, account = call.arguments, _account(call)
    uid, name = LoginName(said.uid), accounts.full_name(said.name)
    with desk_of(call) as desk:
        receipt = accounts.add(desk, uid, name, account, reason=said.reason, dry_run=said.dry_run)
    return edit_result(call, receipt)


def _set(call: Call) -> int:
    said, account = call.arguments, _account(call)
    uid, name = PersonName(said.uid), None if said.name is None else accounts.full_name(said.name)
    if name is None and not account:
        raise UsageError("say what to set, for example --shell PATH; see --help")
    with desk_of(call) as desk:
        receipt = accounts.change(desk, uid, name, account, reason=said.reason, dry_run=said.dry_run)
    return edit_result(call, receipt)
