"""How long something took is told, and decided upon, by clocks that nobody sets."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from enc.doctor.follower import _runs_for

ROOT = Path(__file__).parents[2]
ABSENCE = """\
watch, mark, *boot = ARGV
# The time of day is ten years later each time that somebody asks.
asked = 0
Time.define_singleton_method(:now) { at(1_800_000_000 + (asked += 1) * 315_360_000) }
load watch
absence = Absence.new(mark, *boot)
puts absence.seconds, absence.seconds
"""


def absence(mark: Path, *boot: str) -> list[int]:
    command = ["ruby", "-e", ABSENCE, str(ROOT / "files/client-watch.rb"), str(mark), *boot]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [int(word) for word in said.split()]


def test_a_clients_master_is_not_given_up_because_the_clock_is_set(tmp_path: Path) -> None:
    mark = tmp_path / "dead-since"
    first, second = absence(mark)
    assert first == 0 and second < 60
    assert all(seconds < 600 for seconds in absence(mark)), "another look goes on counting"
    boot, since = mark.read_text().split()
    mark.write_text(f"{boot} {int(since) - 500}\n")
    assert all(500 <= seconds < 1100 for seconds in absence(mark))
    # A mark of an earlier boot, of an earlier version, or torn: it begins anew.
    for left in (f"{boot[::-1]} 0\n", "1796000000", "", f"{boot}\n", f"{boot} x"):
        mark.write_text(left)
        assert absence(mark)[0] == 0, left
    assert absence(mark, "of-another-boot")[0] == 0


def test_the_age_of_a_process_is_no_difference_of_times_of_day() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            time.sleep(0.1)
            assert 0.0 <= _runs_for(process.pid) < 60.0
        finally:
            process.kill()
    assert _runs_for(None) == _runs_for(process.pid) == 0.0
    assert _runs_for(os.getpid()) > 0.0
