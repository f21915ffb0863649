"""A Puppetfile, if they are followed here: it asks for modules, and does nothing else (puppetfile/language.py).

One that the branch has already is looked at as well: with one that is not
sound, whatever way it came, nothing of the tree could go live.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from enc.terms.errors import ToolkitError
from git_hooks.checks.look import File, Problem, Tree
from git_hooks.puppetfile import JOINED, LONGEST, NAME, sources
from git_hooks.repository.trees import FILE, PROGRAM, Entry

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.puppetfile.language import Puppetfile


ALSO = (NAME, JOINED)
"""What is looked at though a known tree has it."""


def reads(file: File) -> int | None:
    """Return how much of it is read, and ask for what is called as its modules will be."""
    if file.path not in ALSO or sources(file.settings.branches.puppetfile) is None:
        return None
    return LONGEST if file.path == NAME else 0


def check(file: File) -> Iterator[Problem]:
    """Yield what is wrong with a Puppetfile at the top."""
    if file.entry.name == JOINED:
        yield Problem(JOINED, "is the branch manager's own name for the modules of a Puppetfile; choose another name")
        return
    try:
        _asked(file.entry, file.content, file.settings)
    except ToolkitError as error:
        yield Problem("", str(error))


def beside(tree: Tree) -> Iterator[Problem]:
    """Yield which module of a Puppetfile the tree has itself; that lies in no directory alone."""
    if sources(tree.settings.branches.puppetfile) is None:
        return
    for entry in tree.at(NAME):
        from git_hooks.puppetfile.language import check_beside

        try:
            asked = _asked(entry, tree.content(entry, LONGEST), tree.settings)
            for own in tree.at(asked.directory):
                if own.is_directory:
                    check_beside(asked, {one.name for one in tree.entries(own)})
        except ToolkitError as error:
            yield Problem("", str(error))


def _asked(entry: Entry, content: bytes | None, settings: Settings) -> Puppetfile:
    """Return what a Puppetfile asks for; raise `UnsoundPuppetfile`."""
    from git_hooks.puppetfile import language  # few pushes bring one, and none should wait for that

    allowed = sources(settings.branches.puppetfile)
    if entry.mode not in (FILE, PROGRAM):
        raise language.UnsoundPuppetfile("must be a file", where=NAME)
    if content is None or allowed is None:
        raise language.UnsoundPuppetfile(f"is larger than {LONGEST} bytes", where=NAME)
    return language.read(content, allowed)
