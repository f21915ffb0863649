"""Instances with their states, for `instance list` and `show`: LDAP's entries joined with this master's last runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from enc.directory.ldap_store import LdapSource
from enc.instances import states
from enc.instances.enrolment import Built
from enc.instances.entry import Instance, instance_of
from enc.instances.runs import RunRecords
from enc.instances.states import Run, Told
from enc.programs.documents import moment
from enc.service.survey import nodes_of
from enc.settings import Settings
from enc.terms.errors import NotFound
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname, ProjectName


class Row(NamedTuple):
    """One instance."""

    instance: Instance
    told: Told
    run: Run | None

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        found, enrolment = self.instance, self.instance.enrolment
        return {
            "certname": found.certname,
            "project": found.project,
            "region": found.region or None,
            "role": found.role or None,
            "serial": found.serial or None,
            "state": self.told.state,
            "since": moment(self.told.since),
            "remark": self.told.remark or None,
            "enrolment": enrolment.state,
            "token_until": moment(enrolment.until),
            "built": found.built and built_document(found.built),
            "last_run": self.run and run_document(self.run),
        }


def built_document(built: Built) -> dict[str, Any]:
    """Return when an instance was built, as programs read it."""
    return {"at": moment(built.at), "took_seconds": built.took}


def run_document(run: Run) -> dict[str, Any]:
    """Return a run of an agent as programs read it."""
    return {
        "at": moment(run.at),
        "status": run.status,
        "noop": run.noop,
        "environment": run.environment or None,
        "transaction": run.transaction or None,
    }


def rows(source: LdapSource, settings: Settings, now: float, project: ProjectName | None = None) -> list[Row]:
    """Return all instances, or those of one project, by name; raise `NotFound` if there is no such project."""
    if project is None:
        records = source.all_nodes()
    else:
        records = nodes_of(project, source, settings)
        if not records and source.project(project) is None:
            raise NotFound(f"no project {project} below {settings.projects_base}")
    node_filter = NodeFilter(settings.nodes.filter)
    found: dict[Certname, Row] = {}
    for record in records:
        for name in node_filter.names(record):
            instance = instance_of(Certname(name), record, settings) if Certname.accepts(name) else None
            if instance is not None:
                found[instance.certname] = _row(instance, settings, now)
    return [found[name] for name in sorted(found)]


def one(certname: Certname, source: LdapSource, settings: Settings, now: float) -> Row:
    """Return one instance; raise `NotFound`."""
    records = source.nodes_named(certname)
    instance = instance_of(certname, records[0], settings) if records else None
    if instance is None:
        words = f"{certname} is a node but not an instance" if records else f"no instance {certname} in LDAP"
        raise NotFound(f"{words} (below {settings.nodes_base})")
    return _row(instance, settings, now)


def _row(instance: Instance, settings: Settings, now: float) -> Row:
    record = RunRecords(settings.instances.runs).read(instance.certname)
    run = record.run if record else None
    silent_after = settings.instances.silent_after
    return Row(instance, states.state(instance.enrolment, instance.built, run, now, silent_after), run)
