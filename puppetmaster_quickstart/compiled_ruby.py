"""Ruby's packages, compiled once: compiling them takes half of the CPU time in which `puppet` starts.

`use` names the directory of the cache. It puts a small Ruby program there
(compiled_ruby.rb), which keeps its results beside itself. Losing them costs only time.
Whoever can write there decides what Ruby does, so it belongs to the account that uses it.

Not here: which programs use it. They are those that get `environment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from enc.programs import whole_file
from enc.programs.whole_file import Strength

_PROGRAM = Path(__file__).with_suffix(".rb")
_used: list[Path] = []


def use(cache: Path) -> Path:
    """Make `environment` point to `cache`, and return it. Ruby must load `compiled_ruby` from there."""
    place, text = cache / _PROGRAM.name, _PROGRAM.read_bytes()
    if not place.exists() or place.read_bytes() != text:
        cache.mkdir(parents=True, exist_ok=True)
        whole_file.write(place, text, mode=0o644, survives=Strength.ORDER)
    _used[:] = [cache]
    return cache


def environment(*hidden: str) -> Mapping[str, str]:
    """Return the environment variables for a program that sees all of this machine except what is below `hidden`.

    There are none if Ruby could not find its program there, because it would not even start.
    """
    return {
        name: value
        for place in _used
        if ":" not in str(place) and not any(place.is_relative_to(path) for path in hidden)
        for name, value in (("RUBYLIB", str(place)), ("RUBYOPT", f"-r{_PROGRAM.stem}"))
    }
