"""Whether every command of the documentation is followed by a test, and how a page is followed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support import pages
from tests.support.pages import ROOT, Block, Reader

TABLE = yaml.safe_load((ROOT / "tests/cases/followed.yaml").read_text(encoding="utf-8"))
PAGE = """intro
cd /
name=web
cat > FILE <<'END'
it's $name
END
if true; then
    false || echo \\
        "in $name"
fi
# nothing to do
test -s FILE && false
"""


def test_every_block_of_commands_is_followed_or_said_why_not() -> None:
    found = {page: [one for one in pages.blocks(page) if one.language == pages.COMMANDS] for page in pages.pages()}
    assert {page for page, there in found.items() if there} == set(TABLE)
    for page, entries in TABLE.items():
        firsts = [one.text.splitlines()[0] for one in found[page]]
        assert len(firsts) == len(entries), f"{page}: {firsts}"
        for first, entry in zip(firsts, entries, strict=True):
            assert (first + "\n").startswith(entry["begins"]), (page, first, entry)
            assert ("by" in entry) != bool(entry.get("not")), (page, entry)


def test_who_is_said_to_follow_a_block_does() -> None:
    for page, entries in TABLE.items():
        for entry in entries:
            if "by" not in entry:
                continue
            text = (ROOT / entry["by"]).read_text(encoding="utf-8")
            assert f'follow("{page}", "{entry["begins"].strip()}' in text, (page, entry)


def test_who_is_named_in_a_reason_is_there() -> None:
    reasons = [entry.get("not", "") for entries in TABLE.values() for entry in entries]
    for name in (word.strip(",.:;") for reason in reasons for word in reason.split()):
        if name.startswith("tests/") and name.endswith(".py"):
            assert (ROOT / name).exists(), name


def test_no_commands_hide_in_a_block_without_a_word() -> None:
    """What is pasted is marked; in blocks without a word are prompts, what programs print, and pictures."""
    programs = ("enc-admin ", "branch-manager ", "puppetmaster-self ", "install ", "systemctl ", "apt-get ", "ln ")
    for page in pages.pages():
        for one in pages.blocks(page):
            if not one.language:
                assert not one.text.startswith(programs), one.place


def _run(script: str) -> str:
    done = subprocess.run(["bash", "-c", f"set -eu; {script}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _block(text: str) -> Block:
    return Block("operation.md", 12, "sh", text)


def test_a_page_is_followed_command_by_command(tmp_path: Path) -> None:
    """A heredoc, a loop and a line that goes on are one command each; directory and variables stay."""
    text = PAGE.removeprefix("intro\n")
    assert [line for line, _ in pages.commands(text)] == [0, 1, 2, 5, 10]
    differs = {"FILE": str(tmp_path / "file")}
    with pytest.raises(AssertionError, match=r"docs/operation\.md:22: test -s .*: exit status 1"):
        _run(pages.script(_block(text), differs))
    assert (tmp_path / "file").read_text() == "it's $name\n"
    assert _run(pages.script(_block(text.replace("&& false", "&& pwd")), differs)) == "in web\n/\n"


def test_a_first_part_that_fails_fails_though_a_second_follows() -> None:
    with pytest.raises(AssertionError, match=r"operation\.md:12: false && true"):
        _run(pages.script(_block("false && true\n")))


def test_a_text_that_the_page_does_not_have_any_more_fails() -> None:
    with pytest.raises(AssertionError, match=r"docs/operation\.md:12: it does not say 'nginx' any more"):
        pages.script(_block("true\n"), {"nginx": "here"})


def test_the_reader_stays_where_a_block_left_it() -> None:
    scripts: list[str] = []

    def run(script: str) -> str:
        scripts.append(script)
        return "said\n/somewhere\n"

    reader = Reader(run)
    assert reader.follow("branches.md", "ssl=") == "said"
    reader.follow("branches.md", "ssl=")
    assert [one.splitlines()[0] for one in scripts] == ["cd /", "cd /somewhere"]
