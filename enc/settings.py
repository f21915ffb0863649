"""What can be set: a frozen dataclass for each section of the configuration, with its defaults. Pure.

Each field's docstring is its meaning in docs/configuration.md and in `enc-admin
config example` (config_reference.py reads it here). Reading a file, and refusing
what is wrong in it, is config.py's.

Durations are written as `90s`, `15m`, `24h`, `7d` or plain seconds, and are
held in seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from enc.names import BranchName, EnvironmentName, ProjectName

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Duration(float):
    """A length of time in seconds."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Duration:
        """Read `3s`, `24h` or a number of seconds; raise ValueError with the rule."""
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return cls(value)
        if isinstance(value, str):
            match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)", value)
            if match:
                return cls(float(match[1]) * _UNITS[match[2]])
        raise ValueError("a duration such as 500ms, 3s, 15m, 24h or 7d")


@dataclass(frozen=True)
class TlsSettings:
    """How the connection to LDAP is protected. Certificates are always verified."""

    start: bool = False
    """Use StartTLS on ldap:// addresses. ldaps:// addresses need no setting."""
    ca_file: Path | None = None
    """Certificates of the authorities that are trusted (PEM); none: the system's."""
    certificate_file: Path | None = None
    """Our own certificate (PEM), where the server asks for one."""
    key_file: Path | None = None
    """The key of our own certificate (PEM)."""


@dataclass(frozen=True)
class DirectorySettings:
    """Where LDAP is and who we are there."""

    uris: tuple[str, ...] = ("ldapi:///",)
    """Servers, tried in order: ldap://, ldaps://, ldapi:// with the socket's path percent-encoded."""
    bind_dn: str | None = None
    """Who reads. None: EXTERNAL over ldapi, anonymous elsewhere."""
    bind_password_file: Path | None = None
    """Holds the password of bind_dn; must not be readable by others."""
    write_bind_dn: str | None = None
    """Who writes for `enc-admin`, if the reading account may not. None: EXTERNAL over ldapi, else bind_dn."""
    write_bind_password_file: Path | None = None
    """Holds the password of write_bind_dn; must not be readable by others."""
    tls: TlsSettings = field(default_factory=TlsSettings)
    """How connections are protected."""
    timeout: Duration = Duration(3)
    """How long connecting, and each answer, may take."""
    data_directory: Path = Path("/var/lib/puppetmaster/directory")
    """Where `enc-admin directory start` keeps the embedded slapd."""
    suffix: str = "dc=example,dc=org"
    """The top of the tree; the bases below default to places in it."""


@dataclass(frozen=True)
class NodeSettings:
    """How a certname becomes an LDAP entry, and what of the entry counts."""

    base: str | None = None
    """Where nodes are. None: ou=hosts below the suffix."""
    filter: str = "(&(objectClass=puppetClient)(cn=%s))"
    """Finds the entry of a name; every %s is the escaped name."""
    class_attributes: tuple[str, ...] = ("puppetClass",)
    """Attributes whose values are class names."""
    variable_attributes: tuple[str, ...] = ("puppetVar",)
    """Attributes whose values are NAME=VALUE."""
    parent_attribute: str = "parentNode"
    """Attribute that names the node from which this one inherits."""
    environment_attribute: str = "environment"
    """Attribute that holds the environment."""
    attributes: Literal["all"] | tuple[str, ...] = "all"
    """Which attributes become variables (semantics terminus)."""
    semantics: Literal["terminus", "extended"] = "extended"
    """terminus: exactly the LDAP node terminus; extended: with site, projects, groups and prefixes."""
    strict_compatibility: bool = False
    """With semantics terminus: also show what leaked there (puppetclass, puppetvar, parentnode, objectclass
    and dn as variables) and leave class names as they stand."""
    default_environment: EnvironmentName = EnvironmentName("production")
    """Environment where nothing else names one."""
    project: str = "container"
    """Where a node's project stands: `container` (the ou above it), `attribute NAME`, or `variable NAME`."""


