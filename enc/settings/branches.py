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
    """puppetservers that must flush the environment after each deploy: https://HOST:8140. None: no flush."""
    ca_file: Path | None = None
    """Certificates of the authority that signed their certificates (PEM). None: the system's."""
    certificate_file: Path | None = None
    """Our own certificate (PEM), which their auth.conf allows to flush."""
    key_file: Path | None = None
    """The key of our own certificate (PEM)."""
    timeout: Duration = Duration(10)
    """How long connecting may take, and the answer."""

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
    """Addresses or networks of proxies in front of the service, whose X-Forwarded-For is trusted for counting wrong
    passwords and for the log. Without any, an address of this machine stands for no client, and any other address is
    the client's."""
    threads: int = 256
    """How many requests are served at once. Most of them wait for their clients."""
    requests_each: int = 16
    """How many requests of one person, and of one address, are served at once; at most a quarter of `threads`. An
    address of this machine counts as a proxy and has no limit."""
    silence: Duration = Duration(60)
    """How long a client may neither send nor receive before its connection is closed."""
    least_rate: int = 4096
    """Bytes a second that a client must send or receive, on average over `silence`. Time in which the server works does
    not count."""
    spool_bytes: int = 2_147_483_648
    """The most bytes that all requests together may keep on disk. One person's requests may keep at most
    `upload_bytes`."""
    upload_bytes: int = 536_870_912
    """The largest request, after decompression."""
    tokens: Path = Path("/var/lib/puppetmaster/tokens")
    """Where tokens are kept (only their digests)."""
    token_life: Duration = Duration(31_536_000)
    """The longest lifetime of a token."""
    passwords: bool = True
    """Accept LDAP passwords over HTTPS too, not only tokens."""

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
    """The forge whose webhooks are accepted (`gitea`: also Forgejo). null: people push to this repository directly."""
    url: str | None = None
    """Where git fetches: https://HOST/PATH or ssh://USER@HOST/PATH."""
    protocols: tuple[str, ...] = ("https", "ssh")
    """The protocols that git may use."""
    credentials_file: Path | None = None
    """For https: `https://USER:TOKEN@HOST` in a line (git-credential-store); must not be readable by others."""
    ssh_key_file: Path | None = None
    """For ssh: our private key. The host must be known (ssh_known_hosts)."""
    secret_file: Path | None = None
    """Holds the webhook's secret; for gerrit, the last part of the webhook's address. None: all webhooks are
    refused."""
    poll: Duration = Duration(300)
    """How often the forge is asked without a webhook, in case one gets lost."""
    timeout: Duration = Duration(120)
    """How long one run of git may take."""
    fetch_bytes: int = 4_294_967_296
    """The most bytes that one fetch may transfer: all commits that are not here yet, as git packs them."""
    retry: Duration = Duration(3600)
    """The longest pause between two attempts. What cannot be fetched, checked or deployed is tried again after 15
    seconds, then after pauses that double up to this one, as long as the forge has it. While the forge itself is down,
    the longest pause is `poll`."""
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
    """r10k or g10k, by its absolute path. null: Puppetfiles are ignored, and a push says so."""
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
    """How long new versions share fetched modules if the Puppetfile names a branch or :latest, which may move. After
    that, modules are fetched again. Modules with exact versions are shared for ever."""
    bytes: int = 1_073_741_824
    """The most bytes that the modules of one Puppetfile may have together."""

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
class OpeningSettings(Section):
    """Secrets in the repository's whole history, and a public copy of it (docs/opening.md)."""

    state: Path = Path("/var/lib/puppetmaster/opening")
    """Where audits keep what they have seen, and their verdict."""
    certificates: tuple[Path, ...] = ()
    """Files of PEM certificates, and directories of such, whose private keys must not be in the repository: `signed` in
    puppetserver's cadir, the certificates of the site's servers. Those in the repository's history, and those that the
    journal of signing names, count as well."""
    processes: int = 2
    """How many processes an audit has."""
    branches: tuple[str, ...] = ()
    """The branches that `branch-manager publish` pushes; `*` matches anything. None: the site's own, which are of no
    project."""
    protocols: tuple[str, ...] = ("https", "ssh")
    """The protocols that git may use for `publish`."""
    credentials_file: Path | None = None
    """For https: `https://USER:TOKEN@HOST` in a line (git-credential-store); must not be readable by others."""
    ssh_key_file: Path | None = None
    """For ssh: our private key. The host must be known (ssh_known_hosts)."""
    timeout: Duration = Duration(3600)
    """How long one run of git may take."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a number of processes that does no work."""
        if not 1 <= self.processes <= 64:
            yield "processes", f"{self.processes} is not between 1 and 64"


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
    """BRANCH = ENVIRONMENT; the first rule that matches counts. <name> is a project, <topic> one more part of the
    branch. `-`: no environment; such branches are for members' code that runs on the master, which operators must read
    (docs/pushing.md). If there is a branch `project/red`, no branch can be called `project/red/…`: git keeps both under
    one path."""
    beginning: BranchName | None = None
    """The branch from which a new project's branch starts. null: the branch of the last rule that has no <name>, here
    `test`."""
    split_large: bool = True
    """Also share the sub-directories of other large directories at the top (hieradata/) one by one. Set it to false if
    something outside of the repository searches them with `**`, such as a glob in the site's own hiera.yaml."""
    members_code: Literal["reviewed", "trusted"] = "reviewed"
    """Which code that runs on the master may be on branches that members push. `reviewed`: Ruby, ERB, and calls that
    run programs or read the master's files, only as operators' branches have them or as approved (docs/pushing.md).
    `trusted`: any code; whoever may push there then has puppetserver's account, and with it the secrets of all
    projects."""
    limited_functions: tuple[str, ...] = (
        *("loadyaml", "loadjson", "load_module_metadata", "validate_cmd", "validate_augeas", "glob", "get_module_path"),
        *("extlib::*", "cache_data", "mkdir_p", "file_exists", "read_url"),
        *("parseyaml", "*::parseyaml", "openssl::*", "cert_*", "archive::*", "go_md5", "artifactory_*", "redisget"),
        *("trocla", "trocla_*", "ssh_keygen"),
        *("puppetdb_query", "query_facts", "query_nodes", "query_resources", "puppetdbquery::*"),
        *("secret", "*::secret", "vault_lookup::*", "hiera_vault"),
    )
    """Functions of modules that members' code may not call; patterns are allowed. They read the master's files, secrets
    or other nodes' data, query other servers, or create Ruby objects from their input (parseyaml). Puppet's own
    functions that do so are always refused."""
    git_memory: int = 1_073_741_824
    """The most memory, in bytes, for each git process that serves a push or fetch, or fetches from a forge. Packs do
    not count. One object may take half of it."""
    git_seconds: Duration = Duration(1800)
    """The most processor time for each such git process."""
    git_file_bytes: int = 8_589_934_592
    """The largest file that each such git process may write. A pack of the whole repository must fit."""
    ruby: Path | None = None
    """The Ruby that has Puppet's library, for parsing Puppet code. None: the one from Puppet's or the system's
    package."""
    types_program: Path | None = None
    """The program puppet. It runs `puppet generate types` for a new version whose modules' Ruby has changed, in a
    sandbox (bubblewrap; docs/static-catalogs.md). None: all environments share types."""
    puppetfile: PuppetfileSettings = field(default_factory=PuppetfileSettings)
    """Modules from a Puppetfile."""
    retain: Duration = Duration(3600)
    """How long a version is kept after it was live; at least as long as a compile can take."""
    topics_unused: Duration = Duration(2_592_000)
    """How long a short-lived branch (one with a <topic>) is kept after its last push if no node uses it."""
    project_branches: int = 200
    """The most branches of one project. Five times as many may be in the archive."""
    archive_kept: Duration = Duration(7_776_000)
    """How long a branch that ended or was deleted, and commits that a forced push dropped, can be restored."""
    archive_most: int = 100
    """How many such states of one branch are kept. If there are more, those closest together in time are removed
    first."""
    puppetserver: PuppetserverSettings = field(default_factory=PuppetserverSettings)
    """Who is told about a deploy."""
    transport: TransportSettings = field(default_factory=TransportSettings)
    """How the repository is reached."""
    mirror: MirrorSettings = field(default_factory=MirrorSettings)
    """Where the repository lives, if not here."""
    opening: OpeningSettings = field(default_factory=OpeningSettings)
    """What must not become public, and what does."""

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
    """Pushes to the repository: who pushes, and what a tree may contain."""

    identity: Literal["transport", "gitolite", "gitea", "gitlab", "gerrit", "system"] = "transport"
    """Which program names the pusher: `transport` our own (signed), `gitolite` GL_USER, `gitea` (and Forgejo)
    GITEA_PUSHER_NAME, `gitlab` GL_USERNAME, `gerrit` the arguments of its hooks, `system` the user of the process."""
    roles_kept: Duration = Duration(10)
    """How long a person's roles from LDAP are used again without asking."""
    roles_kept_offline: Duration = Duration(900)
    """How old they may be while LDAP cannot be reached; after that, pushes are refused."""
    submodules: bool = False
    """Let trees hold submodules. A submodule is not fetched: it becomes an empty directory, as in a plain clone."""
    links: tuple[str, ...] = ()
    """Paths of links that may leave the tree, such as modules/*/files/home/*/.my.cnf (`*` matches anything). Such a
    link is left out of every environment, and the push says so. Only operators may add one, on a branch of no project;
    projects' branches may have the same link."""
    modulepath: tuple[str, ...] = ()
    """Directories outside of the tree that environment.conf may name in its modulepath, such as
    /etc/puppet/private/modules. A project's branch may name those that a branch of no project names."""
    syntax: Literal["check", "off"] = "check"
    """Whether a push is refused if it brings Puppet code, templates, Ruby or data that Puppet cannot parse."""
    assigned: Literal["check", "off"] = "check"
    """Whether a push is refused if nodes are assigned a class that it removes, or have a parameter set that it removes
    or whose new type does not take the value."""
    secrets: Literal["check", "off"] = "check"
    """Whether a push is refused if one of its commits brings a secret, such as a password or a private key, that is not
    allowed (`branch-manager allow-secret`)."""
    secrets_excluded: tuple[str, ...] = ()
    """Paths of files in which secrets are not looked for, such as */spec/fixtures/* (`*` matches anything)."""
    require_checks: tuple[str, ...] = ()
    """Branches, such as production or project/* (`*` matches anything), on which a push is refused if a file could not
    be checked, for example because this machine has no Puppet or the file is too large. On other branches the push is
    accepted, and its output says so."""
    lint: Literal["advice", "off"] = "advice"
    """`advice`: if puppet-lint is installed, the push's output says what it finds in the lines of manifests that the
    push changed. `off`: it is only asked for the branches of `lint_rule`."""
    lint_rule: tuple[str, ...] = ()
    """Branches, such as production or project/* (`*` matches anything), on which a push is refused if puppet-lint finds
    something in the lines that it changed."""
    lint_ruby: Path | None = None
    """The Ruby that has puppet-lint. None: the one from Puppet's or the system's package that has it."""
    own_checks: Literal["run", "off"] = "run"
    """Whether a push runs the checks that its branch has in `.puppetmaster.yaml`, in a sandbox (bubblewrap;
    docs/pushing.md, A branch's own checks)."""
    own_checks_time: Duration = Duration(120)
    """The most time that all own checks of one push may take together."""
    own_checks_memory: int = 1_073_741_824
    """The most memory, in bytes, of one of them, whatever its branch says."""
    own_checks_at_once: int = 2
    """How many pushes may have their own checks run on this machine at once; of one project, one at a time."""
    signed: tuple[str, ...] = ()
    """Branches, such as production or project/* (`*` matches anything), on which each new commit must be signed with an
    ssh key that its signer has in LDAP. refs/tags/* and the like name tags, which must be signed themselves."""
    effects: Literal["compile", "off"] = "compile"
    """Whether puppetserver compiles the nodes that use a branch before and after a push, so that its output and
    `branch-manager diff` say what it does to them. Needs `branches.puppetserver.urls`."""
    effect_seconds: Duration = Duration(5)
    """How long a push waits for what it does to nodes. What takes longer goes on after the push."""
    compile: tuple[str, ...] = ("test", "production")
    """Branches (`*` matches anything) on which a push is refused if nodes that compiled before would not compile any
    more."""
    compile_seconds: Duration = Duration(60)
    """How long a push to such a branch waits for that. Nodes that were not compiled by then count as not checked."""
    compile_parallel: int = 2
    """How many catalogs are compiled for pushes at once. puppetserver needs some JRuby instances for agents
    meanwhile."""
    file_bytes: int = 10_485_760
    """The largest file."""
    push_bytes: int = 268_435_456
    """The most bytes that all new files of one push may have together."""
    files: int = 100_000
    """The most files and directories that one push may add or change."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield patterns and directories that nothing can be like."""
        for pattern in self.links:
            if pattern.startswith("/") or pattern.endswith("/") or ".." in pattern.split("/"):
                yield "links", f"{pattern!r} is not a path in a tree: DIRECTORY/NAME, where * matches anything"
        if self.own_checks_at_once < 1:
            yield "own_checks_at_once", "at least one push must be able to run its checks (own_checks: off runs none)"
        if self.own_checks_time < 1:
            yield "own_checks_time", "a check takes at least one second"
        if not 1 <= self.compile_parallel <= 64:
            yield "compile_parallel", "from 1 to 64"
        for directory in self.modulepath:
            if not re.fullmatch(r"(?:/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)+/?", directory, re.ASCII):
                yield "modulepath", f"{directory!r} is not an absolute path of a directory in plain characters"
