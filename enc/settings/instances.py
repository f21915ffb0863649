"""The sections of an instance's life: its agent, the authorities, signing, the cloud. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from enc.settings.values import Duration, Section, listening_faults, pair_faults
from enc.terms.names import ProjectName

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_APT = r"(?:https?|file):/[^\s\[\]|]* (?:\./|[\w.%{}/-]+(?: [\w.-]+)+)"
_SHA256 = r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}"


@dataclass(frozen=True)
class AgentSettings(Section):
    """What user data tells a new instance: which agent, from where, and to which master it goes."""

    server: str | None = None
    """The host name of the master, as in its certificate. None: no user data can be made."""
    port: int = 8140
    """The master's port."""
    ca_server: str | None = None
    """The host name of the CA, if it is not the master."""
    ca_port: int | None = None
    """The CA's port. None: the master's."""
    ca_file: Path = Path("/etc/puppetmaster/ca.pem")
    """The CA's certificates (PEM), which instances trust from their first start; a copy of the master's localcacert."""
    ca_fingerprints: tuple[str, ...] = ()
    """SHA-256 fingerprints that the certificates in ca_file must have, if others can change that file. None: not
    checked."""
    packaging: Literal["distribution", "puppet", "openvox"] = "distribution"
    """Whose agent: Debian's puppet-agent or the puppet of Fedora and EPEL, puppet-agent of Puppet, openvox-agent."""
    packages: tuple[str, ...] = ()
    """The packages to install. None: the agent of the packaging."""
    apt_repository: str | None = None
    """`URL SUITE COMPONENT…` of the repository for apt; SUITE may contain %{codename}, %{id} and %{version} of
    /etc/os-release. null: the image knows where."""
    yum_repository: str | None = None
    """The URL of the repository for dnf ($releasever and $basearch are dnf's). null: the image knows where."""
    repository_key_file: Path | None = None
    """The OpenPGP key (armoured) that signs the repository; required if a repository is set."""
    renew_before: Duration = Duration(2_592_000)
    """How long before its certificate expires an instance asks for a new one, once a day; never before half of its
    lifetime. 0: it does not ask. signing.renew_after must allow it (docs/signing.md)."""
    service: bool = True
    """Start the agent's service afterwards, and at every boot."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what would not stay one word in the files of other programs on the instance."""
        rules = (
            ("server", (self.server or "x",), _HOST, "a host name"),
            ("ca_server", (self.ca_server or "x",), _HOST, "a host name"),
            ("packages", self.packages, r"[A-Za-z0-9][A-Za-z0-9.+:=~_-]*", "a package's name"),
            ("apt_repository", (self.apt_repository or "file:/x ./",), _APT, "URL SUITE COMPONENT… (or URL ./)"),
            ("yum_repository", (self.yum_repository or "file:/x",), r"(?:https?|file):/[!-~]*", "a URL"),
            ("ca_fingerprints", self.ca_fingerprints, _SHA256, "a SHA-256 fingerprint (64 hex digits)"),
        )
        for key, values, rule, wanted in rules:
            yield from ((key, f"{v!r} is not {wanted}") for v in values if not re.fullmatch(rule, v, re.ASCII))
        for key, port in (("port", self.port), ("ca_port", self.ca_port or 1)):
            if port > 65535:
                yield key, f"{port} is not a port"
        if (self.apt_repository or self.yum_repository) and self.repository_key_file is None:
            yield "", "a repository needs its repository_key_file"


