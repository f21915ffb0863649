"""The steps of `enable`, one module for each kind. What a step is: step.py."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from puppetmaster_self.transaction.steps.agent import Pause, RealRun, Rehearsal, Resume, Switch
from puppetmaster_self.transaction.steps.base import Base
from puppetmaster_self.transaction.steps.master import Answering, Apply, Classifier
from puppetmaster_self.transaction.steps.packages import Packages
from puppetmaster_self.transaction.steps.reading import Reading
from puppetmaster_self.transaction.steps.repository import Deploy, Repository
from puppetmaster_self.transaction.steps.snapshot import Mark, Snapshot
from puppetmaster_self.transaction.steps.step import Step
from puppetmaster_self.transaction.steps.units import Units

_ALL: tuple[type[Step], ...] = (
    *(Units, Pause, Snapshot, Base, Packages, Repository, Deploy, Reading, Apply, Answering),
    *(Classifier, Mark, Rehearsal, Switch, RealRun, Resume),
)
STEPS: Mapping[str, type[Step]] = MappingProxyType({cls.name: cls for cls in _ALL})
"""Every step that a journal may name."""
