"""The order of the tests: those that need no server first, then the longest files of the others.

Two workers (run-tests gives pytest-xdist one file after the other) end at
about the same time only if what takes minutes begins early.
"""

from __future__ import annotations

import pytest

LONG = (
    "test_user_data.py",
    "test_self_master.py",
    "test_quickstart.py",
    "test_whole_life.py",
    "test_authority.py",
    "test_follower_killed.py",
    "test_puppetserver.py",
    "test_switches.py",
    "test_deploys.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files, and leave the order within each as it is."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.name
        return item.path.parent.name != "unit", LONG.index(name) if name in LONG else len(LONG)

    items.sort(key=place)
