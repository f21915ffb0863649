"""The paths below the answers directory, and the format of `contact`.

One follower writes here; `enc`, `enc-trusted`, hiera and `enc-admin` read.
The names are an interface: `enc`, `enc-trusted` and `enc-autosign` know them too, and people's
hiera.yaml points at `hiera/`. docs/answers.md describes them for readers.

Not here: writing (writer.py), judging an answer's age (reader.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.settings import AnswerSettings
from enc.settings.config import DEFAULT_PATH

DirectoryState = Literal["current", "unreachable"]

BEAT = 2.0
"""Seconds between two times that the follower says that it lives, and tries to reconnect."""

FRESH = 10
"""Seconds since the last contact within which the follower is taken to know of every node there is.

Only then may `enc` conclude, without asking LDAP, that a name has no entry of its own.
"""
CLOCK_TOLERANCE = 60
"""Seconds by which `contact` may lie in the future. More means that the clock was set back, and nothing is known."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places below one answers directory."""

    root: Path

    @property
    def contact(self) -> Path:
        """One line, see `Contact`."""
        return self.root / "contact"

    @property
    def membership(self) -> Path:
        """When the follower last saw a project, a role or a group change: seconds since 1970, for who keeps roles."""
        return self.root / "membership"

    @property
    def nodes(self) -> Path:
        """CERTNAME.yaml: finished answers, without the number of seconds at their end."""
        return self.root / "nodes"

    @property
    def refused(self) -> Path:
        """CERTNAME: the line that says why an existing entry has no answer; of a node that another server serves, a
        second line tells its environment."""
        return self.root / "refused"

    @property
    def enrolments(self) -> Path:
        """CERTNAME: the state of the instance's enrolment, one word; no file, no instance. `enc-autosign` reads it."""
        return self.root / "enrolments"

    @property
    def signing(self) -> Path:
        """One line, how many requests are judged at once and where the journal is: for `enc-autosign`."""
        return self.root / "signing"

    @property
    def fallback(self) -> Path:
        """A link to nodes/; there only if a short name and `default` answer for a name without entry."""
        return self.root / "fallback"

    @property
    def hiera(self) -> Path:
        """Hiera's datadir: nodes/, prefixes/PROJECT/, projects/, merged/."""
        return self.root / "hiera"

    @property
    def copy(self) -> Path:
        """The follower's copy of the directory (copy.py)."""
        return self.root / "copy.sqlite"

    @property
    def elapsed(self) -> Path:
        """Time as the follower counted it (programs/elapsed.py)."""
        return self.root / "elapsed"

    @property
    def lock(self) -> Path:
        """Locked (flock) by the one follower that writes here."""
        return self.root / "lock"

    @property
    def tmp(self) -> Path:
        """Files that are not finished."""
        return self.root / "tmp"

    @property
    def node_data(self) -> Path:
        """CERTNAME.yaml: hiera data of a node."""
        return self.hiera / "nodes"

    @property
    def project_data(self) -> Path:
        """PROJECT.yaml: hiera data of a project."""
        return self.hiera / "projects"

    @property
    def prefix_data(self) -> Path:
        """PROJECT/PREFIX.yaml: hiera data of a prefix."""
        return self.hiera / "prefixes"

    @property
    def merged_data(self) -> Path:
        """CERTNAME.yaml: all hiera data of a node in one file; empty without `answers.merged_data`."""
        return self.hiera / "merged"

    def create(self) -> None:
        """Make the directories that are missing.

        The root, if it is made here, is closed to others (answers can hold
        secrets); everything below it is open, so that the root alone decides.
        """
        if not self.root.is_dir():
            self.root.mkdir(mode=0o750, parents=True)
        for directory in (
            self.nodes,
            self.refused,
            self.enrolments,
            self.tmp,
            self.hiera,
            self.node_data,
            self.project_data,
            self.prefix_data,
            self.merged_data,
        ):
            if not directory.is_dir():
                directory.mkdir()
                directory.chmod(0o755)


def link_of(configuration: Path) -> Path:
    """Return the link beside a configuration file that tells `enc` its answers directory without reading YAML."""
    return configuration.with_name(configuration.name + ".answers")


def needs_link(configuration: Path, directory: Path) -> bool:
    """Tell whether `enc` needs the link: not where file, answers and the absence of a link are as it expects them."""
    expected = (DEFAULT_PATH, AnswerSettings().directory)
    return (configuration, directory) != expected or link_of(configuration).is_symlink()


def link(configuration: Path, directory: Path) -> bool:
    """Let `enc --config CONFIGURATION` find `directory`; return whether anything had to change.

    Raise `NotWritten`.
    """
    # The follower makes it again at its start.
    return whole_file.link(link_of(configuration), directory, survives=Strength.KILL)


@dataclass(frozen=True, slots=True)
class Contact:
    """How the follower and its copy are doing; all times in seconds since the epoch."""

    contact: int
    """The last moment at which the answers were known to be what LDAP says."""
    beat: int
    """The last moment at which the follower said that it lives."""
    max_age: int
    """Seconds after `contact` beyond which `enc` refuses."""
    state: DirectoryState

    def line(self) -> str:
        """Return the content of the file."""
        return f"{self.contact} {self.beat} {self.max_age} {self.state}\n"

    @classmethod
    def parse(cls, text: str) -> Contact | None:
        """Read the file's content; None if it is not whole."""
        parts = text.split()
        if len(parts) != 4 or not text.endswith("\n") or not all(p.isascii() and p.isdigit() for p in parts[:3]):
            return None
        state: DirectoryState = "current" if parts[3] == "current" else "unreachable"
        return cls(int(parts[0]), int(parts[1]), int(parts[2]), state)
