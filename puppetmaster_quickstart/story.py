"""The toolkit's story, told with real servers below one directory; `./quickstart` runs it.

It does what a site would do, with the commands that a site would use, and
shows each of them: a directory, projects, the follower, a repository whose
branches are environments, a puppetserver, instances that build themselves from
their user data, an edit and a push, the runs that bring them, an instance's
end and return, and one that becomes its own master and goes back.

Owns the directory that it is given: each telling begins by stopping what runs
there and removing it. Servers listen on the loopback and are ended by their
recorded pids. If a step fails the servers are stopped, the files stay, and the
failure is one line with the program's output above it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from enc.entrypoint import run as run_entry_point
from enc.errors import ExitStatus, ToolkitError, UsageError
from enc.names import BranchName, Certname, ProjectName
from puppetmaster_quickstart.lab import Lab, Site
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.private_agent import AgentRun
from puppetmaster_quickstart.servers import SERVER, SUFFIX, Servers
from puppetmaster_quickstart.storytelling import chapter, show, tell

DEMO, SHOP = ProjectName("demo"), ProjectName("shop")
WEB_1 = Certname("web-1.demo.example.org")
WEB_2 = Certname("web-2.demo.example.org")
TILL_1 = Certname("till-1.shop.example.org")
LAB_1 = Certname("lab-1.demo.example.org")
INSTANCES = ((WEB_1, DEMO), (WEB_2, DEMO), (TILL_1, SHOP))
REASON = ("--reason", "quickstart")


def _person(name: str) -> str:
    return f"dn: uid={name},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"


def _branch(project: ProjectName) -> BranchName:
    return BranchName(f"project/{project}")


def _environment(project: ProjectName) -> str:
    return f"project_{project}"


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
      code      first   (this class, as the project's branch has it)
      | TEXT
  }
}
"""


