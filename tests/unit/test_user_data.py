"""User data: cloud-init's schema takes it, and every value arrives as it was, through YAML and through the shell."""

from __future__ import annotations

import gzip
import itertools
import shlex
import subprocess
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from enc.instances import agent_profile, user_data
from enc.instances.user_data import AgentProfile, Repository, UserData
from enc.settings import config
from enc.terms.errors import ConfigurationError, ToolkitError
from enc.terms.names import Certname, ProjectName
from puppetmaster_quickstart import private_instance
from tests.support.certificates import Authority
from tests.support.strategies import LOOKS_LIKE_SOMETHING, texts

SCRIPT = agent_profile.lean("first-run.sh")
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEAA==\n=aaaa\n-----END PGP PUBLIC KEY BLOCK-----\n"
RENEWAL = agent_profile.lean("renew.rb")
FORGETTING = agent_profile.lean("forget.sh")
PROFILE = AgentProfile(
    *("puppet.example.org", 8140, None, PEM, (), None, True, SCRIPT),
    renew_seconds=86400,
    renewal=RENEWAL,
    forgetting=FORGETTING,
)
PLAIN = UserData(PROFILE, Certname("web-1.red.example.org"), ProjectName("red"), "t" * 43)
REPOSITORIES = (
    None,
    Repository(KEY, apt="https://apt.example.org %{codename} puppet8"),
    Repository(KEY, yum="https://yum.example.org/puppet8/el/$releasever/$basearch"),
    Repository(KEY, "https://apt.example.org %{id}%{version} openvox8", "https://yum.example.org/openvox8/el/9/x86_64"),
)
PACKAGES: tuple[tuple[str, ...], ...] = ((), ("puppet-agent",), ("openvox-agent",))
AWKWARD = [text for text in LOOKS_LIKE_SOMETHING if text]
# A script is text with \n; a token and the like are one line each, and anything else in it.
words = texts | st.sampled_from(AWKWARD)


def written(told: UserData) -> dict[str, str]:
    """Path → text of what cloud-init would write."""
    document = yaml.safe_load(user_data.render(told))
    assert document["runcmd"] == [[user_data.SCRIPT]]
    return {path: text for path, _, text in private_instance.read(user_data.render(told))[0]}


