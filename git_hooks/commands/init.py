"""`branch-manager init`: a bare repository becomes a managed one."""

from __future__ import annotations

import argparse
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.terms.errors import UsageError
from git_hooks.commands.target import dry_run_option
from git_hooks.push import install
from git_hooks.store import code_programs

SUMMARY = "install the hooks into the repository; what was there before is kept, and `uninstall` puts it back"


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
        call.show({"dry_run": True, "changes": found}, found or ["all is as it should be"])
        return 0
    done = install.install(settings, call.config_path.absolute())
    if code_programs.link(call.config_path.absolute(), settings.branches):
        done = [*done, f"{call.config_path}.store, .environments: links for puppetmaster-code-id"]
    call.show({"dry_run": False, "changes": done}, done or ["all was as it should be"])
    return 0
