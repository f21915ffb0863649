"""The one classification function, which every part of the toolkit calls.

The follower, the direct path of `enc`, `enc-admin node explain` and the tests
all call `Classifier.classify`; they differ only in the `Source` they pass.
"""

from __future__ import annotations

from dataclasses import replace

from enc.classify import extended, terminus
from enc.classify.entitled import NotEntitled, refusal
from enc.classify.gather import gather
from enc.classify.model import Classification, Lineage, Source
from enc.classify.statements import TRIAL
from enc.settings import Settings
from enc.terms.environments import Rules
from enc.terms.names import Certname


class Classifier:
    """Classification under one configuration; holds no state besides it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = Rules(settings.branches.rules)

    def classify(self, certname: Certname, source: Source, *, events: bool = False) -> Classification:
        """Return what the node is.

        `events` asks for the history of each part (for `explain`), which costs
        time. Raise `NotFound` if the directory has no such node,
        `ClassificationError` if its records contradict themselves, and
        `DirectoryUnreachable` if `source` cannot say.
        """
        return self.judge(gather(certname, source, self._settings), source, events=events)

    def judge(self, lineage: Lineage, source: Source, *, events: bool = False) -> Classification:
        """Return the classification of records that were gathered before from `source`.

        Raise `NotEntitled` if the node's environment is another project's (entitled.py).
        """
        if self._settings.nodes.semantics == "terminus":
            return terminus.classify(lineage, self._settings.nodes, events=events)
        found = extended.classify(lineage, self._settings.nodes, self._settings.projects, events=events)
        if found.environment is not None:
            why = refusal(found.environment, found.project, source, self._rules)
            if why is not None:
                raise NotEntitled(why, where=lineage.node.dn)
        if found.trial is not None:
            why = refusal(found.trial.environment, found.project, source, self._rules)
            if why is not None:
                note = f"{lineage.node.dn}: {TRIAL}: the trial does not count: {why}"
                return replace(found, trial=None, notes=(*found.notes, note))
        return found
