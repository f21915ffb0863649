"""What directories of manifests define, kept on disk by the name of their trees.

    index/FORMAT/AB/TREE[.plan]     what the files directly in a directory define
    index/FORMAT/last/PATH          the tree that a directory had when it was last read; PATH: a digest

A tree's name says what is in it, so a part is never wrong, whoever writes it; of two who write one at once, either
stays. When a directory is another one, its files that are as they were in the last one need not be read again.

All of it can be thrown away and is made again. `sweep`, which gc calls, keeps the newest parts up to a bound; what is
used counts as new. Where the store is not there (its file system is not mounted), nothing is kept.

Failure modes: none; what is damaged or cannot be written is as if it were not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from git_hooks.puppet_code import definitions
from git_hooks.puppet_code.definitions import Definition

_FORMAT = "1"
"""Raise this whenever the same file would give another part."""
_MOST = 20_000
"""Parts that are kept; a large repository has 2,000, and each push adds one or two."""
_OTHER_FORMAT = -1.0
"""The time of a part that another release kept: before all others."""


class Part(NamedTuple):
    """What one file defines."""

    id: str
    """The object's name."""
    defined: tuple[Definition, ...]
    fault: str = ""
    """Why it is no Puppet code."""


class Kept:
    """The parts of one store. Threads and processes may share it."""

    def __init__(self, store: str | Path) -> None:
        """Read nothing yet."""
        self._store = str(store)
        self._root = f"{store}/index/{_FORMAT}"

    def get(self, name: str) -> Mapping[str, Part] | None:
        """Return the part of this name, by file; None: it is not kept."""
        place = self._place(name)
        try:
            with open(place, "rb") as stream:
                files = json.load(stream)
            os.utime(place)
            return {
                str(file): Part(str(blob), tuple(map(definitions.parse, defined)), str(fault))
                for file, (blob, defined, fault) in files.items()
            }
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def put(self, name: str, part: Mapping[str, Part], path: str) -> None:
        """Keep a part, and that the directory `path` had it last."""
        files = {file: [one.id, [each.document() for each in one.defined], one.fault] for file, one in part.items()}
        self._write(self._place(name), json.dumps(files, separators=(",", ":")))
        self._write(self._last(path), name)

    def last(self, path: str) -> Mapping[str, Part]:
        """Return the part that the directory `path` had when it was last read; empty: none is known."""
        with suppress(OSError, ValueError), open(self._last(path), encoding="ascii") as stream:
            return self.get(stream.read(200)) or {}
        return {}

    def sweep(self, most: int = _MOST) -> int:
        """Remove the parts that were not used for longest, beyond `most`; return how many."""
        found: list[tuple[float, Path]] = []
        for directory, _, names in os.walk(f"{self._store}/index"):
            current = f"{directory}/".startswith(f"{self._root}/")
            for path in (Path(directory, name) for name in names):
                with suppress(OSError):
                    found.append((path.stat().st_mtime if current else _OTHER_FORMAT, path))
        others = sum(at == _OTHER_FORMAT for at, _ in found)
        old = sorted(found)[: max(others, len(found) - most)]
        for _, path in old:
            with suppress(OSError):
                path.unlink()
        return len(old)

    def _place(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"

    def _last(self, path: str) -> str:
        digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{self._root}/last/{digest}"

    def _write(self, place: str, content: str) -> None:
        with suppress(OSError):
            if os.path.lexists(f"{self._store}/.mark"):
                Path(place).parent.mkdir(parents=True, exist_ok=True)
                whole_file.write(place, content, mode=0o600, survives=Strength.KILL)
