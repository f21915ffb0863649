"""The branch manager's sections: repository, environments, transport, mirror, pushes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from enc.settings.forges import FORGES
from enc.settings.values import Duration, OneOf, Section, listening_faults
from enc.terms.names import BranchName

# A whole host at least, and nothing that git takes for a helper (ext::) or ssh for an option.
_SOURCE = (
    r"(?:https?|ssh|git)://[A-Za-z0-9][^\s'\"?#\\]*/"
    r"|file:///[^\s'\"?#\\]*/"
    r"|[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][\w.-]*:[\w./-]*"
)


_GIT_NEEDS = 64 << 20


@dataclass(frozen=True)
class PuppetserverSettings(Section):
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

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield addresses that no puppetserver can have."""
        for url in self.urls:
            if not re.fullmatch(r"https://[^/@?#]+", url):
                yield "urls", f"{url!r} is not https://HOST:PORT"


@dataclass(frozen=True)
class TransportSettings(Section):
    """The repository over HTTPS (`branch-manager serve`) and ssh: who may read, and how people sign in."""

    read: Literal["members", "authenticated", "everyone"] = "authenticated"
    """Who may clone and fetch: `members` of any project (and operators), every person in LDAP, or everyone."""
    listen: str = "127.0.0.1:8418"
    """ADDRESS:PORT of the HTTP service. Beyond this machine it needs a certificate."""
    certificate_file: Path | None = None
    """Our certificate (PEM). None: plain HTTP, on this machine only, for a proxy that speaks TLS."""
    key_file: Path | None = None
    """The key of our certificate (PEM)."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies before us, whose X-Forwarded-For is believed: by it wrong passwords are counted,
    and the log says who came. Without any, an address of this machine is nobody's, and others are the client's."""
    threads: int = 256
    """How many requests are served at once. Most of them wait for their clients."""
    requests_each: int = 16
    """How many requests of one person, and of one address, are served at once, at most a quarter of `threads`.
    An address of this machine is a proxy's, and has no bound."""
    silence: Duration = Duration(60)
    """How long a client may send or take nothing before its connection is closed."""
    least_rate: int = 4096
    """Bytes a second that a client must send, or take, over `silence`; while the server works, no time counts."""
    spool_bytes: int = 2_147_483_648
    """The most that all requests together may keep on disk; of one person at most `upload_bytes`."""
    upload_bytes: int = 536_870_912
    """The largest request, after decompression."""
    tokens: Path = Path("/var/lib/puppetmaster/tokens")
    """Where tokens are kept (only their digests)."""
    token_life: Duration = Duration(31_536_000)
    """The longest that a token may be valid."""
    passwords: bool = True
    """Take LDAP passwords over HTTPS too, not only tokens."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with where it listens, proxies that are no addresses, and bounds that let nobody in."""
        yield from listening_faults(self.listen, self.certificate_file, self.key_file)
        if self.silence < 1:
            yield "silence", "a client needs at least one second"
        for text in self.proxies:
            try:
                ip_network(text, strict=False)
            except ValueError:
                yield "proxies", f"{text!r} is neither an address nor a network (10.0.0.0/24)"


@dataclass(frozen=True)
class MirrorSettings(Section):
    """A repository that lives at a forge: it is fetched from there and deployed here."""

    forge: Annotated[str, OneOf(FORGES)] | None = None
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
    fetch_bytes: int = 4_294_967_296
    """The most that one fetch may bring: all commits that are not here yet, as git packs them."""
    retry: Duration = Duration(3600)
    """What cannot be fetched, checked or deployed is tried again after 15 seconds, then after pauses that
    double up to this one, for as long as the forge has it. While the forge itself is away, `poll` is the longest."""
    metrics_file: Path | None = None
    """Prometheus text file about the mirror, for the node exporter's textfile collector."""
    api: str | None = None
    """Where commit statuses are reported: https://api.github.com, https://HOST/api/v1, https://HOST/api/v4."""
    project: str | None = None
    """The repository in the forge's API: OWNER/NAME."""
    api_token_file: Path | None = None
    """Holds the token for the API; must not be readable by others."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the forge's addresses; without a forge nobody uses them."""
        if self.forge is None:
            return
        url = self.url or ""
        if not re.fullmatch(r"[a-z]+://[^\s]+", url) or ("@" in url and not url.startswith("ssh://")):
            yield "url", "not https://HOST/PATH or ssh://USER@HOST/PATH (tokens: credentials_file)"
        if url.partition(":")[0] not in self.protocols:
            yield "url", f"{url!r} is not among mirror.protocols"
        if self.api is not None:
            # The token goes there.
            local = r"http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/[^\s?#@]*)?"
            if not re.fullmatch(rf"https://[^\s?#@]+|{local}", self.api):
                yield "api", f"{self.api!r} is not https://HOST/PATH"
            named = re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", self.project or "", re.ASCII)
            if self.api_token_file is None or not named:
                yield "api", "needs project (OWNER/NAME) and api_token_file"


