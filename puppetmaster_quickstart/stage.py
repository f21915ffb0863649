"""Where the chapters play: the servers, the people who type, and instances that do what the story says.

Owns: that an instance which does otherwise ends the story (`ProcessFailed`,
with its output and log). Not here: what happens in which order (the chapters,
story.py), the form on the terminal (storytelling.py).
"""

from __future__ import annotations

from functools import cached_property

from enc.terms.names import Certname, ProjectName
from puppetmaster_quickstart.cast import REASON
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.private_agent import AgentRun
from puppetmaster_quickstart.servers import Servers
from puppetmaster_quickstart.storytelling import Speaker, show


class Stage:
    """What all chapters share."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.operator, self.repository, self.instances = servers.operator, servers.repository, servers.instances

    @cached_property
    def alice(self) -> Speaker:
        """Who administers the project demo."""
        return self.repository.person("alice")

    @cached_property
    def bob(self) -> Speaker:
        """A member of it."""
        return self.repository.person("bob")

    def create(self, machine: str, certname: Certname, project: ProjectName, *words: str) -> None:
        """Create an instance; keep its user data for the machine that is to be it."""
        said = ("enc-admin", "instance", "create", certname, "--project", project, *words, *REASON)
        self.operator.types(*said, output=self.instances.user_data(machine))

    def agent(self, certname: Certname, *, changes: bool = True) -> None:
        """Let the agent run, and show what it did; it belongs to the story whether anything `changes`."""
        machine = certname.short
        print(f"  {machine}$ puppet agent -t", flush=True)
        run = self.instances.run(machine)
        show(line for line in run.output.splitlines() if _worth_showing(line))
        self.expect(machine, run.succeeded and run.changed == changes, run)
        self._show_hello(machine)

    def built(self, machine: str, run: AgentRun) -> None:
        """Show what an instance said while it built itself; the story needs it built."""
        print(f"  {machine}$ {self.instances.first_command}", flush=True)
        show(line for line in run.output.splitlines() if _worth_showing(line))
        self.expect(machine, run.status == 0, run)
        self._show_hello(machine)

    def _show_hello(self, machine: str) -> None:
        file = self.instances.place(machine) / "hello"
        print(f"  {self.instances.prompt(machine, file)}")
        show(file.read_text(encoding="utf-8").splitlines())

    def expect(self, machine: str, condition: bool, run: AgentRun) -> None:
        """Raise `ProcessFailed`, with all that `run` and the machine's log say, unless it went as the story has it."""
        if not condition:
            failure = ProcessFailed(f"the run ended with status {run.status}", where=machine)
            failure.add_note(run.output + self.instances.log(machine)[-4000:])
            raise failure


def _worth_showing(line: str) -> bool:
    # Facter reports each file of /proc and /sys that a container withholds as an error, and goes on.
    return not line.startswith(("Info: ", "Error: Facter: "))
