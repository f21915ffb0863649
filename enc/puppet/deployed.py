"""Which environments and classes are on this machine's disk, as far as names of files tell. Only reads.

Puppet looks for `m::a::b` in `modules/m/manifests/a/b.pp`, then in the files of
the names above it (`a.pp`, `init.pp`), and takes what the environment's own
manifests define (puppet/parser/type_loader.rb). So does this, with one line of
`class NAME` for a definition: what a manifest makes up while it is compiled is
not seen. Nothing here decides: a later push may bring what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

from enc.rights.domains import shows
from enc.settings import Settings
from enc.terms.environments import Rules
from enc.terms.names import ClassName, EnvironmentName

_MOST_MANIFESTS = 500
"""So many files of an environment's own manifests are read."""
_LARGEST = 1 << 20
"""Bytes of one file that are read."""
BASE_MODULES = (
    Path("/opt/puppetlabs/puppet/modules"),
    Path("/usr/share/puppet/modules"),
)
"""Modules that the packages bring, besides `modules` beside the environments (basemodulepath's default)."""


def base_modules(settings: Settings) -> tuple[Path, ...]:
    """Return the directories of modules that every environment has: Puppet's default basemodulepath."""
    return settings.branches.environments.parent / "modules", *BASE_MODULES


class Environments:
    """The environments below one or more directories."""

    def __init__(
        self,
        places: Sequence[Path],
        base_modules: Sequence[Path],
        shown: Callable[[EnvironmentName], bool] = lambda _: True,
    ) -> None:
        """`places`: environmentpath; `base_modules`: basemodulepath; `shown`: whether this machine is to have one."""
        self.shown = shown
        self._places = places
        self._base = base_modules
        self._known: dict[str, Environment | None] = {}

    @classmethod
    def of(cls, settings: Settings) -> Environments:
        """Return those that the branch manager's settings name, with Puppet's default modules."""
        shown = partial(shows, rules=Rules(settings.branches.rules), domains=settings.domains)
        return cls((settings.branches.environments,), base_modules(settings), shown)

    @classmethod
    def printed(cls, settings: Mapping[str, str]) -> Environments:
        """Return those of `environmentpath` and `basemodulepath`, as `puppet config print` says them."""
        places, base_modules = (
            [Path(part) for part in settings.get(name, "").split(":") if part.startswith("/")]
            for name in ("environmentpath", "basemodulepath")
        )
        return cls(places, base_modules)

    @property
    def served(self) -> bool:
        """Whether this machine has environments that can be looked at."""
        return any(_holds_something(place) for place in self._places)

    def __getitem__(self, name: EnvironmentName) -> Environment | None:
        """Return an environment; None: there is no directory of that name, or none that may be looked at."""
        if name not in self._known:
            found = next((place / name for place in self._places if _is_directory(place / name)), None)
            self._known[name] = None if found is None else Environment(found, self._base)
        return self._known[name]


class Environment:
    """One environment's directory."""

    def __init__(self, place: Path, base_modules: Sequence[Path]) -> None:
        self.place = place
        self._base = base_modules
        self._seen: dict[str, bool | None] = {}

    def has(self, name: ClassName) -> bool | None:
        """Tell whether a file defines the class; None: its modules or manifests cannot all be looked at."""
        if name not in self._seen:
            self._seen[name] = self._has(name)
        return self._seen[name]

    def alike(self, name: ClassName) -> Iterator[str]:
        """Yield the classes that somebody may have meant, as names of files tell: those of its module, else modules."""
        module = name.partition("::")[0]
        manifests = next((one for one in self._manifests(module) if _is_directory(one)), None)
        if manifests is None:
            for directory in self._modulepath or ():
                yield from (place.parent.parent.name for place in directory.glob("*/manifests/init.pp"))
            return
        for file in islice(manifests.rglob("*.pp"), _MOST_MANIFESTS):
            words = file.relative_to(manifests).with_suffix("").parts
            yield "::".join((module, *(words if words != ("init",) else ())))

    def _manifests(self, module: str) -> Iterator[Path]:
        yield from (directory / module / "manifests" for directory in self._modulepath or ())

    def _has(self, name: ClassName) -> bool | None:
        modules = self._modulepath
        module, *rest = name.split("::")
        if modules is None:
            return None
        for directory in modules:
            manifests = directory / module / "manifests"
            if not _is_directory(manifests):
                continue
            files = [manifests.joinpath(*rest[:end]).with_suffix(".pp") for end in range(len(rest), 0, -1)]
            if any(_defines(file, name) for file in (*files, manifests / "init.pp")):
                return True
            break  # Puppet takes the first module of that name
        if self._own is None:
            return None
        return any(_says(text, name) for text in self._own)

    @cached_property
    def _conf(self) -> dict[str, str]:
        text = _read(self.place / "environment.conf") or ""
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
        return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}

    @cached_property
    def _modulepath(self) -> tuple[Path, ...] | None:
        """The directories of modules; None: one of them is named by a setting that is not known here."""
        found: list[Path] = []
        for part in self._conf.get("modulepath", "modules:$basemodulepath").split(":"):
            if part in ("$basemodulepath", "${basemodulepath}"):
                found += self._base
            elif "$" in part:
                return None
            elif part:
                found.append(self.place / part)
        return tuple(found)

    @cached_property
    def _own(self) -> tuple[str, ...] | None:
        """The text of the environment's own manifests; None: they are too many, or somewhere that is not known."""
        named = self._conf.get("manifest", "manifests")
        if "$" in named:
            return None
        place = self.place / named
        files = [place] if place.is_file() else sorted(place.rglob("*.pp")) if place.is_dir() else []
        if len(files) > _MOST_MANIFESTS:
            return None
        return tuple(filter(None, map(_read, files)))


def _is_directory(place: Path) -> bool:
    """Tell whether somebody who runs this may see a directory there: people's accounts need not read the code."""
    try:
        return place.is_dir()
    except OSError:
        return False


def _holds_something(place: Path) -> bool:
    try:
        return any(True for _ in place.iterdir())
    except OSError:
        return False


def _defines(file: Path, name: ClassName) -> bool:
    text = _read(file)
    return text is not None and _says(text, name)


def _says(text: str, name: ClassName) -> bool:
    return re.search(rf"\bclass\s+(?:::)?{re.escape(name)}(?![\w:])", text) is not None


def _read(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_LARGEST)
    except OSError:
        return None
