"""What a private puppetserver reads: settings in, texts of its files out. Pure.

puppetserver's configuration is HOCON, of which JSON is a part; everything but
auth.conf (auth_conf.py) is written as JSON, so that no path or name can break
out of its quotes. Paths inside puppet.conf have no quoting, so a base directory with characters that
Puppet would interpret is refused (`check_base`).

Not here: writing the files, starting anything (private_master.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from xml.sax.saxutils import escape

from enc.terms.errors import UsageError
from enc.terms.names import Certname
from puppetmaster_quickstart.auth_conf import AuthRule, AuthSettings, auth_conf

JAR = Path("/usr/share/puppetserver/puppetserver.jar")
JRUBY_LIBRARY = Path("/usr/share/jruby/lib")
PUPPET_RUBY = Path("/usr/lib/puppetserver/ruby/vendor_ruby")
VENDORED_GEMS = Path("/usr/lib/puppetserver/vendored-jruby-gems")
"""Where Debian's package puts the parts (dpkg -L puppetserver, version 7.9)."""

AUTHORITY = "puppetlabs.services.ca.certificate-authority-service/certificate-authority-service"
NO_AUTHORITY = "puppetlabs.services.ca.certificate-authority-disabled-service/certificate-authority-disabled-service"
SERVICES = (
    "puppetlabs.services.request-handler.request-handler-service/request-handler-service",
    "puppetlabs.services.jruby.jruby-puppet-service/jruby-puppet-pooled-service",
    "puppetlabs.services.jruby-pool-manager.jruby-pool-manager-service/jruby-pool-manager-service",
    "puppetlabs.services.puppet-profiler.puppet-profiler-service/puppet-profiler-service",
    "puppetlabs.trapperkeeper.services.webserver.jetty9-service/jetty9-service",
    "puppetlabs.trapperkeeper.services.webrouting.webrouting-service/webrouting-service",
    "puppetlabs.services.config.puppet-server-config-service/puppet-server-config-service",
    "puppetlabs.services.master.master-service/master-service",
    "puppetlabs.services.puppet-admin.puppet-admin-service/puppet-admin-service",
    "puppetlabs.trapperkeeper.services.authorization.authorization-service/authorization-service",
    "puppetlabs.services.versioned-code-service.versioned-code-service/versioned-code-service",
    "puppetlabs.trapperkeeper.services.scheduler.scheduler-service/scheduler-service",
    "puppetlabs.trapperkeeper.services.status.status-service/status-service",
    "puppetlabs.trapperkeeper.services.metrics.metrics-service/metrics-service",
    "puppetlabs.trapperkeeper.services.metrics.metrics-service/metrics-webservice",
    "puppetlabs.services.jruby.jruby-metrics-service/jruby-metrics-service",
    "puppetlabs.services.analytics.analytics-service/analytics-service",
    AUTHORITY,
    "puppetlabs.trapperkeeper.services.watcher.filesystem-watch-service/filesystem-watch-service",
)
"""Trapperkeeper's services, as the package's bootstrap.cfg and ca.cfg name them."""

ROUTES = {
    AUTHORITY: "/puppet-ca",
    "puppetlabs.services.master.master-service/master-service": "/puppet",
    "puppetlabs.services.puppet-admin.puppet-admin-service/puppet-admin-service": "/puppet-admin-api",
    "puppetlabs.trapperkeeper.services.status.status-service/status-service": "/status",
    "puppetlabs.trapperkeeper.services.metrics.metrics-service/metrics-webservice": "/metrics",
}
"""The mount points that agents expect."""

QUICK_JVM = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
    "-Djruby.jit.threshold=-1",
)
"""Starts faster than with the package's settings, but is slower once warm: the JVM compiles little, JRuby nothing.

The JVM also does not verify the packages' classes before it loads them, which saves one second of ten.
"""
SMALL_JVM = ("-Xms256m", "-Xmx512m", *QUICK_JVM)
"""Half the package's memory, too."""
QUICK_JAVA = f'[Manager]\nDefaultEnvironment="JAVA_TOOL_OPTIONS={" ".join(QUICK_JVM)}"\n'
"""The same for every Java of a machine with systemd, in system.conf.d: also for one whose settings are the package's.

For the few minutes that a small machine lives, the JVM's best compiler costs a minute of the processor.
"""


