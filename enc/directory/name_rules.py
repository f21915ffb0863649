"""The names that the embedded slapd accepts from any program. Pure.

Two rules of its constraint overlay, which looks at what is added, modified and renamed, and not at what is there:

- A project's name has single separators between its parts, and none at its end. Two in a row and one at the end are
  what a topic's environment is told by (`project_a__x`), so that `a--x` would have the environment of a branch of `a`.
  That two names differ in more than '-' and '_' no overlay can tell: that is an access rule (access.py, up to three
  separators), and `enc-admin` and the classification look at it (enc/classify/entitled.py).
- A role and a region are labels (enc/terms/names.py): hiera's paths are made of them. access.py has the same rule.

Who sends the control "relax rules" (draft-zeilenga-ldap-relax) with an edit passes the overlay by. So it is for those
who may write anyway: what must hold against a project's admins stands in access.py.

Regular expressions are POSIX's extended ones (slapo-constraint(5)).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from enc.classify.kinds import REGION, ROLE
from enc.terms.names import Label, ProjectName

PROJECT = "^[a-z][a-z0-9]*([-_][a-z0-9]+)*$"
LABELLED = (ROLE.attribute, REGION.attribute)
LABEL = "^[A-Za-z0-9][A-Za-z0-9_:-]*([.][A-Za-z0-9_:-]+)*$"

UID = "^[A-Za-z0-9][A-Za-z0-9._-]*$"


def name_rules(suffix: str) -> Iterator[str]:
    """Yield the lines for the constraint overlay of the database with `suffix`."""
    projects, labelled = f"ou=projects,{suffix}", ",".join(LABELLED)
    of_projects = f"restrict=ldap:///{quote(projects, safe='=,')}??one?(objectClass=groupOfNames)"
    yield f'constraint_attribute cn regex "{PROJECT}" "{of_projects}"'
    yield f'constraint_attribute cn size {ProjectName.longest} "{of_projects}"'
    yield f'constraint_attribute {labelled} regex "{LABEL}"'
    yield f"constraint_attribute {labelled} size {Label.longest}"
