"""Runs r10k or g10k once, on a Puppetfile that language.py wrote, in a directory where nothing else is.

Owns: their command lines, configuration and environment. Only a few variables
are handed on (no GIT_*, no RUBY*), git reads no configuration but what is said
here, follows no redirect, asks nothing on a terminal, and speaks only the
protocols of the configured sources. There is a time limit, after which the
program and what it started are ended. Only the end of what it says is read.

Not here: what is done with the modules. Failure modes: `FetchFailed` with the
program's or git's own line.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from enc.programs.log import all_said, get
from enc.terms.errors import ToolkitError
from enc.terms.program_words import why
from git_hooks.puppetfile import NAME
from git_hooks.puppetfile.language import Puppetfile
from git_hooks.repository.git_program import configuration, credentials

if TYPE_CHECKING:
    from pathlib import Path

    from enc.settings import PuppetfileSettings

CACHE = "cache"
MODULES = "modules"
_TOLD = 65_536
"""Bytes of the program's words that are read, the last."""
_HANDED_ON = ("PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")


class FetchFailed(ToolkitError):
    """r10k or g10k could not fetch the modules."""


def fetch(puppetfile: Puppetfile, settings: PuppetfileSettings, program: Path, work: str) -> None:
    """Let the modules be fetched into `work`/modules, with `work`/cache as the program's memory."""
    with open(f"{work}/{NAME}", "w", encoding="ascii") as stream:
        stream.write(_addressed(puppetfile, settings, program.name))
    with open(f"{work}/r10k.yaml", "w", encoding="ascii") as stream:
        json.dump(_configuration(settings, work), stream)
    told = f"{work}/told"
    with open(told, "wb") as stream_told:
        try:
            process = subprocess.Popen(
                _command(str(program), work),
                cwd=work,
                env=_environment(settings, program.name, os.environ, work),
                stdin=subprocess.DEVNULL,
                stdout=stream_told,
                stderr=stream_told,
                start_new_session=True,
            )
        except OSError as error:
            raise FetchFailed(f"cannot be started: {error.strerror}", where=str(program)) from error
        try:
            status = process.wait(settings.timeout)
        except subprocess.TimeoutExpired as error:
            text = f"did not end within {settings.timeout:g} s (branches.puppetfile.timeout)"
            raise FetchFailed(text, where=program.name) from error
        finally:
            # Its own session: the gits that it started go with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        words = _end(told).replace(f"{work}/", "")
        reason = why(words, f"ended with {status}, and said nothing")
        all_said(get("deploy"), program.name, words, reason)
        raise FetchFailed(reason, where=program.name)


def _addressed(puppetfile: Puppetfile, settings: PuppetfileSettings, kind: str) -> str:
    # r10k takes no Forge from a Puppetfile, g10k none from elsewhere.
    forge = f"forge.baseUrl {settings.forge}\n" if kind == "g10k" and settings.forge else ""
    return forge + puppetfile.text()


def _configuration(settings: PuppetfileSettings, work: str) -> dict[str, object]:
    """Return r10k's configuration (JSON is YAML)."""
    forge = {"forge": {"baseurl": settings.forge}} if settings.forge else {}
    return {"cachedir": f"{work}/{CACHE}", "git": {"provider": "shellgit"}, **forge}


def _command(program: str, work: str) -> list[str]:
    if os.path.basename(program) == "g10k":
        # Without -usemove its cache and the modules of the Forge would be the same files.
        places = ["-cachedir", f"{work}/{CACHE}", "-moduledir", f"{work}/{MODULES}"]
        return [program, "-puppetfile", "-usemove", *places]
    places = [f"--config={work}/r10k.yaml", f"--puppetfile={work}/{NAME}", f"--moduledir={work}/{MODULES}"]
    return [program, "puppetfile", "install", *places]


def _environment(settings: PuppetfileSettings, kind: str, environ: Mapping[str, str], work: str) -> dict[str, str]:
    kept = {name: environ[name] for name in _HANDED_ON if name in environ}
    ssh = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"
    if settings.ssh_key_file is not None:
        ssh += f" -o IdentitiesOnly=yes -i {shlex.quote(str(settings.ssh_key_file))}"
    options = {"core.hooksPath": "/dev/null", "http.followRedirects": "false", "credential.helper": ""}
    if settings.credentials_file is not None:
        options["credential.helper"] = credentials(settings.credentials_file)
    return (
        kept
        | configuration(options)
        | {
            "HOME": work,
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": ":".join(_protocols(settings.sources, kind)),
            "GIT_SSH_COMMAND": ssh,
        }
    )


def _protocols(sources: Iterable[str], kind: str) -> list[str]:
    # r10k fetches from its own cache through `file`. What a Puppetfile may name is decided in language.py.
    own = {"file"} if kind == "r10k" else set()
    return sorted(own | {source.partition("://")[0] if "://" in source else "ssh" for source in sources})


def _end(path: str) -> str:
    with open(path, "rb") as stream:
        stream.seek(max(0, os.path.getsize(path) - _TOLD))
        return stream.read().decode("utf-8", "replace")
