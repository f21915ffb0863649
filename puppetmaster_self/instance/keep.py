"""What nobody may lose: local commits and uncommitted work of the instance's own repository.

`bundle` writes the local commits into one file, `push` brings them to the
central repository; both tell the reason if they cannot. `set_aside` is the
floor below both, for it needs neither git nor a network: unless git proves
that there is nothing of value, repository and working copy are renamed into
the place of what is kept, whole.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName
from enc.terms.program_words import why, without_credentials
from puppetmaster_self.instance.machine import Done, Machine, ProgramFailed

WITHOUT_QUESTIONS: Mapping[str, str] = MappingProxyType(
    {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never"}
)
"""Lets git and ssh, started without a terminal, fail at once where they would ask for a password or about a host key.

GIT_SSH_COMMAND is not set: it would win over core.sshCommand, with which a site may name its key.
"""
FETCH = ("--quiet", "--update-shallow")
"""Options of `git fetch`. Without the second, git takes nothing from a shallow central repository, and says it did."""
REMOTE = "upstream"
"""Name of the central repository in the instance's own; its branches are refs/remotes/upstream/BRANCH."""
_LOCAL = 300.0
_REFUSED = re.compile(
    r"terminal prompts disabled|Authentication failed|Permission denied \(|Host key verification failed|"
    r"could not read (Username|Password)"
)
_ALSO = ("--glob=refs/parked/*", "--glob=refs/snapshots/*", "--glob=refs/kept/*")
"""Where patches may be that the local branch does not hold."""


LOCAL = BranchName("local")
"""Branch of the instance's own repository that holds the local commits, and is served."""


class Work(NamedTuple):
    """The local commits at one moment."""

    tip: str
    ahead: int
    """How many commits the central repository does not have, as far as was fetched."""
    behind: int
    """How many commits of the central branch are not in the local one."""


class Kept(NamedTuple):
    """What became of the local commits."""

    commits: int
    bundle: str | None
    pushed: str | None
    """Branch of the central repository that holds them."""
    reason: str
    """Why they were not pushed; empty if they were."""


def git(machine: Machine, repository: Path, *words: str, timeout: float = _LOCAL) -> Done:
    """Run git in a repository; raise `ProgramFailed` with its words if it fails."""
    environment = {**WITHOUT_QUESTIONS, "GIT_NO_REPLACE_OBJECTS": "1"}
    return machine.run("git", "-C", str(repository), *words, timeout=timeout, environment=environment)


def reason(words: str) -> str:
    """Return in one line why git failed, without credentials, and what to do where that can be told."""
    hint = " (git cannot ask for a password here: give it a key or a credential helper)"
    return why(words) + (hint if _REFUSED.search(words) else "")


def shown(text: str) -> str:
    """Return a text without the credentials of URLs in it."""
    return without_credentials(text)


def work(machine: Machine, repository: Path, local: BranchName, branch: BranchName) -> Work:
    """Return what the local branch has beyond the central one."""
    tip = git(machine, repository, "rev-parse", "--verify", local.ref).output.strip()
    theirs = f"refs/remotes/{REMOTE}/{branch}"
    counts = git(machine, repository, "rev-list", "--left-right", "--count", f"{theirs}...{local.ref}").output.split()
    return Work(tip, int(counts[1]), int(counts[0]))


def bundle(machine: Machine, repository: Path, local: BranchName, place: Path) -> Path | None:
    """Write every commit that the central repository does not have into one verified file below `place`.

    Return the file; None if there is no such commit.
    """
    refs = (local.ref, *_ALSO)
    new = git(machine, repository, "rev-list", "--count", *refs, "--not", f"--remotes={REMOTE}").output.strip()
    if new == "0":
        return None
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = place / "local.bundle"
    with whole_file.filled(file, mode=0o600, survives=Strength.POWER_CUT) as aside:
        git(machine, repository, "bundle", "create", str(aside), *refs, "--not", f"--remotes={REMOTE}")
        git(machine, repository, "bundle", "verify", "--quiet", str(aside))
    return file


def push(machine: Machine, repository: Path, local: BranchName, target: BranchName, timeout: float) -> str:
    """Push the local branch to the central repository; return why that failed, empty if it did not."""
    try:
        git(machine, repository, "push", "--quiet", REMOTE, f"{local.ref}:{target.ref}", timeout=timeout)
    except ProgramFailed as error:
        return str(error)
    return ""


def record(place: Path, kept: Kept) -> None:
    """Write down beside the bundle what it is."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole_file.write(
        place / "kept.json",
        (json.dumps(kept._asdict(), indent=2) + "\n").encode(),
        mode=0o600,
        survives=Strength.POWER_CUT,
    )


def recorded(place: Path) -> Kept | None:
    """Read what `record` wrote; None if there is nothing."""
    try:
        return Kept(**json.loads((place / "kept.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def worthless(machine: Machine, repository: Path, working_copy: Path | None, bundled: bool) -> bool:
    """Tell whether git proves that nothing would be lost with the repository and its working copy.

    `bundled`: what the repository alone has is in a bundle already. Any doubt means no.
    """
    try:
        if not bundled:
            words = ("rev-list", "--count", "--branches", "--tags", *_ALSO)
            if git(machine, repository, *words, "--not", f"--remotes={REMOTE}").output.strip() != "0":
                return False
        return working_copy is None or clean(machine, working_copy, repository)
    except ToolkitError:
        return False


def clean(machine: Machine, working_copy: Path, repository: Path) -> bool:
    """Tell whether a working copy holds nothing that its repository does not have."""
    if git(machine, working_copy, "status", "--porcelain", "--ignored").output.strip():
        return False
    if git(machine, working_copy, "stash", "list").output.strip():
        return False
    tips = git(machine, working_copy, "for-each-ref", "--format=%(objectname)", "refs/heads").output.split()
    return all(_has(machine, repository, tip) for tip in {*tips, *_head(machine, working_copy)})


def _head(machine: Machine, working_copy: Path) -> Sequence[str]:
    return git(machine, working_copy, "rev-parse", "HEAD").output.split()


def _has(machine: Machine, repository: Path, commit: str) -> bool:
    """Tell whether a branch of the repository holds a commit; an object without a ref will be collected one day."""
    words = ("branch", "--all", "--format=%(refname)", "--contains", commit)
    return bool(git(machine, repository, *words).output.strip())


def set_aside(path: Path, place: Path) -> str:
    """Move a directory below `place`; return what to tell. Where it cannot be renamed, it stays where it is."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = place / path.name
    number = 1
    while target.exists():
        number += 1
        target = place / f"{path.name}.{number}"
    try:
        path.rename(target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EBUSY):
            raise
        return f"{path} holds local work and stays where it is"
    whole_file.sync(place)
    return f"{path} holds local work and was moved to {target}"


def removed(path: Path) -> None:
    """Remove a directory that holds nothing of value; it vanishes from its place at once, then file by file."""
    doomed = path.with_name(f".{path.name}.gone")
    if doomed.exists():
        shutil.rmtree(doomed)
    if path.exists():
        path.rename(doomed)
        shutil.rmtree(doomed)
