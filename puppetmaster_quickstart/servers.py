"""The quickstart's servers: what each is given, one configuration for all of them, and waiting for what they do.

Owns the directory that it is given. Servers listen on the loopback and are
ended by their recorded pids. Not here: the story (story.py).
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from enc.directory.embedded import EmbeddedDirectory
from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.names import Certname
from puppetmaster_quickstart import compiled_classes
from puppetmaster_quickstart.auth_conf import AuthRule
from puppetmaster_quickstart.branches import Repository
from puppetmaster_quickstart.instances import Instances
from puppetmaster_quickstart.owned_process import OwnedProcess
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from puppetmaster_quickstart.storytelling import Speaker, until

SERVER = Certname("puppet.example.org")
SUFFIX = "dc=example,dc=org"
RULES = (
    AuthRule("flush", "/puppet-admin-api/v1/environment-cache", ("delete",), (SERVER,)),
    AuthRule("compile", r"^/puppet/v4/catalog/?$", ("post",), (SERVER,)),
    AuthRule("revoke", r"^/puppet-ca/v1/(certificate_status(es)?/|clean$)", ("get", "put"), (SERVER,)),
    AuthRule("delete requests", "/puppet-ca/v1/certificate_request/", ("delete",), (SERVER,)),
)
"""What whoever holds the server's own key may do at puppetserver, beyond the rules for agents."""


class Servers:
    """slapd, follower, puppetserver, repository and instances, everything below one directory."""

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
        # Compiles keep to one version, and code is read once.
        environments = {"versioned_environment_dirs": "true", "environment_timeout": "unlimited"}
        settings = MasterSettings(
            certname=SERVER,
            server=exec_terminus(self.scripts / "enc", trusted=self.scripts / "enc-trusted") | environments,
            rules=RULES,
            autosign=self.scripts / "enc-autosign",
            duplicates=True,
            environment=self.environment,
        )
        compiled = shutil.which("java") and compiled_classes.cached(cache)
        self.master = PrivateMaster(base / "puppetserver", settings, cache=cache if compiled else None)
        self.instances = Instances(base, self.master)
        self.operator = Speaker(environment={**os.environ, **self.environment})
        self.repository = Repository(base, self.master.environments, self.operator, self.scripts / "branch-manager")

    def stop(self) -> None:
        """End whatever runs."""
        self.instances.stop()
        self.repository.stop()
        self.master.stop()
        self.follower.stop()
        self.directory.stop()

    def status(self) -> list[tuple[str, str]]:
        """Return what runs, as (name, state)."""
        slapd = self.directory.status()
        servers = (self.follower, self.master.process, self.repository.hooks, self.repository.service)
        processes = (*servers, *self.instances.processes())
        return [
            ("slapd", f"runs, pid {slapd.pid}, {' '.join(slapd.uris)}" if slapd.pid else "does not run"),
            *((process.name, f"runs, pid {pid}" if (pid := process.pid) else "does not run") for process in processes),
        ]

    def configure(self, *, puppetserver: bool = True) -> None:
        """Write the configuration for all; with `puppetserver`, also where it is, for deploys and for the CA in it."""
        settings: dict[str, Any] = {
            "directory": {
                "data_directory": str(self.directory.home.data_dir),
                "suffix": SUFFIX,
                "uris": [self.directory.home.ldapi_uri],
                "bind_dn": self.directory.home.reader_dn,
                "bind_password_file": str(self.directory.home.reader_password_file),
            },
            "answers": {"directory": str(self.answers)},
            "audit": {"file": str(self.base / "audit.jsonl")},
            "branches": self.repository.settings(),
            "instances": {
                "token_key_file": str(self.base / "token.key"),
                "journal": str(self.base / "instances/journal"),
                "runs": str(self.base / "instances/runs"),
                "vardir": str(self.master.base / "server/var"),
                "reports": str(self.master.base / "server/var/reports"),
                "agent": self.instances.settings(),
            },
            # Long, so that the story has the whole effect on a busy machine, too.
            "pushes": {"effect_seconds": "60s"},
            "signing": {
                "bind_dn": self.directory.home.signer_dn,
                "bind_password_file": str(self.directory.home.signer_password_file),
                "journal": str(self.base / "signing/journal.jsonl"),
                "timeout": "10s",
            },
        }
        if puppetserver:
            url = f"https://localhost:{self.master.settings.port}"
            settings["branches"]["puppetserver"] = {"urls": [url], **self.own_certificate()}
            settings["authorities"] = {"servers": [{"name": "ca", "url": url, **self.own_certificate()}]}
        # Whole or not at all: servers that run read it again when it changes.
        text = yaml.safe_dump(settings, sort_keys=False)
        whole_file.write(self.config, text, mode=0o644, survives=Strength.KILL)

    def own_certificate(self) -> dict[str, str]:
        """Return settings: puppetserver's certificate, its key, and who signed it."""
        ssl = self.master.base / "puppet/ssl"
        return {
            "ca_file": str(ssl / "certs/ca.pem"),
            "certificate_file": str(ssl / f"certs/{SERVER}.pem"),
            "key_file": str(ssl / f"private_keys/{SERVER}.pem"),
        }

    def hiera(self) -> str:
        """Return the hiera.yaml of the repository's first commit."""
        levels = ("nodes/%{trusted.certname}.yaml", "projects/%{trusted.external.project}.yaml")
        hierarchy = [{"name": path.partition("/")[0], "path": path} for path in levels]
        defaults = {"datadir": str(self.answers / "hiera"), "data_hash": "yaml_data"}
        return yaml.safe_dump({"version": 5, "defaults": defaults, "hierarchy": hierarchy}, sort_keys=False)

    def answer(self, certname: Certname) -> str:
        """Return what enc prints of a node, empty if it has no answer yet."""
        try:
            return (self.answers / f"nodes/{certname}.yaml").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def wait_for(self, file: Path) -> None:
        """Wait until the follower has written a file."""
        self._until(file.exists, f"{file.name} was not written")

    def wait_for_change(self, certname: Certname, before: str) -> None:
        """Wait until the follower has written another answer than `before`."""
        self._until(lambda: self.answer(certname) != before, f"the answer of {certname} did not change")

    def _until(self, condition: Callable[[], bool], problem: str) -> None:
        log = self.base / "follower.log"
        until(condition, problem, alive=lambda: self.follower.pid is not None, log=log)
