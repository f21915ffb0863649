"""slapd itself keeps the project boundary: one table, each line tried as the person it names."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

import pytest
from ldap3 import Connection

from enc.directory.edits import DirectoryEditor
from enc.settings import DirectorySettings, Settings
from tests.real.conftest import SlapdMaker
from tests.support.slapd import ADD, DELETE, REPLACE, Refused, Slapd, checked

S = "dc=example,dc=org"
PASSWORD = "correct horse"
HASH = "$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo"
PEOPLE = ("anna", "bert", "mia", "olga", "zoe")  # admin of red, of blue; member of red; operator; nobody


def _site() -> str:
    """Projects red and blue, each with a node and a prefix; the people above."""
    people = "".join(
        f"dn: uid={uid},ou=people,{S}\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\nuid: {uid}\n"
        f"cn: {uid}\nsn: {uid}\nuserPassword: {PASSWORD}\n\n"
        for uid in PEOPLE
    )
    projects = "".join(
        f"dn: cn={project},ou=projects,{S}\nobjectClass: groupOfNames\nobjectClass: puppetClient\n"
        f"objectClass: puppetmasterClassification\ncn: {project}\nmember: uid={admin},ou=people,{S}\n"
        f"member: uid=mia,ou=people,{S}\n\n"
        f"dn: cn=projectadmin,cn={project},ou=projects,{S}\nobjectClass: organizationalRole\n"
        f"cn: projectadmin\nroleOccupant: uid={admin},ou=people,{S}\n\n"
        f"dn: cn=netadmin,cn={project},ou=projects,{S}\nobjectClass: organizationalRole\ncn: netadmin\n\n"
        f"dn: cn=web,cn={project},ou=projects,{S}\nobjectClass: puppetmasterScope\n"
        "objectClass: puppetClient\nobjectClass: puppetmasterClassification\ncn: web\ndescription: web\n"
        # The unique overlay looks at names below ou=hosts only, so an admin can write these here.
        "cn: blue1.example\ncn: default\n\n"
        f"dn: ou={project},ou=hosts,{S}\nobjectClass: organizationalUnit\nou: {project}\n\n"
        f"dn: cn={project}1.example,ou={project},ou=hosts,{S}\nobjectClass: device\n"
        f"objectClass: puppetClient\nobjectClass: puppetmasterClassification\ncn: {project}1.example\n"
        "puppetClass: base\n\n"
        for project, admin in (("red", "anna"), ("blue", "bert"))
    )
    operators = f"dn: cn=operators,ou=groups,{S}\nchangetype: modify\nadd: member\nmember: uid=olga,ou=people,{S}\n"
    return people + projects + operators


@dataclass(frozen=True)
class Do:
    """One write; `how` is the LDAP operation."""

    how: str
    dn: str
    what: object = None

    def __call__(self, connection: Connection, controls: object = None) -> None:
        if self.how == "add":
            connection.add(self.dn, attributes=self.what, controls=controls)
        elif self.how == "delete":
            connection.delete(self.dn)
        elif self.how == "modify":
            connection.modify(self.dn, self.what, controls=controls)
        else:
            rdn, _, parent = str(self.what).partition(",")
            old = self.how != "rename, keep"
            connection.modify_dn(self.dn, rdn, old, new_superior=parent or None, controls=controls)
        checked(connection)


def node(name: str, project: str = "red", **more: object) -> Do:
    classes = ["device", "puppetClient", "puppetmasterClassification"]
    entry = {"objectClass": classes, "cn": name, **more}
    return Do("add", f"cn={name},ou={project},ou=hosts,{S}", entry)


def change(dn: str, how: str, attribute: str, *values: str) -> Do:
    return Do("modify", f"{dn},{S}", {attribute: [(how, list(values))]})


RED_NODE = "cn=red1.example,ou=red,ou=hosts"
BLUE_NODE = "cn=blue1.example,ou=blue,ou=hosts"
RED, BLUE = "cn=red,ou=projects", "cn=blue,ou=projects"
KEY = "ssh-ed25519 AAAA"


def project(name: str) -> Do:
    entry = {"objectClass": "groupOfNames", "cn": name, "member": f"uid=zoe,ou=people,{S}"}
    return Do("add", f"cn={name},ou=projects,{S}", entry)


AMBIGUOUS = ("a--x", "a__x", "a_-x", "a-_x", "a-", "a_", "-a", "_a", "1a", "a.b", "a b", "a  b", "ä", "a" * 64)
"""Names of projects whose environments a topic branch could have, and names that are none."""
LABELS = ("../projects/blue", "a/b", "..", ".", ".a", "a.", "a..b", "a b", "-a", "é", "a\nb", "x" * 101, "%{facts.x}")
"""What is no role and no region."""

ALLOWED = {
    "admin adds a node": ("anna", node("red2.example", puppetClass="ntp")),
    "admin writes a node": ("anna", change(RED_NODE, ADD, "puppetmasterParameter", 'ntp::servers=["a"]')),
    "admin puts the extension on a node": (
        "anna",
        Do(
            "modify",
            f"{RED_NODE},{S}",
            {"objectClass": [(ADD, ["domainRelatedObject"])], "associatedDomain": [(ADD, ["red1.example"])]},
        ),
    ),
    "admin renames a node": ("anna", Do("rename", f"{RED_NODE},{S}", "cn=red9.example")),
    "admin deletes a node": ("anna", Do("delete", f"{RED_NODE},{S}")),
    "admin takes the extension off a node": (
        "anna",
        change(RED_NODE, DELETE, "objectClass", "puppetmasterClassification"),
    ),
    "admin adds a prefix": (
        "anna",
        Do("add", f"cn=db,{RED},{S}", {"objectClass": ["puppetmasterScope", "puppetClient"], "cn": "db"}),
    ),
    "admin writes a prefix": ("anna", change(f"cn=web,{RED}", ADD, "puppetVar", "tier=web")),
    "admin deletes a prefix": ("anna", Do("delete", f"cn=web,{RED},{S}")),
    "admin classifies the project": ("anna", change(RED, REPLACE, "environment", "red")),
    "admin adds a member": ("anna", change(RED, ADD, "member", f"uid=zoe,ou=people,{S}")),
    "admin appoints an admin": (
        "anna",
        change(f"cn=projectadmin,{RED}", ADD, "roleOccupant", f"uid=mia,ou=people,{S}"),
    ),
    "admin tries a branch": ("anna", change(RED_NODE, ADD, "puppetmasterTrial", "project_red until 5 x")),
    "admin says which instance serves itself": ("anna", change(RED_NODE, ADD, "puppetmasterSelf", "serving since 5")),
    "member tries a branch": ("mia", change(RED_NODE, ADD, "puppetmasterTrial", "project_red until 5 x")),
    "operator writes any node": ("olga", change(BLUE_NODE, ADD, "puppetmasterProject", "blue")),
    "operator writes the site": ("olga", change("cn=site", ADD, "puppetClass", "base")),
    "operator makes a project": (
        "olga",
        Do(
            "add",
            f"cn=green,ou=projects,{S}",
            {"objectClass": "groupOfNames", "cn": "green", "member": f"uid=zoe,ou=people,{S}"},
        ),
    ),
    **{f"operator makes the project {name}": ("olga", project(name)) for name in ("a-x", "a_x", "a1-b_2", "a" * 63)},
    "admin replaces the role": ("anna", change(RED_NODE, REPLACE, "puppetmasterRole", "web")),
    "admin writes a prefix's role": ("anna", change(f"cn=web,{RED}", ADD, "puppetmasterRole", "web")),
    "admin writes a project's region": ("anna", change(RED, ADD, "puppetmasterRegion", "eu")),
    "admin says who is a guest": ("anna", change(RED, ADD, "puppetmasterGuest", "blue")),
    "admin writes role and region": (
        "anna",
        Do(
            "modify",
            f"{RED_NODE},{S}",
            {"puppetmasterRole": [(ADD, ["role::Web_1.a-b"])], "puppetmasterRegion": [(ADD, ["eu-west-1"])]},
        ),
    ),
    "operator sets a password": ("olga", change("uid=zoe,ou=people", REPLACE, "userPassword", "new one")),
    "signer notes who got a certificate": ("signer", change(RED_NODE, ADD, "puppetmasterEnrolment", "closed since 1")),
    "signer notes who was built": ("signer", change(BLUE_NODE, ADD, "puppetmasterBuilt", "1 took 1")),
    "person sets the own password": ("zoe", change("uid=zoe,ou=people", REPLACE, "userPassword", "new one")),
    "person sets the own key": ("zoe", change("uid=zoe,ou=people", ADD, "sshPublicKey", KEY)),
}

REFUSED = {
    "other project's node": ("anna", change(BLUE_NODE, ADD, "puppetClass", "evil")),
    "node in another project": ("anna", node("red3.example", "blue")),
    "delete another project's node": ("anna", Do("delete", f"{BLUE_NODE},{S}")),
    "move a node out": ("anna", Do("rename", f"{RED_NODE},{S}", f"cn=red1.example,ou=blue,ou=hosts,{S}")),
    "move a node in": ("anna", Do("rename", f"{BLUE_NODE},{S}", f"cn=blue1.example,ou=red,ou=hosts,{S}")),
    "move a node out of hosts": ("anna", Do("rename", f"{RED_NODE},{S}", f"cn=red1.example,{RED},{S}")),
    "move a prefix with others' names to the nodes": (
        "anna",
        Do("rename, keep", f"cn=web,{RED},{S}", f"cn=web,ou=red,ou=hosts,{S}"),
    ),
    "the same under another kind of name": (
        "anna",
        Do("rename, keep", f"cn=web,{RED},{S}", f"description=web,ou=red,ou=hosts,{S}"),
    ),
    "the same under a name that is there already": (
        "anna",
        Do("rename, keep", f"cn=web,{RED},{S}", f"objectClass=puppetmasterScope,ou=red,ou=hosts,{S}"),
    ),
    "second certname in a language": ("anna", change(RED_NODE, ADD, "cn;lang-en", "blue1.example")),
    "new node with a second certname in a language": (
        "anna",
        node("red6.example", **{"cn;lang-en": "blue1.example"}),
    ),
    "move a prefix out": ("anna", Do("rename", f"cn=web,{RED},{S}", f"cn=web2,{BLUE},{S}")),
    "claim a node for another project": ("anna", change(RED_NODE, ADD, "puppetmasterProject", "blue")),
    "new node of another project": ("anna", node("red4.example", puppetmasterProject="blue")),
    "second node of a certname": ("anna", node("blue1.example")),
    "second certname in a node": ("anna", change(RED_NODE, ADD, "cn", "BLUE1.example")),
    "rename to a certname that is taken": ("anna", Do("rename", f"{RED_NODE},{S}", "cn=blue1.example")),
    "node called default": ("anna", node("default")),
    "password in a node": (
        "anna",
        Do(
            "modify",
            f"{RED_NODE},{S}",
            {"objectClass": [(ADD, ["simpleSecurityObject"])], "userPassword": [(ADD, ["x"])]},
        ),
    ),
    "foreign object class in a node": ("anna", change(RED_NODE, ADD, "objectClass", "uidObject", "extensibleObject")),
    "no object class left": ("anna", change(RED_NODE, DELETE, "objectClass", "puppetClient")),
    "another kind of entry as a node": (
        "anna",
        Do("add", f"cn=x,ou=red,ou=hosts,{S}", {"objectClass": ["organizationalRole", "puppetClient"], "cn": "x"}),
    ),
    "foreign object class in a project": ("anna", change(RED, ADD, "objectClass", "extensibleObject")),
    "rename a node out of the rules": ("anna", Do("rename", f"{RED_NODE},{S}", "ou=red")),
    "container below the project": (
        "anna",
        Do("add", f"ou=x,ou=red,ou=hosts,{S}", {"objectClass": "organizationalUnit", "ou": "x"}),
    ),
    "entry below a node": (
        "anna",
        Do("add", f"cn=x,{RED_NODE},{S}", {"objectClass": ["device", "puppetClient"], "cn": "x"}),
    ),
    "referral as a node": (
        "anna",
        Do(
            "add",
            f"cn=x,ou=red,ou=hosts,{S}",
            {"objectClass": ["referral", "extensibleObject", "puppetClient"], "cn": "x", "ref": "ldap://evil"},
        ),
    ),
    "person as a node": (
        "anna",
        Do(
            "add",
            f"cn=x,ou=red,ou=hosts,{S}",
            {"objectClass": ["person", "puppetClient"], "cn": "x", "sn": "x", "userPassword": "x"},
        ),
    ),
    "other project's prefix": ("anna", change(f"cn=web,{BLUE}", ADD, "puppetClass", "evil")),
    "prefix in another project": (
        "anna",
        Do("add", f"cn=db,{BLUE},{S}", {"objectClass": "puppetmasterScope", "cn": "db"}),
    ),
    "role as a prefix": (
        "anna",
        Do("add", f"cn=x,{RED},{S}", {"objectClass": "organizationalRole", "cn": "x"}),
    ),
    "delete a role": ("anna", Do("delete", f"cn=netadmin,{RED},{S}")),
    "delete the own role": ("anna", Do("delete", f"cn=projectadmin,{RED},{S}")),
    "other project's classification": ("anna", change(BLUE, ADD, "puppetClass", "evil")),
    "other project's members": ("anna", change(BLUE, ADD, "member", f"uid=anna,ou=people,{S}")),
    "other project's admins": (
        "anna",
        change(f"cn=projectadmin,{BLUE}", ADD, "roleOccupant", f"uid=anna,ou=people,{S}"),
    ),
    "delete the project": ("anna", Do("delete", f"{RED},{S}")),
    "new project": (
        "anna",
        Do(
            "add",
            f"cn=x,ou=projects,{S}",
            {"objectClass": "groupOfNames", "cn": "x", "member": f"uid=anna,ou=people,{S}"},
        ),
    ),
    "admin writes the site": ("anna", change("cn=site", ADD, "puppetClass", "evil")),
    "admin joins the operators": (
        "anna",
        change("cn=operators,ou=groups", ADD, "member", f"uid=anna,ou=people,{S}"),
    ),
    "other's self-master": ("zoe", change(RED_NODE, ADD, "puppetmasterSelf", "serving since 5")),
    "member says which instance serves itself": ("mia", change(RED_NODE, ADD, "puppetmasterSelf", "serving since 5")),
    "other's trial": ("zoe", change(RED_NODE, ADD, "puppetmasterTrial", "project_red until 5 x")),
    "trial of a whole prefix": ("mia", change(f"cn=web,{RED}", ADD, "puppetmasterTrial", "project_red until 5 x")),
    "member writes a node": ("mia", change(RED_NODE, ADD, "puppetClass", "evil")),
    "member adds a node": ("mia", node("red5.example")),
    "member appoints an admin": (
        "mia",
        change(f"cn=projectadmin,{RED}", ADD, "roleOccupant", f"uid=mia,ou=people,{S}"),
    ),
    "other's password": ("anna", change("uid=mia,ou=people", REPLACE, "userPassword", "x")),
    "other's key": ("anna", change("uid=mia,ou=people", ADD, "sshPublicKey", KEY)),
    "own name": ("zoe", change("uid=zoe,ou=people", REPLACE, "cn", "somebody")),
    "own uid": ("zoe", change("uid=zoe,ou=people", ADD, "uid", "anna")),
    "reader writes": ("enc", change(RED_NODE, ADD, "puppetClass", "evil")),
    "reader's own password": ("enc", change("cn=enc,ou=services", REPLACE, "userPassword", "x")),
    "signer classifies": ("signer", change(RED_NODE, ADD, "puppetClass", "evil")),
    "signer classifies with the extension": ("signer", change(RED_NODE, ADD, "puppetmasterData", "a=1")),
    "signer moves a node": ("signer", change(RED_NODE, ADD, "puppetmasterProject", "blue")),
    "signer names a node": ("signer", change(RED_NODE, ADD, "cn", "other.example")),
    "signer says who a node is": ("signer", change(RED_NODE, ADD, "serialNumber", "1")),
    "signer says where a node is": ("signer", change(RED_NODE, ADD, "puppetmasterRegion", "eu")),
    "signer changes object classes": ("signer", change(RED_NODE, ADD, "objectClass", "domainRelatedObject")),
    "signer adds a node": ("signer", node("red7.example")),
    "signer deletes a node": ("signer", Do("delete", f"{RED_NODE},{S}")),
    "signer renames a node": ("signer", Do("rename", f"{RED_NODE},{S}", "cn=red8.example")),
    "signer enrols a prefix": ("signer", change(f"cn=web,{RED}", ADD, "puppetmasterEnrolment", "closed since 1")),
    "signer enrols a project": ("signer", change(RED, ADD, "puppetmasterEnrolment", "closed since 1")),
    "signer writes the site": ("signer", change("cn=site", ADD, "puppetClass", "evil")),
    "signer joins the operators": (
        "signer",
        change("cn=operators,ou=groups", ADD, "member", f"cn=signer,ou=services,{S}"),
    ),
    "signer's own password": ("signer", change("cn=signer,ou=services", REPLACE, "userPassword", "x")),
    "signer sets a person's password": ("signer", change("uid=mia,ou=people", REPLACE, "userPassword", "x")),
    "reader enrols": ("enc", change(RED_NODE, ADD, "puppetmasterEnrolment", "closed since 1")),
    "member enrols": ("mia", change(RED_NODE, ADD, "puppetmasterEnrolment", "closed since 1")),
    "other's enrolment": ("anna", change(BLUE_NODE, ADD, "puppetmasterEnrolment", "closed since 1")),
    **{f"operator makes the project {name!r}": ("olga", project(name)) for name in AMBIGUOUS},
    "admin invites oneself": ("anna", change(BLUE, ADD, "puppetmasterGuest", "red")),
    "member invites": ("mia", change(RED, ADD, "puppetmasterGuest", "blue")),
    "operator renames a project": ("olga", Do("rename", f"{RED},{S}", "cn=a--x")),
    "operator gives a project a second name": ("olga", change(RED, ADD, "cn", "a--x")),
    **{f"admin writes the role {text!r}": ("anna", change(RED_NODE, ADD, "puppetmasterRole", text)) for text in LABELS},
    "admin makes a node with a path as role": ("anna", node("red4.example", puppetmasterRole="../projects/blue")),
    "admin writes a path as region": ("anna", change(RED, REPLACE, "puppetmasterRegion", "../projects/blue")),
    "admin writes a path as a prefix's role": ("anna", change(f"cn=web,{RED}", ADD, "puppetmasterRole", "a/b")),
    "operator writes a path as the site's role": ("olga", change("cn=site", ADD, "puppetmasterRole", "../x")),
    "own hash that is slow": (
        "zoe",
        change("uid=zoe,ou=people", REPLACE, "userPassword", "{CRYPT}$6$rounds=25000000$c2FsdHNhbHQ$x"),
    ),
    "own hash that is large": (
        "zoe",
        change("uid=zoe,ou=people", REPLACE, "userPassword", f"{{ARGON2}}$argon2id$v=19$m=1048576,t=1,p=1{HASH}"),
    ),
    "own hash of the right kind and another cost": (
        "zoe",
        change("uid=zoe,ou=people", REPLACE, "userPassword", f"{{ARGON2}}$argon2i$v=19$m=4096,t=9,p=1{HASH}"),
    ),
    "own hash that asks another server": ("zoe", change("uid=zoe,ou=people", REPLACE, "userPassword", "{SASL}zoe")),
    "own hash of md5": ("zoe", change("uid=zoe,ou=people", REPLACE, "userPassword", "{MD5}X03MO1qnZdYdgyfeuILPmQ==")),
    "own hash in other letters": ("zoe", change("uid=zoe,ou=people", REPLACE, "userPassword", "{crypt}$6$x$x")),
    "operator's hash for somebody": ("olga", change("uid=zoe,ou=people", REPLACE, "userPassword", "{CRYPT}$6$x$x")),
    "a second password": ("zoe", change("uid=zoe,ou=people", ADD, "userPassword", "another")),
    "own password in another language": ("zoe", change("uid=zoe,ou=people", ADD, "userPassword;lang-en", "x")),
    "own key in another language": ("zoe", change("uid=zoe,ou=people", ADD, "sshPublicKey;lang-en", KEY)),
    "role in another language": (
        "anna",
        change(f"cn=projectadmin,{RED}", ADD, "roleOccupant;lang-en", f"uid=mia,ou=people,{S}"),
    ),
    "own key that is large": ("zoe", change("uid=zoe,ou=people", ADD, "sshPublicKey", KEY + "x" * 20_000)),
    "too many own keys": (
        "zoe",
        Do("modify", f"uid=zoe,ou=people,{S}", {"sshPublicKey": [(ADD, [f"{KEY}{number}" for number in range(51)])]}),
    ),
    "large data": ("anna", change(RED_NODE, ADD, "puppetmasterData", 'a="' + "x" * 200_000 + '"')),
    "large data of a project": ("anna", change(RED, ADD, "puppetmasterData", 'a="' + "x" * 200_000 + '"')),
    "large data in a new node": (
        "anna",
        Do(
            "add",
            f"cn=red9.example,ou=red,ou=hosts,{S}",
            {"objectClass": ["device", "puppetClient"], "cn": "red9.example", "description": "x" * 9_000},
        ),
    ),
    "many descriptions": (
        "anna",
        Do("modify", f"{RED_NODE},{S}", {"description": [(ADD, [f"no. {number}" for number in range(11)])]}),
    ),
    "anonymous writes": ("", change(RED_NODE, ADD, "puppetClass", "evil")),
}


LABELLED = {
    name: (who, do)
    for name, (who, do) in REFUSED.items()
    if who == "anna" and ("role" in name or "path" in name) and "x" * 101 not in name
}
HASHES = {name: it for name, it in REFUSED.items() if " hash " in name}
assert len(HASHES) > 5
MOVED = {name: it for name, it in REFUSED.items() if it[1].how == "rename, keep"}


@pytest.fixture(scope="module")
def site(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Slapd:
    slapd = make_module_slapd()
    ldif = _site().split("dn: cn=operators")
    slapd.load_ldif(ldif[0])
    slapd.load_ldif("dn: cn=operators" + ldif[1])
    backup = slapd.directory.home.data_dir / "backup.ldif"
    slapd.directory.backup(backup)
    return slapd


def _as(site: Slapd, who: str) -> Connection:
    if who == "":
        return site.connect("")
    if who == "enc":
        password = site.directory.home.reader_password_file.read_text().rstrip("\n")
        return site.connect(site.directory.home.reader_dn, password)
    if who == "signer":
        password = site.directory.home.signer_password_file.read_text().rstrip("\n")
        return site.connect(site.directory.home.signer_dn, password)
    return site.connect(f"uid={who},ou=people,{S}", PASSWORD)


@pytest.mark.parametrize("who, do", REFUSED.values(), ids=REFUSED.keys())
def test_slapd_refuses(site: Slapd, who: str, do: Do) -> None:
    with _as(site, who) as connection, pytest.raises(Refused) as refusal:
        do(connection)
    assert refusal.value.description in {
        "insufficientAccessRights",
        "constraintViolation",  # the overlays unique and constraint
        "strongerAuthRequired",  # anonymous
    }


@pytest.mark.parametrize(
    "who, do", [*LABELLED.values(), *HASHES.values(), *MOVED.values()], ids=[*LABELLED, *HASHES, *MOVED]
)
def test_no_control_lets_anybody_write_a_path_or_a_hash(site: Slapd, who: str, do: Do) -> None:
    """slapd's overlays let "relax rules" pass, whoever sends it; its access rules do not. Nor is a prefix moved so."""
    with _as(site, who) as connection, pytest.raises(Refused) as refusal:
        do(connection, [("1.3.6.1.4.1.4203.666.5.12", True, None)])
    assert refusal.value.description == "insufficientAccessRights"


