"""Are hooks, store and environments as they should be on this machine's disk, and can puppetserver read them?"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from enc.doctor.account import unreadable
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs.accounts import Account, as_account
from enc.programs.machine_trouble import said
from enc.settings import BranchSettings, Settings
from enc.terms.errors import ToolkitError
from git_hooks.push import install
from git_hooks.push.service import check_socket_path
from git_hooks.store.layout import Layout
from git_hooks.store.mounted import Mount, StoreAway
from git_hooks.transport.tokens import Tokens

_FULL, _FEW = 64 << 20, 2000
"""Bytes and inodes that a push may well need."""
_LOW = 0.05
"""Part of a file system that should stay free."""


def check(config: Path, settings: Settings) -> Iterator[Finding]:
    """Look, as their owner, at the repository and at what is made of it."""
    yield from _hooks(config, settings)
    yield from _owners(settings.branches)
    yield _one_file_system(settings.branches)
    yield _mounted(settings.branches)
    yield from _space(settings.branches)
    yield _socket(settings.branches)
    yield from _service(config, settings)


def _hooks(config: Path, settings: Settings) -> Iterator[Finding]:
    try:
        drifts = install.verify(settings, config)
    except ToolkitError as error:
        yield fault("hooks", str(error), "repair the repository, then branch-manager init")
        return
    for drift in drifts:
        yield fault("hooks", f"{drift.where}: {drift.what}", "branch-manager init")
    if not drifts:
        yield ok("hooks", f"the hooks in {settings.branches.repository} are as init left them")


def _owners(settings: BranchSettings) -> Iterator[Finding]:
    """Whoever runs the hooks must own all three; nobody else may write what becomes code."""
    try:
        owner = settings.repository.stat().st_uid
    except OSError as error:
        yield fault(
            "store-owner", f"{settings.repository}: {error.strerror}", "check branches.repository, or create it"
        )
        return
    wrong = False
    for place in (settings.repository, settings.store, settings.environments):
        try:
            status = place.stat()
        except FileNotFoundError:
            wrong = True
            yield fault("store-owner", f"{place} does not exist", f"branch-manager deploy, as {_name(owner)}")
            continue
        except OSError as error:
            wrong = True
            yield note("store-owner", f"{place}: {error.strerror}", "run this as root or as the repository's owner")
            continue
        if status.st_uid != owner:
            wrong = True
            found = f"{place} belongs to {_name(status.st_uid)}, and the repository to {_name(owner)}"
            yield fault("store-owner", found, f"chown -R {_name(owner)} {place}")
        if status.st_mode & stat.S_IWOTH:
            wrong = True
            found = f"everybody can write {place} and so change what agents apply"
            yield fault("store-owner", found, f"chmod o-w {place}")
    if not wrong:
        yield ok("store-owner", f"repository, store and environments belong to {_name(owner)}")


def _one_file_system(settings: BranchSettings) -> Finding:
    layout = Layout(str(settings.store), str(settings.environments))
    devices = {}
    for name in (layout.work, layout.units, layout.links, layout.versions):
        try:
            devices[name] = Path(name).stat().st_dev
        except OSError:
            return note("store-file-system", f"{name} is not there yet", "branch-manager deploy")
    if len(set(devices.values())) > 1:
        found = f"{', '.join(devices)} are on different file systems, between which nothing can be moved or linked"
        return fault("store-file-system", found, "use one file system for the whole store")
    return ok("store-file-system", f"{settings.store} is on one file system")


def _mounted(settings: BranchSettings) -> Finding:
    try:
        Mount(Layout(str(settings.store), str(settings.environments)), str(settings.repository)).check()
    except StoreAway as error:
        return fault("store-mounted", str(error), "mount it; nothing goes live until then")
    except OSError as error:
        return note("store-mounted", f"{error.filename}: {error.strerror}", "run this as root or as the store's owner")
    return ok("store-mounted", "the store's file system is mounted")


def _space(settings: BranchSettings) -> Iterator[Finding]:
    """Is there room to write, and may anybody write at all?"""
    wrong, seen = False, set()
    for place in (settings.repository, settings.store, settings.environments):
        try:
            found, device = os.statvfs(place), place.stat().st_dev
        except OSError:
            continue  # told above
        if device in seen:
            continue
        seen.add(device)
        finding = room(str(place), found)
        if finding is not None:
            wrong = True
            yield finding
    if not wrong:
        yield ok("store-space", "repository, store and environments can be written, and there is free space")


def room(place: str, found: os.statvfs_result) -> Finding | None:
    """Return what is wrong with the file system of `place`, None if there is room. Pure."""
    if found.f_flag & os.ST_RDONLY:
        do = "the kernel's log says why (dmesg); remount it for writing, then branch-manager deploy"
        return fault("store-space", f"the file system of {place} is read-only: no push goes live", do)
    do = "free some space (branch-manager gc removes what is no longer needed), then branch-manager deploy"
    left = found.f_bavail * found.f_frsize
    if left < _FULL or (found.f_files and found.f_favail < _FEW):
        what = f"{left >> 20} MB and {found.f_favail} inodes are free where {place} is"
        return fault("store-space", f"the disk is full, or almost: {what}", do)
    if left < found.f_blocks * found.f_frsize * _LOW:
        return warning("store-space", f"only {left >> 20} MB are free where {place} is", do)
    return None


def readable(settings: BranchSettings, who: Account) -> Iterator[Finding]:
    """Read what is live in a process of puppetserver's user `who`, up to the first file of a version."""
    if not settings.environments.exists():
        return  # told in `check`
    try:
        failures: dict[str, str] = as_account(
            who, lambda: unreadable([str(settings.environments), *_samples(settings)])
        )
    except ToolkitError as error:
        yield note("store-readable", str(error), "run this as root")
        return
    for path, why in failures.items():
        found = f"{who.name} cannot read {path}: {why}"
        yield fault("store-readable", found, "let it enter each directory above it (chmod o+x)")
    if not failures:
        yield ok("store-readable", f"{who.name} can read the environments")


