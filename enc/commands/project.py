"""`enc-admin project`: projects, their people, and their classification for all their nodes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from enc.classify.kinds import DESCRIPTION, ENVIRONMENT
from enc.commands.call import Call, edit_options, full_option, json_option, whole_number
from enc.commands.wishes import (
    amendment_options,
    desk_of,
    each,
    edit_result,
    wanted,
    wish,
    wish_options,
    withdrawal,
    withdrawal_options,
)
from enc.directory.ldap_store import LdapSource
from enc.service import belonging, posix, projects, survey
from enc.service.belonging import Chosen
from enc.service.desk import Receipt
from enc.service.lists import shown
from enc.terms import dn
from enc.terms.errors import (
    DirectoryUnreachable,
    ExitStatus,
    InvalidName,
    NotFound,
    ToolkitError,
    UsageError,
    one_line,
)
from enc.terms.names import PersonName, PrefixName, ProjectName

SUMMARY = "show and edit projects, their members, their prefixes, the site's default and groups"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `project`."""
    below = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(
        under: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, do: Callable[[Call], int]
    ) -> argparse.ArgumentParser:
        added = under.add_parser(name, help=summary, description=summary)
        added.set_defaults(do=do)
        return added

    adding = verb(below, "add", "create a project (or what is missing of it)", _add)
    adding.add_argument("project", metavar="PROJECT")
    adding.add_argument("--admin", dest="admins", metavar="UID", nargs="+", action="extend", required=True)
    adding.add_argument("--member", dest="members", metavar="UID", nargs="+", action="extend", default=[])
    words = "its gidNumber; default: a free one, if the directory gives out numbers"
    adding.add_argument("--gid", metavar="NUMBER", help=words)
    wish_options(adding, parent=False, only=(ENVIRONMENT, DESCRIPTION))
    listing = verb(below, "list", "list projects", _list)
    json_option(listing)
    showing = verb(below, "show", "show a project: its people, classification, prefixes and nodes", _show)
    showing.add_argument("project", metavar="PROJECT")
    json_option(showing)
    setting = verb(
        below, "set", "set classes, variables and so on of a project, a prefix, the site's default or a group", _set
    )
    _target_options(setting)
    wish_options(setting, parent=False)
    amendment_options(setting, parent=False)
    unsetting = verb(below, "unset", "remove some of these", _unset)
    _target_options(unsetting)
    withdrawal_options(unsetting, parent=False)
    grouping = verb(below, "posix", "make existing projects groups on machines: gidNumber, memberUid", _posix)
    grouping.add_argument("projects", metavar="PROJECT", nargs="*")
    grouping.add_argument("--all", action="store_true", help="all projects")
    grouping.add_argument("--gid", metavar="NUMBER", help="the gidNumber of the one project; default: a free one")
    deleting = verb(below, "delete", "delete a project without nodes", _delete)
    deleting.add_argument("project", metavar="PROJECT")
    member = below.add_parser("member", help="change who is in a project", description="change who is in a project")
    under = member.add_subparsers(dest="member_verb", metavar="VERB", required=True)
    joining = verb(under, "add", "add people to a project", _member_add)
    leaving = verb(under, "remove", "remove people from a project", _member_remove)
    showing = verb(under, "list", "list the people of a project", _member_list)
    showing.add_argument("project", metavar="PROJECT")
    showing.add_argument(
        "--effective", action="store_true", help="list everybody who is in it, also through groups, and through which"
    )
    json_option(showing)
    role = below.add_parser(
        "role", help="change who holds a role in a project", description="change who holds a role in a project"
    )
    of_role = role.add_subparsers(dest="role_verb", metavar="VERB", required=True)
    giving = verb(of_role, "add", "give people a role of the site's own (projects.roles) in a project", _role_add)
    taking = verb(of_role, "remove", "take the role away from people", _role_remove)
    telling = verb(of_role, "list", "list who holds which role in a project, also through groups", _role_list)
    telling.add_argument("project", metavar="PROJECT")
    json_option(telling)
    several: dict[str, Any] = {"action": "append", "default": []}
    for changing in (joining, leaving, giving, taking):
        changing.add_argument("project", metavar="PROJECT")
        if changing in (giving, taking):
            changing.add_argument("role", metavar="ROLE")
        changing.add_argument("uids", metavar="UID", nargs="*")
        changing.add_argument("--project", dest="inner", metavar="NAME", **several, help="all members of that project")
        changing.add_argument(
            "--role", dest="roles", metavar="NAME/ROLE", **several, help="all who hold that role of that project"
        )
        changing.add_argument(
            "--group", dest="groups", metavar="DN", **several, help="all members of that groupOfNames"
        )
    joining.add_argument("--admin", action="store_true", help="and admins")
    leaving.add_argument("--admin", action="store_true", help="remove them as admins, but keep them as members")
    for editing in (adding, setting, unsetting, grouping, deleting, joining, leaving, giving, taking):
        edit_options(editing)
        full_option(editing)
        json_option(editing)


