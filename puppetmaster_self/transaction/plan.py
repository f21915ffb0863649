"""From facts and a wish to the steps of `enable`. Pure; `--dry-run` shows this very plan.

The self-master's classifier reads the instance's own configuration. What its
branch manager reads is decided here: the same, with places of its own, and with
one rule that lets the local branch be the environment that LDAP says for this
node. Its signing policy reads that, too: a project's authority, which signs
what the site's has signed (enc/signing/policy.py).
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from enc.doctor.account import PUPPETSERVER_USER
from enc.settings import MirrorSettings, PuppetserverSettings, Settings
from enc.settings.reference import as_yaml, effective
from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, EnvironmentName, ProjectName
from puppetmaster_self.instance.keep import LOCAL
from puppetmaster_self.instance.machine import Places
from puppetmaster_self.transaction import readable
from puppetmaster_self.transaction.facts import Facts
from puppetmaster_self.transaction.steps.agent import Pause, RealRun, Rehearsal, Resume, Switch
from puppetmaster_self.transaction.steps.base import PUPPETS, Base
from puppetmaster_self.transaction.steps.master import Answering, Apply, Classifier, program
from puppetmaster_self.transaction.steps.packages import Packages
from puppetmaster_self.transaction.steps.reading import Reading
from puppetmaster_self.transaction.steps.repository import Deploy, Repository
from puppetmaster_self.transaction.steps.snapshot import Mark, Snapshot
from puppetmaster_self.transaction.steps.step import Step
from puppetmaster_self.transaction.steps.units import Units


@dataclass(frozen=True)
class Wish:
    """What the person who enables wants."""

    upstream: str | None = None
    branch: BranchName | None = None
    for_project: bool = False
    environment: EnvironmentName | None = None
    """Environment of this node, as LDAP says."""
    project: ProjectName | None = None


@dataclass(frozen=True)
class Plan:
    """All steps, in their order."""

    upstream: str
    branch: BranchName
    environment: EnvironmentName
    server: str
    steps: tuple[Step, ...]


def upstream_of(wish: Wish, settings: Settings) -> str:
    """Return the central repository; raise `ToolkitError` if nobody named it."""
    chosen = wish.upstream or settings.self_master.upstream
    if not chosen or chosen.startswith("-") or not chosen.isprintable():
        raise ToolkitError("name the central repository: --upstream URL, or self_master.upstream")
    return chosen


def branch_of(wish: Wish, settings: Settings) -> BranchName:
    """Return the branch to build on; raise `ToolkitError` if nobody named it and the project is not known."""
    chosen = wish.branch or settings.self_master.branch
    if chosen is None and wish.project is not None:
        place = Rules(settings.branches.rules).project_branch(wish.project)
        chosen = place.branch if place is not None else None
    if chosen is None:
        raise ToolkitError("name the branch to build on: --branch BRANCH, or self_master.branch")
    return chosen


def site_branch(settings: Settings, environment: EnvironmentName) -> BranchName | None:
    """Return the central branch that becomes `production` beside the local branch's `environment`; None: none does.

    Raise `ToolkitError` if git could not keep it and the local branch in one repository.
    """
    if environment == PUPPETS:
        return None
    site, local = Rules(settings.branches.rules).branch_of(PUPPETS), LOCAL
    if site is not None and (f"{site}/".startswith(f"{local}/") or f"{local}/".startswith(f"{site}/")):
        raise ToolkitError(f"{local} conflicts with {site}, which is {PUPPETS}", where="branches.rules")
    return site


def decide(facts: Facts, wish: Wish, settings: Settings, config: Path, places: Places) -> Plan:
    """Return the steps that make this instance its own master; raise `ToolkitError` for what is not known."""
    own = settings.self_master
    environment = wish.environment or EnvironmentName(facts.agent["environment"])
    # Debian gives a machine's own name the address 127.0.1.1, where a server on 127.0.0.1 does not listen.
    server = str(facts.certname) if wish.for_project and facts.own_name_is_local else "localhost"
    agent = {"server": server, "serverport": str(own.port), "ssldir": str(places.ssl)}
    upstream, branch = upstream_of(wish, settings), branch_of(wish, settings)
    site = site_branch(settings, environment)
    configured = ("--config", str(places.configuration))
    deploy = (*program("git_hooks.cli"), *configured, "deploy")
    roots, without = _roots(facts, places), (places.base,)
    tool = facts.tool or "apt"
    timeout = float(own.run_timeout)
    steps: Sequence[Step] = (
        Units((*program("puppetmaster_self.cli"), "--config", str(config)), float(own.sync.interval)),
        Pause(),
        Snapshot(roots, without),
        Base(
            _configuration(settings, places, environment, site, wish),
            module_root(),
            _made(settings),
            _autosign(places, wish),
            settings.answers.directory,
        ),
        Packages(tool, own.packages, timeout),
        Repository(upstream, branch, site, LOCAL, own.working_copy, deploy, timeout),
        Deploy(deploy, timeout),
        Reading(
            tuple(readable.of_configuration(settings, config)),
            places.environments / environment,
            readable.unseen(own, facts.tool, facts.server["confdir"]),
        ),
        Apply(_manifest(facts, settings, places, wish), (str(places.modules), *modulepath(facts)), timeout),
        Answering(own.port, float(own.start_timeout)),
        Classifier(facts.certname, (str(Path(sys.prefix) / "bin/enc"), "--config", str(config)), PUPPETSERVER_USER),
        Mark(roots, without, tool),
        Rehearsal(agent, timeout),
        Switch(Path(facts.agent["config"]), agent),
        RealRun(timeout),
        Resume(facts.agent_runs),
    )
    return Plan(upstream, branch, environment, server, tuple(steps))


def _roots(facts: Facts, places: Places) -> tuple[Path, ...]:
    """Return what is kept: all that packages, module and agent may touch, each tree once."""
    wanted = [facts.agent["confdir"], facts.agent["ssldir"], facts.server["confdir"], facts.server["ssldir"]]
    wanted += [facts.server["cadir"], "/etc/puppetmaster", "/etc/default", str(places.units)]
    chosen: list[Path] = []
    for path in sorted({Path(text) for text in wanted if text.startswith("/")}):
        if not any(path.is_relative_to(root) for root in chosen):
            chosen.append(path)
    return tuple(chosen)


def modulepath(facts: Facts) -> tuple[str, ...]:
    """Return where Puppet finds the modules that make a master."""
    return tuple(facts.server["basemodulepath"].split(":"))


def _configuration(
    settings: Settings, places: Places, environment: EnvironmentName, site: BranchName | None, wish: Wish
) -> str:
    rules = (f"{LOCAL} = {environment}", *([f"{site} = {PUPPETS}"] if site else []))
    branches = replace(
        settings.branches,
        repository=places.repository,
        store=places.store,
        environments=places.environments,
        rules=rules,
        # Its puppetserver keeps no environment in memory, so it need not be told; and it mirrors no forge.
        puppetserver=PuppetserverSettings(),
        mirror=MirrorSettings(),
    )
    signing = settings.signing
    if wish.for_project:
        # Both places are puppetserver's: what was signed, and why or why not.
        issued, journal = places.authority / "signed", _journals(places) / "journal.jsonl"
        signing = replace(signing, project=wish.project, issued=issued, journal=journal)
    return as_yaml(effective(replace(settings, branches=branches, signing=signing)))


_AUTOSIGN = """\
#!/bin/sh
# puppetmaster-self: judges requests of the project's instances (docs/signing.md).
# Read as a list of names, by a server that cannot execute it, each line allows nothing: it has a '#' or a space.
PUPPETMASTER_CONFIG={configuration} exec {program} --state {journals} "$@"
"""


def _autosign(places: Places, wish: Wish) -> str | None:
    if not wish.for_project:
        return None
    if wish.project is None:
        raise ToolkitError("LDAP does not name the project of this instance", where="--for-project")
    program = Path(sys.prefix) / "bin/enc-autosign"
    words = {"configuration": places.configuration, "program": program, "journals": _journals(places)}
    return _AUTOSIGN.format(**{key: shlex.quote(str(path)) for key, path in words.items()})


def _journals(places: Places) -> Path:
    """Return where the signing policy, which is puppetserver's, keeps its journals."""
    return places.authority / "signing"


