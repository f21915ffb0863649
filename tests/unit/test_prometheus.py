"""Prometheus's text format, and the file that the node exporter reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from enc.programs.prometheus import Metric, single, text, write_file
from tests.unit.test_walls import ROOT, modules


def test_the_format() -> None:
    metrics = (
        Metric("held", "What is\nheld, \\ and all", (({"by": 'a "b" \\ c\nd', "at": "ö"}, 1.5), ({}, 2))),
        Metric("none_now", "Told all the same", ()),
        single("seen_total", "Seen", 12_345_678_901, "counter"),
    )
    assert text("p_", metrics) == (
        "# HELP p_held What is\\nheld, \\\\ and all\n"
        "# TYPE p_held gauge\n"
        'p_held{by="a \\"b\\" \\\\ c\\nd",at="ö"} 1.5\n'
        "p_held 2\n"
        "# HELP p_none_now Told all the same\n"
        "# TYPE p_none_now gauge\n"
        "# HELP p_seen_total Seen\n"
        "# TYPE p_seen_total counter\n"
        "p_seen_total 12345678901\n"
    )


@pytest.mark.parametrize(
    "value, told",
    [
        *((0.0, "0"), (-3, "-3"), (0.1, "0.1"), (1795384335.25, "1795384335.25"), (True, "1")),
        *((1e15, "1000000000000000"), (1e300, "1e+300"), (5e-324, "5e-324")),
        *((float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN")),
    ],
)
def test_numbers_lose_nothing(value: float, told: str) -> None:
    said = text("", [single("x", "X", value)]).splitlines()[-1].removeprefix("x ")
    assert said == told
    assert str(float(said)) == str(float(value))


def test_the_file_is_replaced_whole_and_can_be_read_by_everybody(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for content in ("one\n", "zwö\n"):
            write_file(tmp_path / "x.prom", content)
    finally:
        os.umask(before)
    assert (tmp_path / "x.prom").read_text("utf-8") == "zwö\n"
    assert stat.S_IMODE((tmp_path / "x.prom").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["x.prom"]


def test_a_link_that_waits_in_the_directory_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".x.prom.{os.getpid()}").symlink_to(victim)
    write_file(tmp_path / "x.prom", "numbers\n")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "x.prom").is_symlink()


def test_what_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x.prom").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_file(tmp_path / "x.prom", "numbers\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x.prom"]


def test_nobody_else_writes_the_format() -> None:
    files = {module: ROOT / module.replace(".", "/") for module in modules() if module != "enc.programs.prometheus"}
    sources = {module: path.with_suffix(".py") for module, path in files.items() if path.with_suffix(".py").exists()}
    assert [module for module, path in sources.items() if "# TYPE " in path.read_text("utf-8")] == []
