"""The commands of our documentation, followed on a machine as somebody follows them who copies and pastes.

A block of a page that begins with ```sh is to be pasted into root's bash, whole and as it stands; blocks without that
word are shown to be read (what a program prints, a person's own prompt). What is in ```yaml, ```ini and ```hocon is put
into a file by hand, as the page says.

`Reader.follow` runs one block. What differs on the machine of a test (an address, a file's name in capitals, a package
that has no network to come from) is said by the test, text by text; a text that the page does not have any more is a
failure, and so is a command that fails: with page and line. tests/cases/followed.yaml says of every block by which test
it is followed, or why it is not, and tests/unit/test_pages.py that the table is whole.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = "sh"
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: str
    """Its file's name in docs/, or README.md."""
    line: int
    """Of its first line, from 1."""
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{_path(self.page).relative_to(ROOT)}:{self.line}"


def _path(page: str) -> Path:
    return ROOT / page if page == "README.md" else ROOT / "docs" / page


def pages() -> list[str]:
    """Return the pages' names."""
    return [*sorted(path.name for path in (ROOT / "docs").glob("*.md")), "README.md"]


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's blocks."""
    language, begun, lines = "", 0, list[str]()
    for number, line in enumerate(_path(page).read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
            continue
        if begun:
            yield Block(page, begun, language, "\n".join((*lines, "")))
        language, begun, lines = line[3:].strip(), 0 if begun else number + 1, []


def block(page: str, begins: str, language: str = COMMANDS) -> Block:
    """Return the one block of a page, in a language, that begins so."""
    found = [one for one in blocks(page) if one.language == language and one.text.startswith(begins)]
    assert len(found) == 1, f"{page}: {len(found)} blocks of {language} begin with {begins!r}"
    return found[0]


def differing(one: Block, differs: Mapping[str, str]) -> str:
    """Return a block's text with what differs here."""
    text = one.text
    for said, here in differs.items():
        assert said in text, f"{one.place}: it does not say {said!r} any more"
        text = text.replace(said, here)
    return text


def commands(text: str) -> Iterator[tuple[int, str]]:
    """Yield the commands of a shell's text, each with the number of its first line from 0."""
    begun, held = 0, list[str]()
    lines = iter(enumerate(text.splitlines()))
    for number, line in lines:
        begun = begun if held else number
        held.append(line)
        for _, word in _HEREDOC.findall(line):
            for _, inner in lines:
                held.append(inner)
                if inner.strip() == word:
                    break
        if _is_whole(held):
            if any(word.strip() and not word.lstrip().startswith("#") for word in held):
                yield begun, "\n".join(held)
            held = []
    assert not held, f"the shell waits for the end of {held[0]!r}"


def _is_whole(lines: Sequence[str]) -> bool:
    if lines[-1].endswith("\\"):
        return False
    done = subprocess.run(["bash", "-n"], input="\n".join((*lines, "")), text=True, capture_output=True, check=False)
    return done.returncode == 0


def script(one: Block, differs: Mapping[str, str] = _NOTHING) -> str:
    """Return a script for bash that runs a block and ends at the first command that fails, with page and line.

    As in a shell that somebody types into, a directory and variables stay from command to command.
    """
    text = differing(one, differs)
    # What differs may have other lines than the page.
    exact = text.count("\n") == one.text.count("\n")
    made = ['failed() { echo "$1: exit status $2" >&2; exit 1; }']
    for number, command in commands(text):
        line = one.line + number if exact else one.line
        first = command.splitlines()[0]
        where = shlex.quote(f"{_path(one.page).relative_to(ROOT)}:{line}: {first}")
        made.append(f"{{\n{command}\n}} || failed {where} $?")
    return "\n".join((*made, ""))


class Reader:
    """Somebody who follows pages on one machine, in one shell of root's."""

    def __init__(self, run: Callable[[str], str]) -> None:
        """`run` runs a script with bash as root there, fails if that fails, and returns what it said."""
        self._run = run
        self.left = "/"
        """The directory that the last block left us in."""

    def follow(self, page: str, begins: str, differs: Mapping[str, str] = _NOTHING) -> str:
        """Run the block of a page that begins so; return what it said."""
        text = script(block(page, begins), differs)
        said = self._run(f"cd {shlex.quote(self.left)}\n{text}pwd\n")
        said, _, self.left = said.rstrip("\n").rpartition("\n")
        return said
