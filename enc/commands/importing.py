"""`enc-admin import`: node data and settings from elsewhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from enc.commands.call import Call, edit_options, json_option
from enc.commands.wishes import desk_of, each
from enc.importing import entries, groups, ldif, mirroring, puppet_conf, wikimedia
from enc.importing.outcome import Outcome, Problem
from enc.importing.safely import lines_of, text_of
from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.telling import tell
from enc.programs.whole_file import Strength
from enc.terms.errors import ExitStatus, ToolkitError, UsageError
from enc.terms.names import PersonName, ProjectName

SUMMARY = "import node data, projects or settings: LDIF, Wikimedia's layouts, a puppet.conf"

_ALL = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the forms."""
    below = parser.add_subparsers(dest="form", metavar="FORM", required=True)

    def form(name: str, summary: str, do: Callable[[Call], int]) -> argparse.ArgumentParser:
        added = below.add_parser(name, help=summary, description=summary)
        added.set_defaults(do=do)
        json_option(added)
        return added

    from_ldif = form("ldif", "import entries below the configured bases; each entry becomes what the file says", _ldif)
    from_ldif.add_argument("file", metavar="FILE", help="- is standard input")
    edit_options(from_ldif)
    mirror = form("wikimedia", "import PROJECT/PREFIX.roles and .yaml files into projects and prefixes", _wikimedia)
    mirror.add_argument("directory", metavar="DIRECTORY", type=Path)
    words = "admin for projects that are not in LDAP yet (may be repeated); without it they are only reported"
    mirror.add_argument("--admin", dest="admins", metavar="UID", action="append", default=[], help=words)
    words = "make LDAP equal to it: remove classes and hiera data that it does not have"
    mirror.add_argument("--mirror", action="store_true", help=words)
    words = "with --mirror: at most this share of classes and keys may be removed in one run (default: a fifth)"
    mirror.add_argument("--most-removed", metavar="PERCENT", type=_percent, help=words)
    words = "with --mirror: a project it no longer has (may be repeated); those of earlier imports are known"
    mirror.add_argument("--gone", metavar="PROJECT", action="append", default=[], help=words)
    edit_options(mirror)
    words = "import projects with their number and people from LDIF of the layout of 2012 (cn=project-NAME,ou=groups)"
    grouped = form("groups", words, _groups)
    grouped.add_argument("file", metavar="FILE", help="- is standard input")
    words = "admin of projects none of whose admins is known here (may be repeated)"
    grouped.add_argument("--admin", dest="admins", metavar="UID", action="append", default=[], help=words)
    words = f"a role whose occupants become admins (may be repeated; default: {', '.join(groups.ADMIN_ROLES)})"
    grouped.add_argument("--role", dest="roles", metavar="NAME", action="append", default=[], help=words)
    edit_options(grouped)
    conf = form("puppet-conf", "print our configuration for a puppet.conf of the LDAP node terminus", _puppet_conf)
    conf.add_argument("file", metavar="FILE", type=Path)
    words = "write the password there, mode 0600 (default: %(default)s)"
    place = Path("/etc/puppetmaster/ldap.secret")
    conf.add_argument("--password-file", metavar="FILE", type=Path, default=place, help=words)
    conf.add_argument("--dry-run", action="store_true", help="do not write the password file")


def run(call: Call) -> int:
    """Import in the form that was chosen."""
    return int(call.arguments.do(call))


def _ldif(call: Call) -> int:
    chosen = call.arguments
    name = "standard input" if chosen.file == "-" else chosen.file
    with desk_of(call) as desk:
        lines: Iterator[str] = iter(sys.stdin) if chosen.file == "-" else lines_of(Path(chosen.file))
        read = ldif.read(lines, name)
        outcome = entries.bring_in(desk, read, name, reason=chosen.reason, dry_run=chosen.dry_run)
    return _told(call, outcome)


def _groups(call: Call) -> int:
    chosen = call.arguments
    name = "standard input" if chosen.file == "-" else chosen.file
    admins, outcome = each(PersonName, chosen.admins), Outcome(chosen.dry_run)
    with desk_of(call) as desk:
        lines: Iterator[str] = iter(sys.stdin) if chosen.file == "-" else lines_of(Path(chosen.file))
        described = groups.read(ldif.read(lines, name), name, outcome, chosen.roles or groups.ADMIN_ROLES)
        groups.bring_in(desk, described, admins, outcome, reason=chosen.reason)
    return _told(call, outcome)


def _percent(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _ALL):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to {_ALL}")
    return int(text)


def _wikimedia(call: Call) -> int:
    chosen = call.arguments
    admins = each(PersonName, chosen.admins)
    gone = each(ProjectName, chosen.gone)
    if not chosen.mirror and (gone or chosen.most_removed is not None):
        raise UsageError("--gone and --most-removed need --mirror")
    tree = wikimedia.read(chosen.directory)
    with desk_of(call) as desk:
        programme = mirroring.plan(tree, desk, admins=admins, mirror=chosen.mirror, gone=gone)
        if not call.json:
            for line in programme.lines():
                tell(line, sys.stdout)
        refusal = programme.refusal(chosen.most_removed) if chosen.mirror else None
        if refusal is not None and not chosen.dry_run:
            raise ToolkitError(refusal, where=str(chosen.directory))
        outcome = mirroring.carry_out(programme, desk, reason=chosen.reason, dry_run=chosen.dry_run)
    if refusal is not None:
        outcome.problems.append(Problem(str(chosen.directory), refusal))
    if chosen.mirror and not chosen.dry_run and not programme.writes:
        if not (outcome.problems or call.json):
            return ExitStatus.DONE  # nothing to do: a nightly run says nothing
        outcome.notes.clear()
    return _told(call, outcome, shown=not call.json)


def _told(call: Call, outcome: Outcome, *, shown: bool = False) -> int:
    if not shown:
        call.show(outcome.document(), outcome.lines)
    for note in outcome.notes:
        call.say(f"note: {note}")
    for problem in (*outcome.skipped, *outcome.problems):
        call.say(str(problem))
    call.say(outcome.summary())
    return ExitStatus.FAILED if outcome.problems else ExitStatus.DONE


def _puppet_conf(call: Call) -> int:
    chosen = call.arguments
    place = chosen.password_file.absolute()
    made = puppet_conf.translate(text_of(chosen.file, follow=True), str(chosen.file), place)
    if made.password and not chosen.dry_run:
        _keep(made.password, place)
        call.say(f"{place}: the password is there, mode 0600; make it readable only for the puppet user")
    document = {"dry_run": chosen.dry_run, "configuration": made.document, "remarks": list(made.remarks)}
    call.show(document, made.text().rstrip("\n"))
    for remark in made.remarks:
        call.say(f"note: {remark}")
    return ExitStatus.DONE


def _keep(password: str, place: Path) -> None:
    try:
        made = whole_file.make(place, password + "\n", mode=0o600, survives=Strength.POWER_CUT)
        if not made and text_of(place).rstrip("\n") != password:
            raise UsageError("has other contents; name another --password-file", where=str(place))
    except OSError as error:
        raise ToolkitError(f"the password cannot be written: {reason(error)}", where=str(place)) from error
