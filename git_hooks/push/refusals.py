"""What was refused, kept on the server: who wanted to move which ref, how often, from when to when, and why not.

Owns puppetmaster/refused/ in the repository: a file for each person, so that
nobody's refusals take the place of another's, and one (`-.jsonl`) for those
whose name is not known. A file has a JSON document a line and ref: the last
refusal of it, since when, and how many there were. So trying again makes no
new line.

A file is bounded (`_MOST`). Where it would get longer, long words of earlier
refusals are cut, then lines go: first those about refs that the repository
does not have (anybody can make such up without end) and those of pushes that
were refused for what they brought and not for whose the ref is; of each kind
the oldest. The first line counts what went. So who has tried to move another's
branch does not wash that away with what he makes up afterwards.

A file is replaced whole, under a lock: a kill leaves the old one or the new
one. Whoever judges writes there, the service and each cold hook: the latter's
standard error goes to the person who pushes and not to any log. The number of
a push stands in its lines, and in what that person reads.

Failure modes: `NotWritten`. The verdict does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import json_lines
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from git_hooks.repository.objects import Repository

_PLACE = "puppetmaster/refused"
_MOST = 1 << 18
"""Bytes of a person's file."""
_OF_A_PUSH = 1 << 17
"""Bytes that are kept of one push; hostile input can have many refs, and many words about each."""
_WORDS = 500
"""Characters that are left of an earlier refusal's words where there is too little room."""
_ROOM = _MOST * 3 // 4
"""Bytes to which a file is brought that has got too long, so that not each further refusal has to look for room."""
_GONE = "-"


class Refusal(NamedTuple):
    """One ref that did not move."""

    at: float
    """Seconds since 1970."""
    push: str
    """The number of the push."""
    who: str
    """Who pushed; `-` if that is not known."""
    via: str
    """What vouches for the name; `-` likewise."""
    ref: str
    old: str
    new: str
    verdict: str
    """Why it was refused, or that it could have been taken; one line."""
    denied: bool = False
    """Refused for whose the ref is, before anybody looked at what the push brings."""
    times: int = 1
    """How often this person was refused this ref."""
    first: float = 0.0
    """When for the first time; 0: now."""

    def told(self) -> str:
        """Return the line for a log."""
        return f"push {self.push} of {self.who} ({self.via}) refused: {self.ref}: {self.verdict}"


def keep(repository: str, refusals: Sequence[Refusal]) -> None:
    """Keep the refusals of one push; raise `NotWritten`."""
    if not refusals:
        return
    file = file_of(repository, refusals[0].who)
    Path(file).parent.mkdir(mode=0o700, exist_ok=True)
    # Not synced: the verdict does not depend on it, and pushes wait for it.
    lines = JsonLines(file, mode=0o600, survives=Strength.KILL)
    lines.revise(lambda before: map(_document, _with(repository, [*_read(before)], [*_bounded(refusals)])))


def file_of(repository: str, who: str) -> str:
    """Return where a person's refusals are kept. LDAP compares names without case, and so does this."""
    return f"{repository}/{_PLACE}/{who.lower()}.jsonl"


def read(repository: str, who: str) -> list[Refusal]:
    """Return what is kept of a person, the latest last; raise OSError."""
    return list(_read(JsonLines(file_of(repository, who), mode=None, survives=Strength.KILL).read()))


def everybodys(repository: str) -> list[Refusal]:
    """Return what is kept of everybody, the latest last; raise `ToolkitError`."""
    found: list[Refusal] = []
    try:
        for file in Path(f"{repository}/{_PLACE}").iterdir():  # glob() would hide what it may not read
            if file.suffix == ".jsonl":
                found += _read(JsonLines(file, mode=None, survives=Strength.KILL).read())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ToolkitError(f"cannot be read: {error.strerror}", where=str(error.filename)) from error
    return sorted(found, key=lambda one: one.at)


def _read(lines: Iterable[json_lines.Line]) -> Iterator[Refusal]:
    """Give what is sound; nothing else gets there but by another's hand."""
    for line in lines:
        try:
            found = Refusal(**(line.record or {}))
            yield found._replace(times=int(found.times), at=float(found.at), first=float(found.first))
        except (TypeError, ValueError):
            continue


def _bounded(refusals: Sequence[Refusal]) -> Iterator[Refusal]:
    left = _OF_A_PUSH
    for number, one in enumerate(refusals):
        left -= _size(one)
        if left < 0:
            more = counted(len(refusals) - number, "more ref of this push is", "more refs of this push are")
            text = f"{more} not kept here, because there are too many"
            yield one._replace(ref="", old="-", new="-", verdict=text)
            return
        yield one


def _with(repository: str, before: list[Refusal], now: list[Refusal]) -> list[Refusal]:
    """Return all refusals, one for each ref, the latest last, in what room there is."""
    found = {one.ref: one for one in before}
    for one in now:
        earlier = found.pop(one.ref, None)
        times, first, denied = (earlier.times, earlier.first, earlier.denied) if earlier else (0, one.at, False)
        # Who once was told that it is not his does not make that undone by a push that is refused otherwise.
        found[one.ref] = one._replace(times=times + one.times, first=first, denied=one.denied or denied)
    kept = list(found.values())
    if sum(map(_size, kept)) <= _MOST:
        return kept
    return _shortened(kept, len(now), repository)


def _shortened(kept: list[Refusal], new: int, repository: str) -> list[Refusal]:
    """Return the refusals that are kept where there is too little room; the last `new` are this push's, and whole."""
    short = [one._replace(verdict=_cut(one.verdict)) for one in kept[:-new]]
    size = sum(map(_size, (*short, *kept[-new:])))
    if size <= _ROOM:
        return [*short, *kept[-new:]]
    existing = _refs(repository)
    gone = next((one for one in short if one.ref == _GONE), None)
    others = [one for one in short if one.ref != _GONE]
    # False before True, and of each the oldest first.
    for one in sorted(others, key=lambda one: one.denied and one.ref in existing):
        if size <= _ROOM:
            break
        others.remove(one)
        size -= _size(one)
        gone = _added(gone, one)
    return [*([gone] if gone else []), *others, *kept[-new:]]


def _added(gone: Refusal | None, one: Refusal) -> Refusal:
    """Return the line about what is not kept any more, with `one` in it."""
    times, first = (gone.times, gone.first) if gone else (0, one.first)
    text = "refusals of further refs, whose lines were removed"
    at = max(gone.at, one.at) if gone else one.at
    return one._replace(
        ref=_GONE, old="-", new="-", verdict=text, times=times + one.times, first=min(first, one.first), at=at
    )


def _refs(repository: str) -> frozenset[str]:
    try:
        with Repository(repository) as objects:
            return frozenset(name for name, _ in objects.refs("refs/"))
    except ToolkitError:
        return frozenset()


def _cut(verdict: str) -> str:
    return verdict if len(verdict) <= _WORDS else f"{verdict[:_WORDS]} … (cut)"


def _document(one: Refusal) -> Mapping[str, Any]:
    return one._asdict()


def _size(one: Refusal) -> int:
    return len(json_lines.line(one._asdict()))
