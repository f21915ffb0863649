"""In which state an instance is, in one word, from what LDAP says and from its last run. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from enc.instances.enrolment import Built, Enrolment

InstanceState = Literal["closed", "waiting", "signed", "built", "failing", "silent"]
STATES: tuple[InstanceState, ...] = ("closed", "waiting", "signed", "built", "failing", "silent")


class Run(NamedTuple):
    """An instance's last run, as its report says. `at` is this master's time, all else is the instance's word."""

    at: int
    """When the report came, in seconds since 1970."""
    status: str
    """`changed`, `unchanged` or `failed`."""
    noop: bool = False
    environment: str = ""
    transaction: str = ""

    @property
    def builds(self) -> bool:
        """Whether it counts as the first successful run."""
        return self.status in ("changed", "unchanged") and not self.noop


class Told(NamedTuple):
    """A state, and what else people want to know about it."""

    state: InstanceState
    since: int
    """Seconds since 1970."""
    remark: str = ""


def state(enrolment: Enrolment, built: Built | None, run: Run | None, now: float, silent_after: float) -> Told:
    """Return the state at `now`. A run or a build from before the certificate was given is a predecessor's."""
    since = enrolment.since
    if enrolment.state == "closed":
        return Told("closed", since, "no certificate is signed until create, rebuild or move is finished")
    if enrolment.state == "waiting":
        if enrolment.in_time(now):
            return Told("waiting", since)
        return Told("closed", enrolment.until, "the token has expired; rebuild gives a new one")
    built = built if built is not None and built.at >= since else None
    run = run if run is not None and run.at >= since else None
    last = max(since, built.at if built else 0, run.at if run else 0)
    if now - last > silent_after:
        return Told("silent", last, "no report since" if run or built else "never sent a report")
    if run is not None and run.status == "failed":
        return Told("failing", run.at)
    return Told("built", built.at) if built else Told("signed", since)


def built_by(enrolment: Enrolment, built: Built | None, run: Run) -> Built | None:
    """Return what is to be recorded because of `run`; None: nothing."""
    if enrolment.state != "signed" or run.at < enrolment.since or not run.builds:
        return None
    if built is not None and built.at >= enrolment.since:
        return None
    return Built(run.at, max(0, run.at - (enrolment.began or enrolment.since)))
