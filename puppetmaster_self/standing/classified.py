"""What LDAP says about this instance. Best effort, for a self-master must not need it.

Two questions: environment, project and whether it is to be its own master, when
it becomes one; and, while it is one, whether that was taken back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import yaml

from enc.answers.layout import Layout
from enc.answers.reader import look_up
from enc.classify.classify import Classifier
from enc.classify.model import Classification
from enc.directory.ldap_store import LdapSource
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname, EnvironmentName, ProjectName
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.transaction import Tell

SELF = "puppetmaster::self"
"""The class that makes an instance its own master."""


class Said(NamedTuple):
    """What LDAP says; None for what cannot be told."""

    environment: EnvironmentName | None = None
    project: ProjectName | None = None
    assigned: bool = False
    """Whether the node has the class `puppetmaster::self`."""


def of_this_node(settings: Settings, machine: Machine, tell: Tell) -> Said:
    """Return what LDAP says about this node; if it cannot be asked, nothing, with one line about why."""
    words = ("puppet", "config", "print", "certname", "--section", "agent")
    certname = Certname(machine.run(*words, timeout=60).output.strip().rpartition("\n")[2])
    try:
        found = classification(settings, certname)
    except ToolkitError as error:
        tell(f"LDAP cannot be queried about {certname}: {error}")
        return Said()
    return Said(found.environment, found.project, _has_class(found.classes))


def taken_back(settings: Settings, certname: Certname) -> bool:
    """Tell whether the node certainly does not have the class `puppetmaster::self` any more.

    First the own answers are looked at, which costs nothing. Only where they
    do not have the class is LDAP asked, and only if it knows the node and says
    the same, that is certain: a directory that is away or lags takes nothing back.
    """
    found = look_up(Layout(settings.answers.directory), certname, time.time())
    if found.kind != "answer":
        return False
    try:
        own = yaml.safe_load(found.text)["classes"]
        return not _has_class(own) and not _has_class(classification(settings, certname).classes)
    except (ToolkitError, yaml.YAMLError, KeyError, TypeError):
        return False


def _has_class(classes: Iterable[str]) -> bool:
    # In terminus semantics, names stand as in LDAP.
    return any(name.removeprefix("::").lower() == SELF for name in classes)


def classification(settings: Settings, certname: Certname) -> Classification:
    """Return the node's classification as LDAP has it now; raise what reading and classifying raise."""
    with LdapSource(settings) as source:
        return Classifier(settings).classify(certname, source).at(time.time())
