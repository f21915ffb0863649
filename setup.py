"""Distribution `puppetmaster-toolkit`: see README.md.

The repository root is at the same time the Puppet module `puppetmaster`
(metadata.json, manifests/), so this file names its Python packages one by one
instead of searching for them.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

MODULE = "share/puppetmaster-toolkit/module"
"""Where the Puppet module is below the prefix: puppetmaster-self applies it."""


def _module_files() -> list[tuple[str, list[str]]]:
    """Return the files of the Puppet module by directory, as data_files wants them."""
    names = ("manifests", "templates", "types", "functions", "lib", "files", "data")
    found = [path for name in names for path in Path(name).rglob("*") if path.is_file()]
    found += [Path(name) for name in ("metadata.json", "hiera.yaml") if Path(name).exists()]
    places = sorted({path.parent for path in found})
    return [
        (f"{MODULE}/{place}", sorted(str(path) for path in found if path.parent == place)) for place in places
    ]


class FreshBuild(build_py):
    """Begins with an empty `build/lib`: pip installs all of it, also what an earlier release had and this has not."""

    def run(self) -> None:
        """Remove what an earlier build left."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    name="puppetmaster-toolkit",
    version="0.1.0",
    description="Puppet node classifier on LDAP, branch environments from git, and self-made puppet masters",
    license="Apache-2.0",
    cmdclass={"build_py": FreshBuild},
    python_requires=">=3.11",
    packages=find_packages(
        include=["enc", "enc.*", "git_hooks", "git_hooks.*", "puppetmaster_self", "puppetmaster_self.*"]
    ),
    package_data={
        "": ["*.ldif", "*.schema", "*.yaml", "*.service", "*.timer", "*.sysusers", "*.sh", "*.rb", "py.typed"]
    },
    data_files=_module_files(),
    # Shell programs: puppetserver starts them for every catalog, so they must
    # cost little more than a process (docs/answers.md has the figures).
    scripts=[
        *("enc/enc", "enc/enc-trusted", "enc/enc-autosign"),
        "git_hooks/puppetmaster-code-id",
        "git_hooks/puppetmaster-code-content",
        "git_hooks/puppetmaster-config-version",
    ],
    install_requires=[
        "ldap3 >= 2.9.1, < 2.10",
        "pyasn1 >= 0.4.8, < 0.7",
        "PyYAML >= 6.0",
        "cryptography >= 42",
        "kingfisher-secret-scanner >= 1.5, < 2",  # git_hooks/secrets/scanner.py alone, of which it loads two names
        "gunicorn >= 27.0.1, < 28",  # enc/web/front.py uses parts of its worker that it promises to nobody
        "Flask >= 3.1",
        "pygit2 >= 1.19.2, < 2",
    ],
    extras_require={
        # Nova's vendordata and list of servers (docs/openstack.md).
        "openstack": ["openstacksdk >= 4.2"],
        "test": [
            "openstacksdk >= 4.2",
            "hypothesis >= 6.100",
            "mypy >= 1.10",
            "pytest >= 9.2",
            "pytest-xdist >= 3.7",
            "ruff >= 0.6",
            "setuptools >= 70.1",
            "types-PyYAML",
            "types-gunicorn",
            "types-ldap3",
        ],
    },
    entry_points={
        "console_scripts": [
            "enc-admin = enc.cli:main",
            "branch-manager = git_hooks.cli:main",
            "puppetmaster-self = puppetmaster_self.cli:main",
        ],
    },
)
