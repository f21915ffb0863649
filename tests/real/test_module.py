"""The Puppet module compiles for each layout, and puppet-lint and puppet-strings have nothing to say."""

from __future__ import annotations

import json
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from puppetmaster_quickstart.auth_conf import AuthSettings, auth_conf
from tests.support.puppet_module import LAYOUTS, ROOT, Compiled, compile_all, module_in

CA = "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n"
CODE = {
    "puppetmaster": "class { 'puppetmaster': ensure => %s }",
    "puppetmaster::toolkit": "class { 'puppetmaster::toolkit': ensure => %s, source => '/srv/puppetmaster-toolkit', "
    "config => { 'log' => { 'level' => 'debug' } }, ldap_secret => Sensitive('secret') }",
    "puppetmaster::enc": "class { 'puppetmaster::enc': ensure => %s }",
    "puppetmaster::branches": "class { 'puppetmaster::branches': ensure => %s, serve => true }",
    "puppetmaster::instances": "class { 'puppetmaster::instances': ensure => %s, "
    "signer_secret => Sensitive('secret'), writer_secret => Sensitive('other') }",
    "puppetmaster::self": "class { 'puppetmaster::self': ensure => %s, for_project => true, branch => 'project/red' }",
    "puppetmaster::client": "class { 'puppetmaster::client': ensure => %s, server => 'web-1.example.org', "
    f'ca_certificate => "{CA}" }}',
    "puppetmaster::agent": "class { 'puppetmaster::agent': ensure => %s, server => 'projects.example.org', "
    "ca_server => 'puppet.example.org' }",
    "puppetmaster::access": "class { 'puppetmaster::access': ensure => %s, "
    "uris => ['ldap://ldap.example.org', 'ldaps://ldap-2.example.org:1636'], suffix => 'dc=example,dc=org', "
    "bind_dn => 'cn=instances,ou=services,dc=example,dc=org', ldap_secret => Sensitive(\"pass#word = x\\n\") }",
}
"""Each public class."""
_ELSEWHERE = {"puppetmaster::self", "puppetmaster::client", "puppetmaster::agent", "puppetmaster::access"}
_FOR_DEBIAN = {"puppetmaster::access"}
TOGETHER = "\n".join(CODE[name] for name in CODE if name not in _ELSEWHERE)



def _access(words: str) -> str:
    """Return the class with one parameter more, or another value of one."""
    name = words.partition(" ")[0]
    usual = re.sub(rf" {name} => (\[[^]]*\]|Sensitive\([^)]*\)|'[^']*'),?", "", CODE["puppetmaster::access"])
    return usual.replace("%s", "present").replace(" }", f", {words} }}").replace(", ,", ",").replace(",,", ",")


