"""An audit: every object of the repository, what no ref leads to as well, examined once, and a verdict.

Three walks of git's own program, and one look at each object that was not seen before:

1. all objects are listed, and those with words of people in them that the journal does not know are to be examined;
2. one walk over the commits says at which path each of these stands, because the path decides how a file is read;
3. they are examined (examination.py), by several processes;
4. one walk over the paths at which something was found says which commit brought it. What no ref leads to is looked
   for in the history of all commits.

The state of the refs is read before the objects are listed: what comes meanwhile is not in the verdict, and makes it
old. Private keys are compared with the certificates that are known then (secrets/known.py), those of the history among
them, and each is noted for the authority (enc/signing/published.py).

One audit runs at a time; another waits. Failure modes: what was examined is kept whatever happens, and the verdict is
written last.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import NotWritten, Strength
from enc.signing.published import PublishedKeys
from git_hooks.opening import verdict as verdicts
from git_hooks.opening.examination import ToExamine, examine
from git_hooks.opening.journal import Found, Journal
from git_hooks.opening.rules import Rules, key_of
from git_hooks.opening.verdict import Place, Verdict, digest_of_refs
from git_hooks.repository.all_objects import AllObjects, Standing
from git_hooks.repository.objects import Repository
from git_hooks.repository.reading import is_sha256
from git_hooks.secrets import known
from git_hooks.secrets.certificates import Certificate
from git_hooks.secrets.findings import Finding
from git_hooks.secrets.kept import Allowance, Allowances
from git_hooks.secrets.known import KnownCertificates
from git_hooks.store.locks import locked

if TYPE_CHECKING:
    from enc.settings import Settings

Progress = Callable[[str, int, int], None]
"""Is told what is done now, how much of it is done, and how much there is; 0: not known."""


class State(NamedTuple):
    """The refs of a repository at one moment."""

    refs: tuple[tuple[str, str], ...]
    digest: str


def state(repository: str) -> State:
    """Return the refs as they are now."""
    with Repository(repository) as objects:
        refs = tuple(sorted((name, str(found)) for name, found in objects.refs("refs/")))
    return State(refs, digest_of_refs(refs))


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Let one audit run at a time; raise `NotWritten` if the directory cannot be made."""
    directory = settings.branches.opening.state
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(error, str(directory)) from error
    with locked(Journal(directory).lock):
        yield


def audit(settings: Settings, rules: Rules, progress: Progress) -> tuple[Verdict, State]:
    """Examine what was not seen, and return the verdict, which is kept; the lock (`alone`) is held."""
    repository = os.path.realpath(settings.branches.repository)
    journal = Journal(settings.branches.opening.state)
    now = state(repository)
    objects = AllObjects(repository)
    seen = journal.open(repository, rules.name, 32 if is_sha256(repository) else 20)
    progress("listing objects", 0, 0)
    examined, new, commits = 0, list[tuple[str, str]](), list[str]()
    for name, kind, _ in objects.listing():
        if kind == "commit":
            commits.append(name)
        if kind != "tree":
            examined += 1
            if bytes.fromhex(name) not in seen:
                new.append((name, kind))
    del seen
    fresh = [name for name, kind in new if kind == "commit"]
    progress("looking for paths", 0, 0)
    paths = _paths(objects, {name for name, kind in new if kind == "blob"}, fresh, commits)
    todo = [ToExamine(name, kind, paths.get(name, "")) for name, kind in new]
    del paths, new
    examine(settings, journal, todo, lambda done: progress("examining", done, len(todo)))
    progress("looking for commits", 0, 0)
    found = journal.found()
    verdict = _judged(settings, repository, rules, now, examined, found, _standing(objects, found, commits))
    verdicts.write(settings.branches.opening.state, verdict, key_of(settings))
    return verdict, now


def _paths(objects: AllObjects, wanted: set[str], fresh: list[str], commits: list[str]) -> dict[str, str]:
    """Return where each of these objects stands, if anywhere; looked for in new commits first, if they are few."""
    same: dict[str, str] = {}
    found: dict[str, str] = {}
    known = sorted(objects.parents(fresh) - set(fresh)) if len(fresh) < len(commits) // 2 else []
    # After an audit that did not come to its end, commits are known of whose files not all are.
    for heads, without in ((fresh, known), (commits, [])):
        if heads and len(found) < len(wanted) and (known or heads is commits):
            for name, path in objects.paths(heads, without):
                if name in wanted and name not in found:
                    found[name] = same.setdefault(path, path)
    return found


