"""A private slapd below one data directory, for small sites, the quickstart and tests.

Owns the files and the order of steps; the process is slapd_process.py's, the
texts are embedded_config.py's and access.py's. Runs as whoever owns the data
directory, and listens on a unix socket and on 127.0.0.1 only.

What survives what: the database is LMDB, which a kill cannot damage. A first
fill or a restore goes into a new database beside the old one; one rename of
the link `db` then makes it the database, so that a kill leaves the one or the
other. slapd.conf is written anew at each start. A lock that slapd itself holds
says whether it runs, so there is never a second one on the same data.

Failure modes: `UsageError` for a wrong suffix, owner or order of steps;
`ToolkitError` when a program is missing or refuses; `DirectoryUnreachable`
when slapd does not come up.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from enc import whole_file
from enc.directory import accounts, embedded_config, place, slapd_process
from enc.directory.embedded_config import StartOptions
from enc.directory.schema.definitions import SCHEMAS
from enc.directory.service_accounts import SIGNER
from enc.errors import DirectoryUnreachable, ToolkitError, UsageError
from enc.machine_trouble import reason
from enc.whole_file import Strength

_log = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path on Linux (unix(7))."""
_LOG_LIMIT = 10 << 20
"""A longer log is moved aside (one generation) before a start."""
_QUICK_FROM = 10 << 20
"""Bytes of LDIF from which slapadd's quick mode pays; it makes the sparse file as long as it may ever get."""
_START_TIMEOUT = 15.0
_STOP_PATIENCE = 15.0


@dataclass(frozen=True)
class DirectoryStatus:
    """How an embedded slapd is at one moment."""

    initialised: bool
    pid: int | None
    """None: it does not run."""
    answering: bool
    uris: tuple[str, ...]
    database_bytes: int
    """What the database takes on disk."""


