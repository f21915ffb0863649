"""Objects on their way from a forge: in a directory of their own until git has all of them, then in the repository.

What git writes while it fetches is then told from what another git (`git gc`)
writes into the same repository at that moment: if the fetch fails, this
directory goes, and nothing else. It lies below the repository's `objects`, so
that moving in is a rename, and has the name that git's own quarantines have:
`git prune` removes such a one two weeks after a kill, the next fetch at once.
One fetch of a repository at a time, for what is left can then be nobody's.

A kill, or a failure, while objects move in leaves some in and some not. Nothing
refers to them yet, so git brings all of them at the next try.

Failure mode: OSError.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from git_hooks.store.locks import locked

_OURS = "tmp_objdir-fetch-"
_PART = re.compile(r"[0-9a-f]{2}|pack")
_LATE = (".rev", ".idx")
"""Of a pack, what comes after all else, in this order: git reads a pack as soon as its index is there."""


@contextmanager
def arriving(repository: str) -> Iterator[Path]:
    """Give an empty directory of objects that reads the repository's, too; move what is in it there afterwards.

    If the block raises, what is in it goes. Waits for other fetches.
    """
    objects = Path(repository, "objects")
    lock = Path(repository, "puppetmaster/fetch.lock")
    lock.parent.mkdir(exist_ok=True)
    with locked(str(lock)):
        for left in objects.glob(f"{_OURS}*"):
            shutil.rmtree(left, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix=_OURS, dir=objects))
        try:
            (place / "info").mkdir()
            (place / "info/alternates").write_text(f"{objects.resolve()}\n", encoding="utf-8", errors="surrogateescape")
            yield place
            for part in sorted(place.iterdir()):
                if _PART.fullmatch(part.name):
                    _move(part, objects / part.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _move(part: Path, target: Path) -> None:
    for file in sorted(part.iterdir(), key=lambda file: _LATE.index(file.suffix) if file.suffix in _LATE else -1):
        if file.name.startswith("tmp_") or (target / file.name).exists():
            continue  # of one name, of one content
        try:
            file.rename(target / file.name)
        except FileNotFoundError:  # also where a `git gc` has just removed the directory that it had emptied
            target.mkdir(exist_ok=True)
            file.rename(target / file.name)
