"""What root does in a tree that an account owns stays in that tree, whatever the account does meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from enc.cli import main
from enc.programs import whole_file
from enc.programs.accounts import NotSafe, owner_of
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import NotWritten, Strength
from puppetmaster_self.instance import tree
from puppetmaster_self.instance.tree import Task
from tests.support.toolkit import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")

ACCOUNT = 64001


@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_a_repository_changes_hands_and_nothing_beside_it(tmp_path: Path, owner: str) -> None:
    """While it does, a directory in it is now a directory, now a link to one outside."""
    outside, repository = tmp_path / "outside", tmp_path / "repository.git"
    outside.mkdir()
    names = [f"file{number}" for number in range(300)]
    for place in (outside, repository / "a/b", repository / "objects"):
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / name).touch()
    (repository / "HEAD").touch()
    for place in outside.iterdir():
        os.chown(place, ACCOUNT + 1, ACCOUNT + 1)
    over, swapped = threading.Event(), [0]
    kept, link = repository / "a/kept", repository / "a/b"

    def swap() -> None:
        while not over.is_set():
            with suppress(OSError):
                link.rename(kept)
                link.symlink_to(outside)
                swapped[0] += 1
                time.sleep(0.002)
                link.unlink()
            with suppress(OSError):
                kept.rename(link)
            time.sleep(0.002)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(15):
            words = ("sh", str(ROOT / "files/owned-by.sh"), str(repository), owner, "root", "change")
            subprocess.run(words, check=False, capture_output=True, timeout=60)
    finally:
        over.set()
        thread.join()
    assert swapped[0]
    assert {place.stat().st_uid for place in outside.iterdir()} == {ACCOUNT + 1}


def test_all_of_a_repository_changes_hands(tmp_path: Path) -> None:
    (tmp_path / "r/objects/aa").mkdir(parents=True)
    (tmp_path / "r/objects/aa/b").touch()
    (tmp_path / "r/HEAD").touch()
    (tmp_path / "r/hooks").symlink_to(tmp_path)
    script = ("sh", str(ROOT / "files/owned-by.sh"), str(tmp_path / "r"), "nobody", "root")
    assert subprocess.run(script, check=False).returncode == 1
    subprocess.run((*script, "change"), check=True)
    assert subprocess.run(script, check=False).returncode == 0
    assert {path.lstat().st_uid for path in (tmp_path / "r").rglob("*")} == {(tmp_path / "r").stat().st_uid} != {0}
    assert tmp_path.stat().st_uid == 0


def test_root_is_not_led_elsewhere_by_an_accounts_link(tmp_path: Path) -> None:
    elsewhere, theirs = tmp_path / "elsewhere", tmp_path / "theirs"
    elsewhere.mkdir()
    theirs.mkdir()
    os.chown(theirs, ACCOUNT, ACCOUNT)
    (theirs / "journal").symlink_to(elsewhere)
    place = theirs / "journal/one.json"
    for link_owner in (ACCOUNT, 0):  # one of root's can have been moved there
        os.chown(theirs / "journal", link_owner, link_owner, follow_symlinks=False)
        with pytest.raises(NotWritten, match="root does not follow it"):
            whole_file.write(place, "x", mode=0o600, survives=Strength.POWER_CUT)
        with pytest.raises(NotWritten, match="root does not follow it"):
            whole_file.link(place, "x", survives=Strength.KILL)
        with pytest.raises(NotWritten, match="root does not follow it"):
            JsonLines(place, mode=0o600, survives=Strength.KILL).append({})
    assert list(elsewhere.iterdir()) == []
    # A link of root's own is followed, also in a directory like /tmp.
    (tmp_path / "ours").symlink_to(theirs)
    whole_file.write(tmp_path / "ours/one.json", "x", mode=0o600, survives=Strength.POWER_CUT)
    assert (theirs / "one.json").read_text() == "x"


def test_what_comes_back_goes_nowhere_else_by_an_accounts_link(tmp_path: Path) -> None:
    """A self-master's undoing works, as root, in directories of puppetserver's account."""
    elsewhere, theirs, copies = tmp_path / "elsewhere", tmp_path / "theirs", tmp_path / "copies"
    theirs.mkdir()
    for name in ("made", "given"):
        (theirs / "state" / name).mkdir(parents=True)
        os.chown(theirs / "state" / name, ACCOUNT, ACCOUNT)
    os.chown(theirs, ACCOUNT, ACCOUNT)
    before = tree.look([theirs])
    (elsewhere / "given").mkdir(parents=True)
    (elsewhere / "gone").touch()
    shutil.rmtree(theirs / "state")
    (theirs / "state").symlink_to(elsewhere)
    there = f"{theirs}/state"
    for task in (Task("restore", f"{there}/made"), Task("restore", f"{there}/given"), Task("remove", f"{there}/gone")):
        with pytest.raises(OSError, match="root does not follow it"):
            tree.restore([task], before, copies, tmp_path / "kept")
    assert {path.name: path.stat().st_uid for path in elsewhere.iterdir()} == {"given": 0, "gone": 0}
    (theirs / "state").unlink()
    tree.restore(tree.restoration(before, None, tree.look([theirs])), before, copies, tmp_path / "kept")
    assert {path.stat().st_uid for path in (theirs / "state").iterdir()} == {ACCOUNT}


@pytest.mark.parametrize("what", ["parent", "part", "open", "link", "dots"])
def test_root_does_not_use_what_somebody_else_can_exchange(tmp_path: Path, what: str) -> None:
    parent = tmp_path / "parent"
    place = parent / "repository.git"
    (place / "objects").mkdir(parents=True)
    places = [place, place / "objects"]
    assert owner_of(places) is None
    if what == "parent":
        os.chown(parent, ACCOUNT, ACCOUNT)
    elif what == "part":
        os.chown(place / "objects", ACCOUNT, ACCOUNT)
    elif what == "open":
        place.chmod(0o777)
    elif what == "dots":  # not where the words seem to lead, but where the link does
        (tmp_path / "there/deeper").mkdir(parents=True)
        (parent / "link").symlink_to(tmp_path / "there/deeper")
        os.chown(parent, ACCOUNT, ACCOUNT)
        place.rename(tmp_path / "there/repository.git")
        (tmp_path / "repository.git").mkdir()
        place = tmp_path / "there/repository.git"
        with pytest.raises(NotSafe, match="could replace it"):
            owner_of([parent / "link/../../repository.git"])
        assert owner_of([tmp_path / "there/deeper/../../repository.git"]) is None
        places = [parent / "link/../repository.git"]
    else:
        os.chown(parent, ACCOUNT, ACCOUNT)
        (tmp_path / "link").symlink_to(parent)
        places = [tmp_path / "link/repository.git"]
    with pytest.raises(NotSafe, match="could replace it"):
        owner_of(places)
    os.chown(place, ACCOUNT, ACCOUNT)
    if what != "open":
        found = owner_of(places)
        assert found is not None and (found.uid, found.gid) == (ACCOUNT, ACCOUNT)


@pytest.mark.parametrize("command", [("config", "check"), ("status",), ("node", "list")])
def test_root_obeys_no_configuration_that_somebody_else_can_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    answers, file = tmp_path / "answers", tmp_path / "config.yaml"
    answers.mkdir()
    file.write_text(f"answers: {{directory: {answers}}}\ndirectory: {{uris: ['ldap://127.0.0.1:1']}}\n")
    main(["--config", str(file), *command])
    assert "is the configuration" not in capsys.readouterr().err
    for mode, uid in ((0o666, 0), (0o644, ACCOUNT)):
        file.chmod(mode)
        os.chown(file, uid, uid)
        assert main(["--config", str(file), *command]) == 1
        assert f"{file}: is the configuration" in capsys.readouterr().err


def test_a_certificate_of_which_a_part_is_gone_is_made_anew(tmp_path: Path) -> None:
    """Asked in this order; that the last file is there says nothing of the others."""
    parts = [tmp_path / name for name in ("m-deploy.key", "m-deploy.pem", "ca.pem")]
    words = ("sh", str(ROOT / "files/own-certificate.sh"), "m-deploy", str(tmp_path), "root")

    def there() -> bool:
        return subprocess.run(words, check=False).returncode == 0

    for part in parts:
        part.write_text("x")
    assert there()
    for part in parts:
        part.rename(tmp_path / "away")
        assert not there()
        (tmp_path / "away").rename(part)
    os.chown(parts[0], 65534, -1)
    assert not there()
