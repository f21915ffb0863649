"""The one place that speaks to OpenStack: through its own client library, with our own credentials.

Owns the connection (clouds.yaml, OpenStack's own format), what a token that
somebody shows is worth, and what there is of projects and servers. Every wait
is bounded by `openstack.timeout`.

Failure modes: `ConfigurationError` (no such cloud, a file that others can
read), `CloudRefused` (*our* credentials or rights),
`CloudUnreachable` (nobody answered, or not in the documented form; nothing
follows from it). The library itself is the extra `openstack`, and in
files/requirements.lock.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from enc.cloud.nova import NameInCloud
from enc.programs.machine_trouble import reason
from enc.settings import OpenStackSettings
from enc.terms.errors import ConfigurationError, NotFound, ToolkitError, bounded

# What the library finds of plug-ins it would keep in the home directory of whoever asks (stevedore), root's too.
_kept = os.environ.get("XDG_CACHE_HOME")
os.environ["XDG_CACHE_HOME"] = os.devnull
try:
    import openstack
    from keystoneauth1 import exceptions as refusals
except ImportError as missing:  # the extra
    _MISSING: ImportError | None = missing
else:
    _MISSING = None
finally:
    del os.environ["XDG_CACHE_HOME"]
    if _kept is not None:
        os.environ["XDG_CACHE_HOME"] = _kept


class CloudUnreachable(ToolkitError):
    """Keystone or Nova did not answer, or not as documented. Nothing follows about what they hold."""


class CloudRefused(ToolkitError):
    """OpenStack does not take our credentials, or our user lacks a right."""


class Caller(NamedTuple):
    """Whom Keystone says a token belongs to."""

    user_id: str
    user_name: str
    """Unique in its domain only."""
    roles: frozenset[str]
    domain_id: str = ""
    """Of the user."""


class Server(NamedTuple):
    """A server as Nova lists it."""

    id: str
    name: str
    status: str
    """In Nova's words: ACTIVE, BUILD, SHUTOFF, ERROR …"""
    project_id: str


class Cloud:
    """A connection; several threads may use it. The first use signs in."""

    def __init__(self, settings: OpenStackSettings) -> None:
        """Read clouds.yaml; nothing is asked yet. Raise `ConfigurationError`."""
        if settings.cloud is None:
            raise ConfigurationError("is not set, so OpenStack cannot be queried", where="openstack.cloud")
        if _MISSING is not None:
            raise ConfigurationError(
                f"openstacksdk is not installed: install what files/requirements.lock names ({_MISSING})"
            )
        self._where = f"cloud {settings.cloud}"
        file = settings.clouds_file
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError as error:
            what = f"cannot be read (openstack.clouds_file): {reason(error)}"
            raise ConfigurationError(what, where=str(file)) from error
        if mode & 0o007:
            raise ConfigurationError(
                f"its mode {mode:04o} lets everybody read our password; chmod o-rwx it", where=str(file)
            )
        try:
            # Only what the file says counts: neither OS_… variables nor clouds.yaml in the working directory.
            region = openstack.config.OpenStackConfig(
                config_files=[str(file)], secure_files=[], vendor_files=[], load_envvars=False
            ).get_one(cloud=settings.cloud, api_timeout=float(settings.timeout))
            self._connection = openstack.connection.Connection(config=region)
        except (openstack.exceptions.SDKException, refusals.ClientException, OSError) as error:
            raise ConfigurationError(f"cloud {settings.cloud}: {_line(error)}", where=str(file)) from error

    def caller(self, token: str) -> Caller | None:
        """Return whose `token` is, None if Keystone does not take it (any more)."""
        with self._asking("Keystone"):
            answer = self._connection.identity.get("/auth/tokens", headers={"X-Subject-Token": token})
            if answer.status_code == 404:
                return None
            self._check("Keystone", answer)
            told = _mapping(_mapping(answer.json()).get("token"))
            user = _mapping(told.get("user"))
            roles = told.get("roles")
            if not isinstance(roles, list):
                raise TypeError("a token without roles")
            names = frozenset(str(_mapping(role).get("name")) for role in roles)
            domain = _text(_mapping(user.get("domain")).get("id"))
            return Caller(_text(user.get("id")), _text(user.get("name")), names, domain)

    def project_name(self, project_id: str) -> NameInCloud:
        """Return the name of an OpenStack project, and its domain; raise `NotFound`."""
        with self._asking("Keystone"):
            answer = self._connection.identity.get(f"/projects/{project_id}")
            if answer.status_code == 404:
                raise NotFound(f"Keystone knows no project {project_id}")
            self._check("Keystone", answer)
            told = _mapping(_mapping(answer.json()).get("project"))
            if told.get("id") != project_id:
                raise TypeError("the answer is about another project")
            domain = told.get("domain_id")
            return NameInCloud(_text(told.get("name")), "" if domain is None else _text(domain))

    def servers(self) -> tuple[Server, ...]:
        """Return all servers of all projects, or raise: part of a list would make living servers look gone."""
        with self._asking("Nova"):
            return tuple(
                Server(_text(found.id), _text(found.name), str(found.status or ""), _text(found.project_id))
                for found in self._connection.compute.servers(details=True, all_projects=True)
            )

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _check(self, service: str, answer: Any) -> None:
        if answer.status_code in (401, 403):
            raise CloudRefused(
                f"{service} does not allow our user to do this (HTTP {answer.status_code})", where=self._where
            )
        if answer.status_code != 200:
            raise CloudUnreachable(f"{service} answered HTTP {answer.status_code}", where=self._where)

    @contextmanager
    def _asking(self, service: str) -> Iterator[None]:
        try:
            yield
        except (refusals.Unauthorized, openstack.exceptions.ForbiddenException, refusals.Forbidden) as error:
            raise CloudRefused(
                f"{service} rejects our credentials, or our user lacks the rights: {_line(error)}", where=self._where
            ) from error
        except (openstack.exceptions.SDKException, refusals.ClientException, ValueError, TypeError) as error:
            raise CloudUnreachable(f"{service} cannot be queried: {_line(error)}", where=self._where) from error


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("the answer does not have the documented form")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("the answer does not have the documented form")
    return value


def _line(error: Exception) -> str:
    return bounded(" ".join(f"{type(error).__name__}: {error}".split()))
