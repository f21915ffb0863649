"""The Puppet module of this checkout, compiled with the real puppet for machines that are only facts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("manifests", "templates", "functions", "types", "lib", "data", "files", "hiera.yaml", "metadata.json")
_COMPILER = Path(__file__).with_name("compile_module.rb")

_FACTS = {
    "memory": {"system": {"total_bytes": 4 << 30}},
    "processors": {"count": 2},
    "clientcert": "one.example.org",
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "debian": {
        "puppetmaster_layout": "debian",
        "os": {"family": "Debian", "name": "Debian", "release": {"full": "12.9", "major": "12"}},
    },
    "puppet-debian": {
        "puppetmaster_layout": "puppet",
        "os": {"family": "Debian", "name": "Debian", "release": {"full": "12.9", "major": "12"}},
    },
    "puppet-redhat": {
        "puppetmaster_layout": "puppet",
        "os": {"family": "RedHat", "name": "RedHat", "release": {"full": "9.4", "major": "9"}},
    },
    "openvox-redhat": {
        "puppetmaster_layout": "openvox",
        "os": {"family": "RedHat", "name": "Rocky", "release": {"full": "9.4", "major": "9"}},
    },
}
"""The facts by which the module's data differ."""


@dataclass(frozen=True)
class Compiled:
    """What puppet made of some code: resources, or why not."""

    error: str | None
    resources: Mapping[str, Mapping[str, Any]]
    """Type[title] → its parameters."""

    def of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return the resources of one type by title."""
        start = f"{kind}["
        return {name[len(start) : -1]: it for name, it in self.resources.items() if name.startswith(start)}


def module_in(place: Path) -> Path:
    """Return a modulepath below `place` with the module under its own name, and nothing else of the checkout."""
    module = place / "modules/puppetmaster"
    module.mkdir(parents=True)
    for part in PARTS:
        (module / part).symlink_to(ROOT / part)
    return module.parent


def compile_all(
    modulepath: Path,
    cases: Mapping[str, tuple[str, str]],
    trusted: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Compiled]:
    """Compile `cases`: name → (layout, Puppet code); `trusted`: of some, `extensions`, `external` and odd `facts`.

    The others' certificate is of the project red.
    """
    asked: dict[str, Any] = {"modulepath": [str(modulepath)], "cases": {}}
    for name, (layout, code) in cases.items():
        own = {"extensions": {"pp_project": "red"}, "external": {}, "facts": {}} | dict(trusted.get(name, {}))
        facts = {**_FACTS, **LAYOUTS[layout], **own.pop("facts")}
        asked["cases"][name] = {"facts": facts, "trusted": own, "code": code}
    done = subprocess.run(
        ["ruby", "-W0", str(_COMPILER)], input=json.dumps(asked), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return {name: _read(answer) for name, answer in json.loads(done.stdout).items()}


def _read(answer: Mapping[str, Any]) -> Compiled:
    if "error" in answer:
        return Compiled(answer["error"], {})
    found = answer["catalog"]["resources"]
    return Compiled(None, {f"{it['type']}[{it['title']}]": it.get("parameters", {}) for it in found})
