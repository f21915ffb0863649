"""Writes the locks: which releases of Python packages are installed, and the SHA-256 of every file that each has.

    .venv/bin/python .ci/lock.py [--upgrade] [--with REQUIREMENT] PYTHON...

Give each PYTHON that is supported (python3.11 python3.12 python3.13): pip
judges markers by the Python that runs it. What is locked already stays;
`--upgrade` asks for the newest that setup.py allows, and `--with NAME==VERSION`
for another release of one, also of one that setup.py does not name.

Owns: `files/requirements.lock` (what runs, its extras, and what builds our own
package; the Puppet module ships it), and `requirements-test.lock` (what the
extra `test` adds). Not its business: installing; .ci/bootstrap.bash and
files/install-toolkit.sh do that.

Releases and hashes are those of the public index; pip's configuration on this
machine, which may name other indexes, is switched off. All files of a release
are listed, not only those that were looked at here, so that one lock serves
every Python and processor.

Failure modes: the index is away, no release of a package suits two Pythons, a
release was yanked or came without its sources (then nobody can see what it was
made of): a traceback or one line, and both files as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INDEX = "https://pypi.org/simple"
RUN = ROOT / "files/requirements.lock"
TEST = ROOT / "requirements-test.lock"
OURS = "puppetmaster-toolkit"
HEAD = """\
# Written by .ci/lock.py; changes by hand are lost. {what}
#
# Wheels only: pip checks no hashes of what building another file would need.
--require-hashes
--only-binary :all:
"""
HEADS = {
    RUN: HEAD.format(what="What the toolkit needs to run, with its extras, and to be built."),
    TEST: HEAD.format(what="What the tests need besides.") + f"-r {RUN.relative_to(ROOT)}\n",
}
_PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)

Pins = Mapping[str, str]
"""Name, as the index writes it → version."""


def locked(lock: Path) -> Pins:
    """Return what a lock says now."""
    return dict(_PINNED.findall(lock.read_text(encoding="ascii"))) if lock.exists() else {}


def resolve(python: str, wanted: Iterable[str], kept: Pins) -> Pins:
    """Return what pip of a fresh environment of `python` would install, of `kept` these versions."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        subprocess.run([python, "-m", "venv", str(place / "venv")], check=True)
        constraints, report = place / "constraints.txt", place / "report.json"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in kept.items()), encoding="ascii")
        # How to reach the network may be the machine's affair; what is there is not.
        environment = {
            name: value for name, value in os.environ.items() if name[:4] != "PIP_" or name in ("PIP_CERT", "PIP_PROXY")
        }
        command = [str(place / "venv/bin/pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--index-url", INDEX, "--only-binary", ":all:", "--dry-run", "--ignore-installed"]
        command += ["--report", str(report), "--constraint", str(constraints), *wanted]
        subprocess.run(command, check=True, cwd=ROOT, env=environment | {"PIP_CONFIG_FILE": os.devnull})
        installed = [item["metadata"] for item in json.loads(report.read_bytes())["install"]]
    return {as_listed(item["name"]): item["version"] for item in installed if item["name"] != OURS}


def _resolved(pythons: Iterable[str], wanted: list[str], kept: Pins) -> Pins:
    """Return what is needed by any Python; each package in one release, which the first that needs it decides."""
    found: Pins = {}
    for python in pythons:
        found = {**found, **resolve(python, wanted, {**kept, **found})}
    return found


def as_listed(name: str) -> str:
    """Return a name as the index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(name: str, version: str) -> list[str]:
    """Return the SHA-256 of each file of a release, as the index says (PEP 691)."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    asked = urllib.request.Request(f"{INDEX}/{name}/", headers=accept)  # noqa: S310 - INDEX is https
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
        files = json.load(answer)["files"]
    of_release = [file for file in files if _version(name, file["filename"]) == version]
    if not of_release or any(file["yanked"] for file in of_release):
        sys.exit(f"lock: {INDEX} has no {name} {version}, or has taken it back; choose another --with {name}==VERSION")
    if all(file["filename"].endswith(".whl") for file in of_release):
        sys.exit(f"lock: {name} {version} came without its sources; choose another --with {name}==VERSION")
    return sorted(_sha256(file) for file in of_release)


def _version(name: str, filename: str) -> str:
    """Return the version in the name of a wheel or an archive of sources."""
    stem = re.sub(r"\.(tar\.gz|tar\.bz2|zip)$", "", filename)
    if stem == filename:
        return filename.split("-")[1] if filename.endswith(".whl") else ""
    # The name may have hyphens as well.
    return stem[len(name) + 1 :] if as_listed(stem[: len(name)]) == name else ""


def _sha256(file: Mapping[str, Any]) -> str:
    digest = str(file["hashes"]["sha256"])
    if not re.fullmatch("[0-9a-f]{64}", digest):
        sys.exit(f"lock: {INDEX} gives no SHA-256 for {file['filename']}")
    return digest


def text(lock: Path, pins: Pins) -> str:
    """Return what a lock is to hold."""
    parts = [HEADS[lock]]
    for name, version in sorted(pins.items()):
        parts.append(" \\\n    --hash=sha256:".join([f"{name}=={version}", *hashes(name, version)]) + "\n")
    return "".join(parts)


def main() -> None:
    """Resolve with every Python, ask for the hashes, write both files."""
    parser = argparse.ArgumentParser(description="write the locks of Python packages")
    parser.add_argument("--upgrade", action="store_true", help="the newest releases that setup.py allows")
    parser.add_argument("--with", dest="chosen", action="append", default=[], metavar="NAME==VERSION")
    parser.add_argument("python", nargs="+", help="one of each version that is supported")
    given = parser.parse_args()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    old = {} if given.upgrade else {**locked(TEST), **locked(RUN)}
    chosen = dict(_PINNED.findall("\n".join(given.chosen)))
    run = _resolved(given.python, [".[openstack]", *build], {**old, **chosen})
    test = _resolved(given.python, [".[openstack,test]", *build], {**old, **chosen, **run})
    texts = {RUN: text(RUN, run), TEST: text(TEST, {name: test[name] for name in test.keys() - run.keys()})}
    for lock, content in texts.items():
        new = lock.with_name(lock.name + ".new")
        new.write_text(content, encoding="ascii")
        new.replace(lock)


if __name__ == "__main__":
    main()
