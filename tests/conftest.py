"""What all tests share: the fixtures of tests/support, their order, and that in CI nothing is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")  # a busy machine is no fault of an example

pytest_plugins = [
    "tests.support.puppetserver",
    "tests.support.disks",
    "tests.support.ruby",
    "tests.support.default_places",
]
LONG = (
    "test_module_applied.py",
    "test_project_master.py",
    "test_self_master.py",
    "test_quickstart.py",
    "test_units.py",
    "test_user_data.py",
    "test_renewal.py",
    "test_whole_life.py",
    "test_self_master_transaction.py",
    "test_follower_outages.py",
    "test_branch_manager.py",
    "test_access.py",
    "test_pushes.py",
    "test_promotion.py",
    "test_authority.py",
    "test_first_run.py",
    "test_failover.py",
    "test_follower.py",
    "test_transport_http.py",
    "test_module.py",
    "test_editing.py",
    "test_openstack.py",
    "test_self_master_watch.py",
    "test_doctor.py",
    "test_transport_ssh.py",
    "test_puppetfiles.py",
    "test_switches.py",
    "test_puppetserver.py",
)
"""Those of the real tests that take half a minute and more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that need no server first, then the longest of the others.

    Two workers get one file after the other, and end at about the same time only if what takes minutes begins early.
    """

    def place(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.name
        return item.path.parent.name != "unit", LONG.index(name) if name in LONG else len(LONG)

    items.sort(key=place)


class _AtOnce:
    """Names a failure when it happens: the whole run takes a quarter of an hour and more."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.write_line(f"\nFAILED at {report.when}: {report.nodeid}", red=True)


def _share_compiled_rules() -> None:
    """Let all processes of all runs find the rules of secrets compiled: each repository would take seconds for it."""
    place = Path(__file__).resolve().parents[1] / ".cache/rules"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.setdefault("KF_RULE_CACHE_DIR", str(place))


def pytest_configure(config: pytest.Config) -> None:
    """Tell of failures at once, in the process that has the terminal."""
    _share_compiled_rules()
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_AtOnce(config))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true, make a skipped test a failure: a missing part must not pass for a sound one."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("CI: tests were skipped, which counts as failure", red=True)
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
