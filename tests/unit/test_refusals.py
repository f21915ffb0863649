"""What was refused is bounded and whole, whoever writes at once, and is not washed away by what comes after."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from enc.terms.errors import ToolkitError
from git_hooks.push.refusals import Refusal, file_of, keep, read
from tests.support.disks import files_end_at
from tests.support.following import eventually

BLUE = "refs/heads/project/blue"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path], check=True)
    (tmp_path / "puppetmaster").mkdir()
    words = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    tree = subprocess.run([*words, "mktree"], input="", capture_output=True, text=True, check=True).stdout.strip()
    made = subprocess.run([*words, "commit-tree", "-m", "x", tree], capture_output=True, text=True, check=True)
    subprocess.run([*words, "update-ref", BLUE, made.stdout.strip()], check=True)
    return tmp_path


def refusal(
    number: int, verdict: str = "no\ud800", ref: str = "refs/x", who: str = "mia", denied: bool = True
) -> Refusal:
    return Refusal(float(number), str(number), who, "http", ref, "a" * 40, "b" * 40, verdict, denied)


def test_trying_again_is_counted_and_makes_no_new_line(repository: Path) -> None:
    for number in range(1, 200):
        keep(str(repository), [refusal(number, f"no, {number}")])
    (one,) = read(str(repository), "MIA")
    assert (one.times, one.first, one.at, one.push, one.verdict) == (199, 1.0, 199.0, "199", "no, 199")


def test_a_person_takes_no_place_of_anothers(repository: Path) -> None:
    keep(str(repository), [refusal(1, who="bob")])
    for number in range(40):
        keep(str(repository), [refusal(number, "x" * 20_000, f"refs/heads/{number}")])
    assert [one.push for one in read(str(repository), "bob")] == ["1"]
    sizes = [path.stat().st_size for path in repository.glob("puppetmaster/refused/*")]
    assert len(sizes) == 2 and sum(sizes) < 300_000


def test_who_tried_anothers_branch_does_not_wash_that_away(repository: Path) -> None:
    """By refs that are made up, by long words, nor by pushes of one's own that are refused for what they bring."""
    keep(str(repository), [refusal(1, "mia is not a member of project blue", BLUE)])
    keep(str(repository), [refusal(2, "unsound", BLUE, denied=False)])
    for number in range(3, 120):
        made_up = [refusal(number, "no", f"refs/heads/{number}/{i}/{'x' * 150}", denied=i % 2 == 0) for i in range(50)]
        keep(str(repository), made_up)
    found = read(str(repository), "mia")
    (blue,) = [one for one in found if one.ref == BLUE]
    assert (blue.times, blue.first, blue.denied) == (2, 1.0, True)
    assert sum(one.times for one in found) == 117 * 50 + 2, "what went is counted"
    assert (found[0].ref, found[0].first) == ("-", 3.0)
    assert found[-1].push == "119"
    assert Path(file_of(str(repository), "mia")).stat().st_size < 300_000


def test_words_are_kept_whole_and_a_hostile_push_is_bounded(repository: Path) -> None:
    keep(str(repository), [refusal(1, "x" * 60_000 + "end")])
    assert read(str(repository), "mia")[0].verdict.endswith("xend")
    keep(str(repository), [refusal(2, "\U0001f600" * 60_000, f"refs/{number}") for number in range(50)])
    last = read(str(repository), "mia")[-1]
    assert last.push == "2" and "more refs" in last.verdict
    assert Path(file_of(str(repository), "mia")).stat().st_size < 300_000


def test_what_finds_no_room_takes_nothing_with_it(repository: Path) -> None:
    keep(str(repository), [refusal(1)])
    file = Path(file_of(str(repository), "mia"))
    with files_end_at(file.stat().st_size + 300), pytest.raises(ToolkitError, match="cannot be written"):
        keep(str(repository), [refusal(2, ref="refs/y"), refusal(2, ref="refs/z")])
    keep(str(repository), [refusal(3, ref="refs/y")])
    assert [one.push for one in read(str(repository), "mia")] == ["1", "3"]


def test_damage_is_left_out(repository: Path) -> None:
    keep(str(repository), [refusal(1)])
    with open(file_of(str(repository), "mia"), "a") as file:
        file.write('{"ref": 1}\n[]\n{"torn')
    keep(str(repository), [refusal(2, ref="refs/y")])
    assert [one.push for one in read(str(repository), "mia")] == ["1", "2"]


def test_many_at_once_lose_no_line(repository: Path) -> None:
    def push(number: int) -> None:
        keep(str(repository), [refusal(number, ref=f"refs/{number}"), refusal(number)])

    threads = [threading.Thread(target=push, args=(number,)) for number in range(1, 41)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(str(repository), "mia")
    assert {one.ref: one.times for one in found} == {"refs/x": 40} | {f"refs/{number}": 1 for number in range(1, 41)}


def test_a_kill_leaves_the_file_whole(repository: Path) -> None:
    keep(str(repository), [refusal(1, ref=BLUE)])
    code = (
        "import sys\nfrom git_hooks.push.refusals import Refusal, keep\n"
        "for n in range(100000):\n"
        "    keep(sys.argv[1], [Refusal(n, 'x', 'mia', 'http', f'refs/{n % 50}', '', '', 'y' * 2000)])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(repository)])
    try:
        eventually(lambda: len(read(str(repository), "mia")) >= 10, "some are kept")
    finally:
        process.kill()
        process.wait()
    assert read(str(repository), "mia")[0].ref == BLUE
    keep(str(repository), [refusal(9, ref="refs/last")])
    assert read(str(repository), "mia")[-1].ref == "refs/last"