@pytest.mark.parametrize("who, do", ALLOWED.values(), ids=ALLOWED.keys())
def test_slapd_allows(site: Slapd, who: str, do: Do) -> None:
    try:
        with _as(site, who) as connection:
            do(connection)
    finally:
        site.stop()
        site.directory.restore(site.directory.home.data_dir / "backup.ldif")
        site.start()


@pytest.mark.parametrize("who", ["", "zoe", "anna", "enc", "signer", "olga"])
def test_reading(site: Slapd, who: str) -> None:
    """Anonymous sees nothing, everybody else everything, and nobody a password."""
    with _as(site, who) as connection:
        connection.search(S, "(objectClass=*)", attributes=["*"])
        entries = [item for item in connection.response or [] if item["type"] == "searchResEntry"]
    assert len(entries) == (0 if who == "" else 31)
    assert not [item["dn"] for item in entries if "userPassword" in item["attributes"]]


RELAX = [("1.3.6.1.4.1.4203.666.5.12", True, None)]


@pytest.mark.parametrize(
    ("there", "refused", "taken"),
    [
        (("c-d",), ("c_d",), ("cd", "c-d-e", "d-c", "c", "c-dd", "cc-d")),
        (("c_d",), ("c-d",), ("c_d_e",)),
        (("a-b_c", "x-1-2_3"), ("a-b-c", "a_b_c", "a_b-c", "x_1_2_3", "x-1-2-3"), ("a-b", "b-c", "x-1", "x1-2-3")),
    ],
)
def test_a_project_that_is_another_to_puppet_is_not_added(
    site: Slapd, there: tuple[str, ...], refused: tuple[str, ...], taken: tuple[str, ...]
) -> None:
    made = []
    with _as(site, "olga") as olga:
        for name in there:
            project(name)(olga)
            made.append(name)
        for name in refused:
            for controls in (None, RELAX):
                with pytest.raises(Refused) as refusal:
                    project(name)(olga, controls)
                assert refusal.value.description == "insufficientAccessRights"
        for name in taken:
            project(name)(olga)
            made.append(name)
        olga.search(f"ou=projects,{S}", "(objectClass=groupOfNames)", attributes=["cn"])
        found = {str(item["attributes"]["cn"][0]) for item in olga.response or () if "attributes" in item}
        assert found >= set(made), "they are read"
        Do("modify", f"cn={there[0]},ou=projects,{S}", {"description": [(ADD, ["x"])]})(olga)
        for name in made:
            Do("delete", f"cn={name},ou=projects,{S}")(olga)
        project(refused[0])(olga)
        Do("delete", f"cn={refused[0]},ou=projects,{S}")(olga)


