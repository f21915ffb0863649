"""One call of a command: its arguments, the configuration, and how results are shown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from enc.edits import differences
from enc.edits.differences import Bounds
from enc.programs import log, whole_file
from enc.programs.telling import tell
from enc.programs.whole_file import Strength
from enc.settings import Settings, config
from enc.terms.errors import one_line


def json_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--json` where a command prints data."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def full_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--full` where differences of values are shown."""
    parser.add_argument("--full", action="store_true", help="show long values whole, not only what changed in them")


def edit_options(parser: argparse.ArgumentParser) -> None:
    """Offer what every edit takes: a reason, a dry run, and on whose behalf."""
    parser.add_argument("--reason", required=True, help="why; stands in the audit trail")
    parser.add_argument("--dry-run", action="store_true", help="show the very change that would be made, and make none")
    parser.add_argument("--as", dest="person", metavar="UID", help="bind as this person (asks for the password)")


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

    def show(self, document: Any, text: str | Iterable[str]) -> None:
        """Print the result: `document` for programs, else the lines of `text`."""
        if self.json:
            print(self.shown(document, ""), end="")
            return
        for line in [text] if isinstance(text, str) else text:
            print(line)

    def shown(self, document: Any, text: str) -> str:
        """Return what `show` prints."""
        return (json.dumps(document, indent=2, ensure_ascii=False, default=str) if self.json else text) + "\n"

    def say(self, text: str) -> None:
        """Tell people what happened, if any listen; never mixed with data."""
        tell(one_line(text))


def write_units(call: Call, texts: Mapping[str, str]) -> None:
    """Write systemd units (name to text) into the directory of the arguments, and print where."""
    for name, text in texts.items():
        path = call.arguments.directory / name
        # systemd may read it at any moment, and reads it again after a power cut.
        whole_file.write(path, text, mode=0o644, survives=Strength.POWER_CUT)
    for name in texts:
        print(call.arguments.directory / name)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return aligned columns under `head`; no value can break a line."""
    cells = [list(head), *([one_line(str(value)) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells]
