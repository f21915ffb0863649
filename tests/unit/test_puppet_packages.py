"""Which packages of Puppet lack the security fixes."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enc.doctor.puppet import security
from enc.puppet.packages import FIXES, NAMES, _order, behind, installed, parse_listed


@pytest.mark.parametrize(
    "package, version, lacks",
    [
        ("libtrapperkeeper-authorization-clojure", "1.0.0-4", "1.0.0-4+deb12u1"),
        ("libtrapperkeeper-authorization-clojure", "1.0.0-4+deb12u1", None),
        ("libtrapperkeeper-authorization-clojure", "1.0.0-4+deb12u10", None),
        ("puppet-agent", "7.23.0-1", "7.23.0-1+deb12u1"),
        ("puppet-agent", "7.23.0-1+deb12u2", None),
        ("libtrapperkeeper-authorization-clojure", "2.0.1-2", "2.0.1-2+deb13u1"),
        ("libtrapperkeeper-authorization-clojure", "2.0.1-2+deb13u1", None),
        ("puppet-agent", "8.10.0-5", "8.10.0-5+deb13u1"),
        ("puppet-agent", "8.10.0-5+deb13u1", None),
        ("openvox-server", "8.17.1-1+debian12", "8.18.0"),
        ("openvox-server", "8.18.0-1+debian12", None),
        ("openvox-server", "9.1.1-1.el9", "9.2.0"),
        ("openvox-agent", "8.9.0-1.el9", "8.32.0"),
        ("openvox-agent", "1:9.3.0-1", None),
    ],
)
def test_what_is_older_than_the_fix_lacks_it(package: str, version: str, lacks: str | None) -> None:
    found = list(behind({package: version}))
    assert [it.fix and it.fix.version for it in found] == ([lacks] if lacks else [])
    if lacks:
        assert [(it.level, lacks in it.found) for it in security({package: version})] == [("fault", True)]


def test_a_version_of_another_series_is_not_called_sound() -> None:
    assert [it.level for it in security({"puppet-agent": "8.10.0-1", "openvox-agent": "10.0.0"})] == ["note", "note"]


def test_the_fixes_themselves_are_sound_and_nothing_is_said_of_no_packages() -> None:
    for fix in FIXES:
        assert [it.level for it in security({fix.package: fix.version})] == ["ok"]
    assert list(security({})) == []
    assert [it.level for it in security("dpkg-query: cannot be asked")] == ["note"]


def test_what_was_removed_or_never_there_is_not_counted() -> None:
    text = "config-files puppet-agent 7.0\ninstalled openvox-agent 9.3.0-1\npackage openvox-server is not installed\n"
    assert parse_listed(text) == {"openvox-agent": "9.3.0-1"}


def test_versions_are_compared_as_dpkg_does_it() -> None:
    if shutil.which("dpkg") is None:
        pytest.fail("dpkg is needed: this is the reference")
    versions = ["1.0", "1.0-1", "1.0-1~rc1", "1.0-1+b1", "1.0-1build1", "1.00-1", "1.0.0", "1.10", "1.9", "1.0-1+x1"]
    for one, two in itertools.permutations(versions, 2):
        less = subprocess.run(["dpkg", "--compare-versions", one, "lt", two], check=False).returncode == 0
        assert (_order(one) < _order(two)) == less, (one, two)


@given(st.lists(st.tuples(st.sampled_from("0123.+~-abz"), st.text("0123.+~-abz", max_size=5)), min_size=2, max_size=2))
@settings(max_examples=150, deadline=None)
@example([("8", ".18.0-1"), ("8", ".18.0+dfsg-1")])
@example([("1", "~b-1"), ("1", "~b+1")])
def test_any_two_versions_are_compared_as_dpkg_does_it(parts: list[tuple[str, str]]) -> None:
    one, two = (f"7{first}{rest}" for first, rest in parts)
    asked = subprocess.run(["dpkg", "--compare-versions", one, "lt", two], check=False, capture_output=True)
    if not asked.stderr:  # what is no version for dpkg is none that it has installed
        assert (_order(one) < _order(two)) == (asked.returncode == 0), (one, two)


def test_this_machine_is_asked() -> None:
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", "puppet-agent"], capture_output=True, text=True, check=True
    )
    assert installed()["puppet-agent"] == done.stdout
    assert set(installed()) <= set(NAMES)


@pytest.mark.parametrize("version, told", [("7.23.0-1", True), ("7.23.0-1+deb12u1", False)])
def test_the_program_says_what_to_do(version: str, told: bool, tmp_path: Path) -> None:
    """As ./quickstart and ./run-tests ask it, on a machine whose dpkg says so."""
    asked = tmp_path / "dpkg-query"
    asked.write_text(f"#!/bin/sh\necho installed puppet-agent {version}\n")
    asked.chmod(0o755)
    command = [sys.executable, "-m", "enc.puppet.packages"]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * told and (not told or "security updates" in lines[-1])
