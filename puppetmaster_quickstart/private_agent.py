"""A real Puppet agent whose files all stand below one directory.

It runs once when asked and returns what it did; the machine's own agent
configuration is neither read nor written. What a catalog manages is real,
though: keep resources of tests below a temporary directory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from enc.terms.names import Certname
from puppetmaster_quickstart import compiled_ruby
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.puppetserver_files import check_base, setting_lines


@dataclass(frozen=True)
class AgentRun:
    """How one run ended."""

    status: int
    """Puppet's --detailed-exitcodes: 0 nothing to do, 2 changed, 4 failures, 6 both, 1 no catalog."""
    output: str
    """stdout and stderr together, without colours."""

    @property
    def succeeded(self) -> bool:
        """A catalog was applied without failures."""
        return self.status in {0, 2}

    @property
    def changed(self) -> bool:
        """Something on the machine was changed."""
        return self.status in {2, 6}


@dataclass(frozen=True)
class AgentSettings:
    """Who the agent is, and to whom it goes."""

    certname: Certname
    server: str
    port: int
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Facts beside the machine's own."""
    csr_attributes: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    """custom_attributes and extension_requests of the certificate request."""
    launcher: tuple[str, ...] = ()
    """Put in front of the command, for example `ip netns exec NAME`."""


class PrivateAgent:
    """The agent of one certname; several may stand side by side."""

    def __init__(self, base: Path, settings: AgentSettings) -> None:
        check_base(base)
        self.base = base
        self.settings = settings

    @property
    def ssl(self) -> Path:
        """The agent's ssldir: certs/, private_keys/, ...; `forget` removes it."""
        return self.base / "etc/ssl"

    @property
    def certificate(self) -> Path:
        """The signed certificate (PEM), there after the first run."""
        return self.ssl / f"certs/{self.settings.certname}.pem"

    @property
    def key(self) -> Path:
        """The private key (PEM)."""
        return self.ssl / f"private_keys/{self.settings.certname}.pem"

    @property
    def ca(self) -> Path:
        """The certificates of the authority (PEM)."""
        return self.ssl / "certs/ca.pem"

    def write(self) -> None:
        """Write the agent's configuration; what it has learnt stays."""
        etc = self.base / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        main = {
            "certname": str(self.settings.certname),
            "server": self.settings.server,
            "serverport": str(self.settings.port),
            "ssldir": str(self.ssl),
            "rundir": str(self.base / "run"),
            "logdir": str(self.base / "log"),
            "codedir": str(self.base / "code"),
            "publicdir": str(self.base / "public"),
            "keylength": "2048",
        }
        agent = {
            "usecacheonfailure": "false",
            "waitforcert": "0",
            "waitforlock": "0",
            "splay": "false",
            "http_connect_timeout": "10",
            "http_read_timeout": "120",
        }
        lines = ("[main]", *setting_lines(main), "[agent]", *setting_lines(agent), "")
        (etc / "puppet.conf").write_text("\n".join(lines), encoding="utf-8")
        if self.settings.csr_attributes:
            # JSON is YAML; the file holds a secret.
            attributes = etc / "csr_attributes.yaml"
            attributes.touch(mode=0o600)
            attributes.write_text(json.dumps({k: dict(v) for k, v in self.settings.csr_attributes.items()}))

    def run(self, *arguments: str, noop: bool = False, timeout: float = 180.0) -> AgentRun:
        """Run `puppet agent --test` once; further `arguments` such as `--environment`, `test`.

        Raises `ProcessFailed` if puppet is not installed or takes longer than
        `timeout` seconds. A failed run is a value, not an error.
        """
        self.write()
        return self.puppet("agent", "--test", *(("--noop",) if noop else ()), *arguments, timeout=timeout)

    def puppet(self, *arguments: str, timeout: float = 180.0) -> AgentRun:
        """Run any subcommand of puppet with this agent's configuration."""
        subcommand, *rest = arguments
        command: Sequence[str] = (
            *self.settings.launcher,
            "puppet",
            subcommand,
            "--confdir",
            str(self.base / "etc"),
            "--vardir",
            str(self.base / "var"),
            "--color",
            "false",
            *rest,
        )
        # Facter reads FACTER_NAME; a RUBYLIB or GEM_* of ours would break Debian's puppet.
        foreign = ("RUBY", "GEM_", "BUNDLE_", "FACTER_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        environment |= {f"FACTER_{name}": value for name, value in self.settings.facts.items()}
        environment |= compiled_ruby.environment()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProcessFailed(f"puppet {subcommand} failed: {error}", where=str(self.base)) from error
        return AgentRun(done.returncode, done.stdout.decode("utf-8", errors="replace"))

    def forget(self) -> None:
        """Remove key and certificates; the next run asks for a new one."""
        shutil.rmtree(self.ssl, ignore_errors=True)
