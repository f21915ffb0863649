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
    "project": "enc.commands.project",
    "schema": "enc.commands.schema",
    "shadow": "enc.commands.shadow",
    "signing": "enc.commands.signing",
    "status": "enc.commands.status",
    "vendordata": "enc.commands.vendordata",
    "who-uses": "enc.commands.who_uses",
}
"""First word to module; a test holds docs/commands.md to it."""
