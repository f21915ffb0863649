"""The transaction: steps forwards with the journal ahead of them, and back in exact reverse.

Owns the order of journal and acts, and nothing of what steps do. Whatever ends
`enable` before it is finished, an error, an interrupt or a bug, leads back at
once; what kills the process leads back at the next `recover`, at the latest
when the machine starts. A way back that fails at one step stops there and
says so; the journal stays, and `recover` goes on from there. Only what decides
who serves the instance (`Step.vital`) is undone all the same.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from enc.programs.machine_trouble import told
from enc.programs.telling import unfailing
from enc.terms.errors import ToolkitError
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.journal import Begun, Journal, JournalDamaged
from puppetmaster_self.transaction.signals import interruptible, uninterrupted
from puppetmaster_self.transaction.states import SelfMasterState, after
from puppetmaster_self.transaction.steps import STEPS
from puppetmaster_self.transaction.steps.agent import Resume, Switch
from puppetmaster_self.transaction.steps.step import Step

Tell = Callable[[str], None]
"""Takes one line for people. If it fails, because nobody listens any more, the transaction goes on."""


class WentBack(ToolkitError):
    """Something failed, and everything is as it was before."""


class Stuck(ToolkitError):
    """The way back could not be finished; the journal stays."""


def enable(journal: Journal, machine: Machine, steps: Iterable[Step], tell: Tell, opening: Mapping[str, Any]) -> None:
    """Carry out `steps`; raise `WentBack` with the reason if one failed and all is undone."""
    state, tell = after(journal.state, "enable"), unfailing(tell)
    _sweep(machine)

    def forwards() -> None:
        journal.open(state, machine.now(), **opening)
        for step in steps:
            _carry_out(journal, machine, step, tell)
        journal.enter(after(journal.state, "finished"), machine.now())

    def back(reason: str) -> None:
        journal.enter(after("enabling", "failed"), machine.now(), reason)
        tell(f"going back: {reason}")
        go_back(journal, machine, tell)

    _attempt(journal, "enabling", forwards, back, "everything is as it was before")


def disable(
    journal: Journal, machine: Machine, before: Callable[[], None], verify: Callable[[], None], tell: Tell
) -> None:
    """Give the agent its old master, `verify` that it serves, then undo all the rest.

    `before` runs first, while nothing has changed. If either fails, the own master goes on serving.
    Meanwhile the agent's service is stopped: it would run for real before anybody has verified anything.
    """
    state, tell = after(journal.state, "disable"), unfailing(tell)

    def forwards() -> None:
        journal.enter(state, machine.now())
        before()
        for begun in journal.standing():
            tell(f"undo {begun.step}")
            _undo(begun, machine)
            journal.undone(begun.number, machine.now())
            if begun.step == Switch.name:
                break
        verify()
        # Not owed: killed in the state of before, the instance would be given its own master again.
        journal.enter(after(journal.state, "verified"), machine.now())

    def back(reason: str) -> None:
        tell(f"staying: {reason}")
        _stay(journal, machine, tell)
        journal.enter(after("disabling", "refused"), machine.now(), reason)

    _attempt(journal, "disabling", forwards, back, "this instance remains its own master")
    with uninterrupted(), journal.owing():
        go_back(journal, machine, tell)


def leave(journal: Journal, machine: Machine, reason: str, tell: Tell) -> None:
    """Go back without asking anybody: the own master is dead."""
    with uninterrupted(), journal.owing():
        journal.enter(after(journal.state, "dead"), machine.now(), reason)
        go_back(journal, machine, unfailing(tell))


def recover(journal: Journal, machine: Machine, tell: Tell) -> bool:
    """Finish or undo what was interrupted; tell whether there was anything."""
    state, tell = journal.state, unfailing(tell)
    if state in ("client", "serving"):
        return False
    with uninterrupted(), journal.owing():
        if state == "disabling":
            _stay(journal, machine, tell)
            journal.enter(after(state, "recover"), machine.now(), "interrupted")
            return True
        if state == "enabling":
            journal.enter(after(state, "recover"), machine.now(), "interrupted")
        go_back(journal, machine, tell)
    return True


def go_back(journal: Journal, machine: Machine, tell: Tell) -> None:
    """Undo everything that stands, the last first, and put the journal away; raise `Stuck` if that fails."""
    failed: tuple[str, Exception] | None = None
    for begun in journal.standing():
        if failed is not None and not _is_vital(begun):
            continue
        tell(f"undo {begun.step}")
        try:
            for line in _undo(begun, machine):
                tell(f"  {line}")
        except Exception as problem:  # one step, and a bug in it must not leave the agent without a master either
            tell(f"  failed: {told(problem)}")
            failed = failed or (begun.step, problem)
            continue
        # What was undone out of its turn is undone again in its turn: the undo before it may change it once more.
        if failed is None:
            journal.undone(begun.number, machine.now())
    if failed is not None:
        step, error = failed
        raise Stuck(
            f"{step} could not be undone: {_said(error)}; fix that, then run `puppetmaster-self recover`",
            where=str(journal.path),
        ) from error
    journal.close(machine.now())
    try:
        _sweep(machine)
    except OSError as error:
        tell(f"backup copies of the earlier state are left until the next enable: {told(error)}")


def _attempt(
    journal: Journal, state: SelfMasterState, forwards: Callable[[], None], back: Callable[[str], None], outcome: str
) -> None:
    """Go `forwards`; what ends that while the instance is still in `state`, leads `back`, which is given the reason.

    Raise `WentBack` with the `outcome` for an expected error; interrupts and bugs are raised again.
    """

    def lead_back(error: BaseException) -> None:
        if journal.state == state:
            with journal.owing():
                back(_said(error))
            if isinstance(error, ToolkitError | OSError):
                raise WentBack(f"{outcome}, because: {_said(error)}") from error

    with interruptible():
        try:
            try:
                forwards()
            except BaseException as error:
                with uninterrupted():
                    lead_back(error)
                raise
        except KeyboardInterrupt as error:
            # It may have come between the two lines above. It was the first, so there is no other one.
            with uninterrupted():
                lead_back(error)
            raise


def _carry_out(journal: Journal, machine: Machine, step: Step, tell: Tell) -> None:
    tell(f"{step.name}: {step.summary()}")
    began = time.monotonic()
    remembered = step.remember(machine)
    number = journal.begin(step.name, remembered, machine.now())
    found = step.act(machine, remembered)
    took = time.monotonic() - began
    journal.done(number, machine.now(), found)
    lines = found.splitlines() or [""]
    tell(f"  {lines[0]} ({took:.1f} s)")
    for line in lines[1:]:
        tell(f"    {line}")


def _undo(begun: Begun, machine: Machine) -> list[str]:
    """Undo one step; raise `ToolkitError` also for one that this version does not know."""
    if begun.step not in STEPS:
        raise ToolkitError(
            "is not a step of this version; go back with the version that wrote the journal", where=begun.step
        )
    return STEPS[begun.step].undo(machine, begun.undo)


def _is_vital(begun: Begun) -> bool:
    return begun.step in STEPS and STEPS[begun.step].vital


def _said(error: BaseException) -> str:
    return told(error) if isinstance(error, OSError) else str(error) or type(error).__name__


def _stay(journal: Journal, machine: Machine, tell: Tell) -> None:
    """Give the agent the own master again: from the old one, as enable did."""
    switch, resume = journal.last(Switch.name), journal.last(Resume.name)
    if switch is None or resume is None:
        raise JournalDamaged("does not say how to switch the agent back", where=str(journal.path))
    try:
        for begun in journal.standing():
            if begun.step in (Switch.name, Resume.name):
                # Killed within its undo, it may be either.
                _undo(begun, machine)
                journal.undone(begun.number, machine.now())
        _carry_out(journal, machine, Switch.from_remembered(switch), tell)
    finally:
        # Whichever master it has now, its service runs; the next recovery tries again.
        _carry_out(journal, machine, Resume(resume["active"]), tell)


def _sweep(machine: Machine) -> None:
    """Remove the copies of a journal that is put away."""
    if machine.places.snapshot.exists():
        shutil.rmtree(machine.places.snapshot)
