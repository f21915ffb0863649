"""How long something took is told, and decided upon, by clocks that nobody sets."""

from __future__ import annotations

import os
import subprocess
import time

from enc.doctor.follower import _runs_for


def test_the_age_of_a_process_is_no_difference_of_times_of_day() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            time.sleep(0.1)
            assert 0.0 <= _runs_for(process.pid) < 60.0
        finally:
            process.kill()
    assert _runs_for(None) == _runs_for(process.pid) == 0.0
    assert _runs_for(os.getpid()) > 0.0
