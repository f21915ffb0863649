"""Reads the configuration: one YAML file, whose sections are the dataclasses of settings.py.

It knows no defaults of its own and never touches the network; `config check` of
enc-admin tries what the values point at. Unknown keys, wrong types and values
out of range are refused with their dotted path, so that a misspelt key never
passes for a default.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import types
import typing
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from enc.errors import ConfigurationError
from enc.names import BranchName, EnvironmentName, ProjectName
from enc.settings import AgentSettings, AuthoritiesSettings, Duration, MirrorSettings, PuppetfileSettings, Settings

DEFAULT_PATH = Path("/etc/puppetmaster/config.yaml")
ENVIRONMENT_VARIABLE = "PUPPETMASTER_CONFIG"


def chosen_path(option: str | None) -> Path:
    """Return the file to read: `--config`, else $PUPPETMASTER_CONFIG, else the default place."""
    return Path(option or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_PATH)


def load(path: Path) -> Settings:
    """Read `path`; raise `ConfigurationError` with file and key.

    The default file may be absent: then every setting has its default. A file
    that was asked for must exist.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if path == DEFAULT_PATH:
            return Settings()
        raise ConfigurationError("no such configuration file", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}", where=str(path)) from error
    return parse(text, where=str(path))


class _OnceEach(yaml.SafeLoader):
    """YAML's safe reader that takes no key twice, where PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice in this mapping", node.start_mark)
        return mapping


def parse(text: str, *, where: str = "configuration") -> Settings:
    """Return the settings in YAML `text`; `where` names the file in errors."""
    try:
        document = yaml.load(text, _OnceEach)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigurationError(f"is not YAML: {' '.join(str(error).split())}", where=where) from error
    settings = _section(Settings, {} if document is None else document, "", where)
    _check(settings, where)
    return settings


T = TypeVar("T")


def _section(cls: type[T], value: object, path: str, where: str) -> T:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{path or 'the file'} must be a mapping of settings", where=where)
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    for key, item in value.items():
        dotted = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise ConfigurationError(f"unknown key {dotted} (known here: {', '.join(sorted(known))})", where=where)
        # Only what is an empty list by default may be one.
        empty = item == [] and defaults[key] == ()
        chosen[key] = () if empty else _value(known[key], item, dotted, where)
    needed = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.default is f.default_factory is dataclasses.MISSING and f.name not in chosen
    ]
    if needed:
        raise ConfigurationError(f"{path}: needs {', '.join(needed)}", where=where)
    return cls(**chosen)


def _value(kind: Any, value: object, path: str, where: str) -> Any:
    """Turn one YAML value into the type that the dataclass's field declares."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        rest = [option for option in options if option is not type(None)]
        for option in rest[:-1]:
            if typing.get_origin(option) is Literal and value in typing.get_args(option):
                return value
        return _value(rest[-1], value, path, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _section(kind, {} if value is None else value, path, where)
    wanted: str
    if origin is Literal:
        if value in typing.get_args(kind) and isinstance(value, str):
            return value
        wanted = "one of " + ", ".join(typing.get_args(kind))
    elif origin is tuple:
        (item_kind, _) = typing.get_args(kind)
        if isinstance(value, list) and value and item_kind is not str:
            return tuple(_value(item_kind, item, f"{path}[{index}]", where) for index, item in enumerate(value))
        if isinstance(value, list) and value and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        wanted = "a list, not empty" if item_kind is not str else "a list of texts, not empty"
    elif kind is bool:
        if isinstance(value, bool):
            return value
        wanted = "true or false"
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        wanted = "a whole number above 0"
    elif kind is Duration:
        try:
            return Duration.parse(value)
        except ValueError as error:
            wanted = str(error)
    elif kind is Path:
        if isinstance(value, str) and value.startswith("/"):
            return Path(value)
        wanted = "an absolute path"
    elif kind is EnvironmentName:
        if isinstance(value, str) and EnvironmentName.accepts(value):
            return EnvironmentName(value)
        wanted = EnvironmentName.rule
    elif kind is BranchName:
        if isinstance(value, str) and BranchName.accepts(value):
            return BranchName(value)
        wanted = BranchName.rule
    elif kind is ProjectName:
        if isinstance(value, str) and ProjectName.accepts(value):
            return ProjectName(value)
        wanted = ProjectName.rule
    else:
        if isinstance(value, str) and value:
            return value
        wanted = "a text (quote it if YAML reads it as something else)"
    raise ConfigurationError(f"{path}: {value!r} is not {wanted}", where=where)


def _check(settings: Settings, where: str) -> None:
    """Refuse what a type alone does not."""
    for path, text in (("nodes.filter", settings.nodes.filter), ("people.filter", settings.people.filter)):
        if "%s" not in text:
            raise ConfigurationError(f"{path}: has no %s where the name goes", where=where)
    for uri in settings.directory.uris:
        if not re.match(r"(?:ldap|ldaps)://[^/]+|ldapi://", uri):
            raise ConfigurationError(
                f"directory.uris: {uri!r} is not ldap://HOST, ldaps://HOST or ldapi://", where=where
            )
    for url in settings.branches.puppetserver.urls:
        if not re.fullmatch(r"https://[^/@?#]+", url):
            raise ConfigurationError(f"branches.puppetserver.urls: {url!r} is not https://HOST:PORT", where=where)
    services = (("branches.transport", settings.branches.transport), ("openstack", settings.openstack))
    for path, service in services:
        if not re.fullmatch(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}", service.listen):
            raise ConfigurationError(f"{path}.listen: {service.listen!r} is not ADDRESS:PORT", where=where)
        if (service.certificate_file is None) != (service.key_file is None):
            raise ConfigurationError(f"{path}: certificate_file and key_file go together", where=where)
    for line in settings.openstack.projects:
        if not ProjectName.accepts(line.rpartition("=")[2].strip()) or not line.partition("=")[0].strip():
            raise ConfigurationError(f"openstack.projects: {line!r} is not ID-OR-NAME = PROJECT", where=where)
    _check_mirror(settings.branches.mirror, where)
    _check_agent(settings.instances.agent, where)
    _check_authorities(settings.authorities, where)
    _check_puppetfile(settings.branches.puppetfile, where)
    project = settings.nodes.project
    rule = re.compile(r"container|(?:attribute|variable) [A-Za-z][\w;-]*", re.ASCII)
    if not rule.fullmatch(project):
        raise ConfigurationError(
            f"nodes.project: {project!r} is not container, attribute NAME or variable NAME", where=where
        )


def _check_mirror(mirror: MirrorSettings, where: str) -> None:
    if mirror.forge is None:
        return
    url, project = mirror.url or "", mirror.project or ""
    if not re.fullmatch(r"[a-z]+://[^\s]+", url) or ("@" in url and not url.startswith("ssh://")):
        raise ConfigurationError(
            "branches.mirror.url: not https://HOST/PATH or ssh://USER@HOST/PATH (tokens: credentials_file)", where=where
        )
    if url.partition(":")[0] not in mirror.protocols:
        raise ConfigurationError(f"branches.mirror.url: {url!r} is not among mirror.protocols", where=where)
    if mirror.api is not None:
        # The token goes there.
        if not re.fullmatch(r"https://[^\s?#@]+|http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/[^\s?#@]*)?", mirror.api):
            raise ConfigurationError(f"branches.mirror.api: {mirror.api!r} is not https://HOST/PATH", where=where)
        if mirror.api_token_file is None or not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", project, re.ASCII):
            raise ConfigurationError("branches.mirror.api needs project (OWNER/NAME) and api_token_file", where=where)


_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)


