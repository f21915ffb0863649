"""The walls between effects: who may import what. To widen one, edit its line here in the same commit."""

from __future__ import annotations

import ast
import importlib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("enc", "git_hooks", "puppetmaster_self")

WALLS = {
    "ldap3": ["enc.directory.*"],
    "openstack": ["enc.cloud.client"],
    "keystoneauth1": ["enc.cloud.client"],
    "sqlite3": ["enc.answers.copy", "enc.answers.worklist"],
    "pygit2": ["git_hooks.repository.library"],
    "ssl": ["enc.directory.wire", "enc.https", "enc.web_server"],
    "http": [
        *("enc.answers.metrics", "enc.https", "enc.authority.client", "enc.cloud.vendordata"),
        *("git_hooks.puppetserver", "git_hooks.transport.http", "git_hooks.mirror.*"),
    ],
    "gunicorn": ["enc.web_server"],
    "socket": [
        *("enc.directory.wire", "enc.directory.place", "enc.directory.slapd_process", "enc.systemd.notify"),
        *("enc.https", "enc.web_server", "git_hooks.service"),
        *("puppetmaster_self.private_master", "puppetmaster_self.facts"),
    ],
    "subprocess": [
        "enc.directory.slapd_process",  # slapd, slapadd, slapcat, slaptest
        "enc.doctor.account",  # this program again, as the puppet user
        "enc.puppet_packages",  # dpkg-query, rpm
        "enc.puppet_settings",  # puppet config print
        "enc.shadow",  # another ENC
        "git_hooks.install",  # git config
        "git_hooks.mirror.upstream",  # git, over the network
        "git_hooks.puppetfile.program",  # r10k, g10k
        "git_hooks.resource_types",  # puppet generate types
        "git_hooks.refstore",  # git
        "git_hooks.transport.backend",  # git http-backend
        "puppetmaster_self.*",  # puppetserver, puppet agent, java
    ],
    "cryptography": ["enc.authority.origin", "enc.authority.revocations", "enc.signing.request"],
    "getpass": ["enc.commands.*"],
    "argparse": ["enc.cli", "enc.commands.*", "enc.reference", "git_hooks.commands.*", "puppetmaster_self.commands.*"],
    "fcntl": [
        *("enc.answers.*", "enc.audit", "enc.directory.embedded", "enc.instances.journal", "enc.signing.refusals"),
        *("git_hooks.locks", "puppetmaster_self.journal"),
    ],
    "yaml": [
        *("enc.config", "enc.config_reference", "enc.directory.embedded_config", "enc.importing.*", "enc.shadow"),
        "enc.instances.reports",
        "enc.instances.user_data",
        *("puppetmaster_self.quickstart_servers", "puppetmaster_self.facts", "puppetmaster_self.private_instance"),
        "puppetmaster_self.classified",
        *("puppetmaster_self.quickstart_instances", "puppetmaster_self.quickstart_lab"),
    ],
}
"""Module of an effect or a format: our modules that may import it. No other may."""

PURE = (
    *("enc.classify.*", "enc.names", "enc.dn", "enc.filters", "enc.errors", "enc.directory.entries"),
    *("enc.instances.enrolment", "enc.instances.entry", "enc.instances.naming", "enc.instances.states"),
    "enc.signing.request",
    "enc.signing.policy",
    "enc.cloud.nova",
    *("puppetmaster_self.states", "puppetmaster_self.puppet_conf", "puppetmaster_self.preflight"),
    "puppetmaster_self.upstream",
    *("enc.instances.repairs", "enc.reserved", "enc.authority.statuses", "enc.authority.origin"),
    *("enc.directory.ber", "enc.directory.messages", "enc.directory.search_filter", "enc.directory.sync_messages"),
)
EFFECTS = frozenset(
    {
        *("os", "io", "pathlib", "shutil", "tempfile", "socket", "ssl", "select", "selectors", "subprocess", "signal"),
        *("sqlite3", "ldap3", "yaml", "time", "datetime", "random", "secrets", "threading", "logging", "sys", "fcntl"),
    }
)

GROUND = ("enc.names", "enc.dn", "enc.filters", "enc.errors", "enc.config", "enc.settings", "enc.reserved")
MAY_USE = {
    "enc.classify": ("enc.classify", *GROUND),
    "enc.directory": ("enc.directory", "enc.classify", *GROUND),
    "enc": ("enc",),
    "git_hooks": ("enc", "git_hooks"),
    "puppetmaster_self": ("enc", "git_hooks", "puppetmaster_self"),
}
"""Direction: a package uses only these of ours. The longest key that fits counts."""

FORBIDDEN_WORDS = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "handler", "misc"})


@cache
def modules() -> dict[str, ast.Module]:
    """Return our modules, parsed."""
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(file.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> set[str]:
    """Return the dotted names that a module imports anywhere, with what is taken from them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def importers(name: str) -> set[str]:
    return {module for module, tree in modules().items() if any(_is(found, name) for found in imports(tree))}


def _is(found: str, name: str) -> bool:
    return found == name or found.startswith(name + ".")


@pytest.mark.parametrize("effect", WALLS)
def test_only_these_import(effect: str) -> None:
    allowed = WALLS[effect]
    assert [m for m in sorted(importers(effect)) if not any(fnmatchcase(m, pattern) for pattern in allowed)] == []


def test_the_pure_core_has_no_effects() -> None:
    core = {m: tree for m, tree in modules().items() if any(fnmatchcase(m, pattern) for pattern in PURE)}
    assert len(core) > len(PURE)
    found = {(m, name) for m, tree in core.items() for name in imports(tree) if name.partition(".")[0] in EFFECTS}
    assert found == set()


def test_imports_point_inwards() -> None:
    wrong = []
    for module, tree in modules().items():
        key = max((key for key in MAY_USE if _is(module, key)), key=len)
        for name in imports(tree):
            ours = name.partition(".")[0] in PACKAGES
            if ours and not any(_is(name, allowed) for allowed in MAY_USE[key]):
                wrong.append(f"{module} imports {name}")
    assert wrong == []


COMMAND_LINES = (
    *("enc.commands", "enc.cli", "git_hooks.commands", "git_hooks.cli"),
    *("puppetmaster_self.commands", "puppetmaster_self.cli"),
)


def test_services_do_not_know_the_command_line() -> None:
    assert {m for m in importers("enc.commands") if not m.startswith(COMMAND_LINES)} == set()


def test_every_module_says_what_it_is_for() -> None:
    silent = [m for m, tree in modules().items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_every_public_name_is_documented() -> None:
    silent = []
    for module, tree in modules().items():
        for node in tree.body:
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            if not isinstance(node, kinds) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and (module, node.name) not in _told_elsewhere(module):
                silent.append(f"{module}.{node.name}")
    assert silent == []


def _told_elsewhere(module: str) -> set[tuple[str, str]]:
    """The two functions of a command module are described once, in enc.commands."""
    command = module.startswith(("enc.commands.", "git_hooks.commands.", "puppetmaster_self.commands."))
    return {(module, "configure"), (module, "run")} if command else set()


def test_no_module_is_named_for_nothing() -> None:
    words = {(m, word) for m in modules() for part in m.split(".") for word in part.split("_")}
    assert {m for m, word in words if word in FORBIDDEN_WORDS} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_can_be_imported_without_a_configuration(package: str) -> None:
    for module in modules():
        if _is(module, package) and not module.endswith("__main__"):
            importlib.import_module(module)
