"""The quickstart's lab: an instance that becomes its own master and goes back (whole_instance.py).

What its image would bring beside the toolkit is written here: whose accounts it
uses for LDAP and git, and how large its own puppetserver is. Both are reached
at the master's address, as the other instances reach puppetserver.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from enc.directory.embedded import EmbeddedDirectory
from enc.terms.names import Certname
from enc.terms.program_words import why
from puppetmaster_quickstart.branches import Repository
from puppetmaster_quickstart.instances import Instances
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.puppetserver_files import QUICK_JVM
from puppetmaster_quickstart.storytelling import Speaker, tell

_CONFIGURATION = "/etc/puppetmaster/config.yaml"
_SECRET = "/etc/puppetmaster/ldap.secret"  # noqa: S105 - where it is
_AUTHORITY = "/etc/puppetmaster/ldap-ca.pem"
_CREDENTIALS = "/etc/puppetmaster/git-credentials"
_ANSWERS = "/var/lib/puppetmaster/answers"
_LDAPS, _HTTP = 636, 80
_HELLO = "modules/hello/manifests/init.pp"
_PATIENCE = 600.0
SMALL_CLASSES = f"""\
class {{ 'puppetmaster::toolkit': directory => regsubst($commands, '/[^/]+\\z', '') }}
class {{ 'puppetmaster': heap => '512m', java_args => {list(QUICK_JVM)}, * => $master }}
class {{ 'puppetmaster::enc': * => $classifier }}
"""
"""The classes that would be applied in any case, for a puppetserver that starts quickly and never gets much to do."""
_OWN_CLASSES = SMALL_CLASSES.replace("heap =>", "confined => false, heap =>")
"""As confined as the module has it, its puppetserver would see nothing of a home or of /tmp, and hiera's data are below
this checkout here; a site has them in /var/lib/puppetmaster, on every master."""
_GIT = f"""\
[user]
	name = alice
	email = alice@example.org
[credential]
	helper = store --file {_CREDENTIALS}
[http]
	proxy =
"""


@dataclass(frozen=True)
class Site:
    """What an instance must know of its site."""

    server: Certname
    """Where it finds puppetserver, LDAP and git."""
    authority: Path
    """Certificate of who signs all of them."""
    answers: Path
    """Where hiera.yaml says that the answers are."""


class Lab:
    """One instance: `switch_on` and `furnish` it, let it build itself, then `enable`, `edit`, `disable`."""

    def __init__(self, certname: Certname, instances: Instances) -> None:
        self.certname = certname
        self._instances = instances

    def switch_on(self) -> bool:
        """Start it, before it has user data; say why in one line if it cannot be had."""
        try:
            self._machine = self._instances.whole(self.certname.short, self.certname, {_LDAPS: "ldap", _HTTP: "git"})
        except ProcessFailed as error:
            # What the system said is more to the point than that the instance does not start.
            reason = why("\n".join(getattr(error, "__notes__", [])), error.message)
            print(f"  Left out, because this machine cannot run a whole instance: {reason}\n", flush=True)
            return False
        self._speaker = Speaker(self.certname.short, None, self._machine.environment, self._machine.entering())
        return True

    def furnish(self, directory: EmbeddedDirectory, repository: Repository, alice: Speaker, site: Site) -> None:
        """Give it the files of its image, and ways to LDAP and git."""
        assert alice.directory is not None
        machine, password = self._machine, (alice.directory / "password").read_text(encoding="utf-8")
        self._instances.offer("ldap", int(directory.home.ldaps_uri.rpartition(":")[2]))
        self._instances.offer("git", repository.port)
        url = f"http://alice@{site.server}/{repository.path.name}"
        settings = {
            "directory": {
                "uris": [f"ldaps://{site.server}"],
                "bind_dn": f"uid=alice,ou=people,{directory.home.suffix}",
                "bind_password_file": _SECRET,
                "tls": {"ca_file": _AUTHORITY},
            },
            "self_master": {
                "upstream": url,
                "packages": ["puppetserver", "git"],
                "code": _OWN_CLASSES,
                "memory": 700_000_000,
                "disk": 200_000_000,
            },
        }
        machine.put(_CONFIGURATION, yaml.safe_dump(settings, sort_keys=False))
        machine.put(_AUTHORITY, site.authority.read_text(encoding="ascii"))
        machine.put(_SECRET, password, mode=0o640, group="puppet")
        machine.put(_CREDENTIALS, f"{url.replace('@', f':{password}@')}\n", mode=0o600)
        machine.put("/etc/gitconfig", _GIT)
        # hiera.yaml's path leads to its own answers there; a site has the same path on all masters.
        machine.link(str(site.answers), _ANSWERS)

    def enable(self) -> None:
        """Let it become its own master."""
        self._timed("enable")

    def edit(self, before: str, after: str) -> None:
        """Change the class hello in its working copy, and commit that."""
        self._speaker.types("sed", "-i", f"s/{before}/{after}/", f"/srv/puppet/{_HELLO}")
        self._speaker.types("git", "-C", "/srv/puppet", "commit", "--quiet", "-am", "Tried in the lab")
        self._speaker.types("puppetmaster-self", "status")

    def disable(self) -> None:
        """Let it go back."""
        self._timed("disable")
        self._speaker.types("puppetmaster-self", "status")

    def _timed(self, verb: str) -> None:
        began = time.monotonic()
        self._speaker.types("puppetmaster-self", verb, patience=_PATIENCE)
        tell(f"That took {time.monotonic() - began:.0f} s.")
