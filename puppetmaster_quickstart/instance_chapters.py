"""Chapters 5, 6 and 11: instances come to be, build themselves, end, and come again under their names.

Each knows what those before it have made, and owns nothing: what it starts, the
stage's servers end. Whatever goes otherwise than told ends the story
(`ProcessFailed`, from the stage and storytelling.py).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from puppetmaster_quickstart.cast import DEMO, INSTANCES, REASON, WEB_1, WEB_2
from puppetmaster_quickstart.stage import Stage
from puppetmaster_quickstart.storytelling import chapter, show, tell


def instances(stage: Stage) -> None:
    """Instances are created, and the follower writes their answers."""
    chapter(
        "5. Instances, and answers on disk",
        "Each is created with a token that can be used once, and gets user data to start with. The follower keeps up "
        "with LDAP and writes the finished answer of each node; enc prints it, whether LDAP is there or not.",
    )
    stage.instances.begin()
    stage.servers.configure()
    print("  $ enc-admin follow &\n", flush=True)
    stage.servers.follower.start(
        [str(stage.servers.scripts / "enc-admin"), "follow"],
        output=stage.servers.base / "follower.log",
        directory=stage.servers.base,
        environment=stage.operator.environment,
    )
    own = ("--parameter", 'hello::greeting="Hello from LDAP"')
    for certname, project in INSTANCES:
        stage.create(certname.short, certname, project, *(own if certname == WEB_1 else ()))
    for certname, _ in INSTANCES:
        stage.servers.wait_for(stage.servers.answers / f"nodes/{certname}.yaml")
    stage.operator.types("enc-admin", "instance", "list")
    stage.operator.types("enc", WEB_1)


def first_runs(stage: Stage) -> None:
    """Each builds itself."""
    chapter(
        "6. The agent's first run",
        "Each instance is switched on with its user data, in its own network if the machine allows it. "
        "Its first run asks for the certificate with the token, trusts no other CA, and applies the catalog.",
    )
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda one: stage.instances.build(one[0].short, one[0]), INSTANCES))
    for (certname, _), run in zip(INSTANCES, done, strict=True):
        stage.built(certname.short, run)
    stage.operator.types("enc-admin", "instance", "collect")
    stage.operator.types("enc-admin", "instance", "list")


def gone_and_back(stage: Stage) -> None:
    """One ends, and another gets its name."""
    chapter(
        "11. An end, and a return",
        "An instance is deleted: its entry, its certificate, its answer. Then another one gets its name.",
    )
    machine, again = WEB_2.short, f"{WEB_2.short}-again"
    stage.operator.types("enc-admin", "instance", "delete", WEB_2, *REASON)
    tell("Its certificate is revoked; puppetserver refuses it at once:")
    print(f"  {machine}$ puppet agent -t", flush=True)
    run = stage.instances.run(machine)
    show([line for line in run.output.splitlines() if "alert" in line and line.startswith("Error: ")][:1])
    stage.expect(machine, not run.succeeded and "alert" in run.output, run)
    stage.create(again, WEB_2, DEMO)
    stage.servers.wait_for(stage.servers.answers / f"nodes/{WEB_2}.yaml")
    stage.built(again, stage.instances.build(again, WEB_2))
    stage.expect(machine, not stage.instances.run(machine).succeeded, run)
    stage.operator.types("enc-admin", "instance", "collect")
    stage.operator.types("enc-admin", "instance", "list")
