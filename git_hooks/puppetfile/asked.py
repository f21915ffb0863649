"""What the Puppetfile of a commit asks for. It is read from git: in a checkout the file may be a link to anything."""

from __future__ import annotations

from git_hooks.puppetfile import JOINED, LONGEST, NAME, Sources
from git_hooks.puppetfile.language import Puppetfile, UnsoundPuppetfile, read
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import FILE, PROGRAM


def asked(
    repository: Repository, commit: ObjectId, allowed: Sources | None, known: dict[str, Puppetfile] | None = None
) -> Puppetfile | None:
    """Return what the commit's Puppetfile asks for; None: there is none, or none is followed (`allowed`).

    Raise `UnsoundPuppetfile`. `known` remembers what was read, for whoever asks about many commits.
    """
    for entry in repository.tree(repository.tree_of(commit)):
        if entry.name == JOINED:
            raise UnsoundPuppetfile("is what the branch manager calls a Puppetfile's modules", where=JOINED)
        if entry.name == NAME and allowed is not None:
            if entry.mode not in (FILE, PROGRAM):
                raise UnsoundPuppetfile("must be a file", where=NAME)
            found = known.get(entry.id) if known is not None else None
            if found is None:
                found = read(repository.blob(entry.id)[: LONGEST + 1], allowed)
                if known is not None:
                    known[entry.id] = found
            return found
    return None
