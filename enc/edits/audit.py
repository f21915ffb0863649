"""The trail of edits: who changed what, when and why, with before and after.

One file of JSON lines, only ever appended to. Each edit has two lines with one
id: the *intent*, on disk before LDAP is touched, and the *outcome*, written
after it. An intent without an outcome is an edit that was interrupted (or is
under way this moment); the entry itself then tells whether it was made.

What a power cut can leave is one torn last line (json_lines.py): it stays, as
a line of its own, and readers report it. The file may be made one that only
grows (chattr +a).

If the trail cannot be written, the edit is refused: no change without a trace.
"""

from __future__ import annotations

import pwd
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from enc.edits.change import Change, Step
from enc.programs import accounts
from enc.programs.json_lines import JsonLines
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import InvalidName, ToolkitError, UsageError, one_line
from enc.terms.names import Certname, ProjectName

INTERRUPTED = "interrupted"
DONE = "done"
_LONGEST_REASON = 1000
_LOGIN = Path("/proc/self/loginuid")
_NO_LOGIN = 4294967295
"""What stands there in a process that no login has begun, such as a unit's."""


def check_reason(text: str) -> str:
    """Return `text` without spaces around it; `UsageError` if nothing is left or it is over 1,000 characters."""
    text = text.strip()
    if not text or len(text) > _LONGEST_REASON:
        raise UsageError(f"give a reason of 1 to {_LONGEST_REASON} characters; it is kept in the audit trail")
    return text


