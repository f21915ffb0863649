"""What do the entries say that Puppet keeps to itself, that hides a fact, or that is not on this machine?

Every node is classified from one reading of LDAP; 100,000 nodes take some
seconds. Classes and environments are looked for where puppetserver looks
(`puppet config print`), without Puppet where the branch manager puts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from enc.classify.kind import AttributeLeftOut, LeftOut
from enc.classify.model import Classification
from enc.directory.ldap_store import LdapSource
from enc.doctor.findings import Finding, note, ok, warning
from enc.doctor.puppet import PuppetFacts
from enc.puppet.deployed import Environments
from enc.rights.domains import serves
from enc.service import advice, export
from enc.service.survey import Snapshot
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import ClassName, EnvironmentName
from enc.terms.puppet_names import hidden_by

_NAMED = 5
"""So many of a kind are named, and so many nodes of each."""
_SERIAL = "serialnumber"
"""What an instance's `serialNumber` becomes, in which our own commands keep the id of its server.

Nova gives that id to the server as the serial number of its hardware
(`libvirt.sysinfo_serial`, docs.openstack.org/nova/latest/configuration/config.html),
so the fact says the same, and nobody is to do anything.
"""


def check(facts: PuppetFacts | str, settings: Settings) -> Iterator[Finding]:
    """Look at what all nodes are classified as."""
    places = Environments.of(settings) if isinstance(facts, str) else Environments.printed(facts.settings)
    try:
        with LdapSource(settings) as source:
            answers = list(export.answers(Snapshot(source, settings), settings))
    except ToolkitError as error:
        yield note("contents", f"the entries' contents cannot be checked: {error}")
        return
    found = (answer.classification for answer in answers if answer.classification is not None)
    # What nodes of another trust domain need, is on the server of that one.
    yield from judge((one for one in found if serves(one.project, settings)), places)


@dataclass(slots=True)
class _Tally:
    """What was found, each with the nodes that it bears on."""

    lost: dict[str, None] = field(default_factory=dict)
    passed_over: dict[str, None] = field(default_factory=dict)
    hidden: dict[str, list[str]] = field(default_factory=dict)
    environments: dict[EnvironmentName, list[str]] = field(default_factory=dict)
    classes: dict[tuple[ClassName, EnvironmentName], list[str]] = field(default_factory=dict)

    def add(self, said: Classification) -> None:
        for text in said.notes:
            if isinstance(text, LeftOut):
                (self.passed_over if isinstance(text, AttributeLeftOut) else self.lost)[text] = None
        for name in said.variables:
            if hidden_by(name):
                self.hidden.setdefault(name, []).append(said.certname)
        if said.environment is not None:
            self.environments.setdefault(said.environment, []).append(said.certname)
            for name in filter(ClassName.accepts, said.classes):
                self.classes.setdefault((ClassName(name), said.environment), []).append(said.certname)


def judge(classifications: Iterable[Classification], places: Environments) -> Iterator[Finding]:
    """Judge what nodes are; `places`: where puppetserver takes environments from."""
    tally = _Tally()
    for said in classifications:
        tally.add(said)
    yield from _variables(tally)
    yield from _environments(tally, places)
    yield from _classes(tally, places)


def _variables(tally: _Tally) -> Iterator[Finding]:
    do = "remove the value, or rename the variable (enc-admin node explain shows where it comes from)"
    yield from _few("variables", list(tally.lost), do)
    if tally.passed_over:
        first, *rest = tally.passed_over
        more = f" (and {len(rest)} more)" if rest else ""
        yield note("variables", first + more, "nodes.attributes lists the attributes that become variables")
    if serial := tally.hidden.pop(_SERIAL, None):
        said = f"variable {_SERIAL} is the server's id, and hides the fact of that name"
        yield note("variables", f"{said} ({_nodes(serial)})")
    hidden = [f"variable {name} {hidden_by(name)} ({_nodes(nodes)})" for name, nodes in sorted(tally.hidden.items())]
    do = "give the variable another name; for an attribute, list in nodes.attributes those that become variables"
    yield from _few("variables", hidden, do)
    if not (tally.lost or tally.passed_over or tally.hidden or serial):
        yield ok("variables", "no variable is Puppet's own or hides a fact")


def _environments(tally: _Tally, places: Environments) -> Iterator[Finding]:
    if not places.served:
        yield note(
            "environments", "no environment is deployed on this machine, so the nodes' environments were not checked"
        )
        return
    found = _told(tally.environments, lambda name: advice.on_environment(name, places))
    yield from _few("environments", found, "deploy it (branch-manager deploy), or name another (enc-admin node set)")
    if not found:
        yield ok("environments", "every environment of a node is deployed here")


def _classes(tally: _Tally, places: Environments) -> Iterator[Finding]:
    if not places.served:
        return
    found = _told(tally.classes, lambda key: advice.on_classes((key[0],), key[1], places))
    yield from _few("classes", found, "push the class to that environment's branch, or unset it")
    if not found:
        yield ok("classes", "every class of a node has a file, as far as its environment is on this machine")


_Key = TypeVar("_Key", EnvironmentName, tuple[ClassName, EnvironmentName])


def _told(found: Mapping[_Key, list[str]], say: Callable[[_Key], Iterable[str]]) -> list[str]:
    return [f"{text} ({_nodes(found[key])})" for key in sorted(found) for text in say(key)]


def _few(check: str, found: Sequence[str], do: str) -> Iterator[Finding]:
    for text in found[:_NAMED]:
        yield warning(check, text, do)
    if len(found) > _NAMED:
        yield warning(check, f"{len(found) - _NAMED} more like this", do)


def _nodes(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    return f"{len(names)} {'nodes' if len(names) > 1 else 'node'}: {shown}{' …' if len(names) > _NAMED else ''}"
