"""The toolkit's story, told with real servers below one directory; `./quickstart` runs it.

It does what a site would do, with the commands that a site would use, and
shows each of them: a directory, a project, two instances, the follower, a
puppetserver, an agent's run, an edit, and the run that brings it.

Owns the directory that it is given: each telling begins by stopping what runs
there and removing it. Servers listen on the loopback and are ended by their
recorded pids. If a step fails the servers are stopped, the files stay, and the
failure is one line with the program's output above it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import yaml

from enc.directory.embedded import EmbeddedDirectory
from enc.entrypoint import run as run_entry_point
from enc.errors import ExitStatus, ToolkitError, UsageError
from enc.names import Certname, EnvironmentName, ProjectName
from puppetmaster_self import compiled_classes
from puppetmaster_self.owned_process import OwnedProcess, ProcessFailed
from puppetmaster_self.private_agent import AgentRun, AgentSettings
from puppetmaster_self.private_master import PrivateMaster
from puppetmaster_self.puppetserver_files import MasterSettings, exec_terminus

PROJECT = ProjectName("demo")
WEB_1 = Certname("web-1.demo.example.org")
WEB_2 = Certname("web-2.demo.example.org")
SUFFIX = "dc=example,dc=org"

PEOPLE = f"""\
dn: uid=alice,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Alice