def test_the_account_of_a_projects_server_reads_only_what_is_projects(site: Slapd) -> None:
    """Here blue is the site's own project, and a node of red says that it is blue's."""
    home = site.directory.home

    def account() -> Connection:
        return site.connect(f"cn=enc-projects,ou=services,{S}", home.projects_password_file.read_text().strip())

    assert not home.projects_password_file.exists(), "without a project of the site's there is no such account"
    try:
        site.restart(site_projects=("blue",))
        site.restart(site_projects=None)  # kept from start to start
        with site.connect() as manager:
            for do in (node("red2.example", puppetmasterProject="blue", puppetVar="password=x"),
                       Do("add", f"cn=bare.example,ou=hosts,{S}", {"objectClass": ["device", "puppetClient"]}),
                       Do("add", f"cn=all,ou=groups,{S}", {"objectClass": ["groupOfURLs"]})):  # fmt: skip
                do(manager)
        with account() as bound:
            bound.search(S, "(objectClass=*)", attributes=["*", "+"])
            entries = [item for item in bound.response or () if item["type"] == "searchResEntry"]
            found = {item["dn"]: item["attributes"] for item in entries}
            below = {dn.removesuffix(f",{S}") for dn in found} - {S, "ou=hosts", "ou=projects", "ou=groups", "cn=site"}
            assert below == {RED_NODE, RED, f"cn=web,{RED}", f"cn=projectadmin,{RED}", f"cn=netadmin,{RED}",
                             "cn=all,ou=groups"}  # fmt: skip
            assert "userPassword" not in str(found) and "contextCSN" in found[S]
            # Nor by asking whether it is so.
            for base, question in (
                *((f"{BLUE_NODE},{S}", "(puppetClass=base)"), (f"{BLUE},{S}", f"(member=uid=bert,ou=people,{S})")),
                *((f"uid=zoe,ou=people,{S}", "(uid=zoe)"), (f"cn=operators,ou=groups,{S}", "(cn=operators)")),
                (f"cn=red2.example,ou=red,ou=hosts,{S}", "(puppetVar=password=x)"),
            ):
                bound.search(base, question, attributes=["*"])
                assert not bound.response, base
                assert not bound.compare(base, *question.strip("()").split("=", 1)), base
            for refused in (change(RED_NODE, ADD, "description", "x"), Do("delete", f"{RED_NODE},{S}")):
                with pytest.raises(Refused):
                    refused(bound)
        with _as(site, "zoe") as zoe:
            zoe.search(f"{BLUE_NODE},{S}", "(objectClass=*)")
            assert zoe.response, "others see what they did"
        site.restart(site_projects=())
        with account() as bound:
            bound.search(S, "(objectClass=*)")
            assert not bound.response, "nobody says what to keep from it"
    finally:
        site.stop()
        site.directory.restore(home.data_dir / "backup.ldif")
        home.projects_password_file.unlink(missing_ok=True)
        site.start(site_projects=())


