"""The names and values that Puppet keeps to itself, as data, and what it does with each. Pure.

Learned by compiling and by turning catalogs into an agent's resources, not from
the documentation: tests/real/test_puppet_names.py does it again with the Puppet
that is installed. Puppet 7.23, 7.35 and 8.11, OpenVox 7.37, 8.28 and 9.0.0-beta2
do the same, so there is one list for all of them. In Puppet's code:

- variables: `set_node_parameters` in parser/compiler.rb sets each parameter of the
  ENC at top scope, before the class `main` sets its own there
  (`set_resource_parameters` in resource/type.rb); `setvar` in parser/scope.rb;
- classes: KEYWORDS in pops/parser/lexer2.rb, RESERVED_TYPE_NAMES in
  pops/validation/checker4_0.rb; `main`, `settings` and `component` are classes of
  Puppet itself (parser/compiler.rb, type/component.rb);
- class parameters: RESERVED_PARAMETERS in the checker, `setvar` again, and the
  metaparameters of type.rb;
- facts: lib/schema/facter.yaml of Facter 4, whose legacy ones (`hidden`) only
  Puppet 7 sends by default.

Each `…_fault` returns why Puppet cannot use something, None if it can. Each
`…_advice` returns what somebody should know about what works.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_OWN: Final = "Puppet reserves the variable {0}: it sets it in each class, and no catalog compiles with another value"
_FORGED: Final = "Puppet reserves the variable {0}, and no catalog compiles with another value"

VARIABLES: Final[Mapping[str, str]] = {
    # `main`, the class of everything at top scope, sets these after the ENC's: "Cannot reassign variable".
    **dict.fromkeys(("name", "title", "module_name"), _OWN),
    # "Attempt to assign to a reserved variable name"; `trusted` that is neither null nor false is dropped.
    **dict.fromkeys(("facts", "trusted", "server_facts"), _FORGED),
    "environment": "Puppet reserves the variable {0}: it is always the environment's name, whatever an ENC says",
}
"""Variable to what Puppet does with one of that name; all but `environment` stop the catalog."""

_NUMERIC = re.compile(r"^[0-9]+$", re.MULTILINE)  # Ruby's ^ and $ stand at each line, too
_READABLE = re.compile(r"(?:[a-z]\w*::)*[a-z_]\w*", re.ASCII)


def variable_fault(name: str) -> str | None:
    """Return why a top-scope variable of that name stops every catalog or is lost; None: Puppet takes it."""
    if name in VARIABLES:
        return VARIABLES[name].format(name)
    if _NUMERIC.search(name):
        return "Puppet reserves variables made of digits for the matches of regular expressions"
    if name.startswith("settings::"):
        return "Puppet reserves the variables below settings:: for its settings"
    return None


PUPPETS_OWN: Final = frozenset(
    {
        *("clientcert", "clientversion", "clientnoop", "agent_specified_environment", "puppetversion"),  # the agent
        *("servername", "serverip", "serverip6", "serverversion", "pe_serverversion"),  # node/server_facts.rb
        "caller_module_name",
    }
)
"""Top-scope variables that agent and server add to the facts; an ENC's of the same name wins, silently."""

