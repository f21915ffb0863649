"""The recorded answers of the LDAP node terminus, and how ours are compared with them.

`tests/cases/terminus` is a recording of Puppet 5.5 with its README's settings.
`tests/cases/terminus-more` was recorded in the same way for what the first does
not reach: loops through the node itself, lists of attributes, several class
attributes, other filters and bases, several entries for one name, names and
values of every kind. One file for each set of settings, all on one directory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from enc.classify.classify import Classifier
from enc.classify.model import Source
from enc.classify.render import render_answer
from enc.settings import AnswerSettings, Settings, config
from enc.terms.errors import ClassificationError, NotFound
from enc.terms.names import Certname

CASES = Path(__file__).parent.parent / "cases"
LEAKED = frozenset({"objectclass", "dn", "puppetclass", "puppetvar", "parentnode", "environment"})
"""Not part of the comparison (the recording's own description)."""
OUR_VARIABLE = AnswerSettings().variable
SAID_BY_BOTH = ("Found loop in LDAP node parents", "Could not find parent node")


@dataclass(frozen=True)
class Recording:
    """What the terminus answered for each name, with which settings, on which directory."""

    name: str
    ldif: Path
    nodes: Mapping[str, Any]
    expected: Mapping[str, Mapping[str, Any]]

    def settings(self, *, strict: bool, uri: str = "ldapi:///") -> Settings:
        """Return our configuration that stands for the recording's settings."""
        nodes = {"semantics": "terminus", "strict_compatibility": strict, **self.nodes}
        return config.parse(yaml.safe_dump({"directory": {"uris": [uri], "timeout": "10s"}, "nodes": nodes}))


def recordings() -> list[Recording]:
    """Return all recordings."""
    first = CASES / "terminus"
    more = CASES / "terminus-more"
    found = [Recording("terminus", first / "directory.ldif", {}, json.loads((first / "expected.json").read_text()))]
    for file in sorted(more.glob("*.json")):
        case = json.loads(file.read_text(encoding="utf-8"))
        found.append(Recording(file.stem, more / "directory.ldif", case["settings"], case["expected"]))
    return found


def differences(recording: Recording, source: Source, settings: Settings) -> list[str]:
    """Return one line for each name that we answer differently."""
    classifier = Classifier(settings)
    found = []
    for name, expected in recording.expected.items():
        try:
            answer = comparable(render_answer(classifier.classify(Certname(name), source), None, "ldap"))
        except NotFound:
            answer = {"error": "not found"}
        except ClassificationError as error:
            answer = {"error": str(error)}
        wanted = wanted_of(expected, settings)
        if not is_equal(answer, wanted):
            found.append(f"{recording.name}: {name}: {answer} instead of {wanted}")
    return found


def comparable(text: str) -> dict[str, Any]:
    """Return the answer in an ENC's output as Puppet would load it, without what is not compared."""
    answer: dict[str, Any] = yaml.safe_load(text)
    ignored = {*LEAKED, OUR_VARIABLE}
    return {
        "classes": list(answer["classes"]),
        "parameters": {k: v for k, v in answer["parameters"].items() if k not in ignored},
        "environment": answer["environment"],
    }


def wanted_of(expected: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what our answer has to be for a recorded one."""
    if "error" in expected:
        return {"error": expected["error"].partition(": ")[2] or expected["error"]}
    classes = expected["classes"]
    if not settings.nodes.strict_compatibility:
        classes = list(dict.fromkeys(name.lower().removeprefix("::") for name in classes))
    environment = expected["environment"]
    return {
        "classes": classes,
        "parameters": {k: v for k, v in expected["parameters"].items() if k not in LEAKED},
        "environment": settings.nodes.default_environment if environment == "requested" else environment,
    }


def is_equal(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether an answer is the wanted one; of errors only those words that both sides share count."""
    if "error" not in wanted or "error" not in answer:
        return answer == wanted
    same_words = wanted["error"] in answer["error"]
    return same_words or not wanted["error"].startswith(SAID_BY_BOTH)
