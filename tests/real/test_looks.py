"""A look changes nothing: not what it looks at, not whose that is, not when it was last written, whoever looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import Duration, MirrorSettings
from enc.terms.errors import ToolkitError
from git_hooks.mirror.upstream import Upstream
from tests.real.test_puppetfiles import PROGRAMS, GitServer, Site
from tests.support.bare import Bare
from tests.support.forge import Forge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    made = Forge(tmp_path / "forge")
    Bare(tmp_path / "forge").commit("main", {"manifests": {"init.pp": "# a module\n"}})
    yield made
    made.close()


def look_of(file: Path) -> tuple[object, ...]:
    """All that somebody could find changed."""
    status = file.lstat()
    return (status.st_ino, status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns, file.read_bytes())


def mirrored(forge: Forge, credentials: Path, base: Path) -> Callable[[], object]:
    here = Bare(base / "here").settings
    mirror = MirrorSettings(
        forge="gitea",
        url=forge.url("repository.git"),
        protocols=("http",),
        credentials_file=credentials,
        timeout=Duration(60),
    )
    return Upstream(replace(here, mirror=mirror)).branches


def puppetfile(forge: Forge, credentials: Path, base: Path, program: str) -> Callable[[], object]:
    base.mkdir(exist_ok=True)
    source = forge.url("")
    site = Site(base / "site", GitServer(base / "daemon"), program, sources=(source,), credentials_file=credentials)
    site.commit(f"mod 'a', :git => '{source}repository.git', :branch => 'main'\n")

    def deploy() -> None:
        if (record := site.deploy()).outcome == "failed":
            raise ToolkitError(record.detail)

    return deploy


@pytest.mark.parametrize("way", ["mirror", *PROGRAMS])
def test_a_password_file_stays_as_it_is_whatever_the_forge_answers(forge: Forge, tmp_path: Path, way: str) -> None:
    """git's own store helper writes it anew after a 200 (as whoever looks) and without the entry after a 401."""
    credentials = tmp_path / "it's forge.credentials"
    other = "https://somebody:else@forge.example.org\n"
    credentials.write_text(forge.credentials() + other)
    credentials.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(credentials, 64001, 64001)
    ask = mirrored(forge, credentials, tmp_path) if way == "mirror" else puppetfile(forge, credentials, tmp_path, way)
    before = look_of(credentials)
    ask()
    assert forge.answered[-1] == 200
    assert look_of(credentials) == before

    credentials.write_text(forge.credentials("a wrong one") + other)
    before = look_of(credentials)
    if way != "mirror":
        ask = puppetfile(forge, credentials, tmp_path / "again", way)
    with pytest.raises(ToolkitError):
        ask()
    assert forge.answered[-1] == 401
    assert look_of(credentials) == before
    assert not list(tmp_path.glob("*.lock"))
