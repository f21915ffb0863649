"""Do the services of this machine run, and can each of them read and write what its work needs?

systemd says whether a unit that is installed here runs, or ends again and again. What it reads and writes is tried in
a process of its account; where it runs, among its own mounts too (/proc/PID/root), for a unit may see as read-only
what everybody else can write. Nothing is written: the kernel is asked (access(2)).

A unit that is not installed is nobody's fault: another machine may do that work. Where systemd does not run the
machine, only the reading and writing is looked at, and that is said.

Not here: what a service does while it runs (follower.py, the branch manager's doctor).
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enc.doctor.account import PUPPETSERVER_USER, unreadable
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.doctor.keys import COLLECTOR, DIRECTORY, FOLLOWER, VENDORDATA
from enc.programs.accounts import Account, as_account, by_name
from enc.programs.machine_trouble import said
from enc.settings import Settings
from enc.systemd import state
from enc.systemd.state import UnitState
from enc.terms.errors import ToolkitError, UsageError

_OFTEN, _LATELY = 3, 60.0
"""Restarts, and seconds since the last one, that mean that it ends again and again."""
_WRITE, _ENTER = os.W_OK, os.W_OK | os.X_OK


@dataclass(frozen=True, slots=True)
class Service:
    """A unit of ours, and what its work needs."""

    unit: str
    work: str
    """What is not done while it does not run."""
    account: str
    """As whom the shipped unit runs it."""
    wanted: str = ""
    """The setting that needs it; empty: only who installed it knows."""
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    """Directories in which it makes files, and files that it writes in place. What does not exist is passed over."""
    timer: bool = False
    """It is a unit's timer, or that unit."""


def check(settings: Settings, config: Path) -> Iterator[Finding]:
    """Look at the services that the classifier and instances have."""
    yield from examine(services(settings, config))


def services(settings: Settings, config: Path) -> tuple[Service, ...]:
    """Return the services of enc/systemd/. Pure."""
    directory, answers, instances = settings.directory, settings.answers.directory, settings.instances
    writer = directory.write_bind_password_file
    cloud = settings.openstack
    data = directory.data_directory
    crls = tuple(sorted({file.parent for file in settings.authorities.crl_files}))
    authorities = [
        file for one in settings.authorities.servers for file in (one.ca_file, one.certificate_file, one.key_file)
    ]
    agent = [instances.agent.ca_file] if instances.agent.server is not None else []
    asked = [settings.authorities.for_crl(one) for one in settings.authorities.servers[:1] if crls]
    asked_first = [file for one in asked for file in (one.ca_file, one.certificate_file, one.key_file)]
    return (
        Service(
            "puppetmaster-follow.service",
            "edits in LDAP do not reach this puppetserver",
            FOLLOWER,
            reads=_files(config, directory.bind_password_file),
            writes=(answers, *(answers / name for name in ("nodes", "refused", "hiera", "tmp", "enrolments"))),
        ),
        Service(
            "puppetmaster-directory.service",
            "LDAP is unavailable",
            DIRECTORY,
            writes=(data, data / "run", data / "log", data / "db", data / "db/data.mdb"),
        ),
        Service(
            "puppetmaster-collect.service",
            "nothing records which instances are built and how their runs went",
            COLLECTOR,
            reads=_files(config, settings.signing.bind_password_file if settings.signing.bind_dn else writer),
            writes=(instances.runs,),
        ),
        Service(
            "puppetmaster-vendordata.service",
            "Nova gets no answer, and new servers do not become instances",
            VENDORDATA,
            wanted="openstack.cloud" if cloud.cloud is not None else "",
            reads=_files(
                *(config, directory.bind_password_file, writer, instances.token_key_file),
                *(cloud.clouds_file, cloud.certificate_file, cloud.key_file, *authorities, *agent),
            )
            if cloud.cloud is not None
            else (),
            writes=(instances.journal, settings.audit.file),
        ),
        Service("puppetmaster-instances.timer", _UNFINISHED, "root", timer=True),
        Service(
            "puppetmaster-instances.service",
            _UNFINISHED,
            "root",
            writes=(instances.journal, instances.runs, settings.audit.file),
            timer=True,
        ),
        Service("puppetmaster-crl.timer", _REVOKED, PUPPETSERVER_USER, timer=True),
        Service(
            "puppetmaster-crl.service",
            _REVOKED,
            PUPPETSERVER_USER,
            reads=_files(config, *asked_first) if crls else (),
            writes=crls,
            timer=True,
        ),
    )


_UNFINISHED = "interrupted operations stay unfinished, and nothing is reconciled with the authorities"
_REVOKED = "a revoked certificate is still accepted here"


def _files(*files: Path | None) -> tuple[Path, ...]:
    return tuple(file for file in files if file is not None)


def examine(all_of_them: Sequence[Service]) -> Iterator[Finding]:
    """Look at all of these services on this machine."""
    states = state.asked(one.unit for one in all_of_them)
    if states is None:
        yield note("units", "this machine does not run systemd, so the services were not checked")
    else:
        yield from judge(all_of_them, states, time.monotonic())
    yield from _files_of(all_of_them, states or {})


def judge(all_of_them: Sequence[Service], states: Mapping[str, UnitState], now: float) -> Iterator[Finding]:
    """Judge how units are at the time `now` of the monotonic clock. Pure."""
    found = [one for service in all_of_them for one in _judged(service, states[service.unit], now)]
    yield from (one for one in found if one.level != "ok")
    sound = [one.found for one in found if one.level == "ok"]
    if sound:
        yield ok("units", f"{', '.join(sound)}: as they should be")
    elif not found:
        yield note("units", "none of our services is installed on this machine")


