"""Trust domains on whole machines as docs/trust-domains.md has them: its examples as hiera data, its steps by hand.

Machine A has the authority in a process of its own and the compile server of the site, machine B the projects'. Not
here: when the module is applied (tests/real/test_module_applied.py), how the member runs code (worst_member.py).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from tests.support.applied import SSL, documented, example, merged
from tests.support.central_site import CentralSite
from tests.support.certificates import Authority
from tests.support.machines import Machine
from tests.support.self_master_site import done
from tests.support.toolkit import PREFIX
from tests.support.worst_member import Found, Wanted, request_for

A, B, AUTHORITY = "puppet.example.org", "projects.example.org", "ca.example.org"
"""Names: of A and B, and of the authority on A."""
SERVED, OWN = "/etc/puppet/puppetserver/ca", "/var/lib/puppetmaster-authority"
NODE, OTHER = "web-1.red.example.org", "shop.blue.example.org"
"""Nodes of the attacker's project and of another one."""
SECRET, OTHERS = "only-of-the-site", "of-project-blue"
PAGE = "trust-domains.md"
AUTHORITYS = ("--config", "/etc/puppetmaster-authority/puppet.conf")
REPOSITORY = f"{A}:8418/repository.git"
_TRUSTED = "/usr/local/share/ca-certificates/site.crt"
CLOSED = (
    *(f"/etc/puppetmaster/{name}" for name in ("ldap.secret", "signer.secret", "mirror.credentials")),
    *(f"/etc/puppetmaster/deploy/{B}-deploy.key", "/var/lib/puppetmaster/answers/copy.sqlite"),
    *("/var/lib/puppetmaster/repository.git/HEAD", "/etc/shadow"),
)
"""On the projects' server, and not for puppetserver's account."""
ELSEWHERE = (
    *(f"{SERVED}/ca_key.pem", f"{OWN}/ca/ca_key.pem", "/etc/puppetmaster-authority/signer.secret"),
    *(f"/var/lib/puppetmaster/answers/{kind}/{A}.yaml" for kind in ("nodes", "hiera/nodes")),
    "/etc/puppet/code/environments/test/manifests/site.pp",
)
"""Not there at all."""


_DEPLOY, _NAME = "/etc/puppetmaster/deploy", f"{B}-deploy"
_PUSH = rf"""set -eux
rm -rf /tmp/worst && git clone -q -b project/red https://mia:pw-mia@{REPOSITORY} /tmp/worst
cd /tmp/worst && tar -xf /tmp/worst.tar && git add .
git -c user.name=Mia -c user.email=mia@example.org commit -q -m 'much better'
git push origin HEAD:project/red
"""


def as_authority(site: CentralSite) -> dict[str, Any]:
    """Return A's data with the authority apart and the repository served to others, for one domain still."""
    config = {"puppetmaster::toolkit::config": example(PAGE, 1)}
    quick = documented(site, 0)["puppetmaster::java_args"]
    small = {"puppetmaster::authority::heap": "512m", "puppetmaster::authority::java_args": quick}
    return documented(site, 0, example(PAGE, 0), config, small, example(PAGE, 3))


def as_site(site: CentralSite) -> dict[str, Any]:
    """Return A's data with the authority apart, for the site's domain, whose members are trusted with code."""
    trusting = {"puppetmaster::toolkit::config": {"branches": {"members_code": "trusted"}}}
    return merged(merged(as_authority(site), example(PAGE, 5)), trusting)


def as_projects(site: CentralSite) -> dict[str, Any]:
    """Return B's data; what code changes in its one instance of JRuby, all later catalogs have."""
    return documented(site, 1, example(PAGE, 4), {"puppetmaster::max_active_instances": 1})


def trusts_the_site(machine: Machine) -> None:
    """Let git on the machine believe certificates of the authority that LDAP's is of."""
    done(machine, "sh", "-c", f"cp /etc/ssl/ldap-ca.pem {_TRUSTED}; update-ca-certificates")


def served_by_tls(site: CentralSite, a: Machine) -> None:
    """Give A's git service key and certificate."""
    for file, end in zip(Authority(site.base / "authority").issue(A), ("pem", "key"), strict=True):
        put(a, f"/etc/puppetmaster/serve.{end}", file.read_text(), "git")


def by_hand(a: Machine, b: Machine) -> str:
    """Bring B what the authority and the repository give it; return its token for git."""
    issue(a, b, _NAME)
    for source, name in ((f"{SSL}/certs/ca.pem", "ca.pem"), (f"{SSL}/certs/{_NAME}.pem", f"{_NAME}.pem")):
        put(b, f"{_DEPLOY}/{name}", b.read(source), "git")
    put(b, f"{_DEPLOY}/{_NAME}.key", b.read(f"{SSL}/private_keys/{_NAME}.pem"), "git")
    done(b, "sh", "-c", f"rm {SSL}/*/{_NAME}.pem")
    words = ("token", "create", "projects", "--for", "olga", "--read-only", "--json")
    said = done(a, f"{PREFIX}/bin/branch-manager", *words)
    token = str(json.loads(said[said.index("{") : said.rindex("}") + 1])["token"])
    put(b, "/etc/puppetmaster/mirror.credentials", f"https://olga:{token}@{A}:8418\n", "git")
    done(b, "systemctl", "restart", "puppetmaster-hooks", "puppetmaster-serve")
    return token