@dataclass(frozen=True)
class ProjectSettings:
    """Where projects are; used by semantics extended."""

    base: str | None = None
    """Where projects are. None: ou=projects below the suffix."""
    filter: str = "(objectClass=groupOfNames)"
    """Which entries directly below the base are projects."""
    admin_role: str = "projectadmin"
    """The cn of the organizationalRole below a project whose occupants administer it."""
    environment: str | None = None
    """Environment of a project whose entry names none; every %s is the project, with '-' as '_'.
    None: the site's environment."""


@dataclass(frozen=True)
class GroupSettings:
    """Groups of nodes by LDAP filter (groupOfURLs); used by semantics extended."""

    base: str | None = None
    """Where groups are. None: ou=groups below the suffix."""
    filter: str = "(objectClass=groupOfURLs)"
    """Which entries below the base are groups."""


@dataclass(frozen=True)
class SiteSettings:
    """The entry with what every node gets; used by semantics extended."""

    dn: str | None = None
    """The entry. None: cn=site below the suffix."""


@dataclass(frozen=True)
class PeopleSettings:
    """Who may edit."""

    base: str | None = None
    """Where people are. None: ou=people below the suffix."""
    filter: str = "(&(objectClass=inetOrgPerson)(uid=%s))"
    """Finds the entry of a person; every %s is the escaped user name."""
    operators: str | None = None
    """The group of operators. None: cn=operators,ou=groups below the suffix."""


@dataclass(frozen=True)
class AnswerSettings:
    """The finished answers on disk."""

    directory: Path = Path("/var/lib/puppetmaster/answers")
    """Where they are; one follower writes there."""
    max_age: Duration = Duration(86400)
    """How long the copy may have been without contact to LDAP before `enc` refuses."""
    variable: str | None = "puppetmaster_answer"
    """Top-scope variable with source, age (seconds) and version of the answer. null: none."""
    on_bad_entry: Literal["last-good", "refuse"] = "last-good"
    """What a node gets whose entry cannot be classified any more."""


@dataclass(frozen=True)
class FollowSettings:
    """How the follower keeps up with LDAP."""

    poll_interval: Duration = Duration(30)
    """Time between two readings where the server does not offer syncrepl."""
    beat: Duration = Duration(2)
    """How often the follower says that it lives, and tries to reconnect."""
    metrics_file: Path | None = None
    """Prometheus text file, for the node exporter's textfile collector."""
    metrics_listen: str | None = None
    """ADDRESS:PORT of an HTTP endpoint /metrics, for example 127.0.0.1:9164."""


@dataclass(frozen=True)
class AuditSettings:
    """The append-only trail of edits."""

    file: Path = Path("/var/lib/puppetmaster/audit/trail.jsonl")
    """The trail itself, one JSON document a line."""


@dataclass(frozen=True)
class LogSettings:
    """What is written to stderr while working."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is worth a line."""
    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON document a line."""


@dataclass(frozen=True)
class PuppetserverSettings:
    """The puppetservers that serve this machine's environments."""

    urls: tuple[str, ...] = ()
    """Asked after each deploy to forget the environment: https://HOST:8140. None: nobody is asked."""
    ca_file: Path | None = None
    """Certificates of the authority that signed theirs (PEM); none: the system's."""
    certificate_file: Path | None = None
    """Our own certificate (PEM), which their auth.conf allows to flush."""
    key_file: Path | None = None
    """The key of our own certificate (PEM)."""
    timeout: Duration = Duration(10)
    """How long connecting, and the answer, may take."""


