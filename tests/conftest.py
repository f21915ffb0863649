"""What all tests share: the fixtures of tests/support, and that in CI nothing is skipped."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["tests.support.puppetserver"]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true, make a skipped test a failure: a missing part must not pass for a sound one."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("CI: tests were skipped, which counts as failure", red=True)
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
