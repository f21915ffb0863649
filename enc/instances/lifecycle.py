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

Not here: who may (authorize.py, through the desk), the authorities
(forgetting.py), what a move changes (moving.py), signing (enc/signing), what
user data looks like (user_data.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from enc import dn
from enc.audit import check_reason
from enc.authority.client import Authority
from enc.classify.gather import is_called
from enc.classify.model import Record
from enc.classify.statements import REGION
from enc.edits.change import Change
from enc.edits.wish import Wish
from enc.errors import ClassificationError, Conflict, DirectoryRefused, NotAllowed, NotFound, ToolkitError, UsageError
from enc.filters import NodeFilter, escape
from enc.instances import entry, moving, naming, standing, tokens, traces
from enc.instances.enrolment import ATTRIBUTE, Enrolment
from enc.instances.entry import Instance
from enc.instances.forgetting import Forgetting, words
from enc.instances.journal import Journal, Kind, Operation, new_id
from enc.instances.runs import RunRecords
from enc.instances.standing import Superseded
from enc.names import Certname, ProjectName
from enc.reserved import is_reserved
from enc.service import nodes
from enc.service.desk import Desk, Plan, Receipt
from enc.service.survey import names, project_if_told
from enc.settings import Settings

_NUMBERS_TRIED = 1000
_SAYS_NO = (Conflict, NotFound, ClassificationError, UsageError, NotAllowed, DirectoryRefused)
"""After these, nothing was written."""


class Unfinished(ToolkitError):
    """The operation began, and stands in the journal until it is finished."""


@dataclass(frozen=True)
class Ticket:
    """What an instance needs to come to its certificate."""

    certname: Certname
    project: ProjectName
    region: str
    role: str
    token: str
    until: int
    """The first second in which the token counts no more, since 1970."""
    serial: str = ""
    """The cloud's id of the server, where it is known."""


@dataclass(frozen=True)
class Outcome:
    """What came of an operation, or with a dry run what would."""

    certname: Certname
    receipt: Receipt | None
    ticket: Ticket | None = None
    follows: tuple[str, ...] = ()
    """With a dry run: what is done after the change in LDAP."""


def ticket_of(instance: Instance, settings: Settings) -> Ticket:
    """Return the ticket of a waiting instance once more; raise `ToolkitError` if that cannot be."""
    enrolment, certname = instance.enrolment, instance.certname
    if enrolment.state != "waiting" or instance.project is None:
        raise Conflict(f"{certname} is not waiting for its certificate; `enc-admin instance rebuild` lets it wait")
    key = tokens.read_key(settings.instances.token_key_file)
    token = tokens.token(key, tokens.Binding(certname, instance.project, instance.region), enrolment.nonce)
    if not enrolment.nonce or tokens.digest(token) != enrolment.token:
        raise ToolkitError(f"the token of {certname} was made with another key; `enc-admin instance rebuild` makes one")
    return Ticket(certname, instance.project, instance.region, instance.role, token, enrolment.until, instance.serial)


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
            raise UsageError("nodes.semantics is terminus, which knows no instances")
        self._desk = desk
        self._settings = desk.settings
        self._forgetting = Forgetting(desk, authorities, journal, told)
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
            with self._journal.name_lock(whole):
                return self._create(Certname(whole), project, wish, serial, reason, dry_run)
        with self._journal.numbers_lock():
            for _ in range(_NUMBERS_TRIED):
                begins = f"(cn={escape(naming.beginning(whole))}*)"
                taken = names(self._desk.editor.find(self._settings.nodes_base, begins), self._settings)
                certname = next(naming.free(whole, taken))
                try:
                    with self._journal.name_lock(certname):
                        return self._create(certname, project, wish, serial, reason, dry_run)
                except Conflict:
                    if standing.find(certname, self._desk) is None:
                        raise
                    # Another machine was faster with this number.
        raise Conflict(f"{whole}: no number could be had in {_NUMBERS_TRIED} tries")

    def rebuild(self, certname: Certname, *, reason: str, dry_run: bool = False) -> Outcome:
        """Let an instance (or a node, which becomes one) come to a new certificate; the old one ends."""
        with self._journal.name_lock(certname):
            self._check_name(certname)
            record = self._entry(certname)
            project = self._project(record)
            return self._close("rebuild", certname, record, project, {project}, None, reason, dry_run)

    def move(
        self, certname: Certname, project: ProjectName | None, region: str | None, *, reason: str, dry_run: bool = False
    ) -> Outcome:
        """Let an instance belong to another project or region, with a new certificate that says so."""
        with self._journal.name_lock(certname):
            self._check_name(certname)
            record = self._entry(certname)
            if entry.enrolment_of(record) is None:
                raise NotFound(f"{certname} is a node and no instance")
            old = self._project(record)
            new = project or old
            if new == old and region in (None, record.first(REGION)):
                raise UsageError(f"{certname} is there already; name another --project or --region")
            if self._desk.editor.read(dn.build("cn", new, self._settings.projects_base)) is None:
                raise NotFound(f"no project {new} below {self._settings.projects_base}")
            return self._close("move", certname, record, new, {old, new}, region, reason, dry_run)

    def delete(self, certname: Certname, *, reason: str, dry_run: bool = False) -> Outcome:
        """Remove an instance and everything that is known of it."""
        with self._journal.name_lock(certname):
            record = self._entry(certname)
            if entry.enrolment_of(record) is None:
                raise NotFound(f"{certname} is a node and no instance; use `enc-admin node remove`")
            project = self._project(record)
            plan = nodes.removal(self._desk, certname, record, "instance delete")
            asked = self._forgetting.asked({project})
            if dry_run:
                receipt = self._desk.submit(plan, reason=reason, dry_run=True)
                return Outcome(certname, receipt, follows=(*words(asked), "facts and reports are removed"))
            now = int(self._clock())
            operation = self._operation("delete", certname, project, now, reason, asked)
            operation = replace(operation, uuid=record.uuid, traces=True)
            receipt = self._begin(operation, plan)
            self._finish(operation)
            return Outcome(certname, receipt)

    def reopen(self, certname: Certname, *, reason: str) -> None:
        """Let an instance that was signed wait again, with the token that it has. The caller holds the name's lock."""
        record = self._entry(certname)
        enrolment = entry.enrolment_of(record)
        if enrolment is None or enrolment.state != "signed":
            raise Conflict(f"{certname} is not signed any more")
        step = entry.opening(record, enrolment.waiting_again(int(self._clock())))
        plan = Plan("instance reopen", f"node {certname}", self._project(record), (step,))
        self._desk.submit(plan, reason=reason)
        self._told(f"{certname}: waits for its request again")

    def resume(self, operation: Operation) -> Outcome:
        """Finish what was begun; raise `Unfinished` if it still cannot be."""
        with self._journal.name_lock(operation.certname):
            record = standing.find(operation.certname, self._desk)
            if operation.kind == "delete" and record is not None and record.uuid == operation.uuid:
                plan = nodes.removal(self._desk, operation.certname, record, "instance delete")
                self._desk.submit(plan, reason=operation.why)
                self._told(f"{operation.certname}: the entry is gone")
            return Outcome(operation.certname, None, self._finish(operation))

    # The first step of each, which decides whether there is an operation at all

    def _create(
        self, certname: Certname, project: ProjectName, wish: Wish, serial: str, reason: str, dry_run: bool
    ) -> Outcome:
        settings, editor = self._settings, self._desk.editor
        self._check_name(certname)
        if editor.read(dn.build("cn", project, settings.projects_base)) is None:
            raise NotFound(f"no project {project} below {settings.projects_base}; `enc-admin project add` makes it")
        present = editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
        if present:
            raise Conflict(f"there is a node {certname} already: {'; '.join(record.dn for record in present)}")
        now = int(self._clock())
        place = dn.build("cn", certname, dn.build("ou", project, settings.nodes_base))
        step = nodes.new_entry(place, certname, project, wish, settings)
        extra = [Change(ATTRIBUTE, (), (Enrolment("closed", now).text(),))]
        extra += [Change("serialNumber", (), (serial,))] if serial else []
        step = replace(step, changes=(*step.changes, *extra))
        plan = Plan(
            *("instance create", f"node {certname}", project),
            (*nodes.container_step(project, self._desk), step),
            node=certname,
        )
        asked = self._forgetting.asked({project})
        if dry_run:
            receipt = self._desk.submit(plan, reason=reason, dry_run=True)
            return Outcome(certname, receipt, follows=(*words(asked), "a token is made"))
        operation = replace(self._operation("create", certname, project, now, reason, asked), since=now)
        receipt = self._begin(operation, plan)
        return Outcome(certname, receipt, self._finish(operation))

    def _close(
        self,
        kind: Kind,
        certname: Certname,
        record: Record,
        project: ProjectName,
        projects: set[ProjectName],
        region: str | None,
        reason: str,
        dry_run: bool,
    ) -> Outcome:
        now = int(self._clock())
        step, since = entry.closing(record, now)
        plan = Plan(f"instance {kind}", f"node {certname}", project, (step,))
        asked = self._forgetting.asked(projects)
        operation = self._operation(kind, certname, project, now, reason, asked)
        operation = replace(operation, since=since, region=region)
        if kind == "move":
            # Whether the person may move it is asked before anything is closed.
            self._desk.submit(moving.plan(operation, record, self._desk), reason=reason, dry_run=True)
        if dry_run:
            receipt = self._desk.submit(plan, reason=reason, dry_run=True)
            steps = moving.plan(operation, record, self._desk).steps if kind == "move" else ()
            moved = [line for step in steps for line in step.lines()]
            return Outcome(certname, receipt, follows=(*moved, *words(asked), "a token is made"))
        receipt = self._begin(operation, plan)
        return Outcome(certname, receipt, self._finish(operation))

    def _operation(
        self, kind: Kind, certname: Certname, project: ProjectName, now: int, why: str, asked: tuple[str, ...]
    ) -> Operation:
        return Operation(new_id(now), kind, certname, project, now, self._desk.person.name, check_reason(why), asked)

    def _begin(self, operation: Operation, plan: Plan) -> Receipt:
        """Note the operation and make its first change in LDAP; forget it if LDAP says no."""
        self._journal.write(operation)
        self._told(f"{operation.certname}: noted")
        try:
            receipt = self._desk.submit(plan, reason=operation.why)
        except _SAYS_NO as error:
            self._journal.remove(operation)
            if operation.kind == "create" and standing.find(operation.certname, self._desk) is not None:
                raise Conflict(f"there is a node {operation.certname} already; somebody was faster") from error
            raise
        except ToolkitError:
            # Nobody knows whether it was made: the entry tells, now or when somebody resumes.
            if not self._has_begun(operation):
                self._journal.remove(operation)
            raise
        self._told(f"{operation.certname}: {'the entry is gone' if operation.kind == 'delete' else 'nobody is signed'}")
        return receipt

    def _has_begun(self, operation: Operation) -> bool:
        try:
            record = standing.find(operation.certname, self._desk)
        except ToolkitError:
            return True
        if operation.kind == "delete":
            return record is None or record.uuid != operation.uuid
        return record is not None and entry.enrolment_of(record) == Enrolment("closed", operation.since)

    # The other steps, each of which may be done again

    def _finish(self, operation: Operation) -> Ticket | None:
        try:
            operation = self._move_on(operation)
            operation = self._forgetting.forget(operation)
            if operation.authorities:
                self._leave(operation)
            if operation.kind == "delete":
                operation = self._remove_traces(operation)
                ticket = None
            else:
                ticket = self._open(operation)
        except Superseded:
            self._told(f"{operation.certname}: something else was done with it since; nothing is left to do")
            ticket = None
        self._journal.remove(operation)
        self._told(f"{operation.certname}: done")
        return ticket

    def _move_on(self, operation: Operation) -> Operation:
        if operation.kind == "move":
            plan = moving.plan(operation, standing.closed_by(operation, self._desk), self._desk)
            if plan.steps:
                self._desk.submit(plan, reason=operation.why)
                self._told(f"{operation.certname}: moved")
        return operation

    def _leave(self, operation: Operation) -> NoReturn:
        """Tell that an authority is still to be asked; what is on this master goes all the same."""
        deleting = operation.kind == "delete"
        if deleting:
            self._remove_traces(operation)
        so_far = "is deleted, but not everywhere" if deleting else "is there, but nobody is signed for it"
        raise Unfinished(f"{operation.certname} {so_far}: {operation.trouble}; `enc-admin instance resume` goes on")

    def _remove_traces(self, operation: Operation) -> Operation:
        if operation.traces and standing.find(operation.certname, self._desk) is None:
            where = traces.places(self._settings)
            if where is not None:
                traces.remove(operation.certname, where)
            RunRecords(self._settings.instances.runs).forget(operation.certname)
            self._told(f"{operation.certname}: facts and reports are gone")
        operation = replace(operation, traces=False)
        self._journal.write(operation)
        return operation

    def _open(self, operation: Operation) -> Ticket:
        settings, record = self._settings, standing.closed_by(operation, self._desk)
        found = entry.instance_of(operation.certname, record, settings)
        assert found is not None
        if found.project is None:
            raise ClassificationError("the entry does not tell its project", where=record.dn)
        key = tokens.read_key(settings.instances.token_key_file)
        nonce = tokens.fresh_nonce()
        token = tokens.token(key, tokens.Binding(found.certname, found.project, found.region), nonce)
        now = int(self._clock())
        waiting = Enrolment("waiting", now, now + int(settings.instances.token_life), tokens.digest(token), nonce)
        plan = Plan(
            f"instance {operation.kind}",
            f"node {found.certname}",
            found.project,
            (entry.opening(record, waiting),),
        )
        self._desk.submit(plan, reason=operation.why)
        self._told(f"{found.certname}: waits for its request")
        return Ticket(found.certname, found.project, found.region, found.role, token, waiting.until, found.serial)

    # Looking

    def _entry(self, certname: Certname) -> Record:
        record = standing.find(certname, self._desk)
        if record is None:
            raise NotFound(f"no instance {certname} in LDAP (below {self._settings.nodes_base})")
        if not is_called(record, certname):
            # Its certificate, its reports and its token are under its own name.
            raise UsageError(f"{certname} is another name of the node {dn.rdn(record.dn)[1]}; use that one")
        return record

    def _check_name(self, certname: Certname) -> None:
        if is_reserved(certname, self._settings):
            raise NotAllowed(f"{certname} is a name of the site's own servers; no instance gets it")

    def _project(self, record: Record) -> ProjectName:
        project = project_if_told(record, self._settings)
        if project is None:
            raise ClassificationError("the entry does not tell its project", where=record.dn)
        return project