@dataclass(frozen=True)
class TransportSettings:
    """The repository over HTTPS (`branch-manager serve`) and ssh: who may read, and how people sign in."""

    read: Literal["members", "authenticated", "everyone"] = "authenticated"
    """Who may clone and fetch: `members` of any project (and operators), every person in LDAP, or everyone."""
    listen: str = "127.0.0.1:8418"
    """ADDRESS:PORT of the HTTP service. Beyond this machine it needs a certificate."""
    certificate_file: Path | None = None
    """Our certificate (PEM). None: plain HTTP, on this machine only, for a proxy that speaks TLS."""
    key_file: Path | None = None
    """The key of our certificate (PEM)."""
    threads: int = 64
    """How many requests are served at once."""
    silence: Duration = Duration(60)
    """How long a client may send or take nothing before its connection is closed."""
    upload_bytes: int = 536_870_912
    """The largest request, after decompression."""
    tokens: Path = Path("/var/lib/puppetmaster/tokens")
    """Where tokens are kept (only their digests)."""
    reserved_project: str | None = None
    """The project whose nodes may have reserved names: with one, a node of another project gets no classification.
    None: not looked at, so that who writes LDAP without our commands may say what such a server installs."""
    token_life: Duration = Duration(31_536_000)
    """The longest that a token may be valid."""
    passwords: bool = True
    """Take LDAP passwords over HTTPS too, not only tokens."""


@dataclass(frozen=True)
class MirrorSettings:
    """A repository that lives at a forge: it is fetched from there and deployed here."""

    forge: Literal["github", "gitea", "gitlab", "gerrit"] | None = None
    """Whose webhooks are taken (`gitea`: Forgejo, too). null: the repository lives here."""
    url: str | None = None
    """Where git fetches: https://HOST/PATH or ssh://USER@HOST/PATH."""
    protocols: tuple[str, ...] = ("https", "ssh")
    """git's protocols that may be used."""
    credentials_file: Path | None = None
    """For https: `https://USER:TOKEN@HOST` in a line (git-credential-store); must not be readable by others."""
    ssh_key_file: Path | None = None
    """For ssh: our private key. The host must be known (ssh_known_hosts)."""
    secret_file: Path | None = None
    """Holds the webhook's secret; for gerrit the last part of the webhook's address. None: all are refused."""
    poll: Duration = Duration(300)
    """How often the forge is asked without a webhook; one may get lost."""
    timeout: Duration = Duration(120)
    """How long one run of git may take."""
    api: str | None = None
    """Where commit statuses are reported: https://api.github.com, https://HOST/api/v1, https://HOST/api/v4."""
    project: str | None = None
    """The repository in the forge's API: OWNER/NAME."""
    api_token_file: Path | None = None
    """Holds the token for the API; must not be readable by others."""


@dataclass(frozen=True)
class UpkeepSettings:
    """What `branch-manager hooks` does by itself, and how often; 0: never."""

    projects: Duration = Duration(3)
    """LDAP is asked for projects without a branch; each gets one, from test. Not with a mirror."""
    flushes: Duration = Duration(30)
    """puppetservers that did not forget an old version are asked again."""
    reconcile: Duration = Duration(3600)
    """Environments that do not show their branch are deployed."""
    expire: Duration = Duration(3600)
    """Short-lived branches that ended are archived. Not with a mirror."""
    collect: Duration = Duration(3600)
    """Versions that nobody needs any more are removed."""


@dataclass(frozen=True)
class PuppetfileSettings:
    """Modules that a tree names in a Puppetfile, fetched by r10k or g10k (docs/puppetfile.md)."""

    program: Path | None = None
    """r10k or g10k, by its absolute path. null: Puppetfiles are not followed, and pushers are told so."""
    sources: tuple[str, ...] = ()
    """What the address of a module's git repository must begin with, up to a `/` or `:`:
    https://github.com/puppetlabs/, git@git.example.org:. None: no module comes from git."""
    forge: str | None = "https://forgeapi.puppet.com"
    """The Forge's API. null: no module comes from a Forge."""
    credentials_file: Path | None = None
    """For https: `https://USER:TOKEN@HOST` in a line (git-credential-store); must not be readable by others."""
    ssh_key_file: Path | None = None
    """For ssh: our private key. The host must be known (ssh_known_hosts)."""
    timeout: Duration = Duration(300)
    """How long one run of the program may take. A push waits for it."""
    reuse: Duration = Duration(3600)
    """How long modules are shared by new versions if the Puppetfile names a branch or :latest, which may
    move on; longer, they are installed anew. Those with exact versions are shared for ever."""
    bytes: int = 1_073_741_824
    """The most that the modules of one Puppetfile may hold together."""


