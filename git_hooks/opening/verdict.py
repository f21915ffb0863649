"""What an audit has found out about a repository: its verdict, and the file that it stands in.

A verdict is of one repository at one state of all its refs, by rules that have a name. It is clean if nothing is open:
each finding is allowed, and nothing was left unchecked. Allowances end and change, so which of them count is asked
again whenever that matters; the same goes for certificates, which expire.

The file is sealed with the server's key: one that was edited, or belongs to another repository, is not believed. No
secret is in it, and no hash of one that could be guessed at without the key.

Failure modes: a file that is not believed is an expected error, and never a verdict.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.times import iso
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from enc.terms.errors import NotFound, ToolkitError

NAME = "verdict.json"
"""In `branches.opening.state`."""
_VERSION = 1


@dataclass(frozen=True)
class Place:
    """A finding, everywhere that it stands under one path."""

    path: str
    """Empty: in a commit's or a tag's own words, or nowhere."""
    line: int
    kind: str
    fingerprint: str
    where: str
    object: str
    """The first object that has it."""
    objects: int
    """How many versions of the file have it."""
    commit: str | None
    """The first commit that has it; None: no commit has it."""
    reachable: bool
    """A branch or another ref leads to it."""
    certificate: str | None = None
    """For the private key of a known certificate: whose."""
    live: bool = False
    """That certificate is valid."""
    allowed: str | None = None
    """Why an operator has allowed it; None: it is open."""

    def sentence(self) -> str:
        """Return what people read."""
        commit = f"commit {self.commit[:12]}" if self.commit else f"no commit has it, object {self.object[:12]}"
        at = f", {self.path}, line {self.line}" if self.path else ", in its own words"
        if not self.commit and not self.path:
            at = f", line {self.line}"
        what = f"is {self.certificate}" if self.certificate else f"has {self.kind}"
        of = f" ({self.where})" if self.where else ""
        rest = f", also in {counted(self.objects - 1, 'other version', 'other versions')}" if self.objects > 1 else ""
        state = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{commit}{at}, {what}{of}{rest}; fingerprint {self.fingerprint}{state}"


@dataclass(frozen=True)
class Verdict:
    """What is known of a repository."""

    repository: str
    taken: float
    """When, in seconds since 1970."""
    refs: str
    """The digest of all refs as they were."""
    rules: str
    examined: int
    """Objects with words of people: files, commits and tags."""
    certificates: int
    """How many are known, with which private keys were compared."""
    places: tuple[Place, ...] = ()
    unchecked: tuple[tuple[str, int], ...] = ()
    """Why something was not looked at, and in how many objects."""
    sources: tuple[str, ...] = ()
    """Certificates that could not be read, a sentence each."""

    @property
    def open(self) -> tuple[Place, ...]:
        """What nobody has allowed."""
        return tuple(one for one in self.places if one.allowed is None)

    @property
    def is_complete(self) -> bool:
        """Whether all was looked at."""
        return not self.unchecked and not self.sources

    @property
    def is_clean(self) -> bool:
        """Whether nothing is open, and nothing was left out."""
        return not self.open and self.is_complete

    def document(self) -> dict[str, Any]:
        """Return it as `--json` and the file have it."""
        return {
            "version": _VERSION,
            "repository": self.repository,
            "at": iso(self.taken),
            "refs": self.refs,
            "rule_set": self.rules,
            "examined": self.examined,
            "certificate_count": self.certificates,
            "clean": self.is_clean,
            "open": len(self.open),
            "findings": [asdict(one) for one in self.places],
            "unchecked": [{"reason": why, "objects": number} for why, number in self.unchecked],
            "unread": list(self.sources),
        }

    def lines(self) -> Iterator[str]:
        """Yield what people read, the worst first."""
        order = sorted(self.places, key=lambda one: (one.allowed is not None, not one.live, not one.certificate))
        yield from (one.sentence() for one in order)
        yield from (f"not checked: {why}, {counted(number, 'object')}" for why, number in self.unchecked)
        yield from (f"not compared: {why}" for why in self.sources)
        what = "clean" if self.is_clean else f"{counted(len(self.open), 'finding is', 'findings are')} open"
        allowed = len(self.places) - len(self.open)
        also = f", {counted(allowed, 'finding is', 'findings are')} allowed" if allowed else ""
        seen = counted(self.examined, "object", form=",")
        known = counted(self.certificates, "known certificate", form=",")
        yield f"{what}{also}: {seen} examined, private keys compared with {known}"


def digest_of_refs(refs: Iterable[tuple[str, str]]) -> str:
    """Return what stands for the state of all refs."""
    lines = sorted(f"{name} {found}\n".encode("utf-8", "surrogateescape") for name, found in refs)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def write(directory: Path, verdict: Verdict, key: bytes) -> None:
    """Keep a verdict; raise `NotWritten`."""
    document = verdict.document() | {"clock": verdict.taken}
    sealed = document | {"seal": _seal(document, key)}
    text = json.dumps(sealed, indent=1, ensure_ascii=True) + "\n"
    whole_file.write(directory / NAME, text, mode=0o600, survives=Strength.POWER_CUT)


def read(directory: Path, repository: str, key: bytes) -> Verdict:
    """Return the verdict that is kept about `repository`.

    Raise `NotFound` if there is none, `ToolkitError` if it cannot be believed.
    """
    file = directory / NAME
    do = "run branch-manager audit-secrets"
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"no audit has come to its end; {do}", where=str(file)) from None
    except OSError as error:
        raise ToolkitError(reason(error), where=str(file)) from error
    except (ValueError, RecursionError) as error:
        raise ToolkitError(f"is no verdict; {do}", where=str(file)) from error
    seal = found.pop("seal", None) if isinstance(found, dict) else None
    if not isinstance(seal, str) or not hmac.compare_digest(seal.encode(), _seal(found, key).encode()):
        raise ToolkitError(f"was not written by this server, or was changed since; {do}", where=str(file))
    if found["repository"] != repository or found["version"] != _VERSION:
        raise ToolkitError(f"is about {found['repository']}, not about {repository}; {do}", where=str(file))
    return _verdict(found)


def _verdict(found: Mapping[str, Any]) -> Verdict:
    return Verdict(
        found["repository"],
        found["clock"],
        found["refs"],
        found["rule_set"],
        found["examined"],
        found["certificate_count"],
        tuple(Place(**one) for one in found["findings"]),
        tuple((one["reason"], one["objects"]) for one in found["unchecked"]),
        tuple(found["unread"]),
    )


def _seal(document: Mapping[str, Any], key: bytes) -> str:
    octets = json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return hmac.new(key, b"the verdict of an audit\0" + octets, hashlib.sha256).hexdigest()


def why_not(verdict: Verdict, *, despite_unchecked: bool) -> Sequence[str]:
    """Return why nothing may be published; empty if it may. Pure."""
    found = [one.sentence() for one in verdict.open]
    if not despite_unchecked:
        found += [f"not checked: {why}, {counted(number, 'object')}" for why, number in verdict.unchecked]
        found += [f"not compared: {why}" for why in verdict.sources]
    return found
