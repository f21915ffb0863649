"""puppetserver's Clojure code, compiled once ahead of time, so that it starts in 10 s instead of 17 s.

Debian ships sources, and each start compiles them anew. The result is a jar in
a cache directory, named after the package's jars that it was made from; an
upgrade of the package makes a new one. A jar that is there is complete: it is
made aside and renamed. Losing it costs time only. One process makes it, and the
others that want it wait: more at once would all be slower.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import tempfile
import zipfile
from pathlib import Path

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import bounded
from enc.terms.program_words import why
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.puppetserver_files import JAR, JRUBY_LIBRARY, NO_AUTHORITY, SERVICES

MAIN = "puppetlabs.trapperkeeper.main"
_LIMIT = 900
"""Seconds that compiling may take; 15 s is usual, and 210 s were seen where thirty others wanted the two processors."""


def cached(cache: Path) -> Path | None:
    """Return the jar for the installed puppetserver if it was made before."""
    jar = _place(cache)
    return jar if jar.exists() else None


def compiled(cache: Path) -> Path:
    """Return the jar for the installed puppetserver, made now if it is not there.

    Raises `ProcessFailed` if puppetserver is not installed or does not compile.
    """
    jar = _place(cache)
    if jar.exists():
        return jar
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "making.lock").open("w") as lock, tempfile.TemporaryDirectory(dir=cache, prefix="making-") as making:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jar.exists():
            return jar
        classes = Path(making, "classes")
        classes.mkdir()
        _compile(classes)
        # Stored, not deflated: the JVM reads it faster, and 30 MB do not matter here.
        with (
            whole_file.filled(jar, mode=0o644, survives=Strength.ORDER) as aside,
            zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive,
        ):
            for file in sorted(classes.rglob("*.class")):
                archive.write(file, file.relative_to(classes))
    return jar


def _compile(classes: Path) -> None:
    namespaces = sorted({service.partition("/")[0] for service in (*SERVICES, NO_AUTHORITY)})
    names = " ".join((MAIN, *namespaces))
    command = [
        "java",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        f"{classes}:{JAR}",
        f"-Djruby.lib={JRUBY_LIBRARY}",
        f"-Dclojure.compile.path={classes}",
        "clojure.main",
        "-e",
        f"(run! compile '[{names}])",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessFailed(f"compiling puppetserver's classes failed: {error}", where=str(JAR)) from error
    if done.returncode:
        said = done.stdout + done.stderr
        failure = ProcessFailed(f"compiling puppetserver's classes failed: {why(said)}", where=str(JAR))
        failure.add_note(bounded(said))
        raise failure


def _place(cache: Path) -> Path:
    """Name the jar after everything that it was compiled from."""
    digest = hashlib.sha256("\n".join((*SERVICES, NO_AUTHORITY)).encode())
    for part in _parts():
        status = part.stat()
        digest.update(f"{part.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return cache / f"puppetserver-{digest.hexdigest()[:16]}.jar"


def _parts() -> list[Path]:
    """Return puppetserver's jar and those that its manifest's Class-Path names."""
    try:
        with zipfile.ZipFile(JAR) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ProcessFailed(f"puppetserver is not installed here: {error}", where=str(JAR)) from error
    # A long line of a manifest goes on in the next one, which begins with a space.
    for line in manifest.replace("\r\n", "\n").replace("\n ", "").splitlines():
        key, _, value = line.partition(": ")
        if key == "Class-Path":
            named = (JAR.resolve().parent / part.removeprefix("file:") for part in value.split())
            return [JAR, *(part for part in named if part.is_file())]
    return [JAR]
