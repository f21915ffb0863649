"""Rewrites the answers on the copy's list, one after another.

One name's failure stops no other: a contradiction in its records, and whatever
else goes wrong with it alone, is its problem, is noted, and the next follows.
A failure to write (a full disk) ends the work with `OSError`; the names stay
on the list.

Not here: what is on the list (reach.py), when to work (session.py), and several
processes for many names (processes.py).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from enc.answers.copy import Copy
from enc.answers.database import CopyFailed
from enc.answers.layout import Layout
from enc.answers.reader import said_by
from enc.answers.worklist import Outcome
from enc.answers.writer import AnswerWriter
from enc.classify import statements
from enc.classify.classify import Classifier
from enc.classify.entitled import refusal
from enc.classify.gather import foreign, prefix_of
from enc.classify.model import Classification, Value
from enc.classify.render import environment_line, merged_data, render_answer, render_data
from enc.programs import log
from enc.rights import domains
from enc.settings import Settings
from enc.terms.environments import Rules
from enc.terms.errors import ClassificationError, ToolkitError, one_line
from enc.terms.names import Certname, DataKey, EnvironmentName, Label, PrefixName, ProjectName
from enc.terms.record import Record

CHUNK = 250
"""Names between two looks at whether to go on; some milliseconds each."""
_SHARED = 200
"""So many texts of merged data, each of many nodes, are kept at hand."""
_STATES = ("closed", "waiting", "signed")


class Worker:
    """Turns names into files; one for each process."""

    def __init__(self, layout: Layout, settings: Settings, writer: AnswerWriter) -> None:
        self._layout = layout
        self._settings = settings
        self._writer = writer
        self._classifier = Classifier(settings)
        self._rules = Rules(settings.branches.rules)
        self._rendered: dict[tuple[int, ...], tuple[tuple[Mapping[DataKey, Value], ...], str]] = {}
        self._log = log.get("follower")

    def names(self, copy: Copy, names: list[tuple[str, str | None]]) -> list[Outcome]:
        """Bring the answers of `names` (each with the digest of the one on disk) up to date."""
        copy.source.prime([name for name, _ in names])
        return [self._name(copy, name, digest) for name, digest in names]

    def _name(self, copy: Copy, name: str, on_disk: str | None) -> Outcome:
        records = copy.source.nodes_named(name)
        if not records:
            self._writer.remove(name) if Certname.accepts(name) else None
            return Outcome(name, None, gone=True)
        if not Certname.accepts(name):
            # It may still be somebody's parent; only, no agent can ask under this name.
            unheard = f"not a valid certname, so no agent can ask for it: {Certname.rule}"
            problem = None if copy.index.is_parent(name) else unheard
            return Outcome(name, None, problem)
        certname = Certname(name)
        # Before the rest: whether a request is judged hangs on no classification.
        self._writer.enrolment(certname, self._enrolled(records))
        if (why := foreign(certname, records, self._settings)) is not None:
            return self._foreign(copy, certname, why, on_disk)
        try:
            classification = self._classifier.classify(certname, copy.source).at(time.time())
            text = render_answer(classification, self._settings.answers.variable, "copy")
            data = render_data(classification.data) if classification.data else None
            merged = self._merged(classification) if self._settings.answers.merged_data else None
        except (OSError, CopyFailed):
            raise
        except ToolkitError as error:
            return self._refuse(certname, str(error), copy)
        except Exception as bug:  # one iteration: this node's records, and no other's
            self._log.exception("node %s", certname)
            why = f"{certname}: a bug stopped its classification: {type(bug).__name__}: {bug}"
            return self._refuse(certname, why, copy)
        until = classification.trial.until if classification.trial else None
        digest = _digest(text, data or "", merged or "")
        if digest == on_disk:
            return Outcome(name, digest, until=until)
        self._writer.answer(certname, text, data, merged)
        return Outcome(name, digest, wrote=True, until=until)

    def _enrolled(self, records: Sequence[Record]) -> str | None:
        """Return the first word of an instance's enrolment; None if none of `records` is an instance's.

        Where the site's nodes are not named, none is: knowing some, the door would take the others for strangers.
        """
        if self._settings.domains.serves == "projects":
            return None
        texts = (record.first(statements.ENROLMENT) for record in records)
        words = (text.split(None, 1)[0] for text in texts if text and text.strip())
        return next((word if word in _STATES else "unreadable" for word in words), None)

    def _merged(self, classification: Classification) -> str | None:
        """Return a node's hiera data as one file; None if it has none."""
        if classification.data:
            return render_data(merged_data(classification))
        if not classification.shared_data:
            return None
        # Most nodes of a project share all of it. The levels are kept with the text, so no other object has their id.
        key = tuple(map(id, classification.shared_data))
        if key not in self._rendered:
            if len(self._rendered) >= _SHARED:
                self._rendered.clear()
            self._rendered[key] = (classification.shared_data, render_data(merged_data(classification)))
        return self._rendered[key][1]

    def _foreign(self, copy: Copy, certname: Certname, why: str, on_disk: str | None) -> Outcome:
        """Leave no answer of a node that another server serves.

        Where the site's own branches are, the branch manager must know that the node uses its environment.
        """
        if self._settings.domains.serves == "projects":
            self._writer.remove(certname)
            return Outcome(certname, None)
        uses, until = "", None
        with suppress(ToolkitError):
            said = self._classifier.classify(certname, copy.source).at(time.time())
            uses, until = environment_line(said), said.trial.until if said.trial else None
        # Not written again if it says the same: they may be most nodes, and the branch manager reads what is newer.
        digest = _digest("elsewhere", why, uses)
        if digest != on_disk:
            self._writer.refuse(certname, why, keep_answer=False, uses=uses)
        return Outcome(certname, digest, until=until)

    def _refuse(self, certname: Certname, why: str, copy: Copy) -> Outcome:
        # A last good answer from a time of trial needs no care: it says itself what comes then.
        keep = self._settings.answers.on_bad_entry == "last-good" and self._may_go_on(certname, copy)
        kept = self._writer.refuse(certname, why, keep_answer=keep)
        return Outcome(certname, None, one_line(f"{why} (the last good answer stays in use)" if kept else why))

    def _may_go_on(self, certname: Certname, copy: Copy) -> bool:
        """Tell whether nothing of the answer on disk is other projects' (any more): an error must not keep it so."""
        if self._settings.nodes.semantics == "terminus":
            return True
        try:
            said = said_by((self._layout.nodes / f"{certname}.yaml").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return True  # there is none
        except UnicodeDecodeError:
            return False
        if said is None or not all(map(Label.accepts, said.labels)):
            return False
        project = ProjectName(said.project) if said.project is not None else None
        chosen = map(EnvironmentName, said.environments)
        return not any(refusal(environment, project, copy.source, self._rules) for environment in chosen)

    def project(self, copy: Copy, project: ProjectName) -> str | None:
        """Write the hiera data of a project and its prefixes; return what is wrong with them, if anything."""
        problems: list[str] = []
        own: str | None = None
        prefixes: dict[PrefixName, str] = {}
        record = copy.source.project(project) if domains.serves(project, self._settings) else None
        if record is not None:
            own = self._data(record, problems)
            for entry in copy.source.prefixes(project):
                try:
                    prefix = prefix_of(entry)
                except ToolkitError as error:
                    problems.append(str(error))
                    continue
                if (data := self._data(entry, problems)) is not None:
                    prefixes[prefix] = data
        if problems and self._settings.answers.on_bad_entry == "last-good":
            return "; ".join(problems) + " (its hiera data is unchanged)"
        self._writer.scope_data(project, own, prefixes)
        return "; ".join(problems) or None

    def _data(self, record: Record, problems: list[str]) -> str | None:
        """Return the hiera data of one entry as text, None for none; what is wrong with it goes to `problems`."""
        try:
            data = statements.read(record, self._settings.nodes).data
            return render_data(data) if data else None
        except ClassificationError as error:
            problems.append(str(error))
        except Exception as bug:  # one entry, and no other's
            self._log.exception("%s", record.dn)
            problems.append(one_line(f"{record.dn}: a bug stopped its reading: {type(bug).__name__}: {bug}"))
        return None


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


class WorkTeam:
    """Does the copy's whole list, in this process."""

    def __init__(self, layout: Layout, settings: Settings, writer: AnswerWriter, go_on: Callable[[], bool]) -> None:
        """`go_on` is called every now and then while the work goes on, and tells whether it is to."""
        self._worker = Worker(layout, settings, writer)
        self._go_on = go_on

    def projects(self, copy: Copy) -> Iterator[tuple[str, str | None]]:
        """Write the hiera data of the projects on the list; yield each with what is wrong with it, if anything."""
        for name in copy.worklist.dirty_projects():
            problem = self._worker.project(copy, ProjectName(name))
            copy.worklist.settle_project(name, problem, int(time.time()))
            yield name, problem
            if not self._go_on():
                return

    def names(self, copy: Copy) -> Iterator[list[Outcome]]:
        """Do the list; yield what became of each part of it."""
        while names := copy.worklist.dirty(CHUNK):
            outcomes = self._worker.names(copy, names)
            copy.worklist.settle(outcomes, int(time.time()))
            yield outcomes
            if not self._go_on():
                return
