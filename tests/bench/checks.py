"""What the checks of a push add to it, against a hook that runs `puppet parser validate` and `puppet-lint`.

One repository of more than 10,000 files, an environment with some thousand nodes. Every round pushes one changed
manifest, the same one, to four copies of it, one after the other, so that all share the machine's mood: with all
checks that are always made, with none of them, both by the warm service, to one whose hook starts the two programs for
the file, and to one without hooks. What checks add is the median of what a push takes longer with them in the same
round. Then Puppet's parser, as the service keeps it, is asked about every manifest of the repository. Needs the Debian
packages puppet and puppet-lint.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from enc.answers.layout import Contact, Layout
from enc.classify.model import Classification
from enc.classify.render import render_answer
from enc.settings import BranchSettings
from enc.settings.config import load
from enc.terms.names import Certname, EnvironmentName
from git_hooks.puppet_code.calls import Kind
from git_hooks.puppet_code.worker import Worker
from git_hooks.push.install import install
from git_hooks.repository.all_objects import Contents
from tests.bench.branches import CACHE, Peer, Row, deploy, service
from tests.support import key_forms
from tests.support.bare import git
from tests.support.monorepo import PROFILES, create, debian_modules, project_branch
from tests.support.slapd import Slapd
from tests.support.transports import people

ADDED = 150.0
"""Milliseconds that all checks may add to a push of one file."""
TIMES = 20.0
"""So many times as much the two programs take at least."""
EACH = 5.0
"""Milliseconds in which the parser has read a manifest, the median of all."""
NODES = 3000
OFF = {"syntax": "off", "assigned": "off", "secrets": "off", "lint": "off", "own_checks": "off"}
HOOK = """#!/bin/bash
status=0
while read -r old new ref; do
    for path in $(git diff --name-only --diff-filter=d "$old" "$new" -- '*.pp'); do
        mkdir -p "{base}/${{path%/*}}"
        git show "$new:$path" >"{base}/$path"
        puppet parser validate "{base}/$path" && puppet-lint "{base}/$path" || status=1
    done
done
exit $status
"""


def main(words: list[str]) -> int:
    """Print the table; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench checks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="pushes of each kind (default 15)")
    parser.add_argument("--manifests", type=Path, help="another repository, whose manifests at HEAD are read as well")
    parser.add_argument("--directory", type=Path, help="where to work (default: the system's temporary directory)")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        slapd = Slapd(Path(directory, "slapd"))
        try:
            people(slapd)
            rows = _run(Path(directory), slapd, chosen.rounds, chosen.manifests)
        finally:
            slapd.stop()
        for row in rows:
            verdict = "" if not row.target else f"  [{row.target}: {'met' if row.met else 'MISSED'}]"
            print(f"{row.what:<58} {row.value:>26}{verdict}")
        sys.stdout.flush()
    return int(not all(row.met for row in rows))


def manifest(number: int) -> str:
    """Return a manifest as people write them, which neither program has anything to say about."""
    files = "".join(
        f"  file {{ '/etc/stdlib/part{part}.conf':\n    ensure  => file,\n    mode    => '0644',\n"
        f"    content => \"number = {number * (part == 7)}\\n\\n${{title}}\\n\",\n  }}\n\n"
        for part in range(12)
    )
    head = "# What others use.\n#\n# @param db_password how the database knows us\nclass stdlib (\n"
    return f"{head}  Optional[Sensitive[String]] $db_password = undef,\n) {{\n{files}  notice($db_password)\n}}\n"


