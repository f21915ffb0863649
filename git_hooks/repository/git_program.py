"""How git's own program is started by us. The only place that makes its environment and its first words.

A repository's configuration can name programs (core.sshCommand, core.askPass,
core.fsmonitor, gpg.program …) and other repositories, from which objects that
are missing here would be fetched. Who may write it is who owns the repository,
and as that account we run (enc.programs.accounts); but nothing that we ask
needs any of it:

- `sealed` is for reading and moving refs here: no program is named by a
  configuration, no other repository is spoken to (git before 2.44 knows no
  GIT_NO_LAZY_FETCH, so no protocol is allowed), and what the machine or a
  person set does not count. The hook reference-transaction runs where refs move.
- `credentials` is how a git of ours gets at a password in a file, which stays as it is.
- `git_environment` is the least of it, for who says the rest: for what git
  says about its own configuration, and where a site's way to another
  repository is in it (puppetmaster_self).

What clients are served with is transport/backend.py's: there, the account's
configuration and hooks are the site's means, and stay in force. How a forge is
asked, in a repository of nobody's configuration, is mirror/remote_git.py's.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from git_hooks.repository.bounds import MEMORY, allocations

PROGRAM = "git"
_QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
_OVERRIDDEN = {
    "core.fsmonitor": "false",
    "core.askPass": "",
    "core.sshCommand": "false",
    "core.alternateRefsCommand": "true",
    "core.attributesFile": "/dev/null",
    "credential.helper": "",
    "diff.external": "",
    "gc.auto": "0",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.ext.allow": "never",
}
"""Settings of git that name programs or let it start some, with values that do not (git-config(1))."""


def command(repository: str, *words: str) -> list[str]:
    """Return the words that start git on a bare repository. Told by its name, no other is looked for."""
    return [PROGRAM, f"--git-dir={repository}", *words]


def configuration(settings: Mapping[str, str]) -> dict[str, str]:
    """Return git's settings as an environment: nothing in a repository can be weaker than that (git-config(1))."""
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def credentials(file: Path) -> str:
    """Return the `credential.helper` that reads `file` (git-credential-store(1)) and never writes it.

    git's own helper rewrites the file after each answer of the other side: as whoever runs git, so that it is theirs
    and no longer the service's, and without the entry after one 401. Ours answers `get` and passes over the rest.
    """
    read = f'test "$1" != get || exec git credential-store --file={shlex.quote(str(file))} get'
    return f"!f() {{ {read}; }}; f"


def git_environment(environ: Mapping[str, str], *, quarantine: bool = False) -> dict[str, str]:
    """Return `environ` for a git of ours: what a hook inherits (GIT_DIR and so on) must not redirect it.

    With `quarantine`, the variables stay through which pre-receive sees the
    objects of the push. Replacement refs are ignored: with them, a pushed
    ref could make one commit show the content of another. Nobody is asked for a
    password, and what is missing is not fetched. What bounds git's memory stays,
    as a transport set it (bounds.py).
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(("GIT_", "SSH_ASKPASS"))}
    if quarantine:
        kept.update({name: environ[name] for name in _QUARANTINE if name in environ})
    bound = {name: environ.get(name, most) for name, most in allocations(MEMORY).items()}
    return kept | bound | {
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "LC_ALL": "C",
    }


def sealed(
    environ: Mapping[str, str], *, quarantine: bool = False, also: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Return the environment of a git that obeys no configuration in what it starts and whom it speaks to.

    `also` are settings that the caller needs, over ours.
    """
    return git_environment(environ, quarantine=quarantine) | configuration({**_OVERRIDDEN, **also}) | {
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_EDITOR": "false",
        "GIT_PAGER": "cat",
    }
