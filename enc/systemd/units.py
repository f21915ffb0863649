"""The shipped units with the paths of this installation. Pure, but for reading the shipped files."""

from __future__ import annotations

from pathlib import Path

from enc.errors import UsageError

_SHIPPED_PROGRAM = "/usr/local/bin/enc-admin"
UNITS = ("puppetmaster-follow.service", "puppetmaster-directory.service")
ACCOUNTS = "puppetmaster.sysusers"


def files(program: Path, config: Path | None) -> dict[str, str]:
    """Return file name → text: the units running `program` with `config` (None: the default), and their accounts.

    Raise `UsageError` for a path that cannot stand in a unit.
    """
    words = [str(program), *(["--config", str(config)] if config else [])]
    for word in words:
        if not word.isprintable() or any(character in word for character in ' "\'\\%$;'):
            raise UsageError(f"{word!r} cannot stand in a unit; use a path without spaces and quotes")
    place = Path(__file__).parent
    texts = {name: place.joinpath(name).read_text(encoding="utf-8") for name in UNITS}
    return {
        **{name: text.replace(_SHIPPED_PROGRAM, " ".join(words)) for name, text in texts.items()},
        ACCOUNTS.replace(".sysusers", ".conf"): place.joinpath(ACCOUNTS).read_text(encoding="utf-8"),
    }
