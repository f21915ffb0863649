"""Turns a bare repository into a managed one, finds what has drifted, and puts things back.

Owns, in the repository: the hooks pre-receive and post-receive, the git
settings in `SETTINGS`, and the directory puppetmaster/ (the key of pusher.py,
what is kept of roles, and `installed.json`: how things were before). A hook of
the same name that was there is kept as HOOK.legacy and called after ours.

Every step can be repeated: install after an interrupted install completes it.
What was before is on disk before anything is changed.

Failure modes: not a bare repository, hooks that git does not read from there
(core.hooksPath), a .legacy in the way: `InstallError`, and nothing is changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.machine_trouble import said
from enc.programs.whole_file import Strength
from enc.settings import Settings
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.program_words import why
from git_hooks.push import pusher
from git_hooks.push.service import socket_path
from git_hooks.repository.git_program import command, git_environment

KINDS = ("pre-receive", "post-receive")

FORMAT = 1
"""Of the hooks' text; stands in it."""

SETTINGS = {
    "receive.fsckObjects": "true",  # objects that are malformed, or that some git would misread
    "core.logAllRefUpdates": "true",  # what a branch was before a rewrite
    "transfer.hideRefs": "refs/archive",  # neither advertised to each client nor pushed to
    "receive.denyDeletes": "false",  # policy decides, not git
    "receive.denyNonFastForwards": "false",
}
"""Settings of git that belong to the hooks. A safeguard of its own: with the hooks gone, archived refs stay hidden."""

_WAIT = 120
"""Seconds that a hook waits for the service before it does the work itself."""

_MARK = "# puppetmaster-toolkit hook"

_TEXT = r"""#!/usr/bin/perl
%(mark)s %(kind)s, format %(format)s. `branch-manager verify` compares this file; do not edit it.
# Whatever fails here refuses the push. Perl, because git needs it anyway and it starts in 2 ms.
my ($repository, $socket, $wait, $legacy, @cold) = (%(values)s);
sub place { join ':', (stat $_[0])[0, 1] }
place('.') eq place($repository) && place('.') or die "this hook belongs to $repository; run branch-manager init\n";
my $updates = do { local $/; <STDIN> } // '';
my @known = grep { /^(PUPPETMASTER_PUSHER$|GL_|GITEA_|GIT_(OBJ|ALT|QUAR))/ && $ENV{$_} !~ /\n/ } sort keys %%ENV;
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { die };
sub feed { open(my $to, '|-', @_) or die "$_[0]: $!\n"; print $to $updates; close $to; $? ? $? >> 8 || 1 : 0 }
my $status = eval {
    alarm $wait;
    # 1, 1: AF_UNIX, SOCK_STREAM. The module that names them takes longer to load than all of this.
    socket(my $service, 1, 1, 0) or die;  # a statement of its own: `my` counts from the next one on
    connect($service, pack('S a* x', 1, $socket)) or die;
    my $said = join '', "%(kind)s\n", (map { "$_=$ENV{$_}\n" } @known), "\n$updates";
    syswrite($service, $said) == length $said && shutdown($service, 1) or die;
    while (<$service>) { return $1 if /^=(\d+)$/; print substr $_, 1 }
    die;
};
alarm 0;
$status = feed(@cold) unless defined $status;
$status = feed($legacy) if !$status && -f $legacy && -x _;
exit $status;
"""


class InstallError(ToolkitError):
    """The repository cannot be managed as it is."""


class Drift(NamedTuple):
    """One thing that is not as install leaves it."""

    where: str
    what: str


def hook_text(kind: str, settings: Settings, configuration: Path) -> str:
    """Return the program of one hook. Pure."""
    repository = settings.branches.repository
    cold = [sys.executable, "-I", "-m", "git_hooks.hook", str(configuration), kind]
    socket = socket_path(settings.branches.store)
    words = [str(repository), str(socket), str(_WAIT), f"{_hook(repository, kind)}.legacy"]
    return _TEXT % {
        "mark": _MARK,
        "kind": kind,
        "format": FORMAT,
        "values": ", ".join(_quoted(word) for word in [*words, *cold]),
    }


def install(settings: Settings, configuration: Path) -> list[str]:
    """Install hooks, settings and key; return what was changed, in words.

    `configuration` is the file that the hooks will read.
    """
    repository = settings.branches.repository
    _check(repository)
    state = repository / "puppetmaster"
    state.mkdir(mode=0o700, exist_ok=True)
    done = _remember(repository)
    for name, wanted in SETTINGS.items():
        if _git(repository, "config", "--get-all", name) != wanted:
            _git(repository, "config", "--replace-all", name, wanted)
            done.append(f"set {name} = {wanted}")
    if pusher.make_key(str(repository)):
        done.append("made the key with which transports sign who is pushing")
    for kind in KINDS:
        done += _install_hook(repository, kind, hook_text(kind, settings, configuration))
    return done