def local_user() -> tuple[str, str]:
    """Return the name of who started this program, and of the one who logged in and became that (or an empty text).

    The latter is the kernel's audit uid (proc(5), /proc/pid/loginuid), which is set once for each login and which sudo
    and su leave as it is. The environment (SUDO_USER) says what whoever has a shell wants it to say, so it is not read.
    """
    uid = accounts.started_by()
    try:
        login = int(_LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        login = _NO_LOGIN
    return _name(uid), "" if login in (_NO_LOGIN, uid) else _name(login)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


@dataclass(frozen=True)
class Edit:
    """One edit as the trail tells it."""

    id: str
    time: str
    """UTC, RFC 3339."""
    who: str
    why: str
    action: str
    """What was called: `node set`, `project delete`, `undo`, …"""
    subject: str
    """`node web1.example`, `12 nodes of project alpha`, `project alpha`, `prefix web- of project alpha`, `site`,
    `group x`."""
    project: ProjectName | None
    steps: tuple[Step, ...]
    outcome: str = INTERRUPTED
    """`done`, `failed: …`, or `interrupted` as long as no outcome stands in the trail."""
    bind_dn: str = ""
    """As whom LDAP was written, if as a person."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The entryCSN that each entry had after it, by DN, as far as the server told it."""
    nodes: tuple[Certname, ...] = ()
    """Of an edit of many nodes: which. The subject then counts them only."""
    made: int | None = None
    """Of an edit that failed, how many of its steps were made, the first ones; None: all, or it is not known."""

    @property
    def done(self) -> tuple[Step, ...]:
        """The steps that may have been made."""
        return self.steps[: self.made]

    def document(self) -> dict[str, Any]:
        """Return the edit as programs read it."""
        return {
            "id": self.id,
            "time": self.time,
            "who": self.who,
            "bind_dn": self.bind_dn,
            "why": self.why,
            "action": self.action,
            "subject": self.subject,
            "project": self.project,
            "nodes": list(self.nodes),
            "steps": [step_document(step) for step in self.steps],
            "outcome": self.outcome,
        }


def step_document(step: Step) -> dict[str, Any]:
    """Return a step as JSON holds it."""
    changes = [{"attribute": c.attribute, "before": list(c.before), "after": list(c.after)} for c in step.changes]
    return {"do": step.do, "dn": step.dn, "changes": changes}


def _step(document: Mapping[str, Any]) -> Step:
    changes = (Change(str(c["attribute"]), tuple(c["before"]), tuple(c["after"])) for c in document["changes"])
    if document["do"] not in ("add", "modify", "delete", "rename"):
        raise ValueError(document["do"])
    return Step(document["do"], str(document["dn"]), tuple(changes))


class Trail:
    """The trail in one file. Making the object does nothing."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines = JsonLines(file, mode=0o640, survives=Strength.POWER_CUT)

    def begin(
        self,
        *,
        who: str,
        why: str,
        action: str,
        subject: str,
        project: ProjectName | None,
        steps: tuple[Step, ...],
        bind_dn: str = "",
        nodes: tuple[Certname, ...] = (),
    ) -> Edit:
        """Put the intent on disk and return it; raise `ToolkitError` if that fails: then nothing may be changed."""
        now = datetime.now(UTC)
        edit = Edit(
            id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            time=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            who=who,
            why=check_reason(why),
            action=action,
            subject=subject,
            project=project,
            steps=steps,
            bind_dn=bind_dn,
            nodes=nodes,
        )
        document = edit.document()
        del document["outcome"]
        if not nodes:
            del document["nodes"]
        self._append({"event": "intent", **document})
        return edit

    def end(
        self, edit: Edit, outcome: str, versions: Mapping[str, str] | None = None, made: int | None = None
    ) -> Edit:
        """Put the outcome on disk, with the `versions` that entries have now, and return the edit with it.

        `made`: of an edit that failed, how many of its steps were made.
        """
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        told: dict[str, Any] = {"versions": dict(versions)} if versions else {}
        told |= {"made": made} if made is not None else {}
        self._append({"event": "outcome", "id": edit.id, "time": now, "outcome": outcome, **told})
        return replace(edit, outcome=outcome, versions=versions or {}, made=made)

    def read(self) -> tuple[list[Edit], list[str]]:
        """Return all edits, oldest first, and a line about each place that cannot be read."""
        edits: dict[str, Edit] = {}
        problems = []
        try:
            lines = self._lines.read()
        except OSError as error:
            raise ToolkitError(f"the audit trail cannot be read: {error.strerror}", where=str(self.file)) from error
        for line in lines:
            trouble = "not a complete entry (interrupted while writing?)"
            try:
                document = line.record
                if document is None:
                    raise ValueError(trouble)  # noqa: TRY301 - one answer to all that cannot be read
                if document["event"] == "outcome" and document["id"] not in edits:
                    trouble = "the outcome of an edit that started in another file (rotated away?)"
                self._take(document, edits)
            except (ValueError, KeyError, TypeError, AttributeError, InvalidName):
                shown = one_line(line.text[:60].decode("utf-8", "replace"))
                problems.append(f"{self.file}:{line.number}: {trouble}: {shown}")
        return list(edits.values()), problems

    @staticmethod
    def _take(document: Mapping[str, Any], edits: dict[str, Edit]) -> None:
        if document["event"] == "outcome":
            edit = edits[document["id"]]
            versions = {str(place): str(csn) for place, csn in dict(document.get("versions", {})).items()}
            made = None if document.get("made") is None else max(0, int(document["made"]))
            edits[edit.id] = replace(edit, outcome=str(document["outcome"]), versions=versions, made=made)
            return
        project = document["project"]
        edit = Edit(
            id=str(document["id"]),
            time=str(document["time"]),
            who=str(document["who"]),
            why=str(document["why"]),
            action=str(document["action"]),
            subject=str(document["subject"]),
            project=None if project is None else ProjectName(project),
            steps=tuple(_step(step) for step in document["steps"]),
            bind_dn=str(document.get("bind_dn", "")),
            nodes=tuple(map(Certname, document.get("nodes", ()))),
        )
        edits[edit.id] = edit

    def _append(self, document: Mapping[str, Any]) -> None:
        try:
            self.file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lines.append(document)
        except OSError as error:
            raise ToolkitError(
                f"the audit trail cannot be written: {reason(error)}; see audit.file in the configuration",
                where=str(self.file),
            ) from error
