"""The walls between effects: who may use what. To widen one, edit its line here in the same commit.

A line that no module needs any more fails too, so that the table says how things are and not how they were.
What a module uses is read from its source: what it imports, and what it names of it (`os.fork`,
`getattr(os, "fork")`), whatever it calls that.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import itertools
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PRODUCT = ("enc", "git_hooks", "puppetmaster_self")
PACKAGES = (*PRODUCT, "puppetmaster_quickstart")

WALLS = {
    "ldap3": ["enc.directory.*"],
    "openstack": ["enc.cloud.client"],
    "keystoneauth1": ["enc.cloud.client"],
    "sqlite3": ["enc.answers.database"],
    "pygit2": ["git_hooks.repository.library"],
    # Its other names ask services whether what was found still counts, or revoke it there: see below.
    "kingfisher_sdk": ["git_hooks.secrets.scanner"],
    "pyasn1": ["enc.directory.messages", "enc.directory.sync_messages", "enc.directory.connection"],
    "ssl": ["enc.directory.tls", "enc.programs.https", "enc.web.server", "enc.web.front", "enc.web.sockets"],
    "http": [
        *("enc.answers.metrics", "enc.programs.https", "enc.authority.client", "enc.catalogs.compiler"),
        *("git_hooks.deploy.puppetserver", "git_hooks.mirror.forge_request"),
    ],
    "flask": ["enc.web.*", "git_hooks.web.*"],
    "werkzeug": ["enc.web.*", "git_hooks.web.*"],
    "gunicorn": ["enc.web.server", "enc.web.front"],
    "socket": [
        *("enc.directory.address", "enc.directory.tls", "enc.directory.place", "enc.directory.slapd_process"),
        "enc.systemd.notify",
        *("enc.programs.https", "enc.web.front", "enc.web.sockets", "git_hooks.push.service"),
        *("puppetmaster_quickstart.private_master", "puppetmaster_self.transaction.facts"),
    ],
    "subprocess": [
        "enc.directory.slapd_process",  # slapd, slapadd, slapcat, slaptest
        "enc.answers.processes",  # this program again, for many names
        "enc.systemd.state",  # systemctl show
        "enc.doctor.account",  # this program again, as the puppet user
        "enc.puppet.packages",  # dpkg-query, rpm
        "enc.puppet.settings",  # puppet config print
        "enc.importing.shadow",  # another ENC
        "git_hooks.store.attributes",  # git check-attr
        "git_hooks.push.install",  # git config
        "git_hooks.mirror.remote_git",  # git, over the network
        "git_hooks.opening.*",  # this program again, for many objects
        "git_hooks.deploy.module_program",  # r10k, g10k
        "enc.programs.sandbox",  # bwrap, around any program
        "git_hooks.repository.refstore",  # git
        "git_hooks.puppet_code.process",  # Ruby with Puppet's parser, or with puppet-lint
        "git_hooks.repository.verification",  # git, with ssh-keygen
        "git_hooks.repository.all_objects",  # git, for everything that there is
        "git_hooks.repository.apart",  # git, for merges and patch-ids
        "git_hooks.transport.backend",  # git http-backend
        "puppetmaster_self.*",  # puppet, git, the system's programs
        "puppetmaster_quickstart.*",  # puppetserver, puppet agent, java
    ],
    # Other ways to another process, each for one reason.
    "os.posix_spawn*": ["git_hooks.repository.program"],  # git: importing subprocess takes as long as a hook
    "os.exec*": ["git_hooks.transport.backend"],  # git, in the place of the program that sshd started
    "os.fork*": [
        "enc.programs.accounts",  # to look with another account's rights, and away from root's terminal
    ],
    # Whose something is, and who this process is: by descriptors, and in one place.
    "os.set*id": ["enc.programs.accounts"],
    "os.umask": [
        # The process's, and not a part's: programs say it, and what a program's only work is.
        *("git_hooks.cli", "git_hooks.hook", "puppetmaster_self.cli"),
        *("enc.answers.follower", "puppetmaster_quickstart.instance_system"),
    ],
    "os.setgroups": ["enc.programs.accounts"],
    "os.chown": [
        "enc.programs.whole_file",  # a link, by a descriptor of it
        "puppetmaster_quickstart.whole_instance",  # in a root directory that nobody runs yet
    ],
    "shutil.chown": ["puppetmaster_quickstart.instance_system"],  # likewise
    "os.chmod": ["git_hooks.deploy.module_sets"],  # modules that were fetched just now, as their owner
    "Path.chmod": [
        "enc.answers.database",  # its own files, as the follower's account
        "enc.answers.layout",  # a directory that was made just now, as the follower's account
        "git_hooks.push.service",  # its socket, in its own directory
        "puppetmaster_self.transaction.steps.base",  # root's own directory
        *("puppetmaster_quickstart.instance_system", "puppetmaster_quickstart.private_instance"),
        "puppetmaster_quickstart.whole_instance",
    ],
    "os.fchown": ["enc.programs.whole_file", "puppetmaster_self.instance.tree"],
    "cryptography": [
        *("enc.authority.origin", "enc.authority.revocations", "enc.instances.agent_profile", "enc.signing.request"),
        *("git_hooks.secrets.private_keys", "git_hooks.secrets.certificates"),
    ],
    "getpass": ["enc.commands.*"],
    "argparse": [
        *("enc.cli", "enc.programs.command_line", "enc.programs.completion", "enc.reference"),
        *("enc.commands.*", "git_hooks.commands.*", "puppetmaster_self.commands.*"),
    ],
    "fcntl": [
        *("enc.answers.*", "enc.directory.place", "enc.instances.journal"),
        *("enc.programs.json_lines", "enc.programs.whole_file"),
        *("git_hooks.store.locks", "puppetmaster_self.transaction.journal", "enc.programs.sandbox"),
        "puppetmaster_quickstart.compiled_classes",  # one compiles
    ],
    "moves": [
        "enc.programs.whole_file",  # every file that is to be whole
        "enc.programs.json_lines",  # a file that has grown too long, aside
        *("enc.directory.embedded_process", "enc.directory.slapd_log"),  # slapd's log, likewise
        "git_hooks.mirror.arriving",  # git's objects, which have one content for each name
        "git_hooks.deploy.collect",  # directories, into the trash
        "git_hooks.deploy.module_sets",  # directories, and the link to them
        "git_hooks.push.install",  # somebody else's hook: one of the two is in force at every moment
        "git_hooks.store.resource_types",  # directories
        "git_hooks.store.build",  # directories
        "git_hooks.store.files",  # the same file in many versions
        "git_hooks.store.unit_links",  # the same file in many units
        "git_hooks.store.versions",  # an environment's link, which a directory of nobody may be in the way of
        "puppetmaster_self.instance.keep",  # directories
        "puppetmaster_self.transaction.journal",  # a journal that is closed, into history
        "puppetmaster_quickstart.whole_instance",  # a directory
    ],
    "ctypes": ["enc.programs.file_systems"],  # syncfs(2)
    "os.sync": ["enc.programs.file_systems"],  # it waits for every file system: another's server may be gone
    "tempfile.NamedTemporaryFile": ["enc.programs.entrypoint"],  # what is attached to the report of a bug
    "yaml": [
        "enc.answers.reader",  # the rare line of an answer that is no JSON
        *("enc.settings.config", "enc.settings.origins", "enc.settings.reference"),
        *("enc.directory.embedded_config", "enc.importing.*"),
        "enc.instances.reports",
        "enc.instances.user_data",
        *("enc.puppet.hiera", "git_hooks.server_code.hiera_yaml", "git_hooks.checks.own_checks"),
        *("puppetmaster_quickstart.servers", "puppetmaster_self.transaction.facts"),
        "puppetmaster_quickstart.private_instance",
        "puppetmaster_self.standing.classified",
        *("puppetmaster_quickstart.instances", "puppetmaster_quickstart.lab"),
    ],
}
"""Module of an effect or a format, or a pattern of names in one: our modules that may use it. No other may."""

MOVES = (
    *("os.rename", "os.renames", "os.replace", "os.link", "shutil.move"),
    *("Path.rename", "Path.replace", "Path.hardlink_to"),
    *("pathlib.Path.rename", "pathlib.Path.replace", "pathlib.Path.hardlink_to"),
)
"""What gives something that exists a name: `moves` above. For a whole file there is programs/whole_file.py."""

NOBODYS = (
    *("os.spawn*", "os.system", "os.popen", "pty", "multiprocessing", "asyncio", "_posixsubprocess"),
    *("concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process"),
    *("tempfile.mkstemp", "tempfile.mktemp"),
    *("os.lchown", "os.lchmod", "os.initgroups", "Path.lchmod", "pathlib.Path.*chmod"),
)
"""What no module of ours may use: further ways to start a program, past those above, and to write a file aside."""

PURE = (
    *("enc.terms.*", "enc.rights.*", "enc.classify.*", "enc.directory.entries", "enc.directory.access"),
    *("enc.instances.enrolment", "enc.instances.entry", "enc.instances.naming", "enc.instances.states"),
    "enc.signing.request",
    "enc.signing.policy",
    "enc.cloud.nova",
    *("puppetmaster_self.transaction.states", "puppetmaster_self.instance.puppet_conf"),
    *("puppetmaster_self.transaction.preflight", "puppetmaster_self.transaction.noop_run"),
    "puppetmaster_self.sync.upstream",
    *(f"git_hooks.promotion.{name}" for name in ("rules", "states", "rungs", "provenance", "evidence")),
    *(f"git_hooks.promotion.reviews.{name}" for name in ("review", "github", "gitea", "gitlab", "gerrit")),
    *("git_hooks.puppet_code.calls", "git_hooks.server_code.places", "git_hooks.server_code.calls"),
    *("enc.instances.repairs", "enc.authority.statuses", "enc.authority.origin"),
    *("enc.directory.messages", "enc.directory.sync_messages"),
    *(f"enc.catalogs.{name}" for name in ("catalog", "compare", "effect", "masking", "reach")),
    *(f"enc.edits.{name}" for name in ("change", "differences", "reversal", "sheet", "wanted", "wish")),
)
EFFECTS = frozenset(
    {
        *("os", "io", "pathlib", "shutil", "tempfile", "socket", "ssl", "select", "selectors", "subprocess", "signal"),
        *("sqlite3", "ldap3", "yaml", "time", "datetime", "random", "secrets", "threading", "logging", "sys", "fcntl"),
    }
)
CODECS = ("ldap3.core.exceptions", "ldap3.operation", "ldap3.protocol", "ldap3.utils.asn1")
"""Of ldap3, what turns values into octets and back: no effect."""

MAY_USE = {
    "enc.classify": ("enc.classify", "enc.terms", "enc.settings", "enc.rights"),
    "enc": ("enc",),
    "git_hooks": ("enc", "git_hooks"),
    "puppetmaster_self": PRODUCT,
    "puppetmaster_quickstart": PACKAGES,
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
    return {imported for imported, _ in _imported(tree)}


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each import's dotted name and the dotted name that the module knows it by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from ((f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names)


def uses(tree: ast.Module) -> frozenset[str]:
    """Return what a module imports, and what it names of that, each by its true dotted name."""
    known = {local: imported for imported, local in _imported(tree)}
    # `import os.path` makes `os` known, too.
    known |= {top: top for local in known if (top := local.partition(".")[0]) not in known}
    found = set(known.values())
    for node in ast.walk(tree):
        local = _dotted(node)
        for end in range(len(local), 0, -1):
            if imported := known.get(".".join(local[:end])):
                found.add(".".join((imported, *local[end:])))
                break
        if isinstance(node, ast.Call) and (method := _path_method(node)):
            found.add(method)
        if isinstance(node, ast.Call) and _dotted(node.func)[-1:] in {("import_module",), ("__import__",)}:
            found.update(arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
    return frozenset(found | {"moves"} if found.intersection(MOVES) else found)


def _path_method(call: ast.Call) -> str:
    """Return `Path.rename` for `x.rename(y)`, and so on; nothing for what must be a method of something else."""
    if isinstance(call.func, ast.Attribute) and len(call.args) == 1 and not call.keywords:
        return f"Path.{call.func.attr}"  # `replace` of a text takes two, and LDAP's `rename` as well
    return ""


def _dotted(node: ast.AST) -> tuple[str, ...]:
    """Return the parts of `a.b.c`, or of `getattr(a.b, "c")`; nothing for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        above = _dotted(node.value)
        return (*above, node.attr) if above else ()
    if isinstance(node, ast.Call):
        match node:
            case ast.Call(func=ast.Name("getattr"), args=[of, ast.Constant(str(name)), *_]):
                above = _dotted(of)
                return (*above, name) if above else ()
    return ()


