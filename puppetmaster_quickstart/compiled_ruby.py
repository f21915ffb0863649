"""Ruby's packages, compiled once: half of the processor's time in which `puppet` starts goes into compiling them.

`use` names the directory of a cache that has a small Ruby program then
(compiled_ruby.rb), and beside it what that has kept. Losing it costs time only.
Who may write to it decides what Ruby does, so it belongs to the account that uses it.

Not here: which programs find it. They are those that get `environment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from enc.programs import whole_file
from enc.programs.whole_file import Strength

_PROGRAM = Path(__file__).with_suffix(".rb")
_used: list[Path] = []


def use(cache: Path) -> Path:
    """Let `environment` lead to what is kept in `cache`; return that. A Ruby must load `compiled_ruby` from there."""
    place, text = cache / _PROGRAM.name, _PROGRAM.read_bytes()
    if not place.exists() or place.read_bytes() != text:
        cache.mkdir(parents=True, exist_ok=True)
        whole_file.write(place, text, mode=0o644, survives=Strength.ORDER)
    _used[:] = [cache]
    return cache


def environment(*hidden: str) -> Mapping[str, str]:
    """Return what a program needs in its environment that sees all of this machine but what is below `hidden`.

    It is nothing where Ruby would not find its program: it would not even start.
    """
    return {
        name: value
        for place in _used
        if ":" not in str(place) and not any(place.is_relative_to(path) for path in hidden)
        for name, value in (("RUBYLIB", str(place)), ("RUBYOPT", f"-r{_PROGRAM.stem}"))
    }
