"""files/install-toolkit.sh with real pip, an index that a test makes, and wheels of a few lines."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def wheel(place: Path, name: str, version: str, *needs: str, programs: Mapping[str, str] | None = None) -> Path:
    """Make a wheel that holds one module, and programs."""
    info = f"{name}-{version}.dist-info"
    metadata = "".join(f"Requires-Dist: {need}\n" for need in needs)
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if programs:
        # As large as the real one: while pip takes the old files away and writes the new ones, its programs are away.
        files |= {f"{name}_more/m{number}.py": f"version = {version!r}\n" * 50 for number in range(400)}
        files |= {f"{name}-{version}.data/scripts/{program}": text for program, text in programs.items()}
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    made = place / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as packed:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            item = zipfile.ZipInfo(path)
            item.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            packed.writestr(item, text)
    return made


@dataclass(frozen=True)
class Installer:
    """install-toolkit.sh, with an index in a directory."""

    place: Path

    def run(self, source: Path, lock: object, *more: str) -> subprocess.CompletedProcess[str]:
        command, environment = self._call(source, lock, *more)
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def start(self, source: Path, lock: object) -> subprocess.Popen[bytes]:
        command, environment = self._call(source, lock)
        return subprocess.Popen(command, env=environment, start_new_session=True)

    def _call(self, source: Path, lock: object, *more: str) -> tuple[list[str], dict[str, str]]:
        script = (ROOT / "files/install-toolkit.sh").read_text()
        words = (str(self.place / "venv"), sys.executable, str(source), str(lock), *more)
        environment = {name: value for name, value in os.environ.items() if name[:4] != "PIP_"}
        environment |= {"PIP_CONFIG_FILE": str(self.place / "pip.conf")}
        return ["/bin/sh", "-c", script, "sh", *words], environment

    def lock(self, *wheels: Path) -> Path:
        made = self.place / "site.lock"
        made.write_text("".join(f"{self.pinned(it)} --hash=sha256:{self.hash(it)}\n" for it in wheels))
        return made

    @staticmethod
    def pinned(made: Path) -> str:
        return "==".join(made.name.split("-")[:2])

    @staticmethod
    def hash(made: Path) -> str:
        return hashlib.sha256(made.read_bytes()).hexdigest()

    def has(self) -> dict[str, str]:
        """Return what is installed, as Python finds it."""
        if not (self.place / "venv").exists():
            return {}
        code = "from importlib.metadata import distributions\nfor it in distributions(): print(it.name, it.version)"
        said = subprocess.run([self.place / "venv/bin/python", "-c", code], capture_output=True, text=True, check=True)
        found = dict(line.split() for line in said.stdout.splitlines())
        return {name: version for name, version in found.items() if name in ("ours", "theirs", "more")}
