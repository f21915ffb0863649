"""What is not as it should be between LDAP, the authorities, the answers, the cloud and the journal. Pure.

`find` compares what was seen and returns what is to be done about it, or only
told; `reconcile.py` sees and does. The rules, for one certname:

- nothing that LDAP does not allow may be good at an authority: a certificate
  without an entry, of an instance that waits for another, or at an authority
  of another project, is revoked; a request that nobody waits for is deleted;
- a certificate without `pp_project` was not given by our policy, so it is no
  instance's (a master's, say): it is told and never touched;
- an instance that is closed and in nobody's journal gets what was begun: it is
  rebuilt;
- an instance that was signed, and no authority has a certificate of it (a crash
  came between), waits again with the token that it has, while that is in time.
  Not if it was built: then it had a certificate, and somebody has taken it away;
- what cannot be mended without a decision is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from enc.authority.statuses import CertificateStatus
from enc.instances.enrolment import Enrolment
from enc.terms.names import Certname, ProjectName

Act = Literal["resume", "rebuild", "reopen", "revoke", "delete request", "delete", "tell"]
ACTS: tuple[Act, ...] = ("resume", "rebuild", "reopen", "revoke", "delete request", "delete", "tell")


TAKING: tuple[Act, ...] = ("revoke", "delete")
"""What takes something away that worked."""
_FEW = 10
_SHARE = 0.2


class Entry(NamedTuple):
    """What LDAP says about a name."""

    enrolment: Enrolment | None
    """None: a node, but no instance."""
    project: ProjectName | None = None
    serial: str = ""
    """The cloud's id of the server."""
    built: bool = False
    """Whether it ran once, so that it had a certificate."""


class Held(NamedTuple):
    """What an authority holds under a name."""

    authority: str
    status: CertificateStatus
    ours: bool = True
    """Whether the certificate has a `pp_project`; looked at where there is no entry."""
    project: str = ""
    """Which that is, if it was looked at."""


class Seen(NamedTuple):
    """Everything that was seen. The authorities were asked before LDAP."""

    entries: Mapping[Certname, Entry]
    held: tuple[Held, ...]
    projects: Mapping[str, tuple[str, ...]]
    """Authority that answered → the projects that it signs for; empty: all."""
    journal: frozenset[Certname] = frozenset()
    keep: frozenset[str] = frozenset()
    """Names whose certificates are no nodes' in LDAP, and stay."""
    answers: frozenset[Certname] = frozenset()
    silent: bool = False
    """Whether an authority did not answer."""
    cloud: frozenset[str] | None = None
    """Ids of the servers that there are; None: nobody was asked."""


class Repair(NamedTuple):
    """One thing to be done, or told."""

    act: Act
    certname: Certname
    why: str
    authority: str = ""
    project: str = ""
    """Whose instance it is or was; empty if nobody can tell."""


class Excess(NamedTuple):
    """What is held back, because too much would go at once."""

    authority: str
    """Empty: deletions of instances whose server is gone."""
    project: str | None
    """Only what is this project's; None: everything there."""
    many: int


def find(seen: Seen, now: float, patience: float = 0.0) -> tuple[Repair, ...]:
    """Return the repairs, by what is done and by name.

    Instances whose enrolment changed less than `patience` seconds ago may be
    in work elsewhere and are left alone.
    """
    found: list[Repair] = [
        Repair("resume", name, "an operation was started and is not finished") for name in seen.journal
    ]
    certified: dict[Certname, set[str]] = {}
    for held in seen.held:
        if held.status.state != "requested":
            certified.setdefault(held.status.name, set()).add(held.authority)
        if held.status.name not in seen.journal and held.status.name not in seen.keep:
            found += _of_authority(held, seen, now, patience)
    for name, entry in seen.entries.items():
        if entry.enrolment is not None and name not in seen.journal:
            found += _of_entry(name, entry, entry.enrolment, certified.get(name, set()), seen, now, patience)
    found += [
        Repair("tell", name, "there is an answer on disk but no entry in LDAP; is the follower running?")
        for name in seen.answers - seen.entries.keys()
    ]
    return tuple(sorted(set(found), key=lambda repair: (ACTS.index(repair.act), repair.certname, repair.authority)))


