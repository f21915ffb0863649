"""What one git of ours may take of the machine: memory, processor time, the size of a file. Pure, but for `impose`.

What comes with a push or from a forge is small, and what it becomes is not: 16 KB can be a blob of gigabytes, by a
delta that copies the same piece over and over. git unpacks before any hook is asked. So

- no piece of memory is larger than half of `memory` (GIT_ALLOC_LIMIT, of git itself: it ends with a line that says so);
- all its writable memory together is no more than `memory` (RLIMIT_DATA: packs, which git maps for reading, do not
  count, so that a repository may be much larger);
- it ends after `seconds` of processor time, and cannot write a file beyond `file_bytes`;
- what is pushed as a delta stays one on the disk (`unpackLimit`): as loose objects, a pack of one MB could fill it.
  There is a pack for each push then, and `git gc --auto`, which git starts by itself, leaves large packs as they are.

The bounds are handed on to what git starts: hooks, and `git gc --auto`.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MEMORY = 1 << 30
"""The default of the setting `branches.git_memory`."""

OPTIONS: Mapping[str, str] = {
    "core.bigFileThreshold": "16m",  # larger ones are streamed, and no delta is looked for
    "core.deltaBaseCacheLimit": "64m",
    "pack.windowMemory": "64m",
    "pack.deltaCacheSize": "64m",
    "pack.threads": "2",  # each has a window of its own
    "receive.unpackLimit": "1",
    "gc.bigPackThreshold": "128m",
}
"""Settings of git that keep an honest one far below the bounds."""

# Where a bound cannot be set, a lower one must be there already, which a site has given the whole service.
_SHELL = (
    'for kind in d t f; do ulimit -$kind "$1" 2>/dev/null || [ "$(ulimit -H -$kind)" != unlimited ] || exit 1; shift;'
    ' done; exec "$@"'
)
# All shells that are /bin/sh have these; -f counts blocks of 512 bytes, as POSIX wants it.
_BLOCK = 512


class Bounds(NamedTuple):
    """Of one git, and of each process that it starts."""

    memory: int
    """Bytes."""
    seconds: int
    """Of processor time."""
    file_bytes: int
    """The largest file that it may write."""

    def environment(self) -> dict[str, str]:
        """Return what git must have in its environment."""
        return allocations(self.memory)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs `words` with these bounds: a process with threads cannot set them in a child."""
        limits = (self.memory >> 10, self.seconds, -(-self.file_bytes // _BLOCK))
        return ["/bin/sh", "-c", _SHELL, "sh", *map(str, limits), *words]

    def impose(self) -> None:
        """Set these bounds for this very process, which is to become git."""
        wanted = {
            resource.RLIMIT_DATA: self.memory,
            resource.RLIMIT_CPU: self.seconds,
            resource.RLIMIT_FSIZE: self.file_bytes,
        }
        for kind, most in wanted.items():
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def allocations(memory: int) -> dict[str, str]:
    """Return the environment in which git takes no piece of memory larger than half of `memory`."""
    return {"GIT_ALLOC_LIMIT": str(memory // 2)}
