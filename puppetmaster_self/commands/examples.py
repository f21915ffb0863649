"""An example of each command of `puppetmaster-self`, as the help shows it; a test gives each to the parser."""

from __future__ import annotations

EXAMPLES: dict[str, str] = {
    "completion": "completion bash > /etc/bash_completion.d/puppetmaster-self",
    "disable": "disable --dry-run",
    "doctor": "doctor",
    "enable": "enable --upstream https://puppet.example.org/repository.git --branch project/demo",
    "invite": "invite web-2.demo.example.org",
    "recover": "recover",
    "send": "send 1",
    "status": "status",
    "sync": "sync --dry-run",
}
"""Command to a whole command line, both without the program's name."""