def excessive(found: Iterable[Repair], certificates: Iterable[tuple[str, str]]) -> tuple[Excess, ...]:
    """Return where more would be taken than `_FEW` and `_SHARE` of all certificates.

    A wrong setting, or a project's own authority that makes things up, is likelier than so many leaks. Each authority
    stands for itself, so that none of them stops the repairs at the others. So does each project: one whose admins
    delete its entries, by mistake or to keep others' certificates good, is held back alone, if what is left without
    it is within the bound. `certificates`: of each, the authority that has it and the project.
    """
    have, taken = tuple(certificates), [one for one in found if one.act in TAKING]
    return tuple(
        excess
        for where in dict.fromkeys(one.authority for one in taken)
        for excess in _excess_at(
            where,
            Counter(one.project for one in taken if one.authority == where),
            Counter(project for authority, project in have if where in ("", authority)),
        )
    )


def _excess_at(where: str, taken: Counter[str], have: Counter[str]) -> Iterable[Excess]:
    if not _much(taken, have):
        return ()
    alone = {project for project, count in taken.items() if _much({project: count}, {project: have[project]})}
    if _much(_without(taken, alone), _without(have, alone)):
        # One more may be the cause, which has so many certificates that these are not many of its own.
        alone.add(max(_without(taken, alone).items(), key=lambda item: (item[1], item[0]))[0])
        if _much(_without(taken, alone), _without(have, alone)):
            return (Excess(where, None, taken.total()),)
    return tuple(Excess(where, project, taken[project]) for project in sorted(alone))


def _much(taken: Mapping[str, int], have: Mapping[str, int]) -> bool:
    count = sum(taken.values())
    return count > _FEW and count > _SHARE * sum(have.values())


def _without(counts: Mapping[str, int], projects: Collection[str]) -> Mapping[str, int]:
    return {project: count for project, count in counts.items() if project not in projects}


def _of_authority(held: Held, seen: Seen, now: float, patience: float) -> Iterable[Repair]:
    name, status = held.status.name, held.status
    entry = seen.entries.get(name)
    if status.state == "requested":
        if (why := _closed_to(entry, now)) and not _fresh(entry, now, patience):
            yield Repair("delete request", name, why, held.authority)
        return
    if status.authorized:
        return
    if entry is None:
        if held.ours:
            yield Repair("revoke", name, "there is no entry in LDAP", held.authority, held.project)
        elif status.state == "signed":
            yield Repair("tell", name, "a certificate without an entry in LDAP, and not an instance's", held.authority)
        return
    if entry.enrolment is None or _fresh(entry, now, patience):
        return
    projects, whose = seen.projects.get(held.authority, ()), entry.project or ""
    if projects and entry.project not in projects:
        why = f"it belongs to project {entry.project}, for which this authority does not sign"
        yield Repair("revoke", name, why, held.authority, whose)
    elif entry.enrolment.state == "waiting":
        yield Repair("revoke", name, "the instance is waiting for a new certificate", held.authority, whose)


def _closed_to(entry: Entry | None, now: float) -> str:
    """Return why a request cannot be signed; empty if it may be."""
    if entry is None:
        return "there is no entry in LDAP"
    if entry.enrolment is None:
        return ""  # no instance: whoever signs by hand may be about to
    if entry.enrolment.state == "waiting":
        return "" if entry.enrolment.in_time(now) else "the token has expired"
    return f"the instance is {entry.enrolment.state}"


def _of_entry(
    name: Certname,
    entry: Entry,
    enrolment: Enrolment,
    certified: set[str],
    seen: Seen,
    now: float,
    patience: float,
) -> Iterable[Repair]:
    if _fresh(entry, now, patience):
        return  # the cloud's list may be from before its server was started
    if seen.cloud is not None and entry.serial and entry.serial not in seen.cloud:
        yield Repair("delete", name, f"the cloud has no server {entry.serial}", project=entry.project or "")
        return
    if enrolment.state == "closed" and not enrolment.since:
        yield Repair("tell", name, "its enrolment in LDAP cannot be read; rebuild or delete it")
    elif enrolment.state == "closed":
        yield Repair("rebuild", name, "its enrolment is closed, and no pending operation here will open it")
    elif enrolment.state == "waiting" and not enrolment.in_time(now):
        yield Repair("tell", name, "made no certificate request before its token expired; rebuild or delete it")
    elif enrolment.state == "signed" and not certified and _all_answered(entry, seen):
        if enrolment.in_time(now) and not entry.built and not seen.silent:
            yield Repair("reopen", name, "was signed, but no authority has its certificate")
        else:
            yield Repair("tell", name, "was signed, but no authority has its certificate; rebuild it")


def _all_answered(entry: Entry, seen: Seen) -> bool:
    """Tell whether an authority that signs for the entry's project was seen at all."""
    return any(not projects or entry.project in projects for projects in seen.projects.values())


def _fresh(entry: Entry | None, now: float, patience: float) -> bool:
    return entry is not None and entry.enrolment is not None and now - entry.enrolment.since < patience
