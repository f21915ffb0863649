"""Sees what LDAP, the authorities, answers, cloud and journal hold, and carries out repairs.

What was seen is old when it is acted on, so each repair looks again at its one
name, and is made only if it is still to be made. Authorities are asked before
LDAP: who has a certificate by then had an entry before.

Failure modes: an authority that cannot be asked is left out and told; LDAP
that cannot be asked ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from enc.answers.layout import Layout
from enc.authority import origin
from enc.authority.client import Authority
from enc.classify.gather import is_called, names_of
from enc.classify.statements import REGION
from enc.directory.edits import DirectoryEditor
from enc.instances import repairs
from enc.instances.enrolment import BUILT_ATTRIBUTE
from enc.instances.entry import enrolment_of
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.repairs import Entry, Held, Repair, Seen
from enc.programs.elapsed import Count, Elapsed, Look, look
from enc.rights.reserved import is_reserved
from enc.service.survey import project_if_told
from enc.settings import Settings
from enc.terms.counted import counted
from enc.terms.errors import Conflict, ToolkitError
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname
from enc.terms.record import Record


class Reconciler:
    """Compares and repairs with one set of connections."""

    def __init__(
        self,
        settings: Settings,
        editor: DirectoryEditor,
        authorities: Sequence[Authority],
        journal: Journal,
        patience: float,
        look: Callable[[], Look] = look,
        *,
        remember: bool = True,
        cloud_region: str | None = None,
    ) -> None:
        """Leave alone what changed less than `patience` seconds ago, as elapsed.py counts it.

        `look` shows the clocks; `remember` what they showed, unless this is only a look.
        `cloud_region`: the cloud is asked about instances of this region only; None: about all.
        """
        self._settings = settings
        self._editor = editor
        self._authorities = authorities
        self._journal = journal
        self._patience = patience
        self._elapsed = Elapsed(journal.directory / "elapsed", look)
        self._remember = remember
        self._cloud_region = cloud_region
        self.troubles: list[str] = []
        """What could not be seen or done, a line each."""
        self._certificates: tuple[tuple[str, str], ...] = ()
        self._unread: set[str] = set()
        """Names of entries that are too large to be read: they stay as they are, and the others are repaired."""

    def look(self, cloud: frozenset[str] | None = None) -> tuple[Repair, ...]:
        """Return what is to be repaired. `cloud`: ids of the servers that there are, if the cloud was asked."""
        held, projects = [], {}
        for authority in self._authorities:
            try:
                statuses = authority.all()
            except ToolkitError as error:
                self.troubles.append(str(error))
                continue
            held += [Held(authority.name, status) for status in statuses.known]
            projects[authority.name] = authority.server.projects
        operations, problems = self._journal.read()
        self.troubles += problems
        count = self._elapsed.count(remember=self._remember)
        entries = self._entries(self._editor.find(self._settings.nodes_base, self._filter.for_all()), count)
        if held and not entries and not self._unread:
            raise ToolkitError(
                f"LDAP has no node at all below {self._settings.nodes_base}, but authorities hold "
                f"{counted(len(held), 'certificate')}; check nodes.base and nodes.filter"
            )
        by_name = {authority.name: authority for authority in self._authorities}
        held = [one if one.status.name in entries else self._with_origin(one, by_name[one.authority]) for one in held]
        self._certificates = tuple((one.authority, _project_of(one, entries)) for one in held)
        seen = Seen(
            entries,
            tuple(held),
            projects,
            frozenset(operation.certname for operation in operations),
            self._kept(held),
            self._answers(),
            silent=len(projects) < len(self._authorities),
            cloud=cloud,
        )
        return repairs.find(seen, count.now, self._patience)

    def in_reason(self, found: Sequence[Repair]) -> list[Repair]:
        """Return `found` without what is too much, which is told; repairs.py says what that is, and why."""
        excess = repairs.excessive(found, self._certificates)
        self.troubles += [
            f"{one.authority or 'in the cloud'}: {one.many} certificates or instances"
            f"{'' if one.project is None else f' of project {one.project or None}'} would be removed, so none of "
            "them is; check with --dry-run, and add --many if that is right"
            for one in excess
        ]
        held = {(one.authority, one.project) for one in excess}
        return [
            one
            for one in found
            if one.act not in repairs.TAKING or not held & {(one.authority, None), (one.authority, one.project)}
        ]

    def repair(self, repair: Repair, work: Lifecycle, cloud: frozenset[str] | None = None) -> bool:
        """Carry out a repair; False: it is not needed any more. Raise `ToolkitError`."""
        why = f"reconcile: {repair.why}"
        if repair.act == "resume":
            operations = [one for one in self._journal.read()[0] if one.certname == repair.certname]
            for operation in operations:
                work.resume(operation)
            return bool(operations)
        if repair.act in ("rebuild", "delete"):
            if repair not in self._look_again(repair, cloud):
                return False
            do = work.rebuild if repair.act == "rebuild" else work.delete
            do(repair.certname, reason=why)
            return True
        if repair.act == "reopen":
            with self._journal.name_lock(repair.certname):
                if repair not in self._look_again(repair, cloud):
                    return False
                work.reopen(repair.certname, reason=why)
            return True
        authority = next(one for one in self._authorities if one.name == repair.authority)
        with self._journal.name_lock(repair.certname), self._journal.authority_lock(authority.name):
            if repair not in self._look_again(repair, cloud):
                return False
            if repair.act == "revoke":
                authority.remove(repair.certname)
            else:
                authority.delete_request(repair.certname)
        return True

    def _look_again(self, repair: Repair, cloud: frozenset[str] | None) -> tuple[Repair, ...]:
        """Return the repairs of one name as things are now."""
        held, projects = [], {}
        for authority in self._authorities:
            if repair.authority in ("", authority.name) and repair.act not in ("rebuild", "delete"):
                status = authority.status(repair.certname)
                held += [self._with_origin(Held(authority.name, status), authority)] if status else []
            projects[authority.name] = authority.server.projects
        count = self._elapsed.count(remember=self._remember)
        records = self._editor.find(self._settings.nodes_base, self._filter.for_name(repair.certname))
        entries = self._entries(records, count)
        journal = frozenset(one.certname for one in self._journal.read()[0])
        seen = Seen(entries, tuple(held), projects, journal, self._kept(held), cloud=cloud)
        return repairs.find(seen, count.now, self._patience)

    def _kept(self, held: Sequence[Held]) -> frozenset[str]:
        names = {one.status.name for one in held}
        return frozenset(name for name in names if name in self._unread or is_reserved(name, self._settings))

    @property
    def _filter(self) -> NodeFilter:
        return NodeFilter(self._settings.nodes.filter)

    def _entries(self, records: Sequence[Record], count: Count) -> Mapping[Certname, Entry]:
        found: dict[Certname, Entry] = {}
        for record in records:
            if record.unread:
                told = f"{record.dn}: {record.unread}; it is left alone"
                self.troubles += [] if told in self.troubles else [told]
                self._unread.update(names_of(record, self._filter))
                continue
            in_cloud = self._cloud_region in (None, record.first(REGION))
            serial = (record.first("serialNumber") or "") if in_cloud else ""
            built = record.first(BUILT_ATTRIBUTE) is not None
            enrolment = enrolment_of(record)
            if enrolment is not None and enrolment.since:
                enrolment = enrolment._replace(since=int(count.of_another(enrolment.since)))
            entry = Entry(enrolment, project_if_told(record, self._settings), serial, built)
            for name in self._filter.names(record):
                # Further names that admins gave an instance are nobody's: no certificate was given for them.
                if Certname.accepts(name) and (entry.enrolment is None or is_called(record, Certname(name))):
                    found[Certname(name)] = entry
        return found

    def _with_origin(self, held: Held, authority: Authority) -> Held:
        """Look into the certificate: only those that our policy gave name a project."""
        if held.status.state == "requested":
            return held
        try:
            pem = authority.certificate(held.status.name)
            project = None if pem is None else origin.project_in(pem)
        except (ToolkitError, ValueError) as error:
            self.troubles.append(f"{held.status.name}: its certificate cannot be checked: {error}")
            project = None
        return held._replace(ours=project is not None, project=project or "")

    def _answers(self) -> frozenset[Certname]:
        try:
            files = list(Layout(self._settings.answers.directory).nodes.iterdir())
        except OSError:
            return frozenset()
        names = (file.name.removesuffix(".yaml") for file in files)
        return frozenset(Certname(name) for name in names if Certname.accepts(name) and name not in self._unread)


def _project_of(held: Held, entries: Mapping[Certname, Entry]) -> str:
    """Return whose instance has a certificate or a request, as LDAP says, else as the certificate does."""
    entry = entries.get(held.status.name)
    return held.project if entry is None else entry.project or ""


def carry_out(
    reconciler: Reconciler, found: Sequence[Repair], work: Lifecycle, cloud: frozenset[str] | None = None
) -> list[str]:
    """Carry out all repairs; return a line about each that failed."""
    troubles = []
    for repair in found:
        try:
            reconciler.repair(repair, work, cloud)
        except Conflict:
            continue  # somebody works on it this moment; the next run looks again
        except ToolkitError as error:
            # The other names have nothing to do with this one.
            troubles.append(str(error))
    return troubles