@dataclass(frozen=True)
class BranchSettings:
    """The branch manager: from branches of the repository to environments."""

    repository: Path = Path("/var/lib/puppetmaster/repository.git")
    """The bare repository that is pushed to."""
    store: Path = Path("/var/lib/puppetmaster/store")
    """Where versions of environments are kept."""
    environments: Path = Path("/etc/puppet/code/environments")
    """puppetserver's environmentpath; environments are links in there."""
    rules: tuple[str, ...] = (
        "production = production",
        "test = test",
        "project/<name> = project_<name>",
        "topic/<name>/<topic> = project_<name>__<topic>",
    )
    """BRANCH = ENVIRONMENT, the first that fits; <name> is a project, <topic> one more part of the branch.
    A branch beside `project/red` cannot be called `project/red/…`: git keeps both under one path."""
    split: tuple[str, ...] = ("modules", "site", "site-modules")
    """Directories whose sub-directories are shared one by one between versions; others are shared whole."""
    types_program: Path | None = None
    """puppet, to run `puppet generate types` in a new version if its types changed. None: types are shared."""
    puppetfile: PuppetfileSettings = field(default_factory=PuppetfileSettings)
    """Modules from a Puppetfile."""
    retain: Duration = Duration(3600)
    """How long a version stays after it was live: at least as long as a compile can take."""
    topics_unused: Duration = Duration(2_592_000)
    """How long a short-lived branch (one with a <topic>) stays after its last push, if no node uses it."""
    archive_kept: Duration = Duration(7_776_000)
    """How long a branch that ended or was deleted, and what a forced push threw away, can be restored."""
    puppetserver: PuppetserverSettings = field(default_factory=PuppetserverSettings)
    """Who is told about a deploy."""
    upkeep: UpkeepSettings = field(default_factory=UpkeepSettings)
    """What happens without being asked for."""
    transport: TransportSettings = field(default_factory=TransportSettings)
    """How the repository is reached."""
    mirror: MirrorSettings = field(default_factory=MirrorSettings)
    """Where the repository lives, if not here."""


@dataclass(frozen=True)
class PushSettings:
    """Pushes to the managed repository: who pushes, and what a tree may hold."""

    identity: Literal["transport", "gitolite", "gitea", "gitlab", "gerrit", "system"] = "transport"
    """Who says who is pushing: `transport` our own (signed), `gitolite` GL_USER, `gitea` (and Forgejo)
    GITEA_PUSHER_NAME, `gitlab` GL_USERNAME, `gerrit` the arguments of its hooks, `system` the user of the process."""
    roles_kept: Duration = Duration(10)
    """How long the roles that LDAP gave for a person are used again without asking."""
    roles_kept_offline: Duration = Duration(900)
    """How old they may be while LDAP cannot be reached; after that, pushes are refused."""
    submodules: bool = False
    """Let trees hold submodules and .gitmodules. A submodule is not fetched: it becomes an empty directory."""
    file_bytes: int = 10_485_760
    """The largest file."""
    push_bytes: int = 268_435_456
    """The most that all new files of one push may hold together."""
    files: int = 100_000
    """The most files and directories that one push may bring or change."""
    directory_entries: int = 20_000
    """The most entries of one directory."""