CORE_FACTS: Final = frozenset(
    {
        *("aio_agent_version", "augeas", "az_metadata", "cloud", "disks", "dmi", "ec2_metadata", "ec2_userdata"),
        *("env_windows_installdir", "facterversion", "filesystems", "fips_enabled", "gce", "hypervisors", "identity"),
        *("is_virtual", "kernel", "kernelmajversion", "kernelrelease", "kernelversion", "ldom", "load_averages"),
        *("memory", "mountpoints", "networking", "nim_type", "os", "partitions", "path", "processors", "ruby"),
        *("solaris_zones", "ssh", "system_profiler", "system_uptime", "timezone", "virtual", "xen"),
        *("zfs_featurenumbers", "zfs_version", "zpool_featureflags", "zpool_featurenumbers", "zpool_version"),
    }
)
LEGACY_FACTS: Final = frozenset(
    {
        *("architecture", "augeasversion", "blockdevices", "bios_release_date", "bios_vendor", "bios_version"),
        *("boardassettag", "boardmanufacturer", "boardproductname", "boardserialnumber", "chassisassettag"),
        *("chassistype", "dhcp_servers", "domain", "fqdn", "gid", "hardwareisa", "hardwaremodel", "hostname", "id"),
        *("interfaces", "ipaddress", "ipaddress6", "lsbdistcodename", "lsbdistdescription", "lsbdistid"),
        *("lsbdistrelease", "lsbmajdistrelease", "lsbminordistrelease", "lsbrelease", "macaddress"),
        *("macosx_buildversion", "macosx_productname", "macosx_productversion", "macosx_productversion_major"),
        *("macosx_productversion_minor", "macosx_productversion_patch", "manufacturer", "memoryfree"),
        *("memoryfree_mb", "memorysize", "memorysize_mb", "netmask", "netmask6", "network", "network6"),
        *("operatingsystem", "operatingsystemmajrelease", "operatingsystemrelease", "osfamily"),
        *("physicalprocessorcount", "processorcount", "productname", "rubyplatform", "rubysitedir", "rubyversion"),
        *("scope6", "selinux", "selinux_config_mode", "selinux_config_policy", "selinux_current_mode"),
        *("selinux_enforced", "selinux_policyversion", "serialnumber", "swapencrypted", "swapfree", "swapfree_mb"),
        *("swapsize", "swapsize_mb", "system32", "uptime", "uptime_days", "uptime_hours", "uptime_seconds", "uuid"),
        *("windows_edition_id", "windows_installation_type", "windows_product_name", "windows_release_id"),
        *("xendomains", "zonename", "zones"),
    }
)
_FACT_FAMILIES = re.compile(
    r"blockdevice_\w+_(?:model|size|vendor)|(?:ipaddress6?|macaddress|mtu|netmask6?|network6?|scope6|ldom)_.+"
    r"|processor\d+|sp_\w+|ssh\w*key|sshfp_\w*|zone_[\w.-]+_(?:brand|iptype|name|uuid|id|path|status)",
    re.ASCII,
)


def hidden_by(name: str) -> str | None:
    """Return what a variable of that name hides from manifests; None: nothing that is known."""
    if name in PUPPETS_OWN:
        return f"hides what Puppet itself sets in ${name}"
    if name in CORE_FACTS or name in LEGACY_FACTS or _FACT_FAMILIES.fullmatch(name):
        return f"hides the fact {name}: ${name} is no longer what the node found"
    return None


def unreadable(name: str) -> str | None:
    """Return why no manifest can read a variable of that name; None: one can."""
    if not _READABLE.fullmatch(name):
        return f"no manifest can read ${name}: each part of a variable's name must begin with a lower-case letter"
    return None


RESERVED_CLASSES: Final = frozenset(
    {
        *("and", "attr", "case", "class", "default", "define", "else", "elsif", "false", "function", "if", "in"),
        *("inherits", "node", "or", "private", "true", "type", "undef", "unless"),
        *("any", "array", "boolean", "collection", "enum", "float", "hash", "init", "integer", "numeric", "object"),
        *("optional", "pattern", "regexp", "runtime", "scalar", "semver", "semverrange", "sensitive", "string"),
        *("struct", "timespan", "timestamp", "tuple", "typeset", "unit", "variant"),
        *("component", "main", "settings"),
    }
)
"""What no class can be called; `default::web` and the like can."""

RESERVED_MODULES: Final = ("environment", "puppet_system")
"""What no module can be called: these are loaders of Puppet's own (lib/puppet/pops/loaders.rb), whatever the module
holds. No catalog of an environment with one compiles (`Attempt to redefine loader named 'environment'`)."""

RESERVED_PARAMETERS: Final = frozenset(
    {"name", "title", "facts", "trusted", "server_facts", "module_name", "caller_module_name"}
)
"""What no class can have as a parameter. `name` is taken where a class is declared, and renames the class."""

