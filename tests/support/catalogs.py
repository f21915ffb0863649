"""Catalogs of tests/cases/catalogs.yaml as puppetserver writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from enc.catalogs import catalog
from enc.catalogs.compare import Change, Contents, compare
from enc.catalogs.masking import Mask

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/catalogs.yaml").read_text(encoding="utf-8")
)
MASK = Mask(b"k" * 32)


def document(
    resources: Mapping[str, Mapping[str, Any]], node: str = "web1.example.org", *, virtual: bool = True
) -> dict[str, Any]:
    """Return a catalog's JSON, as `POST /puppet/v4/catalog` has it below `catalog`.

    puppetserver leaves virtual resources out; `virtual`: it does not, as in a catalog from elsewhere.
    """
    entries = []
    for reference, given in resources.items():
        if given.get("_virtual") and not virtual:
            continue
        kind, _, name = reference.removesuffix("]").partition("[")
        parameters = {key: value for key, value in given.items() if not key.startswith("_")}
        title = given.get("_title", name)
        if title != name:
            parameters["path"] = name
        entry: dict[str, Any] = {"type": kind, "title": title, "parameters": parameters, "tags": [kind.lower()]}
        entry |= {"exported": given.get("_exported", False), "file": "/x/site.pp", "line": 1}
        entry |= {"virtual": True} if given.get("_virtual") or given.get("_exported") else {}
        entry |= {"sensitive_parameters": given["_sensitive"]} if "_sensitive" in given else {}
        entries.append(entry)
    return {"name": node, "version": 1, "environment": "test", "resources": entries, "edges": [], "classes": ["web"]}


def compared(case: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs in one case."""
    files = case.get("files", {})
    old, new = (Contents(lambda source, side=side: files.get(source, (None, None))[side]) for side in (0, 1))  # type: ignore[misc]
    before, after = (catalog.of(document(case[side])) for side in ("before", "after"))
    return compare(before, after, MASK, old, new)


def told(change: Change) -> str:
    """Return a change as the cases have it."""
    sign = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
    name = f"exported {change.key}" if change.exported else str(change.key)
    return f"{sign} {name} {' '.join(one.name for one in change.parameters)}"
