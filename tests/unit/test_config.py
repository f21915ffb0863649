"""Reading the configuration: what is taken, and that every refusal names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.settings import Duration, Settings, config
from enc.settings import reference as config_reference
from enc.terms.errors import ConfigurationError

# The keys that people's files and scripts stand on.
FIXED = """
directory:
  uris: [ldapi:///, ldap://ldap2.example.org]
  bind_dn: cn=enc,dc=example,dc=org
  bind_password_file: /etc/puppetmaster/ldap.secret
  tls: {start: true, ca_file: /etc/ssl/certs/ldap-ca.pem}
  timeout: 3s
nodes:
  base: ou=hosts,dc=example,dc=org
  filter: (&(objectClass=puppetClient)(cn=%s))
  class_attributes: [puppetClass]
  variable_attributes: [puppetVar]
  parent_attribute: parentNode
  attributes: all
  semantics: terminus
  default_environment: production
answers:
  directory: /var/lib/puppetmaster/answers
  max_age: 24h
"""


def test_the_fixed_keys() -> None:
    settings = config.parse(FIXED)
    assert settings.directory.tls.start is True
    assert settings.directory.timeout == 3
    assert settings.nodes.semantics == "terminus"
    assert settings.nodes.attributes == "all"
    assert settings.answers.max_age == 86400


@pytest.mark.parametrize("text", ["", "# nothing\n", "nodes:\n"])
def test_everything_has_a_default(text: str) -> None:
    assert config.parse(text) == Settings()


def test_places_follow_the_suffix() -> None:
    settings = config.parse("directory: {suffix: 'o=x'}\nnodes: {base: 'ou=here,o=y'}")
    assert (settings.nodes_base, settings.projects_base, settings.site_dn) == (
        "ou=here,o=y",
        "ou=projects,o=x",
        "cn=site,o=x",
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nodez: {}", "unknown key nodez"),
        ("nodes: {filtre: x}", "unknown key nodes.filtre"),
        ("directory: {tls: {verify: false}}", "unknown key directory.tls.verify"),
        ("nodes: [x]", "nodes must be a mapping"),
        ("[]", "the file must be a mapping"),
        ("nodes: {filter: (cn=x)}", "nodes.filter"),
        ("nodes: {semantics: other}", "nodes.semantics"),
        ("nodes: {attributes: some}", "nodes.attributes"),
        ("nodes: {class_attributes: puppetClass}", "nodes.class_attributes"),
        ("nodes: {class_attributes: []}", "nodes.class_attributes"),
        ("nodes: {default_environment: ../x}", "nodes.default_environment"),
        ("nodes: {strict_compatibility: 'yes'}", "nodes.strict_compatibility"),
        ("nodes: {project: attribute}", "nodes.project"),
        ("directory: {timeout: soon}", "directory.timeout"),
        ("directory: {timeout: -1}", "directory.timeout"),
        ("directory: {timeout: true}", "directory.timeout"),
        ("directory: {uris: [http://x]}", "directory.uris"),
        ("directory: {bind_dn: 5}", "directory.bind_dn"),
        ("answers: {directory: relative/path}", "answers.directory"),
        ("log: {level: loud}", "log.level"),
        ("a: [", "is not YAML"),
        ("? [x]\n: y", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_refusals_name_the_key(text: str, where: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        config.parse(text, where="/etc/x.yaml")
    assert str(refusal.value).startswith("/etc/x.yaml: ")
    assert where in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("500ms", 0.5), ("3s", 3), ("15m", 900), ("24h", 86400), ("7d", 604800), (2, 2), ("1.5 h", 5400)],
)
def test_durations(value: object, seconds: float) -> None:
    assert Duration.parse(value) == seconds


def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUPPETMASTER_CONFIG", raising=False)
    assert config.chosen_path(None) == Path("/etc/puppetmaster/config.yaml")
    monkeypatch.setenv("PUPPETMASTER_CONFIG", "/b")
    assert config.chosen_path(None) == Path("/b")
    assert config.chosen_path("/a") == Path("/a")
    with pytest.raises(ConfigurationError, match="no such configuration file"):
        config.load(tmp_path / "none.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        config.load(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        config.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "mode", "rule"),
    [("secret\n", 0o600, None), ("secret", 0o640, None), ("secret", 0o644, "chmod"), ("\n", 0o600, "empty")],
)
def test_secrets(tmp_path: Path, content: str, mode: int, rule: str | None) -> None:
    file = tmp_path / "ldap.secret"
    file.write_text(content)
    file.chmod(mode)
    if rule is None:
        assert config.read_secret(file) == "secret"
    else:
        with pytest.raises(ConfigurationError, match=rule) as refusal:
            config.read_secret(file)
        assert "secret\n" not in str(refusal.value)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="stands twice"):
        config.parse("nodes: {semantics: terminus}\nnodes: {semantics: extended}")


SERVER = "{name: central, url: 'https://ca.example.org:8140'}"


def test_a_list_of_sections() -> None:
    text = f"authorities: {{servers: [{SERVER}, {{name: red, url: 'https://red', projects: [red]}}], crl_files: [/a]}}"
    settings = config.parse(text)
    assert [(one.name, one.projects) for one in settings.authorities.servers] == [("central", ()), ("red", ("red",))]
    assert settings.authorities.crl_files == (Path("/a"),)
    shown = config.parse(config_reference.as_yaml(config_reference.effective(settings)))
    assert shown.authorities == settings.authorities


@pytest.mark.parametrize(
    "servers, hint",
    [
        ("{}", "a list"),
        ("[central]", r"servers\[0\] must be a mapping"),
        ("[{name: a}]", r"servers\[0\]: needs url"),
        ("[{name: a, url: 'http://x'}]", r"servers\[0\]\.url"),
        (f"[{SERVER}, {SERVER}]", r"servers\[0\]\.name"),
        ("[{name: 'a b', url: 'https://x'}]", r"servers\[0\]\.name"),
        ("[{name: a, url: 'https://x', projects: [../x]}]", "projects"),
        ("[{name: a, url: 'https://x', key_file: /k}]", "go together"),
        ("[{name: a, url: 'https://x', odd: 1}]", r"servers\[0\]\.odd"),
    ],
)
def test_bad_sections_in_a_list(servers: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        config.parse(f"authorities: {{servers: {servers}}}")
