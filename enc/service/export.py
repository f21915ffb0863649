"""Everything that we know of nodes, as text for others: answers as YAML or JSON, entries as LDIF.

The directory is read once, so what is exported is of one moment as far as LDAP
can tell. Nodes that cannot be classified are reported, and the others go on.
Files are written aside and renamed, so that a reader sees whole ones. Nothing
here writes to LDAP.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enc.classify.classify import Classifier
from enc.classify.kinds import OTHERS
from enc.classify.model import Classification
from enc.classify.render import render_answer
from enc.directory.ldap_store import LdapSource
from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.service import people
from enc.service.survey import Snapshot
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import ClassificationError, NotFound, ToolkitError
from enc.terms.names import Certname
from enc.terms.record import Record

GROUP_PREFIX = "project-"
"""What stands before a project's name in that of its group, in the layout of 2012."""

_WIDTH = 76
"""Columns of a line of LDIF (RFC 2849 suggests to fold; tools write 76 to 78)."""


@dataclass(frozen=True)
class Answer:
    """One node's answer, or why there is none."""

    certname: Certname
    classification: Classification | None
    trouble: str = ""

    def document(self) -> dict[str, Any]:
        """Return the answer as programs read it."""
        said = self.classification
        assert said is not None
        return {
            "certname": self.certname,
            "environment": said.environment,
            "classes": said.classes,
            "parameters": said.variables,
            "data": said.data,
            "project": said.project,
            **{part: said.said.get(part) for part in OTHERS},
            "prefixes": list(said.prefixes),
            "version": said.version,
        }

    def text(self) -> str:
        """Return the answer as `enc` prints it, without the variable that tells its age."""
        assert self.classification is not None
        return render_answer(self.classification, None, "ldap")


def certnames(snapshot: Snapshot) -> list[Certname]:
    """Return the names that nodes answer to, in order."""
    return sorted({name for record in snapshot.nodes for name in snapshot.names_of(record)})


def answers(snapshot: Snapshot, settings: Settings, nodes: Sequence[Certname] = ()) -> Iterator[Answer]:
    """Yield the answers of `nodes`, of all if there are none named."""
    classifier = Classifier(settings)
    for certname in nodes or certnames(snapshot):
        try:
            yield Answer(certname, classifier.classify(certname, snapshot))
        except (ClassificationError, NotFound) as error:
            yield Answer(certname, None, str(error))


def entries(source: LdapSource, settings: Settings, nodes: Sequence[Certname] = ()) -> Iterator[str]:
    """Yield the entries below the configured bases as LDIF, those above before those below; with `nodes` only theirs.

    Containers and the roles of projects are among them, so that the same site
    can be made of it elsewhere; people and the bases themselves are not.
    """
    bases = (settings.nodes_base, settings.projects_base, settings.groups_base)
    if nodes:
        records = [record for name in nodes for record in source.nodes_named(name)]
    else:
        site = source.site()
        records = [site] if site else []
        for base in bases:
            records += source.search(base, "(objectClass=*)")
    unique = {dn.normalise(record.dn): record for record in records}
    for base in bases:
        unique.pop(dn.normalise(base), None)
    yield "version: 1\n"
    for record in sorted(unique.values(), key=lambda record: len(dn.split(record.dn))):
        yield "\n" + entry(record)


def groups(source: LdapSource, settings: Settings) -> tuple[list[str], list[str]]:
    """Return the projects in the layout of 2012 as LDIF (importing/groups.py reads it), and what is left out and why.

    The entry of a group is named as then, `project-NAME` below `ou=groups`, with the members' names and uids; the
    project and its admins stand below `ou=projects`. Nothing of what classifies nodes is in it.
    """
    lines, left_out = ["version: 1\n"], []
    groups_top, projects_top = (f"ou={unit},{settings.directory.suffix}" for unit in ("groups", "projects"))
    listed = people.groups_in(source, settings)
    for record in sorted(source.projects(), key=lambda record: dn.normalise(record.dn)):
        name, number = dn.rdn(record.dn)[1], record.first("gidNumber")
        if number is None:
            left_out.append(f"project {name}: has no gidNumber; enc-admin project posix gives it one")
            continue
        members = people.effective_members(record, listed, settings)
        uids, without = people.login_names(members, source.read)
        left_out += [f"project {name}: member {place} has no uid" for place in without]
        group = {
            "objectclass": ("groupOfNames", "posixGroup"),
            "cn": (f"{GROUP_PREFIX}{name}",),
            "gidNumber": (number,),
            "member": members,
            "memberUid": uids,
        }
        lines.append("\n" + entry(Record(dn.build("cn", group["cn"][0], groups_top), group)))
        place = dn.build("cn", name, projects_top)
        lines.append("\n" + entry(Record(place, {"objectclass": ("groupOfNames",), "cn": (name,), "member": members})))
        role = source.read(dn.build("cn", settings.projects.admin_role, record.dn))
        if role is not None and role.all("roleOccupant"):
            admin = settings.projects.admin_role
            held = {"objectclass": ("organizationalRole",), "cn": (admin,), "roleOccupant": role.all("roleOccupant")}
            lines.append("\n" + entry(Record(dn.build("cn", admin, place), held)))
    return lines, left_out


def entry(record: Record) -> str:
    """Return one entry as LDIF (RFC 2849), object classes first."""
    lines = [_line("dn", record.dn)]
    for name, values in sorted(record.attributes.items(), key=lambda item: (item[0] != "objectclass", item[0])):
        lines += [_line(name, value) for value in values]
    return "".join(lines)


def _line(name: str, value: str) -> str:
    safe = value.isascii() and value.isprintable() and value[:1] not in (" ", ":", "<") and value[-1:] != " "
    whole = f"{name}: {value}" if safe else f"{name}:: {base64.b64encode(value.encode()).decode('ascii')}"
    pieces = [whole[:_WIDTH]]
    pieces += [" " + whole[at : at + _WIDTH - 1] for at in range(_WIDTH, len(whole), _WIDTH - 1)]
    return "\n".join(pieces) + "\n"


def write(directory: Path, files: Iterable[tuple[str, str]]) -> int:
    """Write (name, text) into `directory`, which is made if it is missing; return how many."""
    count = 0
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files:
            # Not for everybody: answers can hold secrets. An export can be made again, so which one stays is no matter.
            whole_file.write(directory / name, text, mode=0o640, survives=Strength.ORDER)
            count += 1
    except OSError as error:
        raise ToolkitError(f"cannot be written: {reason(error)}", where=error.filename or str(directory)) from error
    return count