REFUSED = {
    "no certificate authority, and nobody who is": ("class { 'puppetmaster': ca => false }", "set ca_server to"),
    "signing without an authority": (
        "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org', autosign => '/bin/enc-autosign' }",
        "nothing is signed here",
    ),
    "neither an authority nor catalogs": (
        "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org', compiles => false }",
        "does nothing",
    ),
    "an authority apart beside one that is not": (
        "class { 'puppetmaster::authority': certname => 'ca.example.org' }",
        "puppetserver itself must not be an authority",
    ),
    "an authority apart with the machine's name": (
        "class { 'puppetmaster': ca => false, ca_server => 'one.example.org' }\n"
        "class { 'puppetmaster::authority': certname => 'one.example.org' }",
        "the authority needs another name",
    ),
    "a client without an anchor": ("class { 'puppetmaster::client': server => 'a.b' }", "ca_certificate must hold"),
    "a certname that breaks out": ("class { 'puppetmaster': ca_clients => ['a\", \"*'] }", "ca_clients"),
    "every client": ("class { 'puppetmaster': flush_clients => ['*'] }", "flush_clients"),
    "an argument that breaks out": ("class { 'puppetmaster': java_args => ['-X\"; rm -rf /'] }", "java_args"),
    "a variable with a quote": ("class { 'puppetmaster': environment => { 'A' => 'b\"' } }", "environment"),
    "an URL with a space": ("class { 'puppetmaster::self': upstream => 'https://a/b --x' }", "upstream"),
    "git's own transports": ("class { 'puppetmaster::self': upstream => 'ext::sh -c id' }", "upstream"),
    "a branch that is an option": ("class { 'puppetmaster::self': branch => '--dry-run' }", "branch"),
    "a name that an index decides about": (
        "class { 'puppetmaster::toolkit': source => 'puppetmaster-toolkit' }",
        "parameter 'source'",
    ),
    "a name with a version": ("class { 'puppetmaster::toolkit': source => 'puppetmaster-toolkit==0.1.0' }", "'source'"),
    "a name at an address": (
        "class { 'puppetmaster::toolkit': source => 'puppetmaster-toolkit @ https://example.org/a.whl' }",
        "parameter 'source'",
    ),
    "an address without its hash": (
        "class { 'puppetmaster::toolkit': source => 'https://example.org/a.whl' }",
        "parameter 'source'",
    ),
    "a branch, which moves": (
        "class { 'puppetmaster::toolkit': source => 'git+https://example.org/toolkit@main' }",
        "parameter 'source'",
    ),
    "an option of pip": (
        "class { 'puppetmaster::toolkit': source => '--index-url=https://example.org' }",
        "parameter 'source'",
    ),
    "a source and an option of pip": (
        "class { 'puppetmaster::toolkit': source => \"/srv/a\\n--pre\" }",
        "parameter 'source'",
    ),
    "a lock that is no file": (
        "class { 'puppetmaster::toolkit': source => '/srv/a', lock => 'https://example.org/lock' }",
        "parameter 'lock'",
    ),
    "a private class": ("include puppetmaster::config", "private to the module"),
    **{
        f"access with {what}": (_access(words), said)
        for what, words, said in (
            ("a server in clear by its path", "uris => ['ldap://a.b/?x']", "uris"),
            ("a line more by a DN", 'people => "ou=people,dc=b\nldap_tls_reqcert = never"', "people"),
            ("another base by a DN", "projects => 'ou=a?subtree?(cn=*)?ou=b'", "projects"),
            ("a line more by a filter", 'people_filter => "(a=b)\n[pam]"', "people_filter"),
            ("a group that is a rule", "sudo_groups => ['ops ALL=(ALL) ALL']", "sudo_groups"),
            ("a group that is a command", "login_groups => ['$(id)']", "login_groups"),
            ("an option that is no attribute's", "attributes => { 'ldap_tls_reqcert' => 'never' }", "attributes"),
            ("a base as an attribute", "attributes => { 'ldap_group_search_base' => 'o' }", "attributes"),
            ("numbers of the system's", "min_id => 27", "min_id"),
            ("a home that leads away", "home => '/home/%u/../..; x'", "home"),
            ("an account without a password", "ldap_secret => undef", "set ldap_secret to its password"),
            ("a password of two lines", 'ldap_secret => Sensitive("a\n[pam]")', "must be one line"),
            ("a password that nothing checks", "sudo_password => true", "sudo_password needs passwords"),
            ("less time than the cache's", "offline_seconds => 60", "less than cache_seconds"),
            ("no servers", "uris => []", "set uris and suffix"),
        )
    },
}
PROJECTS: dict[str, tuple[dict[str, object], str]] = {
    "none": ({"extensions": {}}, r"one\.example\.org has no project, neither in its certificate .* nor in LDAP"),
    "none, whatever facts say": (
        {"extensions": {}, "facts": {"pp_project": "blue", "project": "blue", "puppetmaster_project": "blue"}},
        "has no project",
    ),
    "null in LDAP": ({"extensions": {}, "external": {"project": None}}, "has no project"),
    "two": ({"external": {"project": "blue"}}, r"red by its certificate \(pp_project\), blue by LDAP"),
    "a filter": ({"extensions": {"pp_project": "*)(cn=x"}}, "is not a valid project name"),
    "a name with a line": ({"extensions": {"pp_project": "red\n[pam]"}}, "is not a valid project name"),
    "the certificate's": ({}, ""),
    "the certificate's, whatever facts say": ({"facts": {"pp_project": "blue", "project": "blue"}}, ""),
    "LDAP's": ({"extensions": {}, "external": {"project": "red"}}, ""),
    "that of both": ({"external": {"project": "red"}}, ""),
}
"""What trusted data say, and what is refused; `red` where nothing is."""


