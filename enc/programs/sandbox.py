"""Runs one program on code that nobody has read: it gets octets, gives octets back, and reaches nothing else.

It may be shown a directory besides (`Shown`), which it can read and not write.

bubblewrap (`bwrap`, in every distribution) makes the sandbox from namespaces
that any account may make, so nothing here needs root. The program sees /usr and
what belongs to it, read-only, and one directory of its own, in memory, that
goes away with it. It has no network, no other process, no /proc, no file of
this machine's configuration or of the account that starts it; it is nobody
there, without rights and without a way to any. What it works on comes over its
standard input, what it made goes over its standard output: nothing of this
machine's disk is written, and nothing but octets comes back.

Started by root, it is nobody outside as well. Started by another account, the
kernel still counts it as that account's; there is nothing of it in sight.

Bounded: time, processes, memory of each process and of all together, the size of
a file, what is written to the directory, what is answered and said. Calls of the
system that lead past that are refused by the kernel (system_calls.py). When the
program ends, or a bound is passed, or this process ends, all that it started is
ended by the kernel.

Owns: the sandbox. Failure modes: `NoSandbox` where none can be made: nothing was
run, and the caller must do without. `OutOfBounds`. Not here: what the octets
mean; they are the program's, and as hostile as that.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from enc.programs.system_calls import denied
from enc.terms.errors import ToolkitError
from enc.terms.program_words import why

WORK = "/sandbox"
"""The program's own directory, where it is started."""
BWRAP = Path("/usr/bin/bwrap")
_NOBODY = 65534
_MADE = b"\n"
"""What comes first over standard output, from inside, when all walls stand."""
_LOOK = 0.1
"""Seconds between two looks at how much memory is used."""
_PROGRAMS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr on some systems, directories on others."""
_BESIDE = (
    *("/etc/ld.so.cache", "/etc/alternatives", "/var/lib/gems"),
    # Of Puppet's own packages the programs, and not the agent's state beside them.
    *(f"/opt/puppetlabs/{name}" for name in ("bin", "puppet/bin", "puppet/lib", "puppet/share")),
)
"""What programs of /usr need, where it is there."""
_ACCOUNTS = {
    "/etc/passwd": f"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::{WORK}:/bin/sh\n".encode(),
    "/etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}
"""Who there is inside. Puppet takes a system without root for none."""


class Bounds(NamedTuple):
    """How much one run may take."""

    seconds: float = 120.0
    processes: int = 24
    """Threads count, too."""
    process_bytes: int = 768 << 20
    """Of address space, for each process."""
    memory: int = 1 << 30
    """Bytes of all processes together; looked at ten times a second."""
    work: int = 64 << 20
    """Bytes in its own directory."""
    file: int = 16 << 20
    """Bytes of one file."""
    answer: int = 16 << 20
    """Bytes of standard output."""
    said: int = 256 << 10
    """Bytes of standard error that are kept."""
    end: bool = False
    """Of standard error the end is kept; else the beginning."""


class Done(NamedTuple):
    """What a run brought."""

    status: int
    answer: bytes
    said: bytes


class Shown(NamedTuple):
    """A directory of this machine that the program sees, read-only, and in which it is started."""

    directory: Path
    """Whoever starts the sandbox must be able to reach it; as root, nobody must."""
    place: str
    """Its path inside."""


USUAL = Bounds()
"""Enough for a program that loads a site's Ruby."""


class NoSandbox(ToolkitError):
    """No sandbox can be made on this machine, or not by this process; nothing was run."""


class OutOfBounds(ToolkitError):
    """The program took more than it may."""

    said = b""
    """What it had written to standard error."""


