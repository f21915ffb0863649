"""What every command does with what escapes from it: one place, one table.

An expected error becomes one line on stderr and its exit status, and so does a
disk that is full, read-only or closed to this user; an interrupt 130; a closed
pipe a quiet end; anything else is a bug: one line that says so,
and the traceback in a file to attach to a report.
"""

from __future__ import annotations

import io
import sys
import tempfile
import traceback
from collections.abc import Callable

from enc.programs.machine_trouble import trouble
from enc.programs.telling import have_streams, silence, tell
from enc.terms.errors import ExitStatus, ToolkitError, one_line


def run(program: str, main: Callable[[], int]) -> int:
    """Call `main` and return the exit status of the command `program`."""
    have_streams()
    for stream in (sys.stdout, sys.stderr):
        # A value that this terminal cannot show must not stop the output, least of all after an edit was made.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main()
        sys.stdout.flush()
    except ToolkitError as error:
        tell(f"{program}: {error}")
        return _ended(error.exit_status)
    except KeyboardInterrupt:
        tell(f"{program}: interrupted")
        return _ended(ExitStatus.INTERRUPTED)
    except BrokenPipeError:
        return _ended(ExitStatus.FAILED)  # the reader went away (`| head`)
    except Exception as error:
        known = trouble(error) if isinstance(error, OSError) else None
        if known is not None:
            tell(f"{program}: {known}")
            return _ended(ExitStatus.FAILED)
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"{program}-bug-", suffix=".log", delete=False, encoding="utf-8"
        ) as report:
            traceback.print_exc(file=report)
        what = one_line(f"{type(error).__name__}: {error}")
        tell(f"{program}: this is a bug in {program}, please report it with {report.name}: {what}")
        return _ended(ExitStatus.BUG)
    return status


def _ended(status: ExitStatus) -> ExitStatus:
    """Return `status`; what nobody could be given goes nowhere, for Python would fail over it once more at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        silence(sys.stdout)
    return status
