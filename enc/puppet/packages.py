"""Which packages of Puppet are here, and which of them lack the security fixes that this toolkit rests on.

Every rule that we put into auth.conf, and every catalog, goes through the code
that was mended in November 2026. `FIXES` says in which version. `behind` is
pure; `installed` asks dpkg or rpm (some milliseconds each).

Not here: what is done about it. doctor reports it (doctor/puppet.py), and so do
`puppetmaster-self` and the script that installs what a checkout needs, which
runs this module as a program.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from enc.programs.machine_trouble import said
from enc.programs.telling import tell
from enc.terms.errors import ToolkitError, one_line

AUTHORIZATION = "CVE-2026-115732 (GHSA-q4hm-33rc-572g: rules of auth.conf can be passed by)"
AGENT = "CVE-2026-115731 (GHSA-ffr6-rwpm-p5wq)"


@dataclass(frozen=True, slots=True)
class Fix:
    """The first version of one package that holds a fix."""

    package: str
    series: str
    """What the versions that this row speaks about begin with."""
    version: str
    fault: str


FIXES = (
    # Debian's changelogs of 2026-11-03 to -05, suites bookworm-security and trixie-security.
    Fix("libtrapperkeeper-authorization-clojure", "1.0.0-", "1.0.0-4+deb12u1", AUTHORIZATION),
    Fix("puppet-agent", "7.23.0-", "7.23.0-1+deb12u1", AGENT),
    # Debian's revisions only: Puppet's own packages have this version of Puppet, too.
    Fix("libtrapperkeeper-authorization-clojure", "2.0.1-2", "2.0.1-2+deb13u1", AUTHORIZATION),
    Fix("puppet-agent", "8.10.0-5", "8.10.0-5+deb13u1", AGENT),
    # OpenVox's release pages of 2026-11-03; the server needs that agent, too.
    Fix("openvox-server", "8.", "8.18.0", AUTHORIZATION),
    Fix("openvox-server", "9.", "9.2.0", AUTHORIZATION),
    Fix("openvox-agent", "8.", "8.32.0", AGENT),
    Fix("openvox-agent", "9.", "9.3.0", AGENT),
)
CURE = "upgrade them; where nothing newer is offered, the package sources lack the distribution's security updates"
NAMES = tuple(dict.fromkeys(fix.package for fix in FIXES))
_TIMEOUT = 20.0
_LISTERS: Mapping[str, tuple[str, ...]] = {
    "dpkg-query": ("--show", "--showformat=${db:Status-Status} ${Package} ${Version}\\n", *NAMES),
    "rpm": ("--query", "--queryformat=installed %{NAME} %{VERSION}-%{RELEASE}\\n", *NAMES),
}
"""Both end with 1 if one of the names is not installed, and list the others all the same."""


class NotListed(ToolkitError):
    """The package program could not be asked."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A package that lacks a fix, or of which that is not known."""

    package: str
    version: str
    fix: Fix | None
    """None: no row of the table speaks about this version."""

    def __str__(self) -> str:
        """Return it in words."""
        if self.fix is None:
            return f"{self.package} {self.version}: it is not known whether it has the security fixes of November 2026"
        return f"{self.package} {self.version} lacks {self.fix.version}, which fixes {self.fix.fault}"


def installed() -> dict[str, str]:
    """Return package → version of those in `NAMES` that are installed; raise `NotListed`.

    A machine with neither dpkg nor rpm has none.
    """
    found: dict[str, str] = {}
    for program, arguments in _LISTERS.items():
        if shutil.which(program) is None:
            continue
        try:
            done = subprocess.run(
                [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotListed(f"cannot list the installed packages: {said(error)}", where=program) from error
        if done.returncode > 1 and not done.stdout:
            words = done.stderr.decode("utf-8", "replace")
            raise NotListed(f"cannot list the installed packages: {one_line(words)}", where=program)
        found |= parse_listed(done.stdout.decode("utf-8", "replace"))
    return found


def parse_listed(text: str) -> dict[str, str]:
    """Read lines `installed PACKAGE VERSION`; others (removed packages, rpm's sentences) are not counted."""
    words = (line.split() for line in text.splitlines())
    return {it[1]: it[2] for it in words if len(it) == 3 and it[0] == "installed" and it[1] in NAMES}


def behind(packages: Mapping[str, str]) -> Iterator[Behind]:
    """Yield those of `packages` that lack a fix, and those about whose version no row speaks."""
    for package, version in sorted(packages.items()):
        rows = [fix for fix in FIXES if fix.package == package]
        bare = version.partition(":")[2] or version  # without Debian's epoch
        row = next((fix for fix in rows if bare.startswith(fix.series)), None)
        if row is None:
            yield Behind(package, version, None)
        elif _order(bare) < _order(row.version):
            yield Behind(package, version, row)


def _order(version: str) -> tuple[list[tuple[list[int], int]], ...]:
    """Return what versions are compared by, as dpkg does it (deb-version(7)): first upstream's, then the revision."""
    upstream, _, revision = version.rpartition("-") if "-" in version else (version, "", "")
    return _runs(upstream), _runs(revision)


def _runs(version: str) -> list[tuple[list[int], int]]:
    """Return runs of other characters in turn with numbers.

    In the former `~` comes before the end, the end before letters, and letters before the rest.
    """
    runs = re.findall(r"(\D*)(\d*)", version, re.ASCII)
    return [([*map(_weight, other), 0], int(digits or 0)) for other, digits in runs]


def _weight(character: str) -> int:
    return -1 if character == "~" else ord(character) if character.isalpha() else ord(character) + 256


def warnings() -> list[str]:
    """Return a line for each package here that lacks a fix, or why that cannot be told."""
    try:
        return [str(it) for it in behind(installed())]
    except NotListed as error:
        return [str(error)]


def main() -> int:
    """Say on stderr which packages lack a fix. To find some is no failure of who asks: doctor's exit status is."""
    lines = warnings()
    for line in lines:
        tell(f"security: {line}")
    if lines:
        tell(f"security: {CURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
