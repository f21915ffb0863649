"""Write the schema files beside this module from their definitions: `python -m enc.directory.schema`."""

from __future__ import annotations

from pathlib import Path

from enc.directory.schema.definitions import SCHEMAS
from enc.directory.schema.render import FILE_SUFFIX, render

if __name__ == "__main__":
    for schema in SCHEMAS:
        for form, suffix in FILE_SUFFIX.items():
            Path(__file__).with_name(schema.name + suffix).write_text(render(schema, form), encoding="ascii")