@cache
def all_uses() -> dict[str, frozenset[str]]:
    return {module: uses(tree) for module, tree in modules().items()}


@cache
def users(name: str) -> frozenset[str]:
    """Return our modules that use `name` (a dotted name or a pattern), or anything in it."""
    at_all = re.compile(f"(?:{fnmatch.translate(name)})|(?:{fnmatch.translate(name + '.*')})")
    return frozenset(module for module, found in all_uses().items() if any(map(at_all.match, found)))


def importers(name: str) -> set[str]:
    return {module for module, tree in modules().items() if any(_is(found, name) for found in imports(tree))}


def _is(found: str, name: str) -> bool:
    return fnmatchcase(found, name) or fnmatchcase(found, name + ".*")


@pytest.mark.parametrize("effect", WALLS)
def test_only_these_use(effect: str) -> None:
    allowed = WALLS[effect]
    assert [m for m in sorted(users(effect)) if not any(fnmatchcase(m, pattern) for pattern in allowed)] == []


@pytest.mark.parametrize("effect", NOBODYS)
def test_nobody_uses(effect: str) -> None:
    assert users(effect) == set()


@pytest.mark.parametrize("effect", WALLS)
def test_no_gate_stands_open_that_nobody_goes_through(effect: str) -> None:
    assert WALLS[effect], "what nobody may use stands in NOBODYS"
    assert [pattern for pattern in WALLS[effect] if not fnmatch.filter(users(effect), pattern)] == []


