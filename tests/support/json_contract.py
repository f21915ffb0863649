"""What `--json` prints is held against tests/cases/json/contract.yaml, and docs/json.md's reference is made of it.

`python -m tests.support.json_contract docs` writes it; the words around it are
written by hand. `held` is called wherever a test runs a command with `--json`:
what the command printed must have the shape that is promised, key by key.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from enc.cli import ENC_ADMIN, Program
from enc.programs import documents
from enc.reference import with_part
from enc.terms.names import BranchName, Certname, EnvironmentName, ProjectName
from git_hooks.cli import BRANCH_MANAGER
from puppetmaster_self.cli import PUPPETMASTER_SELF

ROOT = Path(__file__).parents[2]
MAKER = "python -m tests.support.json_contract docs"
PAGE = "json.md"
PROGRAMS: tuple[Program, ...] = (ENC_ADMIN, BRANCH_MANAGER, PUPPETMASTER_SELF)
_FILE = ROOT / "tests/cases/json/contract.yaml"
_OR_NULL = " or null"
_OPTIONS = ("--unfinished", "--follow", "--forecast")
"""Options that make another question of a command, with a shape of its own."""
_STATUS_OF_ONE = "branch-manager status ENVIRONMENT|BRANCH|COMMIT"

Shape = str | list[Any] | dict[str, Any]


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TEXTS: dict[str, Callable[[str], object]] = {
    "text": lambda _: True,
    "moment": _MOMENT.fullmatch,
    "certname": Certname.accepts,
    "project": ProjectName.accepts,
    "environment": EnvironmentName.accepts,
    "branch": BranchName.accepts,
    "commit": _COMMIT.fullmatch,
}
_OTHERS: dict[str, tuple[type, ...]] = {
    "count": (int,),
    "seconds": (int, float),
    "boolean": (bool,),
    "value": (object,),
}


@cache
def contract() -> dict[str, Any]:
    """Return the contract as it is written."""
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return found


def commands() -> Mapping[str, Shape]:
    """Return the shape of each command's document."""
    found: Mapping[str, Shape] = contract()["commands"]
    return found


def expanded(shape: Shape) -> Shape:
    """Return an object with the keys of the shape that it extends."""
    if isinstance(shape, dict) and "+" in shape:
        base = expanded(contract()["shapes"][shape["+"]])
        assert isinstance(base, dict)
        return {**base, **{key: part for key, part in shape.items() if key != "+"}}
    return shape


def faults(value: object, shape: Shape, place: str = "") -> Iterator[str]:
    """Yield where `value` is not of `shape`."""
    shape = expanded(shape)
    if isinstance(shape, str):
        yield from _faults_of_word(value, shape, place)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no list"
            return
        for number, item in enumerate(value):
            yield from faults(item, shape[0], f"{place}[{number}]")
    elif not isinstance(value, dict):
        yield f"{place}: {value!r} is no object"
    elif "*" in shape:
        for key, item in value.items():
            yield from faults(item, shape["*"], f"{place}.{key}")
    else:
        yield from (f"{place}.{key} is missing" for key in shape if key not in value)
        yield from (f"{place}.{key} is not promised" for key in value if key not in shape)
        for key in shape:
            if key in value:
                yield from faults(value[key], shape[key], f"{place}.{key}")


def _faults_of_word(value: object, word: str, place: str) -> Iterator[str]:
    bare = word.removesuffix(_OR_NULL)
    if value is None and bare != word:
        return
    if bare in contract()["shapes"]:
        yield from faults(value, contract()["shapes"][bare], place)
    elif bare in _TEXTS:
        if not (isinstance(value, str) and _TEXTS[bare](value)):
            yield f"{place}: {value!r} is no {bare}"
    elif not isinstance(value, _OTHERS[bare]) or (isinstance(value, bool) and bare in ("count", "seconds")):
        yield f"{place}: {value!r} is no {bare}"


def command_of(program: str, words: Sequence[str]) -> str:
    """Return which entry of the contract a command line is of."""
    words = [str(word) for word in words]
    bare = []
    passed = iter(words)
    for word in passed:
        if word in ("--config", "--data-directory"):
            next(passed)
        elif not word.startswith("-"):
            bare.append(word)
    for length in (3, 2, 1):
        name = " ".join([program, *bare[:length]])
        if name in commands():
            if name == "branch-manager status" and len(bare) > 1:
                return _STATUS_OF_ONE
            with_option = (f"{name} {option}" for option in _OPTIONS if option in words)
            return next((found for found in with_option if found in commands()), name)
    raise AssertionError(f"no shape is promised for {program} {' '.join(words)}")


def held(program: str, words: Sequence[object], printed: str | bytes) -> Any:
    """Return the document that `program words…` printed; fail if it is not as promised, error or result."""
    found = json.loads(printed)
    name = command_of(program, [str(word) for word in words])
    shape: Shape = commands()[name]
    if isinstance(found, dict) and "error" in found:
        shape = {"error": {"message": "text", "where": "text or null", **_cure(found)}}
    wrong = list(faults(found, shape))
    assert not wrong, f"{name}: {'; '.join(wrong[:10])}"
    return found


def _cure(found: Mapping[str, Any]) -> dict[str, str]:
    error = found["error"]
    return {"cure": "text"} if isinstance(error, dict) and "cure" in error else {}


def watch(program: str, words: Sequence[object], printed: str) -> None:
    """Hold what was printed against the contract, if the command line asked for a document."""
    if documents.asked([str(word) for word in words]):
        held(program, words, printed)


def reference() -> str:
    """Return the made part of docs/json.md."""
    return "\n".join(_reference())


def _reference() -> Iterator[str]:
    yield "### Words"
    yield ""
    yield "| word | what stands there |"
    yield "|---|---|"
    for word, meaning in contract()["words"].items():
        yield f"| `{word}` | {meaning} |"
    yield ""
    yield "### Shapes that several commands use"
    for name, shape in contract()["shapes"].items():
        yield from _entry(f"{name}:", shape, "####")
    for program in PROGRAMS:
        yield ""
        yield f"### {program.name}"
        for name, shape in commands().items():
            if name.split(" ")[0] == program.name:
                yield from _entry(name, shape, "####")


def _entry(title: str, shape: Shape, mark: str) -> Iterator[str]:
    yield ""
    yield f"{mark} {title.removesuffix(':')}"
    yield ""
    if isinstance(shape, str):
        yield f"`{shape}`"
        return
    yield "```yaml"
    yield yaml.safe_dump(shape, sort_keys=False, width=110).rstrip("\n")
    yield "```"


def renewed(text: str) -> str:
    """Return the text of the page with its made part as it should be."""
    return with_part(text, MAKER, reference())


def main() -> None:
    """Renew the page below the directory that the command line names."""
    path = Path(sys.argv[1]) / PAGE
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