@dataclass(frozen=True)
class InstanceSettings(Section):
    """Instances: how they are named, and how they get their certificate."""

    name: str = "%{name}.%{project}.example.org"
    """The certname of an instance that is created with a short name."""
    reserved: tuple[str, ...] = ()
    """Certnames (or `*.domain`) that no instance may have. Names of servers elsewhere in the configuration are reserved
    anyway: the hosts in `authorities`, `instances.agent` and `branches.puppetserver`, the certificates used there, and
    `authorities.keep`."""
    reserved_project: str | None = None
    """The only project whose nodes may have reserved names; such a node in another project gets no classification.
    None: not checked, so anybody who may write LDAP without our commands can decide what such a server installs."""
    token_life: Duration = Duration(86400)
    """How long after its creation (or rebuild) an instance may send its certificate request."""
    token_key_file: Path = Path("/etc/puppetmaster/token.key")
    """Holds the key that tokens are made with (64 hex digits); made at first use, must not be readable by others."""
    journal: Path = Path("/var/lib/puppetmaster/instances/journal")
    """Where operations are recorded before they are carried out, so that `instance resume` can finish them."""
    runs: Path = Path("/var/lib/puppetmaster/instances/runs")
    """Where `instance collect` keeps the last run of each instance that reported to this master."""
    vardir: Path | None = None
    """puppetserver's vardir, with facts, cached nodes and puppetmaster-reports. None: as its configuration says, or
    puppet."""
    reports: Path | None = None
    """puppetserver's reportdir. Its reports are read only if the processor `puppetmaster` is not used. None: below
    vardir."""
    silent_after: Duration = Duration(10_800)
    """How long an instance may send no report before it is called silent."""
    agent: AgentSettings = field(default_factory=AgentSettings)
    """What new instances install, and where they go."""


@dataclass(frozen=True)
class AuthoritySettings(Section):
    """One puppetserver that is a certificate authority."""

    name: str
    """Its name in messages."""
    url: str
    """Its address: https://HOST:8140."""
    ca_file: Path | None = None
    """Certificates of the authority that signed its certificate (PEM). None: the system's."""
    certificate_file: Path | None = None
    """Our certificate (PEM), which its auth.conf allows to revoke (docs/instances.md)."""
    key_file: Path | None = None
    """The key of our certificate (PEM)."""
    projects: tuple[str, ...] = ()
    """The projects whose instances it signs for. None: all."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield an address that no authority can have, and names that are none."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", self.name, re.ASCII):
            yield "name", f"{self.name!r} is not a word of letters, digits, '.', '_' and '-'"
        if not re.fullmatch(r"https://[^/@?#\s]+", self.url):
            yield "url", f"{self.url!r} is not https://HOST:PORT"
        yield from pair_faults(self.certificate_file, self.key_file)
        for project in self.projects:
            if not ProjectName.accepts(project):
                yield "projects", f"{project!r} is not {ProjectName.rule}"


@dataclass(frozen=True)
class AuthoritiesSettings(Section):
    """The certificate authorities, and the revocation list that this machine gets from them."""

    servers: tuple[AuthoritySettings, ...] = ()
    """The central authority and those of project masters."""
    timeout: Duration = Duration(10)
    """How long connecting to an authority may take, and each of its answers."""
    keep: tuple[str, ...] = ()
    """Certnames without a node in LDAP whose certificates `instance reconcile` never revokes."""
    crl_files: tuple[Path, ...] = ()
    """Files to which `certificate crl` writes the first server's revocation list: the one that this master's
    puppet.conf names."""
    crl_certificate_file: Path | None = None
    """The certificate with which `certificate crl` logs in to the authority. None: the server's certificate_file, which
    puppetserver's account must not be able to read if the authority is separate."""
    crl_key_file: Path | None = None
    """Its key."""
    warn_before: Duration = Duration(2_592_000)
    """How long before a certificate or revocation list expires `doctor` warns."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a name that two authorities have."""
        names = [server.name for server in self.servers]
        for index, name in enumerate(names):
            if names.count(name) > 1:
                yield f"servers[{index}].name", f"{name!r} is listed twice"
        if (self.crl_certificate_file is None) != (self.crl_key_file is None):
            yield "crl_key_file", "a certificate and its key belong together: set crl_certificate_file and crl_key_file"

    def for_crl(self, server: AuthoritySettings) -> AuthoritySettings:
        """Return `server` as it is asked for its revocation list."""
        if self.crl_certificate_file is None or self.crl_key_file is None:
            return server
        return replace(server, certificate_file=self.crl_certificate_file, key_file=self.crl_key_file)


