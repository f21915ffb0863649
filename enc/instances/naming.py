"""What an instance is called: a whole certname, a short name in the site's pattern, or the next free number. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from enc.terms.errors import UsageError
from enc.terms.filters import folded
from enc.terms.names import Certname, ProjectName

NUMBER = "-#"
"""At the end of a short name (or of a certname's first part): the lowest number that is free."""
_HIGHEST = 100_000


def certname(name: str, project: ProjectName, pattern: str) -> str:
    """Return the certname that `name` stands for, perhaps still with `-#`; raise `InvalidName` or `UsageError`."""
    short, _, rest = name.partition(".")
    whole = name if rest else pattern.replace("%{name}", name).replace("%{project}", project)
    if short.endswith(NUMBER):
        Certname(whole.replace(NUMBER, "-1", 1))
        return whole
    return Certname(whole)


def is_numbered(whole: str) -> bool:
    """Tell whether a number is still to be found for it."""
    return whole.partition(".")[0].endswith(NUMBER)


def beginning(whole: str) -> str:
    """Return what all names of a numbered one begin with: `web-` for `web-#.example.org`."""
    return whole.partition("#")[0]


def free(whole: str, taken: Iterable[str]) -> Iterator[Certname]:
    """Yield the names with numbers that are not `taken`, the lowest first."""
    before, _, after = whole.partition("#")
    form = re.compile(rf"{re.escape(folded(before))}(\d{{1,6}}){re.escape(folded(after))}", re.ASCII)
    numbers = {int(match[1]) for name in taken if (match := form.fullmatch(folded(name)))}
    for number in range(1, _HIGHEST):
        if number not in numbers:
            yield Certname(f"{before}{number}{after}")
    raise UsageError(f"{whole}: all numbers below {_HIGHEST} are taken")
