"""The commands of `enc-admin`: one module for each first word.

A command module parses its part of the command line, calls one use case, and
prints: data to stdout (`--json`: one JSON document), words to stderr. It holds
no rule of its own; rules stand in the services that the API and the console
call too. Every module has

- `SUMMARY`: one line for the overview,
- `configure(parser)`: adds its arguments,
- `run(call)`: does it, returns the exit status.

`enc.cli` imports only the module that is asked for, because some of them are
run often and by programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enc.cli import Whose
    from enc.commands.call import Call

COMMANDS: dict[str, str] = {
    "answer": "enc.commands.answer",
    "certificate": "enc.commands.certificate",
    "completion": "enc.commands.completion",
    "config": "enc.commands.config",
    "directory": "enc.commands.directory",
    "doctor": "enc.commands.doctor",
    "export": "enc.commands.export",
    "follow": "enc.commands.follow",
    "import": "enc.commands.importing",
    "instance": "enc.commands.instance",
    "node": "enc.commands.node",
    "person": "enc.commands.person",
    "project": "enc.commands.project",
    "schema": "enc.commands.schema",
    "shadow": "enc.commands.shadow",
    "signing": "enc.commands.signing",
    "status": "enc.commands.status",
    "vendordata": "enc.commands.vendordata",
    "who-uses": "enc.commands.who_uses",
}
"""First word to module; a test holds docs/commands.md to it."""

GROUPS: dict[str, tuple[str, ...]] = {
    "nodes, projects and people": ("node", "project", "person", "who-uses"),
    "instances and their certificates": ("instance", "certificate", "signing"),
    "the directory, and data from elsewhere": ("directory", "schema", "import", "export", "shadow"),
    "this installation": ("config", "doctor", "status", "completion"),
    "called by units and programs, not by people": ("answer", "follow", "vendordata"),
}
"""Title to first words, as the help shows them."""


def _answers(call: Call) -> Sequence[Path]:
    """Return the follower's directory."""
    return (call.settings.answers.directory,)


def _revocation_lists(call: Call) -> Sequence[Path]:
    """Return the files of this master's puppetserver that `certificate crl` writes."""
    return call.arguments.files or call.settings.authorities.crl_files or (Path("/"),)


AS_ROOT: dict[str, Whose] = dict.fromkeys(COMMANDS) | {
    "answer": _answers,
    "certificate crl": _revocation_lists,
    "follow": _answers,
    "status": _answers,
}
"""As whom a command is done that root runs (enc.programs.accounts): as the owner of these places; None: as root.

Root stays root where only LDAP and files of its own are looked at (`config`, `export`, `node`, `schema` …), where it
writes the trail and the journal of operations (whole_file and json_lines follow no link of somebody else's), and in
`doctor`, which becomes each account that it looks for. `directory` refuses everybody but the owner.
"""
