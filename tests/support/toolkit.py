"""The toolkit as it is installed on a machine: one prefix in a tar file, or wheels for the machine's own pip."""

from __future__ import annotations

import fcntl
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "files/requirements.lock"
CACHE = ROOT / ".cache/wheels"
PREFIX = "/opt/puppetmaster-toolkit"
_PYTHONS = ("3.11", "3.13")
_LEFT_OUT = shutil.ignore_patterns(".*", "tests", "docs", "build", "*.egg-info", "__pycache__")

PACKAGES = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
install="apt-get -q -y -o Dpkg::Options::=--force-confold install --no-install-recommends"
$install puppet-agent python3 python3-venv python3-cryptography python3-ldap3 python3-yaml
"""
"""Run by a shell on a machine: the agent, and what the toolkit needs."""
INSTALLED = {
    "apt-get install python3-venv\n": "",
    "python3 -m venv /opt/puppetmaster\n": f"python3 -m venv --without-pip --system-site-packages {PREFIX}\n",
    "/opt/puppetmaster/bin/pip install --require-hashes -r puppetmaster-toolkit/files/requirements.lock\n": (
        f"tar -C {PREFIX} -xf /toolkit.tar\n"
    ),
    "/opt/puppetmaster/bin/pip install --no-deps --no-build-isolation ./puppetmaster-toolkit\n": "rm /toolkit.tar\n",
    "ln -s /opt/puppetmaster/bin/": f"ln -s {PREFIX}/bin/",
}
"""What of a page's block about installing is otherwise on a machine that was given `tar_file` as /toolkit.tar."""


def tar_file(place: Path) -> bytes:
    """Install into a prefix below `place` and return it as a tar file."""
    source, prefix = _source(place), place / "prefix"
    _pip("install", "--no-deps", "--no-build-isolation", "--ignore-installed", "--prefix", str(prefix), str(source))
    for script in (prefix / "bin").iterdir():
        head, _, rest = script.read_bytes().partition(b"\n")
        if b"python" in head:
            script.write_bytes(f"#!{PREFIX}/bin/python3\n".encode() + rest)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(prefix, arcname=".")
    return packed.getvalue()


def wheels(place: Path) -> Path:
    """Return a directory below `place` with the toolkit and all that is locked, for the Pythons of Debian 12 and 13."""
    made = place / "wheels"
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(made), str(_source(place)))
    for wheel in _locked().iterdir():
        shutil.copyfile(wheel, made / wheel.name)
    return made


def _locked() -> Path:
    """Return the directory with what is locked; it is fetched once, by one process while others wait."""
    words = " ".join((*_PYTHONS, LOCK.read_text()))
    place = CACHE / hashlib.sha256(words.encode()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for old in (one for one in CACHE.iterdir() if one.is_dir()):
                shutil.rmtree(old)
            made = Path(tempfile.mkdtemp(dir=CACHE))
            for python in _PYTHONS:
                _pip("download", "--no-deps", "--python-version", python, "--dest", str(made), "-r", str(LOCK))
            made.rename(place)
    return place


def _source(place: Path) -> Path:
    source = place / "source"
    shutil.copytree(ROOT, source, ignore=_LEFT_OUT)
    return source


def _pip(verb: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", verb, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
