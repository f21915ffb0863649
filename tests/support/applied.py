"""The module applied on a machine of a central site: hiera data from the examples in docs/, and what is asked then.

Not here: what the machines are for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from puppetmaster_quickstart.puppetserver_files import QUICK_JVM
from tests.support.central_site import CentralSite, S
from tests.support.machines import Machine
from tests.support.puppet_module import ROOT
from tests.support.self_master_site import done
from tests.support.toolkit import PREFIX

SSL = "/var/lib/puppet/ssl"
_ASK = """
import http.client, ssl, sys
host, name, method, path = sys.argv[1:]
context = ssl.create_default_context(cafile="/var/lib/puppet/ssl/certs/ca.pem")
context.load_cert_chain(f"/var/lib/puppet/ssl/certs/{name}.pem", f"/var/lib/puppet/ssl/private_keys/{name}.pem")
try:
    host, _, port = host.partition(":")
    connection = http.client.HTTPSConnection(host, int(port or 8140), context=context, timeout=60)
    connection.request(method, path, headers={"Accept": "application/json, text/plain"})
    answer = connection.getresponse()
    print(answer.status, answer.read().decode("latin-1"))
except (ssl.SSLError, ConnectionResetError):
    print("refused")
"""


def example(page: str, number: int) -> dict[str, Any]:
    """Return one of the examples on a page of docs/."""
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(examples[number])
    return found


def documented(site: CentralSite, number: int, *beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example of docs/module.md with `beside` merged in, and with this site's secrets and addresses."""
    data = example("module.md", number)
    assert data["puppetmaster::toolkit::source"].startswith("git+https://")
    data["puppetmaster::toolkit::source"] = "/srv/wheels/puppetmaster_toolkit-0.1.0-py3-none-any.whl"
    # Small, and quick to start
    data["puppetmaster::heap"] = "512m"
    data["puppetmaster::java_args"] = list(QUICK_JVM)
    data["puppetmaster::settings"] = {"main/keylength": 2048}
    for more in beside:
        data = merged(data, more)
    secrets = {
        "puppetmaster::toolkit::ldap_secret": site.password("reader"),
        "puppetmaster::instances::signer_secret": site.password("signer"),
        "puppetmaster::authority::signer_secret": site.password("signer"),
        "puppetmaster::instances::writer_secret": "pw-olga",
    }
    data |= {name: secret for name, secret in secrets.items() if name in data}
    for config in ("puppetmaster::toolkit::config", "puppetmaster::authority::config"):
        if config in data:
            directory = data[config]["directory"]
            directory["uris"] = ["ldap://ldap.example.org"]
            directory["tls"] = {"start": True, "ca_file": "/etc/ssl/ldap-ca.pem"}
            if "write_bind_dn" in directory:
                directory["write_bind_dn"] = f"uid=olga,ou=people,{S}"
    return data


def merged(data: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with `more` in it: mappings are merged at each depth, all else of `more` stands."""
    found = dict(data)
    for key, value in more.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found


def apply(machine: Machine, code: str, *, good: tuple[int, ...]) -> str:
    command = ("puppet", "apply", "--detailed-exitcodes", "--color", "false", "-e", code)
    return done(machine, *command, timeout=580, good=good)


_KILLED = """systemd-run --quiet --unit=killed --setenv=HOME=/root puppet apply --color false -e "$0"
until eval "$1"; do
  systemctl -q is-active killed || { echo ended; break; }
  sleep 0.02
done
systemctl kill --signal=KILL killed
while systemctl -q is-active killed; do sleep 0.05; done
systemctl reset-failed killed 2>/dev/null
:
"""


def kill_apply(machine: Machine, code: str, when: str) -> None:
    """Begin to apply, and kill all of it, with what it started, once the shell's test `when` holds."""
    said = done(machine, "sh", "-c", _KILLED, code, when, timeout=300)
    assert "ended" not in said, f"it was done before: {when}"


def enc_admin(machine: Machine, *words: str) -> str:
    return done(machine, f"{PREFIX}/bin/enc-admin", *words)


def ask(machine: Machine, host: str, name: str, method: str, path: str) -> str:
    """Return the status of a request to a puppetserver with the certificate of `name`."""
    return answer(machine, host, name, method, path)[0]


def answer(machine: Machine, host: str, name: str, method: str, path: str) -> tuple[str, str]:
    """Return status and text of such a request; the status is `refused` if there is no connection."""
    status, _, text = done(machine, "python3", "-c", _ASK, host, name, method, path).partition(" ")
    return status.strip(), text


def awaited(what: str, ask_again: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ask_again():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(2)


def active(machine: Machine, *units: str) -> list[str]:
    return machine.run("systemctl", "is-active", *units).stdout.split()


def put_data(machine: Machine, data: Mapping[str, Any]) -> None:
    """Let the machine's hiera have `data` and nothing else."""
    done(machine, "sh", "-c", 'printf %s "$1" >/etc/puppet/data/site.yaml', "sh", yaml.safe_dump(dict(data)))


def openssl(machine: Machine, certificate: str, what: str) -> str:
    return done(machine, "openssl", "x509", "-in", certificate, "-noout", what)
