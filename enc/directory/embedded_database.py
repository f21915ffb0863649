"""The embedded slapd's database as files: filled from LDIF, written out as LDIF, and what slapd.conf says of it.

Owns the generations of the database. It is LMDB, which a kill cannot damage. A
first fill or a restore goes into a new generation beside the present one; one
rename of the link `db` then makes it the database, so that a kill leaves the
one or the other. slapd need not run, and for `fill` must not.

Failure modes: `ToolkitError` with slapadd's or slapcat's own words, and the
present generation stays; OSError of a full disk.

Not here: what is put in (embedded.py), the text of slapd.conf
(embedded_config.py), the process (embedded_process.py).
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from enc.directory import embedded_config, slapd_process
from enc.directory.embedded_config import StartOptions
from enc.directory.embedded_home import Home
from enc.directory.schema.definitions import SCHEMAS
from enc.programs import whole_file
from enc.programs.whole_file import Strength

_QUICK_FROM = 10 << 20
"""Bytes of LDIF from which slapadd's quick mode pays; it makes the sparse file as long as it may ever get."""


def size(home: Home) -> int:
    """Return the bytes that the database takes on disk."""
    try:
        return (home.database / "data.mdb").stat().st_blocks * 512
    except OSError:
        return 0


def fill(home: Home, files: Sequence[Path], *, options: Sequence[str]) -> None:
    """Make a new database with `files` in it, `options` for slapadd, and put it in place of the present one."""
    generation = home.data_dir / f"db-{secrets.token_hex(4)}"
    generation.mkdir(mode=0o700)
    try:
        configuration = _offline_configuration(home, generation, home.data_dir)
        quick = ["-q"] if sum(file.stat().st_size for file in files) > _QUICK_FROM else []
        for file in files:
            slapd_process.run_offline(
                "slapadd",
                [*quick, *options, "-f", configuration, "-b", home.suffix, "-l", file],
                what=f"{file}: cannot be loaded",
            )
        if (generation / "data.mdb").exists():
            whole_file.sync(generation / "data.mdb")  # quick mode left this to us
        whole_file.sync(generation)
    except BaseException:
        shutil.rmtree(generation, ignore_errors=True)
        raise
    whole_file.link(home.database, generation.name, survives=Strength.POWER_CUT)
    for old in home.data_dir.glob("db-*"):
        if old.name != generation.name:
            shutil.rmtree(old, ignore_errors=True)


def write_out(home: Home, path: Path) -> None:
    """Write everything as LDIF to `path` (mode 0600: it holds password hashes)."""
    with (
        whole_file.filled(path, mode=0o600, survives=Strength.POWER_CUT) as aside,
        # Not in the data directory: where that is full, a backup is needed most.
        tempfile.TemporaryDirectory(prefix=".backup-", dir=aside.parent) as place,
    ):
        configuration = _offline_configuration(home, home.database, Path(place))
        slapd_process.run_offline(
            "slapcat", ["-f", configuration, "-b", home.suffix, "-l", aside], what="the backup failed"
        )


def slapd_conf(home: Home, database: Path, options: StartOptions) -> str:
    """Return slapd.conf for the database in the directory `database`."""
    module_directory, modules = slapd_process.modules(embedded_config.MODULES)
    schemas, nis = Path(__file__).parent / "schema", slapd_process.schema_directory() / f"{embedded_config.NIS}.schema"
    return embedded_config.slapd_conf(
        embedded_config.Placement(
            suffix=home.suffix,
            schema_directory=slapd_process.schema_directory(),
            own_schemas=tuple(schemas / f"{schema.name}.schema" for schema in SCHEMAS),
            module_directory=module_directory,
            modules=modules,
            database=database,
            deletions=home.deletions,
            pid_file=home.run / "slapd.pid",
            arguments_file=home.run / "slapd.args",
            owner_uid=home.owner(),
            nis=nis.read_text(encoding="utf-8") if nis.is_file() else "",
        ),
        options,
    )


def _offline_configuration(home: Home, database: Path, place: Path) -> Path:
    path = place / "offline.conf"
    whole_file.write(path, slapd_conf(home, database, StartOptions()), mode=0o644, survives=Strength.KILL)
    return path
