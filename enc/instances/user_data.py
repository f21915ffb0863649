"""What a new instance is started with: cloud-init's user data, or its vendor data. Pure.

An instance gets a few files and one command. The files: our script
(first-run.sh), what it calls to take away an earlier life of the disk
(forget.sh), the program that a timer runs later (renew.rb), the values, the
CA's certificates, and `csr_attributes.yaml` with the token. As *user data* they
are a `#cloud-config` of `write_files` and `runcmd`. As *vendor data* they are
one shell script, because lists in somebody's own user data replace those of
vendor data.

The first command of all, early in an instance's first boot, keeps the agent of
an image from being started: it would run as what the image was.

No value is spliced into a program: the script reads its values from a file in
which each is quoted for the shell; YAML is written by the YAML library, with
every text in quotes, so that no reader takes one for a number or a date.

Not here: reading the CA's certificates and the script (agent_profile.py), what
a token is (tokens.py), who may have it (lifecycle and enc/cloud).
"""

from __future__ import annotations

import base64
import gzip
import shlex
from email import policy
from email.message import EmailMessage
from typing import Any, NamedTuple

import yaml

from enc.terms.errors import ToolkitError
from enc.terms.names import Certname, ProjectName

PLACE = "/var/lib/puppetmaster/first-run"
"""The directory of our files on the instance."""
SCRIPT = f"{PLACE}/first-run"
HOLD = "for verb in disable 'stop --no-block' 'mask --runtime'; do systemctl $verb puppet.service; done; :"
"""For a shell, before services start. cloud-init-per does it once for each instance of the cloud, not at each boot."""
ONCE = ("cloud-init-per", "instance", "puppetmaster-hold", "sh", "-c", HOLD)
CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105 - the name of an attribute (PKCS #9)


class Repository(NamedTuple):
    """Where the agent's packages come from, if the image does not know."""

    key: str
    """The OpenPGP key, armoured."""
    apt: str | None = None
    """`URL SUITE COMPONENT…`, checked by config.py."""
    yum: str | None = None
    """The base URL, checked by config.py."""


class AgentProfile(NamedTuple):
    """What is the same for all instances of a master."""

    server: str
    port: int
    ca_server: str | None
    authority: str
    """The CA's certificates (PEM)."""
    packages: tuple[str, ...]
    """Empty: the distribution's own, whose name the script knows."""
    repository: Repository | None
    service: bool
    script: str
    ca_port: int | None = None
    """None: the master's."""
    renew_seconds: int = 0
    """So long before its end the certificate is renewed; 0: it is not."""
    renewal: str = ""
    """The program that does it."""
    forgetting: str = ""
    """The program that takes away what an earlier life of the disk left."""
    install_seconds: int = 900
    """How long one attempt of the package manager may take."""
    signing_seconds: int = 900
    """How long the instance waits for its certificate."""
    run_seconds: int = 3600
    """How long one attempt of the first run may take."""
    runs: int = 3
    """How often the first run is attempted before the instance says that it failed."""
    longest: int = 16_384
    """Bytes of user data that every cloud takes: EC2's limit; OpenStack takes four times as much."""


class UserData(NamedTuple):
    """What one instance is told."""

    profile: AgentProfile
    certname: Certname
    project: ProjectName
    token: str
    region: str = ""
    """Empty: none."""
    instance_id: str = ""
    """Of the cloud, where it is known; empty: not."""
    role: str = ""
    """Empty: none."""


class File(NamedTuple):
    """A file on the instance, owned by root."""

    path: str
    mode: int
    text: str
    packed: bool = False
    """Whether it travels compressed: programs that nobody changes on the way; clouds take 16 KB."""


def files(told: UserData) -> tuple[File, ...]:
    """Return the files that the instance gets."""
    profile, found = told.profile, []
    found.append(File(SCRIPT, 0o700, profile.script, packed=True))
    found.append(File(f"{PLACE}/forget", 0o700, profile.forgetting, packed=True))
    found.append(File(f"{PLACE}/values", 0o600, shell_values(_values(told))))
    if profile.renew_seconds:
        found.append(File(f"{PLACE}/renew", 0o700, profile.renewal, packed=True))
    found.append(File(f"{PLACE}/csr_attributes.yaml", 0o600, csr_attributes(told)))
    found.append(File(f"{PLACE}/ca.pem", 0o644, profile.authority))
    if profile.repository is not None:
        found.append(File(f"{PLACE}/repository.key", 0o644, profile.repository.key))
        if profile.repository.apt is not None:
            found.append(File(f"{PLACE}/repository.sources", 0o644, _apt(profile.repository.apt)))
        if profile.repository.yum is not None:
            found.append(File(f"{PLACE}/repository.repo", 0o644, _yum(profile.repository.yum)))
    return tuple(found)


def render(told: UserData) -> str:
    """Return the `#cloud-config` to start the instance with; raise `ToolkitError` if the cloud would not take it."""
    document = {
        "bootcmd": [list(ONCE)],
        "write_files": [
            {"path": file.path, "owner": "root:root", "permissions": f"{file.mode:04o}", **_content(file)}
            for file in files(told)
        ],
        "runcmd": [[SCRIPT]],
    }
    text = "#cloud-config\n" + yaml.dump(document, Dumper=_Readable, width=110, sort_keys=False)
    _check_size(len(text.encode()), told.profile.longest)
    return text


def render_compressed(told: UserData) -> bytes:
    """Return the same, compressed; cloud-init takes it, and it is about a third as long."""
    longest = told.profile.longest
    packed = gzip.compress(render(told._replace(profile=told.profile._replace(longest=1 << 30))).encode(), mtime=0)
    _check_size(len(packed), longest)
    return packed


def render_vendor_data(told: UserData) -> str:
    """Return one MIME message with two scripts that do the same, whatever the instance's user data says."""
    lines = ["#!/bin/sh", "set -eu", "umask 077", f"mkdir -p {shlex.quote(PLACE)}"]
    for file in files(told):
        aside = shlex.quote(f"{file.path}.new")
        lines += [f"base64 -d >{aside} <<'END'", *_base64_lines(file.text), "END"]
        lines += [f"chmod {file.mode:04o} {aside}", f"mv -f {aside} {shlex.quote(file.path)}"]
    lines += [f"exec {shlex.quote(SCRIPT)}", ""]
    message = EmailMessage(policy=policy.SMTP.clone(linesep="\n"))
    message["MIME-Version"] = "1.0"
    # Always the same, so that two answers are; base64 has no '-'.
    message.make_mixed(boundary="puppetmaster-first-run")
    hold = f"#!/bin/sh\n{shlex.join(ONCE)}\n"
    message.add_attachment(hold, subtype="cloud-boothook", filename="puppetmaster-hold", cte="7bit")
    # The name keeps it apart from the scripts of other vendor data.
    message.add_attachment("\n".join(lines), subtype="x-shellscript", filename="puppetmaster-first-run", cte="7bit")
    return str(message)


def csr_attributes(told: UserData) -> str:
    """Return Puppet's csr_attributes.yaml: the token, and what the certificate shall say."""
    extensions = {
        "pp_project": str(told.project),
        "pp_region": told.region,
        "pp_instance_id": told.instance_id,
        "pp_role": told.role,
    }
    document = {
        "custom_attributes": {CHALLENGE_PASSWORD: told.token},
        "extension_requests": {name: value for name, value in extensions.items() if value},
    }
    text: str = yaml.safe_dump(document, default_style='"', width=1000, sort_keys=False)
    return text


def shell_values(values: dict[str, str]) -> str:
    """Return lines `NAME=VALUE` for a POSIX shell to read with `.`; raise ValueError for what no shell can hold."""
    for name, value in values.items():
        if not name.isidentifier() or "\0" in value:
            raise ValueError(f"a shell cannot hold {name}={value!r}")
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _content(file: File) -> dict[str, str]:
    if not file.packed:
        return {"content": file.text}
    packed = gzip.compress(file.text.encode(), mtime=0)
    return {"encoding": "gz+b64", "content": base64.b64encode(packed).decode()}


def _values(told: UserData) -> dict[str, str]:
    profile = told.profile
    return {
        "CERTNAME": str(told.certname),
        "SERVER": profile.server,
        "PORT": str(profile.port),
        "CA_SERVER": profile.ca_server or "",
        "CA_PORT": str(profile.ca_port or ""),
        "PACKAGES": " ".join(profile.packages),
        "INSTALL_SECONDS": str(profile.install_seconds),
        "SIGNED_SECONDS": str(profile.signing_seconds),
        "RUN_SECONDS": str(profile.run_seconds),
        "RUNS": str(profile.runs),
        "SERVICE": "yes" if profile.service else "no",
        "RENEW_SECONDS": str(profile.renew_seconds),
    }


def _apt(repository: str) -> str:
    url, suite, *components = repository.split(" ")
    lines = ["Types: deb", f"URIs: {url}", f"Suites: {suite}"]
    lines += [f"Components: {' '.join(components)}"] if components else []
    return "\n".join([*lines, "Signed-By: /etc/apt/keyrings/puppetmaster-agent.asc", ""])


def _yum(url: str) -> str:
    lines = ("[puppetmaster-agent]", "name=Puppet agent", f"baseurl={url}", "enabled=1", "gpgcheck=1")
    return "\n".join((*lines, "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-puppetmaster-agent", ""))


def _base64_lines(text: str) -> list[str]:
    packed = base64.b64encode(text.encode()).decode()
    return [packed[start : start + 76] for start in range(0, len(packed), 76)]


def _check_size(size: int, longest: int) -> None:
    if size > longest:
        raise ToolkitError(
            f"the user data has {size} bytes, and the cloud accepts at most {longest}; compress it (`enc-admin "
            "instance user-data CERTNAME --gzip`), or remove what is not needed from ca_file and repository_key_file"
        )


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks and bare keys, so that people can read what they start their instances with."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        """Return the node of a mapping whose keys are words of cloud-init's."""
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, _ in node.value:
            key.style = None
        return node


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else '"')


_Readable.add_representer(str, _text)
