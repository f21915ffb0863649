"""Which account needs which secret, and what doctor concludes from who reads what."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.doctor import keys
from enc.settings.config import parse
from enc.systemd import units

SETTINGS = parse("""
directory:
  suffix: dc=example,dc=org
  bind_dn: cn=enc
  bind_password_file: /s/ldap
  write_bind_dn: cn=writer
  write_bind_password_file: /s/writer
signing: {bind_dn: cn=signer, bind_password_file: /s/signer}
instances: {token_key_file: /s/token}
branches:
  repository: /s/repository.git
  puppetserver: {certificate_file: /s/deploy.pem, key_file: /s/deploy}
  transport: {certificate_file: /s/web.pem, key_file: /s/web}
authorities:
  servers: [{name: ca, url: "https://ca:8140", ca_file: /s/ca, certificate_file: /s/r.pem, key_file: /s/revoke}]
""")
DIRECTORY, COLLECTOR, VENDORDATA = "puppetmaster-directory", "puppetmaster-collect", "puppetmaster-vendordata"


def test_who_needs_what() -> None:
    needed = {str(secret.path): secret.needed_by for secret in keys.ours(SETTINGS, "puppet", "git")}
    assert needed == {
        "/s/ldap": {"puppet", "puppetmaster", "git", VENDORDATA, DIRECTORY},
        "/s/writer": {VENDORDATA, DIRECTORY},
        "/s/signer": {"puppet", COLLECTOR, DIRECTORY},
        "/s/token": {VENDORDATA},
        "/s/repository.git/puppetmaster/pusher.key": {"git"},
        "/s/deploy": {"git"},
        "/s/web": {"git"},
        "/s/revoke": {VENDORDATA},
    }


def test_each_secret_that_an_account_has_no_use_for_is_a_fault_with_its_remedy() -> None:
    secrets = {str(secret.path): secret for secret in keys.ours(SETTINGS, "puppet", "git")}
    found = list(keys.judge({"git": list(secrets.values()), COLLECTOR: [secrets["/s/signer"]]}))
    assert {finding.level for finding in found} == {"fault"}
    assert [finding.found.split(",")[0] for finding in found] == [
        f"git can read {path}" for path in ("/s/writer", "/s/signer", "/s/token", "/s/revoke")
    ]
    assert found[1].do.startswith("chgrp puppetmaster-signer /s/signer && chmod u=rw,g=r,o= /s/signer;")
    assert found[0].do.startswith("chgrp root /s/writer && chmod u=rw,g=,o= /s/writer;")


@pytest.mark.parametrize("layout", ["/etc/puppet/puppetserver", "/etc/puppetlabs/puppetserver"])
def test_the_collectors_unit_closes_the_authority_of_each_packaging(layout: str) -> None:
    text = units.files(Path("/b"), None)["puppetmaster-collect.service"]
    ssl = [Path(f"{at}/ssl/private_keys") for at in ("/var/lib/puppet", "/etc/puppet", "/etc/puppetlabs/puppet")]
    assert keys.closed_to_the_unit([text], [Path(f"{layout}/ca/ca_key.pem"), *ssl]) == ()
    other = Path("/srv/ca/ca_key.pem")
    assert keys.closed_to_the_unit([text], [other]) == (other,)
    assert keys.closed_to_the_unit([text, "[Service]\nInaccessiblePaths=-/srv/ca"], [other]) == ()
    # An empty line takes all of before away.
    assert keys.closed_to_the_unit([text, "[Service]\nInaccessiblePaths="], [ssl[0]]) == (ssl[0],)


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "reads"),
    [
        (0o640, 10, {10}, False),
        (0o640, 10, {10, 20}, True),
        (0o644, 10, {10}, True),
        # The owner's bits decide for the owner, the group's for its members, also if others may more.
        (0o044, 30, {20}, False),
        (0o604, 10, {20}, False),
    ],
)
def test_owner_group_and_others(tmp_path: Path, mode: int, uid: int, groups: set[int], reads: bool) -> None:
    file = tmp_path / "key"
    file.touch()
    file.chmod(mode)
    status = file.stat()
    # Whose it is, in the numbers of the table: owner 30, group 20.
    own = {30: status.st_uid}.get(uid, status.st_uid + 1000)
    mine = frozenset(status.st_gid if number == 20 else status.st_gid + 1000 + number for number in groups)
    assert keys._allows(status, own, mine, 4) is reads
