"""A site's own directory with projects as posix groups: a plain slapd in a network namespace, spoken to over TLS only.

Beside the embedded directory, because `puppetmaster::access` is for any layout: what is in it, a test says. It can
be away (`stop`) and come back (`start`).
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.machines import checked

SYSTEM = ("core", "cosine", "inetorgperson")
OWN = Path(__file__).resolve().parents[2] / "enc/directory/schema/openssh-lpk.schema"
# RFC 2307bis: a posixGroup is auxiliary, so what has members already becomes one. slapd knows both numbers by itself.
POSIX = """
attributetype ( 1.3.6.1.1.1.1.2 NAME 'gecos' EQUALITY caseIgnoreIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
attributetype ( 1.3.6.1.1.1.1.3 NAME 'homeDirectory' EQUALITY caseExactIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
attributetype ( 1.3.6.1.1.1.1.4 NAME 'loginShell' EQUALITY caseExactIA5Match
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
attributetype ( 1.3.6.1.1.1.1.12 NAME 'memberUid' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
objectclass ( 1.3.6.1.1.1.2.0 NAME 'posixAccount' SUP top AUXILIARY
  MUST ( cn $ uid $ uidNumber $ gidNumber $ homeDirectory ) MAY ( userPassword $ loginShell $ gecos $ description ) )
objectclass ( 1.3.6.1.1.1.2.2 NAME 'posixGroup' SUP top AUXILIARY
  MUST gidNumber MAY ( userPassword $ memberUid $ description ) )
"""
CONF = """{includes}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {place}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
# In clear, nobody gets anything; over the socket below, the test does.
security ssf=64
localSSF 128
access to attrs=userPassword by anonymous auth by * none
access to * by dn.base="cn=instances,ou=services,{suffix}" read by * none
database mdb
suffix {suffix}
rootdn gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth
directory {place}/db
index objectClass,uid,cn,member,uidNumber,gidNumber eq
"""


class PosixSlapd:
    """One slapd at ldap://ADDRESS (with StartTLS) in a namespace; `ldif` loads and modifies as its manager."""

    def __init__(self, place: Path, authority: Authority, name: str, namespace: str, address: str, suffix: str) -> None:
        (place / "db").mkdir(parents=True)
        self._place = place
        self._inside = ["ip", "netns", "exec", namespace]
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None
        (place / "posix.schema").write_text(POSIX.lstrip())
        schemas = [*(Path("/etc/ldap/schema") / f"{name}.schema" for name in SYSTEM), OWN, place / "posix.schema"]
        certificate, key = authority.issue(name)
        words = {"includes": "\n".join(f"include {it}" for it in schemas), "certificate": certificate, "key": key}
        (place / "slapd.conf").write_text(CONF.format(place=place, suffix=suffix, **words))
        self.start()

    @property
    def _socket(self) -> str:
        return f"ldapi://{str(self._place / 'ldapi').replace('/', '%2F')}"

    def start(self) -> None:
        """Start it; return when it answers."""
        uris = f"ldap://{self._address} {self._socket}"
        command = ["slapd", "-f", str(self._place / "slapd.conf"), "-h", uris, "-d", "0"]
        self._process = subprocess.Popen([*self._inside, *command], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        whoami = ["ldapwhoami", "-Q", "-Y", "EXTERNAL", "-H", self._socket]
        while subprocess.run(whoami, capture_output=True).returncode:
            assert time.monotonic() < deadline and self._process.poll() is None, "slapd does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Let it be away: connections are refused."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def ldif(self, text: str) -> None:
        """Apply changes (or add entries) as LDIF."""
        checked(["ldapmodify", "-a", "-Q", "-Y", "EXTERNAL", "-H", self._socket], text)
