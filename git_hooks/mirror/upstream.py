"""git against the forge: what branches there are, and their commits.

The only module here that runs git over the network. Each run has a time-out,
after which git and what it started (ssh, git-remote-https) are ended. Nothing
is asked on a terminal, only the configured protocols are spoken, redirects are
not followed (credentials go to the configured address and nowhere else),
submodules and tags are not fetched, and nobody's GIT_* variables count. Objects
that are malformed, or that some git would misread, are not let in
(fetch.fsckObjects), as with a push. Memory, processor time and bytes of a fetch
are bounded (repository/bounds.py). What it brings is apart until all is there (arriving.py).

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from enc.programs import log
from enc.terms.errors import ToolkitError
from enc.terms.names import HEADS, BranchName
from enc.terms.program_words import why
from git_hooks.mirror.arriving import arriving
from git_hooks.repository.bounds import OPTIONS, Bounds
from git_hooks.repository.git_program import command, credentials, sealed
from git_hooks.repository.reading import is_sha256
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import BranchSettings


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
    ("not accessible", "see branches.mirror.ssh_key_file"),
    ("too open", "let only the owner read branches.mirror.ssh_key_file"),
    ("Permission denied (", "the forge must know the public key that belongs to branches.mirror.ssh_key_file"),
    ("could not read Username", "set branches.mirror.credentials_file"),
    ("Authentication failed", "see branches.mirror.credentials_file"),
    ("returned error: 30", "it has moved, and redirects are not followed: see branches.mirror.url"),
    ("fsck error", "correct the history, or allow this fault: docs/mirror.md, What git checks"),
    ("No space left", "make room"),
    (f"died of signal {int(signal.SIGXFSZ)}", "it sends more than branches.mirror.fetch_bytes"),
    (f"died of signal {int(signal.SIGXCPU)}", "see branches.git_seconds"),
    ("over limit", "see branches.git_memory"),
)
"""What to do, by words of the reason; the first that stands in it."""


class UpstreamFailed(ToolkitError):
    """The forge could not be asked, or git refused what it gave."""


class Upstream:
    """The repository at the forge, and its copy here."""

    def __init__(self, settings: BranchSettings) -> None:
        """Connect to nothing yet."""
        self._mirror = settings.mirror
        self._url = settings.mirror.url or ""
        self._repository = str(settings.repository)
        self._bounds = Bounds(settings.git_memory, int(settings.git_seconds), settings.mirror.fetch_bytes)

    def branches(self) -> dict[BranchName, ObjectId]:
        """Return all branches at the forge whose names are taken here."""
        found = {}
        # Not splitlines(): a branch `production`, a line separator and more would pass for `production`.
        for line in self._git("ls-remote", "--heads", "--", self._url).split("\n"):
            commit, _, ref = line.partition("\t")
            name = ref.removeprefix(HEADS)
            if ref.startswith(HEADS) and BranchName.accepts(name) and ObjectId.accepts(commit):
                found[BranchName(name)] = ObjectId(commit)
        return found

    def fetch(self, branches: Iterable[BranchName]) -> None:
        """Bring the commits of `branches` here; no branch moves. What is not used, git collects some weeks later."""
        refs = [branch.ref for branch in branches]
        options = ("--no-tags", "--no-recurse-submodules", "--no-auto-maintenance")
        try:
            with arriving(self._repository) as objects, self._place(objects) as place:
                self._run(place, ("fetch", "--quiet", *options, "--", self._url, *refs))
                # What has no beginning git leaves out, and succeeds: its parents would be missing here.
                if Path(place, "FETCH_HEAD").read_bytes().count(b"\n") < len(refs):
                    raise UpstreamFailed(
                        "git fetch: the forge has a shallow repository, which lacks the beginning of its history; "
                        "complete it there (git fetch --unshallow)",
                        where=self._url,
                    )
        except OSError as error:
            where = str(error.filename or self._repository)
            raise UpstreamFailed(f"the fetch cannot be stored: {error.strerror or error}", where=where) from error

    def _git(self, *arguments: str) -> str:
        with self._place() as place:
            return self._run(place, arguments)

    @contextmanager
    def _place(self, objects: Path | None = None) -> Iterator[str]:
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

    def _run(self, place: str, arguments: Sequence[str]) -> str:
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
            out, told = process.communicate(timeout=self._mirror.timeout)
        except subprocess.TimeoutExpired as error:
            raise UpstreamFailed(
                f"git {arguments[0]} gave no answer within {self._mirror.timeout:g} s", where=self._url
            ) from error
        finally:
            # Its own session: what it started goes with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            reason = why(told)
            log.all_said(log.get("mirror"), f"git {arguments[0]}", told, reason)
            advice = next((f"; {do}" for words, do in _ADVICE if words in reason), "")
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
        if self._mirror.credentials_file is None:
            return ["-c", "credential.helper="]
        helper = credentials(self._mirror.credentials_file)
        return ["-c", "credential.helper=", "-c", f"credential.helper={helper}"]

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        ssh = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"
        if self._mirror.ssh_key_file is not None:
            ssh += f" -o IdentitiesOnly=yes -i {shlex.quote(str(self._mirror.ssh_key_file))}"
        return sealed(environ) | self._bounds.environment() | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": ":".join(self._mirror.protocols),
            "GIT_SSH_COMMAND": ssh,
        }
