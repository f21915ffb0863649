"""Is puppetserver set up for environments that are links to versions?

`gather` asks `puppet config print` and reads puppetserver's conf.d; `judge` is
a function of that. puppetserver need not run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.puppet import settings as puppet_settings
from enc.settings import BranchSettings
from git_hooks.store.code_programs import missing

_ASKED = ("confdir", "config", "environment_timeout", "environmentpath", "hiera_config", "versioned_environment_dirs")
_COMMANDS = ("code-id-command", "code-content-command")


class PuppetFacts(NamedTuple):
    """How Puppet and puppetserver are configured."""

    settings: Mapping[str, str]
    """Of puppet.conf, as puppetserver sees them."""
    conf_d: Path | None
    """Where puppetserver's own configuration was read; None: it was not found."""
    commands: Mapping[str, str]
    """Of versioned-code: setting → program."""
    broken: frozenset[str]
    """Those programs that cannot be run."""
    walking: str = ""
    """The site's own hiera.yaml, if it has a `**`."""


def gather(confdir: Path | None, conf_d: Path | None) -> PuppetFacts | str:
    """Return what is configured; a text if puppet could not be asked. None: the machine's own directories."""
    try:
        found = puppet_settings.ask(_ASKED, confdir)
    except puppet_settings.NoPuppet as error:
        return str(error)
    # puppet prints what it would use itself for the environment production, if there is one; puppetserver reads this.
    stated = setting(_read(Path(found.get("config", ""))), "environment_timeout")
    found |= {"environment_timeout": stated} if stated else {}
    base = Path(found.get("confdir", "/etc/puppet"))
    places = [conf_d] if conf_d else [base / "puppetserver/conf.d", base.parent / "puppetserver/conf.d"]
    place = next((path for path in places if path.is_dir()), None)
    commands = parse_commands("\n".join(_read(path) for path in sorted(place.glob("*.conf")))) if place else {}
    broken = {program for program in commands.values() if not _runs(program)}
    hiera = found.get("hiera_config", "")
    walking = hiera if hiera and "**" in _read(Path(hiera)) else ""
    return PuppetFacts(found, place, commands, frozenset(broken), walking)


def setting(text: str, name: str) -> str | None:
    """Return what puppet.conf `text` says for puppetserver about a setting; None if nothing."""
    section, found = "main", {}
    for line in text.splitlines():
        if header := re.match(r"\s*\[\s*(\w+)\s*\]", line):
            section = header[1]
        elif match := re.match(rf"\s*{name}\s*=\s*(.*?)\s*$", line):
            found[section] = match[1]
    return next((found[place] for place in ("server", "master", "main") if place in found), None)


def parse_commands(text: str) -> dict[str, str]:
    """Return the commands of versioned-code in HOCON `text`."""
    text = re.sub(r"^\s*(?:#|//).*$", "", text, flags=re.MULTILINE)
    found = {}
    for name in _COMMANDS:
        match = re.search(rf'{name}"?\s*[:=]\s*(?:"([^"\n]*)"|([^\s,}}]+))', text)
        if match:
            found[name] = match[1] or match[2] or ""
    return found


def judge(facts: PuppetFacts | str, config: Path, settings: BranchSettings) -> Iterator[Finding]:
    """Judge it; `config` is our configuration file."""
    if isinstance(facts, str):
        yield note("puppet", facts, "run doctor where puppetserver runs, as root")
        return
    yield _path(facts, settings)
    yield _versioned(facts)
    yield _timeout(facts, settings)
    yield _hiera(facts, settings)
    yield from _code(facts, config, settings)


def _path(facts: PuppetFacts, settings: BranchSettings) -> Finding:
    path, wanted = facts.settings.get("environmentpath", ""), str(settings.environments)
    if path == wanted:
        return ok("puppet-environmentpath", f"environmentpath is {wanted}")
    what = f"environmentpath is {path!r}, and branches.environments {wanted}"
    if os.pathsep in path:
        what += "; with several, static catalogs cannot know which one is meant"
    elif os.path.realpath(path) == os.path.realpath(wanted):
        return warning("puppet-environmentpath", f"{what}, which is the same place", "write the same path in both")
    do = f"in {facts.settings.get('config')} under [server]: environmentpath = {wanted}"
    return fault("puppet-environmentpath", what, do)


def _versioned(facts: PuppetFacts) -> Finding:
    if facts.settings.get("versioned_environment_dirs") == "true":
        return ok("puppet-versioned", "one compile reads one version (versioned_environment_dirs)")
    return fault(
        "puppet-versioned",
        "versioned_environment_dirs is not true: a compile during a switch reads two versions",
        f"in {facts.settings.get('config')} under [server]: versioned_environment_dirs = true",
    )


def _timeout(facts: PuppetFacts, settings: BranchSettings) -> Finding:
    timeout = facts.settings.get("environment_timeout", "")
    where = f"in {facts.settings.get('config')} under [server]: environment_timeout = unlimited"
    urls = settings.puppetserver.urls
    if timeout == "unlimited" and not urls:
        return fault(
            "puppet-timeout",
            "environment_timeout is unlimited, and no puppetserver is flushed after deploys: old code stays for ever",
            "set branches.puppetserver.urls",
        )
    if timeout in ("unlimited", "0"):
        slow = "" if urls and timeout != "0" else ": correct, but each compile reads all code again"
        return ok("puppet-timeout", f"environment_timeout is {timeout}{slow}")
    what = f"environment_timeout is {timeout}: code stays old for that long, or is read again for nothing"
    return warning("puppet-timeout", what, where)


def _hiera(facts: PuppetFacts, settings: BranchSettings) -> Finding:
    if facts.walking and settings.split_large:
        what = f"{facts.walking} has a glob with `**`, which does not follow directories that are shared as links"
        do = "branches.split_large: false, then a new commit; or a glob without **"
        return warning("puppet-hiera", what, do)
    return ok("puppet-hiera", "hiera finds its data in large directories too")


def _code(facts: PuppetFacts, config: Path, settings: BranchSettings) -> Iterator[Finding]:
    if facts.conf_d is None:
        yield note("puppet-static-catalogs", "puppetserver's conf.d was not found", "name it with --puppetserver-conf")
        return
    if not facts.commands:
        what = "not set: a catalog compiled before a switch gets files from after it"
        yield note("puppet-static-catalogs", what, "see docs/static-catalogs.md")
        return
    wrong = False
    for name in _COMMANDS:
        program = facts.commands.get(name, "")
        if not program or program in facts.broken:
            wrong = True
            what = f"{program} cannot be run" if program else f"{name} is not set, but the other one is"
            yield fault("puppet-static-catalogs", f"{facts.conf_d}: {what}", "set both, see docs/static-catalogs.md")
    for place, target in missing(config, settings).items():
        wrong = True
        yield fault("puppet-static-catalogs", f"{place} does not point to {target}", f"ln -sfn {target} {place}")
    if not wrong:
        yield ok("puppet-static-catalogs", "puppetserver asks which version a catalog belongs to")


def _runs(program: str) -> bool:
    return program.startswith("/") and os.access(program, os.X_OK) and Path(program).is_file()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