def test_the_account_of_instances_reads_only_what_they_need(site: Slapd) -> None:
    """Root of any instance is this account: people with an account, groups of machines, and no more of them."""
    home = site.directory.home
    account = {"uidNumber": "20001", "gidNumber": "20001", "homeDirectory": "/home/anna", "loginShell": "/bin/sh",
               "objectClass": "posixAccount", "mail": "a@x", "sshPublicKey": KEY}  # fmt: skip
    try:
        with site.connect() as manager:
            for do in (
                Do("modify", f"uid=anna,ou=people,{S}", {name: [(ADD, [value])] for name, value in account.items()}),
                *(Do("modify", f"{dn},{S}", {"objectClass": [(ADD, ["posixGroup"])], "gidNumber": [(ADD, [number])],
                                             "memberUid": [(ADD, ["anna"])], "description": [(ADD, ["secret"])]})
                  for dn, number in ((RED, "50001"), (f"cn=projectadmin,{RED}", "50002"))),
                change(RED, ADD, "puppetVar", "password=x"),
            ):  # fmt: skip
                do(manager)
        with site.connect(f"cn=instances,ou=services,{S}", home.instances_password_file.read_text().strip()) as bound:
            found = {}
            for base in ("people", "projects", "hosts", "groups", "services", "numbers"):
                bound.search(f"ou={base},{S}", "(objectClass=*)", attributes=["*", "+"])
                entries = [item for item in bound.response or () if item["type"] == "searchResEntry"]
                found |= {item["dn"].removesuffix(f",{S}"): set(item["attributes"]) for item in entries}
            told = {"objectClass", "cn", "gidNumber", "entryUUID", "modifyTimestamp"}
            assert found == {
                "uid=anna,ou=people": told | {"uid", "uidNumber", "homeDirectory", "loginShell", "sshPublicKey"},
                RED: told | {"member", "memberUid"},
                f"cn=projectadmin,{RED}": told | {"roleOccupant", "memberUid"},
            }
            # Nor by asking whether it is so.
            own = f"cn=instances,ou=services,{S}"
            for base, question in (
                (own, "(cn=instances)"),
                (f"uid=anna,ou=people,{S}", "(userPassword=*)"),
                (f"uid=anna,ou=people,{S}", "(mail=a@x)"),
                (f"uid=mia,ou=people,{S}", "(uid=mia)"),
                (f"{RED},{S}", "(description=secret)"),
                (f"{RED},{S}", "(puppetVar=password=x)"),
                (f"{BLUE},{S}", f"(member=uid=bert,ou=people,{S})"),
                (f"{RED_NODE},{S}", "(puppetClass=base)"),
                (f"cn=operators,ou=groups,{S}", f"(member=uid=olga,ou=people,{S})"),
                ("cn=deletions", "(objectClass=*)"),
            ):
                bound.search(base, question, attributes=["*"])
                assert not bound.response, (base, question)
                if "*" not in question:
                    assert not bound.compare(base, *question.strip("()").split("=", 1)), (base, question)
            for refused in (
                change(RED, ADD, "memberUid", "zoe"),
                change("uid=anna,ou=people", REPLACE, "sshPublicKey", "ssh-ed25519 BBBB"),
                change("cn=instances,ou=services", REPLACE, "userPassword", "x"),
                Do("delete", f"{RED},{S}"),
            ):
                with pytest.raises(Refused):
                    refused(bound)
    finally:
        site.stop()
        site.directory.restore(home.data_dir / "backup.ldif")
        site.start()


