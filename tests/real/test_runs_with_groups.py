"""A service is asked whether its process has the groups that its account has joined; only then is it let alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.machines import needs_root
from tests.support.puppet_module import ROOT

ACCOUNT, GROUP = "nobody", "nogroup"


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the PATH of a machine whose systemctl knows of one process: with these groups, or none at all."""
    needs_root()
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\ncat {tmp_path}/pid\n")
    (tmp_path / "systemctl").chmod(0o755)
    groups: tuple[str, ...] | None = request.param
    if groups is None:
        (tmp_path / "pid").write_text("0\n")
        yield f"{tmp_path}:/usr/bin:/bin"
        return
    process = subprocess.Popen(("setpriv", *groups, "sleep", "600"))
    try:
        # Until then it is still root's.
        while Path(f"/proc/{process.pid}").stat().st_uid == 0 and ACCOUNT in groups:
            assert process.poll() is None
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        yield f"{tmp_path}:/usr/bin:/bin"
    finally:
        process.kill()
        process.wait()


def of(*groups: str) -> tuple[str, ...]:
    return ("--reuid", ACCOUNT, "--regid", "daemon", *groups)


@pytest.mark.parametrize(
    ("running", "asked", "has"),
    [
        pytest.param(of("--clear-groups"), (GROUP,), False, id="it joined after the start"),
        pytest.param(of("--groups", GROUP), (GROUP,), True, id="it had joined before"),
        pytest.param(of("--groups", "bin"), ("bin", GROUP), False, id="one of two"),
        pytest.param(of("--clear-groups"), ("bin",), True, id="the account is in no such group"),
        pytest.param(of("--clear-groups"), ("not-a-group",), True, id="there is no such group"),
        pytest.param(("--clear-groups",), (GROUP,), True, id="another account's process"),
        pytest.param(None, (GROUP,), True, id="it does not run"),
    ],
    indirect=["running"],
)
def test_only_what_a_start_would_change_is_told(running: str, asked: tuple[str, ...], has: bool) -> None:
    words = ("sh", str(ROOT / "files/runs-with-groups.sh"), ACCOUNT, "puppetserver", *asked)
    done = subprocess.run(words, env={"PATH": running}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0 if has else 1, "", "")