def _run(directory: Path, slapd: Slapd, rounds: int, other: Path | None) -> list[Row]:
    origin = directory / "origin.git"
    files = create(origin, debian_modules(CACHE), 1)
    branch = project_branch(0)
    print(f"a repository of {files} files is made", file=sys.stderr)
    rows = [Row("files in the repository", f"{files:,}", ">= 10,000", files >= 10_000)]
    (directory / "signed.pem").write_bytes(key_forms.certificate(key_forms.key("rsa"), "*.example.org"))
    checked, settings = _ours(directory / "all", origin, slapd, {}, {})
    unchecked, others = _ours(directory / "none", origin, slapd, OFF, {"members_code": "trusted"})
    hook = Peer(directory / "programs", origin)
    bare = Peer(directory / "bare", origin)
    script = hook.repository / "hooks/pre-receive"
    script.write_text(HOOK.format(base=hook.base))
    script.chmod(0o755)
    peers = {"all checks": checked, "no checks": unchecked, "puppet, puppet-lint": hook, "no hooks": bare}
    times: dict[str, list[float]] = {name: [] for name in peers}
    with ExitStack() as held:
        for base, one in ((checked.base, settings), (unchecked.base, others)):
            deploy(one, ["test", branch])
            held.enter_context(service(base, one))
        for number in range(rounds + 1):  # the first loads what is needed, and counts for nobody
            for name, peer in peers.items():
                spent = peer.push(branch, manifest(number))
                if number:
                    times[name].append(spent)
        print("pushed", file=sys.stderr)
    ours = _added(times["all checks"], times["no checks"])
    theirs = _added(times["puppet, puppet-lint"], times["no hooks"])
    rows += [Row(f"git push, {name}", f"{statistics.median(spent):.1f} ms") for name, spent in times.items()]
    rows.append(Row("all checks add", f"{ours:.1f} ms", f"<= {ADDED:g} ms", ours <= ADDED))
    times_more = theirs / max(ours, 0.1)
    rows.append(Row("puppet parser validate and puppet-lint add", f"{theirs:.1f} ms"))
    rows.append(Row("  against all checks", f"{times_more:.1f} times", f">= {TIMES:g}", times_more >= TIMES))
    for what, repository in (("the repository", origin), ("the other repository", other)):
        if repository is not None:
            rows += _read(what, repository)
    return rows


def _added(spent: Iterable[float], without: Iterable[float]) -> float:
    return statistics.median(a - b for a, b in zip(spent, without, strict=True))


def _ours(
    base: Path, origin: Path, slapd: Slapd, pushes: dict[str, str], branches: dict[str, Any]
) -> tuple[Peer, BranchSettings]:
    peer = Peer(base, origin)
    document = yaml.safe_load(slapd.configuration())
    document["pushes"] = {"identity": "gitolite", **pushes}
    document["branches"] = {
        "repository": str(peer.repository),
        "store": str(base / "store"),
        "environments": str(base / "environments"),
        "opening": {"certificates": [str(base.parent / "signed.pem")]},
        **branches,
    }
    document["answers"] = {"directory": str(base / "answers")}
    configuration = base / "config.yaml"
    configuration.write_text(yaml.safe_dump(document))
    settings = load(configuration)
    install(settings, configuration)
    _assign(Layout(base / "answers"), EnvironmentName("project_p0"))
    return peer, settings.branches


def _assign(answers: Layout, environment: EnvironmentName) -> None:
    answers.create()
    now = int(time.time())
    answers.contact.write_text(Contact(now, now, 86_400, "current").line())
    for number in range(NODES):
        name = Certname(f"node{number}.example.org")
        classes: dict[str, dict[str, Any]] = {"stdlib": {}, f"profile::p{number % PROFILES}": {}}
        said = Classification(name, environment, classes, {})
        (answers.nodes / f"{name}.yaml").write_text(render_answer(said, "puppetmaster_answer", "copy"))


def _read(what: str, repository: Path) -> list[Row]:
    worker, spent, wrong = Worker(), list[float](), 0
    try:
        worker.start()
        for name, kind, content in _manifests(repository):
            began = time.perf_counter()
            reading = worker.read(name, kind, lambda content=content: content)  # type: ignore[misc]
            spent.append((time.perf_counter() - began) * 1000)
            wrong += bool(reading.fault)
            if reading.fault:
                print(f"{name}: {reading.fault}", file=sys.stderr)
    finally:
        worker.close()
    median = statistics.median(spent)
    return [
        Row(f"manifests of {what}", f"{len(spent):,}", ">= 1,000", len(spent) >= 1000),
        Row("  that cannot be parsed", f"{wrong}"),
        Row("  median of each", f"{median:.2f} ms", f"<= {EACH:g} ms", median <= EACH),
    ]


def _manifests(repository: Path) -> Iterator[tuple[str, Kind, bytes]]:
    """Yield the object id, the kind and the content of each manifest at HEAD."""
    listed = git(repository, "ls-tree", "-r", "-z", "HEAD").split("\0")
    entries = [(line.split(" ")[2].split("\t")[0], line.partition("\t")[2]) for line in listed if line.endswith(".pp")]
    kinds = {}
    for name, path in entries:
        kinds[name] = Kind.SOUND_PLAN if "plans" in path.split("/")[:-1] else Kind.SOUND_MANIFEST
    contents = Contents(str(repository))
    try:
        for name, _, pieces in contents.read(list(kinds), 1 << 24):
            yield name, kinds[name], b"".join(pieces)
    finally:
        contents.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