def _check_agent(agent: AgentSettings, where: str) -> None:
    """These go into files of other programs on the instance, where they must stay the words that they are."""
    rules = (
        ("server", (agent.server or "x",), _HOST, "a host name"),
        ("ca_server", (agent.ca_server or "x",), _HOST, "a host name"),
        ("packages", agent.packages, re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:=~_-]*", re.ASCII), "a package's name"),
        (
            "apt_repository",
            (agent.apt_repository or "file:/x ./",),
            re.compile(r"(?:https?|file):/[^\s\[\]|]* (?:\./|[\w.%{}/-]+(?: [\w.-]+)+)", re.ASCII),
            "URL SUITE COMPONENT… (or URL ./)",
        ),
        (
            "yum_repository",
            (agent.yum_repository or "file:/x",),
            re.compile(r"(?:https?|file):/[!-~]*", re.ASCII),
            "a URL",
        ),
        (
            "ca_fingerprints",
            agent.ca_fingerprints,
            re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", re.ASCII),
            "a SHA-256 fingerprint (64 hex digits)",
        ),
    )
    for key, values, rule, wanted in rules:
        for value in values:
            if not rule.fullmatch(value):
                raise ConfigurationError(f"instances.agent.{key}: {value!r} is not {wanted}", where=where)
    if agent.port > 65535:
        raise ConfigurationError(f"instances.agent.port: {agent.port} is no port", where=where)
    if (agent.apt_repository or agent.yum_repository) and agent.repository_key_file is None:
        raise ConfigurationError("instances.agent: a repository needs its repository_key_file", where=where)


