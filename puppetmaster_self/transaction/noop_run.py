"""Shows people what an agent's noop run would change. Pure.

Puppet writes a message for each property, `PATH/content: current_value '{sha256}…',
should be '{sha256}…' (noop)`, and before that of a file's content, where it may
be shown, one with what `diff -u` says. Two hashes tell nobody anything, so of
those the lines of the difference are told.

What Puppet keeps to itself stays so: it writes no lines for a file with `show_diff
=> false`, and `[redacted]` for `Sensitive`. Beyond that, what is told here may
come to a journal that others read, so of a file that not everybody can read no
line is told (`shown`); who runs `puppet agent --test` sees them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from enc.terms.counted import counted
from enc.terms.errors import one_line

_BEGINS = re.compile(r"(?:Debug|Info|Notice|Warning|Error|Alert|Emergency|Critical): ")
_NOOP = re.compile(r"Notice: (/Stage\[main\].*should be.*\(noop\).*)", re.DOTALL)
_CONTENT = re.compile(r"Notice: (/Stage\[main\][^\n]*/content): \n--- ([^\t\n]+)")
_HASHES = re.compile(r"(/Stage\[main\].*/content): current_value '\{\w+\}\w+', should be '\{\w+\}\w+' \(noop\)")
_FILE, _ALL, _WIDTH = 10, 200, 200
"""Lines told of one file and of all, and characters of one."""


def differences(output: str, shown: Callable[[str], bool]) -> list[list[str]]:
    """Return what would change, a list of lines each; the first says what, others of a file's content how.

    `shown`: whether the lines of a file, given by its path, may be told.
    """
    found: list[list[str]] = []
    contents: dict[str, list[str]] = {}
    left = _ALL
    for message in _messages(output):
        if content := _CONTENT.match(message):
            what, path = content.groups()
            contents[what] = (
                _told(message)
                if shown(path)
                else ["the file is not readable by everybody, so its contents are not shown"]
            )
        elif noop := _NOOP.match(message):
            hashes = _HASHES.fullmatch(noop[1])
            lines = contents.pop(hashes[1], []) if hashes else []
            if lines and left >= len(lines) and hashes:
                left -= len(lines)
                found.append([one_line(hashes[1]), *lines])
            else:
                found.append([one_line(noop[1])])
    return found


def _messages(output: str) -> Iterator[str]:
    """Yield Puppet's messages whole; a line of a difference begins with a sign of its own."""
    message: list[str] = []
    for line in output.split("\n"):
        if message and _BEGINS.match(line):
            yield "\n".join(message)
            message = []
        message.append(line)
    yield "\n".join(message).rstrip("\n")


def _told(message: str) -> list[str]:
    lines = [line for line in message.split("\n")[3:] if line[:1] in ("+", "-")]
    told = [one_line(line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…") for line in lines]
    if len(told) > _FILE:
        told = [*told[:_FILE], f"… and {counted(len(told) - _FILE, 'more line')}"]
    return told
