"""What a service comes to hold in ten thousand pushes beside gc and repack: memory, descriptors, packs that are gone.

tests/support/soak.py tells what a push is here. No clock: the machine's mood does not matter. `--directory /dev/shm`
spares a slow disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.slapd import Slapd
from tests.support.soak import Held, Soak
from tests.support.transports import people

GROWTH = 1.5
"""The memory at the end against that in the middle may be so many times as much: by then all is remembered that is."""


def main(words: list[str]) -> int:
    """Print the table; exit status 1 if a push failed or what is held grows without end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench pushes", description=__doc__)
    parser.add_argument("--pushes", type=int, default=10_000, help="default 10,000")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds from one gc to the next (default 1)")
    parser.add_argument("--directory", type=Path, help="where to work (default: the system's temporary directory)")
    chosen = parser.parse_args(words)
    marks = [chosen.pushes * tenths // 10 for tenths in (1, 5, 10)]
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        slapd = Slapd(Path(directory, "slapd"))
        try:
            people(slapd)
            return _run(Soak(Path(directory, "site"), slapd), marks, chosen.pause)
        finally:
            slapd.stop()


def _run(soak: Soak, marks: list[int], pause: float) -> int:
    heads = ("pushes", "seconds", "own memory", "resident", "descriptors", "packs", "gone")
    widths = (8, 8, 11, 9, 12, 6, 5)
    print(*(head.rjust(width) for head, width in zip(heads, widths, strict=True)))
    began, seen = time.monotonic(), list[Held]()
    with soak.service() as pid:
        for held in soak.run(pid, marks, pause):
            seen.append(held)
            sizes = (f"{size >> 20} MB" for size in (held.memory, held.resident))
            cells = (held.pushes, round(time.monotonic() - began), *sizes, held.descriptors, held.packs, held.gone)
            print(*(str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)
    wrong = [*soak.failures, *soak.wrong()]
    _, middle, last = seen
    bounded = last.memory <= GROWTH * middle.memory and last.descriptors <= middle.descriptors + 12
    print(f"git gc, git gc --prune=now and git repack -ad: {soak.collections} times")
    print(f"a push or a gc that gave up because it met another gc, and came again: {soak.met}")
    print(f"pushes that failed, environments that show something else: {len(wrong)}")
    for one in wrong[:5]:
        print(f"  {one}", file=sys.stderr)
    print(f"memory and descriptors are bounded: {'met' if bounded else 'MISSED'}")
    return int(bool(wrong) or not bounded)
