"""What a whole instance on this machine is made of: the machine's own software, and files of its own beside it.

/usr is the machine's, read-only; there is no image and nothing to download. Of
/etc and /var only what programs need in order to run is copied: no account of a
person, no secret, and no unit, timer or job that the machine has enabled. So no
service of the machine starts in it, and nothing of the machine's data is there.
The toolkit is in /opt, as an installation would have it.

Expects Debian's packages of puppetserver, the agent and git. Owns nothing but
the directory that it is given. Not here: starting it (whole_instance.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from enc.terms.names import Certname
from enc.terms.program_words import why
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.puppetserver_files import QUICK_JAVA
from puppetmaster_self.transaction.plan import module_root

PREFIX = Path("/opt/puppetmaster-toolkit")
"""Where the toolkit is on the instance."""
_DEPENDENCIES = PREFIX / "dependencies"
_CODE = PREFIX / "code"
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DIRECTORIES = {
    **dict.fromkeys(("dev", "etc", "home", "opt", "proc", "run", "srv", "sys", "usr"), 0o755),
    **dict.fromkeys(("etc/facter/facts.d", "etc/systemd/system", "var/cache", "var/lib", "var/log"), 0o755),
    "root": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}
_COPIED = (
    *("etc/alternatives", "etc/debian_version", "etc/default/puppet*", "etc/java*", "etc/ld.so.*", "etc/localtime"),
    *("etc/login.defs", "etc/mime.types", "etc/protocols", "etc/puppet/puppetserver", "etc/python3*", "etc/services"),
    *("etc/ssl/certs", "etc/ssl/openssl.cnf", "etc/timezone", "var/lib/dpkg"),
)
_STATE = ("var/cache/puppet", "var/lib/puppet", "var/lib/puppetserver", "var/log/puppet", "var/log/puppetserver")
"""Directories that the packages make, with their owners; what the machine has in them is its own."""
_NAMES = "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n"
_PYTHON_PACKAGES = ("enc", "git_hooks", "puppetmaster_self")
_PUPPET_MODULE = ("data", "files", "functions", "lib", "manifests", "templates", "types", "hiera.yaml", "metadata.json")
_SHELL_PROGRAMS = ("enc/enc", "enc/enc-trusted", "enc/enc-autosign")
_PROGRAMS = {
    "enc-admin": "enc.cli",
    "branch-manager": "git_hooks.cli",
    "puppetmaster-self": "puppetmaster_self.cli",
}
_VERSIONED = f"python{sys.version_info.major}.{sys.version_info.minor}"
_FIRST_PERSON = 1000
_NOBODY = 65534


def shown() -> dict[Path, Path]:
    """Return what of this machine is shown read-only: place there → place here."""
    return {Path("/usr"): Path("/usr"), _DEPENDENCIES: Path(sysconfig.get_path("purelib"))}


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Let the instance's accounts read what is made meanwhile, whatever this user's umask."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def lay_out(own: Path, certname: Certname, hosts: str) -> None:
    """Make the file system below `own`, which is not there yet; raise `ProcessFailed` if that cannot be."""
    with readable():
        _lay_out(own, certname, hosts)


def _lay_out(own: Path, certname: Certname, hosts: str) -> None:
    for place in shown():
        (own / place.relative_to("/")).mkdir(parents=True)
    for name, mode in _DIRECTORIES.items():
        (own / name).mkdir(parents=True, exist_ok=True)
        (own / name).chmod(mode)
    for name in _MERGED:
        if Path("/", name).is_symlink():
            (own / name).symlink_to(Path("/", name).readlink())
    # Relative, so that nobody who looks from outside is led to the machine's.
    (own / "var/run").symlink_to("../run")
    (own / "var/lock").symlink_to("../run/lock")
    _copy(own, _COPIED)
    for name in _STATE:
        _like(own / name, Path("/", name))
    _accounts(own)
    for name, text in {
        # Facter reads all lenses to tell Augeas's version, a quarter of what a run of the agent costs.
        "facter/facter.conf": 'facts : { blocklist : [ "augeas", "augeasversion" ] }\n',
        "hostname": f"{certname.short}\n",
        "hosts": hosts,
        "machine-id": f"{uuid.uuid4().hex}\n",
        "nsswitch.conf": _NAMES,
        "os-release": Path("/etc/os-release").read_text(encoding="utf-8"),
        "systemd/system.conf.d/java.conf": QUICK_JAVA,
    }.items():
        place = own / "etc" / name
        place.parent.mkdir(exist_ok=True, parents=True)
        place.write_text(text, encoding="utf-8")
    _toolkit(own / PREFIX.relative_to("/"))


def _copy(own: Path, patterns: Iterable[str]) -> None:
    names = [str(path.relative_to("/")) for pattern in patterns for path in sorted(Path("/").glob(pattern))]
    done = subprocess.run(
        ["cp", "--archive", "--parents", "--target-directory", str(own), *names],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ProcessFailed(f"the machine's files cannot be copied: {why(done.stderr)}", where=str(own))


def _like(place: Path, pattern: Path) -> None:
    """Make a directory with owner and mode of another one."""
    place.mkdir(parents=True)
    if pattern.exists():
        status = pattern.stat()
        shutil.chown(place, status.st_uid, status.st_gid)
        place.chmod(status.st_mode & 0o7777)


def _accounts(own: Path) -> None:
    """Take over the system's accounts, all of them locked."""
    names: dict[str, list[str]] = {}
    for file in ("passwd", "group"):
        lines = Path("/etc", file).read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _is_of_the_system(line)]
        names[file] = [line.partition(":")[0] for line in kept]
        (own / "etc" / file).write_text("\n".join((*kept, "")), encoding="utf-8")
    for file, lines in {
        "shadow": [f"{name}:!:19000:0:99999:7:::" for name in names["passwd"]],
        "gshadow": [f"{name}:!::" for name in names["group"]],
    }.items():
        place = own / "etc" / file
        place.touch(mode=0o600)
        place.write_text("\n".join((*lines, "")), encoding="utf-8")


