"""Edits and instances whose disk fails, fills up or writes short at any step, whose clock is set, or whom nobody hears.

The old state or the new one, what is told is so, and the next call finishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from enc import cli
from enc.directory.edits import DirectoryEditor
from enc.programs import json_lines
from enc.settings import Settings
from enc.settings.config import load
from tests.real.conftest import SlapdMaker
from tests.support.failures import UNHEARD, clock_jumps, failing, muted, unheard
from tests.support.instances import WHY, S, add_people_and_projects, found, write_config
from tests.support.slapd import Slapd

MODES = ("full", "eio", "eio once", "short, then full", "short")
STEP = int(os.environ.get("EVERY", "4"))
"""As in test_deploys_that_fail.py."""


class Site:
    """A directory with projects red and blue, and `enc-admin` with files of its own."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        self.config = write_config(base / "config.yaml", slapd)
        add_people_and_projects(slapd, self.config)
        self.settings: Settings = load(self.config)
        self.number = 0

    def run(self, *words: str) -> int:
        return self.main(*words, "--reason", WHY)

    def main(self, *words: str) -> int:
        return cli.main(["--config", str(self.config), *words])

    def there(self, dn: str) -> bool:
        with DirectoryEditor(self.settings) as editor:
            return editor.read(dn) is not None

    def classes(self, dn: str) -> tuple[str, ...]:
        with DirectoryEditor(self.settings) as editor:
            record = editor.read(dn)
        return record.all("puppetClass") if record is not None else ()

    def journal(self) -> list[Path]:
        return list(self.settings.instances.journal.glob("*.json"))

    def damaged(self) -> list[bytes]:
        """Lines of the trail that cannot be read, and have an end: of those that were torn, none has another's text."""
        lines = json_lines.lines(self.settings.audit.file.read_bytes())
        return [line.text for line in lines if line.record is None and b'"id"' in line.text[5:]]


@pytest.fixture(scope="module")
def site(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("site"), make_module_slapd())
    assert made.run("node", "add", "one.example.org", "--project", "red", "--class", "c0") == 0
    return made


class Act:
    """One command, again and again, on something new each time."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.number += 1
        self.number = site.number

    def prepare(self) -> None:
        """Make what has to be there."""

    def words(self) -> tuple[str, ...]:
        raise NotImplementedError

    def made(self) -> bool | None:
        """Tell whether everything is in place; None: neither as before nor as it should be."""
        raise NotImplementedError

    def finish(self) -> int:
        """Do what somebody does to whom it failed."""
        return self.site.run(*self.words())


class SetNode(Act):
    DN = f"cn=one.example.org,ou=red,ou=hosts,{S}"

    def prepare(self) -> None:
        self.before = self.site.classes(self.DN)

    def words(self) -> tuple[str, ...]:
        return ("node", "set", "one.example.org", "--class", f"c{self.number}")

    def made(self) -> bool | None:
        now = self.site.classes(self.DN)
        return {self.before: False, (*self.before, f"c{self.number}"): True}.get(now)


class AddProject(Act):
    def words(self) -> tuple[str, ...]:
        return ("project", "add", f"p{self.number}", "--admin", "anna")

    def made(self) -> bool | None:
        name = f"p{self.number}"
        parts = {self.site.there(f"{place},{S}") for place in (f"cn={name},ou=projects", f"ou={name},ou=hosts")}
        return parts.pop() if len(parts) == 1 else None


class CreateInstance(Act):
    @property
    def certname(self) -> str:
        return f"i{self.number}.red.example.org"

    def words(self) -> tuple[str, ...]:
        return ("instance", "create", f"i{self.number}", "--project", "red")

    def made(self) -> bool | None:
        instance = found(self.site.settings, self.certname)
        return {None: False, "waiting": True}.get(instance.enrolment.state if instance else None)

    def finish(self) -> int:
        resumed = self.site.main("instance", "resume") if self.site.journal() else 0
        return max(resumed, 0 if self.made() else super().finish())


class DeleteInstance(CreateInstance):
    def prepare(self) -> None:
        assert self.site.run(*CreateInstance.words(self)) == 0

    def words(self) -> tuple[str, ...]:
        return ("instance", "delete", self.certname)

    def made(self) -> bool | None:
        instance = found(self.site.settings, self.certname)
        return {None: True, "waiting": False}.get(instance.enrolment.state if instance else None)


ACTS: tuple[Callable[[Site], Act], ...] = (SetNode, AddProject, CreateInstance, DeleteInstance)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("mode", MODES)
def test_what_fails_at_any_step_leaves_old_or_new_and_the_next_call_finishes(
    site: Site, mode: str, act: Callable[[Site], Act], capsys: pytest.CaptureFixture[str]
) -> None:
    step = -(-STEP // 2) if mode == "eio once" else STEP
    first, unreached, tried = 1 + MODES.index(mode) % step, 0, 0
    while unreached < 2:
        one = act(site)
        one.prepare()
        capsys.readouterr()
        with failing(mode, first) as changes:
            status = site.run(*one.words())
        said = capsys.readouterr()
        told = (first, changes.number, status, said.err)
        assert "bug" not in said.err, told
        half = one.made()
        if status == 0:
            assert half, told
        if half is None:  # then it is known, and what to do is told
            assert "`enc-admin instance resume`" in said.err or "run the same command again for the rest" in said.err, (
                told
            )
        assert one.finish() == 0, (told, capsys.readouterr().err)
        assert one.made(), told
        assert (site.journal(), site.damaged()) == ([], []), told
        unreached = 0 if changes.number >= first else unreached + 1
        first, tried = first + step, tried + 1
        if mode == "short":
            assert status == 0, told
            break
    assert tried > 2 or mode == "short"


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("seconds", [-86400.0, 86400.0])
def test_a_clock_that_is_set_meanwhile_is_nothing_to_it(site: Site, seconds: float, act: Callable[[Site], Act]) -> None:
    for first in range(1, 8, 2):
        one = act(site)
        one.prepare()
        with clock_jumps(seconds, first):
            assert site.run(*one.words()) == 0
        assert (one.made(), site.journal()) == (True, [])


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("how", UNHEARD)
def test_whom_nobody_hears_does_all_of_it(site: Site, how: str, act: Callable[[Site], Act]) -> None:
    one = act(site)
    one.prepare()
    with unheard(how) as descriptor:
        # That the result could not be given is told by the exit status.
        assert muted(descriptor, lambda: site.run(*one.words())) in (0, 1), how
    assert (one.made(), site.journal(), site.damaged()) == (True, [], []), how
