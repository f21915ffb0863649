"""A Puppet repository as large as a big site's, made of Debian's puppet-module-* packages.

About 93 real modules with 6,000 files, beside them profiles and hiera data
that are made up, so that there are more than 10,000 files; `test` and
`production`, and any number of project branches with one to three commits.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.bare import git

HOSTS = 3000
PROFILES = 1200


def debian_modules(cache: Path) -> Path:
    """Return a directory of unpacked module packages, fetched once with apt-get into `cache`."""
    goal = cache / "unpacked"
    if not goal.exists():
        packages = cache / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        search = ["apt-cache", "search", "--names-only", "^puppet-module-"]
        names = [line.split()[0] for line in subprocess.check_output(search, text=True).splitlines()]
        subprocess.run(["apt-get", "-q", "download", *names], cwd=packages, check=True, stdout=subprocess.DEVNULL)
        aside = cache / "unpacking"
        for package in sorted(packages.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(aside)], check=True)
        aside.rename(goal)
    return goal / "usr/share/puppet/modules.available"


def files(modules: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield mode, path and content of everything in the repository."""
    taken = set()
    for module in sorted(modules.iterdir()):
        name = module.name.split("-", 1)[-1].replace("-", "_")
        if name in taken:
            continue
        taken.add(name)
        for directory, _, names in os.walk(module):
            for file in names:
                path = Path(directory) / file
                inside = f"modules/{name}/{path.relative_to(module)}"
                if path.is_symlink():
                    if not path.readlink().is_absolute():
                        yield "120000", inside, os.fsencode(path.readlink())
                else:
                    yield "100755" if path.stat().st_mode & 0o100 else "100644", inside, path.read_bytes()
    yield "100644", "environment.conf", b"modulepath = site:modules:$basemodulepath\n"
    yield (
        "100644",
        "hiera.yaml",
        b"---\nversion: 5\nhierarchy:\n  - {name: hosts, path: 'hosts/%{trusted.certname}.yaml'}\n",
    )
    yield "100644", "manifests/site.pp", b"node default { }\n"
    for number in range(PROFILES):
        body = f"class profile::p{number} {{\n  notice('{number}')\n}}\n" * 3
        yield "100644", f"site/profile/manifests/p{number}.pp", body.encode()
    for number in range(HOSTS):
        body = f"---\nprofile::number: {number}\nprofile::role: role{number % 40}\n"
        yield "100644", f"hieradata/region{number % 20}/host{number}.yaml", body.encode()


def create(repository: Path, modules: Path, branches: int) -> int:
    """Make the bare repository; return how many files its branches have."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "production", str(repository)], check=True)
    content = list(files(modules))
    git(repository, "fast-import", "--quiet", stdin=b"".join(_stream(content, branches)))
    git(repository, "repack", "-adq")
    git(repository, "pack-refs", "--all")
    return len(content)


def project_branch(number: int) -> str:
    """Return the name of the branch of project `number`."""
    return f"project/p{number}"


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _commit(ref: str, mark: int, parent: int | None, message: str) -> bytes:
    text = f"commit refs/heads/{ref}\nmark :{mark}\ncommitter A <a@example.org> {1700000000 + mark} +0000\n".encode()
    return text + _data(message.encode()) + (f"from :{parent}\n".encode() if parent else b"")


def _stream(content: list[tuple[str, str, bytes]], branches: int) -> Iterator[bytes]:
    chosen = random.Random(1)
    yield _commit("production", 1, None, "everything")
    for mode, path, body in content:
        yield f"M {mode} inline {path}\n".encode() + _data(body)
    yield b"reset refs/heads/test\nfrom :1\n"
    edited = [one for one in content if re.fullmatch(r"modules/.*\.(pp|rb|erb|epp)", one[1])]
    mark = 1
    for number in range(branches):
        parent = 1
        for _ in range(chosen.randint(1, 3)):
            mark += 1
            mode, path, body = chosen.choice(edited)
            yield _commit(project_branch(number), mark, parent, "a change")
            yield f"M {mode} inline {path}\n".encode() + _data(body + b"# changed by %d\n" % mark)
            parent = mark
