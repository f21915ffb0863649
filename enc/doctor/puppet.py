"""Does puppetserver ask us, and rightly? Reads what `puppet config print` and puppet.conf say.

`gather` runs puppet once (about a second); `judge` is a function of what it
said. puppetserver itself is not asked: it need not run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from enc.answers.layout import Layout
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.puppet import packages as puppet_packages
from enc.puppet import settings as puppet_settings
from enc.settings import Settings
from enc.settings.config import DEFAULT_PATH, ENVIRONMENT_VARIABLE

PROGRAM = "enc"
_ASKED = (
    "autosign",
    "basemodulepath",
    "ca_port",
    "ca_server",
    "ca_ttl",
    "cadir",
    "cakey",
    "certname",
    "config",
    "environmentpath",
    "external_nodes",
    "hiera_config",
    "hostcert",
    "hostprivkey",
    "localcacert",
    "node_terminus",
    "privatekeydir",
    "reports",
    "trusted_external_command",
)
_OURS = ("node_terminus", "external_nodes", "trusted_external_command")
_ENVIRONMENTS_READ = 500


@dataclass(frozen=True, slots=True)
class PuppetFacts:
    """What Puppet is configured to do."""

    settings: Mapping[str, str]
    """As puppetserver sees them (section `server`)."""
    sections: Mapping[str, frozenset[str]]
    """Of puppet.conf: section → which of our settings it holds."""
    executable: frozenset[str]
    """The words of external_nodes and trusted_external_command that are executable files."""
    hiera_reads_answers: bool
    """Whether some hiera.yaml names the directory of our data."""
    has_hiera_data: bool
    packages: Mapping[str, str] | str
    """Those with security fixes that matter here → version; a text if nobody could tell."""
    hiera_reads_merged: bool = False
    """Whether some hiera.yaml names the merged files of nodes (docs/hiera.md)."""


def gather(settings: Settings, confdir: Path | None = None) -> PuppetFacts | str:
    """Return what Puppet says; a text if it could not be asked."""
    try:
        found = puppet_settings.ask(_ASKED, confdir)
    except puppet_settings.NoPuppet as error:
        return error.message
    words = [*found.get("external_nodes", "").split(), found.get("trusted_external_command", "")]
    layout = Layout(settings.answers.directory)
    hierarchies = [_read(path) for path in _hiera_files(found)]
    return PuppetFacts(
        found,
        parse_sections(_read(Path(found.get("config", "")))),
        frozenset(word for word in words if word.startswith("/") and os.access(word, os.X_OK) and Path(word).is_file()),
        any(str(layout.hiera) in text for text in hierarchies),
        _has_hiera_data(layout),
        packages(),
        any(str(layout.hiera) in text and "merged/%{" in text for text in hierarchies),
    )


def parse_sections(text: str) -> dict[str, frozenset[str]]:
    """Return section → which of our settings puppet.conf `text` holds there."""
    found: dict[str, set[str]] = {}
    section = "main"
    for line in text.splitlines():
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            section = header[1]
        elif (setting := re.match(r"\s*(\w+)\s*=", line)) and setting[1] in _OURS:
            found.setdefault(section, set()).add(setting[1])
    return {name: frozenset(settings) for name, settings in found.items()}


def judge(facts: PuppetFacts | str, config: Path, settings: Settings) -> Iterator[Finding]:
    """Judge what Puppet said; `config` is our configuration file."""
    if isinstance(facts, str):
        yield note("puppet", facts, "run doctor where puppetserver runs, as root")
        return
    terminus = facts.settings.get("node_terminus", "")
    if terminus != "exec":
        yield fault(
            "puppet-terminus",
            f"node_terminus is {terminus!r}: puppetserver does not ask an ENC",
            f"in {facts.settings.get('config')} under [server]: node_terminus = exec",
        )
    else:
        yield ok("puppet-terminus", "puppetserver asks an ENC (node_terminus = exec)")
        yield from _enc(facts, config)
    yield from _sections(facts)
    yield from _trusted(facts, settings)
    yield from _hiera(facts, settings)
    yield _reports(facts)
    yield from security(facts.packages)


def security(found: Mapping[str, str] | str) -> Iterator[Finding]:
    """Judge the versions of Puppet's packages: what guards auth.conf and reads catalogs must be mended."""
    if isinstance(found, str):
        yield note("puppet-security", found)
        return
    behind = list(puppet_packages.behind(found))
    for it in behind:
        if it.fix is None:
            yield note("puppet-security", str(it), "check the security notices of whoever built the package")
        else:
            yield fault("puppet-security", str(it), f"upgrade {it.package}, then restart puppetserver")
    if found and not behind:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
        yield ok("puppet-security", f"{versions} have the security fixes of November 2026")


