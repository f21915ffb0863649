"""The check: what a members' branch brings of server code is reviewed, or approved.

Reviewed is what stands at the same path, byte for byte, on a branch that only
operators push (a rule without <name>), as it is now or as it was where the
commit left it. Of a link that is the link: what it leads to counts as what it
is at its own place. Branches of operators are not looked at, nor are those on
which members propose code: no puppetserver gets to see these.

Off where the site trusts its members with its puppetserver
(`branches.members_code: trusted`).

Failure modes: a machine that cannot read Puppet code refuses all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from git_hooks.checks import environment_conf, syntax
from git_hooks.checks.look import Check, File, Problem, Site, Tree
from git_hooks.index import conf as conf_file
from git_hooks.puppetfile import LONGEST, NAME, sources
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, SUBMODULE
from git_hooks.server_code import faults, places
from git_hooks.server_code.places import Role

_LINK = 4096
_CODE = 1 << 20
"""Bytes of one manifest or template that are read: some thirty times as many as the largest that people write."""
_SMALL = 65_536
_VERSIONS = 8
"""So many reviewed versions of a file are looked at for what it calls already."""
_READ = {Role.MANIFEST: _CODE, Role.EPP: _CODE, Role.HIERA: _SMALL, Role.CONF: _SMALL}
"""How much is read of what; of Ruby and ERB nothing need be."""


def reads(file: File) -> int | None:
    """Return how much is read of an entry, if it is anything to puppetserver, and the branch is one of members."""
    site, branches = file.site, file.settings.branches
    if site.own or not site.shown or branches.members_code == "trusted":
        return None
    if file.entry.mode in (DIRECTORY, SUBMODULE):
        return None
    if file.entry.mode == LINK:
        return _LINK
    if file.path == NAME:
        return LONGEST if sources(branches.puppetfile) is not None else None
    role = places.role(file.path)
    return None if role is Role.NOTHING else _READ.get(role, 0)


def check(file: File) -> Iterator[Problem]:
    """Yield why a file or link may not come from members without review."""
    path, site = file.path, file.site
    if site.reviewed(path, file.entry):
        return
    if file.entry.mode == LINK:
        target = (file.content or b"").decode("utf-8", "replace")
        yield from (Problem(path, f"{what}; {_way(site)}") for what in faults.of_link(path, target))
        return
    if path == NAME:
        yield from _modules(file)
        return
    most = _READ.get(places.role(path), 0)
    if file.content is None and most:
        yield Problem(path, f"is larger than the {most} bytes that are checked; {_way(site)}")
        return
    content = partial(bytes, file.content or b"")
    limited = file.settings.branches.limited_functions
    found = [*faults.of_file(path, file.entry.id, content, site.read, limited, partial(_earlier, file))]
    if places.role(path) is Role.CONF:
        found += environment_conf.server_code(content())
    if found and (unreadable := syntax.unreadable(file)):
        yield Problem(path, unreadable)  # as the check of syntax tells it; nobody can review that
        return
    for what in found:
        yield Problem(path, f"{what}; {_way(site)}")


def manifest(tree: Tree) -> Iterator[Problem]:
    """Yield what puppetserver would read as a manifest, because environment.conf says so and not its name."""
    if tree.site.own or not tree.site.shown or tree.settings.branches.members_code == "trusted":
        return
    conf = next((tree.content(entry, conf_file.LONGEST) for entry in tree.at(conf_file.NAME)), None)
    for path in environment_conf.manifests(conf or b""):
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            place = "/".join(parts[:end])
            for entry in tree.at(place):
                last = end == len(parts) and not place.endswith(".pp") and place != "manifests"
                odd = entry.mode == LINK or (last and entry.mode in (FILE, PROGRAM))
                if odd and not tree.site.reviewed(place, entry):
                    kind = "link" if entry.mode == LINK else "file whose name does not end in .pp"
                    what = f"is a {kind} that environment.conf has as the manifest, or in its path"
                    yield Problem(place, f"{what}; name a directory, or a file NAME.pp, {_way(tree.site)}")


LINE = Check(file=check, reads=reads, tree=manifest)
"""The line in the table of checks."""


def _earlier(file: File) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the reviewed files at the path of a file, each content once, and not the largest or very many."""
    found = {one.id: one for one in file.site.versions(file.path) if one.mode in (FILE, PROGRAM)}
    for entry in [*found.values()][:_VERSIONS]:
        content = file.site.content(entry)
        if len(content) <= _CODE:
            yield entry.id, partial(bytes, content)


def _way(site: Site) -> str:
    """Return how something comes to be reviewed."""
    ask = f"push it to {site.proposed} and ask an operator to read it" if site.proposed else "it needs review"
    return f"or {ask} (docs/pushing.md, Code that runs on the master)"


def _modules(file: File) -> Iterator[Problem]:
    """Yield the modules of a Puppetfile that no branch of operators asks for: they bring Ruby from elsewhere."""
    from git_hooks.puppetfile.language import UnsoundPuppetfile, read  # few pushes bring one

    allowed = sources(file.settings.branches.puppetfile)
    if allowed is None or file.content is None or not file.is_file:
        return  # told by the check of Puppetfiles
    theirs: set[object] = set()
    for entry in file.site.at(NAME):
        with suppress(UnsoundPuppetfile):
            if entry.mode in (FILE, PROGRAM):
                theirs.update(read(file.site.content(entry), allowed).modules)
    try:
        asked = read(file.content, allowed).modules
    except UnsoundPuppetfile:
        return
    for module in asked:
        if module not in theirs:
            what = f"asks for the module {module.name}, which no reviewed branch uses from there in this version"
            yield Problem(NAME, f"{what}; remove that, {_way(file.site)}")
