"""The accounts with which our programs sign in to the embedded directory, as entries. Pure.

Their passwords are accounts.py's, what they may do is access.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ServiceAccount(NamedTuple):
    """An account below ou=services."""

    name: str
    description: str

    def dn(self, suffix: str) -> str:
        """Return its entry's name."""
        return f"cn={self.name},ou=services,{suffix}"

    def attributes(self, password_hash: str) -> Mapping[str, tuple[str, ...]]:
        """Return its entry."""
        return {
            "objectClass": ("organizationalRole", "simpleSecurityObject"),
            "cn": (self.name,),
            "description": (self.description,),
            "userPassword": (password_hash,),
        }


READER = ServiceAccount("enc", "reads everything for the classifier")
SIGNER = ServiceAccount("signer", "notes which instances got their certificate")
PROJECTS_READER = ServiceAccount("enc-projects", "reads what a server for projects needs, and nothing of the site")
"""Only in a directory that knows which projects are the site's (projects_access.py)."""
INSTANCES = ServiceAccount("instances", "reads who may log in to instances, for SSSD")
"""Its password is on every instance, so it reads little (instances_access.py)."""