def _judged(service: Service, how: UnitState, now: float) -> Iterator[Finding]:
    unit, log = service.unit, f"journalctl -u {service.unit} says why"
    if how.load == "not-found":
        if service.wanted:
            what = f"{unit} is not installed here: {service.work}, unless another machine does it ({service.wanted})"
            yield note("units", what, "install it, with its account (docs/operation.md)")
        return
    if how.load == "masked":
        yield fault("units", f"{unit} is masked, so it cannot start: {service.work}", f"systemctl unmask {unit}")
        return
    if how.load != "loaded":
        yield fault("units", f"systemd cannot load {unit} ({how.load}): {service.work}", f"systemctl status {unit}")
        return
    if how.stale:
        yield warning(
            "units", f"{unit} was changed, and systemd has not reloaded it", "systemctl daemon-reload, restart it"
        )
    if how.active == "failed" or (how.sub == "auto-restart"):
        again = f", and was started again {how.restarts} times" if how.restarts else ""
        yield fault("units", f"{unit} failed ({_why(how)}){again}: {service.work}", log)
    elif how.active in ("active", "reloading"):
        lately = now - how.since
        if how.restarts >= _OFTEN and lately < _LATELY:
            what = f"{unit} keeps ending: {how.restarts} restarts, the last one {lately:.0f} s ago"
            do = f"{log}; if you have just repaired it: systemctl reset-failed {unit}"
            yield warning("units", f"{what}: {service.work}", do)
        else:
            yield ok("units", unit)
    elif how.active == "activating":
        if how.restarts:
            yield fault("units", f"{unit} does not come up after {how.restarts} restarts: {service.work}", log)
        else:
            yield note("units", f"{unit} is starting")
    elif service.timer and unit.endswith(".service"):
        yield ok("units", unit)  # its timer starts it
    elif how.active == "deactivating":
        yield note("units", f"{unit} is being stopped")
    elif how.file.startswith("enabled") or service.wanted:
        yield fault("units", f"{unit} is stopped: {service.work}", f"systemctl start {unit}")
    else:
        do = f"systemctl enable --now {unit}; or remove its file if it is not wanted here"
        yield warning("units", f"{unit} is installed but neither runs nor starts at boot: {service.work}", do)


def _why(how: UnitState) -> str:
    return f"exit status {how.status}" if how.result == "exit-code" else how.result


def _files_of(all_of_them: Iterable[Service], states: Mapping[str, UnitState]) -> Iterator[Finding]:
    """Try what is read and written, as each account."""
    tried, asked, wrong = [], [], False
    for service in all_of_them:
        how = states.get(service.unit)
        if not (service.reads or service.writes) or (how is not None and how.load in ("not-found", "masked")):
            continue
        try:
            who = by_name((how.user or "root") if how is not None else service.account)
        except UsageError:
            continue  # not here; where systemd is, the unit has failed because of that
        if os.geteuid() not in (0, who.uid):
            asked.append(f"{service.unit} ({who.name})")
            continue
        pid = how.pid if how is not None and os.geteuid() == 0 else 0
        try:
            found = _tried(service, who, pid)
        except ToolkitError as error:
            yield note("units-files", f"{service.unit}: {error}")
            continue
        tried.append(service.unit)
        for finding in _unusable(service, who.name, found):
            wrong = True
            yield finding
    if asked:
        yield note(
            "units-files",
            f"cannot check what these services can read and write: {', '.join(asked)}",
            "run this as root",
        )
    if tried and not wrong:
        yield ok("units-files", f"{', '.join(tried)}: can read and write what they need")


def _tried(service: Service, who: Account, pid: int) -> Mapping[str, Mapping[str, str]]:
    def look() -> dict[str, dict[str, str]]:
        unread = unreadable([str(path) for path in service.reads[1:]])
        # The configuration may be left out.
        unread |= unreadable([str(path) for path in service.reads[:1] if os.path.lexists(path)])
        readonly, closed = unwritable(service.writes)
        return {"read": unread, "readonly": readonly, "closed": closed}

    root = f"/proc/{pid}/root" if pid else None
    found: Mapping[str, Mapping[str, str]] = as_account(who, look, root=root)
    return found


def unwritable(places: Iterable[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the calling process cannot write, path to why: on a file system without writing, and the others.

    What does not exist is passed over.
    """
    readonly, closed = {}, {}
    for place in places:
        try:
            if os.access(place, _ENTER if place.is_dir() else _WRITE) or not os.path.lexists(place):
                continue
            if os.statvfs(place).f_flag & os.ST_RDONLY:
                readonly[str(place)] = os.strerror(errno.EROFS)
            else:
                closed[str(place)] = os.strerror(errno.EACCES)
        except OSError as error:  # a directory above it is closed
            closed[str(place)] = said(error)
    return readonly, closed


def _unusable(service: Service, who: str, found: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    for path, why in found["read"].items():
        do = f"let {who} read it, through one of our groups or as its owner, and enter the directories above it"
        yield fault("units-files", f"{service.unit}: {who} cannot read {path}: {why}", do)
    mount = "remount it for writing, or name it in the unit's ReadWritePaths= (systemctl edit)"
    for kind, cure in (
        ("readonly", mount),
        ("closed", "chown {who} {path}; then check it and each directory above it with ls -ld"),
    ):
        for path, why in found[kind].items():
            text = f"{service.unit}: {who} cannot write {path}: {why}"
            yield fault("units-files", text, cure.format(who=who, path=path))
