"""Tells a story made of real commands: each is shown as one would type it, run, and its output shown below it.

Owns the form on the terminal, and that a command which ends otherwise than the
story says stops it: `ProcessFailed`, with the command's output as a note. Not
here: which commands (quickstart.py).
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from puppetmaster_self.owned_process import ProcessFailed

_PATIENCE = 20.0
"""Seconds within which what the story waits for must have come."""


def chapter(title: str, text: str) -> None:
    """Begin a chapter."""
    print(f"\n{title}\n{'-' * len(title)}")
    print(textwrap.fill(text, 78), end="\n\n", flush=True)


def tell(text: str) -> None:
    """Say something between two commands."""
    print(textwrap.indent(textwrap.fill(text, 76), "  "), end="\n\n", flush=True)


def show(lines: Iterable[str]) -> None:
    """Show what a program printed, or what a file holds."""
    for line in lines:
        print(f"    {line}".rstrip())
    print(flush=True)


@dataclass(frozen=True)
class Speaker:
    """Somebody who types commands: the prompt, where they are, and their environment."""

    name: str = ""
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict(os.environ)))

    def types(self, *words: str, refused: bool = False, output: Path | None = None) -> None:
        """Show and run one command; with `refused` it belongs to the story that it fails.

        With `output`, its stdout goes to that file.
        """
        into = f" > {shlex.quote(os.path.relpath(output, self.directory))}" if output else ""
        print(f"  {self.name}$ {shlex.join(words)}{into}", flush=True)
        # Unbuffered, so that a Python program's words and data stay in their order.
        environment = {**self.environment, "PYTHONUNBUFFERED": "1"}
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if output else subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                cwd=self.directory,
                env=environment,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProcessFailed(str(error), where=words[0]) from error
        if output is not None:
            output.write_text(done.stdout, encoding="utf-8")
        told = done.stdout if output is None else done.stderr
        if (done.returncode != 0) != refused:
            what = "was not refused" if refused else f"ended with status {done.returncode}"
            failure = ProcessFailed(what, where=shlex.join(words))
            failure.add_note(told)
            raise failure
        lines = [line for line in told.splitlines() if line.strip()]
        if lines:
            show(lines)

    def within(self, directory: str) -> Speaker:
        """Return the same person, in a directory below."""
        return dataclasses.replace(self, directory=(self.directory or Path()) / directory)

    def succeeds(self, *words: str) -> bool:
        """Run a command without a word about it; tell whether it succeeded."""
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.directory,
            env=self.environment,
            timeout=60,
            check=False,
        )
        return done.returncode == 0


def until(condition: Callable[[], bool], problem: str, *, alive: Callable[[], bool], log: Path) -> None:
    """Wait for `condition`; raise `ProcessFailed`, the end of `log` as its note, when it will not come."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline or not alive():
            failure = ProcessFailed(f"{problem}; what the program says stands above", where=str(log))
            failure.add_note(log.read_text(encoding="utf-8", errors="replace")[-4000:])
            raise failure
        time.sleep(0.02)
