"""The quickstart's repository: branches that are environments, served to developers over HTTP.

Owns, below the quickstart's directory: repository.git, store/, tokens/, the
process behind the hooks, the HTTP service, and people/ (a home directory with git's settings and, for who
pushes, a password made at random). The machine's own git configuration is
neither read nor changed. All work is done by the commands that a site would
use; `ProcessFailed` where one fails.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from enc.directory.place import free_port
from enc.terms.names import BranchName
from puppetmaster_quickstart.owned_process import OwnedProcess
from puppetmaster_quickstart.storytelling import Speaker, until

PRODUCTION, TEST = BranchName("production"), BranchName("test")

_GIT_SETTINGS = """\
[user]
	name = {name}
	email = {name}@example.org
[credential]
	helper = store
[http]
	proxy =
[advice]
	detachedHead = false
"""
"""`proxy =`: a proxy in the environment is not for the loopback."""


class Repository:
    """The managed repository, its service, and the people who use it."""

    def __init__(self, base: Path, environments: Path, operator: Speaker, program: Path) -> None:
        """`environments` is puppetserver's; `operator` runs `branch-manager`, which is `program`."""
        self.path = base / "repository.git"
        self.service = OwnedProcess(base / "serve.pid", "branch-manager serve")
        self.hooks = OwnedProcess(base / "hooks.pid", "branch-manager hooks")
        self._base = base
        self._environments = environments
        self._operator = operator
        self._program = program
        self._port = 0

    @property
    def url(self) -> str:
        """Where developers clone it, without a name."""
        return f"http://127.0.0.1:{self._port}/{self.path.name}"

    @property
    def port(self) -> int:
        """Where it is served, on the loopback."""
        return self._port

    @property
    def first_environments(self) -> tuple[str, ...]:
        """Those of the branches that `begin` makes, which are called so too."""
        return PRODUCTION, TEST

    def settings(self) -> dict[str, object]:
        """Return the section `branches` of the configuration; the port is chosen now, once."""
        self._port = self._port or free_port()
        return {
            "repository": str(self.path),
            "store": str(self._base / "store"),
            "environments": str(self._environments),
            "transport": {"listen": f"127.0.0.1:{self._port}", "tokens": str(self._base / "tokens")},
        }

    def person(self, name: str) -> Speaker:
        """Return somebody with a home directory of their own."""
        home = self._base / "people" / name
        home.mkdir(parents=True, mode=0o700, exist_ok=True)
        (home / ".gitconfig").write_text(_GIT_SETTINGS.format(name=name), encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "XDG_", "SSH_"))}
        environment = {**kept, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        return Speaker(name, home, environment)

    def password(self, person: Speaker) -> Path:
        """Make a password, which the person's git knows from now on; return the file that holds it, and nothing else.

        At random, because other users of the machine reach the loopback too,
        and what is pushed here is applied by an agent.
        """
        assert person.directory is not None
        word = secrets.token_urlsafe(12)
        file = person.directory / "password"
        store = person.directory / ".git-credentials"
        for path, text in ((file, word), (store, f"{self.url.replace('://', f'://{person.name}:{word}@')}\n")):
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
        return file

    def begin(self, author: Speaker, files: Mapping[str, str]) -> None:
        """Make the bare repository, with the same commit in `production` and `test`."""
        assert author.directory is not None
        tree = author.directory / "first"
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, encoding="utf-8")
        author = author.within("first")
        author.types("git", "init", "--quiet", f"--initial-branch={PRODUCTION}")
        author.types("git", "add", ".")
        author.types("git", "commit", "--quiet", "-m", "The first code")
        author.types("git", "branch", TEST)
        author.types("git", "clone", "--quiet", "--bare", ".", str(self.path))

    def look_after(self, environments: Iterable[str]) -> None:
        """Start the process that does the hooks' work and the upkeep; return when it has made `environments` live."""
        wanted = [self._environments / name for name in environments]
        missing = "not every branch became its environment"
        self._start(self.hooks, "hooks", lambda: all(place.exists() for place in wanted), missing)

    def serve(self, reader: Speaker) -> None:
        """Start the HTTP service; return when `reader` can read from it."""
        url = self.url.replace("://", f"://{reader.name}@")
        self._start(
            self.service, "serve", lambda: reader.succeeds("git", "ls-remote", url), "the repository is not served"
        )

    def stop(self) -> None:
        """End both."""
        self.service.stop()
        self.hooks.stop()

    def _start(self, process: OwnedProcess, command: str, begun: Callable[[], bool], problem: str) -> None:
        print(f"  $ branch-manager {command} &\n", flush=True)
        log = self._base / f"{command}.log"
        process.start(
            [str(self._program), command],
            output=log,
            directory=self._base,
            environment=self._operator.environment,
        )
        until(begun, problem, alive=lambda: process.pid is not None, log=log)