def _service(config: Path, settings: Settings) -> Iterator[Finding]:
    """What the hooks, the service and sshd read, all three of which run as the repository's owner."""
    try:
        owner = settings.branches.repository.stat().st_uid
    except OSError:
        return  # the owner is told above
    name = _name(owner)
    if os.geteuid() != owner:
        yield note("service-account", f"cannot check what {name} can read", f"run this as root or as {name}")
        return
    server, transport = settings.branches.puppetserver, settings.branches.transport
    wanted = [config, settings.directory.bind_password_file, server.ca_file, server.certificate_file, server.key_file]
    paths = [str(path) for path in (*wanted, transport.certificate_file, transport.key_file) if path is not None]
    failures = unreadable(paths)
    refused = _tokens_refused(transport.tokens)
    if not config.exists():  # the default one may be absent
        failures.pop(str(config), None)
    yield from judge_service(name, failures)
    if refused:
        yield fault("tokens", f"no token is accepted: {refused}", f"chown -R {name} it, and chmod 0700 it")
    else:
        yield ok("tokens", f"only {name} can write {transport.tokens}")


def judge_service(name: str, failures: dict[str, str]) -> Iterator[Finding]:
    """Judge what the repository's owner `name` could not read (path → why). Pure."""
    for path, why in failures.items():
        found = f"{name} cannot read {path}, so it cannot serve, look up people or flush: {why}"
        do = f"let {name} read it through a group (puppetmaster-readers for LDAP's password) or as its owner, "
        do += "and enter the directories above it; do not use the group puppet, which can read the authority's key"
        if why == os.strerror(errno.ENOENT):
            do = "put it there, or correct the configuration; puppetserver makes its certificates at its first start"
        yield fault("service-account", found, do)
    if not failures:
        yield ok("service-account", f"{name} can read the secrets and certificates that pushes need")


def _tokens_refused(directory: Path) -> str:
    try:
        Tokens(directory).all()
    except (ToolkitError, OSError) as error:
        return said(error)
    return ""


def _samples(settings: BranchSettings) -> Iterator[str]:
    try:
        links = sorted(path for path in settings.environments.iterdir() if path.is_symlink())
    except OSError:
        return
    for link in links[:3]:
        yield str(link)
        yield from (str(path) for path in sorted(link.rglob("*"))[:3])


def _socket(settings: BranchSettings) -> Finding:
    try:
        check_socket_path(settings.store)
    except ToolkitError as error:
        return warning("service-socket", str(error), "until then every push waits for Python to start")
    return ok("service-socket", "the path of the service's socket is short enough")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
