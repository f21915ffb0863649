"""Classifications as the text that Puppet reads: YAML for the ENC and for hiera, JSON for trusted data. Pure.

The YAML is written by hand, not by a YAML library, for two reasons: 100,000
answers take 5 s and not 2 minutes, and the text is restricted to what every
YAML 1.1 reader understands alike. Every string, key or value, is double-quoted
ASCII, so nothing is taken for a date, a number or a boolean and no byte
depends on an encoding; lists and mappings below the first level are in flow
style; there are no anchors, no plain scalars but numbers, true, false and
null, and one tag only, for the key `<<`. Property-based tests read it back with PyYAML and with Ruby.

An answer's first line is a comment that holds the node's trusted external data
as JSON, so that both come from one file and can never disagree. Its last line
ends in `"age":` without a value: `enc` completes it when it is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from enc.classify.kinds import TRUSTED
from enc.classify.model import Classification, Key, Value
from enc.terms.names import DataKey

ANSWER_FORMAT = "3"
"""Raise this whenever the same records would give another answer: the follower then makes all of them anew."""

# What may stand in double quotes as it is: printable ASCII without '"' and '\'.
_PLAIN = re.compile(r"[ !#-\[\]-~]*")
_SPECIAL = re.compile(r'["\\]|[^ -~]')
_SIMPLE_KEY = 1000
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    return _SHORT.get(char) or (
        f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}"
    )


def text(value: str) -> str:
    """Return a string as a double-quoted YAML scalar in ASCII."""
    if _PLAIN.fullmatch(value):
        return f'"{value}"'
    return f'"{_SPECIAL.sub(_escaped, value)}"'


def flow(value: Value) -> str:
    """Return any value in YAML's flow style, on one line."""
    if isinstance(value, str):
        return text(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_pair(key, item) for key, item in value.items()) + "}"
    return "[" + ", ".join(flow(item) for item in value) + "]"


def _pair(key: Key, value: Value) -> str:
    """Return one pair of a mapping in flow style."""
    if not isinstance(key, str):
        return f"{flow(key)}: {flow(value)}"
    shown = _key(key)
    return f"{shown}: {flow(value)}" if len(shown) < _SIMPLE_KEY else f"? {shown} : {flow(value)}"


def _key(key: str) -> str:
    # Ruby's reader takes "<<" for the merge of YAML 1.1 also in quotes; only its tag says that it is a text.
    return '!!str "<<"' if key == "<<" else text(key)


def _line(name: str, value: Value) -> str:
    key = text(name)
    # YAML readers look for the ':' of a plain key within 1,024 characters (YAML 1.1, section 9.3).
    return f"  {key}: {flow(value)}" if len(key) < _SIMPLE_KEY else f"  ? {key}\n  : {flow(value)}"


def _number(value: float) -> str:
    """Return a float as YAML 1.1 reads floats: with a point, and a signed exponent."""
    mantissa, exponent, power = repr(value).partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + (f"e{power if power[0] in '+-' else '+' + power}" if exponent else "")


def trusted(classification: Classification) -> str:
    """Return the node's trusted external data as one line of JSON."""
    return json.dumps(
        {
            "project": classification.project,
            **{part: classification.said.get(part) for part in TRUSTED},
            "prefixes": list(reversed(classification.prefixes)),
        },
        separators=(",", ":"),
    )


def render_answer(classification: Classification, variable: str | None, source: str) -> str:
    """Return the text of a node's answer.

    With `variable`, the answer has a top-scope variable of that name with the
    keys source, version and age, and the text ends before the age's value.
    Without, the text is complete. `source` is `copy` or `ldap`.
    """
    lines = [f"# {trusted(classification)}", "---"]
    if classification.environment is not None:
        lines.append(environment_line(classification))
    if classification.classes:
        lines.append("classes:")
        lines += [_line(name, parameters) for name, parameters in classification.classes.items()]
    else:
        lines.append("classes: {}")
    if classification.variables or variable:
        lines.append("parameters:")
        lines += [_line(name, value) for name, value in classification.variables.items() if name != variable]
    else:
        lines.append("parameters: {}")
    if variable:
        lines.append(f"  {text(variable)}:")
        lines.append(f'    "source": {text(source)}')
        lines.append(f'    "version": {text(classification.version)}')
        lines.append('    "age":')
        return "\n".join(lines)
    return "\n".join(lines) + "\n"


def environment_line(classification: Classification) -> str:
    """Return the line of the environment.

    While a trial is in force, the line says in a comment how long, and what
    comes then. `enc` obeys it to the second, also if nobody follows any more.
    """
    line = f'environment: "{classification.environment}"'
    if classification.trial is None or classification.otherwise is None:
        return line
    return f'{line} # until {classification.trial.until} then "{classification.otherwise}"'


def render_data(data: Mapping[str, Value] | Mapping[DataKey, Value]) -> str:
    """Return hiera data as a YAML file."""
    if not data:
        return "--- {}\n"
    return "---\n" + "".join(_entry(_key(str(key)), value) for key, value in data.items())


def merged_data(classification: Classification) -> dict[DataKey, Value]:
    """Return all hiera data of a node: of a key that stands on several levels, the nearest level's value."""
    found: dict[DataKey, Value] = {}
    for level in (*classification.shared_data, classification.data):
        found.update(level)
    return found


def _entry(key: str, value: Value) -> str:
    return f"{key}: {flow(value)}\n" if len(key) < _SIMPLE_KEY else f"? {key}\n: {flow(value)}\n"