_REFERENCE = re.compile(r"[A-Z]\w*(?:::[A-Z]\w*)*\[.+\]", re.DOTALL)
_TAG = re.compile(r"\w[\w:.-]*")
_LOG_LEVELS = ("debug", "verbose", "info", "notice", "warning", "err", "alert", "emerg", "crit")


def _is_reference(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_reference, value))
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def _is_tag(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_tag, value))
    return _TAG.fullmatch(value) is not None if isinstance(value, str) else not isinstance(value, Mapping)


_TAKES_REFERENCES: Final = (_is_reference, "references such as Class[apache]")
_METAPARAMETERS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    **dict.fromkeys(("before", "notify", "require", "subscribe"), _TAKES_REFERENCES),
    "alias": (
        lambda value: isinstance(value, str) and value not in ("", "main"),
        "a text",
    ),
    "audit": (lambda value: value in ("all", []), '"all", where it is a class\'s'),
    "loglevel": (lambda value: value in _LOG_LEVELS, f"one of {', '.join(_LOG_LEVELS)}"),
    "noop": (lambda value: isinstance(value, bool) or value in ("true", "false"), "true or false"),
    "stage": (lambda value: isinstance(value, str) and value != "", "the name of a stage"),
    "tag": (_is_tag, "tags: letters, digits and _:.- without spaces"),
}


def parameter_fault(name: str, value: object) -> str | None:
    """Return why `value` of a metaparameter stops every catalog, or the agent that gets it; None: it does not."""
    takes, what = _METAPARAMETERS.get(name, (None, ""))
    if takes is None or value is None or takes(value):
        return None
    return f"{name} is a metaparameter of Puppet, which takes {what}"


LOOKUP_OPTIONS: Final = "lookup_options"
_MERGES = ("first", "unique", "hash", "deep", "unconstrained_deep", "reverse_deep")


def data_fault(key: str, value: object) -> str | None:
    """Return why hiera data stops every lookup of the node, whatever is looked up; None: it does not."""
    if key != LOOKUP_OPTIONS:
        return None
    rule = f"{LOOKUP_OPTIONS} must map keys, or patterns that begin with '^', to mappings of options"
    if not isinstance(value, Mapping) or not all(isinstance(options, Mapping) for options in value.values()):
        return rule
    for name, options in value.items():
        merge = options.get("merge")
        strategy = merge.get("strategy") if isinstance(merge, Mapping) else merge
        if strategy is not None and strategy not in _MERGES:
            return f"{LOOKUP_OPTIONS}: {name}: merge must be one of {', '.join(_MERGES)}"
        if name.startswith("^") and not _is_pattern(name):
            return f"{LOOKUP_OPTIONS}: {name} is not a regular expression"
    return None


def _is_pattern(text: str) -> bool:
    """Tell whether Ruby's brackets are closed in `text`; what only Ruby knows is taken out first."""
    plain = re.sub(r"\\.", "x", text, flags=re.DOTALL)
    plain = re.sub(r"\(\?<\w+>", "(", plain)
    try:
        re.compile(plain.replace("[[:", "[x").replace(":]]", "]"))
    except re.error:
        return False
    return True


RESERVED_ENVIRONMENTS: Final = frozenset({"main", "master", "agent", "server", "user"})
"""Sections of puppet.conf (ALLOWED_SECTION_NAMES in settings.rb), which Puppet's documentation keeps from
environments. Its code does not: with such a directory in the environmentpath catalogs compile. So nobody gets one
through us, and a node that has one in LDAP keeps it and is told about."""

PREVIEW: Final = "preview__"
"""How environments begin in which a change is compiled before nodes get it (git_hooks/store/previews.py)."""


def environment_fault(name: str) -> str | None:
    """Return why no environment should be called so; None: it may."""
    if name.lower().startswith(PREVIEW):
        return f"names that begin with {PREVIEW} are kept for trying out what a change does"
    if name.lower() in RESERVED_ENVIRONMENTS:
        return (
            f"Puppet's documentation forbids {name} as an environment: puppet.conf has settings under [{name.lower()}]"
        )
    return None
