"""The one classification function, behind which every door of the toolkit stands.

The follower, the direct path of `enc`, `enc-admin node explain` and the tests
all call `Classifier.classify`; they differ only in the `Source` they pass.
"""

from __future__ import annotations

from enc.classify import extended, terminus
from enc.classify.gather import gather
from enc.classify.model import Classification, Lineage, Source
from enc.settings import Settings
from enc.terms.names import Certname


class Classifier:
    """Classification under one configuration; holds no state besides it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def classify(self, certname: Certname, source: Source, *, events: bool = False) -> Classification:
        """Return what the node is.

        `events` asks for the history of each part (for `explain`), which costs
        time. Raise `NotFound` if the directory has no such node,
        `ClassificationError` if its records contradict themselves, and
        `DirectoryUnreachable` if `source` cannot say.
        """
        return self.judge(gather(certname, source, self._settings), events=events)

    def judge(self, lineage: Lineage, *, events: bool = False) -> Classification:
        """Return the classification of records that were gathered before."""
        if self._settings.nodes.semantics == "terminus":
            return terminus.classify(lineage, self._settings.nodes, events=events)
        return extended.classify(lineage, self._settings.nodes, self._settings.projects, events=events)
