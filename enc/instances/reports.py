"""What of a kept report we need: status, noop, environment, transaction. Read without believing it.

Our report processor writes one small JSON document for a run. Puppet's `store`
writes YAML with Ruby's tags, and what stands there is the agent's word. So no
object is made of it: events are read one by one, only scalars of the outermost
mapping are looked at, aliases are not followed, and reading ends when
everything was seen (it stands at the top), or at a limit.

Not here: when a report came, which the file's own time tells, and whose it is.
That is the name of its directory. Our processor takes it from the certificate;
`store` takes it from the report, which is the sender's own only as long as
auth.conf says so. Nothing that matters may hang on it: it shows, it allows nothing.
"""

from __future__ import annotations

import json
import os
import stat
from typing import BinaryIO

import yaml

from enc.instances.states import Run
from enc.terms.errors import bounded

_WANTED = ("status", "noop", "environment", "transaction_uuid")
_STATUSES = ("changed", "unchanged", "failed")
_BYTES = 64 << 20
_JSON_BYTES = 4096
_EVENTS = 2_000_000
_SHOWN = 200
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: twenty times faster. Only its events are used."""


def run_of(name: str, directory: int) -> Run:
    """Read the report `name` in the open `directory`; raise OSError, or ValueError if it is no report."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with open(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        longest, reader = (_JSON_BYTES, read_kept) if name.endswith(".json") else (_BYTES, read)
        if status.st_size > longest:
            raise ValueError(f"is longer than {longest} bytes")
        return reader(stream, int(status.st_mtime))


def read_kept(stream: BinaryIO, at: int) -> Run:
    """Return the run that a file of our processor tells of; as `read`."""
    try:
        document = json.loads(stream.read(_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {bounded(str(error))}") from error
    if not isinstance(document, dict):
        raise ValueError("is not a mapping")  # noqa: TRY004 - the form of a file, not of an argument
    said = [document.get(name, "") for name in ("status", "environment", "transaction_uuid")]
    noop = document.get("noop")
    if said[0] not in _STATUSES or not isinstance(noop, bool) or not all(isinstance(text, str) for text in said):
        raise ValueError("has no status of a run")
    return Run(at, said[0], noop, said[1][:_SHOWN], said[2][:_SHOWN])


def read(stream: BinaryIO, at: int) -> Run:
    """Return the run that a report tells of; it came at `at` (seconds since 1970). Raise ValueError."""
    try:
        found = _scalars(stream)
    except yaml.YAMLError as error:
        raise ValueError("is not YAML: " + bounded(" ".join(str(error).split()))) from error
    status, noop = found.get("status", ""), found.get("noop", "false")
    if status not in _STATUSES or noop not in ("true", "false"):
        raise ValueError("has no status of a run")
    return Run(at, status, noop == "true", found.get("environment", ""), found.get("transaction_uuid", ""))


def _scalars(stream: BinaryIO) -> dict[str, str]:
    """Return the wanted scalars of the outermost mapping."""
    found: dict[str, str] = {}
    depth, key = 0, None
    for number, event in enumerate(yaml.parse(stream, Loader=_LOADER)):
        if number > _EVENTS:
            raise ValueError(f"has more than {_EVENTS} parts")
        if isinstance(event, yaml.CollectionStartEvent):
            if depth == 0 and not isinstance(event, yaml.MappingStartEvent):
                raise ValueError("is not a mapping")
            depth += 1
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            if depth == 0:
                break
            if depth == 1:
                key = "" if key is None else None  # what ended was a key (of no interest), or a value
            continue
        if depth != 1 or not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            continue
        text = event.value[:_SHOWN] if isinstance(event, yaml.ScalarEvent) else ""
        if key is None:
            key = text
            continue
        if key in _WANTED:
            found.setdefault(key, text)
            if len(found) == len(_WANTED):
                break
        key = None
    return found
