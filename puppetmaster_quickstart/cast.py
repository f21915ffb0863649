"""Who and what is in the story: projects, instances, people, and the class that they all get.

Names only; who makes them is the chapters' business.
"""

from __future__ import annotations

from enc.terms.names import BranchName, Certname, ProjectName
from puppetmaster_quickstart.servers import SUFFIX

DEMO, SHOP = ProjectName("demo"), ProjectName("shop")
WEB_1 = Certname("web-1.demo.example.org")
WEB_2 = Certname("web-2.demo.example.org")
TILL_1 = Certname("till-1.shop.example.org")
LAB_1 = Certname("lab-1.demo.example.org")
INSTANCES = ((WEB_1, DEMO), (WEB_2, DEMO), (TILL_1, SHOP))
REASON = ("--reason", "quickstart")

HELLO = """\
# Writes down what arrived, and by which way.
class hello (
  String $greeting = 'nothing',
  String $colour   = 'none',
) {
  file { "${facts['quickstart_machine']}/hello":
    content => @("TEXT"),
      greeting  ${greeting}   (parameter of class hello, from LDAP through the ENC)
      contact   ${getvar('contact')}   (variable, from LDAP through the ENC)
      colour    ${colour}   (hiera data, from LDAP)
      project   ${trusted['external']['project']}   (trusted external data, which no agent can forge)
      code      first   (this class, as the project's branch has it)
      | TEXT
  }
}
"""
"""The first code of every branch."""


def entry_of(name: str) -> str:
    """Return the LDIF of a person."""
    return f"dn: uid={name},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"


def branch_of(project: ProjectName) -> BranchName:
    """Return a project's branch."""
    return BranchName(f"project/{project}")


def environment_of(project: ProjectName) -> str:
    """Return what that branch becomes."""
    return f"project_{project}"