def _target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", metavar="PROJECT", nargs="?")
    parser.add_argument("--prefix", metavar="PREFIX", help="only the project's nodes whose names begin with this")
    parser.add_argument("--site", action="store_true", help="instead of a project: the site's default, for all nodes")
    parser.add_argument("--group", metavar="NAME", help="instead of a project: a group of nodes (groupOfURLs)")


def _target(arguments: argparse.Namespace) -> projects.Target:
    if (arguments.project is not None) + arguments.site + (arguments.group is not None) != 1:
        raise UsageError("name one project, or --site, or --group NAME")
    if arguments.prefix is not None and arguments.project is None:
        raise UsageError("--prefix belongs to a project; name it")
    if arguments.group is not None and not (arguments.group.isprintable() and arguments.group):
        raise UsageError("--group takes the cn of the group")
    return projects.Target(
        None if arguments.project is None else ProjectName(arguments.project),
        None if arguments.prefix is None else PrefixName(arguments.prefix),
        arguments.group,
    )


def run(call: Call) -> int:
    """Do what the second word says."""
    return call.do()


def _add(call: Call) -> int:
    arguments = call.arguments
    project = ProjectName(arguments.project)
    admins, members = each(PersonName, arguments.admins), each(PersonName, arguments.members)
    asked = wish(arguments)
    with desk_of(call) as desk:
        receipt = projects.add(
            desk, project, admins, members, asked, gid=_gid(call), reason=arguments.reason, dry_run=arguments.dry_run
        )
    return edit_result(call, receipt)


def _gid(call: Call) -> int | None:
    return None if call.arguments.gid is None else whole_number("--gid", call.arguments.gid)


def _posix(call: Call) -> int:
    arguments, gid = call.arguments, _gid(call)
    if bool(arguments.projects) == arguments.all:
        raise UsageError("name projects, or --all")
    if gid is not None and len(arguments.projects) != 1:
        raise UsageError("--gid is the number of one project; name it")
    wanted = each(ProjectName, arguments.projects)
    receipts: list[Receipt] = []
    problems: list[dict[str, str]] = []
    with desk_of(call) as desk:
        posix.check_server(desk)
        if not arguments.dry_run and (gid is not None or call.settings.posix.allot):
            posix.prepare(desk)
        for project in wanted or sorted(desk.source.project_names()):
            try:
                record = belonging.project_entry(project, desk)
                roles = belonging.role_records(project, desk)
                receipts.append(
                    posix.reconcile(
                        desk, project, record, roles, gid=gid, reason=arguments.reason, dry_run=arguments.dry_run
                    )
                )
            except DirectoryUnreachable:
                raise
            except ToolkitError as error:
                problems.append({"project": project, "message": str(error)})
    edits = [receipt.document() for receipt in receipts]
    call.show(
        {"dry_run": arguments.dry_run, "edits": edits, "problems": problems},
        [line for receipt in receipts for line in receipt.lines(call.bounds)],
    )
    for receipt in receipts:
        for remark in receipt.plan.remarks:
            call.say(f"{receipt.plan.subject}: {remark}")
        call.say(receipt.remark())
    for problem in problems:
        call.say(f"project {problem['project']}: {problem['message']}")
    return ExitStatus.FAILED if problems else ExitStatus.DONE


def _list(call: Call) -> int:
    with LdapSource(call.settings) as source:
        rows = survey.projects(source, call.settings, _shown(call))
    documents = [
        {
            "project": row.name,
            "members": row.members,
            "admins": row.admins,
            "environment": row.environment,
            "description": row.description,
        }
        for row in rows
    ]
    cells = [
        (row.name, row.environment or "-", " ".join(row.admins), len(row.members), row.description or "")
        for row in rows
    ]
    head = ("PROJECT", "ENVIRONMENT", "ADMINS", "MEMBERS", "DESCRIPTION")
    call.show_rows({"projects": documents}, head, cells, "no projects")
    return 0


def _row(project: ProjectName, source: LdapSource, call: Call) -> survey.ProjectRow:
    for row in survey.projects(source, call.settings, _shown(call)):
        if row.name == project:
            return row
    raise NotFound(f"no project {project} below {call.settings.projects_base}")


def _shown(call: Call) -> Callable[[str], str]:
    return lambda place: shown(place, call.settings)


def _show(call: Call) -> int:
    project, settings = ProjectName(call.arguments.project), call.settings
    with LdapSource(settings) as source:
        row = _row(project, source, call)
        prefixes = survey.below(project, source, settings)
        nodes = sorted(survey.names(survey.nodes_of(project, source, settings), settings))
    entries = [row.record, *prefixes]
    document = {
        "project": row.name,
        "members": row.members,
        "admins": row.admins,
        "entries": [{"dn": record.dn, "attributes": record.attributes} for record in entries],
        "nodes": nodes,
    }
    lines = [f"admins: {' '.join(row.admins)}", f"members: {' '.join(row.members)}"]
    for record in entries:
        lines.append(f"entry {record.dn}")
        said = {name: held for name, held in record.attributes.items() if name not in ("member", "objectclass", "cn")}
        lines += [f"  {name}: {value}" for name, held in said.items() for value in held]
    lines += [f"nodes: {len(nodes)}", *(f"  {name}" for name in nodes)]
    call.show(document, map(one_line, lines))
    return 0


