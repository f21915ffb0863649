"""Will puppetserver ask `enc-autosign`, and can that do its work?

What puppetserver's user may do is tried by a process that has become the user. Whether the signing account may note
the use of a token is tried with a change that cannot be made: a value is taken away that no node has, and the server
says either that it is not there or that the account may not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from enc.answers.layout import Layout
from enc.directory.connection import open_connection
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.doctor.puppet import PuppetFacts
from enc.instances.enrolment import ATTRIBUTE, BUILT_ATTRIBUTE
from enc.programs.accounts import Account, as_account
from enc.programs.machine_trouble import said
from enc.rights.reserved import is_reserved
from enc.settings import Settings
from enc.signing.autosign import account
from enc.terms.errors import Conflict, NotAllowed, ToolkitError, one_line

PROGRAM = "enc-autosign"
_NEVER = "0 took 0"
"""A time at which nothing was built."""


def check(facts: PuppetFacts | str, who: Account, settings: Settings) -> Iterator[Finding]:
    """Look at puppetserver's autosign; if it is our program, at all that the program needs."""
    value = "" if isinstance(facts, str) else facts.settings.get("autosign", "")
    if not value:
        return  # puppet could not be asked, which is told elsewhere
    tried: Mapping[str, str] = as_account(who, lambda: _tried(Path(value), settings))
    yield judge_autosign(value, who.name, executable=not tried["program"])
    if Path(value).name != PROGRAM:
        return
    assert not isinstance(facts, str)
    yield judge_name(facts.settings.get("certname", ""), settings)
    yield judge_place(settings)
    yield judge_door(tried["door"], who.name)
    yield judge_renewal(facts.settings.get("ca_ttl", ""), settings)
    if tried["secret"]:
        secret = settings.signing.bind_password_file
        yield fault(
            "signing-account",
            f"{who.name} cannot read {secret}: {tried['secret']}",
            f"chgrp puppetmaster-signer {secret} && chmod 0640 {secret}; is {who.name} in that group?",
        )
    else:
        yield _account(settings)
    if tried["journal"]:
        yield fault(
            "signing-journal",
            f"{who.name} cannot write {settings.signing.journal} ({tried['journal']}): nothing is signed",
            f"install -d -o {who.name} -m 0750 {settings.signing.journal.parent}",
        )
    else:
        yield ok("signing-journal", f"{who.name} can write {settings.signing.journal}")


def judge_autosign(value: str, user: str, *, executable: bool) -> Finding:
    """Judge puppetserver's setting `autosign`."""
    if value == "true":
        return fault(
            "signing-autosign",
            "autosign is true: anybody who can reach puppetserver gets a certificate for any name",
            f"in [server]: autosign = /PATH/{PROGRAM} (docs/signing.md)",
        )
    if Path(value).name != PROGRAM:
        said = f"autosign is {value}: requests of instances are not signed by their tokens"
        return note("signing-autosign", said, f"in [server]: autosign = /PATH/{PROGRAM} (docs/signing.md)")
    if not value.startswith("/"):
        return fault("signing-autosign", f"autosign is {value!r}", "name the program by its absolute path")
    if not executable:
        return fault(
            "signing-autosign",
            f"{user} cannot execute {value}: puppetserver reads it as a list of names and signs nothing",
            f"chmod a+rx {value}, and let {user} enter the directories above it",
        )
    return ok("signing-autosign", f"puppetserver asks {value} about each request")


def judge_name(certname: str, settings: Settings) -> Finding:
    """Judge whether puppetserver's own name could be given to an instance."""
    if is_reserved(certname, settings):
        return ok("signing-names", f"no instance gets puppetserver's own name, {certname}")
    return fault(
        "signing-names",
        f"whoever creates a node called {certname} could get a certificate in puppetserver's own name",
        f"instances: {{reserved: [{certname}]}}, with every other server that trusts this authority's certificates",
    )