def run(
    command: Sequence[str], given: bytes, bounds: Bounds = USUAL, bwrap: Path = BWRAP, shown: Shown | None = None
) -> Done:
    """Run `command` (by absolute path) on `given`; raise `NoSandbox` or `OutOfBounds`."""
    if not bwrap.exists():
        raise NoSandbox("no sandbox can be made: bubblewrap is not installed (apt install bubblewrap)")
    nobody: Any = {"user": _NOBODY, "group": _NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
    source, files = _sealed(given), {place: _sealed(text) for place, text in _ACCOUNTS.items()}
    calls = [_sealed(filtered)] if (filtered := denied(os.uname().machine)) is not None else []
    walls = [*_walls(bounds, files, shown), *(word for one in calls for word in ("--seccomp", str(one)))]
    try:
        process = subprocess.Popen(
            [str(bwrap), *walls, "--", *_limits(bounds), *command],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(*files.values(), *calls),
            env={},
            cwd="/",
            **nobody,
        )
    except OSError as error:
        raise NoSandbox(f"no sandbox can be made: {bwrap} cannot be started: {error.strerror}") from error
    finally:
        for descriptor in (source, *files.values(), *calls):
            os.close(descriptor)
    said = bytearray()
    try:
        answer = _listen(process, bounds, said)
        status = process.wait()
    except OutOfBounds as error:
        error.said = bytes(said)
        raise
    finally:
        process.kill()  # bwrap's end is the end of all that it started
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if not answer.startswith(_MADE):
        words = why(said.decode("utf-8", "replace"), f"bwrap ended with {status}, and said nothing")
        raise NoSandbox(f"no sandbox can be made: {words}")
    return Done(status, answer[len(_MADE) :], bytes(said))


def _walls(bounds: Bounds, files: Mapping[str, int], shown: Shown | None) -> list[str]:
    arguments = ["--unshare-all", "--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY), "--cap-drop", "ALL"]
    arguments += ["--die-with-parent", "--new-session", "--clearenv"]
    for name, value in (("PATH", "/usr/bin:/bin"), ("HOME", WORK), ("LANG", "C.UTF-8"), ("TMPDIR", WORK)):
        arguments += ["--setenv", name, value]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for place in _PROGRAMS:
        if Path(place).is_symlink():
            arguments += ["--symlink", str(Path(place).readlink()), place]
        else:
            arguments += ["--ro-bind-try", place, place]
    for place in _BESIDE:
        arguments += ["--ro-bind-try", place, place]
    for place, descriptor in files.items():
        arguments += ["--ro-bind-data", str(descriptor), place]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        arguments += ["--dev-bind", device, device]
    arguments += ["--size", str(bounds.work), "--tmpfs", WORK, "--symlink", WORK, "/tmp"]  # noqa: S108 - its own
    if shown is not None:
        arguments += ["--ro-bind", str(shown.directory), shown.place]
    return [*arguments, "--remount-ro", "/", "--chdir", WORK if shown is None else shown.place]


def _limits(bounds: Bounds) -> list[str]:
    """Return what sets the limits from inside, so that processes are counted there, and says that all is made."""
    limits = {
        "nproc": bounds.processes,
        "as": bounds.process_bytes,
        "fsize": bounds.file,
        "cpu": int(bounds.seconds) + 1,
        "nofile": 128,
        "core": 0,
        "msgqueue": 0,
        "memlock": 0,
    }
    told = [f"--{name}={most}" for name, most in limits.items()]
    return ["prlimit", *told, "--", "sh", "-c", 'echo; exec "$@"', "sh"]


def _sealed(given: bytes) -> int:
    """Return a descriptor of `given` that nobody can write to, so that what is read from it needs no thread of ours."""
    from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl

    descriptor = os.memfd_create("given", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    left = memoryview(given)
    while left:
        left = left[os.write(descriptor, left) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl(descriptor, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)
    return descriptor


def _listen(process: subprocess.Popen[bytes], bounds: Bounds, said: bytearray) -> bytes:
    """Return what the program answers, with what it says in `said`; raise `OutOfBounds`."""
    assert process.stdout is not None and process.stderr is not None
    until = monotonic() + bounds.seconds
    answer = bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        waiting.register(process.stderr, selectors.EVENT_READ)
        looked = monotonic()
        while waiting.get_map():
            ready = waiting.select(_LOOK)
            now = monotonic()
            if now > until:
                raise OutOfBounds(f"did not end within {bounds.seconds:.0f} s")
            if now - looked >= _LOOK:
                looked = now
                if _memory(process.pid) > bounds.memory:
                    raise OutOfBounds(f"took more than {bounds.memory >> 20} MB of memory")
            for key, _ in ready:
                part = os.read(key.fd, 65_536)
                if not part:
                    waiting.unregister(key.fileobj)
                elif key.fd == process.stdout.fileno():
                    answer += part
                    if len(answer) > bounds.answer:
                        raise OutOfBounds(f"answered with more than {bounds.answer} bytes")
                elif bounds.end:
                    said += part
                    del said[: -bounds.said]
                else:
                    said += part[: max(0, bounds.said - len(said))]
    return bytes(answer)


def _memory(pid: int) -> int:
    """Return the bytes of memory that a process and all below it have; what ended meanwhile has none."""
    pages, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        with suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        with suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):  # noqa: PTH208 - raises at once, and not in the middle
                with suppress(OSError):
                    waiting += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
    return pages * os.sysconf("SC_PAGE_SIZE")
