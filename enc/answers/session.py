"""One session of the follower: from opening the copy to the first failure that cannot be dealt with in place.

One loop does everything that touches the copy and the files; the threads of
feeds.py only read from the network. A turn of the loop:

1. take what the feeds handed over, put it into the copy together with the
   cookies that stand for it and the names it reaches, in one transaction
   (intake.py);
2. once all feeds are complete, make the answers of these names anew;
3. let the comparisons begin that are due;
4. at each beat say how things are (`contact`, metrics).

`contact` advances only to a moment at which every feed was known to be alive,
everything it had said was in the copy, and no name was waiting. So an answer
is never called younger than it is.

Not here: what happens after a session has ended (follower.py).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from enc.answers import metrics, processes
from enc.answers.copy import Copy
from enc.answers.database import CopyDamaged, guarded, make_private
from enc.answers.intake import Intake
from enc.answers.layout import BEAT, Contact, Layout
from enc.answers.plans import plans
from enc.answers.reader import read_contact
from enc.answers.seen_edits import SeenEdits
from enc.answers.work import WorkTeam
from enc.answers.worklist import Outcome
from enc.answers.writer import AnswerWriter
from enc.classify.gather import members
from enc.classify.kinds import KINDS
from enc.classify.render import ANSWER_FORMAT
from enc.programs import log, prometheus
from enc.programs.elapsed import Elapsed
from enc.settings import Settings
from enc.terms.errors import one_line
from enc.terms.record import Record

MANY = 4000
"""From so many names on, further processes pay."""
_TAKEN = 4000
"""Events taken together at most, so that a refresh is committed in pieces."""
_REMEMBERED = 90 * 86400
"""Seconds for which a deleted node is remembered as such."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Session:
    """From opening the copy to the first failure that cannot be dealt with in place."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        writer: AnswerWriter,
        numbers: metrics.Metrics,
        lock: int,
        stop: threading.Event,
        beat: float = BEAT,
    ) -> None:
        """`lock`: the descriptor of the directory's lock."""
        self._pause = beat
        self._layout = layout
        self._settings = settings
        self._writer = writer
        self._numbers = numbers
        self._stop = stop
        self._lock = lock
        self._log = log.get("follower")
        self._team = WorkTeam(layout, settings, writer, self._go_on)
        self._last_beat = 0.0
        self._said: dict[str, str] = {}
        self._said_current = False
        before = read_contact(layout)
        # If the clock was set back, nothing is known until LDAP answers.
        self._contact = before.contact if before and before.contact <= time.time() else 0

    def run(self, *, once: bool) -> None:
        """Work until told to stop."""
        with guarded(self._layout.copy):
            if self._settings.domains.serves == "projects":
                make_private(self._layout.copy, *SeenEdits(self._layout.root).files)
            self._copy = Copy(self._layout.copy, self._settings)
            self._intake = Intake(self._settings, self._numbers, self._copy, self._pause)
            try:
                self._work(once)
            finally:
                self._intake.end()
                self._copy.close()
        self._beat()

    def _work(self, once: bool) -> None:
        self._prepare()
        self._intake.start()
        while not self._stop.is_set():
            if self._intake.apply(self._intake.take(min(self._pause, 0.5), _TAKEN)):
                self._retain()
            if self._intake.arrivals.membership_changed:
                self._writer.membership(time.time())
                self._intake.arrivals.membership_changed = False
            if self._intake.complete():
                self._copy.worklist.mark_over(time.time())
                self._make()
                if not self._stop.is_set():  # then something may be left of it
                    self._advance()
            self._intake.compare()
            if self._beat_is_due():
                self._measure()
                self._beat()
            if once and self._contact and self._intake.is_current():
                return
            if once and self._intake.troubles.errors:
                raise next(iter(self._intake.troubles.errors.values()))

    def _prepare(self) -> None:
        """Find out what cannot be trusted: after a crash of the machine, or with another configuration."""
        self._copy.check()
        self._said = {problem.name: problem.message for problem in self._copy.worklist.problems()}
        shape = _shape_of_copy(self._settings)
        if self._copy.progress.fact("shape") not in (None, shape):
            raise CopyDamaged("the copy was made with different bases or filters", where=str(self._layout.copy))
        facts = {
            "shape": shape,
            "boot": _BOOT.read_text(encoding="ascii").strip(),
            "answers": _shape_of_answers(self._settings),
        }
        count = Elapsed(self._layout.elapsed).count()
        with self._copy.transaction():
            self._copy.worklist.bury(count, _REMEMBERED)
            self._copy.worklist.doubt()
            if any(self._copy.progress.fact(key) != value for key, value in facts.items()):
                self._copy.worklist.mark_all(self._copy.source.project_names(), rewrite=True)
            for key, value in facts.items():
                self._copy.progress.keep_fact(key, value)
            if all(self._copy.progress.complete(plan.feed) for plan in plans(self._settings)):
                self._copy.worklist.mark_missing(self._writer.on_disk())
                self._retain()
        self._writer.fallback(self._settings.nodes.semantics == "terminus")
        signing = self._settings.signing
        self._writer.signing(signing.judges, signing.journal.parent)

    def _retain(self) -> None:
        gone = self._writer.retain(self._copy.index.names(), self._copy.source.project_names())
        self._numbers.answers_removed_total += gone

    # What follows from it

    def _make(self) -> None:
        """Make the answers on the list anew."""
        count = self._copy.worklist.dirty_count()
        began = time.monotonic()
        processors = os.cpu_count() or 1
        many = count >= MANY and processors > 1
        if many:
            ranges = self._copy.worklist.dirty_bounds(processors)
            try:
                outcomes = processes.outcomes(self._settings, ranges, self._lock, self._go_on)
            finally:
                self._writer.look()
            self._copy.worklist.settle(outcomes, int(time.time()))
            self._count(outcomes)
        if count and self._go_on():
            for outcomes in self._team.names(self._copy):
                self._count(outcomes)
        if many:
            left = self._copy.worklist.dirty_count()
            self._log.info("%d names done in %.1f s", count - left, time.monotonic() - began)
        for project, trouble in self._team.projects(self._copy):
            if trouble is not None:
                self._say(f"project {project}", trouble)
        if self._intake.arrivals.groups_changed:
            found = ((record.dn, _wrong_with_group(record)) for record in self._copy.source.groups())
            problems = {dn: problem for dn, problem in found if problem is not None}
            self._copy.worklist.report("group", problems, int(time.time()))
            for dn, problem in problems.items():
                self._say(f"group {dn}", problem)
            self._intake.arrivals.groups_changed = False
        if count and self._intake.arrivals.newest:
            self._numbers.lag_seconds = max(0.0, time.time() - _time_of(self._intake.arrivals.newest))
            self._intake.arrivals.newest = ""

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        self._numbers.answers_written_total += sum(outcome.wrote for outcome in outcomes)
        self._numbers.answers_removed_total += sum(outcome.gone for outcome in outcomes)
        for outcome in outcomes:
            if outcome.problem is None:
                self._said.pop(outcome.name, None)
            else:
                self._say(outcome.name, outcome.problem)

    def _say(self, name: str, problem: str) -> None:
        """Log what cannot be classified once, and not each time that it is tried."""
        if self._said.get(name) != problem:
            self._said[name] = problem
            self._log.warning("%s: %s", name, problem)

    def _advance(self) -> None:
        """Everything that the feeds said so far is on disk: the answers are as young as the oldest proof."""
        proven = int(self._intake.proven())
        # Never backwards, unless the clock itself went back.
        self._contact = max(self._contact, proven) if self._contact <= time.time() else proven
        if self._intake.is_current() != self._said_current:
            self._measure()
            self._beat()

    def _measure(self) -> None:
        numbers, copy = self._numbers, self._copy
        numbers.nodes, numbers.problems, numbers.unread, numbers.pending = (
            copy.records.count_nodes(),
            copy.worklist.count_problems(),
            copy.worklist.count_entries(),
            copy.worklist.dirty_count(),
        )

    def _beat_is_due(self) -> bool:
        return time.monotonic() - self._last_beat >= self._pause

    def _go_on(self) -> bool:
        """Beat while the work goes on, and tell whether it is to."""
        if self._beat_is_due():
            self._beat()
        return not self._stop.is_set()

    def _beat(self) -> None:
        """Say how things are."""
        self._last_beat = time.monotonic()
        now = time.time()
        current = self._said_current = self._intake.is_current()
        if self._contact:
            self._writer.contact(
                Contact(
                    self._contact,
                    int(now),
                    int(self._settings.answers.max_age),
                    "current" if current else "unreachable",
                )
            )
        self._numbers.up = float(current)
        self._numbers.age_seconds = max(0.0, now - self._contact) if self._contact else float("inf")
        if self._settings.follow.metrics_file:
            prometheus.write_file(self._settings.follow.metrics_file, self._numbers.text())


