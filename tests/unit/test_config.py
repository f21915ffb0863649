"""Reading the configuration: what is taken, and that every refusal names file and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from enc import cli
from enc.answers import direct
from enc.settings import Duration, Settings, config
from enc.settings import reference as config_reference
from enc.settings.gone import GONE
from enc.terms.errors import ConfigurationError, ExitStatus

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
        ("directory: {timeout: ٣s}", "directory.timeout"),
        ("directory: {timeout: .inf}", "directory.timeout"),
        ("directory: {timeout: 99999d}", "directory.timeout"),
        ("directory: {uris: [http://x]}", "directory.uris"),
        ("directory: {bind_dn: 5}", "directory.bind_dn"),
        ("answers: {directory: relative/path}", "answers.directory"),
        ("log: {level: loud}", "log.level"),
        ("a: [", "is not YAML"),
        ("a: " + "9" * 5000, "is not YAML"),
        ("a: 2026-99-99", "is not YAML"),
        ("a: " + "[" * 3000, "is not YAML"),
        ("a: \0", "is not YAML"),
        ("a: !!int x", "is not YAML"),
        ("a: !!timestamp x", "is not YAML"),
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


def test_all_faults_are_found_at_once_and_what_is_sound_counts() -> None:
    text = """
    nodez: {}
    directory: {timeout: soon, uris: [http://x], tls: [], suffix: o=x}
    nodes: {semantics: terminus, filter: (cn=x)}
    nodes: {filter: (cn=y)}
    authorities: {servers: [{name: a}, {url: 5, odd: 1}, 7, {name: b, url: 'https://b'}]}
    branches: {mirror: {forge: github}}
    """
    found = config.examine(text, "/etc/x.yaml")
    assert [fault.partition(" (")[0] for fault in found.faults] == [
        "line 5: nodes appears twice in this mapping",
        "unknown key nodez; did you mean nodes?",
        "directory.timeout: 'soon' is not a duration such as 500ms, 3s, 15m, 24h or 7d",
        "directory.tls must be a mapping of settings",
        "nodes.filter: has no %s where the name goes",
        "authorities.servers[0]: needs url",
        "authorities.servers[1].url: 5 is not a text",
        "unknown key authorities.servers[1].odd",
        "authorities.servers[1]: needs name",
        "authorities.servers[2] must be a mapping of settings",
        "branches.mirror.url: not https://HOST/PATH or ssh://USER@HOST/PATH",
        "branches.mirror.url: '' is not among mirror.protocols",
    ]
    assert found.settings.directory.suffix == "o=x"
    with pytest.raises(ConfigurationError) as refusal:
        found.sound()
    assert str(refusal.value) == (
        "/etc/x.yaml: line 5: nodes appears twice in this mapping; and 11 more: `enc-admin config check` lists all"
    )


def test_a_setting_that_is_gone_is_told_and_the_file_counts() -> None:
    text = "follow: {beat: 1s, poll_interval: 7s}\nbranches: {upkeep: {projects: 0}}\n"
    text += "self_master: {sync: {snapshots: [x]}}"
    found = config.examine(text, "/etc/x.yaml")
    assert (found.faults, found.gone) == ((), ("follow.beat", "branches.upkeep", "self_master.sync.snapshots"))
    assert config.parse(text).follow.poll_interval == 7
    assert found.remark == (
        "/etc/x.yaml: follow.beat, branches.upkeep, self_master.sync.snapshots: these settings are no longer used "
        "since version 0.1.0 and ignored; remove them (`enc-admin config check` says what applies instead)"
    )
    assert config.examine("follow: {poll_interval: 7s}", "x").remark == ""


def test_what_is_gone_is_no_setting() -> None:
    keys = {setting.key for setting in config_reference.settings()}
    assert not [gone for gone in GONE for key in keys if key == gone or key.startswith(f"{gone}.")]


def test_what_was_never_a_setting_is_no_setting_that_is_gone() -> None:
    for text in ("follow: {beats: 1s}", "beat: 1s", "nodes: {beat: 1s}", "instances: {agent: {poll: 1s}}"):
        with pytest.raises(ConfigurationError, match="unknown key"):
            config.parse(text)


def test_what_a_merge_brings_may_be_said_otherwise() -> None:
    text = "log: &log {level: debug}\naudit: {file: /a}\nfollow: {<<: {poll_interval: 1s}, poll_interval: 2s}"
    assert config.parse(text).follow.poll_interval == 2


def test_what_a_merge_of_a_merge_brings_stands_twice_nowhere() -> None:
    """PyYAML merges into the mapping itself, before it looks at it when that is nested deeper."""
    text = "log: &a {level: debug}\nbranches: {upkeep: {x: &b {<<: *a, level: info}}}\nfollow: {<<: *b}"
    assert "twice" not in str(config.examine(text, "").faults)


@pytest.mark.parametrize(
    "text",
    [
        "nodes: {semantics: terminus}\nnodes: {semantics: extended}",
        "log: &log {level: debug, level: info}\nfollow: {<<: *log}",
        "log: {<<: {level: debug, level: info}}",
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="appears twice"):
        config.parse(text)


SERVER = "{name: central, url: 'https://ca.example.org:8140'}"


def test_off_is_a_word_with_or_without_quotes() -> None:
    """YAML makes a boolean of it, and the docs say `pushes.syntax: off`."""
    for written in ("off", "'off'"):
        assert config.parse(f"pushes: {{syntax: {written}, own_checks: {written}}}").pushes.syntax == "off"
    with pytest.raises(ConfigurationError):
        config.parse("pushes: {members_code: off}")


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


def test_config_check_lists_every_fault_and_what_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("follow: {beat: 1s}\nnodez: {}\nlog: {level: loud}\n")
    assert cli.main(["--config", str(file), "config", "check", "--json"]) == ExitStatus.USAGE
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(one["id"], one["level"]) for one in found] == [
        ("config-gone", "warning"),
        ("config-file", "fault"),
        ("config-file", "fault"),
    ]
    assert found[0]["found"] == "follow.beat was removed in version 0.1.0 and is ignored: it is always 2s"


def test_people_are_told_what_is_gone_and_what_answers_machines_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    answers, uri = tmp_path / "answers", "ldapi://" + str(tmp_path / "none").replace("/", "%2F")
    file.write_text(f"follow: {{beat: 1s}}\nanswers: {{directory: {answers}}}\ndirectory: {{uris: ['{uri}']}}\n")
    assert cli.main(["--config", str(file), "config", "show", "--json"]) == ExitStatus.DONE
    output, words = capsys.readouterr()
    assert "beat" not in output
    assert (
        words.count("\n") == 1 and f"{file}: follow.beat: this setting is no longer used since version 0.1.0" in words
    )
    assert direct.main(["web1.example.org"], file) == ExitStatus.FAILED
    output, words = capsys.readouterr()
    assert "LDAP" in output and words == ""


@pytest.mark.parametrize(
    "text, fault",
    [
        ("directory: {uri: [x]}", "unknown key directory.uri; did you mean directory.uris?"),
        ("directory: {TIMEOUT: 3s}", "unknown key directory.TIMEOUT; did you mean directory.timeout?"),
        ("directory: {bind-dn: x}", "unknown key directory.bind-dn; did you mean directory.bind_dn?"),
        ("brunches: {}", "unknown key brunches; did you mean branches?"),
        ("branches: {miror: {}}", "unknown key branches.miror; did you mean branches.mirror?"),
        ("uris: [x]", "unknown key uris; did you mean directory.uris?"),
        (
            "branches: {forge: gitea}",
            "unknown key branches.forge; did you mean branches.puppetfile.forge or branches.mirror.forge or ",
        ),
        ("directory: {zzzzzz: 1}", "unknown key directory.zzzzzz (known here:"),
        ("5: 1", "unknown key 5 (known here:"),
        ("nodes: {semantics: extnded}", "is not one of terminus, extended; did you mean extended?"),
        ("branches: {mirror: {forge: githob}}", "; did you mean github?"),
    ],
)
def test_the_nearest_is_told_for_what_is_unknown(text: str, fault: str) -> None:
    assert fault in config.examine(text, "x").faults[0]


def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    file = tmp_path / "c.yaml"
    text = "# a comment\ndirectory:\n  timeout: 7s\n  uris:\n  - ldapi:///\nbranches: {mirror: {poll: 90s}}\n"
    file.write_text(text)
    status = cli.main(["--config", str(file), "config", "show", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.mark.parametrize(
    "key, value, where",
    [
        ("directory.timeout", "7s", ", line 3"),
        ("directory.uris", "['ldapi:///']", ", line 4"),
        ("branches.mirror.poll", "90s", ", line 6"),
        ("branches.store", str(Settings().branches.store), ": the default"),
        ("branches.mirror.forge", "null", ": the default"),
        ("directory.tls.ca_file", "null", ": the default"),
    ],
)
def test_one_setting_is_shown_and_where_it_comes_from(
    key: str, value: str, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(tmp_path, capsys, key)[:2] == (0, f"{value}\n")
    assert shown(tmp_path, capsys, key)[2].rstrip().endswith(where)
    document = json.loads(shown(tmp_path, capsys, key, "--json")[1])
    assert list(document["origins"]) == [key]
    assert document["file_from"] == "option"
    assert document["origins"][key]["from"] == ("default" if where.endswith("default") else "file")


def test_all_settings_are_a_file_that_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text, told = shown(tmp_path, capsys)
    assert status == 0
    assert "  timeout: 7s  # line 3\n" in text and "  uris:  # line 4\n" in text
    assert "    poll: 90s  # line 6\n" in text
    assert f"read from {tmp_path}/c.yaml (--config)" in told
    document = json.loads(shown(tmp_path, capsys, "--json")[1])
    assert yaml.safe_load(text) == document["settings"]
    assert set(document["origins"]) == {setting.key for setting in config_reference.settings()}
    section = shown(tmp_path, capsys, "branches.mirror")
    assert yaml.safe_load(section[1]) == document["settings"]["branches"]["mirror"]


@pytest.mark.parametrize(
    "key, words, status",
    [
        ("directory.uri", "there is no setting directory.uri; did you mean directory.uris?", 2),
        ("brunches.store", "did you mean branches?", 2),
        ("uris", "did you mean directory.uris?", 2),
        ("directory.uris.x", "there is no setting directory.uris.x", 2),
        ("", "there is no setting ", 2),
        (".", "there is no setting .", 2),
        ("follow.beat", "follow.beat: was removed in version 0.1.0: it is always 2s", 1),
    ],
)
def test_no_such_setting(key: str, words: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(tmp_path, capsys, key)
    assert (found[0], found[1]) == (status, "")
    assert words in found[2]


def test_what_names_the_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("directory: {timeout: 4s}\n")
    monkeypatch.setenv(config.ENVIRONMENT_VARIABLE, str(file))
    assert cli.main(["config", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file_from"] == "environment"
    assert cli.main(["config", "show"]) == 0
    assert f"{file} (${config.ENVIRONMENT_VARIABLE})" in capsys.readouterr().err


def test_what_a_merge_brings_has_the_line_where_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "merged.yaml"
    file.write_text("nodes: &all\n  base: o=x\nprojects:\n  <<: *all\n")
    assert cli.main(["--config", str(file), "config", "show", "projects.base"]) == 0
    told = capsys.readouterr()
    assert told.out == "o=x\n" and told.err.endswith("line 2\n")
