"""Run the benchmarks and print a table for each; exit status 1 if a target is missed.

`answers`, `branches`, `catalogs`, `checks`, `pushes`, `history` or `siege` with its options runs one of them; without a
word, all run.

Everything that is compared with each other is measured in the same run, turn
by turn, because machines differ by more than our targets do: look at ratios.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import branches, catalogs, checks, history, large_directory, pushes, siege
from tests.bench.site import ENC, HERE, Site, median, percentile, spawn_time, wait_until


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def cells(self) -> tuple[str, str, str]:
        if self.limit is None:
            return self.what, f"{self.value:.2f} {self.unit}", ""
        sign = "at least" if self.at_least else "at most"
        return (
            self.what,
            f"{self.value:.2f} {self.unit}",
            f"{sign} {self.limit:g} {self.unit}: {'met' if self.met else 'MISSED'}",
        )


def refreshes(site: Site) -> list[Row]:
    """Time a first start, a start with everything read again, and OpenLDAP's own client reading the same entries."""
    print("full refreshes, and ldapsearch reading the same", file=sys.stderr)
    peer = [site.ldapsearch()]
    first = site.follow()
    memory = site.peak_memory()
    site.leave()
    peer.append(site.ldapsearch())
    # Cookies away: everything is read again, and nothing of it is new.
    site.forget_cookies()
    again = site.follow()
    memory = max(memory, site.peak_memory())
    site.leave()
    resumed = site.follow()
    return [
        Row("ldapsearch reads all nodes", median(peer), "s"),
        Row("full refresh, nothing on disk", first, "s"),
        Row("  against ldapsearch", first / median(peer), "times"),
        Row("full refresh, nothing changed", again, "s"),
        Row("  against ldapsearch", again / median(peer), "times"),
        Row("restart from the cookie", resumed, "s"),
        Row("follower's memory at most", memory, "MB", 400),
    ]


def calls(site: Site, rounds: int) -> list[Row]:
    """Time `enc` against its peers, in turn, each time for another node."""
    print("enc against its peers", file=sys.stderr)
    program = site.base / "call"
    subprocess.run(["gcc", "-O2", "-static", "-o", program, HERE / "call.c"], check=True)
    times: dict[str, list[float]] = {"c": [], "enc": [], "python": [], "ldap3": []}
    script = "import sys;sys.stdout.write(open(sys.argv[1]).read())"
    for turn in range(rounds):
        number = turn * 7919 % site.nodes
        name = large_directory.certname(number)
        file = site.layout.nodes / f"{name}.yaml"
        times["c"].append(spawn_time([program, file]))
        times["enc"].append(spawn_time([ENC, "--config", site.configuration, name]))
        if turn % 10 == 0:
            times["python"].append(spawn_time(["/usr/bin/python3", "-IS", "-c", script, file]))
            times["ldap3"].append(spawn_time(site.peer("ask_ldap.py", name)))
    c, enc, python, ldap3 = (median(times[key]) for key in ("c", "enc", "python", "ldap3"))
    return [
        Row("static C program copies the answer", c, "ms"),
        Row("enc", enc, "ms"),
        Row("  against C", enc / c, "times", 4),
        Row("  99th percentile", percentile(times["enc"], 0.99), "ms", 50),
        Row("python3 -IS copies the answer", python, "ms"),
        Row("Python asks LDAP through ldap3", ldap3, "ms"),
        Row("  against enc", ldap3 / enc, "times", 40, at_least=True),
    ]


def outage(site: Site, rounds: int) -> list[Row]:
    """Time `enc` while slapd hangs."""
    print("enc while slapd hangs", file=sys.stderr)
    times = []
    with site.hung():
        for turn in range(rounds):
            name = large_directory.certname(turn * 7919 % site.nodes)
            times.append(spawn_time([ENC, "--config", site.configuration, name]))
            time.sleep(0.02)
    return [Row("enc while slapd hangs, the slowest", max(times), "ms", 50)]


def changes(site: Site, count: int) -> list[Row]:
    """Time from ldapmodify's return to the new answer on disk, and a project's change."""
    print("changes", file=sys.stderr)
    times = []
    for turn in range(count):
        number = turn * 104_729 % site.nodes
        wanted = f'"turn{turn}"'
        site.modify(large_directory.node_dn(number), "puppetVar", f"turn=turn{turn}")
        times.append(wait_until(lambda n=number, w=wanted: w in site.answer_of(n)) * 1000)  # type: ignore[misc]
    project = []
    size = min(large_directory.NODES_IN_PROJECT, site.nodes)
    for turn in range(5):
        site.modify(large_directory.project_dn(0), "puppetVar", f"project_turn=p{turn}")
        began = time.perf_counter()
        for number in range(size):
            wait_until(lambda n=number, t=turn: f'"p{t}"' in site.answer_of(n))  # type: ignore[misc]
        project.append(time.perf_counter() - began)
    return [
        Row(f"ldapmodify to answer, median of {count}", median(times), "ms"),
        Row("  99th percentile", percentile(times, 0.99), "ms", 200),
        Row(f"project changed, its {size} nodes", max(project), "s", 2),
    ]


def answers(words: list[str]) -> int:
    """Measure the classifier, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench answers", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    arguments = parser.parse_args(words)
    base = Path(tempfile.mkdtemp(prefix="puppetmaster-bench-", dir=arguments.directory))
    try:
        print(f"loading {arguments.nodes} nodes", file=sys.stderr)
        site = Site(base, arguments.nodes)
        try:
            rows = refreshes(site)
            rows += calls(site, arguments.calls)
            rows += outage(site, 50)
            rows += changes(site, arguments.changes)
        finally:
            site.end()
    finally:
        shutil.rmtree(base)
    cells = [(f"{arguments.nodes} nodes", "measured", "target"), *(row.cells() for row in rows)]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    for cell in cells:
        print("  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True)).rstrip())
    return 0 if all(row.met for row in rows) else 1


def main(words: list[str]) -> int:
    """Run what the first word says."""
    if words[:1] == ["branches"]:
        return branches.main(words[1:])
    if words[:1] == ["catalogs"]:
        return catalogs.main(words[1:])
    if words[:1] == ["checks"]:
        return checks.main(words[1:])
    if words[:1] == ["pushes"]:
        return pushes.main(words[1:])
    if words[:1] == ["history"]:
        return history.main(words[1:])
    if words[:1] == ["siege"]:
        return siege.main(words[1:])
    if words[:1] == ["answers"]:
        return answers(words[1:])
    ended = branches.main([]) | catalogs.main([]) | checks.main([]) | pushes.main([])
    return history.main([]) | siege.main([]) | answers(words) | ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
