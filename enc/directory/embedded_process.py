"""The one slapd of a data directory: whether it runs, starting it with its ports and files, ending it.

Owns the lock `run/alive`. slapd itself holds it, however it ends, so it says
whether slapd runs, and there is never a second one on the same data. The
caller has the data directory for itself (`Home.exclusive`) where something is
started or ended.

Failure modes: `DirectoryUnreachable` when slapd does not come up, or runs and
does not answer; `ToolkitError` when something else holds the lock, or a port
cannot be had.

Not here: finding and signalling processes (slapd_process.py), the database.
"""

from __future__ import annotations

import logging
import os
import time

from enc.directory import embedded_database, place, slapd_process
from enc.directory.embedded_config import StartOptions, TlsFiles
from enc.directory.embedded_home import Home
from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import DirectoryUnreachable, ToolkitError

_log = logging.getLogger(__name__)

_LOG_LIMIT = 10 << 20
"""A longer log is moved aside (one generation)."""
_STOP_PATIENCE = 15.0


class EmbeddedProcess:
    """The slapd of one data directory."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._child: slapd_process.Started | None = None

    @property
    def running(self) -> bool:
        """Whether a slapd of this directory lives, answering or not."""
        try:
            alive = os.open(self._home.run / "alive", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except PermissionError:  # only the owner may touch the lock
            return self.answers()
        try:
            return place.is_locked(alive)
        finally:
            os.close(alive)

    @property
    def pid(self) -> int | None:
        """The process id of this directory's slapd; None if it does not run or has not said it yet."""
        try:
            pid = int((self._home.run / "slapd.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if slapd_process.belongs(pid, self._home.configuration) else None

    def answers(self) -> bool:
        """Tell whether it answers within a second."""
        return slapd_process.answers(self._home.socket_path, 1.0)

    def start(self, options: StartOptions, timeout: float) -> bool:
        """Start slapd and return when it answers, within `timeout` seconds; False if one runs and answers already."""
        alive = os.open(self._home.run / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not self._take(alive, timeout):
                return False
            self._launch(options, alive, timeout)
            return True
        finally:
            os.close(alive)

    def stop(self) -> None:
        """End slapd and return when it is gone; if it does not run, do nothing."""
        deadline = time.monotonic() + _STOP_PATIENCE
        while self.running:
            pid = self.pid
            if pid is not None:
                slapd_process.end(pid, self._home.configuration, patience=_STOP_PATIENCE)
            elif time.monotonic() > deadline:
                raise ToolkitError(
                    "something other than this directory's slapd holds the lock; see fuser",
                    where=str(self._home.run / "alive"),
                )
            # Without a pid it is between its start and its pid file.
            time.sleep(0.01)
        self._reap()

    def _take(self, alive: int, timeout: float) -> bool:
        """Lock `alive` for a slapd to come; return False if one runs and answers."""
        deadline = time.monotonic() + timeout
        while True:
            if place.locked(alive, wait=False):
                return True
            # A slapd, or for an instant somebody who looks whether there is one.
            if self.answers():
                _log.info("slapd is already running: %s", self._home.ldapi_uri)
                return False
            if time.monotonic() > deadline:
                raise DirectoryUnreachable(
                    f"slapd (process {self.pid}) runs but does not answer; stop it first",
                    where=str(self._home.data_dir),
                )
            time.sleep(0.01)

    def _launch(self, options: StartOptions, alive: int, timeout: float) -> None:
        home = self._home
        _check_readable(options.tls)
        uris = self._uris(options)
        socket_directory = home.socket_path.parent
        if socket_directory != home.run:
            _log.warning("the socket's path would be too long; it is %s instead", home.socket_path)
            place.own_directory(socket_directory, home.owner())
        if home.log_file.exists() and home.log_file.stat().st_size > _LOG_LIMIT:
            home.log_file.replace(home.log_file.with_suffix(".log.1"))
        # Anew at each start: an upgrade brings its schema and rules along, and nothing half-changed stays.
        slapd_conf = embedded_database.slapd_conf(home, home.database, options)
        whole_file.write(home.configuration, slapd_conf, mode=0o644, survives=Strength.KILL)
        log_start = home.log_file.stat().st_size if home.log_file.exists() else 0
        self._child = slapd_process.spawn(
            home.configuration,
            uris,
            log_level=options.log_level,
            log=home.log_file,
            limit=_LOG_LIMIT,
            alive=alive,
        )
        try:
            slapd_process.wait_until_it_answers(
                self._child, home.socket_path, timeout=timeout, log=home.log_file, log_start=log_start
            )
        except BaseException:
            self._child.slapd.kill()
            self._reap()
            raise

    def _uris(self, options: StartOptions) -> list[str]:
        """Return where it is to listen; ports that are chosen now are kept."""
        uris = [self._home.ldapi_uri]
        for kind, wanted in (("ldap", options.port), ("ldaps", None)):
            if kind == "ldap" or options.tls:
                kept = self._home.kept().get(kind)
                port = wanted or (int(str(kept)) if kept else place.free_port())
                place.check_free(port)
                self._home.keep(**{kind: port})
                uris.append(f"{kind}://127.0.0.1:{port}")
        for one in options.listen:
            place.check_free(one.port, one.address)
        self._home.keep(listen=[one.uri for one in options.listen])
        return [*uris, *self._home.elsewhere()]

    def _reap(self) -> None:
        if self._child is not None:
            slapd_process.reap(self._child)
            self._child = None


def _check_readable(tls: TlsFiles | None) -> None:
    """Raise `ToolkitError` with the file's name, which slapd's own words about a certificate lack."""
    for file in (tls.certificate, tls.key, tls.authority) if tls else ():
        try:
            if file is not None:
                file.open("rb").close()
        except OSError as error:
            raise ToolkitError(f"cannot be read: {reason(error)}", where=str(file)) from error
