"""The peer: an ENC as people write it, a Python process that asks LDAP through ldap3 for each catalog.

ask_ldap.py URI BASE BIND_DN PASSWORD_FILE CERTNAME
"""

import sys

import yaml
from ldap3 import NONE, Connection, Server
from ldap3.utils.conv import escape_filter_chars

uri, base, bind_dn, password_file, certname = sys.argv[1:]
with open(password_file) as stream:
    password = stream.read().strip()
connection = Connection(Server(uri, get_info=NONE), bind_dn, password, auto_bind=True)
connection.search(base, f"(&(objectClass=puppetClient)(cn={escape_filter_chars(certname)}))", attributes=["*"])
(found,) = connection.response or ()
entry = found["attributes"]
yaml.safe_dump(
    {
        "classes": list(entry["puppetClass"]),
        "environment": entry["environment"][0],
        "parameters": dict(value.split("=", 1) for value in entry["puppetVar"]),
    },
    sys.stdout,
)