def schema(*files: Path) -> list[str]:
    """What cloud-init says against `files`, in one go: each start of it costs half a second."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from cloudinit.config.schema import SchemaValidationError, validate_cloudconfig_file, get_schema\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        validate_cloudconfig_file(name, get_schema())\n"
        "    except Exception as error:\n        print(name, type(error).__name__, error)\n"
    )
    done = subprocess.run(["/usr/bin/python3", "-c", program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_cloud_inits_schema_takes_every_kind(tmp_path: Path) -> None:
    kinds = list(itertools.product(PACKAGES, REPOSITORIES, (True, False)))
    hostile = itertools.cycle(AWKWARD)
    files = []
    for number, (packages, repository, service) in enumerate(kinds):
        profile = PROFILE._replace(packages=packages, repository=repository, service=service)
        for told in (
            UserData(profile, PLAIN.certname, PLAIN.project, PLAIN.token, "north", "i-1"),
            UserData(profile, PLAIN.certname, PLAIN.project, next(hostile), next(hostile), next(hostile)),
        ):
            files.append(tmp_path / f"{number}-{len(files)}.yaml")
            files[-1].write_text(user_data.render(told))
    assert len(files) == 48
    assert schema(*files) == []


def test_the_schema_would_tell(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(user_data.render(PLAIN).replace("permissions:", "mode:"))
    assert "mode" in "".join(schema(file))


def test_the_program_itself_says_valid(tmp_path: Path) -> None:
    file = tmp_path / "user-data"
    file.write_text(user_data.render(PLAIN))
    done = subprocess.run(["cloud-init", "schema", "--config-file", file], capture_output=True, text=True)
    assert (done.returncode, "Valid" in done.stdout) == (0, True), done.stdout + done.stderr


@given(words, words, words)
def test_what_goes_in_comes_out_of_the_yaml(token: str, region: str, instance: str) -> None:
    found = written(PLAIN._replace(token=token, region=region, instance_id=instance))
    attributes = yaml.safe_load(found[f"{user_data.PLACE}/csr_attributes.yaml"])
    assert attributes["custom_attributes"] == {"1.2.840.113549.1.9.7": token}
    wanted = {"pp_project": "red", "pp_region": region, "pp_instance_id": instance}
    assert attributes["extension_requests"] == {key: value for key, value in wanted.items() if value}
    assert (found[user_data.SCRIPT], found[f"{user_data.PLACE}/renew"]) == (SCRIPT, RENEWAL)
    assert found[f"{user_data.PLACE}/forget"] == FORGETTING


def test_who_renews_nothing_gets_nothing_that_renews() -> None:
    never = written(PLAIN._replace(profile=PROFILE._replace(renew_seconds=0)))
    assert f"{user_data.PLACE}/renew" in written(PLAIN)
    assert f"{user_data.PLACE}/renew" not in never and "RENEW_SECONDS=0\n" in never[f"{user_data.PLACE}/values"]


@settings(max_examples=25)
@given(st.lists(words, min_size=8, max_size=8))
def test_what_goes_in_comes_out_of_the_shell(values: list[str]) -> None:
    named = {f"V{number}": value for number, value in enumerate(values)}
    show = "".join(f'printf "%s\\0" "$V{number}"\n' for number in range(len(values)))
    for shell in ("dash", "bash"):
        done = subprocess.run(
            [shell, "-eu"], input=(user_data.shell_values(named) + show).encode(), capture_output=True
        )
        assert done.stdout.decode().split("\0")[:-1] == values


def test_no_shell_holds_nul() -> None:
    for values in ({"A": "\0"}, {"A;x": "1"}):
        with pytest.raises(ValueError, match="a shell cannot hold"):
            user_data.shell_values(values)


def test_ruby_reads_the_attributes_as_texts() -> None:
    program = "require 'yaml'; d = YAML.safe_load(STDIN.read); puts d.values.flat_map(&:values).map(&:class).uniq"
    for text in ("1_000", "12:30:45", "1,000", "0o17", "2012-05-30", "1e3", "~", ":sym", "yes", "0x1F", "=", "<<"):
        told = PLAIN._replace(token=text, region=text, instance_id=text)
        done = subprocess.run(
            ["ruby", "-e", program], input=user_data.csr_attributes(told), capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["String"], text


def test_secrets_are_roots_alone() -> None:
    modes = {file.path.removeprefix(user_data.PLACE + "/"): file.mode for file in user_data.files(PLAIN)}
    assert modes.pop("renew") == modes.pop("forget") == 0o700
    assert modes == {"first-run": 0o700, "values": 0o600, "csr_attributes.yaml": 0o600, "ca.pem": 0o644}
    document = yaml.safe_load(user_data.render(PLAIN))
    assert {entry["permissions"] for entry in document["write_files"]} == {"0700", "0600", "0644"}


def _parts(text: str) -> list[Message[Any, Any]]:
    message = message_from_string(text)
    parts = message.get_payload()
    assert isinstance(parts, list) and len(parts) == 2
    return parts


def test_the_agent_of_an_image_is_kept_from_starting() -> None:
    command = yaml.safe_load(user_data.render(PLAIN))["bootcmd"][0]
    hook = _parts(user_data.render_vendor_data(PLAIN))[0]
    assert (hook.get_content_type(), hook.get_filename()) == ("text/cloud-boothook", "puppetmaster-hold")
    script = hook.get_payload()
    assert (
        isinstance(script, str)
        and script.startswith("#!/bin/sh\n")
        and shlex.split(script.splitlines()[1]) == command == list(user_data.ONCE)
    )
    told = 'systemctl() { printf "%s\\n" "$*"; return 1; };' + command[-1]
    done = subprocess.run(["dash", "-c", told], capture_output=True, text=True)
    words = ["disable puppet.service", "stop --no-block puppet.service", "mask --runtime puppet.service"]
    assert (done.returncode, done.stdout.splitlines()) == (0, words)


@settings(max_examples=15)
@given(words, words)
def test_vendor_data_is_one_script_that_writes_the_same_files(token: str, region: str) -> None:
    told = PLAIN._replace(token=token, region=region)
    part = _parts(user_data.render_vendor_data(told))[1]
    assert (part.get_content_type(), part.get_filename()) == ("text/x-shellscript", "puppetmaster-first-run")
    script = part.get_payload(decode=True)
    assert isinstance(script, bytes) and script.startswith(b"#!/bin/sh\n") and script.isascii()
    for file in user_data.files(told):
        _, _, rest = script.decode().partition(f"base64 -d >{file.path}.new <<'END'\n")
        packed, _, after = rest.partition("\nEND\n")
        done = subprocess.run(["base64", "-d"], input=packed.encode(), capture_output=True, check=True)
        assert done.stdout.decode() == file.text
        assert after.startswith(f"chmod {file.mode:04o} {file.path}.new\nmv -f {file.path}.new {file.path}\n")
    assert subprocess.run(["sh", "-n"], input=script).returncode == 0


def test_what_the_cloud_would_cut_off_is_refused() -> None:
    long = PLAIN._replace(profile=PROFILE._replace(authority=PEM * 200))
    with pytest.raises(ToolkitError, match="the cloud accepts at most 16384"):
        user_data.render(long)
    packed = user_data.render_compressed(long)
    assert gzip.decompress(packed).startswith(b"#cloud-config\n")
    with pytest.raises(ToolkitError, match="the cloud accepts at most 100;"):
        user_data.render_compressed(long._replace(profile=PROFILE._replace(longest=100)))


def test_a_usual_one_fits_twice(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca").certificate.read_text()
    assert len(user_data.render(PLAIN._replace(profile=PROFILE._replace(authority=authority * 2)))) < 14_000


def test_the_profile_comes_from_the_settings(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    (tmp_path / "key.asc").write_text(KEY)
    command = ["openssl", "x509", "-in", authority.certificate, "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    document = {
        "server": "puppet.example.org",
        "ca_file": str(authority.certificate),
        "packaging": "openvox",
        "ca_fingerprints": [shown.partition("=")[2]],
        "apt_repository": "https://apt.example.org %{codename} openvox8",
        "repository_key_file": str(tmp_path / "key.asc"),
    }
    given = config.parse(yaml.safe_dump({"instances": {"agent": document}})).instances.agent
    profile = agent_profile.load(given)
    assert (profile.packages, profile.server, profile.port) == (("openvox-agent",), "puppet.example.org", 8140)
    assert profile.authority == authority.certificate.read_text()
    assert profile.repository == Repository(KEY, "https://apt.example.org %{codename} openvox8")
    sources = written(PLAIN._replace(profile=profile))[f"{user_data.PLACE}/repository.sources"]
    assert sources.splitlines()[:4] == [
        "Types: deb",
        "URIs: https://apt.example.org",
        "Suites: %{codename}",
        "Components: openvox8",
    ]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("server: 'a b'", "server: 'a b' is not a host name"),
        ("server: -x", "server: '-x' is not a host name"),
        ("ca_server: 'a;b'", "ca_server: 'a;b' is not a host name"),
        ("port: 70000", "port: 70000 is not a port"),
        ("packages: ['-y']", "packages: '-y' is not"),
        ("packages: ['a b']", "packages: 'a b' is not"),
        ("apt_repository: 'https://x [trusted=yes] y z'", "apt_repository"),
        ('apt_repository: "https://x y z\\nTrusted: yes"', "apt_repository"),
        ('yum_repository: "https://x\\ngpgcheck=0"', "yum_repository"),
        ("yum_repository: https://x/y", "repository needs its repository_key_file"),
        ("ca_fingerprints: [abc]", "ca_fingerprints: 'abc' is not a SHA-256"),
    ],
)
def test_what_would_not_stay_one_word_is_refused(setting: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        config.parse(f"instances: {{agent: {{{setting}}}}}")
    assert problem in str(failure.value)


def test_an_authority_is_certificates_with_the_pinned_fingerprint(tmp_path: Path) -> None:
    one, other = (Authority.make(tmp_path / name) for name in ("one", "other"))
    text, file = one.certificate.read_text(), tmp_path / "ca.pem"
    assert agent_profile.authority(f"words\n{text}more\r\n", (), file) == text
    for content, pinned, problem in (
        ("", (), "holds no certificate"),
        (text + one.key.read_text(), (), "holds a private key"),
        (text, ("ab" * 32,), "has no certificate with the fingerprint"),
        (PEM, (), "contains something other than certificates"),
        (text + PEM.replace("AAAA", "A"), (), "contains something other than certificates"),
        (text + text.replace("MII", "MIJ", 1), (), "contains something other than certificates"),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            agent_profile.authority(content, pinned, file)
    both = text + other.certificate.read_text()
    assert agent_profile.authority(both, (), file) == both


def test_a_profile_without_a_master_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"instances\.agent\.server"):
        agent_profile.load(config.parse("").instances.agent)


@pytest.mark.parametrize("script", [SCRIPT, FORGETTING])
def test_the_shipped_scripts_are_a_posix_shells(script: str) -> None:
    for shell in ("dash", "bash"):
        assert subprocess.run([shell, "-n"], input=script.encode()).returncode == 0
