"""What the nodes of an environment would miss in a commit that somebody lets it show: for a warning, not a refusal.

Failure modes: none; where it cannot be told, that is what is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from enc.terms.errors import ToolkitError
from git_hooks.branches.usage import Usage
from git_hooks.checks import assigned
from git_hooks.index.environment import LONGEST
from git_hooks.index.opening import environment
from git_hooks.index.sight import Sight
from git_hooks.puppet_code.worker import Worker

if TYPE_CHECKING:
    from enc.settings import Settings
    from enc.terms.names import EnvironmentName
    from git_hooks.repository.objects import Repository
    from git_hooks.repository.refs import ObjectId
    from git_hooks.repository.trees import Entry


def missed(
    settings: Settings, repository: Repository, name: EnvironmentName, commit: ObjectId, shown: str
) -> Iterator[str]:
    """Yield what its nodes are assigned and would not have at `commit`; `shown` is that version's directory."""

    def content(entry: Entry, most: int) -> bytes | None:
        found = repository.blob(entry.id)
        return found if len(found) <= min(most, LONGEST) else None

    worker = Worker(settings.branches.ruby)
    try:
        nodes = Usage(settings).assigned(name)
        if nodes:
            sight = Sight(repository.tree_of(commit), repository.tree, content)
            yield from assigned.lacking(environment(settings, sight, worker.read, Path(shown)), nodes, worker.read)
    except ToolkitError as error:
        yield f"whether its nodes are assigned anything that is not there could not be checked: {error}"
    finally:
        worker.close()
