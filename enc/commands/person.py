"""`enc-admin person`: people and their accounts on machines."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, edit_options, full_option, json_option, verbs, whole_number
from enc.commands.wishes import desk_of, edit_result
from enc.directory.ldap_store import LdapSource
from enc.service import accounts, standings
from enc.service.accounts import Account
from enc.terms.counted import counted
from enc.terms.errors import UsageError, one_line
from enc.terms.names import PersonName
from enc.terms.posix_names import HomeDirectory, LoginName, LoginShell

SUMMARY = "list, create and delete people, and give them accounts on machines"


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
    deleting = verb("delete", "delete a person, and remove them from all projects and groups", _delete)
    deleting.add_argument("uid", metavar="UID")
    listing = verb("list", "list people", _list)
    showing = verb("show", "show a person: name, account, roles, and through which groups", _show)
    showing.add_argument("uid", metavar="UID")
    for telling in (listing, showing):
        json_option(telling)
    for changing in (adding, setting, deleting):
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
    uid, name = LoginName(PersonName(said.uid)), accounts.full_name(said.name)
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


def _delete(call: Call) -> int:
    said, uid = call.arguments, PersonName(call.arguments.uid)
    with desk_of(call) as desk:
        receipt = accounts.delete(desk, uid, reason=said.reason, dry_run=said.dry_run)
    return edit_result(call, receipt)


def _list(call: Call) -> int:
    with LdapSource(call.settings) as source:
        rows = standings.everybody(source, call.settings)
    cells = [
        (row.uid, "-" if row.number is None else row.number, row.keys, row.record.first("cn") or "") for row in rows
    ]
    document = {"people": [row.document() for row in rows]}
    call.show_rows(document, ("UID", "NUMBER", "KEYS", "NAME"), cells, "no people")
    return 0


def _show(call: Call) -> int:
    uid, settings = PersonName(call.arguments.uid), call.settings
    with LdapSource(settings) as source:
        row, held = standings.one(uid, source, settings)
    document = row.document()
    said = document | {"roles": [{"role": it.role, "project": it.project, "way": it.way} for it in held]}
    account = "no account on machines"
    if row.number is not None:
        account = f"uidNumber {row.number}, home {document['home'] or '-'}, shell {document['shell'] or '-'}"
    lines = [
        f"{row.uid}: {document['name'] or '-'}",
        f"entry {row.record.dn}",
        f"account: {account}",
        f"ssh keys: {counted(row.keys, 'key')}",
        f"roles: {len(held)}",
    ]
    for it in held:
        where = f" of project {it.project}" if it.project else ""
        way = f", through {' > '.join(it.way)}" if it.way else ""
        lines.append(f"  {it.role}{where}{way}")
    call.show(said, map(one_line, lines))
    return 0