class Quickstart:
    """The story; each chapter is a method, in the order in which they are told."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.operator, self.repository, self.instances = servers.operator, servers.repository, servers.instances

    def tell(self) -> None:
        """Do it all, from nothing; raise `ToolkitError` where a step fails."""
        self.servers.stop()
        shutil.rmtree(self.servers.base, ignore_errors=True)
        self.servers.base.mkdir(parents=True)
        try:
            self._directory()
            self._projects()
            self._branches()
            self._puppetserver()
            self._instances()
            self._first_runs()
            self._edit()
            self._push()
            self._gone_and_back()
            self._own_master()
        except BaseException:
            self.servers.stop()
            raise

    def _directory(self) -> None:
        chapter("1. A directory", "A private slapd with the schema, the access rules and an empty tree.")
        self.servers.configure(puppetserver=False)
        self.operator.types("enc-admin", "directory", "start")
        people = self.servers.base / "people.ldif"
        people.write_text("\n".join(map(_person, ("alice", "bob", "carol"))), encoding="utf-8")
        ldap = ("-Q", "-Y", "EXTERNAL", "-H", self.servers.directory.ldapi_uri)
        self.operator.types("ldapadd", *ldap, "-f", str(people))
        self.alice, self.bob = map(self.repository.person, ("alice", "bob"))
        for person in (self.alice, self.bob):
            password = self.repository.password(person)
            self.operator.types("ldappasswd", *ldap, "-T", str(password), f"uid={person.name},ou=people,{SUFFIX}")

    def _projects(self) -> None:
        chapter(
            "2. Two projects",
            "Alice administers demo, Bob is a member of it. The project shop is Carol's.",
        )
        for project, admin, *members in ((DEMO, "alice", "alice", "bob"), (SHOP, "carol", "carol")):
            people = ("--admin", admin, "--member", *members, "--environment", _environment(project))
            self.operator.types("enc-admin", "project", "add", project, *people, *REASON)
        tell("What the whole project gets stands on the project:")
        green = ("--data", 'hello::colour="green"')
        for project, contact, data in ((DEMO, "alice@example.org", green), (SHOP, "carol@example.org", ())):
            said = ("--class", "hello", "--variable", f"contact={contact}", *data)
            self.operator.types("enc-admin", "project", "set", project, *said, *REASON)

    def _branches(self) -> None:
        chapter(
            "3. Branches that are environments",
            "One repository. Its first commit has the class hello. The process behind the hooks makes pushes quick and "
            "looks after the branches: each project in LDAP gets one, from test, and each becomes its environment.",
        )
        files = {"modules/hello/manifests/init.pp": HELLO, "manifests/site.pp": "", "hiera.yaml": self.servers.hiera()}
        self.repository.begin(self.alice, files)
        self.operator.types("branch-manager", "init", str(self.repository.path))
        own = map(_environment, (DEMO, SHOP))
        self.repository.look_after([*self.repository.first_environments, *own])
        self.operator.types("branch-manager", "list")

    def _puppetserver(self) -> None:
        chapter(
            "4. A puppetserver that asks",
            "node_terminus = exec with enc as external_nodes, autosign = enc-autosign; this takes 10 to 20 s. "
            "From then on each deploy tells it which environment has changed.",
        )
        began = time.monotonic()
        self.servers.master.start()
        print(f"  {self.servers.master.url} is up after {time.monotonic() - began:.0f} s.\n")
        self.servers.configure()
        self.repository.serve(self.bob)

    def _instances(self) -> None:
        chapter(
            "5. Instances, and answers on disk",
            "Each is created with a token that is good once, and gets user data to start with. The follower keeps up "
            "with LDAP and writes the finished answer of each node; enc prints it, whether LDAP is there or not.",
        )
        self.instances.begin()
        self.servers.configure()
        print("  $ enc-admin follow &\n", flush=True)
        self.servers.follower.start(
            [str(self.servers.scripts / "enc-admin"), "follow"],
            output=self.servers.base / "follower.log",
            directory=self.servers.base,
            environment=self.operator.environment,
        )
        own = ("--parameter", 'hello::greeting="Hello from LDAP"')
        for certname, project in INSTANCES:
            self._create(certname.short, certname, project, *(own if certname == WEB_1 else ()))
        for certname, _ in INSTANCES:
            self.servers.wait_for(self.servers.answers / f"nodes/{certname}.yaml")
        self.operator.types("enc-admin", "instance", "list")
        self.operator.types("enc", WEB_1)

    def _first_runs(self) -> None:
        chapter(
            "6. The agent's first run",
            "Each instance is switched on with its user data, in a network of its own where the machine gives such. "
            "Its first run asks for the certificate with the token, trusts no other CA, and applies the catalog.",
        )
        with ThreadPoolExecutor() as pool:
            done = list(pool.map(lambda one: self.instances.build(one[0].short, one[0]), INSTANCES))
        for (certname, _), run in zip(INSTANCES, done, strict=True):
            self._built(certname.short, run)
        self.operator.types("enc-admin", "instance", "collect")
        self.operator.types("enc-admin", "instance", "list")

    def _edit(self) -> None:
        chapter("7. An edit, and what it brings", "One command; the follower sees it at once.")
        before = self.servers.answer(WEB_1)
        change = ("--parameter", 'hello::greeting="Hello again"', "--variable", "contact=bob@example.org")
        self.operator.types("enc-admin", "node", "set", WEB_1, *change, "--reason", "Bob takes over")
        self.servers.wait_for_change(WEB_1, before)
        self._agent(WEB_1, changes=True)
        self.operator.types("enc-admin", "node", "history", WEB_1)

    def _push(self) -> None:
        chapter(
            "8. A push, and what it brings",
            "Bob changes the class on his project's branch. His password is that in LDAP, and so is his right to push.",
        )
        url = self.repository.url.replace("://", "://bob@")
        self.bob.types("git", "clone", "--quiet", "--branch", _branch(DEMO), url, "puppet")
        bob = self.bob.within("puppet")
        bob.types("sed", "-i", "s/code      first/code      second/", "modules/hello/manifests/init.pp")
        bob.types("git", "commit", "--quiet", "-am", "The second code")
        bob.types("git", "push")
        self._agent(WEB_1, changes=True)
        tell("The other project's instance has nothing to do:")
        self._agent(TILL_1, changes=False)
        tell("Nor may Bob push there:")
        bob.types("git", "push", "origin", f"HEAD:{_branch(SHOP)}", refused=True)
        self.operator.types("branch-manager", "list")

    def _gone_and_back(self) -> None:
        chapter(
            "9. An end, and a return",
            "An instance is deleted: its entry, its certificate, its answer. Then another one gets its name.",
        )
        machine, again = WEB_2.short, f"{WEB_2.short}-again"
        self.operator.types("enc-admin", "instance", "delete", WEB_2, *REASON)
        tell("Its certificate is revoked; puppetserver refuses it at once:")
        print(f"  {machine}$ puppet agent -t", flush=True)
        run = self.instances.run(machine)
        show([line for line in run.output.splitlines() if "alert" in line and line.startswith("Error: ")][:1])
        self._expect(machine, not run.succeeded and "alert" in run.output, run)
        self._create(again, WEB_2, DEMO)
        self.servers.wait_for(self.servers.answers / f"nodes/{WEB_2}.yaml")
        self._built(again, self.instances.build(again, WEB_2))
        self._expect(machine, not self.instances.run(machine).succeeded, run)
        self.operator.types("enc-admin", "instance", "collect")
        self.operator.types("enc-admin", "instance", "list")

    def _own_master(self) -> None:
        chapter(
            "10. An instance that is its own master",
            "Alice tries something that is not for her whole project. lab-1 is a system of its own with systemd, made "
            "of this machine's software; its image brings the toolkit, and Alice's account for LDAP and git.",
        )
        lab = Lab(LAB_1, self.instances)
        if not lab.switch_on():
            return
        tell("It reaches LDAP through the network, so slapd gets puppetserver's certificate, which instances trust:")
        own = self.servers.own_certificate()
        self.operator.types("enc-admin", "directory", "stop")
        tls = ("--tls-certificate", own["certificate_file"], "--tls-key", own["key_file"])
        self.operator.types("enc-admin", "directory", "start", *tls)
        site = Site(SERVER, Path(own["ca_file"]), self.servers.answers)
        lab.furnish(self.servers.directory, self.repository, self.alice, site)
        self._create(LAB_1.short, LAB_1, DEMO)
        self.servers.wait_for(self.servers.answers / f"nodes/{LAB_1}.yaml")
        self._built(LAB_1.short, self.instances.build(LAB_1.short, LAB_1))
        tell("Now it becomes its own master. Each step can be undone, and is if a later one fails:")
        lab.enable()
        tell("Everybody sees that in LDAP:")
        ldap = ("-Q", "-LLL", "-o", "ldif-wrap=no", "-Y", "EXTERNAL", "-H", self.servers.directory.ldapi_uri)
        self.operator.types("ldapsearch", *ldap, "-b", SUFFIX, f"cn={LAB_1}", "puppetmasterSelf")
        tell("Its project's branch is in /srv/puppet. What is committed there is live, on this instance only:")
        lab.edit("code      second", "code      third")
        self._agent(LAB_1)
        tell("And back. The commit is kept, also as a branch of the project:")
        lab.disable()
        tell("The central master has put everything right, and has nothing more to do:")
        self._agent(LAB_1, changes=False)
        self.operator.types("branch-manager", "list")

    def _create(self, machine: str, certname: Certname, project: ProjectName, *words: str) -> None:
        """Create an instance; keep its user data for the machine that is to be it."""
        said = ("enc-admin", "instance", "create", certname, "--project", project, *words, *REASON)
        self.operator.types(*said, output=self.instances.user_data(machine))

    def _agent(self, certname: Certname, *, changes: bool = True) -> None:
        """Let the agent run, and show what it did; it belongs to the story whether anything `changes`."""
        machine = certname.short
        print(f"  {machine}$ puppet agent -t", flush=True)
        run = self.instances.run(machine)
        show(line for line in run.output.splitlines() if _worth_showing(line))
        self._expect(machine, run.succeeded and run.changed == changes, run)
        self._show_hello(machine)

    def _built(self, machine: str, run: AgentRun) -> None:
        print(f"  {machine}$ {self.instances.first_command}", flush=True)
        show(line for line in run.output.splitlines() if _worth_showing(line))
        self._expect(machine, run.status == 0, run)
        self._show_hello(machine)

    def _show_hello(self, machine: str) -> None:
        file = self.instances.place(machine) / "hello"
        print(f"  {machine}$ cat {os.path.relpath(file)}")
        show(file.read_text(encoding="utf-8").splitlines())

    def _expect(self, machine: str, condition: bool, run: AgentRun) -> None:
        if not condition:
            failure = ProcessFailed(f"the run ended with status {run.status}", where=machine)
            failure.add_note(run.output + self.instances.log(machine)[-4000:])
            raise failure


def _worth_showing(line: str) -> bool:
    # Facter reports each file of /proc and /sys that a container withholds as an error, and goes on.
    return not line.startswith(("Info: ", "Error: Facter: "))


def main(arguments: Sequence[str]) -> int:
    """`BASE [stop|status]`: return the exit status."""

    def work() -> int:
        base, action = Path(arguments[0]).absolute(), (list(arguments[1:]) or ["start"])[0]
        servers = Servers(base, base.parent / ".cache/puppetserver")
        if action == "stop":
            servers.stop()
            print("Everything is stopped. The files are left in", os.path.relpath(base))
        elif action == "status":
            for name, state in servers.status():
                print(f"{name:<20} {state}")
        elif action == "start":
            _tell(servers)
        else:
            raise UsageError(f"{action!r} is none of start, stop, status")
        return ExitStatus.DONE

    return run_entry_point("quickstart", work)


def _tell(servers: Servers) -> None:
    try:
        Quickstart(servers).tell()
    except ToolkitError as error:
        for note in getattr(error, "__notes__", []):
            print(note, file=sys.stderr)
        raise
    base = os.path.relpath(servers.base)
    print(
        f"""\
Everything goes on running; its files are in {base}. To try it yourself:

  export PUPPETMASTER_CONFIG={shlex.quote(str(servers.config))} PATH={shlex.quote(str(servers.scripts))}:$PATH
  enc-admin node explain {WEB_1}
  branch-manager status {_branch(DEMO)}
  export HOME={shlex.quote(str(servers.base / "people/bob"))}    # to be Bob for git
  ./quickstart status
  ./quickstart stop
"""
    )
