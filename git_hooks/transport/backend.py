"""Runs git for one request: `git http-backend` behind HTTP, git itself behind ssh.

Owns: git's environment (nothing of ours or of the client's but what is listed
here) and the process's life. A client that goes away in the middle of a push
does not stop it: what git has taken is deployed, and what is said goes nowhere.
In the middle of a fetch, git is ended.

Failure modes: git is missing or fails before it answers: `GitFailed`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import IO, Literal, NamedTuple, NoReturn

from enc.programs.log import get
from enc.settings import Settings
from enc.terms.errors import ToolkitError, bounded
from enc.terms.names import PersonName
from git_hooks.push import pusher
from git_hooks.repository.bounds import OPTIONS, Bounds
from git_hooks.repository.git_program import configuration

Service = Literal["git-upload-pack", "git-receive-pack"]

_PIECE = 65_536
_WORDS = 1 << 20
"""Bytes of what git complained about that are read for the log."""
_LONGEST_HEAD = 8192
_PROTOCOL = re.compile(r"version=[0-2]", re.ASCII)


NO_BODY = subprocess.DEVNULL
"""For a request without one."""


class GitFailed(ToolkitError):
    """git did not answer."""


def environment(
    settings: Settings, protocol: str, person: PersonName | None, via: Literal["http", "ssh"]
) -> dict[str, str]:
    """Return what git is started with; `person` is who pushes, None where nobody does."""
    # The same bound that a body has, for what git itself unpacks and for ssh. From the environment, so that
    # a repository's own configuration cannot be weaker.
    more = {"receive.maxInputSize": str(settings.branches.transport.upload_bytes), "http.getanyfile": "false"}
    found = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
    }
    found |= configuration({**OPTIONS, **more}) | bounds(settings).environment()
    if _PROTOCOL.fullmatch(protocol):
        found["GIT_PROTOCOL"] = protocol
    if person is not None:
        found[pusher.VARIABLE] = pusher.sign(person, via, str(settings.branches.repository), time.time())
    return found


def bounds(settings: Settings) -> Bounds:
    """Return what a git that serves somebody may take of the machine."""
    branches = settings.branches
    # A pack grows by what it only refers to (a thin one); gc writes all of a repository into one file.
    return Bounds(branches.git_memory, int(branches.git_seconds), branches.git_file_bytes)


class Request(NamedTuple):
    """One request of git's smart protocol, sound and allowed."""

    service: Service
    advertise: bool
    """The first request of two (info/refs), which has no body."""
    person: PersonName | None
    address: str
    protocol: str


class Answer:
    """What git says: a head, then pieces. Close it."""

    def __init__(self, request: Request, settings: Settings, body: IO[bytes] | int, size: int) -> None:
        """Start git with `body`; return when it begins to answer, or raise `GitFailed`."""
        self.request = request
        self._said = tempfile.TemporaryFile(prefix="puppetmaster-git-")  # noqa: SIM115 - closed in close()
        try:
            self._process = subprocess.Popen(
                bounds(settings).command(["git", "http-backend"]),
                stdin=body,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=_cgi(request, settings, size),
                cwd="/",
            )
        except OSError as error:
            self._said.close()
            raise GitFailed(f"git cannot be started: {error.strerror}") from error
        try:
            self.status, self.headers = self._head()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Yield what follows the head."""
        assert self._process.stdout is not None
        while piece := os.read(self._process.stdout.fileno(), _PIECE):
            yield piece

    def close(self) -> None:
        """Let a push end, end a fetch; put what git complained about into the log."""
        assert self._process.stdout is not None
        if self.request.service == "git-receive-pack":
            for _ in self:
                pass
        elif self._process.poll() is None:
            self._process.terminate()
        self._process.stdout.close()
        status = self._process.wait()
        with self._said:
            self._said.seek(0)
            words = bounded(self._said.read(_WORDS).decode("utf-8", "replace").strip())
        if status > 0 or (words and status == 0):
            get("transport").warning("%s ended with status %s: %s", self.request.service, status, words)

    def _head(self) -> tuple[str, list[tuple[str, str]]]:
        """Read the head that a CGI program begins with (RFC 3875, section 6); unbuffered, to leave what follows."""
        assert self._process.stdout is not None
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = os.read(self._process.stdout.fileno(), 1)
            if not byte or len(head) > _LONGEST_HEAD:
                raise GitFailed("git gave no answer; see the log for its message")
            head += byte
        status, headers = "200 OK", []
        for line in head.decode("latin-1").splitlines():
            name, colon, value = line.partition(":")
            if name.lower() == "status":
                status = value.strip()
            elif colon:
                headers.append((name, value.strip()))
        return status, headers


def _cgi(request: Request, settings: Settings, size: int) -> Mapping[str, str]:
    found = environment(settings, request.protocol, request.person, "http") | {
        # Taken together they are a path in the repository, which the client has no word in.
        "GIT_PROJECT_ROOT": str(settings.branches.repository),
        "PATH_INFO": "/info/refs" if request.advertise else f"/{request.service}",
        "GIT_HTTP_EXPORT_ALL": "1",
        "REMOTE_ADDR": request.address,
        "REQUEST_METHOD": "GET" if request.advertise else "POST",
        "QUERY_STRING": f"service={request.service}" if request.advertise else "",
        "CONTENT_LENGTH": str(size),
    }
    if not request.advertise:
        found["CONTENT_TYPE"] = f"application/x-{request.service}-request"
    if request.person is not None:
        found["REMOTE_USER"] = request.person  # lets http-backend start receive-pack
    return found


def run_in_place(service: Service, settings: Settings, person: PersonName, protocol: str) -> NoReturn:
    """Become git, for ssh: it talks to the client through our own input and output. Raise `GitFailed`."""
    words = ["git", service.removeprefix("git-"), str(settings.branches.repository)]
    pushing = person if service == "git-receive-pack" else None
    try:
        bounds(settings).impose()
        os.execvpe("git", words, environment(settings, protocol, pushing, "ssh"))  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise GitFailed(f"git cannot be started: {error.strerror}") from error
