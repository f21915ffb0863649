"""Our answers held against another ENC's, before a change-over.

The other program is run as puppetserver would run it (contracts: the ENC
contract): the setting is split on white space without quoting, the certname is
the last argument, only stdout is an answer, as YAML, and of it only `classes`,
`parameters` and `environment`. A failure or empty output is a failed catalog.
puppetserver waits for ever; here a call has a time-out.

What counts as equal is what Puppet would make of both: a list of classes is a
mapping without parameters, `::Apache` is `apache`, the order of classes does
not matter, and an answer without an environment means the configured default.
Values are compared with their types: 1, "1" and true are three things.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from enc.classify.model import Classification
from enc.settings.config import NOT_YAML
from enc.terms.errors import MOST_SAID, UsageError, one_line
from enc.terms.names import Certname
from enc.terms.program_words import why

LONGEST_OUTPUT = 16 << 20
"""Bytes of an answer that are looked at."""


@dataclass(frozen=True)
class Verdict:
    """What came of one node."""

    certname: Certname
    differences: tuple[str, ...] = ()
    """Empty: both say the same, or both refuse."""


@dataclass(frozen=True)
class Said:
    """One side's answer in the form in which both are compared, or why there is none."""

    classes: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Any]
    environment: str | None
    failure: str | None = None


def command_of(setting: str) -> list[str]:
    """Return the words of an `external_nodes` setting; raise `UsageError` if the first is no absolute path."""
    words = setting.split()
    if not words or not words[0].startswith("/"):
        raise UsageError("write --with as in external_nodes: an absolute path, then arguments without quoting")
    return words


def ours(classification: Classification) -> Said:
    """Return our answer."""
    classes = {name: dict(parameters) for name, parameters in classification.classes.items()}
    return Said(_classes(classes), classification.variables, classification.environment)


def refused(reason: str) -> Said:
    """Return an answer that is a failure."""
    return Said({}, {}, None, one_line(reason))


def theirs(command: list[str], certname: Certname, timeout: float) -> Said:
    """Run the other program for one node; what goes wrong is a failure with its reason."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [*command, certname],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            return refused(f"cannot be started: {error.strerror}")
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            # With all that it started: the session is its own.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return refused(f"no answer within {timeout:g} seconds")
        output.seek(0)
        raw = output.read(LONGEST_OUTPUT + 1)
        said.seek(0)
        words = said.read(MOST_SAID).decode("utf-8", "replace")
    text = raw.decode("utf-8", "replace")
    if status != 0:
        return refused(f"exit status {status}: {why(words, '') or why(text)}")
    if len(raw) > LONGEST_OUTPUT:
        return refused(f"more than {LONGEST_OUTPUT} bytes")
    return read(text)


def read(text: str) -> Said:
    """Return an ENC's output in the form in which it is compared; what is no answer is a failure."""
    try:
        document = yaml.safe_load(text)
    except NOT_YAML as error:
        return refused(f"is not YAML: {' '.join(str(error).split())}")
    if document is None:
        return refused("empty output")
    if not isinstance(document, dict):
        return refused("is not a YAML mapping")
    classes, parameters = document.get("classes") or {}, document.get("parameters") or {}
    if not isinstance(classes, dict | list) or not isinstance(parameters, dict):
        return refused("classes or parameters are neither a list nor a mapping")
    environment = document.get("environment")
    return Said(
        _classes(classes), {str(k): v for k, v in parameters.items()}, None if environment is None else str(environment)
    )


def _classes(found: Mapping[str, Any] | list[Any]) -> dict[str, dict[str, Any]]:
    pairs = found.items() if isinstance(found, Mapping) else ((name, None) for name in found)
    normal: dict[str, dict[str, Any]] = {}
    for name, parameters in pairs:
        key = str(name).removeprefix("::").lower()
        normal.setdefault(key, {}).update(parameters if isinstance(parameters, Mapping) else {})
    return normal


def differences(our: Said, their: Said, *, ignore: frozenset[str], default_environment: str) -> tuple[str, ...]:
    """Return one line for each thing on which the two differ."""
    if our.failure is not None and their.failure is not None:
        return ()
    if our.failure is not None:
        return (f"ours fails: {our.failure}",)
    if their.failure is not None:
        return (f"theirs fails: {their.failure}",)
    found = []
    ours_in, theirs_in = (said.environment or default_environment for said in (our, their))
    if ours_in != theirs_in:
        found.append(f"environment: ours {ours_in}, theirs {one_line(theirs_in)}")
    for name in sorted(our.classes.keys() | their.classes.keys()):
        if name not in their.classes:
            found.append(f"class {one_line(name)}: only ours")
        elif name not in our.classes:
            found.append(f"class {one_line(name)}: only theirs")
        else:
            found += _values(f"parameter {name}::", our.classes[name], their.classes[name])
    mine, other = (
        {name: value for name, value in said.parameters.items() if name not in ignore} for said in (our, their)
    )
    return (*found, *_values("variable ", mine, other))


def _values(kind: str, our: Mapping[str, Any], their: Mapping[str, Any]) -> list[str]:
    found = []
    for name in sorted(our.keys() | their.keys()):
        mine, other = (_shown(said[name]) if name in said else None for said in (our, their))
        if mine != other:
            found.append(one_line(f"{kind}{name}: ours {mine or 'absent'}, theirs {other or 'absent'}"))
    return found


def _shown(value: Any) -> str:
    """Return a value with its type visible; what JSON does not have (dates) by its own form."""
    if isinstance(value, Mapping):
        # The other program's keys may be anything that YAML knows, and 1 is not "1".
        return "{" + ", ".join(sorted(f"{_shown(key)}: {_shown(item)}" for key, item in value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=repr)


def compare(
    nodes: Iterable[tuple[Certname, Said]],
    command: list[str],
    *,
    jobs: int,
    timeout: float,
    ignore: frozenset[str],
    default_environment: str,
) -> Iterator[Verdict]:
    """Yield a verdict for each of `nodes` (name and our answer), in their order; `jobs` programs run at a time."""

    def one(node: tuple[Certname, Said]) -> Verdict:
        certname, our = node
        their = theirs(command, certname, timeout)
        return Verdict(certname, differences(our, their, ignore=ignore, default_environment=default_environment))

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        yield from pool.map(one, nodes)
