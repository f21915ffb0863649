"""What Nova posts for dynamic vendordata, read once at the door. Pure.

The form is that of Nova's DynamicJSON driver: a JSON object with project-id,
instance-id, image-id, user-data, hostname, metadata and boot-roles. Only three
of them count here. Who starts a server chooses its hostname and metadata, so
the name is held to a narrow rule, and nothing of `metadata` is used.

Not here: who asks (vendordata.py), whether there is such an instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple

from enc.terms.errors import NotAllowed, ToolkitError
from enc.terms.names import ProjectName

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_PROJECT = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class BadRequest(ToolkitError):
    """The request is not one of Nova's, or asks for a name that cannot be."""


class Starting(NamedTuple):
    """A server that Nova asks for."""

    instance_id: str
    project_id: str
    """OpenStack's."""
    name: str
    """The hostname's first part."""


def read(body: bytes) -> Starting:
    """Read the body of a request; raise `BadRequest`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object")
    instance_id = _matching(document, "instance-id", _UUID, "a UUID")
    project_id = _matching(document, "project-id", _PROJECT, "a Keystone id")
    # Since Wallaby it may be a whole name; what stands behind the first dot is the cloud's guess at a domain.
    hostname = document.get("hostname")
    name = hostname.partition(".")[0].lower() if isinstance(hostname, str) else ""
    if not _LABEL.fullmatch(name):
        raise BadRequest(
            f"hostname {_shown(hostname)} cannot be part of a certname: a-z, 0-9 and '-', at most 63, no '-' at an end"
        )
    return Starting(instance_id, project_id, name)


class NameInCloud(NamedTuple):
    """What Keystone calls a project."""

    name: str
    """Unique in its domain only."""
    domain_id: str
    """Empty: the project is itself a domain."""


def project_of(
    project_id: str, lines: tuple[str, ...], domain: str, name_of: Callable[[str], NameInCloud]
) -> ProjectName:
    """Return the project that an OpenStack project is, by `openstack.projects`; raise `NotAllowed`.

    `name_of` asks Keystone for a project's name; it is only called where no line names the id. Names count in the
    domain with the id `domain` only: whoever makes projects in another could take any name.
    """
    table = {before.strip(): after.strip() for before, _, after in (line.rpartition("=") for line in lines)}
    if project_id in table:
        return ProjectName(table[project_id])
    name, found = name_of(project_id)
    if found != domain:
        raise NotAllowed(
            f"OpenStack's project {_shown(name)} ({project_id}) is in domain {_shown(found)}, and names count only "
            f"in {domain!r} (openstack.domain); add its id to openstack.projects"
        )
    if _ID.fullmatch(name):
        # It could be another project's id, and that one's line is not meant for it.
        raise NotAllowed(
            f"OpenStack's project {_shown(name)} ({project_id}) has a name that looks like an id; add its own id to "
            "openstack.projects"
        )
    if table:
        if name not in table:
            raise NotAllowed(f"OpenStack's project {_shown(name)} ({project_id}) is not listed in openstack.projects")
        return ProjectName(table[name])
    if not ProjectName.accepts(name):
        raise NotAllowed(
            f"OpenStack's project {_shown(name)} ({project_id}) has a name that no project here can have; add it to "
            "openstack.projects"
        )
    return ProjectName(name)


def _matching(document: dict[str, object], key: str, rule: re.Pattern[str], wanted: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not rule.fullmatch(value):
        raise BadRequest(f"{key} {_shown(value)} is not {wanted}")
    return value


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:80] + "…"
