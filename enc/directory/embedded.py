"""A private slapd below one data directory, for small sites, the quickstart and tests.

Owns what people do with it (`init`, `start`, `stop`, `backup`, `restore`) and
what stands in a new one. Runs as whoever owns the data directory, and listens
on a unix socket and on 127.0.0.1; elsewhere only if asked to, over TLS (listening.py).

Everything may be killed and done again: the database is the old or the new one
(embedded_database.py), there is never a second slapd on the same data
(embedded_process.py), and slapd.conf is written anew at each start.

Failure modes: `UsageError` for a wrong suffix, owner or order of steps;
`ToolkitError` when a program is missing or refuses; `DirectoryUnreachable`
when slapd does not come up.

Not here: names, addresses and locks (embedded_home.py), texts
(embedded_config.py, access.py), the accounts' passwords (accounts.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from enc.directory import accounts, embedded_config, embedded_database, place
from enc.directory.embedded_config import StartOptions
from enc.directory.embedded_home import Home
from enc.directory.embedded_process import EmbeddedProcess
from enc.directory.service_accounts import INSTANCES, PROJECTS_READER, SIGNER
from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import UsageError

_START_TIMEOUT = 60.0
"""Seconds until slapd must answer. Long, for busy machines; if slapd has ended, that is noticed at once."""


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
        self.home = Home(data_dir, suffix)
        self.process = EmbeddedProcess(self.home)

    def init(self, *, tree: bool = True, ldif: Sequence[Path] = (), port: int | None = None) -> None:
        """Make the data directory and the database, unless they exist.

        `tree` puts in the containers, the site default and the reading account; `ldif`
        names further files to load (fast, unchecked by access rules). `port` None: a free one.
        """
        home = self.home
        with home.told():
            home.data_dir.mkdir(parents=True, exist_ok=True)
        home.check_owner()
        with home.exclusive():
            for directory, mode in ((home.run, 0o755), (home.log_file.parent, 0o750), (home.deletions, 0o700)):
                directory.mkdir(mode=mode, exist_ok=True)
            if "suffix" not in home.kept():
                if port:
                    place.check_free(port)  # before it is kept, or every later start would fail on it
                home.keep(suffix=home.suffix, ldap=port or place.free_port())
            if not home.database.exists():
                self._first_fill(tree, ldif)
            if not home.example_configuration.exists():
                self._write_example_configuration()

    def start(self, options: StartOptions | None = None, *, timeout: float = _START_TIMEOUT) -> DirectoryStatus:
        """Start slapd and return when it answers; if it runs already, `options` are not looked at."""
        home = self.home
        home.check_initialised()
        home.check_owner()
        options = options or StartOptions()
        with home.exclusive():
            home.deletions.mkdir(mode=0o700, exist_ok=True)
            if options.site_projects is not None and not self.process.running:
                home.keep(site_projects=list(options.site_projects))
            if options.roles is not None and not self.process.running:
                home.keep(roles=[[name, list(may)] for name, may in options.roles])
            options = replace(options, site_projects=home.site_projects(), roles=home.roles())
            if self.process.start(options, timeout):
                accounts.ensure(SIGNER, home.signer_password_file, home.ldapi_uri, home.suffix)
                accounts.ensure(INSTANCES, home.instances_password_file, home.ldapi_uri, home.suffix)
                accounts.ensure_number_units(home.ldapi_uri, home.suffix)
                if options.site_projects:
                    accounts.ensure(PROJECTS_READER, home.projects_password_file, home.ldapi_uri, home.suffix)
        return self.status()

    def stop(self) -> None:
        """End slapd and return when it is gone; if it does not run, do nothing."""
        if self.home.run.is_dir():
            with self.home.exclusive():
                self.process.stop()

    def status(self) -> DirectoryStatus:
        """Return how it is; takes at most a second."""
        home, running = self.home, self.process.running
        initialised, ports = home.database.exists(), home.kept()
        uris = [home.ldapi_uri] if initialised else []
        if "ldap" in ports:
            uris.append(home.ldap_uri)
        if running and "ldaps" in ports:
            uris += [home.ldaps_uri, *home.elsewhere()]
        return DirectoryStatus(
            initialised=initialised,
            pid=self.process.pid if running else None,
            answering=running and self.process.answers(),
            uris=tuple(uris),
            database_bytes=embedded_database.size(home),
        )

    def backup(self, path: Path) -> None:
        """Write everything as LDIF to `path` (mode 0600: it holds password hashes), running or not."""
        self.home.check_initialised()
        with self.home.told():
            embedded_database.write_out(self.home, path)

    def restore(self, path: Path) -> None:
        """Replace everything by a backup; slapd must be stopped. On an error the old content stays."""
        self.home.check_initialised()
        self.home.check_owner()
        with self.home.exclusive():
            if self.process.running:
                raise UsageError("stop the directory before a restore", where=str(self.home.data_dir))
            # No -w: the backup's own contextCSN says up to where its state goes.
            embedded_database.fill(self.home, [path], options=_unchecked(path))

    def _first_fill(self, tree: bool, ldif: Sequence[Path]) -> None:
        home, entries = self.home, self.home.data_dir / "first-entries.ldif"
        files = list(ldif)
        if tree:
            hashes = [accounts.password_hash(file) for file in (home.reader_password_file, home.signer_password_file)]
            text = embedded_config.first_entries(home.suffix, *hashes)
            whole_file.write(entries, text, mode=0o600, survives=Strength.KILL)
            files.insert(0, entries)
        embedded_database.fill(home, files, options=["-w"])
        entries.unlink(missing_ok=True)

    def _write_example_configuration(self) -> None:
        home = self.home
        reader = home.reader_password_file if home.reader_password_file.exists() else None
        signer = home.signer_password_file if home.signer_password_file.exists() else None
        text = embedded_config.example_configuration(
            home.suffix, [home.ldapi_uri, home.ldap_uri], home.data_dir, reader, signer
        )
        whole_file.write(home.example_configuration, text, mode=0o644, survives=Strength.POWER_CUT)


def _unchecked(backup: Path) -> list[str]:
    """Return slapadd's option to load entries as they are, if the backup has some that the schema forbids by now.

    Groups of RFC 2307 were entries by themselves as long as nis.schema was loaded. Doctor tells them (numbers.py).
    """
    with backup.open("rb") as lines:
        return ["-s"] if any(line.rstrip() == b"structuralObjectClass: posixGroup" for line in lines) else []