@dataclass(frozen=True)
class PuppetfileSettings(Section):
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

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield another program, and sources that would let in more than they name."""
        if self.program is not None and self.program.name not in ("r10k", "g10k"):
            yield "program", f"{self.program} is named neither r10k nor g10k"
        for source in self.sources:
            whole = re.fullmatch(_SOURCE, source, re.ASCII) and source[-1] in "/:"
            if not whole or re.match(r"https?://[^/]*@", source):
                yield "sources", f"{source!r} is not https://HOST/… or USER@HOST:…"
        if self.forge is not None and not re.fullmatch(r"https?://[A-Za-z0-9][\w.:/-]*", self.forge, re.ASCII):
            yield "forge", f"{self.forge!r} is not https://HOST"


@dataclass(frozen=True)
class BranchSettings(Section):
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
        "review/<name>/<topic> = -",
    )
    """BRANCH = ENVIRONMENT, the first that fits; <name> is a project, <topic> one more part of the branch. `-`: no
    environment; there members propose code that runs on the master, for operators to read (docs/pushing.md).
    A branch beside `project/red` cannot be called `project/red/…`: git keeps both under one path."""
    beginning: BranchName | None = None
    """Where a new project's branch begins. null: at the branch of the last rule that has no <name>, here `test`."""
    split_large: bool = True
    """Share the sub-directories of other large directories at the top (hieradata/) one by one, too. Set it to false if
    something outside of the repository walks through them with `**`, as a glob of the site's own hiera.yaml does."""
    members_code: Literal["reviewed", "trusted"] = "reviewed"
    """What branches that members push may bring to run on the master: `reviewed`: Ruby, ERB, calls that run programs or
    read files of the master only as operators' branches have them, or as approved (docs/pushing.md). `trusted`:
    anything. Whoever may push there then has puppetserver's account, and with it the secrets of all projects."""
    limited_functions: tuple[str, ...] = (
        *("loadyaml", "loadjson", "load_module_metadata", "validate_cmd", "validate_augeas", "glob", "get_module_path"),
        *("extlib::*", "cache_data", "mkdir_p", "file_exists", "read_url"),
        *("parseyaml", "*::parseyaml", "openssl::*", "cert_*", "archive::*", "go_md5", "artifactory_*", "redisget"),
        *("trocla", "trocla_*", "ssh_keygen"),
        *("puppetdb_query", "query_facts", "query_nodes", "query_resources", "puppetdbquery::*"),
        *("secret", "*::secret", "vault_lookup::*", "hiera_vault"),
    )
    """Functions of modules that members' code may not call, also as patterns: they read the master's files, secrets, or
    data of other nodes, ask other servers, or make Ruby's objects of what they are given (parseyaml). Those of Puppet
    itself that do are refused whatever stands here."""
    git_memory: int = 1_073_741_824
    """The most memory in bytes that one git may take that serves a push or fetch, or fetches from a forge. Packs do
    not count. Half of it is the most for one object."""
    git_seconds: Duration = Duration(1800)
    """The most processor time that one such git may take."""
    git_file_bytes: int = 8_589_934_592
    """The largest file that one such git may write: a pack of the whole repository must have room."""
    ruby: Path | None = None
    """Ruby that has Puppet's library, to read Puppet code with. None: that of Puppet's or the system's package."""
    types_program: Path | None = None
    """puppet, to run `puppet generate types` for a new version if its modules' Ruby changed, in a sandbox
    (bubblewrap; docs/static-catalogs.md). None: types are shared."""
    puppetfile: PuppetfileSettings = field(default_factory=PuppetfileSettings)
    """Modules from a Puppetfile."""
    retain: Duration = Duration(3600)
    """How long a version stays after it was live: at least as long as a compile can take."""
    topics_unused: Duration = Duration(2_592_000)
    """How long a short-lived branch (one with a <topic>) stays after its last push, if no node uses it."""
    project_branches: int = 200
    """The most branches that one project may have. Five times as many may be in the archive."""
    archive_kept: Duration = Duration(7_776_000)
    """How long a branch that ended or was deleted, and what a forced push threw away, can be restored."""
    archive_most: int = 100
    """How many such states of one branch are kept. Of more, those go first that are nearest to each other in time."""
    puppetserver: PuppetserverSettings = field(default_factory=PuppetserverSettings)
    """Who is told about a deploy."""
    transport: TransportSettings = field(default_factory=TransportSettings)
    """How the repository is reached."""
    mirror: MirrorSettings = field(default_factory=MirrorSettings)
    """Where the repository lives, if not here."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield bounds that nothing could keep."""
        if self.git_memory < _GIT_NEEDS:
            yield "git_memory", f"git itself needs {_GIT_NEEDS} bytes"
        if self.archive_most < 1:
            yield "archive_most", "the last state of a branch is always kept"
        if self.git_seconds < 1:
            yield "git_seconds", "a push takes at least one second"