def _wrong_with_group(record: Record) -> str | None:
    try:
        return members(record).problem
    except Exception as fault:  # one group of many
        return one_line(f"cannot be examined: {type(fault).__name__}: {fault}")


def _shape_of_copy(settings: Settings) -> str:
    """Return what changes when the copy would hold other entries, or find them by other keys."""
    nodes = settings.nodes
    keys = (nodes.parent_attribute, nodes.project, nodes.variable_attributes, nodes.semantics)
    # Whom it is closed to is decided when it is made.
    served = [settings.domains.serves] if settings.domains.serves is not None else []
    return repr([(plan.feed, plan.base, plan.filter_text) for plan in plans(settings)] + [keys, *served])


def _shape_of_answers(settings: Settings) -> str:
    """Return what changes when the same records would give other answers."""
    answers = (settings.answers.variable, settings.answers.on_bad_entry, settings.answers.merged_data)
    rules = settings.branches.rules
    parts = (settings.nodes, settings.projects, settings.groups, settings.site, answers, rules, "enrolments")
    kinds = [(kind.part, kind.attribute, kind.merge, kind.trusted) for kind in KINDS]
    served = f" {settings.domains!r}" if settings.domains.serves is not None else ""
    return f"{ANSWER_FORMAT} {parts!r} {kinds!r}{served}"


def _time_of(csn: str) -> float:
    """Return the time stamp of an entryCSN (`20120101120000.123456Z#…`) in epoch seconds; now if it has none."""
    try:
        return datetime.strptime(csn.partition("#")[0], "%Y%m%d%H%M%S.%fZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return time.time()