dn: uid=bob,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Bob
"""

HELLO = """\
# Writes down what arrived, and by which way.
class hello (
  String $greeting = 'nothing',
  String $colour   = 'none',
) {
  file { "${facts['quickstart_machine']}/hello":
    content => @("TEXT"),
      greeting  ${greeting}   (parameter of class hello, from LDAP through the ENC)
      contact   ${getvar('contact')}   (variable, from LDAP through the ENC)
      colour    ${colour}   (hiera data, from LDAP)
      project   ${trusted['external']['project']}   (trusted external data, which no agent can forge)
      | TEXT
  }
}
"""


class Quickstart:
    """Everything below one directory."""

    def __init__(self, base: Path, cache: Path) -> None:
        """`cache`: where compiled classes of puppetserver may lie, which make its start quicker."""
        self.base = base
        self.config = base / "config.yaml"
        self.answers = base / "answers"
        self.scripts = Path(sysconfig.get_path("scripts"))
        self.environment = {
            "PUPPETMASTER_CONFIG": str(self.config),
            "PATH": f"{self.scripts}:{os.environ.get('PATH', os.defpath)}",
        }
        self.directory = EmbeddedDirectory(base / "directory")
        self.follower = OwnedProcess(base / "follower.pid", "enc-admin follow")
        settings = MasterSettings(
            server=exec_terminus(self.scripts / "enc", trusted=self.scripts / "enc-trusted"),
            environment=self.environment,
        )
        compiled = shutil.which("java") and compiled_classes.cached(cache)
        self.master = PrivateMaster(base / "puppetserver", settings, cache=cache if compiled else None)

    def stop(self) -> None:
        """End whatever runs."""
        self.master.stop()
        self.follower.stop()
        self.directory.stop()

    def status(self) -> list[tuple[str, str]]:
        """Return what runs, as (name, state)."""
        slapd, follower, server = self.directory.status(), self.follower.pid, self.master.process.pid
        return [
            ("slapd", f"runs, pid {slapd.pid}, {' '.join(slapd.uris)}" if slapd.pid else "does not run"),
            ("follower", f"runs, pid {follower}" if follower else "does not run"),
            ("puppetserver", f"runs, pid {server}" if server else "does not run"),
        ]

    def tell(self) -> None:
        """Do it all, from nothing; raise `ToolkitError` where a step fails."""
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)
        self.base.mkdir(parents=True)
        try:
            self._directory()
            self._project()
            self._answers()
            self._puppetserver()
            self._runs()
        except BaseException:
            self.stop()
            raise

    def _directory(self) -> None:
        _chapter("1. A directory", "A private slapd with the schema, the access rules and an empty tree.")
        data = self.directory.data_dir
        settings = {
            "directory": {
                "data_directory": str(data),
                "suffix": SUFFIX,
                "uris": [self.directory.ldapi_uri],
                "bind_dn": self.directory.reader_dn,
                "bind_password_file": str(self.directory.reader_password_file),
            },
            "answers": {"directory": str(self.answers)},
            "audit": {"file": str(self.base / "audit.jsonl")},
        }
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        self._command("enc-admin", "directory", "start")
        people = self.base / "people.ldif"
        people.write_text(PEOPLE, encoding="utf-8")
        self._command("ldapadd", "-Q", "-Y", "EXTERNAL", "-H", self.directory.ldapi_uri, "-f", str(people))

    def _project(self) -> None:
        _chapter("2. A project with two instances", "Alice administers it, Bob is a member.")
        reason = ("--reason", "quickstart")
        members = ("--admin", "alice", "--member", "alice", "--member", "bob")
        self._command("enc-admin", "project", "add", PROJECT, *members, *reason)
        for certname in (WEB_1, WEB_2):
            self._command("enc-admin", "node", "add", certname, "--project", PROJECT, *reason)
        print("  What the whole project gets stands on the project, what is one node's own on the node:\n")
        data = ("--class", "hello", "--variable", "contact=alice@example.org", "--data", 'hello::colour="green"')
        self._command("enc-admin", "project", "set", PROJECT, *data, *reason)
        own = ("--parameter", 'hello::greeting="Hello from LDAP"')
        self._command("enc-admin", "node", "set", WEB_1, *own, *reason)

    def _answers(self) -> None:
        _chapter(
            "3. Answers on disk",
            "The follower keeps up with LDAP and writes the finished answer of each node; "
            "enc prints it, whether LDAP is there or not.",
        )
        print("  $ enc-admin follow &\n", flush=True)
        self.follower.start(
            [str(self.scripts / "enc-admin"), "follow"],
            output=self.base / "follower.log",
            directory=self.base,
            environment={**os.environ, **self.environment},
        )
        self._wait_for(self.answers / f"nodes/{WEB_1}.yaml")
        self._command("enc", WEB_1)

    def _puppetserver(self) -> None:
        _chapter(
            "4. A puppetserver that asks",
            "node_terminus = exec, with enc as external_nodes; this takes 10 to 20 s.",
        )
        self.master.write()
        self.master.add_environment(
            EnvironmentName("production"),
            {"modules/hello/manifests/init.pp": HELLO, "hiera.yaml": self._hiera()},
        )
        began = time.monotonic()
        self.master.start()
        print(f"  {self.master.url} is up after {time.monotonic() - began:.0f} s.")

    def _runs(self) -> None:
        _chapter("5. The agent's first run", "A real one, for each instance, with its own key and certificate.")
        for certname in (WEB_1, WEB_2):
            self._agent(certname)
        _chapter("6. An edit, and what it brings", "One command; the follower sees it at once.")
        before = self._answer(WEB_1)
        change = ("--parameter", 'hello::greeting="Hello again"', "--variable", "contact=bob@example.org")
        self._command("enc-admin", "node", "set", WEB_1, *change, "--reason", "Bob takes over")
        self._wait_for_change(WEB_1, before)
        if not self._agent(WEB_1).changed:
            raise ProcessFailed("the second run did not bring the change", where=str(self.base))
        self._command("enc-admin", "node", "history", WEB_1)

    def _hiera(self) -> str:
        levels = ("nodes/%{trusted.certname}.yaml", "projects/%{trusted.external.project}.yaml")
        hierarchy = [{"name": path.partition("/")[0], "path": path} for path in levels]
        defaults = {"datadir": str(self.answers / "hiera"), "data_hash": "yaml_data"}
        return yaml.safe_dump({"version": 5, "defaults": defaults, "hierarchy": hierarchy}, sort_keys=False)

    def _agent(self, certname: Certname) -> AgentRun:
        machine = self.base / "machines" / certname.short
        machine.mkdir(parents=True, exist_ok=True)
        settings = AgentSettings(
            certname=certname,
            server="localhost",
            port=self.master.settings.port,
            facts={"quickstart_machine": str(machine)},
        )
        print(f"  {certname.short}$ puppet agent -t", flush=True)
        run = self.master.agent(certname, settings).run()
        _show(line for line in run.output.splitlines() if _worth_showing(line))
        file = machine / "hello"
        if not run.succeeded or not file.exists():
            failure = ProcessFailed(f"the agent's run ended with status {run.status}", where=certname)
            failure.add_note(run.output)
            raise failure
        print(f"  {certname.short}$ cat {os.path.relpath(file)}")
        _show(file.read_text(encoding="utf-8").splitlines())
        return run

    def _command(self, *words: str) -> None:
        """Show and run one command; its output belongs to the story."""
        print(f"  $ {shlex.join(words)}", flush=True)
        # Unbuffered, so that a Python program's words and data stay in their order.
        environment = {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env=environment,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProcessFailed(str(error), where=words[0]) from error
        if done.returncode:
            failure = ProcessFailed(f"ended with status {done.returncode}", where=shlex.join(words))
            failure.add_note(done.stdout)
            raise failure
        _show(done.stdout.splitlines())

    def _answer(self, certname: Certname) -> str:
        try:
            return (self.answers / f"nodes/{certname}.yaml").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _wait_for(self, file: Path) -> None:
        self._until(file.exists, f"{file.name} was not written")

    def _wait_for_change(self, certname: Certname, before: str) -> None:
        self._until(lambda: self._answer(certname) != before, f"the answer of {certname} did not change")

    def _until(self, condition: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            if time.monotonic() > deadline or self.follower.pid is None:
                log = self.base / "follower.log"
                failure = ProcessFailed(f"{problem}; what the follower says stands above", where=str(log))
                failure.add_note(log.read_text(encoding="utf-8", errors="replace")[-4000:])
                raise failure
            time.sleep(0.02)


def _chapter(title: str, text: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")
    print(textwrap.fill(text, 78), end="\n\n", flush=True)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"    {line}".rstrip())
    print(flush=True)


def _worth_showing(line: str) -> bool:
    # Facter reports each file of /proc and /sys that a container withholds as an error, and goes on.
    return not line.startswith(("Info: ", "Error: Facter: "))


def main(arguments: Sequence[str]) -> int:
    """`BASE [stop|status]`: return the exit status."""

    def work() -> int:
        base, action = Path(arguments[0]).absolute(), (list(arguments[1:]) or ["start"])[0]
        quickstart = Quickstart(base, base.parent / ".cache/puppetserver")
        if action == "stop":
            quickstart.stop()
            print("Everything is stopped. The files are left in", os.path.relpath(base))
        elif action == "status":
            for name, state in quickstart.status():
                print(f"{name:<13} {state}")
        elif action == "start":
            _tell(quickstart)
        else:
            raise UsageError(f"{action!r} is none of start, stop, status")
        return ExitStatus.DONE

    return run_entry_point("quickstart", work)


def _tell(quickstart: Quickstart) -> None:
    try:
        quickstart.tell()
    except ToolkitError as error:
        for note in getattr(error, "__notes__", []):
            print(note, file=sys.stderr)
        raise
    base = os.path.relpath(quickstart.base)
    print(
        f"""\
Everything goes on running; its files are in {base}. To try it yourself:

  export PUPPETMASTER_CONFIG={shlex.quote(str(quickstart.config))} PATH={shlex.quote(str(quickstart.scripts))}:$PATH
  enc-admin node explain {WEB_1}
  enc-admin --help
  ./quickstart status
  ./quickstart stop
"""
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
