"""The table of who can do what: as it is written down, and every cell with a test that is there."""

from __future__ import annotations

from tests.support import boundaries


def test_the_page_has_the_table() -> None:
    text = (boundaries.ROOT / "docs" / boundaries.PAGE).read_text()
    assert text == boundaries.renewed(text), f"run: {boundaries.MAKER}"


def test_every_cell_names_a_test_that_is_there() -> None:
    bare = [act.words for role in boundaries.roles() for act in role.acts for cell in act.cells if not cell.tests]
    assert bare == []
    gone = {f"{file}::{name}" for file, name in boundaries.named() if name not in boundaries.functions(file)}
    assert gone == set()
