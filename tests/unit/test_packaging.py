"""What pip installs is what this checkout has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_an_earlier_release_had_is_not_installed_again(tmp_path: Path) -> None:
    stale = tmp_path / "lib/enc/of_an_earlier_release.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    words = ("-q", "egg_info", "--egg-base", str(tmp_path), "build_py", "--build-lib", str(tmp_path / "lib"))
    done = subprocess.run([sys.executable, "setup.py", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lib/enc/cli.py").exists() and not stale.exists()
    # Nor the demonstration.
    assert {place.name for place in (tmp_path / "lib").iterdir()} == {"enc", "git_hooks", "puppetmaster_self"}