@dataclass(frozen=True)
class PushSettings(Section):
    """Pushes to the managed repository: who pushes, and what a tree may hold."""

    identity: Literal["transport", "gitolite", "gitea", "gitlab", "gerrit", "system"] = "transport"
    """Who says who is pushing: `transport` our own (signed), `gitolite` GL_USER, `gitea` (and Forgejo)
    GITEA_PUSHER_NAME, `gitlab` GL_USERNAME, `gerrit` the arguments of its hooks, `system` the user of the process."""
    roles_kept: Duration = Duration(10)
    """How long the roles that LDAP gave for a person are used again without asking."""
    roles_kept_offline: Duration = Duration(900)
    """How old they may be while LDAP cannot be reached; after that, pushes are refused."""
    submodules: bool = False
    """Let trees hold submodules. A submodule is not fetched: it becomes an empty directory, as in a plain clone."""
    links: tuple[str, ...] = ()
    """Paths of links that may leave the tree, such as modules/*/files/home/*/.my.cnf (`*` stands for anything).
    Such a link is left out of every environment, and pushers are told so. Only operators bring one, on a branch
    of no project; projects' branches may have it as it is there."""
    modulepath: tuple[str, ...] = ()
    """Directories outside of the tree that environment.conf may name in its modulepath, such as
    /etc/puppet/private/modules. A project's branch may name what a branch of no project names."""
    syntax: Literal["check", "off"] = "check"
    """Whether a push is refused that brings Puppet code, templates, Ruby or data that cannot be read."""
    require_checks: tuple[str, ...] = ()
    """Branches, such as production or project/* (`*` stands for anything), to which nothing comes that could not be
    checked, because this machine has no Puppet or the file is too large. Elsewhere pushers are told."""
    file_bytes: int = 10_485_760
    """The largest file."""
    push_bytes: int = 268_435_456
    """The most that all new files of one push may hold together."""
    files: int = 100_000
    """The most files and directories that one push may bring or change."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield patterns and directories that nothing can be like."""
        for pattern in self.links:
            if pattern.startswith("/") or pattern.endswith("/") or ".." in pattern.split("/"):
                yield "links", f"{pattern!r} is not a path in a tree: DIRECTORY/NAME, where * matches anything"
        for directory in self.modulepath:
            if not re.fullmatch(r"(?:/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)+/?", directory, re.ASCII):
                yield "modulepath", f"{directory!r} is not an absolute path of a directory in plain characters"
