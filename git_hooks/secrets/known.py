"""Which certificates are known: in given files and directories, in the repository's history, by the journal of signing.

- `branches.opening.certificates` names files of PEM certificates, and directories of such (`signed` in puppetserver's
  cadir, /etc/ssl/…), one level deep. What has not changed since it was last read is not read again.
- The history's are those that audits found (`HISTORY`, written by opening/).
- The journal of signing says for which keys this machine's authority gave certificates, also of those whose
  certificate is gone.

Failure modes: what cannot be read is named in `unread`, and the rest counts.
"""

from __future__ import annotations

import stat
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from enc.programs import json_lines
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.signing.refusals import SigningJournal
from enc.terms.errors import one_line
from git_hooks.secrets import certificates
from git_hooks.secrets.certificates import Certificate

if TYPE_CHECKING:
    from enc.settings import Settings

HISTORY = "certificates.jsonl"
"""In `branches.opening.state`: the certificates that stand in the repository, or stood there."""
_LARGEST = 8 << 20
_FILES = 200_000
"""Files of one directory that are looked at."""
_JOURNAL = "signed by this authority"


class Known(NamedTuple):
    """A certificate, and where it is known from."""

    certificate: Certificate
    source: str
    ours: bool = True
    """An operator has said so, or the authority: not only somebody who once put it into the repository."""

    def told(self, now: float) -> str:
        """Return whose key it is that belongs to it."""
        if self.source == _JOURNAL:
            return f"a key for which this authority signed a certificate of {self.certificate.name}"
        return self.certificate.told(now)


class KnownCertificates:
    """All of them, by the digest of their keys. Nothing is read before the first question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_key: dict[str, list[Known]] | None = None
        self.unread: list[str] = []
        """What could not be read, a sentence each."""

    def of(self, public: str) -> list[Known]:
        """Return the certificates of the key with this digest."""
        return self._read().get(public, [])

    def count(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._read().values()))

    def best(self, public: str, now: float) -> Known | None:
        """Return of several certificates of one key the one that matters most; None: there is none."""
        known = self.of(public)
        if not known:
            return None
        wanted = certificates.best([one.certificate for one in known], now)
        return max((one for one in known if one.certificate == wanted), key=lambda one: one.ours)

    def add(self, certificate: Certificate, source: str) -> None:
        """Let one more be known, to this object only."""
        found = self._read().setdefault(certificate.public, [])
        if all(one.certificate != certificate for one in found):
            found.append(Known(certificate, source, ours=False))

    def _read(self) -> dict[str, list[Known]]:
        if self._by_key is None:
            self._by_key = defaultdict(list)
            for one in self._all():
                self._by_key[one.certificate.public].append(one)
        return self._by_key

    def _all(self) -> Iterator[Known]:
        opening = self._settings.branches.opening
        for place in opening.certificates:
            try:
                yield from (Known(one, str(place)) for file in _files(place) for one in _of_file(file))
            except OSError as error:
                self.unread.append(f"{error.filename or place} cannot be read: {reason(error)}")
        try:
            for line in json_lines.JsonLines(opening.state / HISTORY, mode=None, survives=Strength.KILL).read():
                if (found := of_record(line.record)) is not None:
                    yield Known(found, "the repository's history", ours=False)
        except OSError as error:
            self.unread.append(f"{opening.state / HISTORY} cannot be read: {reason(error)}")
        try:
            for said in SigningJournal(self._settings.signing.journal).read():
                if said.signed and said.key:
                    name = one_line(f"CN={said.certname}")
                    yield Known(Certificate(said.key, name, 0, float("-inf")), _JOURNAL)
        except OSError:
            return  # it is on another machine, or not ours to read: the certificates themselves count


def record(certificate: Certificate) -> dict[str, object]:
    """Return the line of `HISTORY` for a certificate."""
    return {"public": certificate.public, "name": certificate.name, "from": certificate.begins, "to": certificate.ends}


def of_record(found: dict[str, object] | None) -> Certificate | None:
    """Return the certificate of a line of `HISTORY`; None if it is none."""
    match found:
        case {"public": str(public), "name": str(name), "from": float(begins), "to": float(ends)}:
            return Certificate(public, name, begins, ends)
    return None


_lock = threading.Lock()
_seen: dict[str, tuple[int, int, int, tuple[Certificate, ...]]] = {}
"""What was read in this process of files: inode, time and size as they were, and what was in them."""


def _of_file(file: Path) -> tuple[Certificate, ...]:
    status = file.stat()
    mark = (status.st_ino, status.st_mtime_ns, status.st_size)
    with _lock:
        known = _seen.get(str(file))
    if known is not None and known[:3] == mark:
        return known[3]
    found = tuple(certificates.find(file.read_bytes())) if status.st_size <= _LARGEST else ()
    with _lock:
        _seen[str(file)] = (*mark, found)
    return found


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
        return
    for number, file in enumerate(sorted(place.iterdir())):
        try:
            regular = stat.S_ISREG(file.stat().st_mode)
        except FileNotFoundError:  # a link that leads nowhere: /etc/ssl/certs has some
            continue
        if regular and number < _FILES:
            yield file
