"""puppetserver's JAVA_ARGS, whatever file they stand in: set once, and then left alone, or it restarts at each run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "files/java-args.sh"
VALUE = "-Xms1g -Xmx1g -Dx=/a,b"
LINE = f'JAVA_ARGS="{VALUE}"\n'


def run(file: Path, *words: str) -> int:
    return subprocess.run(["sh", SCRIPT, file, VALUE, *words], capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('A=1\nJAVA_ARGS="-Xms2g -Xmx2g"\nB=2\n', f"A=1\n{LINE}B=2\n"),
        ("", LINE),
        ("A=1\n", f"A=1\n{LINE}"),
        ("A=1", f"A=1\n{LINE}"),
        ("#JAVA_ARGS=x\n# JAVA_ARGS=y\nB=2\n", f"#JAVA_ARGS=x\n# JAVA_ARGS=y\nB=2\n{LINE}"),
        ("JAVA_ARGS=a\nB=2\nJAVA_ARGS=b\n", f"{LINE}B=2\n"),
        (f"{LINE}JAVA_ARGS=b\n", LINE),
        (f"{LINE}{LINE}", LINE),
        ("  export JAVA_ARGS=a\n", LINE),
        ('JAVA_ARGS="-Xms2g \\\n  -Xmx2g \\\n  -Dx"\nB=2\n', f"{LINE}B=2\n"),
        ("JAVA_ARGS_CLI=a\nMY_JAVA_ARGS=b\n", f"JAVA_ARGS_CLI=a\nMY_JAVA_ARGS=b\n{LINE}"),
        ("JAVA_ARGS=\n", LINE),
        ("JAVA_ARGS=a \\", LINE),
    ],
)
def test_what_is_set_stays_set(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "puppetserver"
    file.write_text(before)
    file.chmod(0o640)
    assert run(file) == 1
    assert (run(file, "change"), file.read_text()) == (0, after)
    assert run(file) == 0
    assert (run(file, "change"), file.read_text()) == (0, after)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [*tmp_path.iterdir()] == [file]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(["sh", SCRIPT, tmp_path / "no", VALUE, "change"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "set puppetmaster::defaults_file to the file where this packaging sets JAVA_ARGS" in done.stderr
    assert [*tmp_path.iterdir()] == []
