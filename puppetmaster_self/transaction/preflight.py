"""Decides whether this instance may become its own master now: facts in, findings out. Pure.

A fault stops `enable` before anything is changed. `doctor` shows the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.settings import SelfMasterSettings
from enc.terms.counted import counted
from puppetmaster_self.transaction.facts import Facts

_CLOCK = 300.0
"""Seconds that the clock may lie before the agent's certificate was written."""
_OLD_RUN = 86_400.0
_PATH = re.compile(r"(/[A-Za-z0-9._+@-]+)+", re.ASCII)
"""As the module's type Puppetmaster::Path has it."""
MASTERS = "/var/lib/puppetmaster/masters"
"""Where `puppetmaster::client` keeps certificates of other masters."""


def judge(facts: Facts, settings: SelfMasterSettings) -> Iterator[Finding]:
    """Yield what speaks for and against it."""
    yield from _machine(facts, settings)
    yield from _packages(facts, settings)
    yield from _agent(facts)
    yield from _places(facts, settings)
    yield from _reading(facts)


def _machine(facts: Facts, settings: SelfMasterSettings) -> Iterator[Finding]:
    if not facts.root:
        yield fault("account", "this is not root", "run it with sudo")
    if not facts.systemd:
        yield fault("systemd", "systemd does not run here", "a self-master needs it")
    for check, has, needs in (
        ("memory", facts.memory, settings.memory),
        ("disk", facts.disk, settings.disk),
    ):
        if has < needs:
            words = f"{has // 1_000_000} MB are free, but {needs // 1_000_000} are needed"
            yield fault(check, words, f"free some space, or lower self_master.{check}")
        else:
            yield ok(check, f"{has // 1_000_000} MB are free")
    if facts.certificate is not None and facts.now < facts.certificate - _CLOCK:
        yield fault("clock", "the clock is before the time of the agent's certificate", "set the clock")
    else:
        yield ok("clock", "is after the time of the agent's certificate")
    if facts.master_runs:
        yield fault(
            "port",
            "a puppetserver already runs here",
            "an instance that is already a master cannot become a self-master",
        )
    elif facts.port_taken:
        yield fault("port", f"another program listens on port {settings.port}", "stop it, or set self_master.port")
    else:
        yield ok("port", f"port {settings.port} is free")


def _packages(facts: Facts, settings: SelfMasterSettings) -> Iterator[Finding]:
    if facts.new_packages is None:
        yield fault(
            "packages", f"cannot be installed: {facts.packages_said}", f"needed: {', '.join(settings.packages)}"
        )
    else:
        yield ok("packages", f"{facts.new_packages} would be installed")
    if facts.upstream_said:
        yield fault(
            "repository", f"cannot be read: {facts.upstream_said}", "see self_master.upstream and self_master.branch"
        )
    elif facts.upstream_named:
        yield ok("repository", "no fault found (checked only if git is installed)")


def _agent(facts: Facts) -> Iterator[Finding]:
    if facts.certificate is None:
        yield fault("agent", "has no certificate of the central master", "let it enrol first: puppet agent --test")
    elif facts.agent["ssldir"].startswith(f"{MASTERS}/"):
        yield fault("agent", "is a client of another instance's master", "let it go back first (puppetmaster::client)")
    elif facts.agent_disabled:
        yield fault("agent", "is disabled", "puppet agent --enable")
    elif facts.last_run is None:
        yield fault("agent", "no run of the agent is recorded", "run it: puppet agent --test")
    elif facts.last_run[1]:
        yield fault("agent", f"{counted(facts.last_run[1], 'resource')} failed in its last run", "fix that first")
    elif facts.now - facts.last_run[0] > _OLD_RUN:
        yield warning("agent", "its last run was more than a day ago", "puppet agent --test")
    else:
        yield ok("agent", "its last run succeeded")


def _places(facts: Facts, settings: SelfMasterSettings) -> Iterator[Finding]:
    if not _PATH.fullmatch(str(settings.base)):
        words = f"self_master.base is {str(settings.base)!r}, which cannot be written in puppet.conf and units"
        yield fault("places", words, "use an absolute path of letters, digits and . _ + @ - only")
    for path in facts.occupied:
        yield fault("places", f"{path} already exists", "move it away; it may be left over from an earlier run")
    for words in facts.hidden:
        yield fault("work", f"{words} and would be hidden", "push it, or move it away")
    if not facts.own_name_is_local:
        yield note(
            "name",
            f"{facts.certname} does not resolve to this machine",
            "this instance's master is called localhost here",
        )


def _reading(facts: Facts) -> Iterator[Finding]:
    for words, cure in facts.unreadable:
        yield fault("reading", words, cure)
    if not facts.unreadable:
        yield ok("reading", "puppetserver's account can read what it will need")
    if facts.upstream_named and not facts.hiera_known and not facts.upstream_said:
        yield note(
            "reading", "what hiera.yaml refers to is not known yet", "it is checked when the environments are made"
        )
