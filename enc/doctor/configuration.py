"""Is the configuration file sound, and does what it points at exist and work?

`check` is `config check`: the file, its secrets and filters, each LDAP server
and base, the answers directory and the link that leads `enc` to it.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from enc.answers.layout import Layout, link_of, needs_link
from enc.doctor import directory
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.settings import Settings
from enc.settings.config import Reading, read, read_secret
from enc.settings.gone import GONE, SINCE
from enc.terms import filters
from enc.terms.errors import ToolkitError
from enc.terms.puppet_names import environment_fault, hidden_by, unreadable


def check(path: Path, settings: Settings) -> Iterator[Finding]:
    """Try everything that the configuration file `path`, read as `settings`, points at."""
    yield _file(path)
    yield from _names(settings)
    yield from _filters(settings)
    yield from _secrets(settings)
    yield from directory.check(settings)
    yield _answers(settings)
    yield _link(path, settings)
    yield _audit(settings)


def faults(reading: Reading) -> Iterator[Finding]:
    """Yield what is wrong with the file itself."""
    for text in reading.faults:
        yield fault("config-file", f"{reading.where}: {text}", "docs/configuration.md has every setting")


def gone(reading: Reading) -> Iterator[Finding]:
    """Yield the settings that the file has and that there are no more."""
    for key in reading.gone:
        yield warning(
            "config-gone",
            f"{key} was removed in version {SINCE} and is ignored: {GONE[key]}",
            f"remove it from {reading.where}",
        )


def local(path: Path, settings: Settings) -> Iterator[Finding]:
    """Check what `config check` does, but for LDAP."""
    yield _file(path)
    yield from gone(read(path))
    yield from _names(settings)
    yield from _filters(settings)
    yield from _secrets(settings)
    yield _answers(settings)
    yield _link(path, settings)
    yield _audit(settings)


def _file(path: Path) -> Finding:
    try:
        status = path.stat()
    except FileNotFoundError:
        return note("config-file", f"{path} does not exist: every setting has its default")
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        return fault(
            "config-file",
            f"{path} has mode {mode:04o}: users other than its owner can decide whom the masters believe",
            f"chmod go-w {path}",
        )
    return ok("config-file", f"{path} is readable and valid")


def _names(settings: Settings) -> Iterator[Finding]:
    named: dict[str, str] = {"nodes.default_environment": settings.nodes.default_environment}
    if settings.projects.environment is not None:
        named["projects.environment"] = settings.projects.environment
    for key, name in named.items():
        if why := environment_fault(name):
            yield warning("config-names", f"{key}: {why}", "name another environment")
    variable = settings.answers.variable
    if variable is not None and (advice := hidden_by(variable) or unreadable(variable)):
        yield warning("config-names", f"answers.variable: {variable} {advice}", "name another variable")


def _filters(settings: Settings) -> Iterator[Finding]:
    try:
        filters.NodeFilter(settings.nodes.filter)
        for key, text in (("projects.filter", settings.projects.filter), ("groups.filter", settings.groups.filter)):
            filters.parse(text, where=key)
        filters.parse(settings.people.filter.replace("%s", "x"), where="people.filter")
    except ToolkitError as error:
        yield fault("config-filters", str(error), "write it as an LDAP search filter (RFC 4515)")
    else:
        yield ok("config-filters", f"nodes are found by {settings.nodes.filter}")


def _secrets(settings: Settings) -> Iterator[Finding]:
    section = settings.directory
    for key, file in (
        ("directory.bind_password_file", section.bind_password_file),
        ("directory.write_bind_password_file", section.write_bind_password_file),
        ("signing.bind_password_file", settings.signing.bind_password_file),
        ("openstack.clouds_file", settings.openstack.clouds_file if settings.openstack.cloud else None),
        ("openstack.key_file", settings.openstack.key_file),
    ):
        if file is None:
            continue
        try:
            read_secret(file)
        except ToolkitError as error:
            yield fault("config-secret", f"{key}: {error}", f"see {key} in docs/configuration.md")
        else:
            yield ok("config-secret", f"{key}: {file} is readable, and not by everybody")


def _answers(settings: Settings) -> Finding:
    root = settings.answers.directory
    try:
        status = root.stat()
    except FileNotFoundError:
        return note(
            "answers-directory",
            f"{root} does not exist: the follower has never run here, so enc asks LDAP for every catalog",
            "start enc-admin follow (systemd: puppetmaster-follow.service)",
        )
    except OSError as error:
        return fault("answers-directory", f"{root}: {error.strerror}", "run this as root or as the answers' owner")
    owner = _user(status.st_uid)
    for place in (root, *(getattr(Layout(root), name) for name in ("nodes", "refused", "hiera"))):
        try:
            mode = place.stat().st_mode
        except OSError:
            continue
        if mode & 0o022:
            return fault(
                "answers-directory",
                f"{place} can be written by users other than {owner}, who could classify any node as they like",
                f"chmod go-w {place}",
            )
    return ok("answers-directory", f"{root} belongs to {owner}, who alone writes there")


def _link(path: Path, settings: Settings) -> Finding:
    place, directory_ = link_of(path), settings.answers.directory
    if place.is_symlink():
        target = place.readlink()
        if target == directory_:
            return ok("config-link", f"{place} leads enc to {directory_}")
        return fault(
            "config-link",
            f"{place} leads enc to {target}, and answers.directory is {directory_}",
            f"enc-admin --config {path} config link",
        )
    if not needs_link(path, directory_):
        return ok("config-link", f"{place} is not needed: the configuration and the answers are where enc expects them")
    return warning(
        "config-link",
        f"{place} does not exist: enc does not find the answers and asks LDAP for every catalog",
        f"enc-admin --config {path} config link",
    )


def _audit(settings: Settings) -> Finding:
    file = settings.audit.file
    place = file if file.exists() else file.parent
    while not place.exists():
        place = place.parent
    if os.access(place, os.W_OK):
        return ok("audit-trail", f"{file} can be written")
    return note("audit-trail", f"{file} cannot be written by {_user(os.geteuid())}, who therefore cannot edit anything")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
