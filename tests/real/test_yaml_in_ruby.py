"""What we render is what Ruby's YAML.safe_load gives to Puppet: one Ruby process, hundreds of documents."""

from __future__ import annotations

import json
import math
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enc.classify import values
from enc.classify.model import Classification
from enc.classify.render import render_answer, render_data
from enc.terms.names import Certname, EnvironmentName
from tests.support import strategies

# Puppet::Util::Yaml.safe_load is given [Symbol] by the exec node terminus. Floats
# go back as their hexadecimal form, so that JSON cannot round them.
READER = r"""
require "yaml"; require "json"
def plain(v)
  case v
  when Hash then {"map" => v.map { |k, x| [plain(k), plain(x)] }}
  when Array then {"list" => v.map { |x| plain(x) }}
  when Float then {"float" => [v].pack("G").unpack1("H*")}
  when Integer then {"integer" => v.to_s}
  when String then {"text" => v}
  when nil, true, false then v
  else {"strange" => v.class.to_s} end
end
$stdout.sync = true
$stdin.each_line do |line|
  puts JSON.generate(plain(YAML.safe_load(JSON.parse(line)[0], permitted_classes: [Symbol], aliases: true)))
end
"""
some = settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


class Ruby:
    """A Ruby process that loads one YAML document after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["ruby", "-e", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def load(self, document: str) -> Any:
        """Return what YAML.safe_load makes of `document`, in the form of `_plain`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([document]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"Ruby ended at {document!r}"
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def ruby() -> Iterator[Ruby]:
    process = Ruby()
    yield process
    process.close()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {"map": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_plain(v) for v in value]}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        assert math.isfinite(value)
        return {"float": struct.pack(">d", value).hex()}
    return {"integer": str(value)} if isinstance(value, int) else {"text": value}


# Ruby takes "<<" for a merge even in quotes; no variable with a list or mapping can have that name.
names = (strategies.texts | strategies.awkward).filter(lambda name: name != "<<")


@some
@given(st.dictionaries(names, strategies.values, max_size=4))
def test_answers(ruby: Ruby, variables: dict[str, Any]) -> None:
    classes = {"a::b": {"p": list(variables.values())}, "c": {}}
    said = Classification(Certname("web1"), EnvironmentName("test"), classes, variables)
    wanted = {"environment": "test", "classes": classes, "parameters": variables}
    assert ruby.load(render_answer(said, None, "copy")) == _plain(wanted)


@some
@given(st.dictionaries(strategies.data_keys, strategies.values))
def test_hiera_data(ruby: Ruby, data: dict[str, Any]) -> None:
    assert ruby.load(render_data(data)) == _plain(data)


def test_every_text_that_looks_like_something_else(ruby: Ruby) -> None:
    data: dict[str, Any] = {f"k{i}": value for i, value in enumerate(strategies.LOOKS_LIKE_SOMETHING)}
    assert ruby.load(render_data(data)) == _plain(data)


def test_the_longest_keys(ruby: Ruby) -> None:
    inner = {"😀" * 800: 1, "é" * 1600: 2, "\x01" * 160: 3, 20: 4, "<<": 5}
    values.check(inner)
    variables = {"v": inner, "k" * 3000: [inner]}
    said = Classification(Certname("web1"), EnvironmentName("test"), {}, variables)
    assert ruby.load(render_answer(said, None, "copy"))["map"][2][1] == _plain(variables)
    assert ruby.load(render_data({"k" * 10_000: inner})) == _plain({"k" * 10_000: inner})
