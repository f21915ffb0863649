"""Whether this instance serves itself, for everybody: on its entry in LDAP, and in `status`.

In LDAP it is one value of `puppetmasterSelf` on the node's own entry:

    serving since SECONDS-SINCE-1970 commit COMMIT ahead NUMBER behind NUMBER

No value: the central master serves. Writing it is best effort and is repeated
by the watchdog until LDAP has it; nothing waits for it and nothing fails with
it. What was written last stands in the transaction's directory.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from enc.directory.edits import DirectoryEditor, ValueChange
from enc.programs import whole_file
from enc.programs.whole_file import NotWritten, Strength
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.filters import NodeFilter
from enc.terms.names import BranchName, Certname
from puppetmaster_self.instance import keep
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.states import SelfMasterState
from puppetmaster_self.transaction.transaction import Tell

ATTRIBUTE = "puppetmasterSelf"
_CLASS = "puppetmasterClassification"
_NOBODY = "-"
_FORM = re.compile(r"serving since (\d{1,11}) commit ([0-9a-f]{4,64}) ahead (\d{1,9}) behind (\d{1,9})", re.ASCII)


class Standing(NamedTuple):
    """Where an instance is."""

    state: SelfMasterState
    since: float | None
    commit: str | None = None
    ahead: int | None = None
    behind: int | None = None

    def text(self) -> str | None:
        """Return the attribute's value; None: there is to be none."""
        if self.state not in ("serving", "disabling") or self.since is None or self.commit is None:
            return None
        return f"serving since {self.since:.0f} commit {self.commit} ahead {self.ahead} behind {self.behind}"

    @classmethod
    def read(cls, text: str) -> Standing:
        """Read the attribute's value; raise ValueError with the rule."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("write serving since SECONDS-SINCE-1970 commit COMMIT ahead NUMBER behind NUMBER")
        return cls("serving", float(match[1]), match[2], int(match[3]), int(match[4]))


def standing(machine: Machine, journal: Journal) -> Standing:
    """Return where this instance is; what git cannot tell is None."""
    if journal.state not in ("serving", "disabling"):
        return Standing(journal.state, journal.since)
    try:
        branch = BranchName(journal.opened["branch"])
        work = keep.work(machine, machine.places.repository, keep.LOCAL, branch)
    except ToolkitError:
        return Standing(journal.state, journal.since)
    return Standing(journal.state, journal.since, work.tip, work.ahead, work.behind)


def announce(settings: Settings, machine: Machine, journal: Journal, tell: Tell) -> None:
    """Let LDAP say what is; what it says already is not written again. Failures are told, and tried again later."""
    memory = machine.places.transaction / "announced"
    said = memory.read_text(encoding="utf-8").strip() if memory.exists() else _NOBODY
    value = standing(machine, journal).text() or _NOBODY
    if value == said or not memory.parent.exists():
        return
    try:
        _write(settings, _own_name(machine, journal), None if value == _NOBODY else value)
    except ToolkitError as error:
        tell(f"LDAP has not been told yet that this instance is {journal.state}: {error}")
        return
    try:
        whole_file.write(memory, f"{value}\n".encode(), mode=0o600, survives=Strength.POWER_CUT)
    except NotWritten as error:
        tell(f"LDAP knows that this instance is {journal.state} and is told again: {error}")


def _own_name(machine: Machine, journal: Journal) -> Certname:
    """Return this instance's name: the one that it became a master with, or what Puppet says (about a second)."""
    if "certname" in journal.opened:
        return Certname(journal.opened["certname"])
    words = ("puppet", "config", "print", "certname", "--section", "agent")
    return Certname(machine.run(*words, timeout=60).output.strip().rpartition("\n")[2])


def _write(settings: Settings, certname: Certname, value: str | None) -> None:
    with DirectoryEditor(settings) as editor:
        found = editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
        if len(found) != 1:
            raise ToolkitError(f"{len(found)} entries have the name {certname}")
        record = found[0]
        present = record.first(ATTRIBUTE)
        if present == value:
            return
        classes = {text.lower() for text in record.all("objectClass")}
        changes = [ValueChange(ATTRIBUTE, (present,) if present else (), (value,) if value else ())]
        if value and _CLASS.lower() not in classes:
            changes.insert(0, ValueChange("objectClass", add=(_CLASS,)))
        editor.modify(record.dn, changes, record.csn)