@dataclass(frozen=True)
class MasterSettings:
    """What differs from one private puppetserver to the next."""

    certname: Certname = field(default_factory=lambda: Certname("puppet.example.org"))
    address: str = "127.0.0.1"
    port: int = 0
    """0: a free one is chosen when the files are written."""
    alternative_names: tuple[str, ...] = ("localhost", "puppet")
    server: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Further settings of puppet.conf's [server], such as those of `exec_terminus`."""
    authority: bool = True
    """Whether it is a certificate authority; without, its certificate must be in its ssldir before it starts."""
    autosign: bool | Path = True
    """True signs every request; a program decides for itself (path without spaces)."""
    duplicates: bool = False
    """Take a request for a name that has a request or a certificate already (allow-duplicate-certs)."""
    auth: AuthSettings = field(default_factory=AuthSettings)
    """Who may do what, by the rules that the module ships."""
    rules: tuple[AuthRule, ...] = ()
    """Rules before those."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Environment variables for the server, and so for the ENC that it runs."""
    launcher: tuple[str, ...] = ()
    """Put in front of the command, for example `ip netns exec NAME`; must exec, not fork."""
    jvm: tuple[str, ...] = SMALL_JVM
    code_commands: tuple[Path, Path] | None = None
    """Programs for static catalogs: code-id-command, code-content-command."""
    workers: int = 1
    """JRuby instances: so many catalogs at once."""


def exec_terminus(program: Path, *arguments: str, trusted: Path | None = None) -> dict[str, str]:
    """Return the [server] settings that make `program` the ENC and `trusted` the trusted_external_command.

    Puppet splits external_nodes at white space and knows no quotes. A command
    with a space in it goes through env -S, where `\\_` is a space
    (env(1) of coreutils 8.30 and later); that costs one exec more. The `\\c` at
    its end, where env stops reading, is there because Puppet takes a quote that
    ends a value away.
    """
    words = (str(program), *arguments)
    if any(character.isspace() for word in words for character in word):
        command = "/usr/bin/env -S" + r"\_".join(_env_word(word) for word in words) + r"\c"
    else:
        command = " ".join(words)
    settings = {"node_terminus": "exec", "external_nodes": command}
    if trusted is not None:
        settings["trusted_external_command"] = str(trusted)
    return settings


def _env_word(word: str) -> str:
    if any(character in '"$\\#' or (character.isspace() and character != " ") for character in word):
        raise UsageError(f"{word!r} cannot stand in external_nodes; use a path of letters, digits and spaces")
    return '"' + word.replace(" ", r"\_") + '"'


def check_base(base: Path) -> None:
    """Refuse a directory whose path Puppet or Java would read as something else."""
    refused = sorted({c for c in str(base) if c in '$:"\\#%' or not c.isprintable()})
    if refused or not base.is_absolute():
        raise UsageError(
            f"must be an absolute path without {' '.join(refused) or 'relative steps'}; choose another",
            where=str(base),
        )