def _enc(facts: PuppetFacts, config: Path) -> Iterator[Finding]:
    command = facts.settings.get("external_nodes", "")
    # env -S is how a path with spaces gets through Puppet's splitting at white space.
    words = re.sub(r'\\[_c]|"', " ", command).split()
    program = next((word for word in words if Path(word).name == PROGRAM), None)
    if program is None:
        yield warning(
            "puppet-enc", f"external_nodes is {command!r}, which is not enc", "in [server]: external_nodes = /PATH/enc"
        )
        return
    first = command.split()[0]
    if not first.startswith("/"):
        yield fault("puppet-enc", f"external_nodes begins with {first!r}", "name the program by its absolute path")
    elif first not in facts.executable:
        yield fault("puppet-enc", f"{first} is not an executable file", f"install it, or chmod a+rx {first}")
    else:
        yield ok("puppet-enc", f"external_nodes is {command}")
    named = words[words.index("--config") + 1] if "--config" in words[:-1] else None
    if named is not None and Path(named) != config:
        yield warning(
            "puppet-enc-config",
            f"puppetserver's enc reads {named}, and this doctor {config}",
            f"run enc-admin --config {named} doctor",
        )
    elif named is None and config != DEFAULT_PATH:
        yield note(
            "puppet-enc-config",
            f"puppetserver's enc reads {DEFAULT_PATH}, unless ${ENVIRONMENT_VARIABLE} in its environment says {config}",
        )


def _sections(facts: PuppetFacts) -> Iterator[Finding]:
    config = facts.settings.get("config")
    wrong = {name: found for name, found in facts.sections.items() if name not in ("server", "master")}
    for name, found in wrong.items():
        yield warning(
            "puppet-sections",
            f"{', '.join(sorted(found))} under [{name}] of {config}: "
            + ("an agent on this machine may call the ENC too" if name == "main" else "puppetserver does not read it"),
            "move it to [server]",
        )
    if not wrong:
        yield ok("puppet-sections", "all our settings are in [server]")


def _trusted(facts: PuppetFacts, settings: Settings) -> Iterator[Finding]:
    command = facts.settings.get("trusted_external_command", "")
    if not command:
        if settings.nodes.semantics == "extended":
            yield note(
                "puppet-trusted",
                "trusted_external_command is not set: no $trusted['external'], and no hiera data of projects",
                "in [server]: trusted_external_command = /PATH/enc-trusted (docs/hiera.md)",
            )
    elif command not in facts.executable:
        yield fault("puppet-trusted", f"{command} is not an executable file", "name enc-trusted by its absolute path")
    else:
        yield ok("puppet-trusted", f"trusted_external_command is {command}")


def _reports(facts: PuppetFacts) -> Finding:
    value = facts.settings.get("reports", "")
    names = value.replace(",", " ").split()
    if "puppetmaster" in names:
        return ok("puppet-reports", "an instance's report counts only if it was sent with that instance's certificate")
    instead = f"in [server]: reports = {', '.join(['puppetmaster', *(n for n in names if n != 'none')])}"
    if "store" in names:
        said = "reports = store: only auth.conf proves who sent a report, and reports are kept for ever"
        return note("puppet-reports", said, f"{instead} (docs/instances.md)")
    return note("puppet-reports", f"reports = {value}: nothing learns which instances are built", instead)


def _hiera(facts: PuppetFacts, settings: Settings) -> Iterator[Finding]:
    place = Layout(settings.answers.directory).hiera
    if facts.hiera_reads_merged and not settings.answers.merged_data:
        yield fault(
            "puppet-hiera",
            f"a hiera.yaml reads {Layout(settings.answers.directory).merged_data}, which nothing writes",
            "set answers.merged_data: true and restart the follower, or use the levels of docs/hiera.md",
        )
    elif facts.hiera_reads_answers:
        yield ok("puppet-hiera", f"hiera reads {place}")
    elif facts.has_hiera_data:
        yield warning(
            "puppet-hiera",
            f"LDAP holds hiera data, and no hiera.yaml names {place}",
            "add the levels of docs/hiera.md to the hiera.yaml of the environments",
        )


def _hiera_files(found: Mapping[str, str]) -> Iterator[Path]:
    yield Path(found.get("hiera_config", ""))
    for directory in found.get("environmentpath", "").split(os.pathsep):
        if directory.startswith("/"):
            yield from sorted(Path(directory).glob("*/hiera.yaml"))[:_ENVIRONMENTS_READ]


def _has_hiera_data(layout: Layout) -> bool:
    places = (layout.node_data, layout.project_data, layout.prefix_data)
    try:
        return any(True for place in places if place.is_dir() for _ in place.iterdir())
    except OSError:
        return False


def packages() -> Mapping[str, str] | str:
    """Return package → version of those that `security` judges; a text if nobody could tell."""
    try:
        return puppet_packages.installed()
    except puppet_packages.NotListed as error:
        return str(error)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_absolute() else ""
    except OSError:
        return ""
