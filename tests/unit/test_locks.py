"""pip installs what the locks name, by hash, and nothing else: both locks, and the module's installer with real pip."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.installer import ROOT, Installer, wheel

RUN, TEST = ROOT / "files/requirements.lock", ROOT / "requirements-test.lock"
LINE = re.compile(r"([a-z0-9-]+)==([0-9][a-z0-9.]*)((?: --hash=sha256:[0-9a-f]{64})+)")
HEAD = ["--require-hashes", "--only-binary :all:"]
ASK = """
import json
from distutils.core import run_setup
made = run_setup("setup.py", stop_after="init")
print(json.dumps([made.install_requires, made.extras_require]))
"""


def lines(lock: Path) -> list[str]:
    """Return what pip reads: no comments, lines that go on joined."""
    text = re.sub(r" *\\\n *", " ", lock.read_text("ascii"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(lock: Path) -> dict[str, str]:
    found = [LINE.fullmatch(line) for line in lines(lock) if line[0] != "-"]
    assert all(found), f"{lock.name}: a line is not NAME==VERSION and hashes"
    return {match[1]: match[2] for match in found if match}


def requirements(*extras: str) -> list[Requirement]:
    """Return what setup.py asks for, with these extras, and what builds it."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ASK], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    always, of_extras = json.loads(done.stdout.splitlines()[-1])
    assert set(of_extras) == {"openstack", "test"}, "a new extra: lock it, in .ci/lock.py, too"
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [Requirement(it) for it in (*always, *built, *(it for extra in extras for it in of_extras[extra]))]


@pytest.mark.parametrize("lock", [RUN, TEST], ids=lambda lock: lock.name)
def test_each_line_is_one_release_with_its_hashes_and_wheels_only(lock: Path) -> None:
    options = [line for line in lines(lock) if line[0] == "-"]
    assert options == (HEAD if lock == RUN else [*HEAD, "-r files/requirements.lock"])
    names = [line.partition("==")[0] for line in lines(lock) if line[0] != "-"]
    assert names == sorted(set(names)) and len(pins(lock)) == len(names) > 15


def test_what_setup_asks_for_is_locked_within_its_bounds() -> None:
    run, every = pins(RUN), {**pins(TEST), **pins(RUN)}
    assert not pins(RUN).keys() & pins(TEST).keys()
    for locked, wanted in ((run, requirements("openstack")), (every, requirements("openstack", "test"))):
        for one in wanted:
            assert one.specifier.contains(locked[canonicalize_name(one.name)]), f"{one}: run .ci/lock.py"


