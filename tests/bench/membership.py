"""How long it takes to tell what somebody may: `python -m tests.bench.membership`.

A real slapd with 1,000 projects of 25 members, 5,000 people and groups in groups three levels deep.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import yaml

from enc.directory.ldap_store import LdapSource
from enc.service import people
from enc.settings import config
from enc.terms.names import PersonName
from git_hooks.push.membership import KnownGroups, Membership
from tests.support.slapd import REPLACE, Slapd

S = "dc=example,dc=org"
PROJECTS, PEOPLE = 1000, 5000
INSIDER = 0
"""Of project 3 alone, which is in 2, which is in 1, which is in 0, whose admins 1's members are."""


def person(number: int) -> str:
    return f"uid=u{number:04d},ou=people,{S}"


def project(number: int) -> str:
    return f"cn=p{number:03d},ou=projects,{S}"


def _entries() -> Iterator[str]:
    chance = random.Random(1)
    for number in range(PEOPLE):
        secret = "userPassword: x\n" if number == INSIDER else ""
        yield f"dn: {person(number)}\nobjectClass: inetOrgPerson\nuid: u{number:04d}\ncn: u\nsn: u\n{secret}\n"
    for number in range(PROJECTS):
        members = {person(chance.randrange(1, PEOPLE)) for _ in range(25)}
        members |= {project(number + 1)} if number % 10 < 3 else {person(INSIDER)} if number == 3 else set()
        admins = {person(chance.randrange(1, PEOPLE)) for _ in range(3)} | ({project(1)} if number == 0 else set())
        listed = "".join(f"member: {one}\n" for one in sorted(members))
        held = "".join(f"roleOccupant: {one}\n" for one in sorted(admins))
        name = f"p{number:03d}"
        yield f"dn: {project(number)}\nobjectClass: groupOfNames\ncn: {name}\n{listed}\n"
        yield f"dn: cn=projectadmin,{project(number)}\nobjectClass: organizationalRole\ncn: projectadmin\n{held}\n"
        yield f"dn: ou={name},ou=hosts,{S}\nobjectClass: organizationalUnit\nou: {name}\n\n"
        yield f"dn: cn={name}.example,ou={name},ou=hosts,{S}\nobjectClass: device\nobjectClass: puppetClient\n"
        yield f"cn: {name}.example\n\n"


def milliseconds(do: Callable[[], object], times: int = 11) -> str:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        taken.append(1000 * (time.perf_counter() - began))
    return f"{median(taken):8.2f} ms (at most {max(taken):.2f})"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as base:
        ldif, file = Path(base, "site.ldif"), Path(base, "config.yaml")
        ldif.write_text("".join(_entries()), encoding="ascii")
        slapd = Slapd(Path(base, "slapd"), ldif=[ldif])
        try:
            document = yaml.safe_load(slapd.configuration())
            document["branches"] = {"repository": base}
            document["answers"] = {"directory": f"{base}/answers"}
            file.write_text(yaml.safe_dump(document))
            settings = config.load(file)
            name = PersonName(f"u{INSIDER:04d}")
            with LdapSource(settings) as source:
                print("one question, nothing kept:   ", milliseconds(lambda: people.find(name, source, settings)))
            membership = Membership(settings, time.time, known=KnownGroups())
            membership.person(name)
            print("kept, the same person:        ", milliseconds(lambda: membership.person(name)))
            others = map(PersonName, (f"u{number:04d}" for number in range(1, PEOPLE)))
            print("kept groups, another person:  ", milliseconds(lambda: membership.person(next(others))))
            membership.close()
            with slapd.connect(person(INSIDER), "x") as ldap:
                for number, words in ((0, "by way of groups"), (5, "not in, no groups there"), (2, "a member only")):
                    node = f"cn=p{number:03d}.example,ou=p{number:03d},ou=hosts,{S}"
                    change = {"puppetVar": [(REPLACE, ["a=b"])]}
                    print(f"slapd judges an edit, {words}:", milliseconds(lambda: ldap.modify(node, change)))  # noqa: B023
        finally:
            slapd.stop()


if __name__ == "__main__":
    main()
