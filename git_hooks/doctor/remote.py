"""Do puppetservers and the forge answer us? Both are really asked, about nothing that matters to them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs.machine_trouble import said
from enc.programs.times import iso
from enc.settings import BranchSettings, MirrorSettings, PuppetserverSettings
from enc.settings.config import read_secret
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks.deploy.puppetserver import Puppetservers
from git_hooks.mirror.failing import failing
from git_hooks.mirror.upstream import Upstream

_NOBODYS = EnvironmentName("branch_manager_doctor")
"""An environment that is in no use: forgetting it costs nobody anything."""
_NAMED = 5
_LATE = 600.0
"""Seconds after its time at which a try is missed; a look may take a while."""


def check(settings: BranchSettings) -> Iterator[Finding]:
    """Ask all of them."""
    yield from _puppetservers(settings.puppetserver)
    if settings.mirror.forge is not None:
        yield from _forge(settings)


def _puppetservers(settings: PuppetserverSettings) -> Iterator[Finding]:
    if not settings.urls:
        what = "no puppetserver is flushed after deploys, which is right only if all have environment_timeout = 0"
        yield note("puppetserver-flush", what, "set branches.puppetserver.urls")
        return
    servers = Puppetservers(settings)
    try:
        servers.flush(_NOBODYS)
    except (ToolkitError, OSError) as error:
        do = "is it running (systemctl status puppetserver)? if so, see branches.puppetserver and docs/branches.md"
        yield fault("puppetserver-flush", said(error), do)
    else:
        yield ok("puppetserver-flush", f"forgets environments when asked to: {', '.join(settings.urls)}")
    finally:
        servers.close()


def _forge(settings: BranchSettings) -> Iterator[Finding]:
    mirror = settings.mirror
    try:
        branches = Upstream(settings).branches()
    except ToolkitError as error:
        yield fault("mirror-url", str(error), "see branches.mirror.url, credentials_file and ssh_key_file")
    else:
        yield ok("mirror-url", f"{mirror.url} has {counted(len(branches), 'branch', 'branches')}")
    yield from tried(settings)
    yield from _secrets(mirror)


def tried(settings: BranchSettings) -> Iterator[Finding]:
    """Name what the forge has and what fails here, with the last reason."""
    try:
        found = failing(settings).tries
    except OSError as error:
        yield note("mirror-tries", f"{error.filename}: {error.strerror}", "run this as the store's owner")
        return
    for one in found[:_NAMED]:
        what = f"{one.subject} is not live as it is at the forge" if one.subject else "the forge does not answer"
        again = iso(one.next)
        do = f"the next try is at {again}"
        if one.next < time.time() - _LATE:
            do = f"the next try was due at {again}: is branch-manager serve running?"
        yield fault("mirror-tries", f"{what}, tried {counted(one.failures, 'time')}: {one.reason}", do)
    if len(found) > _NAMED:
        more = counted(len(found) - _NAMED, "more branch is", "more branches are")
        text = f"{more} not live as at the forge"
        yield fault("mirror-tries", text, "see branch-manager status")
    if not found:
        yield ok("mirror-tries", "every branch of the forge that becomes an environment is live or held")


def _secrets(mirror: MirrorSettings) -> Iterator[Finding]:
    if mirror.secret_file is None:
        what = f"no secret_file: webhooks are refused, and a push goes live only after up to {mirror.poll:.0f} s"
        yield warning("mirror-secret", what, "set branches.mirror.secret_file (docs/mirror.md)")
    for key in ("secret_file", "api_token_file", "credentials_file", "ssh_key_file"):
        file = getattr(mirror, key)
        if file is None:
            continue
        try:
            read_secret(file)
        except ToolkitError as error:
            yield fault("mirror-secret", f"branches.mirror.{key}: {error}", "see docs/mirror.md")
        else:
            yield ok("mirror-secret", f"branches.mirror.{key}: {file} is readable, and not by everybody")
