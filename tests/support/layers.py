"""What makes whole machines quick: packages that are there already, and a puppetserver that starts quickly.

`prepared` gives a `Machine` both. In its layer over the plain root is all that
puppetserver and the agent need, put there by apt in a chroot; both themselves
are installed by whoever needs them. Its package repository has another
puppetserver package in it: its Clojure code is compiled ahead, as this
machine's own is (compiled_classes.py), so that a start costs half. Where this
machine has other versions of it than the repository, there is none of that, and
tests are slower.

Layer and repository are named after what they were made from and made once, by
one process while others wait. A killed one leaves directories that the next one
removes, and no mount.

On the plain root, with Debian's own packages: test_self_master.py (`enable`
installs puppetserver and all that it needs, also after a power cut in the
middle of that, and `disable` takes it away) and test_user_data.py (the agent).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

from puppetmaster_quickstart import compiled_classes
from tests.support.machines import REPOSITORY, SUITE, Prepared, apt_sources, base_root, checked, index
from tests.support.puppetserver import CACHE

_PACKAGES = (
    *("puppet-agent", "puppetserver", "git", "python3", "python3-venv"),
    *("python3-cryptography", "python3-ldap3", "python3-yaml"),
)
_PURGED = ("puppetserver", "puppet-agent")
"""Of these only what they need stays; what other packages leave has been there before."""

_IN_CHROOT = r"""set -eu
root=$1 debs=$2 repository=$3 made=$4 packages=$5 purged=$6
mount -t tmpfs -o mode=755 tmpfs "$made"
mkdir "$made/up" "$made/work" "$made/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$made/up,workdir=$made/work" "$made/root"
cd "$made/root"
mount -t proc proc proc
mkdir -p ".$repository"
mount --bind "$debs" ".$repository"
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
apt() { chroot . env DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 apt-get -q -y "$@"; }
apt update
apt install --no-install-recommends $packages
apt purge $purged
rm usr/sbin/policy-rc.d
umount ".$repository" proc
cd /
mkdir "$made.layer"
umount "$made/root"
cp -a "$made/up/." "$made.layer/"
"""

_LOGIN = ("openssh-server", "sudo", "puppet-agent", "python3")
_OF_ACCESS = ("sssd-common", "sssd-ldap", "libnss-sss", "libpam-sss")
_LOGIN_IN_CHROOT = r"""set -eu
root=$1 made=$2 login=$3 access=$4
mount -t tmpfs -o mode=755 tmpfs "$made"
mkdir "$made/up" "$made/work" "$made/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$made/up,workdir=$made/work" "$made/root"
cd "$made/root"
mount -t proc proc proc
cp -a etc/apt/sources.list etc/resolv.conf "$made"
cp /etc/resolv.conf etc/resolv.conf
cat >etc/apt/sources.list
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
apt() { chroot . env DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 apt-get -q -y "$@" --no-install-recommends; }
chroot . apt-get -q update
apt install $login
chroot . apt-get clean
apt install --download-only $access
mkdir "$made.both" "$made.both/debs"
mv var/cache/apt/archives/*.deb "$made.both/debs"
cp -a "$made/sources.list" etc/apt/sources.list
cp -a "$made/resolv.conf" etc/resolv.conf
rm -rf usr/sbin/policy-rc.d var/lib/apt/lists/* var/cache/apt/*.bin
umount proc
cd /
umount "$made/root"
cp -a "$made/up" "$made.both/layer"
"""


def with_login(suite: str = SUITE) -> Prepared:
    """Return what a machine boots on that people log in to: sshd, sudo, the agent; sssd's packages to be installed."""
    base = base_root(suite)
    sources = "\n".join(apt_sources(suite)) + "\n"

    def make(made: Path) -> None:
        command = ["unshare", "--mount", "setpriv", "--pdeathsig", "KILL", "sh", "-c", _LOGIN_IN_CHROOT, "sh"]
        checked([*command, str(base / "root"), str(made), " ".join(_LOGIN), " ".join(_OF_ACCESS)], sources)
        made.rmdir()
        made.with_name(f"{made.name}.both").rename(made)
        index(made / "debs")

    place = _made_once(base, "login", json.dumps([_LOGIN, _OF_ACCESS, _LOGIN_IN_CHROOT, sources]), make)
    return Prepared(place / "layer", place / "debs")


def prepared(suite: str = SUITE) -> Prepared:
    """Return what a quick machine boots on; make it the first time (a minute)."""
    return Prepared(_layer(suite), _quick_debs(suite))


def _layer(suite: str) -> Path:
    base = base_root(suite)

    def make(made: Path) -> None:
        places = (str(base / "root"), str(base / "debs"), REPOSITORY, str(made))
        command = ["unshare", "--mount", "setpriv", "--pdeathsig", "KILL", "sh", "-c", _IN_CHROOT, "sh", *places]
        checked([*command, " ".join(_PACKAGES), " ".join(_PURGED)])
        made.rmdir()
        made.with_name(f"{made.name}.layer").rename(made)

    return _made_once(base, "layer", json.dumps([_PACKAGES, _PURGED, _IN_CHROOT]), make)


def _quick_debs(suite: str) -> Path:
    base = base_root(suite)
    debs = base / "debs"
    if not _same_versions(debs):
        return debs
    classes = compiled_classes.compiled(CACHE)

    def make(made: Path) -> None:
        for file in debs.iterdir():
            (made / file.name).hardlink_to(file)
        (deb,) = made.glob("puppetserver_*.deb")
        checked(["dpkg-deb", "--raw-extract", str(deb), str(made / "tree")])
        place = made / "tree/usr/share/puppetserver"
        shutil.copyfile(classes, place / "compiled.jar")
        _first_in_class_path((place / "puppetserver.jar").resolve(), "compiled.jar")
        deb.unlink()
        checked(["dpkg-deb", "--build", "-Znone", str(made / "tree"), str(deb)])
        shutil.rmtree(made / "tree")
        (made / "Packages").unlink()
        index(made)

    return _made_once(base, "debs-quick", classes.name, make)


def _made_once(base: Path, name: str, words: str, make: Callable[[Path], None]) -> Path:
    """Return the directory NAME-DIGEST below `base`, made by `make` from what `words` say."""
    place = base / f"{name}-{hashlib.sha256(words.encode()).hexdigest()[:16]}"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for old in base.glob(f"{name}-*"):
                shutil.rmtree(old)
            made = Path(tempfile.mkdtemp(dir=base, prefix=f"{name}-new"))
            made.chmod(0o755)
            make(made)
            made.rename(place)
    return place


def _same_versions(debs: Path) -> bool:
    """Tell whether this machine's puppetserver consists of what the repository has."""
    offered = {}
    for stanza in (debs / "Packages").read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Package", "").endswith(("puppetserver", "clojure", "-java")):
            offered[fields["Package"]] = fields["Version"]
    command = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *offered]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(line.split(" ", 1) for line in said.splitlines()) == offered


def _first_in_class_path(jar: Path, name: str) -> None:
    """Let the JVM look into another jar, beside this one, before any that its manifest names."""
    manifest, aside = "META-INF/MANIFEST.MF", jar.with_suffix(".new")
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == manifest:
                lines = content.decode().replace("\r\n", "\n").replace("\n ", "").splitlines()
                lines = [line.replace("Class-Path: ", f"Class-Path: {name} ") for line in lines]
                # A line has 72 bytes at most; it goes on in one that begins with a space.
                folded = ["\n ".join(textwrap.wrap(line, 70, drop_whitespace=False)) for line in lines]
                content = "\n".join([*folded, ""]).encode()
            new.writestr(item, content)
    aside.rename(jar)