def issue(a: Machine, b: Machine, certname: str) -> None:
    """Let the authority give B a key and a certificate of that name."""
    done(a, "puppetserver", "ca", "generate", *AUTHORITYS, "--certname", certname)
    for kind in ("certs", "private_keys"):
        put(b, f"{SSL}/{kind}/{certname}.pem", a.read(f"{OWN}/ssl/{kind}/{certname}.pem"), "root")
    done(a, "sh", "-c", f"rm {OWN}/ssl/*/{certname}.pem")


def push(site: CentralSite, a: Machine, files: Mapping[str, str]) -> str:
    """Let the member mia push `files` to the branch of the project red at A; return what git said."""
    packed = site.base / "worst.tar"
    with tarfile.open(packed, "w") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text.encode()), 0o755 if text.startswith("#!") else 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    a.put(packed, "/tmp/worst.tar")
    return done(a, "bash", "-c", _PUSH)


def put(machine: Machine, path: str, text: str, owner: str) -> None:
    """Write a file that only `owner` reads."""
    command = 'umask 077 && printf %s "$2" >"$1" && chown "$3" "$1"'
    done(machine, "sh", "-c", command, "sh", path, text, owner)


def wanted() -> Wanted:
    """Return what the member is after, from B."""
    answers, environments, enc = "/var/lib/puppetmaster/answers", "/etc/puppet/code/environments", f"{PREFIX}/bin/enc"
    places = (
        *("/etc/puppetmaster/*", "/etc/puppetmaster/deploy/*", "/etc/puppetmaster-authority/*", *CLOSED, *ELSEWHERE),
        *(f"{answers}/*", f"{answers}/*/*", f"{answers}/hiera/*/*", f"{environments}/*/manifests/*", f"{OWN}/*/*"),
        *("/var/lib/puppetmaster/*/*", "/var/cache/puppet/client_data/*/*", "/proc/[0-9]*/environ", "/root/*"),
    )
    writes = (enc, "/etc/puppetmaster/config.yaml", "/etc/puppet/puppetserver/conf.d/auth.conf")
    writes += (environments, f"{environments}/production/manifests", answers)
    authority, of_site, evil = f"{AUTHORITY}:8141", f"{A}:8140", "evil.example.org"
    v4 = {"certname": A, "persistence": {"facts": False, "catalog": False}, "environment": "production"}
    request = ("PUT", f"/puppet-ca/v1/certificate_request/{evil}", request_for(evil))
    at_authority = (
        ("GET", "/puppet-ca/v1/certificate_statuses/any", ""),
        ("GET", f"/puppet-ca/v1/certificate_request/{evil}", ""),
        ("PUT", f"/puppet-ca/v1/certificate_status/{evil}", json.dumps({"desired_state": "signed"})),
        ("POST", "/puppet-ca/v1/sign", json.dumps({"certnames": [evil]})),
        ("PUT", "/puppet-ca/v1/clean", json.dumps({"certnames": [A]})),
    )
    at_site = (
        ("GET", f"/puppet/v3/catalog/{A}?environment=production", ""),
        ("GET", f"/puppet/v3/node/{A}?environment=production", ""),
        ("POST", "/puppet/v4/catalog", json.dumps(v4)),
        ("GET", "/puppet/v3/environment_classes?environment=production", ""),
        ("DELETE", "/puppet-admin-api/v1/environment-cache", ""),
    )
    return Wanted(
        name=B,
        places=places,
        writes=writes,
        allowed=((authority, *request), (of_site, "GET", f"/puppet/v3/catalog/{B}?environment=production", "")),
        refused=(*((authority, *it) for it in at_authority), *((of_site, *it) for it in at_site)),
        commands=((enc, OTHER), (enc, A), (f"{enc}-admin", "node", "list")),
    )


def judge(found: Found, wanted: Wanted, secrets: tuple[str, ...]) -> None:
    """Hold what came of it by one way to what docs/trust-domains.md says."""
    assert found.who == "puppet"
    assert [secret for secret in secrets if secret in json.dumps(found)] == []
    for read, denied, missing in (
        (found.read, "PermissionError", "FileNotFoundError"),
        *([(found.inside, "Errno::EACCES", "Errno::ENOENT")] if found.inside else []),
    ):
        assert {path: read[path] for path in CLOSED} == dict.fromkeys(CLOSED, denied)
        assert {path: read[path] for path in ELSEWHERE} == dict.fromkeys(ELSEWHERE, missing)
        assert OTHERS in json.dumps(read), "what the domain has is read"
        assert not [it for it, text in read.items() if "/answers/" in it and it not in ELSEWHERE and A in it + text]
    assert "may be written" not in found.written.values() and len(found.written) == len(wanted.writes)
    for status, requests in ((200, wanted.allowed), (403, wanted.refused)):
        assert {found.asked[" ".join(request[:3])][0] for request in requests} == {status}, requests
    theirs, sites, listed = (found.ran[" ".join(command)] for command in wanted.commands)
    assert theirs[0] == 0 and sites[0] != 0 and listed[0] != 0 and A not in listed[1]