@dataclass(frozen=True)
class SigningSettings(Section):
    """The policy of signing (`enc-autosign`): who signs, and where its verdicts are kept."""

    bind_dn: str | None = None
    """The account that reads instances and records the use of a token. None: the writing account
    (directory.write_bind_dn)."""
    bind_password_file: Path | None = None
    """Holds the password of bind_dn; must not be readable by others."""
    timeout: Duration = Duration(0.5)
    """How long LDAP may take for one request, all servers together; after that, the request is refused."""
    journal: Path = Path("/var/lib/puppetmaster/signing/journal.jsonl")
    """Every verdict, one JSON document a line. puppetserver's account writes there."""
    judges: int = 2
    """How many requests are judged at once. The others wait three seconds, then they are refused, and the agents ask
    again. The last judge is kept for names of instances that are waiting."""
    renew_after: Duration | None = Duration(153_792_000)
    """How old its certificate must be before an instance may get another for the same key; the default is 45 days less
    than Puppet's five years. null: never. The CA must allow it, too (docs/signing.md)."""
    project: ProjectName | None = None
    """Set on a project's own master: its authority signs this project's instances without writing to LDAP, for the key
    that the site's authority has signed (docs/signing.md). None: this is the site's authority, and requires tokens."""
    issued: Path | None = None
    """On a project's authority: the directory of its certificates, `signed` in puppetserver's cadir. An instance with a
    certificate there gets no second one. None: not checked."""
    published_keys: Path | None = None
    """The directory that names keys whose private half stands in the repository; `branch-manager` fills it. A request
    for such a key is refused. None: not checked (docs/opening.md)."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a number of judges that this is no bound with."""
        if not 1 <= self.judges <= 64:
            yield "judges", f"{self.judges} is not between 1 and 64"


@dataclass(frozen=True)
class OpenStackSettings(Section):
    """Instances that OpenStack starts (docs/openstack.md)."""

    cloud: str | None = None
    """The cloud's name in clouds_file. None: there is no OpenStack."""
    clouds_file: Path = Path("/etc/puppetmaster/clouds.yaml")
    """OpenStack's own file with addresses and our credentials; must not be readable by others."""
    projects: tuple[str, ...] = ()
    """`ID-OR-NAME = PROJECT`: the LDAP project of each OpenStack project. An OpenStack project that no line names is
    refused. None: the project has the same name as in OpenStack."""
    domain: str = "default"
    """The id of the Keystone domain in which names of projects and users count. Projects and users of other domains
    must be named by their ids."""
    caller_role: str = "service"
    """The role that Nova's user must have in Keystone to get an answer."""
    caller_users: tuple[str, ...] = ()
    """Names or ids of the users that get an answer. None: all with the role."""
    region: str | None = None
    """Region of the instances that are created here."""
    listen: str = "127.0.0.1:8419"
    """ADDRESS:PORT of the service that Nova asks. Beyond this machine it needs a certificate."""
    certificate_file: Path | None = None
    """Our certificate (PEM). None: plain HTTP, on this machine only, for a proxy that speaks TLS."""
    key_file: Path | None = None
    """The key of our certificate (PEM)."""
    timeout: Duration = Duration(10)
    """How long Keystone and Nova may take to answer."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with where it listens, and lines that name no project."""
        yield from listening_faults(self.listen, self.certificate_file, self.key_file)
        for line in self.projects:
            cloud, _, project = line.rpartition("=")
            if not cloud.strip() or not ProjectName.accepts(project.strip()):
                yield "projects", f"{line!r} is not ID-OR-NAME = PROJECT"
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", self.domain, re.ASCII):
            yield "domain", f"{self.domain!r} is not a Keystone id (openstack domain list)"