def test_every_line_of_the_tables_is_about_modules_that_exist() -> None:
    every = modules().keys()
    assert [pattern for pattern in PURE if not fnmatch.filter(every, pattern)] == []
    named = {*MAY_USE, *(name for names in MAY_USE.values() for name in names), *COMMAND_LINES}
    assert named - every == set()


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.fork()",
        "import os as o\nnew = o.fork",
        "from os import fork",
        "from os import fork as new",
        "import os.path\nos.fork",
        "import os\ngetattr(os, 'fork')()",
        "def f():\n    import os\n    return [os.fork() for _ in ()]",
    ],
)
def test_a_wall_has_no_hole(source: str) -> None:
    assert any(_is(found, "os.fork*") for found in uses(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "moves"),
    [
        ("from os import replace as r\nr(a, b)", True),
        ("import shutil\nshutil.move(a, b)", True),
        ("aside.rename(place)", True),
        ("Path(a).replace(b)", True),
        ("Path(a).hardlink_to(b)", True),
        ("from pathlib import Path\nPath.rename(a, b)", True),
        ("text.replace(a, b)", False),
        ("moment.replace(tzinfo=UTC)", False),
    ],
)
def test_a_move_is_seen(source: str, moves: bool) -> None:
    assert ("moves" in uses(ast.parse(source))) == moves