def files(base: Path, settings: MasterSettings) -> dict[str, str]:
    """Return path below `base` → text, for a server that keeps everything below `base`."""
    server = base / "server"
    return {
        "puppet/puppet.conf": _puppet_conf(base, settings),
        "server/services.d/bootstrap.cfg": "\n".join(_services(settings)) + "\n",
        "server/logback.xml": _logback(
            server / "log/puppetserver.log", "%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5p [%t] [%c{2}] %m%n", "info"
        ),
        "server/request-logging.xml": _logback(server / "log/access.log", '%h %l %u [%t] "%r" %s %b %D', None),
        "server/conf.d/global.conf": _json({"global": {"logging-config": str(server / "logback.xml")}}),
        "server/conf.d/web-routes.conf": _json({"web-router-service": ROUTES}),
        "server/conf.d/ca.conf": _json(
            {
                "certificate-authority": {
                    "allow-subject-alt-names": True,
                    "allow-duplicate-certs": settings.duplicates,
                }
            }
        ),
        "server/conf.d/metrics.conf": _json({"metrics": {"server-id": str(settings.certname)}}),
        "server/conf.d/auth.conf": auth_conf(settings.auth, settings.rules),
        "server/conf.d/versioned-code.conf": _json({"versioned-code": _code_commands(settings)}),
        "server/conf.d/webserver.conf": _json(
            {
                "webserver": {
                    "access-log-config": str(server / "request-logging.xml"),
                    "client-auth": "want",
                    "ssl-host": settings.address,
                    "ssl-port": settings.port,
                    # With TLS 1.3 and keep-alive, the agent of Ruby 3.1 waits 30 s after it sent its
                    # certificate request.
                    "ssl-protocols": ["TLSv1.2"],
                }
            }
        ),
        "server/conf.d/puppetserver.conf": _json(
            {
                "jruby-puppet": {
                    "ruby-load-path": [str(PUPPET_RUBY)],
                    "gem-home": str(base / "gems"),
                    "gem-path": [str(base / "gems"), str(VENDORED_GEMS)],
                    "server-conf-dir": str(base / "puppet"),
                    "server-code-dir": str(base / "puppet/code"),
                    "server-var-dir": str(server / "var"),
                    "server-run-dir": str(server / "run"),
                    "server-log-dir": str(server / "log"),
                    "max-active-instances": settings.workers,
                },
                "profiler": {"enabled": False},
                "product": {"check-for-updates": False},
            }
        ),
    }


def _services(settings: MasterSettings) -> list[str]:
    return [NO_AUTHORITY if name == AUTHORITY and not settings.authority else name for name in SERVICES]


def _code_commands(settings: MasterSettings) -> dict[str, str]:
    if settings.code_commands is None:
        return {}
    return {
        "code-id-command": str(settings.code_commands[0]),
        "code-content-command": str(settings.code_commands[1]),
    }


def _puppet_conf(base: Path, settings: MasterSettings) -> str:
    # Each directory by name: Debian's defaults for most of them do not follow confdir.
    main = {
        "server": settings.alternative_names[0] if settings.alternative_names else str(settings.certname),
        "serverport": str(settings.port),
        "codedir": str(base / "puppet/code"),
        "ssldir": str(base / "puppet/ssl"),
        "cadir": str(base / "puppet/ca"),
        "vardir": str(base / "server/var"),
        "rundir": str(base / "server/run"),
        "logdir": str(base / "server/log"),
        "publicdir": str(base / "server/public"),
        "keylength": "2048",
    }
    autosign = settings.autosign
    server = {
        "certname": str(settings.certname),
        "dns_alt_names": ",".join((str(settings.certname), *settings.alternative_names)),
        # Without this, the modules of Debian's packages would be synced to every agent.
        "basemodulepath": "$codedir/modules",
        "environment_timeout": "0",
        "autosign": str(autosign).lower() if isinstance(autosign, bool) else str(autosign),
        **settings.server,
    }
    return "\n".join(("[main]", *setting_lines(main), "[server]", *setting_lines(server), ""))


def setting_lines(section: Mapping[str, str]) -> list[str]:
    """Return `key = value` lines of puppet.conf; refuse what would not stay on its line."""
    for key, value in section.items():
        if not value.isprintable() or not key.isidentifier():
            raise UsageError(f"puppet.conf cannot hold {key} = {value!r}")
    return [f"{key} = {value}" for key, value in section.items()]


def _logback(file: Path, pattern: str, level: str | None) -> str:
    reference = '<appender-ref ref="FILE"/>'
    root = f'<root level="{level}">{reference}</root>' if level else reference
    return (
        '<configuration><appender name="FILE" class="ch.qos.logback.core.FileAppender">'
        f"<file>{escape(str(file))}</file><append>true</append>"
        f"<encoder><pattern>{escape(pattern)}</pattern></encoder></appender>{root}</configuration>\n"
    )


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"
