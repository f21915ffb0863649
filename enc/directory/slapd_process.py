"""OpenLDAP's server programs: found, run, asked for a sign of life, ended.

Owns the processes and nothing else: what slapd is configured to do stands in
embedded_config.py, which files it has in embedded_home.py. A process is signalled
through a pidfd and only after its command line named our configuration file,
so a recycled pid is never hit.

Failure modes: `ToolkitError` with what the program said about it when it refuses,
`DirectoryUnreachable` when slapd does not answer in time.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from enc.directory import slapd_log
from enc.programs.machine_trouble import said
from enc.terms.errors import DirectoryUnreachable, ToolkitError
from enc.terms.program_words import why

Process = subprocess.Popen[bytes]
"""A slapd that this very program started."""

_SEARCH = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/lib/openldap", "/usr/libexec/openldap")
_MODULE_DIRECTORIES = (
    "/usr/lib/ldap",
    "/usr/lib64/openldap",
    "/usr/lib/openldap",
    "/usr/libexec/openldap",
    "/usr/local/libexec/openldap",
)
_SCHEMA_DIRECTORIES = ("/etc/ldap/schema", "/etc/openldap/schema", "/usr/local/etc/openldap/schema")

_ANONYMOUS_BIND = bytes.fromhex("300c020101600702010304008000")
"""The shortest LDAP question (RFC 4511, 4.2): message 1, bind as nobody, version 3."""
_BIND_DONE = bytes.fromhex("300c02010161070a010004000400")

_OFFLINE_TIMEOUT = 900.0
"""Seconds for loading or dumping a database; a million nodes take less than a minute."""


def program(name: str) -> Path:
    """Return the path of an OpenLDAP server program; raise `ToolkitError` if it is not installed.

    /usr/sbin is not on an ordinary user's PATH, hence the list.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SEARCH))
    if not found:
        raise ToolkitError(f"{name} is not installed; install OpenLDAP's server (Debian: apt-get install slapd)")
    return Path(found)


def schema_directory() -> Path:
    """Return where OpenLDAP's own schemas are; raise `ToolkitError` if nowhere."""
    for directory in _SCHEMA_DIRECTORIES:
        if (Path(directory) / "core.schema").is_file():
            return Path(directory)
    raise ToolkitError(f"OpenLDAP's schemas are in none of {', '.join(_SCHEMA_DIRECTORIES)}; install slapd")


def modules(wanted: Iterable[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Return the module directory and those of `wanted` that are files in it; the others are built in."""
    names = tuple(wanted)
    for directory in map(Path, _MODULE_DIRECTORIES):
        present = tuple(n for n in names if any((directory / f"{n}{end}").is_file() for end in (".so", ".la")))
        if present:
            return directory, present
    return None, ()


def run_offline(name: str, arguments: Sequence[str | Path], *, what: str) -> str:
    """Run a program that works on files, such as slapadd; return its stdout.

    Raise `ToolkitError` that begins with `what` and ends with what the program said about it.
    """
    try:
        done = subprocess.run(
            [program(name), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_OFFLINE_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolkitError(f"{what}: {said(error)}") from error
    if done.returncode != 0:
        raise ToolkitError(f"{what}: {why(done.stderr, f'{name} exited with {done.returncode}')}")
    return done.stdout


class Started(NamedTuple):
    """A slapd that this very program started, and what writes its log (slapd_log.py)."""

    slapd: Process
    log: Process


def spawn(configuration: Path, uris: Sequence[str], *, log_level: str, log: Path, limit: int, alive: int) -> Started:
    """Start slapd apart from our terminal, its messages appended to `log`, which is moved aside beyond `limit` octets.

    slapd inherits the file descriptor `alive` and with it the lock on that file, which
    therefore lasts exactly as long as slapd does, however it ends.
    """
    apart: dict[str, Any] = {"cwd": "/", "start_new_session": True}
    found = program("slapd")
    reading, writing = os.pipe()
    try:
        # A log that is not written, whatever the reason, must not hold up slapd: what finds no room is lost.
        os.set_blocking(writing, False)
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", slapd_log.__file__, str(log), str(limit)],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **apart,
        )
        slapd = subprocess.Popen(
            # -d keeps it in the foreground (we detach it ourselves) and sends its log to stderr.
            [found, "-d", log_level, "-f", configuration, "-h", " ".join(uris)],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            pass_fds=(alive,),
            **apart,
        )
    finally:
        os.close(reading)
        os.close(writing)
    return Started(slapd, keeper)


def answers(socket_path: Path, timeout: float) -> bool:
    """Tell whether a slapd answers an anonymous bind on its socket within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(socket_path))
            connection.sendall(_ANONYMOUS_BIND)
            received = b""
            while len(received) < len(_BIND_DONE):
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                chunk = connection.recv(len(_BIND_DONE) - len(received))
                if not chunk:
                    return False
                received += chunk
        except OSError:
            return False
        return received == _BIND_DONE


def belongs(pid: int, configuration: Path) -> bool:
    """Tell whether process `pid` lives and is a slapd that runs with `configuration`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return Path(os.fsdecode(words[0])).name == "slapd" and os.fsencode(configuration) in words


def end(pid: int, configuration: Path, *, patience: float) -> None:
    """End the slapd `pid` in good order; after `patience` seconds kill it (its database survives that)."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not belongs(pid, configuration):
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            signal.pidfd_send_signal(handle, signal.SIGCONT)
            if not _ended(handle, patience):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not _ended(handle, 10):
                    raise ToolkitError(f"slapd (process {pid}) does not end; it hangs in the kernel")
    finally:
        os.close(handle)


def reap(child: Started) -> None:
    """Take note that our own children ended, so that they do not stay as zombies; the log is whole then."""
    for process in child:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _ended(handle: int, timeout: float) -> bool:
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(timeout * 1000))


def wait_until_it_answers(child: Started, socket_path: Path, *, timeout: float, log: Path, log_start: int) -> None:
    """Return when `child` answers; raise `DirectoryUnreachable` with its words if it does not."""
    deadline = time.monotonic() + timeout
    while not answers(socket_path, min(1.0, timeout)):
        ended = child.slapd.poll() is not None
        if ended or time.monotonic() > deadline:
            if ended:
                reap(child)
            with log.open("rb") as stream:
                stream.seek(log_start)
                words = why(stream.read().decode(errors="replace"), "it said nothing")
            how = "ended at once" if ended else f"does not answer after {timeout:g} s"
            raise DirectoryUnreachable(f"slapd {how}: {words}", where=str(log))
        time.sleep(0.01)