def _is_of_the_system(line: str) -> bool:
    fields = line.split(":")
    return len(fields) > 2 and fields[2].isdigit() and not _FIRST_PERSON <= int(fields[2]) != _NOBODY


def _toolkit(prefix: Path) -> None:
    """Install this checkout: a virtual environment, made by hand because pip would ask the network."""
    code, programs = prefix / _CODE.name, prefix / "bin"
    root = module_root()
    for name in (*_PYTHON_PACKAGES, *_PUPPET_MODULE):
        source = root / name
        if source.is_dir():
            shutil.copytree(source, code / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, code / name)
    programs.mkdir()
    python = _python()
    (programs / "python3").symlink_to(python)
    for name in _SHELL_PROGRAMS:
        shutil.copy(root / name, programs)
    for name, module in _PROGRAMS.items():
        text = f"#!{PREFIX}/bin/python3\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n"
        (programs / name).write_text(text, encoding="ascii")
    for path in programs.iterdir():
        if not path.is_symlink():
            path.chmod(0o755)
    (prefix / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    site = prefix / f"lib/{_VERSIONED}/site-packages"
    site.mkdir(parents=True)
    # A directory that is named here has its own .pth files left alone: that of this checkout leads out of the instance.
    (site / "toolkit.pth").write_text(f"{_CODE}\n{_DEPENDENCIES}\n", encoding="ascii")
    # The checkout may be for this user only; puppetserver's account reads the copy.
    for path in prefix.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))


def _python() -> Path:
    """Return a Python that the instance has and that can load what was compiled for ours."""
    for place in (Path(sys.executable).resolve(), Path("/usr/bin", _VERSIONED)):
        if place.is_relative_to("/usr") and place.exists():
            return place
    raise ProcessFailed(f"there is no {_VERSIONED} below /usr", where=sys.executable)
