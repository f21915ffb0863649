"""The data directory of one embedded slapd: its files' names, its addresses, what is kept from start to start.

Owns the names of files below it, `state.json` (the suffix, the ports, where else it listens, the site's projects), the
unix socket's place, and who may work in it: one program at a time, run by
whoever owns the directory. Making the object does nothing.

Failure modes: `UsageError` for a wrong suffix or owner, and for an address
that is not known yet; `ToolkitError` for what the file system refuses.

Not here: what slapd is told (embedded_config.py), the database in it
(embedded_database.py), the process (embedded_process.py).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from enc.directory import embedded_config, place
from enc.directory.service_accounts import SIGNER
from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError, UsageError

_SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path on Linux (unix(7))."""


class Home:
    """One data directory."""

    def __init__(self, data_dir: Path, suffix: str | None) -> None:
        """`suffix` None: the one it was made with, or dc=example,dc=org for a new one."""
        self.data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 - resolve() would follow links
        kept = self.kept().get("suffix")
        self.suffix = embedded_config.check_suffix(suffix or str(kept or "dc=example,dc=org"))
        if kept is not None and kept != self.suffix:
            raise UsageError(f"holds {kept}, not {self.suffix}", where=str(self.data_dir))
        self.configuration = self.data_dir / "slapd.conf"
        self.reader_password_file = self.data_dir / "reader-password"
        self.signer_password_file = self.data_dir / "signer-password"
        self.projects_password_file = self.data_dir / "projects-password"
        self.instances_password_file = self.data_dir / "instances-password"
        self.example_configuration = self.data_dir / "config.yaml"
        self.log_file = self.data_dir / "log" / "slapd.log"
        self.database = self.data_dir / "db"
        """A link to the database of the day."""
        self.deletions = self.data_dir / "deletions"
        """The database in which deletions are logged."""
        self.run = self.data_dir / "run"
        """What is only there while slapd runs."""

    # Accounts

    @property
    def manager_dn(self) -> str:
        """Who the owner of the data directory (and root) is after EXTERNAL over ldapi; may do everything."""
        return embedded_config.manager_dn(self.suffix)

    @property
    def reader_dn(self) -> str:
        """The reading account; its password is in `reader_password_file`."""
        return embedded_config.reader_dn(self.suffix)

    @property
    def signer_dn(self) -> str:
        """The signing account; its password is in `signer_password_file`."""
        return SIGNER.dn(self.suffix)

    # Addresses

    @property
    def socket_path(self) -> Path:
        """The unix socket: run/ldapi below the data directory, or a short path if that is too long."""
        path = self.run / "ldapi"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        owner = self.owner()
        base = Path("/run") if owner == 0 else Path("/tmp")  # noqa: S108 - made 0711 and ours, or refused
        return base / f"puppetmaster-{owner}-{digest}" / "ldapi"

    @property
    def ldapi_uri(self) -> str:
        """Address of the unix socket."""
        return f"ldapi://{quote(str(self.socket_path), safe='')}"

    @property
    def ldap_uri(self) -> str:
        """Address on the loopback; raise `UsageError` before `init`."""
        return f"ldap://127.0.0.1:{self._port('ldap')}"

    @property
    def ldaps_uri(self) -> str:
        """Address on the loopback with TLS from the start; raise `UsageError` before a start with TLS."""
        return f"ldaps://127.0.0.1:{self._port('ldaps')}"

    def _port(self, kind: str) -> int:
        port = self.kept().get(kind)
        if not isinstance(port, int):
            raise UsageError(f"no {kind} port yet; start the directory first", where=str(self.data_dir))
        return port

    # What is kept

    def kept(self) -> dict[str, object]:
        """Return what is kept: `suffix`, the ports `ldap` and `ldaps`, `listen`, `site_projects` and `roles`."""
        try:
            state = json.loads((self.data_dir / "state.json").read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ToolkitError(f"cannot be read: {reason(error)}", where=str(self.data_dir / "state.json")) from error
        return state if isinstance(state, dict) else {}

    def elsewhere(self) -> tuple[str, ...]:
        """Return where it listens besides its socket and the loopback, as at the last start."""
        kept = self.kept().get("listen")
        return tuple(map(str, kept)) if isinstance(kept, list) else ()

    def site_projects(self) -> tuple[str, ...]:
        """Return the projects of the site's own nodes, which the account of a projects' server does not see."""
        kept = self.kept().get("site_projects")
        return tuple(map(str, kept)) if isinstance(kept, list) else ()

    def roles(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the roles of the site's own: name, and the actions that they allow."""
        kept = self.kept().get("roles")
        return tuple((str(name), tuple(map(str, may))) for name, may in kept) if isinstance(kept, list) else ()

    def keep(self, **values: object) -> None:
        """Keep values besides the others."""
        state = self.kept()
        if state != state | values:
            text = json.dumps(state | values) + "\n"
            whole_file.write(self.data_dir / "state.json", text, mode=0o644, survives=Strength.POWER_CUT)

    # Who may work in it

    def owner(self) -> int:
        """Return whose directory it is: a uid, of one that does not exist yet ours."""
        try:
            return self.data_dir.stat().st_uid
        except OSError:
            return os.geteuid()

    def check_owner(self) -> None:
        """Raise `UsageError` if it is somebody else's."""
        if os.geteuid() != self.owner():
            raise UsageError(f"belongs to uid {self.owner()}; run this as that user", where=str(self.data_dir))

    def check_initialised(self) -> None:
        """Raise `UsageError` if there is no database in it."""
        if not self.database.exists():
            raise UsageError(
                "holds no directory yet; create it with `enc-admin directory start`", where=str(self.data_dir)
            )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One init, start, stop or restore at a time."""
        with self.told(), (self.data_dir / "lock").open("a") as lock:
            place.locked(lock.fileno(), wait=True)
            yield

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what the file system refuses (a full disk, a missing directory) into one line."""
        try:
            yield
        except OSError as error:
            raise ToolkitError(f"{error.strerror or error}", where=str(error.filename or self.data_dir)) from error
