"""What helps after a deploy that failed: who has to do what. Pure.

A push that is stored and not live is only said to go live with the next push,
or with a `deploy`, where that is so.
"""

from __future__ import annotations

import errno

from enc.terms.errors import NotFound, ToolkitError
from git_hooks.repository.reading import RepositoryError
from git_hooks.repository.trees import UnsoundTree
from git_hooks.store.mounted import StoreAway
from git_hooks.store.resource_types import TypesFailed
from git_hooks.store.versions import ForeignEnvironment

_FULL = (errno.ENOSPC, errno.EDQUOT)


def remedy(failure: ToolkitError | OSError, environment: str) -> str:
    """Return what helps after `failure`, in a sentence that needs no other."""
    from git_hooks.deploy.module_program import FetchFailed
    from git_hooks.deploy.module_sets import UnsoundModules
    from git_hooks.puppetfile.language import UnsoundPuppetfile  # who does not fail need not know of these

    again = f"branch-manager deploy {environment}"
    if isinstance(failure, StoreAway):
        return "no push helps before an operator has seen to that"
    if isinstance(failure, UnsoundTree):
        return f"no push helps before an operator has mended the repository (git fsck), then: {again}"
    if isinstance(failure, TypesFailed | FetchFailed) and failure.__cause__ is not None:
        return f"no push helps before an operator has seen to it that the program can do its work, then: {again}"
    if isinstance(failure, UnsoundPuppetfile | TypesFailed):
        return "it goes live with a push that mends this"
    if isinstance(failure, UnsoundModules | FetchFailed):
        return f"mend the Puppetfile if it asks for what there is not; else it is tried again by a push, or by: {again}"
    if isinstance(failure, ForeignEnvironment):
        return f"no push helps before an operator has moved that away, then: {again}"
    if isinstance(failure, RepositoryError | NotFound):
        return f"an operator looks at the repository (git fsck), then: {again}"
    if isinstance(failure, OSError) and failure.errno in _FULL:
        return f"it goes live once an operator has made room on the disk, then: {again}"
    if isinstance(failure, OSError):
        return f"an operator looks at what the machine says there (branch-manager doctor), then: {again}"
    return f"the next push tries again, or an operator's: {again}"
