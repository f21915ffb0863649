"""Who is pushing: told by what started git, believed only if the configuration says so.

A hook learns who pushes from its environment, which is set by whoever started
git. So exactly one source is believed, the setting `pushes.identity`:

- `transport`: our own transports (git over HTTP and ssh) sign what they know
  with a key that lies in the repository's directory and only its owner reads.
  The signature binds name, repository and time.
- `gitolite`, `gitea` (and Forgejo), `gitlab`: the host's own variable. These
  hosts set it for each push; the repository must be out of reach otherwise.
- `gerrit`: Gerrit runs none of git's hooks and says the name to hooks of its own
  (gerrit.py); whoever comes to git's hooks then came past it.
- `system`: the user of the process, as the kernel has it.

Nobody is nobody: without a name that is sound, the push is refused. Owns the
form of the signed word and the key's file. Not here: roles (membership.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import InvalidName, NotAllowed, ToolkitError
from enc.terms.names import PersonName

VARIABLE = "PUPPETMASTER_PUSHER"
"""Set by our transports for git, and so for the hooks."""

LONGEST_PUSH = 6 * 3600
"""Seconds between a transport's word and the hook: as long as the slowest upload."""

_SKEW = 60
_VARIABLES = {"gitolite": "GL_USER", "gitea": "GITEA_PUSHER_NAME", "gitlab": "GL_USERNAME"}


class Pusher(NamedTuple):
    """Somebody who pushes, before anything is known of their roles."""

    name: PersonName
    via: str
    """What vouches for the name: `http`, `ssh`, `gitolite`, `gitea`, `gitlab`, `gerrit`, `system`."""


def identify(identity: str, repository: str, environ: Mapping[str, str], now: float, user: int) -> Pusher:
    """Return who pushes; raise `NotAllowed` if nobody trustworthy says so.

    `identity` is the setting, `environ` and `user` (a numeric id) are those of the hook's process.
    """
    if identity == "transport":
        return _signed(environ.get(VARIABLE, ""), repository, now)
    if identity == "gerrit":
        raise NotAllowed("unknown pusher: this push did not come through Gerrit (setting pushes.identity)")
    if identity == "system":
        import pwd

        try:
            name = pwd.getpwuid(user).pw_name
        except KeyError:
            name = ""
    else:
        name = environ.get(_VARIABLES[identity], "")
        if environ.get("GITEA_DEPLOY_KEY_ID", "0") not in ("", "0") and identity == "gitea":
            # The name is that of the repository's owner then, whoever holds the key.
            raise NotAllowed("deploy keys may not push; use a personal account")
    if not name:
        raise NotAllowed(f"unknown pusher: {identity} (setting pushes.identity) is not set")
    try:
        return Pusher(PersonName(name), identity)
    except InvalidName as error:
        raise NotAllowed(f"unknown pusher: {error}") from error


def sign(name: PersonName, via: str, repository: str, now: float) -> str:
    """Return the value of `VARIABLE` with which a transport vouches for `name` during one push.

    `via` is a word such as `http`. Raise `ToolkitError` if the repository's key cannot be read.
    """
    said = f"1 {int(now)} {via} {name}"
    return f"{said} {_mac(read_key(repository), said, repository)}"


def _signed(word: str, repository: str, now: float) -> Pusher:
    if not word:
        raise NotAllowed(
            "unknown pusher: this push did not come through branch-manager's HTTPS or ssh (setting pushes.identity)"
        )
    said, _, mac = word.rpartition(" ")
    parts = said.split(" ")
    import hmac

    sound = hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(read_key(repository), said, repository).encode())
    if not sound or len(parts) != 4 or parts[0] != "1":
        raise NotAllowed("unknown pusher: the transport's signature is invalid")
    age = now - int(parts[1])
    if not -_SKEW <= age <= LONGEST_PUSH:
        raise NotAllowed("unknown pusher: the transport's signature is too old; push again")
    return Pusher(PersonName(parts[3]), parts[2])


def _mac(key: bytes, said: str, repository: str) -> str:
    import hmac

    message = f"{os.path.realpath(repository)}\n{said}".encode("utf-8", "surrogateescape")
    return hmac.digest(key, message, "sha256").hex()


def key_path(repository: str) -> str:
    """Return where the key of a repository lies."""
    return f"{repository}/puppetmaster/pusher.key"


def read_key(repository: str) -> bytes:
    """Return the repository's key; raise `ToolkitError` if there is none, or others may read it."""
    path = key_path(repository)
    try:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            key = stream.read()
    except OSError as error:
        raise ToolkitError(f"the key cannot be read ({error.strerror}); run branch-manager init", where=path) from error
    if mode & 0o077:
        raise ToolkitError("other users can read this key; remove it and run branch-manager init", where=path)
    if len(key) != 32:
        raise ToolkitError("this key is damaged; remove it and run branch-manager init", where=path)
    return key


def make_key(repository: str) -> bool:
    """Make the repository's key unless there is one; return whether one was made."""
    path = key_path(repository)
    if os.path.exists(path):
        return False
    # Of two that run at once, one key stays.
    return whole_file.make(path, os.urandom(32), mode=0o600, survives=Strength.POWER_CUT)