def test_whoever_may_read_is_bound_by_no_size_page_by_page(site: Slapd) -> None:
    """Our commands read so. slapd's limits know no groups in groups: an operator by way of one is nobody to them."""
    numbers = [f"cn={number},ou=gid,ou=numbers,{S}" for number in range(2000, 2600)]
    settings = Settings(directory=DirectorySettings(uris=(site.ldap_uri,), suffix=S))
    try:
        site.load_ldif("\n".join(f"dn: {place}\nobjectClass: device\ncn: {place[3:7]}\n" for place in numbers))
        group = {"objectClass": ["groupOfNames"], "cn": "deputies", "member": f"uid=zoe,ou=people,{S}"}
        with site.connect() as manager:
            Do("add", f"cn=deputies,ou=groups,{S}", group)(manager)
            change("cn=operators,ou=groups", ADD, "member", f"cn=deputies,ou=groups,{S}")(manager)
        for who in ("zoe", "mia"):
            with DirectoryEditor(settings, (f"uid={who},ou=people,{S}", PASSWORD)) as editor:
                assert len(editor.find(f"ou=gid,ou=numbers,{S}", "(cn=*)")) == len(numbers)
        with _as(site, "zoe") as zoe:
            zoe.search(f"ou=gid,ou=numbers,{S}", "(cn=*)")
            assert len(zoe.response or ()) == 500
    finally:
        site.stop()
        site.directory.restore(site.directory.home.data_dir / "backup.ldif")
        site.start()


