"""What Ruby's packages were compiled to is kept and used, and nothing depends on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from puppetmaster_quickstart import compiled_ruby
from tests.support.ruby import COMPILED

CODE = "require 'optparse'; require ARGV[0]; puts $\".grep(/optparse.rb/).size, RUBY_VERSION, OWN"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    yield compiled_ruby.use(tmp_path / "a cache")
    compiled_ruby.use(COMPILED)


def said(tmp_path: Path, own: int, **more: str) -> list[str]:
    """Let a Ruby load a file of its packages and one that is not; return what it says, errors too."""
    (tmp_path / "own.rb").write_text(f"OWN = {own}\n")
    environment = {"PATH": os.environ["PATH"], **compiled_ruby.environment(), **more}
    command = ["ruby", "-e", CODE, str(tmp_path / "own.rb")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return (done.stdout + done.stderr).split()


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in cache.glob("*/*") if path.is_file())


def test_packages_are_kept_and_found_and_other_files_are_read_where_they_stand(cache: Path, tmp_path: Path) -> None:
    first = said(tmp_path, 1)
    before = kept(cache)
    assert first[0] == "1" and first[2:] == ["1"]
    assert any("%optparse.rb-" in path.name for path in before)
    assert not [path for path in before if "own.rb" in path.name or not path.name.startswith("%usr%")]
    at = [path.stat().st_mtime_ns for path in before]
    assert said(tmp_path, 2) == [*first[:2], "2"]
    assert kept(cache) == before and [path.stat().st_mtime_ns for path in before] == at
    # What is kept is what runs.
    other = next(path for path in before if "%optparse.rb-" in path.name)
    code = "File.binwrite(ARGV[0], RubyVM::InstructionSequence.compile('puts :kept').to_binary)"
    subprocess.run(["ruby", "-e", code, str(other)], check=True)
    assert said(tmp_path, 3) == ["kept", *first[:2], "3"]


@pytest.mark.parametrize("content", [b"", b"YARB", b"x" * 5000])
def test_what_cannot_be_read_is_compiled_as_ever(cache: Path, tmp_path: Path, content: bytes) -> None:
    first = said(tmp_path, 1)
    for path in kept(cache):
        path.write_bytes(content)
    assert said(tmp_path, 1) == first


def test_where_nothing_can_be_kept_all_goes_on(cache: Path, tmp_path: Path) -> None:
    first = said(tmp_path, 1)
    (place,) = (path for path in cache.iterdir() if path.is_dir())
    for path in kept(cache):
        path.unlink()
    place.rmdir()
    place.write_text("")
    assert said(tmp_path, 1) == first


def test_who_does_not_see_the_cache_is_not_led_there(tmp_path: Path) -> None:
    try:
        compiled_ruby.use(tmp_path / "cache")
        assert compiled_ruby.environment("/none")["RUBYLIB"] == str(tmp_path / "cache")
        assert compiled_ruby.environment(str(tmp_path)) == {}
        compiled_ruby.use(tmp_path / "a:b")
        assert compiled_ruby.environment() == {}
    finally:
        compiled_ruby.use(COMPILED)