def test_everywhere_pip_is_given_a_lock_or_no_dependencies() -> None:
    """But for the two that are completed with either, in .ci/bootstrap.bash and files/install-toolkit.sh."""
    places = [ROOT / "README.md", ROOT / "run-tests", ROOT / "quickstart", *(ROOT / ".ci").iterdir()]
    for kind in ("docs", "files", "manifests", "enc", "git_hooks", "puppetmaster_self", "puppetmaster_quickstart"):
        places += [path for path in (ROOT / kind).rglob("*") if path.suffix in (".md", ".sh", ".pp", ".py", ".yaml")]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in places
        for line in path.read_text().splitlines()
        if re.search(r"\bpip[\"']? install ", line) and not re.search(r"--require-hashes|--no-deps", line)
    ]
    assert [line for line in found if not line.endswith(('--upgrade "$source"', "--no-input)"))] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Installer:
    place = tmp_path_factory.mktemp("installer")
    (place / "index").mkdir()
    (place / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {place}/index\n")
    return Installer(place)


def test_the_modules_installer_takes_what_the_lock_names_and_nothing_else(made: Installer) -> None:
    index = made.place / "index"
    one, two = wheel(index, "theirs", "1.0"), wheel(index, "theirs", "2.0")
    ours = wheel(made.place, "ours", "0.1", "theirs>=1.0")

    # A hash that is another's, and a lock without any; nothing of it is there, and the next run tries again
    for wrong in (f"theirs==1.0 --hash=sha256:{made.hash(two)}\n", "theirs==1.0\n"):
        lock = made.lock()
        lock.write_text(wrong)
        said = made.run(ours, lock)
        assert said.returncode and re.search("DO NOT MATCH|require-hashes mode", said.stderr), said.stderr
        assert made.has() == {} and made.run(ours, lock, "compare").returncode

    lock = made.lock(one)
    assert (said := made.run(ours, lock)).returncode == 0, said.stderr
    assert made.has() == {"ours": "0.1", "theirs": "1.0"} and made.run(ours, lock, "compare").returncode == 0

    # The lock is part of what is compared
    made.lock(two)
    assert made.run(ours, lock, "compare").returncode
    assert (said := made.run(ours, lock)).returncode == 0, said.stderr
    assert made.has() == {"ours": "0.1", "theirs": "2.0"}
    lock.unlink()
    assert made.run(ours, lock, "compare").returncode
    assert made.run(ours, lock).returncode


def test_the_modules_installer_says_when_the_lock_does_not_suit_the_source(made: Installer) -> None:
    one = wheel(made.place / "index", "theirs", "1.0")
    for needs, words in (("theirs>=3", "theirs>=3"), ("more", "more")):
        wheel(made.place / "index", "more", "1.0")
        ours = wheel(made.place, "ours", "0.2", needs)
        said = made.run(ours, made.lock(one))
        assert said.returncode and words in said.stdout + said.stderr, said
        assert "more" not in made.has() and made.run(ours, made.lock(one), "compare").returncode


def test_the_modules_installer_goes_on_after_it_was_killed(made: Installer) -> None:
    one, ours = wheel(made.place / "index", "theirs", "1.0"), wheel(made.place, "ours", "0.3", "theirs")
    lock = made.lock(one)
    assert (said := made.run(ours, lock)).returncode == 0, said.stderr
    # As a kill leaves it: pip's notes of two releases, and a module that was cut.
    (made.place / "venv/.installing").touch()
    (site,) = (made.place / "venv/lib").glob("python3*/site-packages")
    (site / "theirs.py").write_text("")
    with zipfile.ZipFile(wheel(made.place, "theirs", "9.0")) as packed:
        packed.extractall(site, [name for name in packed.namelist() if "dist-info" in name])
    assert made.run(ours, lock, "compare").returncode
    assert (said := made.run(ours, lock)).returncode == 0, said.stderr
    (site,) = (made.place / "venv/lib").glob("python3*/site-packages")
    assert (site / "theirs.py").read_text() and made.has() == {"ours": "0.3", "theirs": "1.0"}
    assert not list(site.glob("theirs-9.0*")) and made.run(ours, lock, "compare").returncode == 0


NEVER_AWAY = """
while [ ! -e "$1/stop" ]; do
    for program in enc told; do
        "$1/venv/bin/$program" web-1 >"$1/said" 2>&1 && echo "$(cat "$1/said")" || echo "failed: $(cat "$1/said")"
    done
done >"$1/log"
"""


def test_while_it_is_upgraded_no_program_is_ever_away(made: Installer) -> None:
    """From an environment that pip made in place, then from one that was switched, and with a kill in the middle."""
    enc, told = "#!/bin/sh\necho enc %s\n", "#!python\nimport ours, sys\nprint('told', ours.version, sys.prefix)\n"
    index = made.place / "index"
    lock, place = made.lock(wheel(index, "theirs", "1.0")), made.place / "venv"
    for left in made.place.glob("venv*"):
        subprocess.run(["rm", "-rf", left], check=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    versions = [
        wheel(made.place, "ours", f"0.{at}", "theirs", programs={"enc": enc % at, "told": told}) for at in range(5, 8)
    ]
    environment = made._call(versions[0], lock)[1]
    subprocess.run([place / "bin/pip", "install", "--quiet", versions[0]], env=environment, check=True)
    with subprocess.Popen(["bash", "-c", NEVER_AWAY, "bash", made.place]) as asking:
        try:
            assert (said := made.run(versions[1], lock)).returncode == 0, said.stderr
            assert place.is_symlink() and made.run(versions[1], lock, "compare").returncode == 0
            before = place.readlink()
            killed = made.start(versions[2], lock)
            other = made.place / ("venv.b" if before.name == "venv.a" else "venv.a")
            while not (other / ".installing").exists():
                assert killed.poll() is None
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait()
            assert place.readlink() == before and other.exists() and made.has()["ours"] == "0.6"
            assert made.run(versions[2], lock, "compare").returncode
            assert (said := made.run(versions[2], lock)).returncode == 0, said.stderr
            while "enc 7" not in (made.place / "log").read_text():
                assert asking.poll() is None
        finally:
            (made.place / "stop").touch()
            asking.wait()
    lines = (made.place / "log").read_text().splitlines()
    assert [line for line in lines if line.startswith("failed")] == []
    assert len(lines) > 50 and {line.split()[1] for line in lines} == {"5", "6", "7", "0.5", "0.6", "0.7"}
    assert {line.split()[2] for line in lines if line.startswith("told")} == {str(place)}, "a path that stays true"


def test_a_site_may_let_its_index_decide_and_says_so(made: Installer) -> None:
    wheel(made.place / "index", "more", "2.0")
    ours = wheel(made.place, "ours", "0.4", "more")
    assert (said := made.run(ours, "none")).returncode == 0, said.stderr
    assert made.has()["more"] == "2.0" and made.run(ours, "none", "compare").returncode == 0
