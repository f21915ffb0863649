"""Chapters 1 to 4: a site comes to be. A directory, projects, branches that are environments, a puppetserver.

Each knows what those before it have made, and owns nothing: what it starts, the
stage's servers end. Whatever goes otherwise than told ends the story
(`ProcessFailed`, from the stage and storytelling.py).
"""

from __future__ import annotations

import time

from puppetmaster_quickstart.cast import DEMO, HELLO, REASON, SHOP, entry_of, environment_of
from puppetmaster_quickstart.servers import SUFFIX
from puppetmaster_quickstart.stage import Stage
from puppetmaster_quickstart.storytelling import chapter, tell


def directory(stage: Stage) -> None:
    """A slapd, and people in it."""
    chapter("1. A directory", "A private slapd with the schema, the access rules and an empty tree.")
    stage.servers.configure(puppetserver=False)
    stage.operator.types("enc-admin", "directory", "start")
    people = stage.servers.base / "people.ldif"
    people.write_text("\n".join(map(entry_of, ("alice", "bob", "carol", "dora"))), encoding="utf-8")
    ldap = ("-Q", "-Y", "EXTERNAL", "-H", stage.servers.directory.home.ldapi_uri)
    stage.operator.types("ldapadd", *ldap, "-f", str(people))
    for person in (stage.alice, stage.bob):
        password = stage.repository.password(person)
        stage.operator.types("ldappasswd", *ldap, "-T", str(password), f"uid={person.name},ou=people,{SUFFIX}")


def projects(stage: Stage) -> None:
    """Two projects, and what each gives its nodes."""
    chapter(
        "2. Two projects",
        "Alice administers demo, Bob is a member of it. The project shop is Carol's.",
    )
    for project, admin, *members in ((DEMO, "alice", "alice", "bob"), (SHOP, "carol", "carol")):
        people = ("--admin", admin, "--member", *members, "--environment", environment_of(project))
        stage.operator.types("enc-admin", "project", "add", project, *people, *REASON)
    tell("What the whole project gets is set on the project:")
    green = ("--data", 'hello::colour="green"')
    for project, contact, data in ((DEMO, "alice@example.org", green), (SHOP, "carol@example.org", ())):
        said = ("--class", "hello", "--variable", f"contact={contact}", *data)
        stage.operator.types("enc-admin", "project", "set", project, *said, *REASON)


def branches(stage: Stage) -> None:
    """The repository, and the process behind its hooks."""
    chapter(
        "3. Branches that are environments",
        "One repository. Its first commit has the class hello. The process behind the hooks makes pushes quick and "
        "does the upkeep of the branches: each project in LDAP gets one, from test, and each becomes its environment.",
    )
    files = {"modules/hello/manifests/init.pp": HELLO, "manifests/site.pp": "", "hiera.yaml": stage.servers.hiera()}
    stage.repository.begin(stage.alice, files)
    stage.operator.types("branch-manager", "init", str(stage.repository.path))
    own = map(environment_of, (DEMO, SHOP))
    stage.repository.look_after([*stage.repository.first_environments, *own])
    stage.operator.types("branch-manager", "list")
    tell("How many nodes use each is not known (?) before the follower runs, in chapter 5.")


def puppetserver(stage: Stage) -> None:
    """A puppetserver that asks us."""
    chapter(
        "4. A puppetserver that asks the ENC",
        "node_terminus = exec with enc as external_nodes, autosign = enc-autosign. It is up within half a minute. "
        "From then on, each deploy flushes the changed environment there.",
    )
    began = time.monotonic()
    stage.servers.master.start()
    print(f"  {stage.servers.master.url} is up after {time.monotonic() - began:.0f} s.\n")
    stage.servers.configure()
    stage.repository.serve(stage.bob)
