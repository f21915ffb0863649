"""Prometheus's text format 0.0.4: numbers in, text out, and the file that the node exporter reads.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/. Names
of metrics and labels are ours and are taken as they are; what stands in a label
or in a help text is escaped, whatever it holds.

Not here: what the numbers mean and where they come from. Who has some makes
`Metric`s of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import Strength

_EXACT = 2**53
"""From here on a float (and so Prometheus) does not hold every whole number."""

Kind = Literal["gauge", "counter"]


class Metric(NamedTuple):
    """One metric with all its values."""

    name: str
    """Without the program's prefix."""
    meaning: str
    values: tuple[tuple[Mapping[str, str], float], ...]
    """Each with its labels; none: the metric is told, and has no value now."""
    kind: Kind = "gauge"


def single(name: str, meaning: str, value: float, kind: Kind = "gauge") -> Metric:
    """Return a metric with one value and no labels."""
    return Metric(name, meaning, (({}, value),), kind)


def text(prefix: str, metrics: Iterable[Metric]) -> str:
    """Return the metrics as Prometheus reads them, each name with `prefix` before it."""
    lines = []
    for metric in metrics:
        name = prefix + metric.name
        lines.append(f"# HELP {name} {_escaped(metric.meaning)}")
        lines.append(f"# TYPE {name} {metric.kind}")
        for labels, value in metric.values:
            told = ",".join(f'{label}="{_quoted(word)}"' for label, word in labels.items())
            lines.append(f"{name}{'{' + told + '}' if told else ''} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def write_file(path: Path, text: str) -> None:
    """Replace the file that the node exporter reads, for everybody to read; raise `NotWritten`.

    What a reader finds is whole. Nothing is synced: after a power cut the next numbers are soon there.
    """
    content = text.encode("utf-8", "backslashreplace")
    whole_file.write(path, content, mode=0o644, survives=Strength.KILL)  # aside the exporter sees nothing: no *.prom


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(word: str) -> str:
    return _escaped(word).replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(int(value)) if value == int(value) and abs(value) < _EXACT else repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
