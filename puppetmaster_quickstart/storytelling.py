"""Tells a story made of real commands: each is shown as one would type it, run, and its output shown below it.

Owns the form on the terminal, and that a command which ends otherwise than the
story says stops it: `ProcessFailed`; what the command said stands above. Not
here: which commands (the chapters).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from puppetmaster_quickstart.owned_process import ProcessFailed

_PATIENCE = 120.0
"""Seconds within which what the story waits for must have come: 2 on an idle machine, many times that on a busy one.
Where the program that should bring it has ended, nothing is waited for."""


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
    entering: tuple[str, ...] = ()
    """Stands before each command and is not shown: what leads to the machine on which it is typed."""

    def types(self, *words: str, refused: bool = False, output: Path | None = None, patience: float = 60.0) -> None:
        """Show and run one command, its words as they come; with `refused` it belongs to the story that it fails.

        With `output`, its stdout goes to that file. After `patience` seconds it is ended, which is a failure.
        """
        into = f" > {shlex.quote(os.path.relpath(output, self.directory))}" if output else ""
        print(f"  {self.name}$ {shlex.join(words)}{into}", flush=True)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(output.open("wb")) if output else None
            try:
                child = subprocess.Popen(
                    (*self.entering, *words),
                    stdin=subprocess.DEVNULL,
                    stdout=file or subprocess.PIPE,
                    stderr=subprocess.PIPE if file else subprocess.STDOUT,
                    encoding="utf-8",
                    errors="replace",
                    cwd=self.directory,
                    # Unbuffered, so that a Python program's words and data stay in their order.
                    env={**self.environment, "PYTHONUNBUFFERED": "1"},
                )
            except OSError as error:
                raise ProcessFailed(str(error), where=words[0]) from error
            stack.enter_context(child)
            stack.callback(child.kill)
            limit = threading.Timer(patience, child.kill)
            stack.callback(limit.cancel)
            limit.start()
            _show_as_they_come((child.stderr if file else child.stdout) or ())
            status = child.wait()
        if status < 0:
            raise ProcessFailed(f"did not end within {patience:.0f} s", where=shlex.join(words))
        if (status != 0) != refused:
            what = "was not refused" if refused else f"ended with status {status}"
            raise ProcessFailed(what, where=shlex.join(words))

    def within(self, directory: str) -> Speaker:
        """Return the same person, in a directory below."""
        return dataclasses.replace(self, directory=(self.directory or Path()) / directory)

    def succeeds(self, *words: str) -> bool:
        """Run a command without a word about it; tell whether it succeeded."""
        return self._run(words).returncode == 0

    def answers(self, *words: str) -> str:
        """Run a command without a word about it; return its stdout; raise `ProcessFailed` if it fails."""
        done = self._run(words)
        if done.returncode != 0:
            raise ProcessFailed(f"ended with status {done.returncode}: {done.stderr}", where=shlex.join(words))
        return done.stdout

    def _run(self, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=self.environment,
            timeout=60,
            check=False,
        )


def _show_as_they_come(lines: Iterable[str]) -> None:
    said = False
    for line in lines:
        if line.strip():
            print(f"    {line}".rstrip(), flush=True)
            said = True
    if said:
        print(flush=True)


def until(condition: Callable[[], bool], problem: str, *, alive: Callable[[], bool], log: Path) -> None:
    """Wait for `condition`; raise `ProcessFailed`, the end of `log` as its note, when it will not come."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline or not alive():
            failure = ProcessFailed(f"{problem}; see the program's output above", where=str(log))
            failure.add_note(log.read_text(encoding="utf-8", errors="replace")[-4000:])
            raise failure
        time.sleep(0.02)
