"""What a file of a tree is to puppetserver, told from where it lies. Pure.

Facts from Puppet's sources (7.23 and 8.10): Ruby is loaded from `lib/` of
modules only (util/autoload.rb, pops/loader/module_loaders.rb); `template()`
evaluates any file of a module's `templates/` as ERB, whatever its name
(parser/functions/template.rb, module.rb), and `epp()` any of them as EPP; a
directory named as manifest has its `*.pp` read, a file is read whatever its
name is (node/environment.rb, perform_initial_import). With `disable_i18n = false`,
translations of modules are loaded from `locales/`, and FastGettext evaluates the
rule of plurals in them as Ruby (fast_gettext/mo_file.rb, pluralisation_rule). Which directories hold
modules the tree says itself (environment.conf), so a directory called `lib` or
`templates` counts wherever it is.

What lies below `lib/facter` and `lib/augeas` goes to agents: the server hands it
out and loads none of it by itself (tests/real/test_puppetserver.py). But Puppet code can name a Ruby class as
`Runtime[ruby, '../files/x']`, in code, in a text that becomes a type, or in data (`convert_to`), and Puppet loads the
file of that name, from anywhere, if it ends in `.rb` (pops/types/class_loader.rb, util/autoload.rb). Such data can be
computed, so it is the file that must not be there.
"""

from __future__ import annotations

from enum import Enum

_AGENTS = ("facter", "augeas")
"""Directories of lib/ that only agents load."""


class Role(Enum):
    """What puppetserver does with a file."""

    NOTHING = "only serves it as a file, or reads it as data of its own environment"
    RUBY = "loads it as Ruby"
    LOADABLE = "can be made to load it as Ruby"
    ERB = "evaluates it as ERB, which is Ruby"
    MANIFEST = "evaluates it as Puppet code"
    EPP = "evaluates it as EPP"
    HIERA = "reads data as it says"
    CONF = "lays out the environment as it says"
    LOCALE = "evaluates what it says of plurals, which is Ruby"
    TYPES = "treats it as its own description of types"


def role(path: str) -> Role:
    """Return what puppetserver does with the file at `path` of a tree."""
    *directories, name = path.split("/")
    if ".resource_types" in directories or name == ".resource_types":
        return Role.TYPES
    if _loaded(directories):
        return Role.RUBY
    if name.endswith(".rb"):
        return Role.LOADABLE
    if _translation(directories, name):
        return Role.LOCALE
    if "templates" in directories:
        return Role.EPP if name.endswith(".epp") else Role.ERB
    if name.endswith(".pp") or path == "manifests":
        return Role.MANIFEST
    if name == "hiera.yaml":
        return Role.HIERA
    return Role.CONF if path == "environment.conf" else Role.NOTHING


def plan(path: str) -> bool:
    """Tell whether a manifest is one of Bolt's plans, whose syntax no catalog's compiler takes."""
    return "plans" in path.split("/")[:-1]


def misleads(path: str, target: str) -> str:
    """Return why a link at `path` with `target` would make other files server code; empty if it does not.

    Only names are looked at: what lies at the target has been, or will be, looked at as what its own path says.
    So a link may lead from one place to another at which the same is made of a file.
    """
    *directories, name = path.split("/")
    here = _of_link(directories, name)
    if not here:
        return ""
    words = target.split("/")
    while words and words[0] in ("..", "."):
        if words.pop(0) == "..":
            if not directories:
                return "leaves the tree"
            directories = directories[:-1]
    if any(word in ("", ".", "..") for word in words):
        return "goes back up on its way, so its end cannot be determined"
    where = [*directories, *words]
    there = _of_link(where[:-1], where[-1]) if where else ""
    return "" if there == here else f"makes puppetserver read {'/'.join(where) or 'the tree'} as {here}"


def _of_link(directories: list[str], name: str) -> str:
    """Return as what a link, or what is below it, is read."""
    if ".resource_types" in (*directories, name):
        return "a description of types"
    if _loaded([*directories, name]):
        return "Ruby (below lib/)"
    if name.endswith(".rb"):
        return "Ruby (.rb)"
    if "locales" in (*directories, name):
        return "translations (below locales/)"
    if "templates" in (*directories, name):
        return "EPP" if name.endswith(".epp") else "a template"
    if name.endswith(".pp"):
        return "a manifest (.pp)"
    return "hiera.yaml" if name == "hiera.yaml" else ""


def _translation(directories: list[str], name: str) -> bool:
    """Tell whether gettext may load a file; which of its forms, a setting or another version of it decides."""
    return "locales" in directories and name.lower().rpartition(".")[2] in ("po", "mo")


def _loaded(directories: list[str]) -> bool:
    """Tell whether the server may load what is below these directories."""
    after = [directories[at + 1 : at + 2] for at, name in enumerate(directories) if name == "lib"]
    return any(not following or following[0] not in _AGENTS for following in after)
