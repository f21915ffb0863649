"""Chapters 7 to 10 and 12: what people change, and how it arrives. An edit, pushes, the way to test, one's own master.

Each knows what those before it have made, and owns nothing: what it starts, the
stage's servers end. Whatever goes otherwise than told ends the story
(`ProcessFailed`, from the stage and storytelling.py).
"""

from __future__ import annotations

import json
from pathlib import Path

from puppetmaster_quickstart.branches import TEST
from puppetmaster_quickstart.cast import DEMO, LAB_1, REASON, SHOP, TILL_1, WEB_1, branch_of
from puppetmaster_quickstart.lab import Lab, Site
from puppetmaster_quickstart.servers import SERVER, SUFFIX
from puppetmaster_quickstart.stage import Stage
from puppetmaster_quickstart.storytelling import chapter, tell

HELLO_FILE = "modules/hello/manifests/init.pp"


def edit(stage: Stage) -> None:
    """An edit in LDAP."""
    chapter("7. An edit, and its effect", "One command; the follower sees it at once.")
    before = stage.servers.answer(WEB_1)
    change = ("--parameter", 'hello::greeting="Hello again"', "--variable", "contact=bob@example.org")
    stage.operator.types("enc-admin", "node", "set", WEB_1, *change, "--reason", "Bob takes over")
    stage.servers.wait_for_change(WEB_1, before)
    stage.agent(WEB_1, changes=True)
    stage.operator.types("enc-admin", "node", "history", WEB_1)


def refused(stage: Stage) -> None:
    """Pushes that never become an environment."""
    chapter(
        "8. Pushes that are refused",
        "Bob clones his project's branch. His password is that in LDAP, and so is his right to push. In a hurry, he "
        "loses a brace, and then nearly makes a private key public.",
    )
    url = stage.repository.url.replace("://", "://bob@")
    stage.bob.types("git", "clone", "--quiet", "--branch", branch_of(DEMO), url, "puppet")
    bob = stage.bob.within("puppet")
    bob.types("sed", "-i", "$d", HELLO_FILE)
    bob.types("git", "commit", "--quiet", "-am", "The second code, in a hurry")
    bob.types("git", "push", refused=True)
    bob.types("git", "reset", "--quiet", "--hard", "HEAD~")
    bob.types("openssl", "genpkey", "-algorithm", "ED25519", "-out", "modules/hello/web.pem")
    bob.types("git", "add", "modules/hello/web.pem")
    bob.types("git", "commit", "--quiet", "-m", "The key of our web server")
    bob.types("git", "push", refused=True)
    bob.types("git", "reset", "--quiet", "--hard", "HEAD~")


def push(stage: Stage) -> None:
    """A push, and what it does to nodes."""
    chapter(
        "9. A push, and its effect",
        "Bob changes the class. Before he gets his prompt back, puppetserver has compiled the nodes that use the "
        "branch, and he reads what differs on each.",
    )
    bob = stage.bob.within("puppet")
    bob.types("sed", "-i", "s/code      first/code      second/", HELLO_FILE)
    bob.types("git", "commit", "--quiet", "-am", "The second code")
    bob.types("git", "push")
    stage.agent(WEB_1, changes=True)
    tell("The other project's instance is not affected:")
    stage.agent(TILL_1, changes=False)
    tell("Nor may Bob push there:")
    bob.types("git", "push", "origin", f"HEAD:{branch_of(SHOP)}", refused=True)
    stage.operator.types("branch-manager", "list")


def promotion(stage: Stage) -> None:
    """The way to test, and back."""
    chapter(
        "10. On to test, and back",
        "What Bob made is to be in test, for everybody. Alice, who administers the project, proposes it. Somebody "
        "else must approve what it does: Dora, an operator. Over ssh the key says who acts, here --as does.",
    )
    operators = stage.servers.base / "operators.ldif"
    member = f"changetype: modify\nadd: member\nmember: uid=dora,ou=people,{SUFFIX}\n"
    operators.write_text(f"dn: cn=operators,ou=groups,{SUFFIX}\n{member}", encoding="utf-8")
    ldap = ("-Q", "-Y", "EXTERNAL", "-H", stage.servers.directory.home.ldapi_uri)
    stage.operator.types("ldapmodify", *ldap, "-f", str(operators))
    wish = ("promote", branch_of(DEMO), "--to", TEST, *REASON)
    stage.operator.types("branch-manager", *wish, "--as", "alice", refused=True)
    stage.operator.types("branch-manager", "promotion", "show", "P1")
    shown = json.loads(stage.operator.answers("branch-manager", "promotion", "show", "P1", "--json"))
    effect = shown["effect"]["digest"][:32]
    tell("She may not approve it herself:")
    approve = ("branch-manager", "promotion", "approve", "P1", "--effect", effect)
    stage.operator.types(*approve, "--as", "alice", refused=True)
    stage.operator.types(*approve, "--as", "dora")
    stage.operator.types("branch-manager", "promotion", "history", TEST)
    commit = stage.bob.within("puppet").answers("git", "rev-parse", "HEAD").strip()
    stage.operator.types("branch-manager", "status", commit)
    tell("It was not for everybody after all. It goes from every rung that has it, and nothing brings it back:")
    stage.operator.types("branch-manager", "revert", "P1", "--reason", "The first code was better", "--as", "dora")
    stage.operator.types("branch-manager", "promotion", "holds")


def own_master(stage: Stage) -> None:
    """An instance becomes its own master, and goes back; left out where the machine gives no such instance."""
    chapter(
        "12. An instance that is its own master",
        "Alice tries something that is not for her whole project. lab-1 is a separate system with systemd, made "
        "of this machine's software; its image has the toolkit, and Alice's account for LDAP and git.",
    )
    lab = Lab(LAB_1, stage.instances)
    if not lab.switch_on():
        return
    tell("It reaches LDAP through the network, so slapd gets puppetserver's certificate, which instances trust:")
    own = stage.servers.own_certificate()
    stage.operator.types("enc-admin", "directory", "stop")
    tls = ("--tls-certificate", own["certificate_file"], "--tls-key", own["key_file"])
    stage.operator.types("enc-admin", "directory", "start", *tls)
    site = Site(SERVER, Path(own["ca_file"]), stage.servers.answers)
    lab.furnish(stage.servers.directory, stage.repository, stage.alice, site)
    stage.create(LAB_1.short, LAB_1, DEMO)
    stage.servers.wait_for(stage.servers.answers / f"nodes/{LAB_1}.yaml")
    stage.built(LAB_1.short, stage.instances.build(LAB_1.short, LAB_1))
    tell("Now it becomes its own master. Each step can be undone, and is undone if a later one fails:")
    lab.enable()
    tell("Everybody sees that in LDAP:")
    ldap = ("-Q", "-LLL", "-o", "ldif-wrap=no", "-Y", "EXTERNAL", "-H", stage.servers.directory.home.ldapi_uri)
    stage.operator.types("ldapsearch", *ldap, "-b", SUFFIX, f"cn={LAB_1}", "puppetmasterSelf")
    tell("Its project's branch is in /srv/puppet. Commits there go live, on this instance only:")
    lab.edit("code      second", "code      third")
    stage.agent(LAB_1)
    tell("And back. The commit is kept, also as a branch of the project:")
    lab.disable()
    tell("The central master has restored everything, and has nothing more to do:")
    stage.agent(LAB_1, changes=False)
    stage.operator.types("branch-manager", "list")