@dataclass(frozen=True)
class AgentSettings:
    """What user data tells a new instance: which agent, from where, and to which master it goes."""

    server: str | None = None
    """The host name of the master, as in its certificate. None: no user data can be made."""
    port: int = 8140
    """The master's port."""
    ca_server: str | None = None
    """The host name of the CA, where it is not the master."""
    ca_file: Path = Path("/etc/puppetmaster/ca.pem")
    """The CA's certificates (PEM), which the instance trusts from the beginning: the master's localcacert."""
    ca_fingerprints: tuple[str, ...] = ()
    """SHA-256 fingerprints that certificates in ca_file must have, for a file that others can change.
    None: not looked at."""
    packaging: Literal["distribution", "puppet", "openvox"] = "distribution"
    """Whose agent: Debian's puppet-agent or the puppet of Fedora and EPEL, puppet-agent of Puppet, openvox-agent."""
    packages: tuple[str, ...] = ()
    """The packages to install. None: the agent of the packaging."""
    apt_repository: str | None = None
    """`URL SUITE COMPONENT…` where apt finds it; SUITE may hold %{codename}, %{id} and %{version} of /etc/os-release.
    null: the image knows where."""
    yum_repository: str | None = None
    """The URL where dnf finds it ($releasever and $basearch are dnf's). null: the image knows where."""
    repository_key_file: Path | None = None
    """The OpenPGP key (armoured) that signs the repository; needed with one."""
    install_time: Duration = Duration(900)
    """How long one attempt of the package manager may take."""
    signing_time: Duration = Duration(900)
    """How long the instance waits for its certificate."""
    run_time: Duration = Duration(3600)
    """How long one attempt of the first run may take."""
    runs: int = 3
    """How often the first run is attempted before the instance says that it failed."""
    renew_before: Duration = Duration(2_592_000)
    """So long before its certificate ends, or after half of its life, the instance asks for another, once a day.
    0: it does not. signing.renew_after must allow it (docs/signing.md)."""
    service: bool = True
    """Start the agent's service afterwards, and at every boot."""
    longest: int = 16_384
    """Bytes of user data that the cloud takes."""


@dataclass(frozen=True)
class InstanceSettings:
    """Instances: how they are named, and how they come to their certificate."""

    name: str = "%{name}.%{project}.example.org"
    """The certname of an instance that is given by its short name."""
    reserved: tuple[str, ...] = ()
    """Certnames (or `*.domain`) that no instance gets, besides those that the configuration names anyway: the hosts
    in `authorities`, `instances.agent` and `branches.puppetserver`, whose certificates we use, `authorities.keep`."""
    reserved_project: str | None = None
    """The project whose nodes may have reserved names: with one, a node of another project gets no classification.
    None: not looked at, so that who writes LDAP without our commands may say what such a server installs."""
    token_life: Duration = Duration(86400)
    """How long an instance may take from its creation (or rebuild) to its certificate request."""
    token_key_file: Path = Path("/etc/puppetmaster/token.key")
    """Holds the key that tokens are made with (64 hex digits); made at first use, must not be readable by others."""
    journal: Path = Path("/var/lib/puppetmaster/instances/journal")
    """Where operations are noted before they are carried out, so that `instance resume` can finish them."""
    runs: Path = Path("/var/lib/puppetmaster/instances/runs")
    """Where `instance collect` keeps the last run of each instance that reported to this master."""
    vardir: Path | None = None
    """puppetserver's vardir, with facts, cached nodes and puppetmaster-reports. None: as its configuration says, or
    puppet."""
    reports: Path | None = None
    """puppetserver's reportdir, whose reports count only without the processor `puppetmaster`. None: below vardir."""
    poll: Duration = Duration(10)
    """How often `instance collect --watch` looks for new reports."""
    silent_after: Duration = Duration(10_800)
    """How long an instance may send no report before it is called silent."""
    agent: AgentSettings = field(default_factory=AgentSettings)
    """What new instances install, and where they go."""


@dataclass(frozen=True)
class AuthoritySettings:
    """One puppetserver that is a certificate authority."""

    name: str
    """How it is called in messages."""
    url: str
    """Where it is: https://HOST:8140."""
    ca_file: Path | None = None
    """Certificates of the authority that signed its own (PEM); none: the system's."""
    certificate_file: Path | None = None
    """Our certificate (PEM), which its auth.conf allows to revoke (docs/instances.md)."""
    key_file: Path | None = None
    """The key of our certificate (PEM)."""
    projects: tuple[str, ...] = ()
    """The projects whose instances it signs for. None: all."""


@dataclass(frozen=True)
class AuthoritiesSettings:
    """The certificate authorities, and what they give to this machine."""

    servers: tuple[AuthoritySettings, ...] = ()
    """The central authority and those of project masters."""
    timeout: Duration = Duration(10)
    """How long connecting to one, and each of its answers, may take."""
    keep: tuple[str, ...] = ()
    """Certnames that are no nodes in LDAP and whose certificates are never revoked by `instance reconcile`."""
    crl_files: tuple[Path, ...] = ()
    """Where `certificate crl` writes the first server's revocation list: where this master's puppet.conf has it."""
    warn_before: Duration = Duration(2_592_000)
    """So long before its end, a certificate or revocation list is worth a warning."""


