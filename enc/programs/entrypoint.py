"""What every command does with what escapes from it: one place, one table.

An expected error becomes one line on stderr and its exit status, and so does a
disk that is full, read-only or closed to this user; an interrupt 130; a closed
pipe a quiet end; anything else is a bug: one line that says so,
and the traceback in a file to attach to a report. With `--json` it is a document
on stdout, too, so that a program which reads stdout learns why.
"""

from __future__ import annotations

import io
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import NamedTuple

from enc.programs import documents, machine_trouble
from enc.programs.telling import have_streams, silence, tell
from enc.terms.errors import ExitStatus, ToolkitError, one_line


class _Failure(NamedTuple):
    """How a command ended that did not do its work."""

    status: ExitStatus
    message: str
    where: str | None = None
    cure: str | None = None

    def line(self) -> str:
        """Return it for people."""
        words = f"{self.where}: {self.message}" if self.where else self.message
        return one_line(f"{words}; {self.cure}" if self.cure else words)


def run(program: str, main: Callable[[], int], *, json: bool = False) -> int:
    """Call `main` and return the exit status of the command `program`.

    With `json` what escapes is a document on stdout, too (docs/json.md).
    """
    have_streams()
    for stream in (sys.stdout, sys.stderr):
        # A value that this terminal cannot show must not stop the output, least of all after an edit was made.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away (`| head`)
        silence(sys.stdout)
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        failure = _Failure(ExitStatus.INTERRUPTED, "interrupted")
    except Exception as error:
        failure = _failure(program, error)
    else:
        return status
    tell(f"{program}: {failure.line()}")
    try:
        if json:
            sys.stdout.write(documents.line(documents.failure(failure.message, failure.where, failure.cure)))
        sys.stdout.flush()
    except (OSError, ValueError):  # a reader that went away, a full disk: stderr and the exit status have told it
        silence(sys.stdout)  # or Python would fail over it once more at its end
    return failure.status


def _failure(program: str, error: Exception) -> _Failure:
    if isinstance(error, ToolkitError):
        return _Failure(error.exit_status, error.message, error.where)
    if isinstance(error, OSError) and (cure := machine_trouble.remedy(error)) is not None:
        return _Failure(ExitStatus.FAILED, machine_trouble.said(error), machine_trouble.where(error), cure)
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{program}-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as report:
        traceback.print_exception(error, file=report)
    what = f"{type(error).__name__}: {error}"
    return _Failure(ExitStatus.BUG, f"this is a bug in {program}, please report it with {report.name}: {what}")