WRITERS = {
    "enc.reference": "the docs of a checkout",
    "enc.directory.schema.__main__": "likewise",
    "git_hooks.reference": "likewise",
    "enc.programs.accounts": "a pipe",
    "enc.programs.telling": "stdout and stderr",
    "enc.directory.embedded_home": "a lock",
    "git_hooks.repository.program": "a pipe",
    "git_hooks.deploy.module_program": "what a program is given, in a directory of its run",
    "git_hooks.store.attributes": "likewise",
    "git_hooks.mirror.remote_git": "likewise",
    "git_hooks.repository.apart": "likewise",
    "git_hooks.mirror.arriving": "likewise",
    "git_hooks.repository.verification": "likewise",
    "git_hooks.store.resource_types": "a directory that is not there yet: it gets its name when it is written through",
    "git_hooks.push.post_receive": "a mark without content",
    "git_hooks.ssh_keys.known_keys": "likewise",
    "git_hooks.mirror.tries": "over what is there, when a disk is full and no new file would fit",
}
"""Who opens files for writing by hand, and what those are: none has to be whole at its place."""


def writes_by_hand(tree: ast.Module) -> Iterator[int]:
    """Yield the lines in which a file is opened for writing, or written, past programs/whole_file.py."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="write_text" | "write_bytes" | "touch")):
                yield node.lineno
            case ast.Call(func=ast.Name("open") | ast.Attribute(attr="open" | "fdopen"), args=arguments, keywords=more):
                modes = [*arguments, *(word.value for word in more if word.arg == "mode")]
                texts = [one.value for one in modes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                if any(re.fullmatch(r"[rwxabt+]{1,3}", text) and set(text) & set("wxa+") for text in texts):
                    yield node.lineno


def test_no_file_that_is_to_be_whole_is_written_by_hand() -> None:
    product = {m: tree for m, tree in modules().items() if m.partition(".")[0] in ("enc", "git_hooks")}
    writing = {m for m, tree in product.items() if any(True for _ in writes_by_hand(tree))}
    assert (sorted(writing - WRITERS.keys()), sorted(WRITERS.keys() - writing)) == ([], [])


@pytest.mark.parametrize(
    "text", ["open(a, 'w')", "p.open('ab')", "p.write_text(x)", "os.fdopen(d, mode='wb')", "p.touch()"]
)
def test_a_file_that_is_written_by_hand_is_seen(text: str) -> None:
    assert list(writes_by_hand(ast.parse(text)))
    assert not list(writes_by_hand(ast.parse("open(a, 'rb'); p.open(); open(a, encoding='ascii')")))


UNSYNCED = {
    "files/install-toolkit.sh": "a link, and what it leads to is on disk before it is made",
    "enc/instances/first-run.sh": "how far it is, told to whoever looks; another run says it again",
}
"""Of what we ship for shells: who moves a new file into its place and does not see it to the disk before."""


def test_shell_moves_into_place_what_is_on_disk() -> None:
    found = {}
    for file in sorted([*(ROOT / "files").glob("*.sh"), *(ROOT / "enc/instances").glob("*.sh")]):
        lines = file.read_text().splitlines()
        moves = [n for n, line in enumerate(lines) if re.search(r"\bmv -[fT]", line)]
        if bad := [n + 1 for n in moves if not any("sync" in line for line in lines[max(0, n - 3) : n + 1])]:
            found[str(file.relative_to(ROOT))] = bad
    assert {file: lines for file, lines in found.items() if file not in UNSYNCED} == {}
    assert UNSYNCED.keys() - found.keys() == set()


OF_THE_SCANNER = frozenset({"kingfisher_sdk.Rules", "kingfisher_sdk.Scanner"})
ITS_OTHERS = frozenset(
    {
        *("Validator", "Revoker", "validation", "revocation", "_native", "validate", "revoke", "__dict__", "modules"),
        *("validate_prepared", "revoke_validated", "import_module", "__import__", "getattr", "vars", "eval", "exec"),
    }
)
"""What of the scanner's package speaks to the network, and ways to get there."""