@dataclass(frozen=True)
class SigningSettings:
    """The policy of signing (`enc-autosign`): who signs, and where its verdicts are kept."""

    bind_dn: str | None = None
    """Who reads instances and notes the use of a token. None: the writing account (directory.write_bind_dn)."""
    bind_password_file: Path | None = None
    """Holds the password of bind_dn; must not be readable by others."""
    timeout: Duration = Duration(0.5)
    """How long LDAP may take for one request, all servers together; after that, the request is refused."""
    journal: Path = Path("/var/lib/puppetmaster/signing/journal.jsonl")
    """Every verdict, one JSON document a line. puppetserver's account writes there."""
    journal_bytes: int = 10_485_760
    """A longer journal is moved to `….1` (one generation) before the next line."""
    renew_after: Duration | None = Duration(153_792_000)
    """How long after its certificate an instance may have another for the same key; 45 days less than Puppet's five
    years. null: never. The CA must allow it, too (docs/signing.md)."""
    project: ProjectName | None = None
    """This authority is that of a project's own master: without writing to LDAP, it signs the project's instances
    for the key that the site's authority has signed (docs/signing.md). None: it is the site's, and takes tokens."""
    issued: Path | None = None
    """A project's authority: where its certificates are, `signed` in puppetserver's cadir. Who has one there gets no
    second one. None: nobody looks."""


@dataclass(frozen=True)
class OpenStackSettings:
    """Instances that OpenStack starts (docs/openstack.md)."""

    cloud: str | None = None
    """The cloud's name in clouds_file. None: there is no OpenStack."""
    clouds_file: Path = Path("/etc/puppetmaster/clouds.yaml")
    """OpenStack's own file with addresses and our credentials; must not be readable by others."""
    projects: tuple[str, ...] = ()
    """`ID-OR-NAME = PROJECT`: which project of LDAP an OpenStack project is. What no line names is refused.
    None: an OpenStack project's name is the project."""
    caller_role: str = "service"
    """The role that Nova's user must have in Keystone to be answered."""
    caller_users: tuple[str, ...] = ()
    """Names or ids of the users that are answered. None: any with the role."""
    region: str | None = None
    """Region of the instances that are made here."""
    listen: str = "127.0.0.1:8419"
    """ADDRESS:PORT of the service that Nova asks. Beyond this machine it needs a certificate."""
    certificate_file: Path | None = None
    """Our certificate (PEM). None: plain HTTP, on this machine only, for a proxy that speaks TLS."""
    key_file: Path | None = None
    """The key of our certificate (PEM)."""
    threads: int = 16
    """How many requests are served at once."""
    timeout: Duration = Duration(10)
    """How long Keystone and Nova may take to answer."""


@dataclass(frozen=True)
class SyncSettings:
    """`puppetmaster-self sync`: the local patches on what the central branch shows (docs/sync.md)."""

    on_conflict: Literal["stop", "park"] = "stop"
    """A patch conflicts: `stop` and keep the old state, or `park` that patch and go on with the others."""
    interval: Duration = Duration(3600)
    """Time between two syncs by the timer, at least a minute."""
    timeout: Duration = Duration(300)
    """How long one fetch or push may take."""
    compile: bool = True
    """Compile this instance's catalog with the new tree first; if that fails, the old state stays."""
    compile_command: tuple[str, ...] = (
        *("puppet", "catalog", "compile", "%{certname}", "--environment", "%{environment}"),
        *("--environmentpath", "%{environmentpath}", "--facts_terminus", "facter", "--color", "false"),
    )
    """What compiles it; %{certname}, %{environment} and %{environmentpath} (where only the new tree is)."""
    snapshots: int = 20
    """So many former states of the local branch stay; more if one holds the only copy of a patch."""
    snapshots_kept: Duration = Duration(7_776_000)
    """How long they stay."""
    review_ref: str = "refs/for/%{branch}"
    """Where `send --review` pushes."""
    metrics_file: Path | None = None
    """Prometheus text file, for the node exporter's textfile collector."""


