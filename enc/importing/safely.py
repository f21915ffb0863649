"""Reading files that others wrote: no links, no surprises in size, text or YAML.

Owns the opening and the limits. What the text means is the caller's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from enc.errors import ToolkitError, one_line

LONGEST_TEXT = 1 << 20
"""Bytes of a YAML or puppet.conf file."""
MOST_NODES = 50_000
"""Values in one YAML file after aliases are followed: a small file can stand for billions of them."""


class Unreadable(ToolkitError):
    """A file that cannot be used; `where` is the file, with the line if there is one."""


def text_of(file: Path, *, follow: bool = False, longest: int = LONGEST_TEXT) -> str:
    """Return the text of a plain file; links only if `follow`. Raise `Unreadable`."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        with os.fdopen(os.open(file, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is not a plain file", where=str(file))
            raw = stream.read(longest + 1)
        if len(raw) > longest:
            raise Unreadable(f"is longer than {longest} bytes", where=str(file))
        return raw.decode("utf-8")
    except OSError as error:
        what = "is a symbolic link" if not follow and file.is_symlink() else f"cannot be read: {error.strerror}"
        raise Unreadable(what, where=str(file)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8", where=str(file)) from error


def lines_of(file: Path) -> Iterator[str]:
    """Yield the lines of a file that may be large; links are followed. Raise `Unreadable`."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            yield from stream
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8", where=str(file)) from error


def yaml_of(text: str, file: Path) -> tuple[Any, yaml.Node | None]:
    """Return the value of a YAML text and its node, which knows the lines; raise `Unreadable` with the line."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _count(node, file)
        return loader.construct_document(node), node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(f"is not YAML: {one_line(what)}", where=_line(file, mark)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(f"is not YAML: {one_line(' '.join(str(error).split()))}", where=str(file)) from error
    finally:
        loader.dispose()


def _line(file: Path, mark: yaml.Mark | None) -> str:
    return f"{file}:{mark.line + 1}" if mark is not None else str(file)


def line_of(file: Path, node: yaml.Node | None) -> str:
    """Return FILE:LINE of a node, or the file."""
    return _line(file, node.start_mark if node is not None else None)


def _count(top: yaml.Node, file: Path) -> None:
    """Refuse what grows beyond measure when aliases are followed, before anything is built from it."""
    waiting = [top]
    seen = 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > MOST_NODES:
            raise Unreadable(f"holds more than {MOST_NODES} values", where=_line(file, top.start_mark))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                waiting += (key, value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
