"""The quickstart's instances: switched on with the user data that was printed for them, and what their agents do.

Each has a network namespace of its own, /var and /etc/puppet, as far as the
machine gives such (private_instance.py). Else an agent with its own directory
does the same steps on the loopback: the token, the pinned CA, one run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from enc.instances.user_data import SCRIPT
from enc.terms.names import Certname
from puppetmaster_quickstart.owned_process import OwnedProcess
from puppetmaster_quickstart.private_agent import AgentRun, AgentSettings, PrivateAgent
from puppetmaster_quickstart.private_instance import PrivateInstance, end, read, refusal, start_wire, wire
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.storytelling import tell
from puppetmaster_quickstart.whole_instance import WholeInstance, forget_groups

_FACT = "quickstart_machine"
"""The fact that says where an instance's own directory is."""
_OWN = Path("/var/lib")
"""That directory, where an instance has a file system of its own."""
_INSIDE = {f"FACTER_{_FACT}": str(_OWN)}
_IMAGE = "[main]\nkeylength = 2048\n"
"""puppet.conf, as an image would have it; smaller keys are quicker."""


class Instances:
    """All of them, below one directory: `begin`, then `build`, `run` by the machine's name."""

    def __init__(self, base: Path, master: PrivateMaster) -> None:
        self._base = base
        self._machines = base / "machines"
        self._master = master
        self._wire = base / "wire"
        self._alone = True
        self._made: dict[str, PrivateInstance | PrivateAgent] = {}

    def begin(self) -> None:
        """Find out what the machine gives; puppetserver must run."""
        why = refusal()
        self._alone = why is None
        if why is None:
            self._wire = self.offer("puppetserver", self._port)
        else:
            tell(f"This machine does not allow namespaces ({why}), so the instances share its network.")

    def stop(self) -> None:
        """Switch all off, also those of an earlier telling."""
        for process in self.processes():
            end(process)
        for machine in self._machines.glob("*/"):
            forget_groups(machine)

    def processes(self) -> Iterator[OwnedProcess]:
        """Yield what runs, or ran."""
        for pid_file in sorted(self._base.glob("wire-*.pid")):
            yield wire(self._base, pid_file.stem.removeprefix("wire-"))
        for pid_file in sorted(self._machines.glob("*/pid")):
            yield OwnedProcess(pid_file, f"instance {pid_file.parent.name}")

    def settings(self) -> dict[str, object]:
        """Return the section `instances.agent` of the configuration, as it is after `begin`."""
        name, port = (str(self._master.settings.certname), 8140) if self._alone else ("localhost", self._port)
        ca_file = self._master.base / "puppet/ca/ca_crt.pem"
        return {"server": name, "port": port, "ca_file": str(ca_file), "service": False}

    def user_data(self, name: str) -> Path:
        """Return the file in which the user data of machine `name` are kept."""
        (self._machines / name).mkdir(parents=True, exist_ok=True)
        file = self._machines / name / "user-data"
        file.touch(mode=0o600)
        return file

    def whole(self, name: str, certname: Certname, offered: Mapping[int, str]) -> WholeInstance:
        """Switch on a machine that is a system of its own, without user data; raise `ProcessFailed` if none can be had.

        `offered`: port of the site → what is there, beside puppetserver; `offer` says where that is.
        """
        what = {8140: "puppetserver", **offered}
        ways = {port: self._base / f"wire-{name}" for port, name in what.items()}
        instance = WholeInstance(self._machines / name, certname, self._master.settings.certname, ways)
        instance.base.mkdir(parents=True, exist_ok=True)
        instance.start()
        instance.put("/etc/puppet/puppet.conf", _IMAGE)
        instance.put(f"/etc/facter/facts.d/{_FACT}.txt", f"{_FACT}={_OWN}\n")
        self._made[name] = instance
        return instance

    def offer(self, what: str, port: int) -> Path:
        """Let instances reach the loopback's `port`; return the socket that leads there."""
        return start_wire(wire(self._base, what), port)

    def build(self, name: str, certname: Certname) -> AgentRun:
        """Switch machine `name` on for the first time, with its user data."""
        base, user_data = self._machines / name, self.user_data(name).read_text(encoding="utf-8")
        if isinstance(made := self._made.get(name), WholeInstance):
            return made.carry_out(user_data)
        if self._alone:
            instance = PrivateInstance(base, certname, self._master.settings.certname, self._wire)
            conf = instance.own / "etc/puppet/puppet.conf"
            conf.parent.mkdir(parents=True, exist_ok=True)
            conf.write_text(_IMAGE, encoding="utf-8")
            self._made[name] = instance
            instance.start()
            return instance.carry_out(user_data, environment=_INSIDE)
        files = {Path(path).name: text for path, _, text in read(user_data)[0]}
        settings = AgentSettings(
            *(certname, "localhost", self._port),
            facts={_FACT: str(self.place(name))},
            csr_attributes=yaml.safe_load(files["csr_attributes.yaml"]),
        )
        agent = PrivateAgent(base / "agent", settings)
        agent.ca.parent.mkdir(parents=True, exist_ok=True)
        agent.ca.write_text(files["ca.pem"], encoding="ascii")
        self._made[name] = agent
        run = agent.run()
        return AgentRun(0 if run.succeeded else run.status, run.output)

    def run(self, name: str) -> AgentRun:
        """Let the agent of machine `name` run once."""
        made = self._made[name]
        if isinstance(made, PrivateInstance):
            return made.agent(environment=_INSIDE)
        return made.run()

    def log(self, name: str) -> str:
        """Return what the first run of machine `name` wrote down."""
        file = self._machines / name / "own/var/log/puppetmaster-first-run.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def place(self, name: str) -> Path:
        """Return the directory, as this machine has it, that the instance calls its own."""
        return self._machines / name / "own" / _OWN.relative_to("/") if self._alone else self._machines / name

    def prompt(self, name: str, file: Path) -> str:
        """Return what one would type to see a file of `place`, at the prompt of whoever has it by that path."""
        if self._alone:
            return f"{name}$ cat {_OWN / file.relative_to(self.place(name))}"
        return f"$ cat {shlex.quote(os.path.relpath(file))}"

    @property
    def first_command(self) -> str:
        """What a machine runs when it is switched on for the first time, as one would type it."""
        return SCRIPT if self._alone else "puppet agent -t"

    @property
    def _port(self) -> int:
        return self._master.settings.port