class EmbeddedDirectory:
    """The slapd of one data directory. Making the object does nothing."""

    def __init__(self, data_dir: Path, suffix: str | None = None) -> None:
        """`suffix` None: the one it was made with, or dc=example,dc=org for a new one."""
        self.data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 - resolve() would follow links
        kept = self._state().get("suffix")
        self.suffix = embedded_config.check_suffix(suffix or str(kept or "dc=example,dc=org"))
        if kept is not None and kept != self.suffix:
            raise UsageError(f"holds {kept}, not {self.suffix}", where=str(self.data_dir))
        self.configuration = self.data_dir / "slapd.conf"
        self.reader_password_file = self.data_dir / "reader-password"
        self.signer_password_file = self.data_dir / "signer-password"
        self.example_configuration = self.data_dir / "config.yaml"
        self.log_file = self.data_dir / "log" / "slapd.log"
        self._first_entries_file = self.data_dir / "first-entries.ldif"
        self._run = self.data_dir / "run"
        self._database = self.data_dir / "db"
        self._child: slapd_process.Process | None = None

    # Where it is

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

    @property
    def socket_path(self) -> Path:
        """The unix socket: run/ldapi below the data directory, or a short path if that is too long."""
        path = self._run / "ldapi"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        owner = self._owner()
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

    # What it does

    def init(self, *, tree: bool = True, ldif: Sequence[Path] = (), port: int | None = None) -> None:
        """Make the data directory and the database, unless they exist.

        `tree` puts in the containers, the site default and the reading account; `ldif`
        names further files to load (fast, unchecked by access rules). `port` None: a free one.
        """
        with self._told():
            self.data_dir.mkdir(parents=True, exist_ok=True)
        self._check_owner()
        with self._exclusive():
            for directory, mode in ((self._run, 0o755), (self.log_file.parent, 0o750)):
                directory.mkdir(mode=mode, exist_ok=True)
            if "suffix" not in self._state():
                if port:
                    place.check_free(port)  # before it is kept, or every later start would fail on it
                self._keep(suffix=self.suffix, ldap=port or place.free_port())
            if not self._database.exists():
                files = list(ldif)
                if tree:
                    files.insert(0, self._first_entries())
                self._fill(files, options=["-w"])
                self._first_entries_file.unlink(missing_ok=True)
            if not self.example_configuration.exists():
                self._write_example_configuration()

    def start(self, options: StartOptions | None = None, *, timeout: float = _START_TIMEOUT) -> DirectoryStatus:
        """Start slapd and return when it answers; if it runs already, `options` are not looked at."""
        options = options or StartOptions()
        self._check_initialised()
        self._check_owner()
        with self._exclusive():
            alive = os.open(self._run / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if self._take(alive, timeout):
                    self._launch(options, alive, timeout)
                    accounts.ensure(SIGNER, self.signer_password_file, self.ldapi_uri, self.suffix)
            finally:
                os.close(alive)
        return self.status()

    def stop(self) -> None:
        """End slapd and return when it is gone; if it does not run, do nothing."""
        if not self._run.is_dir():
            return
        with self._exclusive():
            deadline = time.monotonic() + _STOP_PATIENCE
            while self.running:
                pid = self.pid
                if pid is not None:
                    slapd_process.end(pid, self.configuration, patience=_STOP_PATIENCE)
                elif time.monotonic() > deadline:
                    raise ToolkitError(
                        "something holds the lock and is not the slapd of this directory; see fuser",
                        where=str(self._run / "alive"),
                    )
                # Without a pid it is between its start and its pid file.
                time.sleep(0.01)
            self._reap()

    def status(self) -> DirectoryStatus:
        """Return how it is; takes at most a second."""
        running = self.running
        ports = self._state()
        uris = [self.ldapi_uri] if self._database.exists() else []
        if "ldap" in ports:
            uris.append(self.ldap_uri)
        if running and "ldaps" in ports:
            uris.append(self.ldaps_uri)
        try:
            size = (self._database / "data.mdb").stat().st_blocks * 512
        except OSError:
            size = 0
        return DirectoryStatus(
            initialised=self._database.exists(),
            pid=self.pid if running else None,
            answering=running and slapd_process.answers(self.socket_path, 1.0),
            uris=tuple(uris),
            database_bytes=size,
        )

    @property
    def running(self) -> bool:
        """Whether a slapd of this directory lives, answering or not."""
        try:
            alive = os.open(self._run / "alive", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except PermissionError:  # only the owner may touch the lock
            return slapd_process.answers(self.socket_path, 1.0)
        try:
            fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(alive)

    @property
    def pid(self) -> int | None:
        """The process id of this directory's slapd; None if it does not run or has not said it yet."""
        try:
            pid = int((self._run / "slapd.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if slapd_process.belongs(pid, self.configuration) else None

    def backup(self, path: Path) -> None:
        """Write everything as LDIF to `path` (mode 0600: it holds password hashes), running or not."""
        self._check_initialised()
        with self._told(), whole_file.filled(path, mode=0o600, survives=Strength.POWER_CUT) as aside:
            configuration = self._offline_configuration(self._database)
            slapd_process.run_offline(
                "slapcat", ["-f", configuration, "-b", self.suffix, "-l", aside], what="the backup failed"
            )

    def restore(self, path: Path) -> None:
        """Replace everything by a backup; slapd must be stopped. On an error the old content stays."""
        self._check_initialised()
        self._check_owner()
        with self._exclusive():
            if self.running:
                raise UsageError("stop the directory before a restore", where=str(self.data_dir))
            # No -w: the backup's own contextCSN says up to where its state goes.
            self._fill([path], options=[])

    # How it does it

    def _take(self, alive: int, timeout: float) -> bool:
        """Lock `alive` for a slapd to come; return False if one runs and answers."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # A slapd, or for an instant somebody who looks whether there is one.
                if slapd_process.answers(self.socket_path, 1.0):
                    _log.info("slapd runs already: %s", self.ldapi_uri)
                    return False
            else:
                return True
            if time.monotonic() > deadline:
                raise DirectoryUnreachable(
                    f"slapd runs (process {self.pid}) and does not answer; stop it first",
                    where=str(self.data_dir),
                )
            time.sleep(0.01)

    def _launch(self, options: StartOptions, alive: int, timeout: float) -> None:
        uris = [self.ldapi_uri]
        for kind, wanted in (("ldap", options.port), ("ldaps", None)):
            if kind == "ldap" or options.tls:
                kept = self._state().get(kind)
                port = wanted or (int(str(kept)) if kept else place.free_port())
                place.check_free(port)
                self._keep(**{kind: port})
                uris.append(f"{kind}://127.0.0.1:{port}")
        socket_directory = self.socket_path.parent
        if socket_directory != self._run:
            _log.warning("the socket's path would be too long; it is %s instead", self.socket_path)
            place.own_directory(socket_directory, self._owner())
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        slapd_conf = self._slapd_conf(self._database, options)
        whole_file.write(self.configuration, slapd_conf, mode=0o644, survives=Strength.KILL)
        log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._child = slapd_process.spawn(
            self.configuration, uris, log_level=options.log_level, log=self.log_file, alive=alive
        )
        try:
            slapd_process.wait_until_it_answers(
                self._child, self.socket_path, timeout=timeout, log=self.log_file, log_start=log_start
            )
        except BaseException:
            self._child.kill()
            self._reap()
            raise

    def _fill(self, files: Sequence[Path], *, options: Sequence[str]) -> None:
        """Make a new database with `files` in it and put it in place of the present one."""
        generation = self.data_dir / f"db-{secrets.token_hex(4)}"
        generation.mkdir(mode=0o700)
        try:
            configuration = self._offline_configuration(generation)
            quick = ["-q"] if sum(file.stat().st_size for file in files) > _QUICK_FROM else []
            for file in files:
                slapd_process.run_offline(
                    "slapadd",
                    [*quick, *options, "-f", configuration, "-b", self.suffix, "-l", file],
                    what=f"{file}: cannot be loaded",
                )
            if (generation / "data.mdb").exists():
                whole_file.sync(generation / "data.mdb")  # quick mode left this to us
            whole_file.sync(generation)
        except BaseException:
            shutil.rmtree(generation, ignore_errors=True)
            raise
        whole_file.link(self._database, generation.name, survives=Strength.POWER_CUT)
        for old in self.data_dir.glob("db-*"):
            if old.name != generation.name:
                shutil.rmtree(old, ignore_errors=True)

    def _first_entries(self) -> Path:
        hashes = [accounts.password_hash(file) for file in (self.reader_password_file, self.signer_password_file)]
        text = embedded_config.first_entries(self.suffix, *hashes)
        whole_file.write(self._first_entries_file, text, mode=0o600, survives=Strength.KILL)
        return self._first_entries_file

    def _write_example_configuration(self) -> None:
        reader = self.reader_password_file if self.reader_password_file.exists() else None
        signer = self.signer_password_file if self.signer_password_file.exists() else None
        text = embedded_config.example_configuration(
            self.suffix, [self.ldapi_uri, self.ldap_uri], self.data_dir, reader, signer
        )
        whole_file.write(self.example_configuration, text, mode=0o644, survives=Strength.POWER_CUT)

    def _offline_configuration(self, database: Path) -> Path:
        path = self.data_dir / "offline.conf"
        text = self._slapd_conf(database, StartOptions())
        whole_file.write(path, text, mode=0o644, survives=Strength.KILL)
        return path

    def _slapd_conf(self, database: Path, options: StartOptions) -> str:
        module_directory, modules = slapd_process.modules(embedded_config.MODULES)
        schemas = Path(__file__).parent / "schema"
        return embedded_config.slapd_conf(
            embedded_config.Placement(
                suffix=self.suffix,
                schema_directory=slapd_process.schema_directory(),
                own_schemas=tuple(schemas / f"{schema.name}.schema" for schema in SCHEMAS),
                module_directory=module_directory,
                modules=modules,
                database=database,
                pid_file=self._run / "slapd.pid",
                arguments_file=self._run / "slapd.args",
                owner_uid=self._owner(),
            ),
            options,
        )

    def _reap(self) -> None:
        if self._child is not None:
            slapd_process.reap(self._child)
            self._child = None

    def _owner(self) -> int:
        try:
            return self.data_dir.stat().st_uid
        except OSError:
            return os.geteuid()

    def _check_owner(self) -> None:
        if os.geteuid() != self._owner():
            raise UsageError(f"belongs to uid {self._owner()}; run this as that user", where=str(self.data_dir))

    def _check_initialised(self) -> None:
        if not self._database.exists():
            raise UsageError("holds no directory yet; initialise it first", where=str(self.data_dir))

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One init, start, stop or restore at a time."""
        with self._told(), (self.data_dir / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the file system refuses (a full disk, a missing directory) into one line."""
        try:
            yield
        except OSError as error:
            raise ToolkitError(reason(error), where=str(error.filename or self.data_dir)) from error

    def _state(self) -> dict[str, object]:
        try:
            state = json.loads((self.data_dir / "state.json").read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ToolkitError(f"cannot be read: {error}", where=str(self.data_dir / "state.json")) from error
        return state if isinstance(state, dict) else {}

    def _keep(self, **values: object) -> None:
        state = self._state()
        if state != state | values:
            text = json.dumps(state | values) + "\n"
            whole_file.write(self.data_dir / "state.json", text, mode=0o644, survives=Strength.POWER_CUT)

    def _port(self, kind: str) -> int:
        port = self._state().get(kind)
        if not isinstance(port, int):
            raise UsageError(f"no {kind} port yet; start the directory first", where=str(self.data_dir))
        return port
