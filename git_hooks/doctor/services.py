"""Do the branch manager's services run, and can they read and write what they need? (enc/doctor/services.py)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from enc.doctor.findings import Finding
from enc.doctor.services import Service, examine
from enc.settings import Settings

_ACCOUNT = "git"
_STORE = ("units", "links", "versions", "surveys", "work", "records", "holds", "pending", "run", "locks")


def check(settings: Settings, config: Path) -> Iterator[Finding]:
    """Look at both."""
    yield from examine(services(settings, config))


def services(settings: Settings, config: Path) -> tuple[Service, ...]:
    """Return the services of git_hooks/systemd/. Pure."""
    branches = settings.branches
    transport, server, mirror = branches.transport, branches.puppetserver, branches.mirror
    repository, store = branches.repository, branches.store
    reads = (config, settings.directory.bind_password_file, server.ca_file, server.certificate_file, server.key_file)
    served = (transport.certificate_file, transport.key_file)
    forge = (mirror.secret_file, mirror.api_token_file, mirror.credentials_file, mirror.ssh_key_file)
    writes = (
        *(repository, *(repository / name for name in ("objects", "refs", "refs/heads", "puppetmaster"))),
        *(store, *(store / name for name in _STORE)),
        branches.environments,
    )
    return (
        Service(
            "puppetmaster-hooks.service",
            "pushes are slower, no new project gets its branch, and short-lived branches are not archived",
            _ACCOUNT,
            reads=tuple(file for file in reads if file is not None),
            writes=writes,
        ),
        Service(
            "puppetmaster-serve.service",
            "nobody can clone or push over HTTPS, and nothing arrives from a forge",
            _ACCOUNT,
            wanted="branches.mirror.forge" if mirror.forge is not None else "",
            reads=tuple(file for file in (*reads, *served, *forge) if file is not None),
            writes=(*writes, transport.tokens),
        ),
    )