def test_of_the_scanner_only_what_reads_is_used() -> None:
    """Its Validator sends a secret to the service that gave it, its Revoker ends it there: nobody names them."""
    used = {name for found in all_uses().values() for name in found if name.partition(".")[0] == "kingfisher_sdk"}
    assert used == OF_THE_SCANNER
    said = set()
    for node in ast.walk(modules()["git_hooks.secrets.scanner"]):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.Constant(value=str(name)):
                said.add(name)
    assert said & ITS_OTHERS == set()
    texts = {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "kingfisher_sdk" in node.value
    }
    assert texts == set(), "nobody gets at it by its name in a text"


STARTS_GIT = ("git_hooks.repository.git_program", "git_hooks.transport.backend", "puppetmaster_self.*")
"""Who says `git` as the first word of a command: the place that seals it, who serves clients, a self-master."""


def test_git_is_started_in_one_way() -> None:
    found = set()
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.List) and node.elts and getattr(node.elts[0], "value", None) == "git":
                found.add(module)
    product = {module for module in found if not module.startswith("puppetmaster_quickstart")}
    assert {m for m in product if not any(fnmatchcase(m, pattern) for pattern in STARTS_GIT)} == set()


def test_the_pure_core_has_no_effects() -> None:
    core = {m: tree for m, tree in modules().items() if any(fnmatchcase(m, pattern) for pattern in PURE)}
    found = {(m, name) for m, tree in core.items() for name in imports(tree) if name.partition(".")[0] in EFFECTS}
    assert {(m, name) for m, name in found if not any(_is(name, codec) for codec in CODECS)} == set()


def test_imports_point_inwards() -> None:
    wrong = []
    for module, tree in modules().items():
        key = max((key for key in MAY_USE if _is(module, key)), key=len)
        for name in imports(tree):
            ours = name.partition(".")[0] in PACKAGES
            if ours and not any(_is(name, allowed) for allowed in MAY_USE[key]):
                wrong.append(f"{module} imports {name}")
    assert wrong == []


OFTEN = (
    *("enc.answers.direct", "enc.commands.answer", "enc.answers.reader"),  # for a catalog
    *("git_hooks.hook", "git_hooks.push.service"),  # for a push
    "enc.answers.follower",
)
"""What is started often or must stay small, and serves nothing over HTTP."""


