"""A Puppetfile, if they are followed here: it asks for modules, and does nothing else (puppetfile/language.py).

One that the branch has already is looked at as well: with one that is not
sound, whatever way it came, nothing of the tree could go live.
"""

from __future__ import annotations

from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.puppetfile import JOINED, NAME
from git_hooks.repository.trees import FILE, PROGRAM


def check(look: Look) -> Iterator[Problem]:
    """Yield what is wrong with a Puppetfile at the top."""
    if look.path or look.limits.sources is None:
        return
    for entry in look.entries:
        if entry.name == JOINED:
            yield Problem(JOINED, "is what the branch manager calls the modules of a Puppetfile; choose another name")
        if entry.name != NAME:
            continue
        if entry.mode not in (FILE, PROGRAM):
            yield Problem(NAME, "must be a file")
            return
        from git_hooks.puppetfile import language  # few pushes bring one, and none should wait for that

        content = look.blobs(entry.id).content
        if content is None:
            yield Problem(NAME, f"is larger than {language.LONGEST} bytes")
            return
        try:
            language.read(content, look.limits.sources)
        except language.UnsoundPuppetfile as error:
            yield Problem("", str(error))