@pytest.mark.parametrize("attribute, values", [("description", 10), ("sshPublicKey", 50)])
def test_the_number_of_values_is_counted_over_requests(site: Slapd, attribute: str, values: int) -> None:
    who, dn = ("zoe", f"uid=zoe,ou=people,{S}") if attribute == "sshPublicKey" else ("anna", f"{RED_NODE},{S}")
    with _as(site, who) as connection:
        Do("modify", dn, {attribute: [(REPLACE, [f"no. {number}" for number in range(values)])]})(connection)
        with pytest.raises(Refused):
            Do("modify", dn, {attribute: [(ADD, ["one more"])]})(connection)
        Do("modify", dn, {attribute: [(DELETE, ["no. 0"]), (ADD, ["another"])]})(connection)
        Do("modify", dn, {attribute: [(REPLACE, [])]})(connection)


def test_a_local_account_that_is_no_entry_reads_nothing(site: Slapd) -> None:
    run = site.directory.home.socket_path.parent
    command = ["ldapsearch", "-Q", "-Y", "EXTERNAL", "-H", f"ldapi://{site.directory.home.socket_path.name}", "-LLL"]
    for uid, code in ((64003, 32), (os.getuid(), 0)):
        # From inside, because pytest's directories let nobody else through.
        done = subprocess.run(
            [*command, "-b", S, "(uid=zoe)"], cwd=run, user=uid, extra_groups=[], capture_output=True, check=False
        )
        assert (done.returncode, b"zoe" in done.stdout) == (code, code == 0), done