def test_what_is_started_often_cannot_reach_flask() -> None:
    """Not even where an import stands in a function: whatever is imported from there on is looked at."""
    reached, coming = set(), set(OFTEN)
    while coming:
        module = coming.pop()
        reached.add(module)
        found = {found.rpartition(".")[0] if found not in modules() else found for found in imports(modules()[module])}
        found |= imports(modules()[module])
        coming |= {name for name in found if name in modules()} - reached
    assert {"enc.directory.ldap_store", "git_hooks.deploy.deployer"} <= reached
    assert [module for module in sorted(reached) if _is(module, "enc.web") or _is(module, "git_hooks.web")] == []


def test_nothing_that_is_started_often_loads_flask() -> None:
    """The same, as Python sees it, and for the programs up to where they choose a command."""
    words = "; ".join(f"import {module}" for module in (*OFTEN, "enc.cli", "git_hooks.cli", "puppetmaster_self.cli"))
    program = f"{words}; import sys; print(*sorted({{'flask', 'werkzeug', 'jinja2', 'gunicorn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_a_name_is_imported_from_where_it_is_defined() -> None:
    """Only what a package shows as its face (enc.settings) may be had from two places."""
    faces = {m for m, tree in modules().items() for node in tree.body if "__all__" in ast.unparse(node).split(" = ")[0]}
    assert faces == {"enc.settings"}


ROOMS = {
    "enc": (
        *("terms", "settings", "programs", "rights", "classify", "directory", "answers", "systemd", "authority"),
        *("puppet", "catalogs", "edits", "service", "instances", "cloud", "signing", "doctor", "web", "importing"),
        "commands",
    ),
    "git_hooks": (
        *("repository", "ssh_keys", "puppetfile", "puppet_code", "server_code", "index", "secrets", "checks", "store"),
        *("deploy", "branches", "effects", "push", "mirror", "opening", "promotion", "transport", "web", "doctor"),
        *("upkeep", "systemd", "commands"),
    ),
    "puppetmaster_self": ("instance", "sync", "transaction", "standing", "commands"),
}
"""The rooms of a package, the lowest first: each uses those before it. What stands beside the rooms may use all."""


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_use_only_rooms_below_them(package: str) -> None:
    order = {room: place for place, room in enumerate(ROOMS[package])}
    parts = {m.split(".")[1] for m in modules() if m.startswith(f"{package}.")}
    here = {part for part in parts if (ROOT / package / part).is_dir()}
    assert here == set(order), "each room has a place in the order"
    upwards = []
    for module, tree in modules().items():
        words = module.split(".")
        if words[0] != package or len(words) < 2 or words[1] not in order:
            continue
        for found in imports(tree):
            target = found.split(".")
            if target[0] == package and len(target) > 1 and order.get(target[1], 0) > order[words[1]]:
                upwards.append(f"{module} imports {found}")
    assert upwards == []


def test_no_part_of_the_product_knows_the_demonstration() -> None:
    """Neither by an import nor by its name in a text: as a program, or looked up while running."""
    places = (*PRODUCT, "manifests", "templates", "types", "functions", "lib", "files", "data", "setup.py")
    files = [file for place in places for file in [ROOT / place, *(ROOT / place).rglob("*")] if file.is_file()]
    assert len(files) > 300
    assert [file for file in files if b"puppetmaster_quickstart" in file.read_bytes() and file.suffix != ".pyc"] == []


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


@pytest.mark.parametrize("package", PACKAGES)
def test_a_string_without_a_placeholder_is_a_plain_one(package: str) -> None:
    """A piece of a longer f-string, too: an `f` without a brace promises a value that is not there."""
    starts = {tokenize.STRING, getattr(tokenize, "FSTRING_START", -1)}
    found = []
    for file in sorted((ROOT / package).rglob("*.py")):
        with file.open("rb") as stream:
            pieces = list(tokenize.tokenize(stream.readline))
        for place, piece in enumerate(pieces):
            if piece.type in starts and re.match(r"(?i)(f|fr|rf)['\"]", piece.string):
                end = getattr(tokenize, "FSTRING_END", -1)
                rest = [piece] if piece.type == tokenize.STRING else pieces[place:]
                whole = itertools.takewhile(lambda one: one.type != end, rest)  # noqa: B023
                if not any("{" in one.string or "}" in one.string for one in whole):
                    found.append(f"{file}:{piece.start[0]}")
    assert found == []
