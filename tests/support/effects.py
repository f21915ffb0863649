"""A managed repository whose environments a running puppetserver compiles, with nodes that use them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from enc.answers.layout import Contact, Layout
from enc.settings import Settings, config
from puppetmaster_quickstart.private_agent import PrivateAgent
from puppetmaster_quickstart.private_master import PrivateMaster
from tests.support.bare import git
from tests.support.pushes import ManagedRepository
from tests.support.slapd import Slapd

RULES = ["production = fx_production", "test = fx_test", "project/<name> = fx_<name>"]
SITE = """\
node default {
  include base
  if $trusted['external']['role'] == 'data' { include db }
}
"""
TREE = {
    "manifests/site.pp": SITE,
    "environment.conf": "",
    "modules/base/manifests/init.pp": (
        "class base {\n"
        "  notify { 'base': message => 'one' }\n"
        "  file { '/tmp/fx': ensure => file, source => 'puppet:///modules/base/fx', path => '/nonexistent/fx' }\n"
        "}\n"
    ),
    "modules/base/files/fx": "one\n",
    "modules/db/manifests/init.pp": "class db {\n  notify { 'db': message => epp('db/x.epp') }\n}\n",
    "modules/db/templates/x.epp": "one",
    "modules/other/manifests/init.pp": "class other { }\n",
}
NODES = {"web1.example.org": "web", "web2.example.org": "web", "db1.example.org": "data"}


class EffectSite:
    """Pushes as people make them, to branches that nodes use."""

    def __init__(self, base: Path, slapd: Slapd, master: PrivateMaster, agent: PrivateAgent, **pushes: Any) -> None:
        self.managed = ManagedRepository(base, slapd, **pushes)
        self.configuration = self.managed.configuration
        document = yaml.safe_load(self.configuration.read_text(encoding="utf-8"))
        document["branches"] |= {
            "rules": RULES,
            "environments": str(master.environments),
            "puppetserver": {
                "urls": [f"https://localhost:{master.settings.port}"],
                "ca_file": str(agent.ca),
                "certificate_file": str(agent.certificate),
                "key_file": str(agent.key),
                "timeout": "60s",
            },
        }
        self.write(document)
        self.answers = Layout(base / "answers")
        self.answers.create()
        self.use("fx_test", NODES)
        self.clone = base / "clone"
        git(base, "clone", "-q", str(self.managed.bare.path), str(self.clone))
        self.run("config", "user.email", "a@example.org")
        self.run("config", "user.name", "A")
        self.push("production", dict(TREE), "olga", fresh=True)
        self.push("test", {}, "olga", fresh=True)
        self.push("project/red", {}, "anna", fresh=True)

    @property
    def settings(self) -> Settings:
        return config.load(self.configuration)

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(self.configuration.read_text(encoding="utf-8"))
        return document

    def write(self, document: Mapping[str, Any]) -> None:
        self.configuration.write_text(yaml.safe_dump(document), encoding="utf-8")

    def use(self, environment: str, nodes: Mapping[str, str], project: str = "red") -> None:
        """Let nodes (certname to role) use an environment, and no others anything."""
        for file in self.answers.nodes.iterdir():
            file.unlink()
        for name, role in nodes.items():
            trusted: dict[str, Any] = {"project": project, "region": None, "role": role, "prefixes": []}
            text = f'# {json.dumps(trusted)}\nenvironment: "{environment}"\nclasses: {{}}\n'
            (self.answers.nodes / f"{name}.yaml").write_text(text, encoding="utf-8")

    def follow(self) -> None:
        """Let the follower have been there at this moment."""
        now = int(time.time())
        self.answers.contact.write_text(Contact(now + 20, now + 20, 3600, "current").line(), encoding="utf-8")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return subprocess.run(
            ["git", "-C", str(self.clone), *words],
            env=environment | {"GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True,
            text=True,
            check=False,
        )

    def push(self, branch: str, files: Mapping[str, str | None], who: str, *, fresh: bool = False) -> tuple[bool, str]:
        """Push one commit more on `branch`; `fresh`: from production's. Return whether it was taken, and the output."""
        self.follow()
        start = "origin/production" if fresh else f"origin/{branch}"
        self.run("fetch", "-q", "origin")
        assert self.run("checkout", "-q", "--detach", start).returncode == 0
        for path, text in files.items():
            place = self.clone / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink() if text is None else place.write_text(text, encoding="utf-8")
        self.run("add", "-A")
        self.run("commit", "-q", "--allow-empty", "-m", f"for {branch}")
        os.environ["GL_USER"] = who
        try:
            done = self.run("push", "-f", "origin", f"HEAD:refs/heads/{branch}")
        finally:
            del os.environ["GL_USER"]
        lines = [line.removeprefix("remote: ").rstrip() for line in done.stderr.splitlines()]
        return done.returncode == 0, "\n".join(lines)
