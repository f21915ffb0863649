"""Can members run code on the master, can that be checked, is pushed code parsed, and is what loads it confined?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs import sandbox
from enc.settings import BranchSettings, PushSettings
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from enc.terms.program_words import why
from git_hooks.puppet_code.calls import Kind, ParserMissing
from git_hooks.puppet_code.lint import Choice, Linter, LintMissing, NotLinted
from git_hooks.puppet_code.worker import Worker
from git_hooks.secrets import scanner
from git_hooks.secrets.kept import Allowances, known_key


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


def secrets(branches: BranchSettings, pushes: PushSettings) -> Iterator[Finding]:
    """Look whether secrets can be found in pushes, and for allowances that ended. Makes neither key nor rules."""
    if pushes.secrets == "off":
        words = "secrets in pushes are not looked for (pushes.secrets), so what is pushed once can be read by all"
        yield note("secrets", words, "if the repository holds no passwords, set it to check")
        return
    try:
        known_key(branches.repository)
        ended = [one for one in Allowances(branches.repository).all() if one.until <= time.time()]
    except ToolkitError as error:
        yield fault("secrets", f"every push is refused: {error}", "branch-manager allow-secret --list says more")
        return
    try:
        yield ok("secrets", f"a push that brings a secret is refused ({scanner.installed()})")
    except scanner.ScannerMissing as error:
        words = f"pushes are searched only for what our own rules know: {error}"
        yield warning("secrets", words, "install the toolkit with its lock file")
    if ended:
        number = counted(len(ended), "allowance of a secret has", "allowances of secrets have")
        words = f"{number} ended, so the same is refused again: {', '.join(one.fingerprint for one in ended[:5])}"
        yield note("secrets-allowed", words, "branch-manager allow-secret FINGERPRINT --revoke, or allow it anew")


def own_checks(pushes: PushSettings, bwrap: Path = sandbox.BWRAP) -> Iterator[Finding]:
    """Run a program in a sandbox, if branches' own checks are to run in one."""
    if pushes.own_checks == "off":
        return
    try:
        sandbox.run(["/bin/true"], b"", sandbox.Bounds(seconds=60.0), bwrap)
    except (sandbox.NoSandbox, sandbox.OutOfBounds) as error:
        words = f"branches' own checks (.puppetmaster.yaml) are not run, and pushes are accepted without: {error}"
        cure = "docs/pushing.md (A branch's own checks) says what it needs; or set pushes.own_checks to off"
        yield warning("sandbox", words, cure)
        return
    yield ok("sandbox", "branches' own checks are run in a sandbox")


def lint(pushes: PushSettings) -> Iterator[Finding]:
    """Let puppet-lint look at a line of code, if it is to look at pushes."""
    if pushes.lint == "off" and not pushes.lint_rule:
        return
    linter = Linter(pushes.lint_ruby)
    try:
        linter.lint("manifests/site.pp", b"notice('doctor')\n", Choice())
    except (LintMissing, NotLinted) as error:
        cure = "apt install puppet-lint, or name the Ruby that has it in pushes.lint_ruby"
        if pushes.lint_rule:
            where = ", ".join(pushes.lint_rule)
            yield warning("lint", f"pushes to {where} are not checked by puppet-lint: {error}", cure)
        else:
            yield note("lint", "pushes get no advice from puppet-lint, which is not here", cure)
    else:
        yield ok("lint", "puppet-lint looks at the lines that a push changes")
    finally:
        linter.close()


def check(branches: BranchSettings, pushes: PushSettings) -> Iterator[Finding]:
    """Ask Puppet's parser and puppet-lint about a line of code, and try the sandbox, where they are needed."""
    yield from types(branches.types_program)
    yield from secrets(branches, pushes)
    yield from own_checks(pushes)
    yield from lint(pushes)
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
