"""The reference part of docs/self-master.md, from the parser: `python -m puppetmaster_self.reference docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from enc.reference import commands, with_part
from puppetmaster_self.cli import PUPPETMASTER_SELF

PAGE = "self-master.md"
MAKER = "python -m puppetmaster_self.reference docs"


def renewed(text: str) -> str:
    """Return the text of the page with its made part as it should be."""
    return with_part(text, MAKER, commands(PUPPETMASTER_SELF.parser()))


def main() -> None:
    """Renew the page below the directory that the command line names."""
    path = Path(sys.argv[1]) / PAGE
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