def verify(settings: Settings, configuration: Path) -> list[Drift]:
    """Return what is not as `install` leaves it; nothing: all is well."""
    repository = settings.branches.repository
    try:
        _check(repository)
    except InstallError as error:
        return [Drift(str(repository), error.message)]
    found = []
    for kind in KINDS:
        path = _hook(repository, kind)
        what = _hook_drift(path, hook_text(kind, settings, configuration))
        if what:
            found.append(Drift(str(path), what))
    for name, wanted in SETTINGS.items():
        now = _git(repository, "config", "--get-all", name)
        if now != wanted:
            found.append(Drift(f"{repository}/config", f"{name} is {now or 'not set'}, should be {wanted}"))
    try:
        pusher.read_key(str(repository))
    except ToolkitError as error:
        found.append(Drift(error.where or "", error.message))
    return found


def uninstall(settings: Settings) -> list[str]:
    """Put hooks and settings back as they were before `install`; return what was changed.

    Raise `NotFound` if nothing is installed.
    """
    repository = settings.branches.repository
    state = repository / "puppetmaster"
    note = state / "installed.json"
    try:
        before: dict[str, str] = dict(json.loads(note.read_text(encoding="utf-8")).items())
    except FileNotFoundError as error:
        raise NotFound("no hooks of the branch manager are installed", where=str(repository)) from error
    except (ValueError, AttributeError) as error:
        text = "is damaged, so git's earlier settings are unknown; make it `{}` if there were none"
        raise InstallError(text, where=str(note)) from error
    done = []
    for kind in KINDS:
        path = _hook(repository, kind)
        if not _ours(path):
            continue
        legacy = path.with_name(f"{kind}.legacy")
        if legacy.exists():
            legacy.rename(path)
            done.append(f"put {kind} back")
        else:
            path.unlink()
            done.append(f"removed {kind}")
    for name in SETTINGS:
        old = before.get(name, "")
        if _git(repository, "config", "--get-all", name) != old:
            _git(repository, "config", "--unset-all", name)
            for value in old.split("\n") if old else ():
                _git(repository, "config", "--add", name, value)
            done.append(f"put {name} back")
    for path in sorted(state.glob("**/*"), reverse=True):
        if path != note:  # the last, so that who comes after a kill still finds that there is something to put back
            path.rmdir() if path.is_dir() else path.unlink()
    note.unlink()
    state.rmdir()
    return done


def _check(repository: Path) -> None:
    """Raise `InstallError` unless git reads hooks of a bare repository from where we put them."""
    if not repository.is_dir():
        raise InstallError("no such repository; create it with git init --bare", where=str(repository))
    if _git(repository, "rev-parse", "--is-bare-repository") != "true":
        what = "is not a bare repository that this user may use; create it with git init --bare or git clone --bare"
        raise InstallError(what, where=str(repository))
    hooks = _git(repository, "rev-parse", "--git-path", "hooks")
    if os.path.realpath(repository / hooks) != os.path.realpath(repository / "hooks"):
        raise InstallError(f"git reads hooks from {hooks} (core.hooksPath); unset that", where=str(repository))


def _remember(repository: Path) -> list[str]:
    """Note how git was set before, once."""
    path = repository / "puppetmaster" / "installed.json"
    if path.exists():
        return []
    before = {name: _git(repository, "config", "--get-all", name) for name in SETTINGS}
    text = json.dumps(before, indent=1) + "\n"
    whole_file.write(path, text, mode=0o600, survives=Strength.POWER_CUT)
    return [f"recorded in {path} how it was before"]


def _install_hook(repository: Path, kind: str, text: str) -> list[str]:
    path = _hook(repository, kind)
    path.parent.mkdir(exist_ok=True)
    done = []
    if path.exists() and not _ours(path):
        legacy = path.with_name(f"{kind}.legacy")
        if legacy.exists():
            raise InstallError(f"this and {legacy.name} are both foreign hooks; remove one of them", where=str(path))
        # A link, so that at every moment one of the two hooks is in force.
        os.link(path, legacy)
        done.append(f"kept the existing {kind} as {legacy.name}")
    if _hook_drift(path, text):
        whole_file.write(path, text, mode=0o755, survives=Strength.POWER_CUT)
        done.append(f"installed {kind}")
    return done


def _hook(repository: Path, kind: str) -> Path:
    return repository / "hooks" / kind


def _hook_drift(path: Path, text: str) -> str:
    if not path.exists():
        return "is missing: git accepts every push, or nothing is deployed"
    if not os.access(path, os.X_OK):
        return "is not executable, so git ignores it"
    if not _ours(path):
        return "is not ours"
    return "" if path.read_text(encoding="utf-8", errors="replace") == text else "differs from what init writes"


def _ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return _MARK in stream.read(200)
    except FileNotFoundError:
        return False


def _git(repository: Path, *arguments: str) -> str:
    """Return what git says, an empty text if it says no; raise `InstallError` if it cannot do what it should."""
    try:
        done = subprocess.run(
            command(str(repository), *arguments),
            # What the git that serves pushes reads: the account's and the machine's settings count.
            env=git_environment(os.environ) | {"GIT_ALLOW_PROTOCOL": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise InstallError(f"git cannot be started: {said(error)}", where=str(repository)) from error
    if done.returncode and arguments[0] == "config" and arguments[1] != "--get-all" and done.returncode != 5:
        raise InstallError(f"git config failed: {why(done.stderr)}", where=str(repository))
    return done.stdout.strip("\n") if done.returncode == 0 else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"
