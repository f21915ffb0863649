"""An example of each command of `branch-manager`, as the help shows it; a test gives each to the parser."""

from __future__ import annotations

EXAMPLES: dict[str, str] = {
    "allow-secret": "allow-secret 0123456789abcdef --path 'modules/demo/spec/*' --reason 'a key made for tests, T125'",
    "approve": "approve modules/demo/lib/facter/rack.rb --on review/demo/rack --reason 'read it, T123'",
    "audit-code": "audit-code project/demo",
    "authorized-keys": "authorized-keys alice",
    "classes": "classes project/demo web::proxy",
    "completion": "completion bash > /etc/bash_completion.d/branch-manager",
    "deploy": "deploy project_demo",
    "diff": "diff project/demo --node web-1.example.org",
    "doctor": "doctor",
    "expire": "expire --dry-run",
    "gc": "gc",
    "gerrit-hook": "gerrit-hook ref-updated --refname refs/heads/production",
    "hold": "hold production --reason 'T123: release freeze'",
    "hooks": "hooks",
    "init": "init --dry-run",
    "list": "list --not-live",
    "make-branches": "make-branches --dry-run",
    "refusals": "refusals demo --since 2d",
    "release": "release production",
    "restore": "restore topic/demo/faster",
    "rollback": "rollback production --reason 'T124: catalogs fail'",
    "serve": "serve",
    "ssh-shell": "ssh-shell alice",
    "status": "status project/demo",
    "token create": "token create pipeline --for robot-demo --expires 90d",
    "token list": "token list",
    "token revoke": "token revoke 1a2b3c4d",
    "uninstall": "uninstall",
    "units": "units /etc/systemd/system",
    "verify": "verify",
    "verify-store": "verify-store",
    "wait": "wait 1a2b3c4d5e6f --environment project_demo --timeout 10m",
}
"""Command to a whole command line, both without the program's name."""
