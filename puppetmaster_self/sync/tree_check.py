"""Would this instance's catalog compile with a new tree? The version is built as for a deploy, and not switched.

The environment that LDAP says is authoritative for the node, so the new tree is
shown under that very name: in an environmentpath of its own that only the
compile sees. Any failure, of git, disk or Puppet, is a reason to keep the old.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from enc.programs.log import all_said, get
from enc.programs.machine_trouble import told
from enc.settings import BranchSettings, SyncSettings
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname, EnvironmentName
from enc.terms.program_words import why
from git_hooks.deploy.deployer import Deployer
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.instance.machine import Machine

COMPILE = (
    *("puppet", "catalog", "compile", "%{certname}", "--environment", "%{environment}"),
    *("--environmentpath", "%{environmentpath}", "--facts_terminus", "facter", "--color", "false"),
)
"""What compiles the catalog; %{environmentpath} is where only the new tree is."""


@dataclass(frozen=True)
class TreeCheck:
    """Called with a commit; returns why it must not go live, empty if it may."""

    machine: Machine
    branches: BranchSettings
    settings: SyncSettings
    environment: EnvironmentName
    certname: Certname
    directory: Path
    """Ours alone; the environmentpath of the compile is made in here."""
    timeout: float

    def __call__(self, commit: ObjectId) -> str:
        """Build and compile."""
        try:
            with Deployer(self.branches) as deployer:
                version = deployer.prepare(self.environment, commit)
            return self._compile(version) if self.settings.compile else ""
        except (ToolkitError, OSError) as error:
            return f"the new tree cannot be tested: {told(error)}"

    def _compile(self, version: str) -> str:
        self.directory.mkdir(exist_ok=True)
        link = self.directory / self.environment
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        try:
            known = {
                "certname": str(self.certname),
                "environment": str(self.environment),
                "environmentpath": str(self.directory),
            }
            done = self.machine.ask(*filled(COMPILE, known), timeout=self.timeout)
        finally:
            link.unlink(missing_ok=True)
        if done.status == 0:
            return ""
        reason = why(done.output).removeprefix("Error: ")
        all_said(get("self"), COMPILE[0], done.output, reason)
        return f"the catalog does not compile with the new tree: {reason}"


def filled(command: tuple[str, ...], known: dict[str, str]) -> tuple[str, ...]:
    """Return the command with every %{name} replaced. Pure."""
    return tuple(re.sub(r"%\{(\w+)\}", lambda match: known.get(match[1], match[0]), word) for word in command)
