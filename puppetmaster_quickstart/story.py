"""The toolkit's story, told with real servers below one directory; `./quickstart` runs it.

It does what a site would do, with the commands that a site would use, and
shows each of them: a directory, projects, the follower, a repository whose
branches are environments, a puppetserver, instances that build themselves from
their user data, an edit, pushes and the runs that bring them, a promotion, an instance's
end and return, and one that becomes its own master and goes back.

Owns the order of the chapters (each is a function of a module *_chapters.py),
and the directory that it is given: each telling begins by stopping what runs
there and removing it. Servers listen on the loopback and are ended by their
recorded pids. If a step fails the servers are stopped, the files stay, and the
failure is one line with the program's output above it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from enc.programs.entrypoint import run as run_entry_point
from enc.terms.errors import ExitStatus, ToolkitError, UsageError
from puppetmaster_quickstart import change_chapters, compiled_ruby, instance_chapters, site_chapters
from puppetmaster_quickstart.cast import DEMO, WEB_1, branch_of
from puppetmaster_quickstart.servers import Servers
from puppetmaster_quickstart.stage import Stage

CHAPTERS = (
    *(site_chapters.directory, site_chapters.projects, site_chapters.branches, site_chapters.puppetserver),
    *(instance_chapters.instances, instance_chapters.first_runs),
    *(change_chapters.edit, change_chapters.refused, change_chapters.push, change_chapters.promotion),
    instance_chapters.gone_and_back,
    change_chapters.own_master,
)
"""The story, in the order in which it is told."""


def tell_all(servers: Servers) -> None:
    """Do it all, from nothing; raise `ToolkitError` where a step fails."""
    servers.stop()
    shutil.rmtree(servers.base, ignore_errors=True)
    servers.base.mkdir(parents=True)
    stage = Stage(servers)
    try:
        for chapter in CHAPTERS:
            chapter(stage)
    except BaseException:
        servers.stop()
        raise


def main(arguments: Sequence[str]) -> int:
    """`BASE [stop|status]`: return the exit status."""

    def work() -> int:
        base, action = Path(arguments[0]).absolute(), (list(arguments[1:]) or ["start"])[0]
        servers = Servers(base, base.parent / ".cache/puppetserver")
        compiled_ruby.use(base.parent / ".cache/ruby")
        if action == "stop":
            servers.stop()
            print("Everything is stopped. The files are left in", os.path.relpath(base))
        elif action == "status":
            for name, state in servers.status():
                print(f"{name:<20} {state}")
        elif action == "start":
            _tell(servers)
        else:
            raise UsageError(f"{action!r} is not one of start, stop, status")
        return ExitStatus.DONE

    return run_entry_point("quickstart", work)


def _tell(servers: Servers) -> None:
    try:
        tell_all(servers)
    except ToolkitError as error:
        for note in getattr(error, "__notes__", []):
            print(note, file=sys.stderr)
        raise
    base, bob = os.path.relpath(servers.base), servers.base / "people/bob"
    print(
        f"""\
Everything keeps running; its files are in {base}. To try it yourself:

  export PUPPETMASTER_CONFIG={shlex.quote(str(servers.config))} PATH={shlex.quote(str(servers.scripts))}:$PATH
  enc-admin node explain {WEB_1}
  branch-manager status {branch_of(DEMO)}
  ./quickstart status
  ./quickstart stop

Bob's git, with his password, is that of his home directory:

  HOME={shlex.quote(str(bob))} git -C {shlex.quote(str(bob / "puppet"))} log --oneline
"""
    )
