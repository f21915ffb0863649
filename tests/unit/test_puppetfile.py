"""What a Puppetfile may say: the table of tests/cases/puppetfiles, and what holds for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from enc.settings import config
from enc.terms.errors import ConfigurationError
from git_hooks.puppetfile import Sources
from git_hooks.puppetfile.language import UnsoundPuppetfile, read

CASES = Path(__file__).parents[1] / "cases/puppetfiles"
SOURCES = Sources(
    ("https://git.example.org/", "ssh://git@ssh.example.org/", "git@ssh.example.org:"), "https://forge.example.org"
)


def cases(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((CASES / file).read_text(encoding="utf-8"))
    return found


def content(case: dict[str, Any]) -> bytes:
    if "bytes" in case:
        return bytes.fromhex(case["bytes"])
    if "numbered" in case:
        return "".join(f"mod 'a/m{number}', '1.0.0'\n" for number in range(case["numbered"])).encode()
    return str(case["content"]).encode() * case.get("repeat", 1)


def test_the_table_is_as_large_as_it_should_be() -> None:
    names = [case["name"] for file in ("taken.yaml", "refused.yaml") for case in cases(file)]
    assert len(set(names)) == len(names) >= 100


@pytest.mark.parametrize("case", cases("taken.yaml"), ids=lambda case: case["name"])
def test_taken(case: dict[str, Any]) -> None:
    found = read(content(case), SOURCES)
    assert found.text().splitlines() == case["asks"]
    assert found.directory == case.get("directory", "modules")
    assert found.pinned == case.get("pinned", True)


@pytest.mark.parametrize("case", cases("refused.yaml"), ids=lambda case: case["name"])
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(UnsoundPuppetfile) as refusal:
        read(content(case), SOURCES)
    assert case["says"] in str(refusal.value)
    assert str(refusal.value).startswith("Puppetfile")


def test_nothing_comes_from_where_it_may_not() -> None:
    with pytest.raises(UnsoundPuppetfile, match="sources"):
        read(b"mod 'b', :git => 'https://git.example.org/a', :tag => 'v1'", Sources((), None))
    with pytest.raises(UnsoundPuppetfile, match="of a Forge are not fetched here"):
        read(b"mod 'a/b'", Sources((), None))


WORDS = st.sampled_from(
    ["mod ", "forge ", "moduledir ", "'a/b'", "'b'", ", ", ":git => ", "tag: ", "'v1'", "(", ")", "\n", "#", "\\", "`",
     '"', "'", "#{", "'https://git.example.org/x'", ";", ":latest", "true", "\0", "%x"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=60), st.lists(WORDS, max_size=14).map(lambda words: "".join(words).encode())))
def test_whatever_is_read_asks_for_the_same_when_it_is_read_again(text: bytes) -> None:
    try:
        found = read(text, SOURCES)
    except UnsoundPuppetfile:
        return
    assert read(found.text().encode("ascii"), SOURCES).text() == found.text()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("program", "/usr/bin/ruby"),
        ("sources", ["https://github.com"]),
        ("sources", ["https://me:secret@github.com/"]),
        ("sources", ["ext::sh/"]),
        ("sources", ["ssh://-oProxyCommand=id/"]),
        ("sources", ["-o@host:"]),
        ("sources", ["/srv/"]),
        ("forge", "forge.puppet.com"),
    ],
)
def test_settings_that_are_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"branches\.puppetfile\.{setting}"):
        config.parse(yaml.safe_dump({"branches": {"puppetfile": {setting: value}}}))


def test_settings_that_are_taken() -> None:
    sources = [
        "https://github.com/puppetlabs/",
        "git@git.example.org:",
        "git@git.example.org:puppet/",
        "file:///srv/m/",
    ]
    section = {"program": "/usr/bin/g10k", "sources": sources, "forge": None}
    found = config.parse(yaml.safe_dump({"branches": {"puppetfile": section}})).branches.puppetfile
    assert found.sources == tuple(sources) and found.forge is None
