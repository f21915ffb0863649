"""The transaction: steps forwards with the journal ahead of them, and back in exact reverse.

Owns the order of journal and acts, and nothing of what steps do. Whatever ends
`enable` before it is finished, an error, an interrupt or a bug, leads back at
once; what kills the process leads back at the next `recover`, at the latest
when the machine starts. A way back that fails at one step stops there and
says so; the journal stays, and `recover` goes on from there. Only what decides
who serves the instance (`Step.vital`) is undone all the same.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from enc.terms.errors import ToolkitError
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.journal import Begun, Journal
from puppetmaster_self.transaction.states import after
from puppetmaster_self.transaction.steps import STEPS
from puppetmaster_self.transaction.steps.agent import Resume, Switch
from puppetmaster_self.transaction.steps.step import Step

Tell = Callable[[str], None]
"""Takes one line for people."""


class WentBack(ToolkitError):
    """Something failed, and everything is as it was before."""


class Stuck(ToolkitError):
    """The way back could not be finished; the journal stays."""


def enable(
    journal: Journal, machine: Machine, steps: Iterable[Step], tell: Tell, opening: Mapping[str, Any]
) -> None:
    """Carry out `steps`; raise `WentBack` with the reason if one failed and all is undone."""
    state = after(journal.state, "enable")
    _sweep(machine)
    journal.open(state, machine.now(), **opening)
    try:
        for step in steps:
            _carry_out(journal, machine, step, tell)
        journal.enter(after(journal.state, "finished"), machine.now())
    except BaseException as error:
        if journal.state != "enabling":
            raise
        reason = str(error) or type(error).__name__
        tell(f"going back: {reason}")
        with uninterrupted():
            journal.enter(after("enabling", "failed"), machine.now(), reason)
            go_back(journal, machine, tell)
        if isinstance(error, ToolkitError | OSError):
            raise WentBack(f"everything is as before, because: {reason}") from error
        raise


def disable(
    journal: Journal, machine: Machine, before: Callable[[], None], verify: Callable[[], None], tell: Tell
) -> None:
    """Give the agent its old master, `verify` that it serves, then undo all the rest.

    `before` runs first, while nothing has changed. If either fails, the own master goes on serving.
    Meanwhile the agent's service is stopped: it would run for real before anybody has verified anything.
    """
    journal.enter(after(journal.state, "disable"), machine.now())
    try:
        before()
        for begun in journal.standing():
            tell(f"undo {begun.step}")
            _undo(begun, machine)
            journal.undone(begun.number, machine.now())
            if begun.step == Switch.name:
                break
        verify()
        journal.enter(after(journal.state, "verified"), machine.now())
    except BaseException as error:
        if journal.state != "disabling":
            raise
        with uninterrupted():
            reason = str(error) or type(error).__name__
            tell(f"staying: {reason}")
            _stay(journal, machine, tell)
            journal.enter(after("disabling", "refused"), machine.now(), reason)
        if isinstance(error, ToolkitError | OSError):
            raise WentBack(f"this instance goes on being its own master, because: {reason}") from error
        raise
    with uninterrupted():
        go_back(journal, machine, tell)


def leave(journal: Journal, machine: Machine, reason: str, tell: Tell) -> None:
    """Go back without asking anybody: the own master is dead."""
    journal.enter(after(journal.state, "dead"), machine.now(), reason)
    with uninterrupted():
        go_back(journal, machine, tell)


def recover(journal: Journal, machine: Machine, tell: Tell) -> bool:
    """Finish or undo what was interrupted; tell whether there was anything."""
    state = journal.state
    if state in ("client", "serving"):
        return False
    with uninterrupted():
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
        except (ToolkitError, OSError) as problem:
            tell(f"  failed: {problem}")
            failed = failed or (begun.step, problem)
            continue
        # What was undone out of its turn is undone again in its turn: the undo before it may change it once more.
        if failed is None:
            journal.undone(begun.number, machine.now())
    if failed is not None:
        step, error = failed
        raise Stuck(
            f"{step} could not be undone: {error}; mend that, then run `puppetmaster-self recover`",
            where=str(journal.path),
        ) from error
    journal.close(machine.now())
    _sweep(machine)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let nobody interrupt the way back by Ctrl-C or by closing the terminal."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make the end of a terminal or of a service the same as Ctrl-C: the way back begins."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _carry_out(journal: Journal, machine: Machine, step: Step, tell: Tell) -> None:
    tell(f"{step.name}: {step.summary()}")
    began = time.monotonic()
    remembered = step.remember(machine)
    number = journal.begin(step.name, remembered, machine.now())
    told = step.act(machine, remembered)
    took = time.monotonic() - began
    journal.done(number, machine.now(), told)
    lines = told.splitlines() or [""]
    tell(f"  {lines[0]} ({took:.1f} s)")
    for line in lines[1:]:
        tell(f"    {line}")


def _undo(begun: Begun, machine: Machine) -> list[str]:
    """Undo one step; raise `ToolkitError` also for one that this version does not know."""
    if begun.step not in STEPS:
        raise ToolkitError("is no step of this version; go back with the one that wrote the journal", where=begun.step)
    return STEPS[begun.step].undo(machine, begun.undo)


def _is_vital(begun: Begun) -> bool:
    return begun.step in STEPS and STEPS[begun.step].vital


def _stay(journal: Journal, machine: Machine, tell: Tell) -> None:
    """Give the agent the own master again: from the old one, as enable did."""
    for begun in journal.standing():
        if begun.step in (Switch.name, Resume.name):
            # Killed within its undo, it may be either.
            _undo(begun, machine)
            journal.undone(begun.number, machine.now())
    switch, resume = journal.last(Switch.name), journal.last(Resume.name)
    assert switch is not None and resume is not None, "a self-master has switched its agent"
    _carry_out(journal, machine, Switch.from_remembered(switch), tell)
    _carry_out(journal, machine, Resume(resume["active"]), tell)


def _sweep(machine: Machine) -> None:
    """Remove the copies of a journal that is put away."""
    if machine.places.snapshot.exists():
        shutil.rmtree(machine.places.snapshot)
