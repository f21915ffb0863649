"""May members let something run on the master, and can it be told what would?"""

from __future__ import annotations

from collections.abc import Iterator

from enc.doctor.findings import Finding, fault, note, ok
from enc.settings import BranchSettings
from git_hooks.puppet_code.calls import Kind
from git_hooks.puppet_code.worker import ParserMissing, Worker


def check(settings: BranchSettings) -> Iterator[Finding]:
    """Ask Puppet's parser about a line of code, where it is needed."""
    if settings.members_code == "trusted":
        yield note(
            "members-code",
            "members are trusted with puppetserver (branches.members_code): who pushes to a project's branch "
            "can do on this machine what puppetserver can, also to other projects",
            "if that is not meant, set it to reviewed; docs/pushing.md (Code that runs on the master)",
        )
        return
    worker = Worker(settings.ruby)
    try:
        worker.read("", Kind.MANIFEST, lambda: b"notice('doctor')")
        yield ok("members-code", "what members push to run on the master must be reviewed")
    except ParserMissing as error:
        yield fault("members-code", f"members cannot push Puppet code: {error}", "install puppet-agent on this machine")
    finally:
        worker.close()