@pytest.mark.parametrize("clear", [" {CRYPT}$6$x", "{clear}x", "\n{CRYPT}x", "\x00{CRYPT}x", "{ARGON2", "pässword"])
def test_what_is_no_hash_is_a_password(site: Slapd, clear: str) -> None:
    with _as(site, "mia") as connection:
        Do("modify", f"uid=mia,ou=people,{S}", {"userPassword": [(REPLACE, [clear])]})(connection)
    with site.connect() as manager:
        manager.search(f"uid=mia,ou=people,{S}", "(objectClass=*)", attributes=["userPassword"])
        (stored,) = manager.response[0]["raw_attributes"]["userPassword"]
        Do("modify", f"uid=mia,ou=people,{S}", {"userPassword": [(REPLACE, [PASSWORD])]})(manager)
    assert stored.startswith(b"{ARGON2}$argon2")


def test_ldappasswd_works(site: Slapd) -> None:
    command = ["ldappasswd", "-x", "-D", f"uid=mia,ou=people,{S}", "-w", PASSWORD, "-H", site.ldap_uri]
    subprocess.run([*command, "-s", PASSWORD], check=True)
    with _as(site, "mia"):
        pass


def test_a_password_set_by_its_owner_is_stored_hashed(site: Slapd) -> None:
    with _as(site, "mia") as connection:
        Do("modify", f"uid=mia,ou=people,{S}", {"userPassword": [(REPLACE, [PASSWORD])]})(connection)
    with site.connect() as manager:
        manager.search(f"uid=mia,ou=people,{S}", "(objectClass=*)", attributes=["userPassword"])
        stored = manager.response[0]["raw_attributes"]["userPassword"]
    assert PASSWORD.encode() not in stored
    with _as(site, "mia"):
        pass
