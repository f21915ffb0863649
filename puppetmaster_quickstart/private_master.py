"""A private puppetserver below one directory, beside whatever else runs on the machine.

It binds one loopback port, is its own certificate authority, and is ended by
its recorded pid. Nothing outside its directory is written. Several may run at
once, each with its own directory, also in network namespaces (`launcher`).

Fails with `ProcessFailed` and the log's last lines as a note when puppetserver
is missing, dies, or is not ready in time. What it reads is decided in
puppetserver_files.py.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from enc.terms.names import Certname, EnvironmentName
from enc.terms.program_words import why
from puppetmaster_quickstart import compiled_classes
from puppetmaster_quickstart.owned_process import OwnedProcess, ProcessFailed
from puppetmaster_quickstart.private_agent import AgentSettings, PrivateAgent
from puppetmaster_quickstart.puppetserver_files import JAR, JRUBY_LIBRARY, MasterSettings, check_base, files

_READY_PROBE = (
    "import ssl, sys, urllib.request\n"
    "context = ssl._create_unverified_context()\n"
    "print(urllib.request.urlopen(sys.argv[1], timeout=5, context=context).status)\n"
)
"""Asks for readiness in a process of its own, which the launcher can put into another network.

Nothing is trusted here that would need the certificate verified.
"""


class PrivateMaster:
    """One private puppetserver: `write`, `start`, use, `stop`."""

    def __init__(self, base: Path, settings: MasterSettings | None = None, *, cache: Path | None = None) -> None:
        """Keep everything below `base`. With `cache`, compiled classes are made and kept there."""
        check_base(base)
        self.base = base
        self.settings = settings or MasterSettings()
        self.process = OwnedProcess(base / "server/run/pid", "puppetserver")
        self._cache = cache
        self._restarts = base / "server/run/restart"

    @property
    def url(self) -> str:
        """Where it answers, without a final slash."""
        return f"https://{self.settings.address}:{self.settings.port}"

    @property
    def environments(self) -> Path:
        """Directory of the environments; `production` is made by `write`."""
        return self.base / "puppet/code/environments"

    @property
    def access_log(self) -> Path:
        """One line for each request: who, what, status, bytes, milliseconds."""
        return self.base / "server/log/access.log"

    @property
    def log(self) -> Path:
        """puppetserver's own log."""
        return self.base / "server/log/puppetserver.log"

    def write(self) -> None:
        """Write the configuration and the directories; choose the port if it is 0.

        Certificates and code that are there stay.
        """
        if self.settings.port == 0:
            self.settings = dataclasses.replace(self.settings, port=_free_port(self.settings.address))
        self.base.mkdir(parents=True, exist_ok=True)
        for directory in ("puppet/ssl", "server/var", "server/run", "server/log", "gems", "tmp"):
            (self.base / directory).mkdir(parents=True, exist_ok=True)
        for name, text in files(self.base, self.settings).items():
            path = self.base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.add_environment(EnvironmentName("production"), {})

    def add_environment(self, name: EnvironmentName, contents: Mapping[str, str]) -> Path:
        """Make an environment, or add files to it; `contents` is path → text. Return its directory."""
        environment = self.environments / name
        for directory in ("manifests", "modules"):
            (environment / directory).mkdir(parents=True, exist_ok=True)
        for relative, text in contents.items():
            path = environment / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return environment

    def start(self, *, timeout: float = 300.0) -> None:
        """Start it and return when it answers; raise `ProcessFailed` after `timeout` seconds.

        What has to be compiled first, once on a machine, does not count.
        """
        self.write()
        self._restarts.unlink(missing_ok=True)
        command = self._command()
        deadline = time.monotonic() + timeout
        self.process.start(
            command,
            output=self.base / "server/log/stdout.log",
            directory=self.base,
            environment={**os.environ, **self.settings.environment},
        )
        try:
            self._wait(before=0, deadline=deadline)
        except BaseException:
            self.process.stop(timeout=1)
            raise

    def stop(self) -> bool:
        """End it; tell whether it ran."""
        return self.process.stop()

    def reload(self, *, timeout: float = 120.0) -> None:
        """Let it read its configuration again in place (SIGHUP, about 6 s)."""
        before = self._restart_count()
        self.write()
        self.process.signal(signal.SIGHUP)
        self._wait(before=before, deadline=time.monotonic() + timeout)

    def agent(self, certname: Certname, settings: AgentSettings | None = None) -> PrivateAgent:
        """Return an agent of this server, with its files below the server's directory."""
        names = self.settings.alternative_names
        chosen = settings or AgentSettings(
            certname=certname,
            server=names[0] if names else str(self.settings.certname),
            port=self.settings.port,
        )
        return PrivateAgent(self.base / "agents" / certname, chosen)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of what it printed and logged."""
        tail: list[str] = []
        for path in (self.base / "server/log/stdout.log", self.log):
            if path.exists():
                tail += path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        return "\n".join(tail)

    def _command(self) -> list[str]:
        main = ["-jar", str(JAR)]
        if self._cache is not None:
            classes = compiled_classes.compiled(self._cache)
            main = ["-cp", f"{classes}:{JAR}", compiled_classes.MAIN]
        server = self.base / "server"
        return [
            *self.settings.launcher,
            "java",
            *self.settings.jvm,
            "-Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger",
            f"-Djruby.lib={JRUBY_LIBRARY}",
            f"-Djava.io.tmpdir={self.base / 'tmp'}",
            *main,
            "--config",
            str(server / "conf.d"),
            "--bootstrap-config",
            str(server / "services.d"),
            "--restart-file",
            str(self._restarts),
        ]

    def _restart_count(self) -> int:
        """Return how often all services came up; trapperkeeper counts that in its restart file."""
        try:
            return int(self._restarts.read_text(encoding="ascii") or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def _wait(self, *, before: int, deadline: float) -> None:
        while self._restart_count() == before:
            self._check_alive(deadline)
            time.sleep(0.05)
        while not self._answers():
            self._check_alive(deadline)
            time.sleep(0.1)

    def _check_alive(self, deadline: float) -> None:
        if self.process.pid is None:
            problem = f"puppetserver ended while it started: {why(self.log_tail(200))}"
        elif time.monotonic() > deadline:
            problem = "puppetserver was not ready in time"
        else:
            return
        failure = ProcessFailed(problem, where=str(self.log))
        failure.add_note(self.log_tail())
        raise failure

    def _answers(self) -> bool:
        status = f"{self.url}/status/v1/simple"
        command = [*self.settings.launcher, sys.executable, "-I", "-c", _READY_PROBE, status]
        try:
            probe = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return False
        return probe.stdout.strip() == "200"


def _free_port(address: str) -> int:
    """Return a port that nobody listens on now. Somebody may take it before we do; start then fails."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
