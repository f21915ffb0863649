"""`branch-manager init`: a bare repository becomes a managed one."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.programs.whole_file import NotWritten
from enc.terms.errors import UsageError
from git_hooks.commands.target import dry_run_option
from git_hooks.push import install
from git_hooks.store import code_programs

SUMMARY = "install the hooks into the repository; the previous hooks are kept, and `uninstall` puts them back"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "repository", metavar="REPO", nargs="?", help="must be the configured one (branches.repository)"
    )
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Install; nothing is changed where all is well."""
    settings = call.settings
    given = call.arguments.repository
    if given is not None and Path(given).resolve() != settings.branches.repository.resolve():
        raise UsageError(f"the hooks would serve {settings.branches.repository}; set branches.repository to {given}")
    if call.arguments.dry_run:
        found = [f"{drift.where}: {drift.what}" for drift in install.verify(settings, call.config_path.absolute())]
        call.show({"dry_run": True, "changes": found}, found or ["everything is in place"])
        return 0
    done = install.install(settings, call.config_path.absolute())
    try:
        if code_programs.link(call.config_path.absolute(), settings.branches):
            done = [*done, f"{call.config_path}.store, .environments: links for puppetmaster-code-id"]
    except NotWritten:
        # Beside a configuration of root's, and this is the repository's owner (docs/branch-manager.md, "As whom").
        for place, target in code_programs.missing(call.config_path.absolute(), settings.branches).items():
            call.say(f"for static catalogs, as root: {shlex.join(('ln', '-sfn', str(target), str(place)))}")
    call.show({"dry_run": False, "changes": done}, done or ["everything was already in place"])
    return 0
