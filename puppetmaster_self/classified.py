"""What LDAP says about this instance: its environment and project. Best effort, for a self-master must not need it."""

from __future__ import annotations

import time

from enc.classify.classify import Classifier
from enc.classify.model import Classification
from enc.directory.ldap_store import LdapSource
from enc.errors import ToolkitError
from enc.names import Certname, EnvironmentName, ProjectName
from enc.settings import Settings
from puppetmaster_self.machine import Machine
from puppetmaster_self.transaction import Tell


def of_this_node(
    settings: Settings, machine: Machine, tell: Tell
) -> tuple[EnvironmentName | None, ProjectName | None]:
    """Return environment and project of this node; None for what cannot be told, with one line about why."""
    words = ("puppet", "config", "print", "certname", "--section", "agent")
    certname = Certname(machine.run(*words, timeout=60).output.strip().rpartition("\n")[2])
    try:
        found = classification(settings, certname)
    except ToolkitError as error:
        tell(f"what LDAP says about {certname} is not known: {error}")
        return None, None
    return found.environment, found.project


def classification(settings: Settings, certname: Certname) -> Classification:
    """Return the node's classification as LDAP has it now; raise what reading and classifying raise."""
    with LdapSource(settings) as source:
        return Classifier(settings).classify(certname, source).at(time.time())
