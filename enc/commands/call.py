"""One call of a command: its arguments, the configuration, and how results are shown."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from enc.edits import differences
from enc.edits.differences import Bounds
from enc.programs import documents, log, whole_file
from enc.programs.documents import Document
from enc.programs.telling import tell
from enc.programs.whole_file import Strength
from enc.settings import Settings, config
from enc.terms.errors import UsageError, one_line


def json_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--json` where a command prints data."""
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of text")


def full_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--full` where differences of values are shown."""
    parser.add_argument("--full", action="store_true", help="show long values in full, not only what changed in them")


def edit_options(parser: argparse.ArgumentParser) -> None:
    """Offer what every edit takes: a reason, a dry run, and on whose behalf."""
    parser.add_argument("--reason", required=True, help="reason; kept in the audit trail")
    parser.add_argument("--dry-run", action="store_true", help="show the change that would be made, and make none")
    parser.add_argument("--as", dest="person", metavar="UID", help="bind as this person (asks for the password)")


def past_options(parser: argparse.ArgumentParser) -> None:
    """Offer `--since` (enc/service/history.py's `moment` reads it) and `--last` (`whole_number`) for what was."""
    parser.add_argument(
        "--since", metavar="WHEN", help="only since then: 2026-11-01, 2026-11-01T14:30 (both UTC), or 2h, 3d ago"
    )
    parser.add_argument("--last", metavar="N", help="only the last N")


def whole_number(option: str, text: str) -> int:
    """Return the number from 1 that `text` is; raise `UsageError`, which names `option`."""
    if not (text.isascii() and text.isdigit() and int(text[:10]) > 0 and len(text) <= 10):
        raise UsageError(f"{option} {one_line(text[:60])}: write a whole number from 1")
    return int(text)


def verbs(parser: argparse.ArgumentParser) -> Callable[[str, str, Callable[[Call], int]], argparse.ArgumentParser]:
    """Give a command words of its own: call the result with VERB, summary and what does it; `Call.do` then does it."""
    below = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, summary: str, do: Callable[[Call], int]) -> argparse.ArgumentParser:
        added = below.add_parser(name, help=summary, description=summary)
        added.set_defaults(do=do)
        return added

    return verb


@dataclass(frozen=True)
class Call:
    """What a command is called with."""

    arguments: argparse.Namespace
    config_path: Path

    @cached_property
    def settings(self) -> Settings:
        """The configuration, read when first needed; logging is set up with it, and says what is gone from it."""
        reading = config.read(self.config_path)
        settings = reading.sound()
        log.setup(settings.log)
        if reading.remark:
            log.get("configuration").warning("%s", reading.remark)
        return settings

    def do(self) -> int:
        """Do what the command's own word says (`verbs`)."""
        chosen: Callable[[Call], int] = self.arguments.do
        return chosen(self)

    @property
    def json(self) -> bool:
        """Whether a program reads the output."""
        return bool(getattr(self.arguments, "json", False))

    @property
    def bounds(self) -> Bounds:
        """How much of values is shown to people."""
        return differences.WHOLE if getattr(self.arguments, "full", False) else differences.SHORT

    def show(self, document: Document, text: str | Iterable[str]) -> None:
        """Print the result: `document` for programs (docs/json.md), else the lines of `text`."""
        if self.json:
            print(self.shown(document, ""), end="")
            return
        for line in [text] if isinstance(text, str) else text:
            print(line)

    def show_rows(self, document: Document, head: Sequence[str], rows: Collection[Sequence[object]], none: str) -> None:
        """Print the result: `document` for programs, else a table, or to people that there is `none`."""
        self.show_lines(document, table(head, rows) if rows else (), none)

    def show_lines(self, document: Document, lines: Collection[str], none: str) -> None:
        """Print the result: `document` for programs, else `lines`, or to people that there is `none`."""
        self.show(document, lines)
        if not (lines or self.json):
            self.say(none)

    def shown(self, document: Document, text: str) -> str:
        """Return what `show` prints."""
        return documents.text(document) if self.json else f"{text}\n"

    def say(self, text: str) -> None:
        """Tell people what happened; never mixed with data. Never fails: the work goes on whoever listens."""
        tell(one_line(text))


def write_units(call: Call, texts: Mapping[str, str]) -> None:
    """Write systemd units (name to text) into the directory of the arguments, and print where."""
    paths = [call.arguments.directory / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        # systemd may read it at any moment, and reads it again after a power cut.
        whole_file.write(path, text, mode=0o644, survives=Strength.POWER_CUT)
    call.show({"files": paths}, map(str, paths))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return aligned columns under `head`; no value can break a line."""
    cells = [list(head), *([one_line(str(value)) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells]