def judge_place(settings: Settings) -> Finding:
    """Judge whether an admin could say what one of the site's servers installs."""
    if settings.instances.reserved_project is not None:
        return ok("signing-servers", f"servers are classified in {settings.instances.reserved_project} only")
    return note(
        "signing-servers",
        "anybody who writes LDAP without our commands can create a node with a server's name and decide what it "
        "installs",
        "put the servers' nodes into one project of the operators, and name it: instances: {reserved_project: ops}",
    )


def judge_door(trouble: str, user: str) -> Finding:
    """Judge whether strangers' requests are turned away before they are judged; `trouble`: why not."""
    if not trouble:
        return ok("signing-door", f"{user} can read which instances exist: requests from strangers cost no judge")
    return warning(
        "signing-door",
        f"{user} cannot read which instances exist ({trouble}): every stranger's request takes a judge's time",
        "run enc-admin follow on this machine and let that account read its answers (docs/signing.md)",
    )


def judge_renewal(lifetime: str, settings: Settings) -> Finding:
    """Judge whether the policy lets instances renew when they ask. `lifetime`: Puppet's ca_ttl, in seconds."""
    before, after = settings.instances.agent.renew_before, settings.signing.renew_after
    if not before:
        return note("signing-renewal", "instances do not renew their certificates (instances.agent.renew_before: 0)")
    if not lifetime.isdecimal() or not int(lifetime):
        return note("signing-renewal", f"ca_ttl is {lifetime!r}: the lifetime of certificates is unknown")
    asked = int(lifetime) - min(int(before), int(lifetime) // 2)
    if after is not None and after <= asked:
        return ok("signing-renewal", f"instances ask for a new certificate after {asked // 86400} days and get it")
    when = "never (signing.renew_after: null)" if after is None else f"after {int(after) // 86400} days"
    return warning(
        "signing-renewal",
        f"instances ask for a new certificate after {asked // 86400} days and get it {when}",
        f"signing: {{renew_after: {asked // 86400}d}} or less (docs/signing.md)",
    )


def _tried(program: Path, settings: Settings) -> dict[str, str]:
    """Return, for the calling process, why it cannot do each thing; an empty text if it can."""
    found = {"program": "", "secret": "", "journal": "", "door": ""}
    if not (program.is_file() and os.access(program, os.X_OK)):
        found["program"] = "not an executable file"
    secret = settings.signing.bind_password_file
    try:
        if settings.signing.bind_dn is not None and secret is not None:
            secret.read_bytes()
    except OSError as error:
        found["secret"] = said(error)
    answers = Layout(settings.answers.directory)
    try:
        answers.signing.read_bytes()
        next(answers.enrolments.iterdir(), None)
    except OSError as error:
        found["door"] = one_line(said(error))
    place = settings.signing.journal
    while not os.path.lexists(place):
        place = place.parent
    if not os.access(place, os.W_OK):
        found["journal"] = f"{place} is not writable"
    return found


def _account(settings: Settings) -> Finding:
    changed = account(settings)
    who = settings.signing.bind_dn or "the writing account"
    try:
        with open_connection(changed.directory, for_writing=True) as connection:
            instances = connection.read_all(settings.nodes_base, f"({ATTRIBUTE}=*)")
            instance = next(instances, None)
        if instance is None:
            return note("signing-account", f"{who} signs in; there is no instance on which to test its rights")
        with DirectoryEditor(changed) as editor:
            editor.modify(instance.dn, [ValueChange(BUILT_ATTRIBUTE, (_NEVER,))])
    except Conflict:
        return ok("signing-account", f"{who} can read instances and record who got a certificate")
    except NotAllowed as error:
        return fault("signing-account", str(error), "let it write that attribute of nodes (docs/signing.md)")
    except ToolkitError as error:
        return fault("signing-account", str(error), "see signing.bind_dn and signing.timeout (docs/signing.md)")
    return warning("signing-account", f"{instance.dn} is recorded as built in 1970", "find out who wrote this")