def _standing(
    objects: AllObjects, found: dict[str, Found], commits: list[str]
) -> dict[str, tuple[Standing, bool]]:
    """Return where each object with a finding came first, and whether a ref leads there."""
    wanted = {one.name: one.path for one in found.values() if one.kind == "blob" and (one.findings or one.keys)}
    first = objects.first(wanted, None)
    rest = {name: path for name, path in wanted.items() if name not in first}
    others = objects.first(rest, commits) if rest else {}
    standing = {name: (one, True) for name, one in first.items()}
    standing |= {name: (one, False) for name, one in others.items()}
    own = {one.name for one in found.values() if one.kind == "commit" and (one.findings or one.keys)}
    reached = objects.reached() if own else set()
    return standing | {name: (Standing(name, "", 0), name in reached) for name in own}


def _judged(
    settings: Settings,
    repository: str,
    rules: Rules,
    now: State,
    examined: int,
    found: dict[str, Found],
    standing: dict[str, tuple[Standing, bool]],
) -> Verdict:
    moment = time.time()
    _keep_certificates(settings, found.values())
    certificates = KnownCertificates(settings)
    _note_keys(settings, found.values(), moment)
    allowances = Allowances(settings.branches.repository).all()
    unchecked = Counter(why for one in found.values() for why in one.unchecked)
    places = _places(found.values(), standing, certificates, allowances, moment)
    return Verdict(
        repository,
        moment,
        now.digest,
        rules.name,
        examined,
        certificates.count(),
        tuple(places),
        tuple(sorted(unchecked.items())),
        tuple(certificates.unread),
    )


def _places(
    found: Iterable[Found],
    standing: dict[str, tuple[Standing, bool]],
    certificates: KnownCertificates,
    allowances: tuple[Allowance, ...],
    now: float,
) -> list[Place]:
    """Return the findings, one for each secret under each path, where it came first."""
    grouped: dict[tuple[str, str, str], list[tuple[int, Place]]] = {}
    for one in found:
        at, reachable = standing.get(one.name, (None, False))
        for line, kind, fingerprint, where in one.findings:
            path = at.path if at is not None and at.path else one.path
            known_as, live = _certificate(one, line, kind, certificates, now)
            finding = Finding(path, line, kind, fingerprint, where)
            allowed = next((each.reason for each in allowances if each.covers(finding, now)), None)
            commit = at.commit if at is not None else None
            place = Place(
                path, line, kind, fingerprint, where, one.name, 1, commit, reachable, known_as, live, allowed
            )
            order = at.place if at is not None and reachable else 1 << 40
            grouped.setdefault((path, kind, fingerprint), []).append((order, place))
    places = []
    for several in grouped.values():
        place = min(several, key=lambda each: each[0])[1]
        places.append(Place(**(vars(place) | {"objects": len(several)})))
    return sorted(places, key=lambda one: (one.path, one.line, one.fingerprint))


def _certificate(
    one: Found, line: int, kind: str, certificates: KnownCertificates, now: float
) -> tuple[str | None, bool]:
    """Return whose certificate's key a finding is, if it is one."""
    if "key" not in kind:
        return None, False
    for at, _, public, sealed in one.keys:
        best = certificates.best(public, now) if public and abs(at - line) <= 1 else None
        if best is not None:
            words = f"under a passphrase, {best.told(now)}" if sealed else best.told(now)
            return words, best.certificate.begins <= now <= best.certificate.ends
    return None, False


def _keep_certificates(settings: Settings, found: Iterable[Found]) -> None:
    """Let pushes know the certificates of the history."""
    every = dict.fromkeys(Certificate(*one) for each in found for one in each.certificates)
    file = settings.branches.opening.state / known.HISTORY
    if every or file.exists():
        JsonLines(file, mode=0o600, survives=Strength.KILL).rewrite(map(known.record, every))


def _note_keys(settings: Settings, found: Iterable[Found], now: float) -> None:
    place = settings.signing.published_keys
    if place is None:
        return
    published = PublishedKeys(place)
    published.prepare()
    for public in dict.fromkeys(key[2] for one in found for key in one.keys if key[2] and not key[3]):
        published.add(public, now)


def current(settings: Settings) -> Verdict:
    """Return the verdict that is kept; raise `ToolkitError` if there is none that can be believed."""
    repository = os.path.realpath(settings.branches.repository)
    return verdicts.read(Path(settings.branches.opening.state), repository, key_of(settings))


def seen_by(settings: Settings, rules: Rules) -> bool:
    """Tell whether what was seen was seen by these rules."""
    repository = os.path.realpath(settings.branches.repository)
    return Journal(settings.branches.opening.state).is_of(repository, rules.name)