def _set(call: Call) -> int:
    target, asked = _target(call.arguments), wanted(call.arguments)
    with desk_of(call) as desk:
        receipt = projects.change(desk, target, asked, reason=call.arguments.reason, dry_run=call.arguments.dry_run)
    return edit_result(call, receipt)


def _unset(call: Call) -> int:
    target, unwanted = _target(call.arguments), withdrawal(call.arguments)
    with desk_of(call) as desk:
        receipt = projects.change(desk, target, unwanted, reason=call.arguments.reason, dry_run=call.arguments.dry_run)
    return edit_result(call, receipt)


def _delete(call: Call) -> int:
    project = ProjectName(call.arguments.project)
    with desk_of(call) as desk:
        receipt = projects.delete(desk, project, reason=call.arguments.reason, dry_run=call.arguments.dry_run)
    return edit_result(call, receipt)


def _member_add(call: Call) -> int:
    return _member(call, belonging.member_add)


def _member_remove(call: Call) -> int:
    return _member(call, belonging.member_remove)


def _member(call: Call, do: Callable[..., Receipt]) -> int:
    arguments, chosen = call.arguments, _chosen(call)
    project = ProjectName(arguments.project)
    with desk_of(call) as desk:
        receipt = do(desk, project, chosen, admin=arguments.admin, reason=arguments.reason, dry_run=arguments.dry_run)
    return edit_result(call, receipt)


def _chosen(call: Call) -> Chosen:
    """Return who is meant."""
    arguments = call.arguments
    chosen = Chosen(
        each(PersonName, arguments.uids),
        each(ProjectName, arguments.inner),
        tuple(map(_role, arguments.roles)),
        tuple(map(_group, arguments.groups)),
    )
    if chosen == Chosen():
        raise UsageError("say who: UID…, --project NAME, --role NAME/ROLE or --group DN")
    return chosen


def _role_add(call: Call) -> int:
    return _role_change(call, belonging.role_add)


def _role_remove(call: Call) -> int:
    return _role_change(call, belonging.role_remove)


def _role_change(call: Call, do: Callable[..., Receipt]) -> int:
    arguments, chosen = call.arguments, _chosen(call)
    project = ProjectName(arguments.project)
    with desk_of(call) as desk:
        receipt = do(desk, project, arguments.role, chosen, reason=arguments.reason, dry_run=arguments.dry_run)
    return edit_result(call, receipt)


def _role_list(call: Call) -> int:
    project, settings = ProjectName(call.arguments.project), call.settings
    with LdapSource(settings) as source:
        _row(project, source, call)
        found = list(belonging.all_holders(project, source, settings))
    document = {
        "project": project,
        "people": [{"uid": one.uid, "role": one.role, "way": one.way} for one in found],
    }
    rows = [(one.uid, one.role, " > ".join(one.way) or "-") for one in found]
    call.show_rows(document, ("UID", "ROLE", "BY WAY OF"), rows, "nobody holds a role in it")
    return 0


def _role(text: str) -> tuple[ProjectName, str]:
    project, slash, name = text.partition("/")
    if not slash or not name or not name.isprintable():
        raise UsageError(f"--role {one_line(text)}: write PROJECT/ROLE, for example tools/projectadmin")
    return ProjectName(project), name


def _group(text: str) -> str:
    try:
        return dn.normalise(text) and text
    except InvalidName as error:
        raise UsageError(f"--group {one_line(error.message)}") from error


def _member_list(call: Call) -> int:
    project, settings = ProjectName(call.arguments.project), call.settings
    with LdapSource(settings) as source:
        row = _row(project, source, call)
        found = belonging.everybody_in(project, source, settings) if call.arguments.effective else None
        is_gone = belonging.gone_groups(source, settings)
    everybody = list(dict.fromkeys((*row.admins, *row.members)))
    roles = [(name, "admin" if name in row.admins else "member") for name in everybody]
    groups = [(name, role) for name, role in roles if belonging.is_group(name, settings)]
    persons: list[tuple[str, str, tuple[str, ...]]] = [(*one, ()) for one in roles if one not in groups]
    if found is not None:
        persons = [(one.uid, one.role, one.way) for one in found]
    document = {
        "project": project,
        "people": [{"uid": uid, "role": role, "way": way} for uid, role, way in persons],
        "groups": [{"group": name, "role": role, "gone": is_gone(name)} for name, role in groups],
    }
    if found is not None:
        ways = [(uid, role, " > ".join(way) or "-") for uid, role, way in persons]
        call.show_rows(document, ("UID", "ROLE", "BY WAY OF"), ways, "no people")
    else:
        told = [(name, f"{role}, gone" if (name, role) in groups and is_gone(name) else role) for name, role in roles]
        call.show_rows(document, ("UID", "ROLE"), told, "no people")
    return 0
