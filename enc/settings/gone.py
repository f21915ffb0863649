"""Settings that there were once, and what holds instead. Pure.

A file that still has one stays valid: the setting is passed over, and whoever
starts a command or looks at the file is told (config.py, `config check`). So a
master goes on answering after an upgrade in the night. It follows what may
stand here: only a setting that may be passed over without anybody being
allowed more than before. One that keeps somebody out stays a setting.
"""

from __future__ import annotations

from collections.abc import Mapping

SINCE = "0.1.0"
"""The version since which these are gone."""

GONE: Mapping[str, str] = {
    "follow.beat": "it is always 2s",
    "instances.poll": "it is always 10s",
    "instances.agent.longest": "it is always 16384; `enc-admin instance user-data --gzip` makes room",
    "instances.agent.install_time": "it is always 15m",
    "instances.agent.signing_time": "it is always 15m",
    "instances.agent.run_time": "it is always 1h",
    "instances.agent.runs": "it is always 3",
    "signing.journal_bytes": "it is always 10485760",
    "openstack.threads": "it is always 16",
    "pushes.directory_entries": "it is always 20000",
    "branches.split": "it is always modules, site and site-modules, and the modulepath of a tree's environment.conf",
    "branches.upkeep": "it is always 3s for projects, 30s for flushes, 1h for the others; if it was set to stop "
    "branches from being created or archived: rules without <name> create none for projects, and "
    "branches.topics_unused says when topics end",
    "self_master.local_branch": "it is always local; a self-master with another name must rename that branch (git "
    "branch -m, in its repository and its working copy)",
    "self_master.modulepath": "it is always Puppet's own basemodulepath",
    "self_master.sync.compile_command": "it is always `puppet catalog compile`; self_master.sync.compile says whether "
    "it is used",
    "self_master.sync.snapshots": "it is always 20",
    "self_master.sync.snapshots_kept": "it is always 90d",
}
"""Dotted key (of a setting or a whole section): what holds now."""
