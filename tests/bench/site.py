"""The parts of a benchmark run: a loaded slapd, a follower, and what is asked of them."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from enc.answers.copy import Copy
from enc.answers.layout import Layout, link
from enc.answers.plans import plans
from enc.answers.reader import read_contact
from enc.answers.status import status
from enc.directory.embedded import EmbeddedDirectory
from enc.settings import config
from tests.bench import large_directory

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
ENC = HERE.parents[1] / "enc" / "enc"


class Site:
    """A directory of `nodes` nodes in a real slapd below `base`."""

    def __init__(self, base: Path, nodes: int) -> None:
        self.base = base
        self.nodes = nodes
        # On an ext4 without journal (machines made for tests), inodes freed a moment ago near by would slow the
        # making of files down several times over; this spreads the directories below over the disk.
        with suppress(FileNotFoundError):
            subprocess.run(["chattr", "+T", base], stderr=subprocess.DEVNULL, check=False)
        ldif = base / "nodes.ldif"
        large_directory.write_ldif(ldif, nodes)
        self.directory = EmbeddedDirectory(base / "slapd")
        self.directory.init(ldif=[ldif])
        self.directory.start()
        self.configuration = base / "config.yaml"
        document = yaml.safe_load(self.directory.home.example_configuration.read_text())
        document["answers"] = {"directory": str(base / "answers")}
        self.configuration.write_text(yaml.safe_dump(document))
        self.settings = config.load(self.configuration)
        self.layout = Layout(self.settings.answers.directory)
        link(self.configuration, self.layout.root)
        self._follower: subprocess.Popen[bytes] | None = None

    def peer(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of one of the peers beside this file."""
        account = [str(self.settings.directory.bind_dn), str(self.settings.directory.bind_password_file)]
        uri, base = self.settings.directory.uris[0], self.settings.nodes_base
        return [sys.executable, str(HERE / program), uri, base, *account, *arguments]

    def ldapsearch(self) -> float:
        """Return the seconds that OpenLDAP's own client, written in C, needs to read all nodes by syncrepl."""
        command = ["ldapsearch", "-LLL", "-Q", "-Y", "EXTERNAL", "-H", self.directory.home.ldapi_uri]
        command += ["-E", "!sync=ro", "-b", self.settings.nodes_base, "(objectClass=puppetClient)", "*", "entryCSN"]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
        assert done.stdout.count(b"\ndn: ") + done.stdout.startswith(b"dn: ") == self.nodes
        return time.perf_counter() - began

    def follow(self) -> float:
        """Start the follower; return the seconds until its answers were current."""
        began, since = time.perf_counter(), int(time.time())
        with (self.base / "follow.log").open("ab") as log:
            command = [str(BIN / "enc-admin"), "--config", str(self.configuration), "follow"]
            self._follower = subprocess.Popen(command, stderr=log)
        while True:
            contact = read_contact(self.layout)
            if contact and contact.state == "current" and contact.contact >= since and not self._pending():
                return time.perf_counter() - began
            assert self._follower.poll() is None, (self.base / "follow.log").read_text()
            time.sleep(0.02)

    def _pending(self) -> bool:
        found = status(self.settings)
        return found.nodes != self.nodes or found.pending != 0

    def peak_memory(self) -> float:
        """Return the most memory that the follower has had, in MB (VmHWM)."""
        assert self._follower is not None
        text = Path(f"/proc/{self._follower.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]

    def leave(self) -> None:
        """End the follower."""
        if self._follower is not None:
            self._follower.terminate()
            self._follower.wait(timeout=60)
            self._follower = None

    def forget_cookies(self) -> None:
        """Let the next start read everything."""
        copy = Copy(self.layout.copy, self.settings)
        with copy.transaction():
            for plan in plans(self.settings):
                copy.progress.keep_cookie(plan.feed, None)
        copy.close()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Within: slapd takes connections and never answers."""
        pid = self.directory.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """End everything."""
        self.leave()
        self.directory.stop()

    def answer_of(self, number: int) -> str:
        return (self.layout.nodes / f"{large_directory.certname(number)}.yaml").read_text()

    def modify(self, dn: str, attribute: str, value: str) -> None:
        """Change one value with ldapmodify; returns when ldapmodify has."""
        ldif = f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        command = ["ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", self.directory.home.ldapi_uri]
        subprocess.run(command, input=ldif.encode(), stdout=subprocess.DEVNULL, check=True)


def spawn_time(command: Sequence[str | Path]) -> float:
    """Return the milliseconds from starting `command` to its end; stdout goes nowhere."""
    arguments = [str(word) for word in command]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    pid = os.posix_spawn(arguments[0], arguments, environment, file_actions=nowhere)
    failed = os.waitpid(pid, 0)[1]
    took = (time.perf_counter() - began) * 1000
    assert not failed, arguments
    return took


def wait_until(true: Callable[[], bool], seconds: float = 30) -> float:
    """Return how long it took (seconds) until `true()`; asked every half millisecond."""
    began = time.perf_counter()
    while not true():
        assert time.perf_counter() - began < seconds, "waited in vain"
        time.sleep(0.0005)
    return time.perf_counter() - began


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


median = statistics.median
