"""Differences of catalogs against octocatalog-diff: the same pairs in the same run, the same differences found.

    python -m tests.bench catalogs [--rounds N] [--program octocatalog-diff]

The pairs are tests/cases/catalogs.yaml, and one large pair of 2,000 resources.
Both read the two files, compare, and give the result as JSON. octocatalog-diff
(Debian's package of that name) runs as people run it, a process for each node; the time of
its library alone, in a process that stays, is told as well.

The same differences: what octocatalog-diff finds, we find. What we find besides is what
the cases say that it cannot see (`ours`): files by source, exported resources.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from enc.catalogs import catalog, effect
from enc.catalogs.compare import CONTENT, Change, Contents, compare
from enc.catalogs.effect import Effect, NodeEffect
from tests.support.catalogs import CASES, MASK, document, told

TARGET = 10
LARGE = 2_000
_LIBRARY = """\
require 'octocatalog-diff'
require 'json'
require 'logger'
options = {logger: Logger.new(File::NULL), ignore: [{type: 'Class'}]}
times = ARGV.each_slice(2).map do |pair|
  began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  sides = pair.map { |file| OctocatalogDiff::Catalog.create(json: File.read(file)) }
  OctocatalogDiff::CatalogDiff::Differ.new(options, *sides).diff.to_json
  Process.clock_gettime(Process::CLOCK_MONOTONIC) - began
end
puts times.to_json
"""


def large() -> dict[str, Any]:
    """Return a pair with many resources, of which one in fifty differs."""

    def resources(side: int) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for number in range(LARGE):
            changed = side if number % 50 == 0 else 0
            text = "".join(f"line {line} of {number}{changed}\\n" for line in range(20))
            found[f"File[/etc/f{number}]"] = {
                "ensure": "file",
                "content": text,
                "mode": "0644",
                "require": ["Class[A]"],
            }
        return found

    return {"name": "large", "before": resources(0), "after": resources(1)}


def ours(before: Path, after: Path, files: dict[str, Any]) -> tuple[float, tuple[Change, ...]]:
    """Return seconds and differences of one pair."""
    began = time.perf_counter()
    old, new = (Contents(lambda source, side=side: files.get(source, (None, None))[side]) for side in (0, 1))  # type: ignore[misc]
    found = compare(catalog.read(before.read_bytes()), catalog.read(after.read_bytes()), MASK, old, new)
    one = Effect((NodeEffect("web1.example.org", "differs" if found else "same", found),), {})
    json.dumps([effect.document(node) for node in one.nodes])
    return time.perf_counter() - began, found


def theirs(program: str, before: Path, after: Path) -> tuple[float, set[tuple[str, str, str]]]:
    """Return seconds, and the differences as sign, resource and parameter."""
    began = time.perf_counter()
    words = ["-n", "web1.example.org", f"--from-catalog={before}", f"--to-catalog={after}", "--output-format=json"]
    done = subprocess.run([program, *words, "-q"], capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode not in (0, 2) or (done.stdout and not done.stdout.startswith("{")):  # 2: they differ
        raise SystemExit(f"{program} failed: {done.stderr}{done.stdout}")
    found = set()
    for one in json.loads(done.stdout or '{"diff": []}')["diff"]:
        sign = {"+": "+", "-": "-"}.get(one["diff_type"], "~")
        if one["structure"][:1] == ["sensitive_parameters"]:
            continue  # the parameter itself is told, too
        parameter = one["structure"][1] if sign == "~" and len(one["structure"]) > 1 else ""
        found.add((sign, f"{one['type']}[{one['title']}]", parameter))
    return took, found


def parted(changes: tuple[Change, ...]) -> set[tuple[str, str, str]]:
    """Return ours in the same form; exported resources say so."""
    found = set()
    for change in changes:
        sign, name = told(change)[0], f"{'exported ' if change.exported else ''}{change.key}"
        found |= {(sign, name, one.name if sign == "~" else "") for one in change.parameters} or {(sign, name, "")}
    return found


def main(words: list[str]) -> int:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench catalogs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", default="octocatalog-diff")
    parser.add_argument("--ruby", default="ruby")
    arguments = parser.parse_args(words)
    if shutil.which(arguments.program) is None:
        print(f"{arguments.program} is not installed: apt-get install octocatalog-diff", file=sys.stderr)
        return 1
    base = Path(tempfile.mkdtemp(prefix="puppetmaster-bench-"))
    try:
        return _measured(base, arguments)
    finally:
        shutil.rmtree(base)


def _measured(base: Path, arguments: argparse.Namespace) -> int:
    pairs = []
    for number, case in enumerate([*CASES, large()]):
        files = [base / f"{number}.{side}.json" for side in ("before", "after")]
        for file, side in zip(files, ("before", "after"), strict=True):
            file.write_text(json.dumps(document(case[side], virtual=False)), encoding="utf-8")
        pairs.append((case, files[0], files[1]))
    wrong, times = [], {"ours": [], "theirs": [], "ours, large": [], "theirs, large": []}  # type: ignore[var-annotated]
    for turn in range(arguments.rounds):
        for case, before, after in pairs:
            which = ", large" if case["name"] == "large" else ""
            took, changes = ours(before, after, case.get("files", {}))
            times[f"ours{which}"].append(took)
            if turn and not which and turn > 1:
                continue  # their program's time is nearly all its start
            other, found = theirs(arguments.program, before, after)
            times[f"theirs{which}"].append(other)
            if turn == 0:
                wrong += _compared(case, parted(changes), found)
    paths = [str(file) for _, before, after in pairs for file in (before, after)]
    done = subprocess.run([arguments.ruby, "-e", _LIBRARY, *paths, *paths], capture_output=True, text=True, check=False)
    library = json.loads(done.stdout)[len(pairs) :] if done.returncode == 0 else []
    met = not wrong
    for name, which in (("a node of the cases", ""), (f"a node of {LARGE} resources", ", large")):
        mine, other = median(times[f"ours{which}"]), median(times[f"theirs{which}"])
        met &= other / mine >= TARGET
        print(f"{name}: ours {mine * 1000:.2f} ms, octocatalog-diff {other * 1000:.1f} ms: {other / mine:.0f} times")
    if library:
        small, big = median(library[:-1]), library[-1]
        print(f"its library alone, in a process that stays: {small * 1000:.2f} ms and {big * 1000:.1f} ms")
    for line in wrong:
        print(f"DIFFERENT: {line}")
    same, fast = "yes" if not wrong else "NO", "met" if met else "MISSED"
    print(f"{len(CASES)} pairs, the same differences: {same}; at least {TARGET} times faster: {fast}")
    return 0 if met else 1


def _compared(case: dict[str, Any], mine: set[tuple[str, str, str]], other: set[tuple[str, str, str]]) -> list[str]:
    """Return what only one of the two finds, and the case does not say that only we can."""
    allowed = set()
    for text in case.get("ours", ()):
        sign, rest = text[0], text[2:]
        name, parameters = rest[: rest.index("]") + 1], rest[rest.index("]") + 1 :].strip()
        names = parameters.replace(f" {CONTENT}", f"\0{CONTENT}").split("\0")
        allowed |= {one for one in mine if one[:2] == (sign, name) and (sign != "~" or one[2] in names)}
    lost = other - mine
    more = mine - other - allowed
    said = [f"{case['name']}: only octocatalog-diff finds {one}" for one in sorted(lost)]
    return said + [f"{case['name']}: only we find {one}" for one in sorted(more)]
