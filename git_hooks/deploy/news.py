"""What people should know about a version that goes live and did not know of the one before. Reads, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from enc.terms.errors import ToolkitError
from git_hooks import puppetfile
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.survey import sentences
from git_hooks.store.surveys import Surveys

UNFOLLOWED = "its Puppetfile is ignored, because no program is set for it (branches.puppetfile.program)"


def news(surveys: Surveys, repository: Repository, old: str | None, new: str, *, follows: bool) -> Iterator[str]:
    """Yield it, a sentence each. `old` and `new` are versions (directories), `follows` is whether Puppetfiles are."""
    before = surveys.remarks(old) if old is not None else ()
    yield from sentences([remark for remark in surveys.remarks(new) if remark not in before])
    if not follows and _puppetfile(repository, new) not in (None, _puppetfile(repository, old)):
        yield UNFOLLOWED


def _puppetfile(repository: Repository, version: str | None) -> str | None:
    """Return which Puppetfile the commit of a version has."""
    if version is not None:
        with suppress(ToolkitError):
            entries = repository.tree(repository.tree_of(ObjectId(version.rpartition("/")[2])))
            return next((entry.id for entry in entries if entry.name == puppetfile.NAME), None)
    return None