def module_root() -> Path:
    """Return where the Puppet module `puppetmaster` is: installed with these programs, or the checkout itself."""
    installed = Path(sys.prefix) / "share/puppetmaster-toolkit/module"
    return installed if installed.exists() else Path(__file__).resolve().parents[2]


def _made(settings: Settings) -> tuple[Path, ...]:
    """Return what may be made outside of the base by packages, module and puppetserver."""
    kept = settings.answers.directory
    return (
        *(kept, Path("/var/lib/puppetmaster/before")),
        *(Path("/var/lib/puppetserver"), Path("/var/log/puppetserver"), Path("/etc/puppet/puppetserver")),
        *(Path("/opt/puppetlabs/server/data"), Path("/var/log/puppetlabs/puppetserver")),
    )


def _manifest(facts: Facts, settings: Settings, places: Places, wish: Wish) -> str:
    """Return the Puppet code that is applied: a hash of what this self-master is, and the classes that make it so."""
    commands = Path(sys.prefix) / "bin"
    master = {
        "certname": str(facts.certname),
        "dns_alt_names": sorted({str(facts.certname), "localhost"}),
        "ssldir": str(places.ssl),
        "cadir": str(places.authority),
        "port": settings.self_master.port,
        "environmentpath": str(places.environments),
        "environment_timeout": "0",
        "autosign": str(places.autosign) if wish.for_project else False,
        "listen_address": "0.0.0.0" if wish.for_project else "127.0.0.1",  # noqa: S104
        "manage_package": False,
        # Its catalogs have our classes, too: `puppetmaster::client` on others, `puppetmaster::self` on this instance.
        "settings": {"server/basemodulepath": f"{facts.server['basemodulepath']}:{places.modules}"},
    }
    classifier = {"answers": str(settings.answers.directory)}
    lines = [f"${name} = {_puppet(value)}" for name, value in (("master", master), ("classifier", classifier))]
    lines.append(f"$commands = {_puppet(str(commands))}")
    return "\n".join((*lines, settings.self_master.code or _CLASSES))


def _puppet(value: object) -> str:
    """Return a value as Puppet writes it: single quotes know no variables."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ", ".join(_puppet(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_puppet(key)} => {_puppet(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


_CLASSES = """
class { 'puppetmaster::toolkit': directory => regsubst($commands, '/[^/]+\\z', '') }
class { 'puppetmaster': * => $master }
class { 'puppetmaster::enc': * => $classifier }
"""
