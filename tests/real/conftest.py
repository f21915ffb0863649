"""Real servers for the tests here; each fixture ends what it started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from git_hooks.repository.reading import use_library
from tests.support.slapd import Slapd
from tests.support.transports import people

SlapdMaker = Callable[..., Slapd]


def _maker(base: Path) -> Iterator[SlapdMaker]:
    made: list[Slapd] = []

    def make(**options: Any) -> Slapd:
        made.append(Slapd(base / f"slapd{len(made)}", **options))
        return made[-1]

    yield make
    for slapd in made:
        slapd.stop()


@pytest.fixture
def make_slapd(tmp_path: Path) -> Iterator[SlapdMaker]:
    """Starts as many slapds as a test wants: `make_slapd(tree=False, ldif=[…], options=StartOptions(…))`."""
    yield from _maker(tmp_path)


@pytest.fixture(scope="module")
def make_module_slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlapdMaker]:
    """The same, for servers that all tests of a module share."""
    yield from _maker(tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def peopled(make_module_slapd: SlapdMaker) -> Slapd:
    """One that all tests of a module share, with the people and the project of tests/support/transports.py."""
    made = make_module_slapd()
    people(made)
    return made


@pytest.fixture
def slapd(make_slapd: SlapdMaker) -> Slapd:
    """A fresh slapd with the first entries."""
    return make_slapd()


@pytest.fixture(autouse=True, scope="session")
def _library() -> None:
    """Read repositories as services and commands do; hooks that tests start as programs are cold, and do not."""
    use_library()