@pytest.fixture(scope="module")
def modulepath(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return module_in(tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def compiled(modulepath: Path) -> dict[str, Compiled]:
    """Everything that is compiled here, in one process: name of the case → outcome."""
    cases = {
        f"{name} {ensure} {layout}": (layout, code.replace("%s", ensure))
        for name, code in {**CODE, "together": TOGETHER}.items()
        for ensure in ("present", "absent")
        for layout in LAYOUTS
    }
    cases.update({name: ("debian", code) for name, (code, _) in REFUSED.items()})
    nobody = "flush_clients => [], catalog_clients => [], status_clients => []"
    cases["nobody may"] = ("debian", f"class {{ 'puppetmaster': {nobody} }}")
    clients = "flush_clients => ['a.b'], catalog_clients => ['c.d', 'e.f'], ca_clients => ['g.h']"
    more = "status_clients => ['i.j'], file_bucket => true"
    cases["clients of all kinds"] = ("debian", f"class {{ 'puppetmaster': {clients}, {more} }}")
    cases["elsewhere"] = ("debian", "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org' }")
    cases["elsewhere, by its agent only"] = (
        "debian",
        "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org', crl_timer => false }",
    )
    cases["the authority alone"] = ("debian", "class { 'puppetmaster': compiles => false }")
    for ensure in ("present", "absent"):
        cases[f"the authority apart, {ensure}"] = (
            "debian",
            f"class {{ 'puppetmaster': ca => {str(ensure == 'absent').lower()}, ca_server => 'ca.example.org', "
            "ca_port => 8141, dns_alt_names => ['puppet'] }\n"
            f"class {{ 'puppetmaster::authority': ensure => {ensure}, certname => 'ca.example.org', "
            "signer_secret => Sensitive('secret'), config => { 'log' => { 'level' => 'debug' } } }",
        )
    for layout in LAYOUTS:
        cases[f"the authority alone on {layout}"] = (
            layout,
            "class { 'puppetmaster': compiles => false, autosign => '/opt/puppetmaster-toolkit/bin/enc-autosign', "
            "confined => true }\nclass { 'puppetmaster::instances': collect => false }",
        )
        cases[f"a compile server on {layout}"] = (
            layout,
            "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org', confined => true, port => 443, "
            "ssldir => '/etc/puppetmaster-keys/ssl', writable => ['/etc/more'] }",
        )
        cases[f"the authority apart on {layout}"] = (
            layout,
            "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org' }\n"
            "class { 'puppetmaster::authority': certname => 'ca.example.org' }",
        )
    for serves in ("site", "projects"):
        cases[f"serves {serves}"] = (
            "debian",
            f"class {{ 'puppetmaster::toolkit': config => {{ 'domains' => {{ 'serves' => '{serves}' }} }}, "
            "ldap_secret => Sensitive('secret') }\n"
            "class { 'puppetmaster': ca => false, ca_server => 'ca.example.org', ca_port => 8141 }\n"
            "class { 'puppetmaster::instances': signer_secret => Sensitive('secret') }",
        )
    policy = "class { 'puppetmaster': autosign => '/opt/puppetmaster-toolkit/bin/enc-autosign' }"
    cases["signed by the policy"] = ("debian", policy)
    enc = CODE["puppetmaster::enc"]
    both = f"class {{ 'puppetmaster': }}\n{enc}"
    cases["the classifier declared last"] = ("debian", both.replace("%s", "present"))
    cases["a master whose classifier is gone"] = ("debian", both.replace("%s", "absent"))
    cases["own place"] = ("debian", "class { 'puppetmaster': ssldir => '/var/lib/puppetmaster/self/ssl' }")
    itself = CODE["puppetmaster::client"].replace("web-1.example.org", "one.example.org")
    cases["itself"] = ("debian", itself.replace("%s", "present"))
    access = CODE["puppetmaster::access"].replace("%s", "present")
    cases |= {f"project: {what}": ("debian", access) for what in PROJECTS}
    layout_of_2012 = "projects => 'ou=groups,dc=example,dc=org', project_group => 'project-%s'"
    more = "admins_member => 'memberUid', admins => 'cn=projectadmin,cn=%s,ou=projects,dc=example,dc=org'"
    rights = "sudo_groups => ['ops'], passwords => true, sudo_password => true"
    numbers = "attributes => { 'ldap_group_gid_number' => 'msSFU30GidNumber' }, people_group => 100"
    another = f"{layout_of_2012}, {more}, {rights}, {numbers}, people_filter => '(ou=staff)'"
    cases["access in another layout"] = ("debian", access.replace(" }", f", {another} }}"))
    return compile_all(modulepath, cases, {f"project: {what}": said for what, (said, _) in PROJECTS.items()})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ensure", ["present", "absent"])
@pytest.mark.parametrize("name", [*CODE, "together"])
def test_each_class_compiles_for_each_layout(
    compiled: dict[str, Compiled], name: str, ensure: str, layout: str
) -> None:
    made = compiled[f"{name} {ensure} {layout}"]
    if name in _FOR_DEBIAN and LAYOUTS[layout]["os"]["family"] != "Debian":
        assert "supports Debian" in (made.error or "")
        return
    assert made.error is None
    assert len(made.resources) > 4


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(compiled: dict[str, Compiled], name: str) -> None:
    assert re.search(REFUSED[name][1], compiled[name].error or "compiled")


def test_each_layout_has_its_places(compiled: dict[str, Compiled]) -> None:
    debian = compiled["puppetmaster present debian"]
    assert "/etc/puppet/puppetserver/conf.d/auth.conf" in debian.of("File")
    drop_in = "/etc/systemd/system/puppetserver.service.d/puppetmaster.conf"
    assert {"Type=exec", "NoNewPrivileges=yes"} <= set(str(debian.of("File")[drop_in]["content"]).splitlines())
    assert "Exec[JAVA_ARGS in /etc/default/puppetserver]" in debian.resources
    openvox = compiled["puppetmaster present openvox-redhat"]
    assert openvox.of("File")[drop_in]["ensure"] == "absent"
    assert "/etc/puppetlabs/puppetserver/conf.d/auth.conf" in openvox.of("File")
    assert list(openvox.of("Package")) == ["openvox-server"]
    assert "Exec[JAVA_ARGS in /etc/sysconfig/puppetserver]" in openvox.resources
    assert "/opt/puppetlabs/bin/puppet" in str(compiled["puppetmaster::client present puppet-redhat"].of("Exec"))


def test_hooks_that_have_drifted_go_too(compiled: dict[str, Compiled]) -> None:
    """Whether there are any is asked, not whether they are as `init` left them."""
    it = compiled["puppetmaster::branches absent debian"].of("Exec")["no hooks in /var/lib/puppetmaster/repository.git"]
    assert it["onlyif"] == [
        ["/usr/bin/test", "-x", "/opt/puppetmaster-toolkit/bin/branch-manager"],
        ["/usr/bin/test", "-e", "/var/lib/puppetmaster/repository.git/puppetmaster/installed.json"],
    ]


def test_no_account_of_ours_is_in_the_group_that_reads_keys(compiled: dict[str, Compiled]) -> None:
    for layout in LAYOUTS:
        made = compiled[f"together present {layout}"]
        users = made.of("User")
        assert set(users) == {"git", "puppetmaster", "puppetmaster-collect"}
        for name, it in users.items():
            groups = [it["groups"]] if isinstance(it["groups"], str) else it["groups"]
            assert it.get("gid", name) == name and "puppet" not in groups, name
        joined = {name for name in made.resources if name.startswith("Exec[puppet is in ")}
        assert joined == {"Exec[puppet is in puppetmaster-readers]", "Exec[puppet is in puppetmaster-signer]"}
        secrets = {path: it for path, it in made.of("File").items() if path.endswith(".secret")}
        assert "puppet" not in {it["group"] for it in secrets.values()}
        # Only where something is given to it: an instance that may become a master leaves no trace when it does not.
        assert compiled[f"puppetmaster::self present {layout}"].of("Group") == {}


def test_puppetserver_is_started_anew_once_for_all_the_groups_that_it_joins(compiled: dict[str, Compiled]) -> None:
    for layout in LAYOUTS:
        made = compiled[f"together present {layout}"]
        restarts = {title for title, it in made.of("Exec").items() if "restart" in str(it["command"])}
        assert restarts == {"puppetserver runs with the groups of its account"}
        it = made.of("Exec")["puppetserver runs with the groups of its account"]
        assert it["unless"][0][-4:] == ["puppet", "puppetserver", "puppetmaster-readers", "puppetmaster-signer"]
        # After the last group; before anything that puppetserver reads now is given to one of them.
        joins = made.of("Puppetmaster::Readers")
        assert set(joins) == {"puppetmaster-readers", "puppetmaster-signer"}
        assert all("Class[Puppetmaster::Joined]" in it["before"] for it in joins.values())
        given = (
            made.of("File")["/etc/puppetmaster/signer.secret"],
            made.of("Exec")["readers of LDAP read its password"],
            made.of("Puppetmaster::Directory")["/var/lib/puppetmaster/store"],
        )
        assert all("Class[Puppetmaster::Joined]" in it["require"] for it in given)


def test_the_report_processor_stands_where_puppetserver_looks(compiled: dict[str, Compiled]) -> None:
    upstream = "/opt/puppetlabs/server/data/puppetserver"
    for layout, vardir in (("debian", "/var/lib/puppetserver"), ("openvox-redhat", upstream)):
        made = compiled[f"puppetmaster::enc present {layout}"]
        file = made.of("File")[f"{vardir}/lib/puppet/reports/puppetmaster.rb"]
        assert file["content"] == (ROOT / "lib/puppet/reports/puppetmaster.rb").read_text()
        assert made.of("Puppetmaster_setting")["server/reports"]["value"] == "puppetmaster, store"


def test_reports_and_server_are_set_whatever_the_version_has_by_default(compiled: dict[str, Compiled]) -> None:
    def settings(name: str) -> dict[str, object]:
        return {title: it.get("value") for title, it in compiled[name].of("Puppetmaster_setting").items()}

    alone = settings("puppetmaster present openvox-redhat")
    assert alone["server/reports"] == "store"
    assert alone["main/server"] == "one.example.org"
    assert settings("the classifier declared last")["server/reports"] == "puppetmaster, store"
    assert settings("a master whose classifier is gone")["server/reports"] == "store"
    assert "server/reports" in settings("puppetmaster::enc absent debian")
    # Somebody else serves these agents, and their setting says who.
    assert settings("own place")["main/server"] is None
    assert settings("elsewhere")["main/server"] is None


def test_what_absent_leaves_is_only_absent(compiled: dict[str, Compiled]) -> None:
    for layout in LAYOUTS:
        made = compiled[f"together absent {layout}"]
        for kind in ("File", "User", "Puppetmaster_setting", "Puppetmaster::Original", "Puppetmaster::Unit"):
            assert {it["ensure"] for it in made.of(kind).values()} <= {"absent"}, kind
        assert {it["ensure"] for it in made.of("Service").values()} == {"stopped"}
        assert {it["ensure"] for it in made.of("Package").values()} == {"purged"}


def test_rules_of_auth_conf(compiled: dict[str, Compiled]) -> None:
    def rules(name: str) -> str:
        return str(compiled[name].of("File")["/etc/puppet/puppetserver/conf.d/auth.conf"]["content"])

    names = r'allow: \["([^"]+)", "\1-deploy"\]'
    flush = rf'environment-cache\$", type: regex, method: delete }}\n\s+{names}\n\s+sort-order: 400'
    assert re.search(flush, rules("puppetmaster present debian"))
    assert re.search(r'environment-cache\$".*\n\s+deny: "\*"\n', rules("nobody may"))
    # `puppetserver ca` goes on working: the first rule that matches decides alone.
    assert 'allow: [{ extensions: { pp_cli_auth: "true" } }]' in rules("nobody may")
    # What a private server of the tests has, and so the table of rights is asked of, is what Puppet makes for sites.
    assert rules("nobody may") == auth_conf(AuthSettings())
    assert rules("clients of all kinds") == auth_conf(AuthSettings(("a.b",), ("c.d", "e.f"), ("g.h",), ("i.j",), True))


def test_a_master_without_an_authority(compiled: dict[str, Compiled]) -> None:
    made = compiled["elsewhere"]
    assert made.of("Puppetmaster_setting")["main/ca_server"]["value"] == "ca.example.org"
    assert made.of("Puppetmaster_setting")["agent/crl_refresh_interval"]["value"] == "1d"
    assert "authority-disabled-service" in made.of("File")["/etc/puppet/puppetserver/services.d/ca.cfg"]["content"]
    timer = {"ensure": "running", "enable": True}
    assert timer.items() <= made.of("Service")["puppetmaster-crl.timer"].items()
    assert "puppetmaster-crl.service" not in made.of("Service")  # the timer starts it
    for name in ("elsewhere, by its agent only", "puppetmaster present debian"):
        assert compiled[name].of("Service")["puppetmaster-crl.timer"]["ensure"] == "stopped"


def test_an_authority_apart_gives_no_catalogs_and_files(compiled: dict[str, Compiled]) -> None:
    rules = str(compiled["the authority alone"].of("File")["/etc/puppet/puppetserver/conf.d/auth.conf"]["content"])
    named = set(re.findall(r'path: "([^"]+)"', rules))
    wanted = {"^/puppet-ca/v1/certificate_request/[^/]+$", "^/puppet-ca/v1/sign(/all)?$", "/"}
    assert wanted <= named
    assert {path for path in named if not path.lstrip("^").startswith(("/puppet-ca/", "/status/"))} == {"/"}
    whole = str(compiled["elsewhere"].of("File")["/etc/puppet/puppetserver/conf.d/auth.conf"]["content"])
    assert set(re.findall(r'path: "([^"]+)"', whole)) > named


SERVERS = {
    "debian": ("/etc/puppet/puppetserver", "/etc/puppet/code/environments", "/etc/default/puppetserver"),
    "puppet-debian": ("/etc/puppetlabs/puppetserver", "/etc/puppetlabs/code/environments", "/etc/default/puppetserver"),
    "puppet-redhat": (
        *("/etc/puppetlabs/puppetserver", "/etc/puppetlabs/code/environments"),
        "/etc/sysconfig/puppetserver",
    ),
    "openvox-redhat": (
        *("/etc/puppetlabs/puppetserver", "/etc/puppetlabs/code/environments"),
        "/etc/sysconfig/puppetserver",
    ),
}
"""Where each packaging has puppetserver's configuration, with the authority in it, environments, and JAVA_ARGS."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_authority_and_compile_server_on_machines_of_their_own(compiled: dict[str, Compiled], layout: str) -> None:
    confdir, environments, defaults = SERVERS[layout]
    authority, compiles = compiled[f"the authority alone on {layout}"], compiled[f"a compile server on {layout}"]
    assert authority.error is None and compiles.error is None
    settings = authority.of("Puppetmaster_setting")
    assert settings["server/autosign"]["value"] == "/opt/puppetmaster-toolkit/bin/enc-autosign"
    assert "/puppet/v3" not in authority.of("File")[f"{confdir}/conf.d/auth.conf"]["content"]
    assert f"{confdir}/services.d/ca.cfg" not in authority.of("File"), "the package's own has an authority"
    assert "authority-disabled-service" in compiles.of("File")[f"{confdir}/services.d/ca.cfg"]["content"]
    for made in (authority, compiles):
        assert f"Exec[JAVA_ARGS in {defaults}]" in made.resources
        assert list(made.of("Puppetmaster::Readers"))[:1] in ([], ["puppetmaster-readers"])
        assert set(made.of("Service")) >= {"puppetserver"}

    # Confined: what is read-only is the rest of /etc, /usr and /boot, so these must be named (systemd.exec(5)).
    unit = "/etc/systemd/system/puppetserver.service.d/puppetmaster.conf"
    drop_ins = {name: str(made.of("File")[unit]["content"]) for name, made in (("ca", authority), ("no", compiles))}
    for name, text in drop_ins.items():
        lines = text.splitlines()
        # Debian's unit has a race at the start; Puppet's forks and OpenVox's notifies, and must go on doing so.
        assert [line for line in lines if line.startswith("Type=")] == (["Type=exec"] if layout == "debian" else [])
        assert {"ProtectSystem=full", "NoNewPrivileges=yes"} <= set(lines)
        opened = {line.partition("=-")[2] for line in lines if line.startswith("ReadWritePaths=")}
        ssldirs = {"/etc/puppet/ssl", "/etc/puppetlabs/puppet/ssl"}
        more = {"/etc/puppetmaster-keys/ssl", "/etc/puppetmaster-keys/ca", "/etc/more"} if name == "no" else set()
        assert opened == {confdir, environments} | ssldirs | more
        closed = {line.partition("=-")[2] for line in lines if line.startswith("ReadOnlyPaths=")}
        assert closed == {f"{confdir}/conf.d", f"{confdir}/services.d"}
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in drop_ins["no"].splitlines()
    assert "CapabilityBoundingSet=" in drop_ins["ca"].splitlines()


def test_an_authority_apart_on_the_same_machine(compiled: dict[str, Compiled]) -> None:
    made = compiled["the authority apart, present"]
    files = made.of("File")
    for layout in LAYOUTS:
        refused = compiled[f"the authority apart on {layout}"].error
        assert refused is None if layout == "debian" else "a machine of its own" in str(refused), layout
    assert files["/etc/puppetmaster-authority/signer.secret"]["mode"] == "0400"
    assert files["/var/lib/puppetmaster-authority"]["owner"] == "puppet-ca"
    assert "authority-disabled-service" in files["/etc/puppet/puppetserver/services.d/ca.cfg"]["content"]
    assert "/puppet/v3" not in files["/etc/puppetmaster-authority/conf.d/auth.conf"]["content"]
    assert "User=puppet-ca" in files["/etc/systemd/system/puppetmaster-authority.service"]["content"]
    gone = compiled["the authority apart, absent"]
    assert gone.error is None and gone.of("Service")["puppetmaster-authority.service"]["ensure"] == "stopped"
    assert gone.of("User")["puppet-ca"]["ensure"] == "absent"


def test_what_puppetserver_need_not_read_it_does_not(compiled: dict[str, Compiled]) -> None:
    def secret(case: str, name: str) -> tuple[str, str, str]:
        file = compiled[case].of("File")[f"/etc/puppetmaster/{name}.secret"]
        return file["owner"], file["group"], file["mode"]

    closed = ("puppetmaster", "root", "0400")
    collectors = ("puppetmaster-collect", "root", "0400")
    assert secret("serves projects", "ldap") == closed
    assert secret("serves projects", "signer") == secret("serves site", "signer") == collectors
    assert secret("serves site", "ldap") == secret("together present debian", "ldap") != closed
    settings = compiled["serves site"].of("Puppetmaster_setting")
    assert settings["main/ca_port"]["value"] == "8141" and settings["server/autosign"]["ensure"] == "absent"


def test_an_agent_goes_only_where_it_is_served(compiled: dict[str, Compiled]) -> None:
    made = compiled["puppetmaster::agent present debian"]
    settings = made.of("Puppetmaster_setting")
    assert settings["agent/ca_server"]["value"] == "puppet.example.org"
    assert settings["agent/server"]["value"] == "projects.example.org"
    required = "Exec[projects.example.org must serve this machine]"
    assert {str(it["require"]) for it in settings.values()} == {required}
    gone = compiled["puppetmaster::agent absent debian"].of("Puppetmaster_setting")
    assert gone.keys() == settings.keys() and {it["ensure"] for it in gone.values()} == {"absent"}


def test_requests_are_judged_anew_where_a_policy_signs(compiled: dict[str, Compiled]) -> None:
    def ours(name: str) -> str:
        return str(compiled[name].of("File")["/etc/puppet/puppetserver/conf.d/puppetmaster.conf"]["content"])

    assert "allow-duplicate-certs: true" in ours("signed by the policy")
    assert "certificate-authority" not in ours("puppetmaster present debian")


def test_the_writing_password_is_roots_alone(compiled: dict[str, Compiled]) -> None:
    files = compiled["puppetmaster::instances present debian"].of("File")
    assert [
        (files[f"/etc/puppetmaster/{name}.secret"]["group"], files[f"/etc/puppetmaster/{name}.secret"]["mode"])
        for name in ("signer", "writer")
    ] == [("puppetmaster-signer", "0640"), ("root", "0600")]


def test_a_client_can_go_back_before_it_goes(compiled: dict[str, Compiled]) -> None:
    made = compiled["puppetmaster::client present debian"]
    asked = made.of("Exec")["web-1.example.org must serve this machine"]
    assert set(asked["before"]) == {f"Puppetmaster_setting[{name}]" for name in made.of("Puppetmaster_setting")}
    assert made.of("Service")["puppetmaster-client-watch.timer"]["before"] == [
        "Exec[web-1.example.org must serve this machine]"
    ]
    settings = {name: it["value"] for name, it in made.of("Puppetmaster_setting").items()}
    written = made.of("File")["/var/lib/puppetmaster/masters/watch.yaml"]["content"]
    assert yaml.safe_load(written)["settings"] == settings
    assert all(f"'{name}'" in made.of("File")["/var/lib/puppetmaster/masters/back.pp"]["content"] for name in settings)
    gone = compiled["puppetmaster::client absent debian"]
    assert {it["ensure"] for it in gone.of("Puppetmaster_setting").values()} == {"absent"}
    assert gone.of("Puppetmaster_setting").keys() == settings.keys()


@pytest.mark.parametrize("what", PROJECTS)
def test_the_project_is_what_trusted_data_say(compiled: dict[str, Compiled], what: str) -> None:
    made, refused = compiled[f"project: {what}"], PROJECTS[what][1]
    if refused:
        assert re.search(refused, made.error or "compiled")
    else:
        assert made.error is None
        assert "simple_allow_groups = red\n" in made.of("File")["/etc/sssd/sssd.conf"]["content"]


def test_people_come_in_by_verified_tls_and_by_their_group_alone(compiled: dict[str, Compiled]) -> None:
    made = compiled["puppetmaster::access present debian"]
    file = made.of("File")["/etc/sssd/sssd.conf"]
    assert (file["mode"], file["show_diff"]) == ("0600", False)
    read = ConfigParser(interpolation=None)
    read.read_string(str(file["content"]))
    assert read["sssd"]["domains"] == "red, red.admins"
    for name in ("domain/red", "domain/red.admins"):
        domain = read[name]
        assert (domain["ldap_tls_reqcert"], domain["ldap_id_use_start_tls"]) == ("demand", "true")
        assert domain["ldap_uri"] == "ldap://ldap.example.org, ldaps://ldap-2.example.org:1636"
        assert domain["ldap_default_authtok"] == "pass#word = x"
        assert (domain["auth_provider"], domain["chpass_provider"]) == ("none", "none")
    assert (read["domain/red"]["access_provider"], read["domain/red"]["simple_allow_groups"]) == ("simple", "red")
    base = "ou=projects,dc=example,dc=org"
    assert read["domain/red"]["ldap_group_search_base"] == f"{base}?onelevel?(gidNumber>=1000)"
    people = "ou=people,dc=example,dc=org?onelevel?(&(uidNumber>=1000)(gidNumber>=1000))"
    assert read["domain/red"]["ldap_user_search_base"] == people
    admins = read["domain/red.admins"]
    assert (admins["access_provider"], admins["ldap_group_member"]) == ("deny", "roleOccupant")
    assert admins["ldap_group_search_base"] == f"cn=projectadmin,cn=red,{base}?base?(gidNumber>=1000)"
    # The keys come last: they are what lets somebody try, and PAM judges by then.
    asks = str(made.of("File")["/usr/local/sbin/puppetmaster-access-keys"]["before"])
    assert "00-puppetmaster-access.conf" in asks
    assert "puppetmaster-access-keys" in str(made.of("Exec")["PAM asks sssd"]["before"])
    assert "NOPASSWD: ALL" in made.of("File")["/etc/sudoers.d/puppetmaster-access"]["content"]


def test_access_in_a_directory_of_another_layout(compiled: dict[str, Compiled]) -> None:
    made = compiled["access in another layout"]
    assert made.error is None
    read = ConfigParser(interpolation=None)
    read.read_string(str(made.of("File")["/etc/sssd/sssd.conf"]["content"]))
    people, admins = read["domain/red"], read["domain/red.admins"]
    assert people["simple_allow_groups"] == "project-red, ops" and people["auth_provider"] == "ldap"
    assert people["ldap_group_search_base"] == "ou=groups,dc=example,dc=org?onelevel?(msSFU30GidNumber>=1000)"
    filtered = "(&(uidNumber>=1000)(|(gidNumber>=1000)(gidNumber=100))(ou=staff))"
    assert people["ldap_user_search_base"] == f"ou=people,dc=example,dc=org?onelevel?{filtered}"
    assert people["min_id"] == "100"
    assert admins["ldap_schema"] == "rfc2307" and admins["ldap_group_member"] == "memberUid"
    where = "cn=projectadmin,cn=red,ou=projects,dc=example,dc=org"
    assert admins["ldap_group_search_base"] == f"{where}?base?(msSFU30GidNumber>=1000)"
    rules = str(made.of("File")["/etc/sudoers.d/puppetmaster-access"]["content"]).splitlines()
    assert rules[-2:] == ["%:projectadmin ALL=(ALL:ALL) ALL", "%:ops ALL=(ALL:ALL) ALL"]


def test_a_master_is_no_client_of_itself(compiled: dict[str, Compiled]) -> None:
    assert compiled["itself"].error is None
    assert not compiled["itself"].of("Puppetmaster_setting")


def test_certificates_of_its_own_stand_beside_the_agents(compiled: dict[str, Compiled]) -> None:
    settings = compiled["own place"].of("Puppetmaster_setting")
    assert settings["server/ssldir"]["value"] == "/var/lib/puppetmaster/self/ssl"
    assert settings["server/cadir"]["value"] == "/var/lib/puppetmaster/self/ca"
    assert not [name for name, it in settings.items() if name.startswith(("agent/", "main/")) and "value" in it]


def test_puppet_lint(modulepath: Path) -> None:
    done = subprocess.run(
        ["puppet-lint", "--fail-on-warnings", "--no-140chars-check", "puppetmaster"],
        cwd=modulepath,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_puppet_strings_and_the_reference(modulepath: Path, tmp_path: Path) -> None:
    made = tmp_path / "reference.md"
    done = subprocess.run(
        [
            *("puppet", "strings", "generate", "--format", "markdown", "--out", str(made)),
            *("manifests/*.pp", "functions/*.pp", "types/*.pp", "lib/puppet/**/*.rb"),
        ],
        cwd=modulepath / "puppetmaster",
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RUBYOPT": "-W0", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\[(warn|error)\]", done.stdout + done.stderr), done.stdout + done.stderr
    # docs/module.md tells how to write it anew
    assert made.read_text() == (ROOT / "docs/module-reference.md").read_text()


@pytest.mark.parametrize(
    ("before", "meanwhile"),
    [
        ("", ""),
        ("# words\n\n[main]\nserver = a\n\n[agent]\nenvironment = test\n", ""),
        ("# words\n", "[agent]\nnoop = true\n"),
        ("[server]\n# theirs\nautosign = false\nreports = store\n", ""),
        ("server = a\n", ""),
    ],
)
def test_settings_are_as_before_after_absent(modulepath: Path, tmp_path: Path, before: str, meanwhile: str) -> None:
    file, memory = tmp_path / "puppet.conf", tmp_path / "memory"
    file.write_text(before)
    file.chmod(0o640)

    def setting(name: str, value: str | None) -> dict[str, str]:
        place = {"name": name, "path": str(file), "memory": str(memory)}
        return {**place, "ensure": "absent"} if value is None else {**place, "value": value}

    wanted = [setting("server/autosign", "true"), setting("main/keylength", "2048")]
    first = [setting("server/autosign", "/x y")]
    assert apply_settings(modulepath, [first, first, wanted, wanted]) == [1, 0, 2, 0]
    assert "autosign = true\n" in file.read_text()
    with file.open("a") as stream:
        stream.write(meanwhile)
    gone = [setting(name, None) for name in ("server/autosign", "main/keylength", "agent/noop")]
    assert apply_settings(modulepath, [gone]) == [2]
    assert file.read_text() == before + meanwhile
    assert file.stat().st_mode & 0o777 == 0o640
    assert apply_settings(modulepath, [gone]) == [0]
    assert not list(memory.iterdir())


@pytest.mark.parametrize("bad", [{"name": "autosign", "value": "x"}, {"name": "server/autosign", "value": "x\ny"}])
def test_a_setting_that_cannot_stand_in_puppet_conf(modulepath: Path, bad: dict[str, str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        apply_settings(modulepath, [[bad]])


def apply_settings(modulepath: Path, rounds: list[list[dict[str, str]]]) -> list[int]:
    """Apply catalogs of settings, one after the other; return how many resources each changed."""
    done = subprocess.run(
        ["ruby", "-W0", str(ROOT / "tests/support/apply_settings.rb"), str(modulepath / "puppetmaster/lib")],
        input=json.dumps(rounds),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [int(changed) for changed in json.loads(done.stdout)]
