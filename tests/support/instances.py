"""A site with projects red and blue for tests of instances, and a program that is killed at a chosen step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from enc.directory.edits import DirectoryEditor
from enc.edits.wish import Wish
from enc.instances import entry
from enc.instances.entry import Instance
from enc.service import projects
from enc.service.desk import open_desk
from enc.settings import Settings
from enc.settings.config import load
from enc.terms.names import Certname, PersonName, ProjectName
from tests.support.slapd import Slapd

S = "dc=example,dc=org"
RED, BLUE = ProjectName("red"), ProjectName("blue")
WHY = "for a test"

KILLED_AT = """
import os, signal, sys
from enc.authority.client import open_all
from enc.edits.wish import Wish
from enc.settings.config import load
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.terms.names import Certname, ProjectName
from enc.service.desk import open_desk
from pathlib import Path

config, verb, name, at = sys.argv[1:]
left = [int(at)]

def told(words):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

settings = load(Path(config))
with open_desk(settings) as desk:
    work = Lifecycle(desk, open_all(settings.authorities), Journal(settings.instances.journal), told)
    if verb == "create":
        work.create(name, ProjectName("red"), Wish(), reason="for a test")
    elif verb == "move":
        work.move(Certname(name), ProjectName("blue"), None, reason="for a test")
    else:
        getattr(work, verb)(Certname(name), reason="for a test")
"""


def add_people_and_projects(slapd: Slapd, config: Path) -> None:
    """Make anna (admin of red), bert (admin of blue) and their projects."""
    slapd.load_ldif(
        "".join(
            f"dn: uid={uid},ou=people,{S}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n"
            f"userPassword: pw-{uid}\n\n"
            for uid in ("anna", "bert")
        )
    )
    with open_desk(load(config)) as desk:
        for project, admin in ((RED, "anna"), (BLUE, "bert")):
            projects.add(desk, project, (PersonName(admin),), (), Wish(), reason=WHY)


def write_config(file: Path, slapd: Slapd, more: str = "") -> Path:
    """Write a configuration whose files are all beside `file`."""
    base = file.parent
    sections = yaml.safe_load(
        f"audit: {{file: {base}/trail.jsonl}}\n"
        f"instances:\n  token_key_file: {base}/token.key\n  journal: {base}/journal\n  runs: {base}/runs\n"
        f"  vardir: {base}/vardir\n{more}"
    )
    file.write_text(slapd.configuration(**sections))
    return file


def killed_at(config: Path, verb: str, name: str, step: int) -> bool:
    """Run an operation that is killed when its `step`-th act is done; tell whether it was (it may have fewer)."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(config), verb, name, str(step)], capture_output=True, text=True
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def found(settings: Settings, certname: str) -> Instance | None:
    """Return an instance as LDAP has it now."""
    with DirectoryEditor(settings) as editor:
        records = editor.find(settings.nodes_base, f"(cn={certname})")
    return entry.instance_of(Certname(certname), records[0], settings) if records else None
