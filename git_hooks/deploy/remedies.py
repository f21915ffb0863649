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
        return "no push helps until an operator has fixed that"
    if isinstance(failure, UnsoundTree):
        return f"no push helps until an operator has repaired the repository (git fsck) and run: {again}"
    if isinstance(failure, TypesFailed | FetchFailed) and failure.__cause__ is not None:
        return f"no push helps until an operator has made the program work and run: {again}"
    if isinstance(failure, UnsoundPuppetfile | TypesFailed):
        return "it goes live with a push that corrects this"
    if isinstance(failure, UnsoundModules | FetchFailed):
        return (
            "correct the Puppetfile if it names something that does not exist; otherwise push again, or ask an "
            f"operator to run: {again}"
        )
    if isinstance(failure, ForeignEnvironment):
        return f"no push helps until an operator has moved that away and run: {again}"
    if isinstance(failure, RepositoryError | NotFound):
        return f"ask an operator to check the repository (git fsck) and run: {again}"
    if isinstance(failure, OSError) and failure.errno in _FULL:
        return f"it goes live when an operator has freed disk space and run: {again}"
    if isinstance(failure, OSError):
        return f"ask an operator to check the machine (branch-manager doctor) and run: {again}"
    return f"push again, or ask an operator to run: {again}"
