"""Creates, rebuilds, moves and deletes instances: in which order, and what a crash or a dead authority leaves.

Every operation stands in the journal before its first act, so whoever is
killed at any moment has lost nothing: `resume` does the rest. LDAP tells how
far an operation came; every act may be done twice.

    create, rebuild, move   nobody is signed (`closed`) → every authority forgets the name → `waiting`, a new token
    delete                  the entry goes → every authority forgets the name → facts and reports go

So a token is only good once no certificate of a predecessor is, and nothing
that fails in between lets anybody in. `closed since T` is the mark of one
operation: if the entry says something else, another operation came after this
one, and this one has nothing left to do.

Owns which operations there are, what each asks before it begins, and its first
change in LDAP. Failure modes: what says no before that, with nothing changed;
after it, see finishing.py.

Not here: who may (authorize.py, through the desk), whether an operation has
begun (beginning.py), its other steps (finishing.py), the authorities
(forgetting.py), what a move changes (moving.py), signing (enc/signing), what
user data looks like (user_data.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from enc.authority.client import Authority
from enc.classify.statements import REGION
from enc.edits.change import Change
from enc.edits.wish import Wish
from enc.instances import entry, moving, naming, standing
from enc.instances.beginning import Beginning
from enc.instances.enrolment import ATTRIBUTE, Enrolment
from enc.instances.finishing import Finishing
from enc.instances.forgetting import Forgetting, words
from enc.instances.journal import Journal, Kind, Operation
from enc.instances.tickets import Ticket
from enc.rights.reserved import is_reserved
from enc.service import nodes
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.service.survey import names
from enc.terms import dn
from enc.terms.errors import Conflict, NotAllowed, NotFound, UsageError
from enc.terms.filters import NodeFilter, escape
from enc.terms.names import Certname, Label, ProjectName
from enc.terms.record import Record

_NUMBERS_TRIED = 1000


@dataclass(frozen=True)
class Outcome:
    """What came of an operation, or with a dry run what would."""

    certname: Certname
    receipt: Receipt | None
    ticket: Ticket | None = None
    follows: tuple[str, ...] = ()
    """With a dry run: what is done after the change in LDAP."""


class Lifecycle:
    """Carries out operations for one person (the desk's)."""

    def __init__(
        self,
        desk: Desk,
        authorities: Sequence[Authority],
        journal: Journal,
        told: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`told` hears of each act when it is done, in words for people."""
        if desk.settings.nodes.semantics == "terminus":
            raise UsageError("nodes.semantics is terminus, which has no instances")
        self._desk = desk
        self._settings = desk.settings
        self._forgetting = Forgetting(desk, authorities, journal, told)
        self._beginning = Beginning(desk, journal, told)
        self._finishing = Finishing(desk, self._forgetting, journal, told, clock)
        self._journal = journal
        self._told = told
        self._clock = clock

    # What people ask for

    def create(
        self, name: str, project: ProjectName, wish: Wish, *, serial: str = "", reason: str, dry_run: bool = False
    ) -> Outcome:
        """Make an instance; `name` as in naming.py. `Conflict` if there is such a node already, wherever it is."""
        whole = naming.certname(name, project, self._settings.instances.name)
        if not naming.is_numbered(whole):
            with self._journal.name_lock(whole, only_looks=dry_run):
                return self._create(Certname(whole), project, wish, serial, reason, dry_run)
        with self._journal.numbers_lock(only_looks=dry_run):
            for _ in range(_NUMBERS_TRIED):
                begins = f"(cn={escape(naming.beginning(whole))}*)"
                taken = names(self._desk.editor.find(self._settings.nodes_base, begins), self._settings)
                certname = next(naming.free(whole, taken))
                try:
                    with self._journal.name_lock(certname, only_looks=dry_run):
                        return self._create(certname, project, wish, serial, reason, dry_run)
                except Conflict:
                    if standing.find(certname, self._desk) is None:
                        raise
                    # Another machine was faster with this number.
        raise Conflict(f"{whole}: found no free number in {_NUMBERS_TRIED} tries")

    def rebuild(self, certname: Certname, *, reason: str, dry_run: bool = False) -> Outcome:
        """Let an instance (or a node, which becomes one) come to a new certificate; the old one ends."""
        with self._journal.name_lock(certname, only_looks=dry_run):
            self._check_name(certname)
            record = standing.named(certname, self._desk)
            project = standing.project_of(record, self._desk)
            return self._close("rebuild", certname, record, project, {project}, None, reason, dry_run)

    def move(
        self,
        certname: Certname,
        project: ProjectName | None,
        region: Label | None,
        *,
        reason: str,
        dry_run: bool = False,
    ) -> Outcome:
        """Let an instance belong to another project or region, with a new certificate that says so."""
        with self._journal.name_lock(certname, only_looks=dry_run):
            self._check_name(certname)
            record = standing.named(certname, self._desk)
            if entry.enrolment_of(record) is None:
                raise NotFound(f"{certname} is a node but not an instance")
            old = standing.project_of(record, self._desk)
            new = project or old
            if new == old and region in (None, record.first(REGION)):
                raise UsageError(f"{certname} is already there; name another --project or --region")
            if self._desk.editor.read(dn.build("cn", new, self._settings.projects_base)) is None:
                raise NotFound(f"no project {new} below {self._settings.projects_base}")
            return self._close("move", certname, record, new, {old, new}, region, reason, dry_run)

    def delete(self, certname: Certname, *, reason: str, dry_run: bool = False) -> Outcome:
        """Remove an instance and everything that is known of it."""
        with self._journal.name_lock(certname, only_looks=dry_run):
            record = standing.named(certname, self._desk)
            if entry.enrolment_of(record) is None:
                raise NotFound(f"{certname} is a node but not an instance; use `enc-admin node remove`")
            project = standing.project_of(record, self._desk)
            plan = nodes.removal(self._desk, certname, record, "instance delete")
            asked = self._forgetting.asked({project})
            if dry_run:
                receipt = self._desk.submit(plan, reason=reason, dry_run=True)
                return Outcome(certname, receipt, follows=(*words(asked), "facts and reports are removed"))
            now = int(self._clock())
            operation = self._beginning.operation("delete", certname, project, now, reason, asked)
            operation = replace(operation, uuid=record.uuid, traces=True)
            receipt = self._beginning.begin(operation, plan)
            self._finishing.finish(operation)
            return Outcome(certname, receipt)

    def reopen(self, certname: Certname, *, reason: str) -> None:
        """Let an instance that was signed wait again, with the token that it has. The caller holds the name's lock."""
        record = standing.named(certname, self._desk)
        enrolment = entry.enrolment_of(record)
        if enrolment is None or enrolment.state != "signed":
            raise Conflict(f"{certname} can no longer be signed")
        step = entry.opening(record, enrolment.waiting_again(int(self._clock())))
        plan = PlannedEdit("instance reopen", f"node {certname}", standing.project_of(record, self._desk), (step,))
        self._desk.submit(plan, reason=reason)
        self._told(f"{certname}: waiting for its certificate request again")

    def resume(self, operation: Operation) -> Outcome:
        """Finish what was begun; raise `Unfinished` if it still cannot be."""
        with self._journal.name_lock(operation.certname):
            record = standing.find(operation.certname, self._desk)
            if operation.kind == "delete" and record is not None and record.uuid == operation.uuid:
                plan = nodes.removal(self._desk, operation.certname, record, "instance delete")
                self._desk.submit(plan, reason=operation.why)
                self._told(f"{operation.certname}: the entry is gone")
            return Outcome(operation.certname, None, self._finishing.finish(operation))

    # The first step of each, which decides whether there is an operation at all

    def _create(
        self, certname: Certname, project: ProjectName, wish: Wish, serial: str, reason: str, dry_run: bool
    ) -> Outcome:
        settings, editor = self._settings, self._desk.editor
        self._check_name(certname)
        if editor.read(dn.build("cn", project, settings.projects_base)) is None:
            raise NotFound(
                f"no project {project} below {settings.projects_base}; create it with `enc-admin project add`"
            )
        present = editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
        if present:
            raise Conflict(f"node {certname} already exists: {'; '.join(record.dn for record in present)}")
        now = int(self._clock())
        place = dn.build("cn", certname, dn.build("ou", project, settings.nodes_base))
        step = nodes.new_entry(place, certname, project, wish, settings)
        extra = [Change(ATTRIBUTE, (), (Enrolment("closed", now).text(),))]
        extra += [Change("serialNumber", (), (serial,))] if serial else []
        step = replace(step, changes=(*step.changes, *extra))
        plan = PlannedEdit(
            *("instance create", f"node {certname}", project),
            (*nodes.container_step(project, self._desk), step),
            node=certname,
        )
        asked = self._forgetting.asked({project})
        if dry_run:
            receipt = self._desk.submit(plan, reason=reason, dry_run=True)
            return Outcome(certname, receipt, follows=(*words(asked), "a token is made"))
        operation = replace(self._beginning.operation("create", certname, project, now, reason, asked), since=now)
        receipt = self._beginning.begin(operation, plan)
        return Outcome(certname, receipt, self._finishing.finish(operation))

    def _close(
        self,
        kind: Kind,
        certname: Certname,
        record: Record,
        project: ProjectName,
        projects: set[ProjectName],
        region: Label | None,
        reason: str,
        dry_run: bool,
    ) -> Outcome:
        now = int(self._clock())
        step, since = entry.closing(record, now)
        plan = PlannedEdit(f"instance {kind}", f"node {certname}", project, (step,))
        asked = self._forgetting.asked(projects)
        operation = self._beginning.operation(kind, certname, project, now, reason, asked)
        operation = replace(operation, since=since, region=region)
        if kind == "move":
            # Whether the person may move it is asked before anything is closed.
            self._desk.submit(moving.plan(operation, record, self._desk), reason=reason, dry_run=True)
        if dry_run:
            receipt = self._desk.submit(plan, reason=reason, dry_run=True)
            steps = moving.plan(operation, record, self._desk).steps if kind == "move" else ()
            moved = [line for step in steps for line in step.lines()]
            return Outcome(certname, receipt, follows=(*moved, *words(asked), "a token is made"))
        receipt = self._beginning.begin(operation, plan)
        return Outcome(certname, receipt, self._finishing.finish(operation))

    def _check_name(self, certname: Certname) -> None:
        if is_reserved(certname, self._settings):
            raise NotAllowed(f"{certname} is reserved for the site's own servers; choose another name")
