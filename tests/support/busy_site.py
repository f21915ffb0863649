"""A site on which people work while all units run, and what is seen of it meanwhile and afterwards.

`Busy` runs two lines of work side by side (busy_lines.py) for a time, and looks: what do the doctors say, what do the
services hold? `wrong` is what is not as it should be, in the end.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from typing import NamedTuple

from tests.support.busy_lines import Developers, People
from tests.support.unit_site import SERVICES, TIMERS, UnitSite

PROGRAMS = ("enc-admin", "branch-manager")
KNOWN = {"certificate-ends"}
"""Checks that find something on this machine as it is: the played authority's certificates do not live long."""
_HELD = r"""
for unit in %s; do
  memory=0 handles=0 processes=0
  for place in $(grep -ls "/$unit\.service$" /proc/[0-9]*/cgroup); do
    process=${place%%/cgroup}
    own=$(awk '/^RssAnon/ {print $2}' $process/status 2>/dev/null) || continue
    open=$(ls -l $process/fd 2>/dev/null | grep -c -v '^total\|/objects/pack/')
    memory=$((memory + ${own:-0})) handles=$((handles + open)) processes=$((processes + 1))
  done
  echo "$unit $memory $handles $processes $(systemctl show -P NRestarts $unit)"
done
"""


class Held(NamedTuple):
    """What a service's processes hold."""

    memory: int
    """KiB that are their own: mapped files are the page cache's."""
    handles: int
    """But for packs of the repository, of which git itself keeps at most some fifty (gc.autoPackLimit)."""
    processes: int
    restarts: int


class Busy:
    """Both lines, and what is seen meanwhile."""

    def __init__(self, site: UnitSite) -> None:
        self.site = site
        self.people, self.developers = People(site), Developers(site)
        self.told = Counter[str]()
        """What the doctors found, in words → in how many looks; what was gone moments later, too."""
        self.looks = 0
        self.held: list[dict[str, Held]] = []
        self.failures: list[str] = []
        self._since = site.sh("date '+%Y-%m-%d %H:%M:%S'").strip()

    def run(self, minutes: float, *, pause: float, between: float) -> None:
        """Work so long, with `pause` s after each piece, and a look every `between` s."""
        ended = time.monotonic() + minutes * 60
        lines = (self.people, self.developers)
        with ThreadPoolExecutor(len(lines)) as pool:
            waiting = [pool.submit(line.work, lambda: time.monotonic() < ended, pause) for line in lines]
            while wait(waiting, timeout=between).not_done:
                self.look()
            for one in waiting:
                one.result()
        self.look()

    def look(self) -> None:
        """Look at everything. What a doctor goes on finding for half a minute is not under way any more: it stays."""
        self.looks += 1
        stays = self._doctors()
        self.told.update(stays)
        for _ in range(15):
            if not stays:
                break
            time.sleep(2)
            stays &= self._doctors()
        self.failures += [f"look {self.looks}: {one}" for one in sorted(stays)]
        self.held.append(self._held())

    def wrong(self) -> list[str]:
        """Return what is not as it should be, now that nobody works."""
        site, wrong = self.site, [*self.failures, *self.people.failures, *self.developers.failures]
        wrong += [*self.people.answers(), *self.developers.live()]
        site.sh(f"systemctl start {' '.join(f'{one}.service' for one in TIMERS)}")
        wrong += [f"{name} is there without a server" for name in self.people.kept_too_long(25 * 60)]
        for command in ("branch-manager verify-store", "branch-manager verify", "branch-manager status"):
            done = site.try_(command)
            wrong += [f"{command}: {done.output}"] if done.status else []
        unfinished = json.loads(site.sh("enc-admin instance list --unfinished --json"))["operations"]
        wrong += [f"unfinished: {one}" for one in unfinished]
        trail = site.sh("cat /var/lib/puppetmaster/audit/trail.jsonl")
        wrong += [f"the trail lacks edit {one}" for one in self.people.edits if one not in trail]
        said = site.sh(f"journalctl --no-pager -o short-iso --since '{self._since}' -u 'puppetmaster-*'")
        wrong += [line for line in said.splitlines() if "Traceback" in line or "never happen" in line]
        bad = site.sh(f"journalctl --no-pager -o short-iso -p err --since '{self._since}' -u 'puppetmaster-*'")
        wrong += [line for line in bad.splitlines() if not line.startswith("-- ")]
        # slapd has a log of its own, and speaks of nothing here; its unit of starting and ending only.
        said = site.sh(f"journalctl --no-pager -o cat --since '{self._since}' -u puppetmaster-directory -t slapd")
        wrong += [f"slapd in the journal: {line}" for line in said.splitlines() if not line.startswith("-- ")]
        for unit, held in self.held[-1].items():
            first = self.held[0][unit]
            wrong += [f"{unit} was started again: {held}"] if held.restarts else []
            grown = held.memory > first.memory + (40 << 10) or held.handles > first.handles + 24
            wrong += [f"{unit} holds more and more: {first}, then {held}"] if grown else []
        return wrong

    def words(self) -> str:
        """Return what was done and seen, for people."""
        lines = [f"{self.looks} looks; the doctors told: {dict(self.told) or 'nothing'}"]
        for line in (self.people, self.developers):
            lines += [f"{kind}: {count}, at most {line.longest[kind]:.1f} s" for kind, count in line.done.items()]
        for unit in SERVICES:
            seen = [held[unit] for held in self.held]
            lines.append(f"{unit}: {seen[0]} … {seen[len(seen) // 2]} … {seen[-1]}")
        return "\n".join(lines)

    def _doctors(self) -> set[str]:
        found = set()
        for program in PROGRAMS:
            for check, texts in self.site.doctor(program).items():
                if check not in KNOWN:
                    found |= {f"{program} {check}: {text}" for _, text in texts}
        return found

    def _held(self) -> dict[str, Held]:
        lines = self.site.sh(_HELD % " ".join(SERVICES)).splitlines()
        return {unit: Held(*map(int, numbers)) for unit, *numbers in map(str.split, lines)}