@dataclass(frozen=True)
class SelfMasterSettings:
    """`puppetmaster-self`: this instance as its own Puppet master."""

    base: Path = Path("/var/lib/puppetmaster/self")
    """Everything of the self-master stands here: certificates, repository, environments, answers, journal."""
    upstream: str | None = None
    """The central repository, as git fetches and pushes it. None: `enable` must be given --upstream."""
    branch: BranchName | None = None
    """Branch of the central repository that is built on. None: `project/PROJECT`, or what `enable` is given."""
    local_branch: BranchName = BranchName("local")
    """Branch of the instance's own repository that holds the local commits, and is served."""
    working_copy: Path = Path("/srv/puppet")
    """Where people edit; a commit in there is live at once."""
    modulepath: tuple[str, ...] = ()
    """More directories with Puppet modules that the module `puppetmaster` needs. None: Puppet's own."""
    code: str | None = None
    """Puppet code that makes this machine a master, from $master, $classifier and $commands.
    None: the classes of the module `puppetmaster`."""
    keep_as: str = "topic/%{project}/%{name}-%{time}"
    """Branch of the central repository to which `disable` pushes the local commits."""
    packages: tuple[str, ...] = (
        "puppetserver",
        "git",
        "puppet-module-puppetlabs-stdlib",
        "puppet-module-puppetlabs-inifile",
    )
    """What is installed, and removed again if it was not there before."""
    port: int = 8140
    """Where the own puppetserver listens."""
    memory: int = 1_000_000_000
    """Bytes of memory that must be free."""
    disk: int = 1_500_000_000
    """Bytes of disk that must be free below `base`."""
    start_timeout: Duration = Duration(300)
    """How long the own puppetserver may take until it answers."""
    run_timeout: Duration = Duration(1800)
    """How long one run of the agent, of puppet apply or of the package program may take."""
    dead_after: Duration = Duration(900)
    """The own puppetserver may be dead for so long; then the instance goes back to the central one."""
    sync: SyncSettings = field(default_factory=SyncSettings)
    """Local patches and the central branch."""


@dataclass(frozen=True)
class Settings:
    """The whole configuration file, and where it was read."""

    directory: DirectorySettings = field(default_factory=DirectorySettings)
    nodes: NodeSettings = field(default_factory=NodeSettings)
    projects: ProjectSettings = field(default_factory=ProjectSettings)
    groups: GroupSettings = field(default_factory=GroupSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    answers: AnswerSettings = field(default_factory=AnswerSettings)
    follow: FollowSettings = field(default_factory=FollowSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    log: LogSettings = field(default_factory=LogSettings)
    branches: BranchSettings = field(default_factory=BranchSettings)
    pushes: PushSettings = field(default_factory=PushSettings)
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    authorities: AuthoritiesSettings = field(default_factory=AuthoritiesSettings)
    signing: SigningSettings = field(default_factory=SigningSettings)
    openstack: OpenStackSettings = field(default_factory=OpenStackSettings)
    self_master: SelfMasterSettings = field(default_factory=SelfMasterSettings)

    @property
    def nodes_base(self) -> str:
        """DN below which nodes are."""
        return self.nodes.base or f"ou=hosts,{self.directory.suffix}"

    @property
    def projects_base(self) -> str:
        """DN below which projects are."""
        return self.projects.base or f"ou=projects,{self.directory.suffix}"

    @property
    def groups_base(self) -> str:
        """DN below which groups are."""
        return self.groups.base or f"ou=groups,{self.directory.suffix}"

    @property
    def people_base(self) -> str:
        """DN below which people are."""
        return self.people.base or f"ou=people,{self.directory.suffix}"

    @property
    def site_dn(self) -> str:
        """DN of the site default's entry."""
        return self.site.dn or f"cn=site,{self.directory.suffix}"

    @property
    def operators_dn(self) -> str:
        """DN of the operators' group."""
        return self.people.operators or f"cn=operators,ou=groups,{self.directory.suffix}"
