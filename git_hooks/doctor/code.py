"""Can members run code on the master, can that be checked, is pushed code parsed, and is what loads it confined?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs import sandbox
from enc.settings import BranchSettings, PushSettings
from enc.terms.program_words import why
from git_hooks.puppet_code.calls import Kind, ParserMissing
from git_hooks.puppet_code.worker import Worker


def types(program: Path | None, bwrap: Path = sandbox.BWRAP) -> Iterator[Finding]:
    """Let puppet say its version in a sandbox, if it is to describe types in one (branches.types_program)."""
    if program is None:
        return
    try:
        done = sandbox.run([str(program), "--version"], b"", sandbox.Bounds(seconds=60.0), bwrap)
    except (sandbox.NoSandbox, sandbox.OutOfBounds) as error:
        words = f"types cannot be described, so a push that changes one does not go live: {error}"
        yield fault("types-sandbox", words, "docs/static-catalogs.md (Resource types) says what it needs")
        return
    if done.status:
        told = why(done.said.decode("utf-8", "replace"), f"ended with {done.status}, and said nothing")
        yield fault("types-sandbox", f"{program} does not start in its sandbox: {told}", "name puppet by its own path")
        return
    yield ok("types-sandbox", "types are described in a sandbox, as the account nobody")


def check(branches: BranchSettings, pushes: PushSettings) -> Iterator[Finding]:
    """Ask Puppet's parser about a line of code, and try the sandbox, where they are needed."""
    yield from types(branches.types_program)
    reviewed = branches.members_code != "trusted"
    if not reviewed:
        yield note(
            "members-code",
            "members are trusted with puppetserver (branches.members_code): whoever pushes to a project's branch "
            "can do anything on this machine that puppetserver can, also to other projects",
            "if you do not want that, set it to reviewed; docs/pushing.md (Code that runs on the master)",
        )
    if not reviewed and pushes.syntax == "off":
        return
    worker = Worker(branches.ruby)
    install = "install puppet-agent on this machine"
    try:
        worker.read("", Kind.MANIFEST, lambda: b"notice('doctor')")
    except ParserMissing as error:
        if reviewed:
            yield fault("members-code", f"members cannot push Puppet code: {error}", install)
        if pushes.syntax != "off":
            yield warning("syntax", f"pushed code is accepted without being parsed: {error}", install)
    else:
        if reviewed:
            yield ok("members-code", "code that members push and that runs on the master must be reviewed")
        if pushes.syntax != "off":
            yield ok("syntax", "a push with code or data that Puppet cannot parse is refused")
    finally:
        worker.close()
