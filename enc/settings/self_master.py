"""The sections of `puppetmaster-self`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from enc.settings.values import Duration, Section
from enc.terms.names import BranchName


@dataclass(frozen=True)
class SyncSettings(Section):
    """`puppetmaster-self sync`: the local patches on what the central branch shows (docs/sync.md)."""

    on_conflict: Literal["stop", "park"] = "stop"
    """What to do if a patch conflicts: `stop` and keep the old state, or `park` that patch and go on with the
    others."""
    interval: Duration = Duration(3600)
    """How often the timer syncs; at least a minute."""
    timeout: Duration = Duration(300)
    """How long one fetch or push may take."""
    compile: bool = True
    """Compile this instance's catalog with the new tree first; if that fails, the old state stays."""
    review_ref: str = "refs/for/%{branch}"
    """Where `send --review` pushes."""
    metrics_file: Path | None = None
    """Prometheus text file, for the node exporter's textfile collector."""


@dataclass(frozen=True)
class SelfMasterSettings(Section):
    """`puppetmaster-self`: this instance as its own Puppet master."""

    base: Path = Path("/var/lib/puppetmaster/self")
    """Where everything of the self-master is: certificates, repository, environments, answers, journal."""
    upstream: str | None = None
    """The central repository, as git fetches and pushes it. None: `enable` must be given --upstream."""
    branch: BranchName | None = None
    """Branch of the central repository on which local commits are made. None: the one given to `enable`, or the
    project's own."""
    working_copy: Path = Path("/srv/puppet")
    """Where people edit; a commit there goes live at once."""
    code: str | None = None
    """Puppet code that makes this machine a master; it can use $master, $classifier and $commands. Set it for a smaller
    heap, for example. None: the classes of the module `puppetmaster`."""
    keep_as: str | None = None
    """Branch of the central repository to which `disable` pushes the local commits, with %{project}, %{name} and
    %{time}. null: the branch that the first of `branches.rules` with <name> and <topic> gives for the topic
    %{name}-%{time}, here `topic/%{project}/%{name}-%{time}`."""
    packages: tuple[str, ...] = ("puppetserver", "git")
    """Packages that are installed, and removed again if they were not there before."""
    port: int = 8140
    """Port on which the instance's own puppetserver listens."""
    memory: int = 1_000_000_000
    """Bytes of memory that must be free."""
    disk: int = 1_500_000_000
    """Bytes of disk that must be free below `base`."""
    start_timeout: Duration = Duration(300)
    """How long the instance's own puppetserver may take until it answers."""
    run_timeout: Duration = Duration(1800)
    """How long one run of the agent, of puppet apply or of the package program may take."""
    dead_after: Duration = Duration(900)
    """How long the instance's own puppetserver may be dead before the instance goes back to the central master."""
    sync: SyncSettings = field(default_factory=SyncSettings)
    """Local patches and the central branch."""
