"""git against another repository, over the network.

The only module here that runs git over the network. Each run has a time-out,
after which git and what it started (ssh, git-remote-https) are ended. Nothing
is asked on a terminal, only the configured protocols are spoken, redirects are
not followed (credentials go to the configured address and nowhere else),
submodules and tags are not fetched, and nobody's GIT_* variables count. Objects
that are malformed, or that some git would misread, are not let in
(fetch.fsckObjects), as with a push. Memory, processor time and bytes of a run
are bounded (repository/bounds.py).

Where to, by which way, and with which credentials stands in our settings. git
works in a directory of its own for each run, in which are the repository's
objects and refs, and not its configuration: an `url.….insteadOf`, a program or
`http.sslVerify = false` there leads no credentials astray. Of that
configuration only `fetch.fsck.*` counts: which old faults a site puts up with
(docs/mirror.md). Proxies come from the environment (`https_proxy`), and
authorities from the machine's own store.

Failure modes: `UpstreamFailed` with the line of git's or ssh's that says why,
and what to do where that is known, without credentials: they are in a file that
only git reads. The log has all they said.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from enc.programs import log
from enc.terms.errors import ToolkitError
from enc.terms.program_words import why
from git_hooks.repository.bounds import OPTIONS, Bounds
from git_hooks.repository.git_program import command, credentials, sealed
from git_hooks.repository.reading import is_sha256

if TYPE_CHECKING:
    from enc.settings import Duration

_SHA1 = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
_SHA256 = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n"
_PUT_UP_WITH = r"^fetch\.fsck\."
_ALWAYS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "fetch.fsckObjects=true", "-c", "transfer.fsckObjects=true"),
    *("-c", "http.followRedirects=false"),
    *(word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")),
)
_ADVICE = (
    ("IDENTIFICATION HAS CHANGED", "if the forge has announced a new key, replace the old one in known_hosts"),
    ("Host key verification failed", "put the host's key into /etc/ssh/ssh_known_hosts, after comparing it with the "
                                     "one it publishes"),
    ("not accessible", "see {section}.ssh_key_file"),
    ("too open", "let only the owner read {section}.ssh_key_file"),
    ("Permission denied (", "the forge must know the public key that belongs to {section}.ssh_key_file"),
    ("could not read Username", "set {section}.credentials_file"),
    ("Authentication failed", "see {section}.credentials_file"),
    ("returned error: 30", "it has moved, and redirects are not followed: see {section}.url"),
    ("fsck error", "correct the history, or allow this fault: docs/mirror.md, What git checks"),
    ("No space left", "make room"),
    (f"died of signal {int(signal.SIGXFSZ)}", "it sends more than branches.mirror.fetch_bytes"),
    (f"died of signal {int(signal.SIGXCPU)}", "see branches.git_seconds"),
    ("over limit", "see branches.git_memory"),
)
"""What to do, by words of the reason; the first that stands in it."""


class UpstreamFailed(ToolkitError):
    """The forge could not be asked, or git refused what it gave."""


class Way(Protocol):
    """How the other repository is reached: what a section of the settings says."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """Which protocols git may use."""

    @property
    def credentials_file(self) -> Path | None:
        """For https."""

    @property
    def ssh_key_file(self) -> Path | None:
        """For ssh."""

    @property
    def timeout(self) -> Duration:
        """How long one run may take."""


class RemoteGit:
    """Runs git for one repository here and one elsewhere."""

    def __init__(self, repository: str, url: str, way: Way, bounds: Bounds, section: str) -> None:
        """Connect to nothing yet. `section` is where the settings of the way stand."""
        self._repository = repository
        self._url = url
        self._way = way
        self._bounds = bounds
        self._section = section

    @contextmanager
    def place(self, objects: Path | None = None) -> Iterator[str]:
        """Give a repository that has this one's refs, and no configuration but what is said here.

        `objects`: where objects are, None: in the repository.
        """
        with tempfile.TemporaryDirectory(prefix="puppetmaster-forge-") as place:
            for part in ("refs", "packed-refs", "shallow"):
                Path(place, part).symlink_to(f"{self._repository}/{part}")
            Path(place, "objects").symlink_to(objects or f"{self._repository}/objects")
            Path(place, "HEAD").write_text("ref: refs/heads/nobodys\n", encoding="ascii")
            Path(place, "config").write_text(_SHA256 if is_sha256(self._repository) else _SHA1, encoding="ascii")
            yield place

    def run(self, place: str, arguments: Sequence[str]) -> str:
        # What is configured comes after the words that take back what a configuration says (credential.helper).
        words = (*_ALWAYS, *self._put_up_with(), *self._options(), *arguments)
        try:
            process = subprocess.Popen(
                self._bounds.command(command(place, *words)),
                env=self._environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise UpstreamFailed(f"git cannot be started: {error.strerror}") from error
        try:
            out, told = process.communicate(timeout=self._way.timeout)
        except subprocess.TimeoutExpired as error:
            raise UpstreamFailed(
                f"git {arguments[0]} gave no answer within {self._way.timeout:g} s", where=self._url
            ) from error
        finally:
            # Its own session: what it started goes with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            reason = why(told)
            log.all_said(log.get("mirror"), f"git {arguments[0]}", told, reason)
            advice = next((f"; {do}" for words, do in _ADVICE if words in reason), "").format(section=self._section)
            raise UpstreamFailed(f"git {arguments[0]}: {reason}{advice}", where=self._url)
        return out

    def _put_up_with(self) -> Iterator[str]:
        """Yield, as options, which faults of old objects the site has let the repository put up with."""
        words = ("config", f"--file={self._repository}/config", "--no-includes", "--null", "--get-regexp", _PUT_UP_WITH)
        done = subprocess.run(
            command(self._repository, *words), env=sealed(os.environ), capture_output=True, text=True, check=False
        )
        for setting in done.stdout.split("\0"):
            name, _, value = setting.partition("\n")
            if name:
                yield from ("-c", f"{name}={value}")

    def _options(self) -> list[str]:
        if self._way.credentials_file is None:
            return ["-c", "credential.helper="]
        helper = credentials(self._way.credentials_file)
        return ["-c", "credential.helper=", "-c", f"credential.helper={helper}"]

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        ssh = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"
        if self._way.ssh_key_file is not None:
            ssh += f" -o IdentitiesOnly=yes -i {shlex.quote(str(self._way.ssh_key_file))}"
        return sealed(environ) | self._bounds.environment() | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": ":".join(self._way.protocols),
            "GIT_SSH_COMMAND": ssh,
        }