def _check_authorities(section: AuthoritiesSettings, where: str) -> None:
    names = [server.name for server in section.servers]
    for index, server in enumerate(section.servers):
        path = f"authorities.servers[{index}]"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", server.name, re.ASCII) or names.count(server.name) > 1:
            raise ConfigurationError(
                f"{path}.name: {server.name!r} is not a word of letters, digits, '.', '_' and '-', once each",
                where=where,
            )
        if not re.fullmatch(r"https://[^/@?#\s]+", server.url):
            raise ConfigurationError(f"{path}.url: {server.url!r} is not https://HOST:PORT", where=where)
        if (server.certificate_file is None) != (server.key_file is None):
            raise ConfigurationError(f"{path}: certificate_file and key_file go together", where=where)
        for project in server.projects:
            if not ProjectName.accepts(project):
                raise ConfigurationError(f"{path}.projects: {project!r} is not {ProjectName.rule}", where=where)


def _check_puppetfile(puppetfile: PuppetfileSettings, where: str) -> None:
    path = "branches.puppetfile"
    if puppetfile.program is not None and puppetfile.program.name not in ("r10k", "g10k"):
        raise ConfigurationError(f"{path}.program: {puppetfile.program} is called neither r10k nor g10k", where=where)
    # A whole host at least, and nothing that git takes for a helper (ext::) or ssh for an option.
    address = r"(?:https?|ssh|git)://[A-Za-z0-9][^\s'\"?#\\]*/|file:///[^\s'\"?#\\]*/|[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][\w.-]*:[\w./-]*"
    for source in puppetfile.sources:
        if (
            not re.fullmatch(address, source, re.ASCII)
            or source[-1] not in "/:"
            or re.match(r"https?://[^/]*@", source)
        ):
            raise ConfigurationError(f"{path}.sources: {source!r} is not https://HOST/… or USER@HOST:…", where=where)
    if puppetfile.forge is not None and not re.fullmatch(r"https?://[A-Za-z0-9][\w.:/-]*", puppetfile.forge, re.ASCII):
        raise ConfigurationError(f"{path}.forge: {puppetfile.forge!r} is not https://HOST", where=where)


def read_secret(path: Path) -> str:
    """Return the secret in `path` without its final newline.

    Raise `ConfigurationError` if it cannot be read, is empty, or if others
    than owner and group may read it.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            secret = stream.read().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the secret cannot be read: {error}", where=str(path)) from error
    if mode & 0o007:
        raise ConfigurationError(f"mode {mode:04o} lets everybody read this secret; chmod o-rwx it", where=str(path))
    if not secret:
        raise ConfigurationError("the secret is empty", where=str(path))
    return secret
